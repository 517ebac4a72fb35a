//! A moderator's actions: a state for many reviews at once, and the undoing of an action.
//!
//! Must not know how a change is written. Invariants: a body is checked whole before anything is changed, and all of
//! its faults are named; each review has an outcome of its own; a request that has begun goes on when its client
//! disconnects.

use std::io;
use std::sync::Arc;

use serde::Serialize;

use crate::error::ApiError;
use crate::model::ReviewId;
use crate::model::moderation::{Actor, ReasonCode, ReviewState};
use crate::reads::parameters;
use crate::reply::Reply;
use crate::store::{Change, ChangeOutcome, ModerationOutcome, UndoRefusal};
use crate::validation::{FaultLocation, ValidationErrors};
use crate::writes::acks::settled;
use crate::writes::document::{Json, Members};
use crate::writes::submit;

use super::super::operator::{DetachedWork, Operator, invalid, json};

/// Reviews in one request at most.
const REVIEWS_MAX: usize = 1000;
/// Reviews in one commit at most.
const COMMIT_REVIEWS_MAX: usize = 500;
/// Characters of a note at most.
const NOTE_CHARS_MAX: usize = 1000;
/// The states that a moderator gives a review.
const STATES: &[ReviewState] = &[
    ReviewState::Published,
    ReviewState::Hidden,
    ReviewState::Removed,
];

/// A request to give reviews a state.
#[derive(Debug, PartialEq, Eq)]
struct ModerationRequest {
    reviews: Vec<ReviewId>,
    to: ReviewState,
    reason: ReasonCode,
    note: Option<String>,
}

/// The outcome of such a request for one review.
#[derive(Debug, Serialize)]
struct ModeratedReview {
    review: u64,
    outcome: &'static str,
    /// The number of the entry in the audit log, for one that was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
}

/// The outcomes of a request, in the order of its reviews.
#[derive(Debug, Serialize)]
struct ModeratedReviews {
    results: Vec<ModeratedReview>,
}

/// The outcome of a request to undo an action.
#[derive(Debug, Serialize)]
struct UndoneAction {
    undone: bool,
    /// The number of the entry in the audit log that says so.
    entry: u64,
}

impl Operator {
    /// Gives reviews a state.
    pub(in crate::admin) async fn moderate(
        &self,
        members: Members,
        actor: Actor,
    ) -> Result<Reply, ApiError> {
        let request = ModerationRequest::read(&members)?;
        let work = Arc::clone(&self.work);
        let done = tokio::spawn(async move { work.moderate(request, actor).await });
        let results = done.await.map_err(ApiError::internal)??;
        Ok(json(&ModeratedReviews { results })?.at(self.place()))
    }

    /// Undoes the action of an entry of the audit log.
    pub(in crate::admin) async fn undo(
        &self,
        entry: &str,
        actor: Actor,
    ) -> Result<Reply, ApiError> {
        let number = parameters::id(entry).ok_or_else(|| invalid("entry"))?;
        let (writer, acks) = self.work.changes()?;
        let change = Change::Undo {
            entry: number,
            by: actor.clone(),
        };
        let told = submit(writer, change, |_| {});
        let settled = acks.settled(told).await?;
        match settled.outcome {
            ChangeOutcome::Undone(entry) => {
                let by = actor.name;
                tracing::info!("entry {number} of the audit log was undone by {by}");
                let undone = true;
                Ok(json(&UndoneAction { undone, entry })?.at(settled.at.into()))
            }
            ChangeOutcome::NotUndone(why) => Err(not_undone(number, why)),
            other => Err(unexpected(&other)),
        }
    }
}

