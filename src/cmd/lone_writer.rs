//! The writer of a store that no server has open, which a command changes one step after the other.
//!
//! Must not know what is changed. Invariant: what it returned an outcome for is durable.

use std::fmt;
use std::sync::mpsc::{Receiver, channel};

use crate::model::clock::now_ms;
use crate::store::{
    self, Change, ChangeOutcome, IDEMPOTENCY_KEYS_MAX, Rejected, Store, Writer, WriterOptions,
};

/// Nothing else writes, so changes are waited for one by one.
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

/// Why a change was not made.
#[derive(Debug)]
pub enum Error {
    /// The store cannot be written.
    Store(store::Error),
    /// The change was refused.
    Refused(String),
}

impl LoneWriter {
    /// Starts the writer of a store.
    pub(super) fn of(store: &Store) -> Result<Self, store::Error> {
        let (fail, failed) = channel();
        let fails = move |error| {
            // Whoever waits is told as well, and asks here then.
            let _ = fail.send(error);
        };
        let writer = Writer::start(store, OPTIONS, now_ms, |_| {}, fails)?;
        Ok(Self { writer, failed })
    }

    /// Makes a change, and waits until it is durable.
    pub(super) fn change(&self, change: Change) -> Result<ChangeOutcome, Error> {
        let (tell, told) = channel();
        self.writer.submit(change, move |outcome| {
            // It is waited for below.
            let _ = tell.send(outcome);
        });
        let settled = told.recv().unwrap_or(Err(Rejected::Failed));
        match settled {
            Ok(settled) => Ok(settled.outcome),
            Err(Rejected::Damaged(why)) => Err(Error::Refused(why)),
            Err(refused) => {
                let why = self.failed.try_recv().map(Error::Store);
                Err(why.unwrap_or(Error::Refused(format!("{refused:?}"))))
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}
