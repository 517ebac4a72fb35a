//! A replica's side of writing: commits of another store, applied as they are.
//!
//! Must not know where they come from. Invariants: a commit is applied only when it belongs behind
//! the last one, and byte for byte, so that position and rows stay those of the other store;
//! nothing is taken to be durable before it was synced.

use std::sync::Arc;

use super::batch::{BatchRecord, MalformedBatch};
use super::commit::{FAMILIES, ParsedCommit};
use super::commit_log::{CommitLog, Committed};
use super::position::LogPosition;
use crate::committed_change::CommittedChange;
use crate::error::Error;
use crate::heartbeat::Heartbeat;
use crate::key::{Family, number_of};
use crate::model::ProductId;
use crate::store::Store;

/// The applier of another store's commits. The only one that writes to its own.
pub struct Applier {
    store: Store,
    commit_log: CommitLog,
    committed: Box<dyn Fn(CommittedChange) + Send>,
    unsynced: bool,
    heartbeat: Heartbeat,
}

impl Applier {
    /// Resumes at the position of the store. `committed` is called with each part that a commit changed,
    /// after it is visible and before [`crate::CommitFeed::applied`] reports it.
    pub fn resume(
        store: Store,
        committed: impl Fn(CommittedChange) + Send + 'static,
    ) -> Result<Self, Error> {
        let commit_log = CommitLog::resume(store.rocks())?;
        Ok(Self {
            store,
            commit_log,
            committed: Box::new(committed),
            unsynced: false,
            heartbeat: Heartbeat::new(),
        })
    }

    /// Returns the heartbeat of the applier: how long it has been at one step.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    /// Returns the position of the store.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.commit_log.head()
    }

    /// Applies a batch, visibly and not yet durably. [`Error::Unfit`] leaves the store as it was; after any
    /// other error the store must be reopened.
    pub fn apply(&mut self, batch: &[u8]) -> Result<LogPosition, Error> {
        self.heartbeat.begin();
        let applied = self.apply_now(batch);
        self.heartbeat.rest();
        self.expect_written(applied)
    }

    fn apply_now(&mut self, batch: &[u8]) -> Result<LogPosition, Error> {
        let commit = fitting(batch, self.commit_log.head())?;
        let changed = changed(&commit).map_err(unfit)?;
        let rocks = self.store.rocks();
        rocks.commit_bytes(batch)?;
        self.unsynced = true;
        self.commit_log.advance(rocks, commit.after)?;
        changed.into_iter().for_each(&self.committed);
        let committed = Committed {
            before: commit.before,
            after: commit.after,
            batch: Arc::from(batch),
        };
        self.store.feed().committed(committed, false);
        Ok(commit.after)
    }

    /// Makes all that was applied durable.
    pub fn sync(&mut self) -> Result<LogPosition, Error> {
        let head = self.commit_log.head();
        if std::mem::take(&mut self.unsynced) {
            self.heartbeat.begin();
            let synced = self.store.rocks().sync();
            self.heartbeat.rest();
            self.expect_written(synced)?;
            self.store
                .durability()
                .note(head, &self.store.counters()?)?;
            self.store.feed().synced();
        }
        Ok(head)
    }

    /// After a write that failed the store is left as it is.
    fn expect_written<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        if done
            .as_ref()
            .is_err_and(|e| !matches!(e, Error::Unfit { .. }))
        {
            self.store.durability().give_up();
        }
        done
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        // The changes that it would move to files are in the log, and read from there next time.
        let _ = self.store.durability().finish(self.store.rocks(), None);
    }
}

/// The positions and the time that a commit names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected {
    /// The position before it.
    pub before: LogPosition,
    /// The position after it.
    pub after: LogPosition,
    /// The time at which it was made, where the commit says so.
    pub time_ms: Option<i64>,
}

/// Reads a batch to its last byte. If it is a commit, returns the positions and the time that it names,
/// which nothing in it contradicts.
pub fn inspect(batch: &[u8]) -> Result<Inspected, Error> {
    let commit = ParsedCommit::read(batch).map_err(unfit)?;
    Ok(Inspected {
        before: commit.before,
        after: commit.after,
        time_ms: commit.time_ms,
    })
}

/// Returns the commit that a batch is, if it belongs behind `own`.
pub(crate) fn fitting(batch: &[u8], own: LogPosition) -> Result<ParsedCommit<'_>, Error> {
    let commit = ParsedCommit::read(batch).map_err(unfit)?;
    if commit.before == own {
        return Ok(commit);
    }
    let before = commit.before;
    let why = format!("it continues {before}, and this is {own}");
    Err(Error::Unfit { why })
}

fn unfit(why: MalformedBatch) -> Error {
    let why = why.to_string();
    Error::Unfit { why }
}

/// Returns the parts of the store that a commit changes.
fn changed(commit: &ParsedCommit<'_>) -> Result<Vec<CommittedChange>, MalformedBatch> {
    let mut changed = Vec::new();
    let mut records = commit.batch.records(FAMILIES);
    while let Some(record) = records.next()? {
        let (BatchRecord::Put { family, key, .. } | BatchRecord::Delete { family, key }) = record
        else {
            continue;
        };
        if let Some(family) = Family::of_number(family)
            && let Some(product) = key.first_chunk::<8>().and_then(|id| number_of(id))
        {
            let parts = CommittedChange::of_row(family, ProductId(product));
            changed.extend(parts.into_iter().flatten());
        }
    }
    changed.sort_unstable();
    changed.dedup();
    Ok(changed)
}
