//! What a shop's files say about reviews, in one request: a change in each line, and a line of the answer for each.
//!
//! Must not know files, or how a change is written. Invariants: nothing is changed by a request that has a line
//! that cannot be read; the changes are made in their order, and go on when the client disconnects; a bounded
//! number of them, and of their bytes, is held.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Body;
use hyper::http::request::Parts;

use crate::error::ApiError;
use crate::json::JsonWriter;
use crate::model::calendar::{FIRST_MS, LAST_MS};
use crate::model::filed::{FiledChange, FiledOutcome, FiledReview};
use crate::model::moderation::Actor;
use crate::reply::Reply;
use crate::store::{Change, ChangeOutcome, Store};
use crate::writes::acks::settled;
use crate::writes::submit;

use super::catalogue::lines::BodyLines;
use super::guard;
use super::operator::{DetachedWork, Operator, invalid, parameter};

const NDJSON: &str = "application/x-ndjson";
/// Lines in a request at most.
const LINES_MAX: usize = 1000;
/// Bytes of a line at most: a review whose texts fill a line of a file, with its photos.
const LINE_BYTES_MAX: usize = 4 << 20;
/// Bytes of all lines, beyond which none is read.
const LINES_BYTES_MAX: usize = 4 << 20;
/// Changes that are handed over and not answered yet at most.
const WAITING_MAX: usize = 256;

/// The changes of a request.
type FiledChanges = Vec<FiledChange<'static>>;

impl Operator {
    /// Makes the changes of a body, or with `dry_run=true` says what would come of them.
    pub(super) async fn merge_reviews<B>(
        &self,
        head: &Parts,
        body: B,
        actor: Actor,
    ) -> Result<Reply, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        guard::admit(head)?;
        self.work.changes()?;
        guard::admit_lines(&head.headers)?;
        let is_dry_run = match parameter(head.uri.query(), "dry_run").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid("dry_run")),
        };
        let permit = self.work.filing.acquire().await;
        let _permit = permit.map_err(ApiError::internal)?;
        let changes = read(body).await?;
        let outcomes = if is_dry_run {
            self.work.rehearse(changes).await?
        } else {
            let work = Arc::clone(&self.work);
            let done = tokio::spawn(async move { work.file(changes, &actor).await });
            done.await.map_err(ApiError::internal)??
        };
        let mut answer = JsonWriter::with_capacity(outcomes.len() * 32);
        for outcome in outcomes {
            answer.raw(r#"{"result":"#).text(outcome.word()).raw("}\n");
        }
        let reply = Reply::new(StatusCode::OK, NDJSON, answer.into_bytes());
        Ok(reply.at(self.place()))
    }
}

impl DetachedWork {
    async fn rehearse(&self, changes: FiledChanges) -> Result<Vec<FiledOutcome>, ApiError> {
        let rehearse = move |store: &Store| store.rehearse(&changes);
        self.reads.later(rehearse).await
    }

    async fn file(
        &self,
        changes: FiledChanges,
        actor: &Actor,
    ) -> Result<Vec<FiledOutcome>, ApiError> {
        let (writer, acks) = self.changes()?;
        let (mut waiting, mut outcomes) = (VecDeque::new(), Vec::with_capacity(changes.len()));
        for change in changes {
            waiting.push_back(submit(writer, Change::File(Box::new(change)), |_| {}));
            if waiting.len() >= WAITING_MAX
                && let Some(told) = waiting.pop_front()
            {
                outcomes.push(outcome_of(settled(told).await?.outcome)?);
            }
        }
        for told in waiting {
            outcomes.push(outcome_of(settled(told).await?.outcome)?);
        }
        let is_done = |outcome: &&FiledOutcome| {
            let new = **outcome == FiledOutcome::Inserted;
            new || [FiledOutcome::Changed, FiledOutcome::Removed].contains(outcome)
        };
        let done = outcomes.iter().filter(is_done).count();
        if done > 0 {
            let by = &actor.name;
            tracing::info!("{done} changes of files were merged into the reviews, by {by}");
        }
        // Once for all of them, and for those as well whose acknowledgement an earlier request did not get.
        let session_token = self.store.feed().applied().borrow().seq;
        acks.wait(session_token).await?;
        Ok(outcomes)
    }
}

fn outcome_of(outcome: ChangeOutcome) -> Result<FiledOutcome, ApiError> {
    match outcome {
        ChangeOutcome::Filed(outcome) => Ok(outcome),
        other => {
            let what = format!("the writer answered {other:?}");
            Err(ApiError::internal(std::io::Error::other(what)))
        }
    }
}

async fn read<B>(body: B) -> Result<FiledChanges, ApiError>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let mut lines = BodyLines::of(body, LINE_BYTES_MAX);
    let (mut changes, mut bytes): (FiledChanges, usize) = (Vec::new(), 0);
    while let Some(line) = lines.next().await? {
        let number = line.number;
        // A line that is too long is as long as all together may be.
        bytes += line.text.as_ref().map_or(LINES_BYTES_MAX + 1, Vec::len);
        let text = line.text.unwrap_or_default();
        if changes.len() >= LINES_MAX || bytes > LINES_BYTES_MAX {
            let why = "the body must have at most 1,000 lines, and 4 MiB";
            return Err(ApiError::Unreadable(why.to_owned()));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let unreadable =
            |why: &dyn std::fmt::Display| ApiError::Unreadable(format!("line {number}: {why}"));
        let change: FiledChange<'static> =
            serde_json::from_slice(&text).map_err(|why| unreadable(&why))?;
        check(&change).map_err(|why| unreadable(&why))?;
        changes.push(change);
    }
    Ok(changes)
}

/// Returns the reason a change cannot be stored.
fn check(change: &FiledChange<'_>) -> Result<(), &'static str> {
    let ids = match change {
        FiledChange::Review(review) => {
            check_review(review)?;
            [review.review_id, review.product_id]
        }
        FiledChange::Characteristics(filed) => {
            let least = filed.names.iter().map(|one| one.id).min();
            [filed.product_id, least.unwrap_or(1)]
        }
        FiledChange::RemoveCharacteristic { product_id, id } => [*product_id, *id],
        FiledChange::RemoveReview { review_id } => [*review_id, 1],
    };
    if ids.contains(&0) {
        return Err("an id must be a positive whole number");
    }
    Ok(())
}

fn check_review(review: &FiledReview<'_>) -> Result<(), &'static str> {
    let is_rating = |value: u8| (1..=5).contains(&value);
    let text = review.text.as_ref();
    let ratings = review.characteristics.iter().flatten();
    let photos = review.photos.iter().flatten();
    if !text.is_none_or(|text| is_rating(text.rating))
        || ratings.clone().any(|one| !is_rating(one.value))
    {
        return Err("a rating must be a number from 1 to 5");
    }
    if !text.is_none_or(|text| (FIRST_MS..=LAST_MS).contains(&text.date_ms)) {
        return Err("date_ms must be within the years 0000 to 9999");
    }
    if photos
        .map(|photo| photo.id)
        .chain(ratings.map(|one| one.id))
        .any(|id| id == 0)
    {
        return Err("an id must be a positive whole number");
    }
    Ok(())
}
