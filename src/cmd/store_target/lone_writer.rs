//! The writer of a store that no server has open.
//!
//! Must not know what is changed. Invariant: a change is durable when its outcome is returned.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};

use crate::model::clock::now_ms;
use crate::store::{
    self, Change, ChangeOutcome, IDEMPOTENCY_KEYS_MAX, ModerationSettings, Rejected, Store,
    WriteResult, Writer, WriterOptions,
};

use super::Error;

/// Changes that are handed over before the first of them is waited for.
const WAITING_MAX: usize = 256;
/// There is no other writer, so no more than these ever wait.
const OPTIONS: WriterOptions = WriterOptions {
    loss_time_max: None,
    queue_max: WAITING_MAX,
    free_space_min: 0,
    idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
    moderation: ModerationSettings::DEFAULT,
};

/// The outcome of a change.
type Settled = Result<WriteResult, Rejected>;

/// A writer, and why it failed, if it did.
pub(super) struct LoneWriter {
    writer: Writer,
    failed: Receiver<store::Error>,
}

impl LoneWriter {
    /// Starts the writer of a store.
    pub(super) fn of(store: &Store) -> Result<Self, store::Error> {
        let (fail, failed) = channel();
        let fails = move |error| {
            // A command that no longer waits needs no reason.
            let _ = fail.send(error);
        };
        let writer = Writer::start(store, OPTIONS, now_ms, |_| {}, fails)?;
        Ok(Self { writer, failed })
    }

    /// Makes a change, and waits until it is durable.
    pub(super) fn change(&self, change: Change) -> Result<ChangeOutcome, Error> {
        self.settled(&self.submit(change))
    }

    /// Makes changes, one after the other, and waits until all are durable.
    pub(super) fn changes(&self, changes: Vec<Change>) -> Result<Vec<ChangeOutcome>, Error> {
        let (mut waiting, mut outcomes) = (VecDeque::new(), Vec::with_capacity(changes.len()));
        for change in changes {
            if waiting.len() >= WAITING_MAX
                && let Some(told) = waiting.pop_front()
            {
                outcomes.push(self.settled(&told)?);
            }
            waiting.push_back(self.submit(change));
        }
        for told in waiting {
            outcomes.push(self.settled(&told)?);
        }
        Ok(outcomes)
    }

    fn submit(&self, change: Change) -> Receiver<Settled> {
        let (tell, told) = channel();
        self.writer.submit(change, move |outcome| {
            // A command that no longer waits needs no outcome.
            let _ = tell.send(outcome);
        });
        told
    }

    fn settled(&self, told: &Receiver<Settled>) -> Result<ChangeOutcome, Error> {
        match told.recv().unwrap_or(Err(Rejected::Failed)) {
            Ok(settled) => Ok(settled.outcome),
            Err(Rejected::Damaged(why)) => Err(Error::Rejected(why)),
            Err(refused) => {
                let why = self.failed.try_recv().map(Error::Store);
                Err(why.unwrap_or(Error::Rejected(format!("{refused:?}"))))
            }
        }
    }
}
