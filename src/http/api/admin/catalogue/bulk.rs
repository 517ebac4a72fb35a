//! Many changes of the catalogue in one request: a line each, and a line of the answer for each.
//!
//! Must not know how a change is written. Invariants: results come in the order of the lines, and no change of a
//! product overtakes an earlier one; a line that cannot be done keeps no other from being done; a bounded number
//! of changes, and of results that the client has not read, is held.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::Body;
use hyper::http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::body_pieces::BodyPieces;
use crate::error::ApiError;
use crate::json::JsonWriter;
use crate::model::ProductId;
use crate::model::moderation::Actor;
use crate::reply::Reply;
use crate::session_token::SessionToken;
use crate::store::{Change, ChangeOutcome, ExpectedProduct, ProductOutcome};
use crate::writes::acks::AckReply;
use crate::writes::document::Members;
use crate::writes::submit;

use super::super::guard;
use super::super::operator::DetachedWork;
use super::line_change::LineChange;
use super::lines::{BodyLine, BodyLines};
use super::{DOCUMENT_BYTES_MAX, SkuPointers, none, unexpected};

const NDJSON: &str = "application/x-ndjson";
/// Changes that are handed over and not answered yet at most: those of all bulk requests fill half of the writer's
/// queue, unless it was made shorter.
const WAITING_MAX: usize = 128;
/// Bytes of the lines of these at most, but for the last one's.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// Results are sent once there are so many bytes of them.
const PIECE_BYTES: usize = 8 << 10;
/// Pieces of results that wait for the client at most.
const PIECES_MAX: usize = 64;

/// Answers a bulk request: results are sent while further lines are received.
pub(super) async fn answer<B>(
    work: Arc<DetachedWork>,
    head: &Parts,
    body: B,
    actor: Actor,
) -> Result<Reply, ApiError>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    guard::admit_lines(&head.headers)?;
    let permit = Arc::clone(&work.catalogue.bulks).try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::ManyBodies)?;
    work.enter_skus().await?;
    let mut lines = BodyLines::of(body, DOCUMENT_BYTES_MAX);
    // First, so that a client that waits for leave to send its body gets it before the answer begins.
    lines.receive().await?;
    let (results, pieces) = mpsc::channel(PIECES_MAX);
    let bulk = BulkChange {
        work,
        lines,
        results,
        written: JsonWriter::with_capacity(PIECE_BYTES),
        waiting: VecDeque::new(),
        waiting_bytes: 0,
        by_product: HashMap::new(),
        tally: LineTally::default(),
        actor,
        _permit: permit,
    };
    tokio::spawn(bulk.run());
    Ok(Reply::new(
        StatusCode::OK,
        NDJSON,
        BodyPieces::streamed(pieces),
    ))
}

/// A bulk request under way.
struct BulkChange<B> {
    work: Arc<DetachedWork>,
    lines: BodyLines<B>,
    results: mpsc::Sender<Bytes>,
    /// Results that are not sent yet.
    written: JsonWriter,
    /// The lines whose results are to come, in their order.
    waiting: VecDeque<WaitingLine>,
    waiting_bytes: usize,
    /// How many of these are about a product; `None` are units, whose products are not known here.
    by_product: HashMap<Option<u64>, usize>,
    tally: LineTally,
    actor: Actor,
    _permit: OwnedSemaphorePermit,
}

/// A line whose result is to come.
struct WaitingLine {
    number: u64,
    bytes: usize,
    op: &'static str,
    /// The product or the unit.
    id: u64,
    state: LineState,
}

/// The state of a line.
enum LineState {
    /// Its change was handed to the writer.
    Submitted {
        told: AckReply,
        pointers: SkuPointers,
        /// The patch, where it is one, which is applied again if the product is another one by then.
        patch: Option<Members>,
    },
    /// It cannot be done.
    Refused(ApiError),
}

/// The number of lines by their outcome.
#[derive(Debug, Default)]
struct LineTally {
    lines: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    removed: u64,
    failed: u64,
    /// The reason for which not all lines were read.
    stopped: Option<String>,
}

/// The client no longer reads.
struct Gone;

