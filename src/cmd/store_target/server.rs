//! A store behind a server, which is read in pages.
//!
//! Must not know how the results are shown.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{PersonArgs, ReportedArgs};
use crate::model::filed::{FiledChange, FiledOutcome};
use crate::model::record::FullReview;
use crate::store::key::Family;
use crate::store::reported::Reported;
use crate::store::scan::EmailAddress;
use crate::store::{Gap, LostReviews, Stats};

use super::super::remote::{self, Remote};
use super::{
    ErasedReviews, Error, PageStart, ProductChange, ProductResult, StoreTarget, Unsearched,
    server_products,
};

const RESTORE: &str = "/reviews/reported/restore";
const MERGE: &str = "/reviews/merge";

/// A line of a server's answer to changes of reviews.
#[derive(Deserialize)]
struct FiledResult {
    result: String,
}

/// A page of a server's results.
#[derive(Deserialize)]
struct FoundPage {
    results: Vec<FullReview<'static>>,
    next: Option<String>,
    unreadable: u64,
}

/// A page of reviews that a server shows in the lists again.
#[derive(Deserialize)]
struct RestoredPage {
    restored: u64,
    next: Option<String>,
}

/// A server.
pub(super) struct ServerTarget(pub(super) Remote);

impl ServerTarget {
    fn post_erase(&self, whose: &PersonArgs, is_dry_run: bool) -> Result<ErasedReviews, Error> {
        let request = with(
            json!({ "dry_run": is_dry_run }),
            [
                ("review", whose.review.map(Value::from)),
                ("email", whose.email.clone().map(Value::from)),
            ],
        );
        Ok(self.0.post("/erase", &request)?)
    }
}

/// An object with those of more members that have a value.
fn with<const N: usize>(mut object: Value, more: [(&str, Option<Value>); N]) -> Value {
    if let Value::Object(members) = &mut object {
        let more = more.into_iter();
        members.extend(more.filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    object
}

/// The filter for reported reviews, as a request has it.
fn filter(which: &ReportedArgs) -> Value {
    json!({
        "since_ms": which.since.map(|time| time.0),
        "until_ms": which.until.map(|time| time.0),
        "reporter": which.reporter,
        "all": which.all,
    })
}

impl StoreTarget for ServerTarget {
    fn stats(&self) -> Result<Stats, Error> {
        Ok(self.0.get_json("/stats")?)
    }

    fn page(&self, family: Family, from: &PageStart) -> Result<Vec<u8>, Error> {
        let (PageStart::After(after) | PageStart::At(after)) = from;
        let mut path = format!("/rows/{}?after=", family.name());
        for byte in after {
            // Writing to a string does not fail.
            let _ = write!(path, "{byte:02x}");
        }
        Ok(self.0.get(&path)?)
    }

    /// A server does not report which part of its store is damaged.
    fn gap(&self, _: Family, _: &PageStart, _: &Error) -> Result<Option<Gap>, Error> {
        Ok(None)
    }

    fn lost(&self, _: &Gap) -> Option<LostReviews> {
        None
    }

    fn find(
        &self,
        address: &EmailAddress,
        each: &mut dyn FnMut(&FullReview<'_>) -> bool,
    ) -> Result<Unsearched, Error> {
        let mut unsearched = Unsearched::default();
        let mut after = None;
        loop {
            let request = json!({ "email": address.as_str(), "after": after });
            let page: FoundPage = self.0.post("/find", &request)?;
            unsearched.unreadable += page.unreadable;
            let is_wanted = page.results.iter().all(&mut *each);
            after = page.next;
            if after.is_none() || !is_wanted {
                return Ok(unsearched);
            }
        }
    }

    fn erasable(&self, whose: &PersonArgs) -> Result<ErasedReviews, Error> {
        self.post_erase(whose, true)
    }

    fn erase(&self, whose: &PersonArgs, _: &[u64]) -> Result<ErasedReviews, Error> {
        let mut erased = ErasedReviews::default();
        loop {
            let page = self.post_erase(whose, false)?;
            erased.reviews.extend(page.reviews);
            if !page.more {
                erased.log_segments_left = page.log_segments_left;
                return Ok(erased);
            }
        }
    }

    fn reported(&self, which: &ReportedArgs) -> Result<Reported, Error> {
        let request = with(filter(which), [("dry_run", Some(true.into()))]);
        Ok(self.0.post(RESTORE, &request)?)
    }

    fn restore_reported(&self, which: &ReportedArgs) -> Result<u64, Error> {
        let (mut restored, mut after) = (0, None::<String>);
        loop {
            let request = with(filter(which), [("after", after.map(Value::from))]);
            let page: RestoredPage = self.0.post(RESTORE, &request)?;
            restored += page.restored;
            after = page.next;
            if after.is_none() {
                return Ok(restored);
            }
        }
    }

    fn put_products(&self, changes: Vec<ProductChange>) -> Result<Vec<ProductResult>, Error> {
        server_products::put(&self.0, &changes)
    }

    fn file_reviews(
        &self,
        changes: Vec<FiledChange<'static>>,
        is_dry_run: bool,
    ) -> Result<Vec<FiledOutcome>, Error> {
        let mut lines = Vec::new();
        for change in &changes {
            let unfit = |why: serde_json::Error| Error::Rejected(why.to_string());
            serde_json::to_writer(&mut lines, change).map_err(unfit)?;
            lines.push(b'\n');
        }
        let path = format!("{MERGE}?dry_run={is_dry_run}");
        let answer = self.0.post_lines(&path, lines)?;
        let outcomes: Vec<FiledResult> = remote::parse_lines(&path, &answer)?;
        let outcomes = outcomes.into_iter();
        let outcomes = outcomes.filter_map(|line| FiledOutcome::of_word(&line.result));
        let outcomes: Vec<_> = outcomes.collect();
        if outcomes.len() != changes.len() {
            let why = "it has not a known result for every line".to_owned();
            return Err(Error::Remote(remote::Error::Unknown { path, why }));
        }
        Ok(outcomes)
    }
}