impl DetachedWork {
    async fn moderate(
        &self,
        request: ModerationRequest,
        actor: Actor,
    ) -> Result<Vec<ModeratedReview>, ApiError> {
        let (writer, acks) = self.changes()?;
        let mut results = Vec::with_capacity(request.reviews.len());
        for reviews in request.reviews.chunks(COMMIT_REVIEWS_MAX) {
            let change = Change::Moderate {
                reviews: reviews.to_vec(),
                to: request.to,
                reason: request.reason,
                note: request.note.clone(),
                by: actor.clone(),
            };
            let settled = settled(submit(writer, change, |_| {})).await?;
            let ChangeOutcome::Moderated(outcomes) = settled.outcome else {
                return Err(unexpected(&settled.outcome));
            };
            let each = reviews.iter().zip(outcomes);
            results.extend(each.map(|(review, outcome)| ModeratedReview::of(*review, outcome)));
        }
        let changed = results.iter().filter(|one| one.entry.is_some()).count();
        if changed > 0 {
            let (state, by) = (request.to.word(), actor.name);
            tracing::info!("{changed} reviews were given the state {state} by {by}");
        }
        // Once for all of them, and for those as well whose acknowledgement an earlier request did not get.
        let session_token = self.store.feed().applied().borrow().seq;
        acks.wait(session_token).await?;
        Ok(results)
    }
}

impl ModeratedReview {
    fn of(review: ReviewId, outcome: ModerationOutcome) -> Self {
        let (outcome, entry) = match outcome {
            ModerationOutcome::Done(entry) => ("changed", Some(entry)),
            ModerationOutcome::Already => ("unchanged", None),
            ModerationOutcome::NoSuchReview => ("no_such_review", None),
            ModerationOutcome::Damaged(why) => {
                tracing::error!("review {review} was not moderated: {why}");
                ("damaged", None)
            }
        };
        Self {
            review: review.0,
            outcome,
            entry,
        }
    }
}

impl ModerationRequest {
    /// The request that a body is, or everything that is wrong with it.
    fn read(members: &Members) -> Result<Self, ApiError> {
        let mut faults = ValidationErrors::default();
        let reviews = reviews(members, &mut faults);
        let state = |word: &str| ReviewState::of_word(word).filter(|to| STATES.contains(to));
        let states = STATES.iter().map(|state| state.word());
        let to = chosen(members, "to", state, states, &mut faults);
        let reasons = ReasonCode::ALL.iter().map(|reason| reason.word());
        let reason = chosen(members, "reason", ReasonCode::of_word, reasons, &mut faults);
        let note = note(members, &mut faults);
        match (to, reason) {
            (Some(to), Some(reason)) if faults.is_empty() => Ok(Self {
                reviews,
                to,
                reason,
                note,
            }),
            _ => Err(ApiError::Unfit(faults.into_vec())),
        }
    }
}

fn reviews(members: &Members, faults: &mut ValidationErrors) -> Vec<ReviewId> {
    let member = || FaultLocation::member("reviews");
    let list = match members.get("reviews") {
        Some(Json::List(list)) => list,
        None | Some(Json::Null) => {
            faults.add(member(), "reviews is missing");
            return Vec::new();
        }
        Some(_) => {
            faults.add(member(), "reviews must be a list of ids of reviews");
            return Vec::new();
        }
    };
    if list.is_empty() {
        faults.add(member(), "reviews must not be empty");
    }
    if list.len() > REVIEWS_MAX {
        faults.add(member(), format!("reviews must be at most {REVIEWS_MAX}"));
    }
    let mut ids = Vec::with_capacity(list.len().min(REVIEWS_MAX));
    for (index, one) in list.iter().enumerate() {
        if let Json::Number(Some(id)) = one
            && *id > 0
        {
            ids.push(ReviewId(*id));
        } else {
            let place = FaultLocation::within("reviews", &index.to_string());
            faults.add(
                place,
                format!("reviews[{index}] must be the id of a review"),
            );
        }
    }
    ids
}

