//! Operations of operators on the store, and their responses.
//!
//! Must not know sockets. Invariants: everything that may wait for the disk runs in the blocking pool,
//! a piece at a time; changes go through the writer as those of clients do, and are durable when they are
//! answered, on a replica as well if replicas are waited for; e-mail addresses are in answers, and in no line
//! of the log and no path.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::Acks;
use crate::body::{Bodies, BodyPace};
use crate::error::ApiError;
use crate::model::ReviewId;
use crate::model::moderation::Actor;
use crate::model::record::FullReview;
use crate::reads::Reads;
use crate::reply::Reply;
use crate::route::PathArguments;
use crate::store::key::Family;
use crate::store::rows::SOURCES;
use crate::store::scan::ScanCursor as Review;
use crate::store::{Store, Writer};
use crate::validation::{FaultLocation as At, ValidationError};
use crate::writes::document;
use crate::writes::document::{Json, Members};

use super::catalogue::CatalogueWork;
use super::endpoints::{AdminTask, TaskRequest};
use super::guard;

/// The time that the body of a request may take.
pub(super) const PACE: BodyPace = BodyPace {
    time_max: Duration::from_secs(10),
    rate_min: 16 << 10,
};
/// Bytes of the bodies of an operator's requests under way.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// Requests with changes of files under way at most; others wait.
const FILINGS_MAX: usize = 2;

/// The operator's reads of the store, and writes to it.
pub struct Operator {
    pub(super) work: Arc<DetachedWork>,
}

/// Work that goes on after its client has disconnected.
pub(super) struct DetachedWork {
    pub(super) store: Store,
    pub(super) reads: Reads,
    changes: ChangeTarget,
    bodies: Bodies,
    /// One at a time rewrites files.
    pub(super) erasing: Semaphore,
    pub(super) catalogue: CatalogueWork,
    /// Requests that hold changes of files, which may be some MiB.
    pub(super) filing: Semaphore,
}

/// The server that an operator's changes are made on.
enum ChangeTarget {
    /// By this writer, and acknowledged by replicas.
    Here(Writer, Acks),
    /// On the primary, whose admin port has this address.
    OnPrimary(Arc<str>),
}

/// A page of reviews, and the cursor of the next page.
#[derive(Serialize)]
pub(super) struct ReviewListing {
    pub(super) results: Vec<FullReview<'static>>,
    /// `null` after the last.
    pub(super) next: Option<String>,
    /// The number of reviews that cannot be decoded, so that it is unknown whether they match.
    pub(super) unreadable: usize,
}

impl DetachedWork {
    /// The writer, and how far replicas are; an error on a replica.
    pub(super) fn changes(&self) -> Result<(&Writer, &Acks), ApiError> {
        match &self.changes {
            ChangeTarget::Here(writer, acks) => Ok((writer, acks)),
            ChangeTarget::OnPrimary(primary) => Err(ApiError::OnReplica {
                primary: Arc::clone(primary),
            }),
        }
    }
}

impl Operator {
    /// An operator of `store`, which `writer` changes, and of which replicas have the commits up to `acks`.
    #[must_use]
    pub fn new(store: Store, writer: Writer, acks: Acks) -> Self {
        Self::with(store, ChangeTarget::Here(writer, acks))
    }

    /// An operator of a replica's `store`, who only reads there. `primary` is the address of the
    /// primary's admin port.
    #[must_use]
    pub fn of_replica(store: Store, primary: Arc<str>) -> Self {
        Self::with(store, ChangeTarget::OnPrimary(primary))
    }

    fn with(store: Store, changes: ChangeTarget) -> Self {
        let work = DetachedWork {
            reads: Reads::new(store.clone()),
            store,
            changes,
            bodies: Bodies::new(BODY_BYTES_MAX),
            erasing: Semaphore::new(1),
            catalogue: CatalogueWork::new(),
            filing: Semaphore::new(FILINGS_MAX),
        };
        Self {
            work: Arc::new(work),
        }
    }