impl<B> BulkChange<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    async fn run(mut self) {
        let is_read = self.each_line().await.is_ok();
        // What was handed over is done, whether its result is read or not.
        let is_read = self.settle_down_to(0).await.is_ok() && is_read;
        let LineTally {
            created,
            updated,
            removed,
            ..
        } = self.tally;
        if created + updated + removed > 0 {
            let by = &self.actor.name;
            tracing::info!(
                "{created} products were created, {updated} changed and {removed} removed, by {by}"
            );
        }
        if is_read {
            self.summarize();
            // A client that has disconnected hears nothing.
            let _ = self.send().await;
        }
    }

    async fn each_line(&mut self) -> Result<(), Gone> {
        while self.tally.stopped.is_none() {
            if !self.lines.is_ready() {
                self.settle_down_to(0).await?;
                self.send().await?;
            }
            match self.lines.next().await {
                Ok(Some(line)) => self.begin(line).await?,
                Ok(None) => return Ok(()),
                Err(error) => self.tally.stopped = Some(error.sentence()),
            }
        }
        Ok(())
    }

    /// Begins to do what a line says.
    async fn begin(&mut self, line: BodyLine) -> Result<(), Gone> {
        let BodyLine { number, text } = line;
        let bytes = text.as_ref().map_or(0, Vec::len);
        if text
            .as_ref()
            .is_some_and(|text| text.trim_ascii().is_empty())
        {
            return Ok(());
        }
        self.tally.lines += 1;
        let change = match text {
            Some(text) => LineChange::read(&text),
            None => Err(ApiError::LargeDocument),
        };
        let (op, id, state) = match change {
            Ok(change) => {
                let (op, id) = change.named();
                self.wait_for_earlier(&change).await?;
                let state = submit_line(&self.work, change, &self.actor).await;
                (op, id, state.unwrap_or_else(LineState::Refused))
            }
            Err(error) => ("", 0, LineState::Refused(error)),
        };
        let line = WaitingLine {
            number,
            bytes,
            op,
            id,
            state,
        };
        *self.by_product.entry(line.product()).or_default() += 1;
        self.waiting_bytes += bytes;
        self.waiting.push_back(line);
        self.settle_down_to(WAITING_MAX).await
    }

    /// Waits for earlier changes that a change must not overtake: of the same product, and of the units that
    /// may be its own.
    async fn wait_for_earlier(&mut self, change: &LineChange) -> Result<(), Gone> {
        let overtakes = match change.product() {
            Some(id) => self.by_product.contains_key(&Some(id.0)),
            // A patch is made of the product as it was.
            None => self.waiting.iter().any(WaitingLine::is_patch),
        };
        let is_patch = matches!(change, LineChange::Patch { .. });
        if overtakes || is_patch && self.by_product.contains_key(&None) {
            self.settle_down_to(0).await?;
        }
        Ok(())
    }

    /// Waits for the results of the first lines, until so many are left, and their bytes within bounds.
    async fn settle_down_to(&mut self, left_max: usize) -> Result<(), Gone> {
        while self.waiting.len() > left_max || self.waiting_bytes > WAITING_BYTES_MAX {
            let Some(line) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= line.bytes;
            let product = line.product();
            if let Some(count) = self.by_product.get_mut(&product) {
                *count -= 1;
                if *count == 0 {
                    self.by_product.remove(&product);
                }
            }
            self.settle(line).await;
            if self.written.len() >= PIECE_BYTES {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Waits for the result of a line, and writes it.
    async fn settle(&mut self, line: WaitingLine) {
        let (number, op, id) = (line.number, line.op, line.id);
        let outcome = match line.state {
            LineState::Refused(error) => Err(error),
            LineState::Submitted {
                told,
                pointers,
                patch,
            } => match (outcome_of(&self.work, told, &pointers).await, patch) {
                (Ok(ProductOutcome::Differs(_)), Some(patch)) => {
                    let (id, any) = (ProductId(id), ExpectedProduct::Any);
                    let again = self.work.patch(id, patch, &any, &self.actor);
                    again.await.map(|(outcome, _)| outcome)
                }
                (outcome, _) => outcome,
            },
        };
        match outcome.and_then(|outcome| self.tally.count(outcome, op, id)) {
            Ok(result) => write_result(&mut self.written, number, (op, id), result),
            Err(error) => {
                self.tally.failed(number, &error);
                write_error(&mut self.written, number, &error);
            }
        }
    }
}

/// Hands the change of a line to the writer.
async fn submit_line(
    work: &DetachedWork,
    change: LineChange,
    actor: &Actor,
) -> Result<LineState, ApiError> {
    let by = actor.clone();
    let mut kept = None;
    let mut pointers = SkuPointers::default();
    let change = match change {
        LineChange::Put(product, expected) => {
            pointers = SkuPointers::of(&product);
            Change::PutProduct {
                product,
                expected,
                by,
            }
        }
        LineChange::Patch { id, patch } => {
            let patched = work.patched(id, patch.clone(), &ExpectedProduct::Any);
            let (product, expected) = patched.await?;
            pointers = SkuPointers::of(&product);
            kept = Some(patch);
            let product = Box::new(product);
            Change::PutProduct {
                product,
                expected,
                by,
            }
        }
        LineChange::Remove(product, expected) => Change::RemoveProduct {
            product,
            expected,
            by,
        },
        LineChange::Sku { sku, update } => Change::UpdateSku { sku, update },
    };
    let (writer, _) = work.changes()?;
    Ok(LineState::Submitted {
        told: submit(writer, change, |_| {}),
        pointers,
        patch: kept,
    })
}

/// Waits for the outcome of a change.
async fn outcome_of(
    work: &DetachedWork,
    told: AckReply,
    pointers: &SkuPointers,
) -> Result<ProductOutcome, ApiError> {
    let (_, acks) = work.changes()?;
    match acks.settled(told).await?.outcome {
        ChangeOutcome::Product(outcome) => {
            pointers.refuse(outcome)?;
            Ok(outcome)
        }
        other => Err(unexpected(other)),
    }
}

impl<B> BulkChange<B> {
    /// Sends the results that were written.
    async fn send(&mut self) -> Result<(), Gone> {
        if self.written.len() == 0 {
            return Ok(());
        }
        let empty = JsonWriter::with_capacity(PIECE_BYTES);
        let written = std::mem::replace(&mut self.written, empty);
        let sent = self.results.send(written.into_bytes().into()).await;
        sent.map_err(|_| Gone)
    }

    /// Writes the last line of the answer.
    fn summarize(&mut self) {
        let tally = &self.tally;
        let at: SessionToken = (*self.work.store.feed().applied().borrow()).into();
        let json = &mut self.written;
        json.raw(r#"{"summary":{"lines":"#).number(tally.lines);
        for (name, count) in [
            ("created", tally.created),
            ("updated", tally.updated),
            ("unchanged", tally.unchanged),
            ("removed", tally.removed),
            ("failed", tally.failed),
        ] {
            json.raw(",").text(name).raw(":").number(count);
        }
        json.raw(r#","stopped":"#)
            .text_or_null(tally.stopped.as_deref())
            .raw(r#","seq":"#)
            .text(&at.to_string())
            .raw("}}\n");
    }
}

impl WaitingLine {
    /// The product that it is about, if that is known.
    fn product(&self) -> Option<u64> {
        (self.op != "sku").then_some(self.id)
    }

    fn is_patch(&self) -> bool {
        match &self.state {
            LineState::Submitted { patch, .. } => patch.is_some(),
            LineState::Refused(_) => false,
        }
    }
}

impl LineTally {
    /// Counts an outcome, and returns its name.
    fn count(
        &mut self,
        outcome: ProductOutcome,
        op: &str,
        id: u64,
    ) -> Result<&'static str, ApiError> {
        let (count, name) = match outcome {
            ProductOutcome::Created(_) => (&mut self.created, "created"),
            ProductOutcome::Updated(..) => (&mut self.updated, "updated"),
            ProductOutcome::Unchanged(..) => (&mut self.unchanged, "unchanged"),
            ProductOutcome::Removed => (&mut self.removed, "removed"),
            // It was removed before.
            ProductOutcome::NoSuchProduct if op == "remove" => (&mut self.unchanged, "unchanged"),
            ProductOutcome::NoSuchProduct => return Err(none(ProductId(id))),
            ProductOutcome::NoSuchSku => return Err(ApiError::NoSuchSku(id)),
            ProductOutcome::Differs(_) => return Err(ApiError::OtherProduct),
            other => return Err(unexpected(other.into())),
        };
        *count += 1;
        Ok(name)
    }

    /// Counts a line that could not be done. Where the store takes no writes, no further line is read.
    fn failed(&mut self, number: u64, error: &ApiError) {
        self.failed += 1;
        match error {
            ApiError::Internal(cause) => {
                tracing::error!("line {number} of a change of the catalogue failed: {cause}");
            }
            ApiError::Fenced(_)
            | ApiError::DiskFull
            | ApiError::Unknown
            | ApiError::Unacknowledged => {
                let why = error.sentence();
                tracing::warn!("line {number} of a change of the catalogue was rejected: {why}");
                self.stopped.get_or_insert(why);
            }
            _ => {}
        }
    }
}

fn write_result(json: &mut JsonWriter, number: u64, (op, id): (&str, u64), result: &str) {
    json.raw(r#"{"line":"#)
        .number(number)
        .raw(r#","op":"#)
        .text(op)
        .raw(r#","id":"#)
        .number(id)
        .raw(r#","result":"#)
        .text(result)
        .raw("}\n");
}

fn write_error(json: &mut JsonWriter, number: u64, error: &ApiError) {
    json.raw(r#"{"line":"#)
        .number(number)
        .raw(r#","status":"#)
        .number(error.status().as_u16().into())
        .raw(r#","error":"#)
        .text(&error.sentence())
        .raw(r#","errors":["#);
    json.joined(error.faults(), |json, fault| fault.write(json));
    json.raw("]}\n");
}
