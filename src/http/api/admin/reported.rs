//! Reported reviews: the number that matches, the clients that reported them, and showing them again.
//!
//! Must not know how a change is written. Invariants: nothing is shown again unless a request says which
//! reviews, or all; a request that has begun goes on when its client disconnects; a repeated request has the
//! effect of one.

use std::sync::Arc;

use serde::Serialize;

use crate::error::ApiError;
use crate::model::moderation::Actor;
use crate::reply::Reply;
use crate::store::reported::{Reported, ReportedFilter, ReportedTally};
use crate::store::scan::ScanCursor;
use crate::store::{Change, ChangeOutcome, Store};
use crate::writes::acks::settled;
use crate::writes::document::{Json, Members};
use crate::writes::submit;

use super::operator::{DetachedWork, Operator, flag, json, place, spelled, text, unfit};

/// Reviews that one request shows again before it is answered; the client requests the rest.
const RESTORED_MAX: u64 = 10_000;

/// The result of a request to show reviews again.
#[derive(Debug, Default, Serialize)]
struct RestoredPart {
    restored: u64,
    /// The cursor of the next request; `null` after the last.
    next: Option<String>,
    /// The number of reviews that cannot be decoded, so that it is unknown whether they match.
    unreadable: usize,
}

impl Operator {
    /// Shows reported reviews again, or counts them.
    pub(super) async fn restore_reported(
        &self,
        members: Members,
        actor: Actor,
    ) -> Result<Reply, ApiError> {
        let which = self.which(&members)?;
        let after = place(text(&members, "after")?.map(str::to_owned))?;
        if flag(&members, "dry_run")? {
            return json(&self.work.count_reported(which).await?);
        }
        let work = Arc::clone(&self.work);
        let done = tokio::spawn(async move { work.restore_reported(which, after, actor).await });
        let restored = done.await.map_err(ApiError::internal)??;
        Ok(json(&restored)?.at(self.place()))
    }

    /// The reviews that a body means.
    fn which(&self, members: &Members) -> Result<ReportedFilter, ApiError> {
        let reporter = match text(members, "reporter")? {
            None => None,
            Some(text) => {
                let known = self.work.store.client_of(text);
                let what = "must be the hash or the address of a client";
                Some(known.ok_or_else(|| unfit("reporter", what))?)
            }
        };
        let which = ReportedFilter {
            since_ms: time(members, "since_ms")?,
            until_ms: time(members, "until_ms")?,
            reporter,
        };
        match (flag(members, "all")?, which == ReportedFilter::default()) {
            (false, true) => Err(unfit(
                "all",
                "is missing, and so are since_ms, until_ms and reporter",
            )),
            (true, false) => Err(unfit("all", "cannot be combined with a time or a reporter")),
            _ => Ok(which),
        }
    }
}

impl DetachedWork {
    async fn count_reported(&self, which: ReportedFilter) -> Result<Reported, ApiError> {
        let (mut tally, mut after) = (ReportedTally::default(), None);
        loop {
            let count = move |store: &Store| {
                let next = store.count_reported(after, which, &mut tally)?;
                Ok((tally, next))
            };
            (tally, after) = self.reads.later(count).await?;
            if after.is_none() {
                return Ok(tally.finish());
            }
        }
    }

    async fn restore_reported(
        &self,
        which: ReportedFilter,
        mut after: Option<ScanCursor>,
        actor: Actor,
    ) -> Result<RestoredPart, ApiError> {
        let (writer, acks) = self.changes()?;
        let mut done = RestoredPart::default();
        loop {
            let page = move |store: &Store| store.reported(after, which);
            let page = self.reads.later(page).await?;
            done.unreadable += page.unreadable;
            if !page.reviews.is_empty() {
                let change = Change::RestoreReported {
                    reviews: page.reviews,
                    which,
                    by: actor.clone(),
                };
                let settled = settled(submit(writer, change, |_| {})).await?;
                if let ChangeOutcome::Restored(restored) = settled.outcome {
                    done.restored += restored;
                }
            }
            after = page.next;
            if after.is_none() || done.restored >= RESTORED_MAX {
                break;
            }
        }
        if done.restored > 0 {
            let (restored, by) = (done.restored, actor.name);
            tracing::info!("{restored} reported reviews were restored to the lists by {by}");
        }
        done.next = after.map(spelled);
        // Once for all of them, and for those as well whose acknowledgement an earlier request did not get.
        let session_token = self.store.feed().applied().borrow().seq;
        acks.wait(session_token).await?;
        Ok(done)
    }
}

/// A time among the members of a body, in milliseconds since 1970.
fn time(members: &Members, name: &str) -> Result<Option<i64>, ApiError> {
    let wrong = || unfit(name, "must be a time in milliseconds since 1970");
    match members.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(Some(ms))) => i64::try_from(*ms).map(Some).map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}
