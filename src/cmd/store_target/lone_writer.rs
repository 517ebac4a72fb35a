//! The writer of a store that no server has open.
//!
//! Must not know what is changed. Invariant: a change is durable when its outcome is returned.

use std::sync::mpsc::{Receiver, channel};

use crate::model::clock::now_ms;
use crate::store::{
    self, Change, ChangeOutcome, IDEMPOTENCY_KEYS_MAX, Rejected, Store, Writer, WriterOptions,
};

use super::Error;

/// There is no other writer, so changes are waited for one by one.
const OPTIONS: WriterOptions = WriterOptions {
    loss_time_max: None,
    queue_max: 1,
    free_space_min: 0,
    idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
};

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
        let (tell, told) = channel();
        self.writer.submit(change, move |outcome| {
            // It is received below.
            let _ = tell.send(outcome);
        });
        let settled = told.recv().unwrap_or(Err(Rejected::Failed));
        match settled {
            Ok(settled) => Ok(settled.outcome),
            Err(Rejected::Damaged(why)) => Err(Error::Rejected(why)),
            Err(refused) => {
                let why = self.failed.try_recv().map(Error::Store);
                Err(why.unwrap_or(Error::Rejected(format!("{refused:?}"))))
            }
        }
    }
}