    /// Reads the members of the object that a request's body is.
    async fn members<B>(&self, head: &Parts, body: B) -> Result<Members, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        guard::admit_json(&head.headers)?;
        let body = self.work.bodies.read(body, PACE).await?;
        document::parse(body.as_ref()).map_err(ApiError::Unreadable)
    }

    /// Executes `task`, which `actor` asks for, with the arguments of its path.
    pub(super) async fn answer<B>(
        &self,
        task: &AdminTask,
        arguments: PathArguments<'_>,
        head: &Parts,
        body: B,
        actor: Actor,
    ) -> Result<Reply, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        guard::admit(head)?;
        if task.needs.primary {
            self.work.changes()?;
        }
        let members = if task.needs.body {
            self.members(head, body).await?
        } else {
            Members::default()
        };
        let request = TaskRequest::new(arguments, head, members, actor);
        let reply = (task.run)(self, request).await?;
        // No cache on the way may store personal data.
        Ok(reply.with(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
    }

    pub(super) async fn stats(&self) -> Result<Reply, ApiError> {
        // Counting files reads the disk.
        let stats = self.work.reads.later(Store::stats).await?;
        json(&stats)
    }

    /// A page of a family's rows as they are, after the key that `after` spells in hexadecimal.
    pub(super) async fn rows(&self, family: &str, query: Option<&str>) -> Result<Reply, ApiError> {
        let mut families = SOURCES.into_iter().chain([Family::Owners]);
        let family = families.find(|of| of.name() == family);
        let family = family.ok_or(ApiError::NoSuchPath)?;
        let after = parameter(query, "after").unwrap_or_default();
        let after = unhex(&after).ok_or_else(|| invalid("after"))?;
        let page = move |store: &Store| store.row_page(family, &after);
        let page = self.work.reads.later(page).await?;
        let status = hyper::StatusCode::OK;
        Ok(Reply::new(status, "application/octet-stream", page))
    }

    /// Returns up to `count` matching reviews after a cursor.
    pub(super) async fn list(
        &self,
        mut after: Option<Review>,
        count: usize,
        is_wanted: impl Fn(&crate::model::Review<'_>) -> bool + Clone + Send + 'static,
    ) -> Result<ReviewListing, ApiError> {
        let mut listed = ReviewListing {
            results: Vec::new(),
            next: None,
            unreadable: 0,
        };
        loop {
            let is_wanted = is_wanted.clone();
            let left = count - listed.results.len();
            let read = move |store: &Store| {
                let mut found = Vec::new();
                let piece = store.scan(after, |place, review| {
                    if is_wanted(review) {
                        let record = FullReview::of(place.product, place.review, review);
                        found.push(record.into_owned());
                    }
                    found.len() < left
                })?;
                Ok((found, piece))
            };
            let (found, piece) = self.work.reads.later(read).await?;
            listed.results.extend(found);
            listed.unreadable += piece.unreadable;
            after = piece.next;
            if after.is_none() || listed.results.len() >= count {
                listed.next = after.map(spelled);
                return Ok(listed);
            }
        }
    }
}

/// An answer as JSON.
pub(super) fn json(answer: &impl Serialize) -> Result<Reply, ApiError> {
    let body = serde_json::to_vec(answer).map_err(ApiError::internal)?;
    Ok(Reply::json(Bytes::from(body)))
}

/// A parameter of the query; of a repeated one the first counts.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let query = query.unwrap_or_default().as_bytes();
    let mut given = form_urlencoded::parse(query);
    let (_, value) = given.find(|(given, _)| given == name)?;
    Some(value.into_owned())
}

pub(super) fn invalid(name: &'static str) -> ApiError {
    ApiError::Invalid(vec![ValidationError::invalid(name)])
}

/// A member of the body is wrong.
pub(super) fn unfit(name: &str, what: &str) -> ApiError {
    let fault = ValidationError::new(At::member(name), format!("{name} {what}"));
    ApiError::Unfit(vec![fault])
}

/// The cursor that a text spells; `None`, for the beginning, if there is no text or it is empty.
pub(super) fn place(text: Option<String>) -> Result<Option<Review>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let place = text.split_once('-').and_then(|(product, review)| {
        Some(Review {
            product: crate::model::ProductId(product.parse().ok()?),
            review: ReviewId(review.parse().ok()?),
        })
    });
    place.map(Some).ok_or_else(|| invalid("after"))
}

pub(super) fn spelled(place: Review) -> String {
    format!("{}-{}", place.product, place.review)
}

/// A text among the members of a body.
pub(super) fn text<'m>(members: &'m Members, name: &str) -> Result<Option<&'m str>, ApiError> {
    match members.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text)),
        Some(_) => Err(unfit(name, "must be a text")),
    }
}

/// A flag among the members of a body; not given, it is not set.
pub(super) fn flag(members: &Members, name: &str) -> Result<bool, ApiError> {
    match members.get(name) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Flag(flag)) => Ok(*flag),
        Some(_) => Err(unfit(name, "must be true or false")),
    }
}

/// The bytes that a text spells in hexadecimal.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks_exact(2);
    // Rust would also take a sign.
    if !pairs.remainder().is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_hexadecimal() {
        assert_eq!(unhex("00ffA0"), Some(vec![0, 255, 160]));
        assert_eq!(unhex(""), Some(Vec::new()));
        for wrong in ["0", "0g", "+1", "é0"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn places_are_spelled_and_read() {
        let there = place(Some("3-5".to_owned())).unwrap().unwrap();
        assert_eq!(spelled(there), "3-5");
        assert!(place(None).unwrap().is_none());
        assert!(place(Some(String::new())).unwrap().is_none());
        for wrong in ["3", "3-", "x-1", "-1-2"] {
            assert!(place(Some(wrong.to_owned())).is_err(), "{wrong}");
        }
    }
}