/// The member of an enum whose word a body has.
fn chosen<T>(
    members: &Members,
    name: &str,
    of_word: impl Fn(&str) -> Option<T>,
    words: impl Iterator<Item = &'static str>,
    faults: &mut ValidationErrors,
) -> Option<T> {
    let found = match members.get(name) {
        None | Some(Json::Null) => {
            faults.add(FaultLocation::member(name), format!("{name} is missing"));
            return None;
        }
        Some(Json::Text(word)) => of_word(word),
        Some(_) => None,
    };
    if found.is_none() {
        let words: Vec<_> = words.collect();
        let detail = format!("{name} must be one of {}", words.join(", "));
        faults.add(FaultLocation::member(name), detail);
    }
    found
}

/// The note of a body; one that is empty is none.
fn note(members: &Members, faults: &mut ValidationErrors) -> Option<String> {
    let detail = match members.get("note") {
        None | Some(Json::Null) => return None,
        Some(Json::Text(text)) if text.chars().count() <= NOTE_CHARS_MAX => {
            return Some(text.clone()).filter(|text| !text.is_empty());
        }
        Some(Json::Text(_)) => format!("note must have at most {NOTE_CHARS_MAX} characters"),
        Some(_) => "note must be a text".to_owned(),
    };
    faults.add(FaultLocation::member("note"), detail);
    None
}

/// The error for an action that was not undone.
fn not_undone(entry: u64, why: UndoRefusal) -> ApiError {
    let why = match why {
        UndoRefusal::NoSuchEntry => return ApiError::NoSuchEntry(entry),
        UndoRefusal::Final => "the action of this entry cannot be undone",
        UndoRefusal::Changed => {
            "the review was changed after this entry; undo the later entries first, or give it another state"
        }
        UndoRefusal::Erased => "the review was erased, so nothing of it is left to bring back",
    };
    ApiError::NotUndone(why)
}

fn unexpected(outcome: &ChangeOutcome) -> ApiError {
    let what = format!("the writer answered {outcome:?}");
    ApiError::internal(io::Error::other(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writes::document::parse;

    fn faults(body: &str) -> Vec<String> {
        let read = ModerationRequest::read(&parse(body.as_bytes()).unwrap());
        let faults = read.unwrap_err();
        let all = faults.faults().iter();
        all.map(|fault| fault.detail().to_owned()).collect()
    }

    #[test]
    fn a_moderation_request_is_read_whole() {
        let body = br#"{"reviews":[7,9],"to":"removed","reason":"off_topic","note":""}"#;
        let expected = ModerationRequest {
            reviews: vec![ReviewId(7), ReviewId(9)],
            to: ReviewState::Removed,
            reason: ReasonCode::OffTopic,
            note: None,
        };
        let read = ModerationRequest::read(&parse(body).unwrap());
        assert_eq!(read.unwrap(), expected);
    }

    #[test]
    fn every_fault_of_a_moderation_request_is_named() {
        assert_eq!(
            faults("{}"),
            ["reviews is missing", "to is missing", "reason is missing"]
        );
        let all = faults(r#"{"reviews":[0,"7"],"to":"pending","reason":1,"note":[]}"#);
        assert_eq!(
            all[..3],
            [
                "reviews[0] must be the id of a review",
                "reviews[1] must be the id of a review",
                "to must be one of published, hidden, removed",
            ]
        );
        assert!(all[3].starts_with("reason must be one of unstated, spam,"));
        assert_eq!(all[4], "note must be a text");
        let many = vec!["1"; REVIEWS_MAX + 1].join(",");
        let note = "é".repeat(NOTE_CHARS_MAX + 1);
        let body =
            format!(r#"{{"reviews":[{many}],"to":"hidden","reason":"spam","note":"{note}"}}"#);
        assert_eq!(
            faults(&body),
            [
                "reviews must be at most 1000",
                "note must have at most 1000 characters"
            ]
        );
        let empty = r#"{"reviews":[],"to":"hidden","reason":"spam"}"#;
        assert_eq!(faults(empty), ["reviews must not be empty"]);
    }
}
