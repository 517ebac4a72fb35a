//! A copy's side of writing: commits of another store, applied as they are.
//!
//! Must not know where they come from. Invariants: a commit is applied only when it belongs behind
//! the last one, and byte for byte, so that position and rows stay those of the other store;
//! nothing is taken to be durable before it was synced.

use std::sync::Arc;

use super::batch::{Malformed, Record};
use super::commit::{Commit, FAMILIES};
use super::error::Error;
use super::journal::{Committed, Journal};
use super::key::{Family, number_of};
use super::position::Position;
use super::pulse::Pulse;
use super::read::Store;
use crate::model::ProductId;

/// Applies the commits of another store. The only one that writes to its own.
pub struct Applier {
    store: Store,
    journal: Journal,
    committed: Box<dyn Fn(ProductId) + Send>,
    unsynced: bool,
    pulse: Pulse,
}

impl Applier {
    /// Goes on where the store is. `committed` is called with each product that a commit changed,
    /// after it is visible and before [`super::Feed::applied`] tells of it.
    pub fn resume(
        store: Store,
        committed: impl Fn(ProductId) + Send + 'static,
    ) -> Result<Self, Error> {
        let journal = Journal::resume(store.rocks())?;
        Ok(Self {
            store,
            journal,
            committed: Box::new(committed),
            unsynced: false,
            pulse: Pulse::new(),
        })
    }

    /// Since when it is at what it is doing.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Returns the position of the store.
    #[must_use]
    pub fn position(&self) -> Position {
        self.journal.head()
    }

    /// Applies a batch, visibly and not yet durably. [`Error::Unfit`] leaves the store as it was;
    /// after any other error it must be opened anew.
    pub fn apply(&mut self, batch: &[u8]) -> Result<Position, Error> {
        self.pulse.begin();
        let applied = self.apply_now(batch);
        self.pulse.rest();
        self.expect_written(applied)
    }

    fn apply_now(&mut self, batch: &[u8]) -> Result<Position, Error> {
        let commit = fitting(batch, self.journal.head())?;
        let products = products(&commit).map_err(unfit)?;
        let rocks = self.store.rocks();
        rocks.commit_bytes(batch)?;
        self.unsynced = true;
        self.journal.advance(rocks, commit.after)?;
        products.into_iter().for_each(&self.committed);
        let committed = Committed {
            before: commit.before,
            after: commit.after,
            batch: Arc::from(batch),
        };
        self.store.feed().committed(committed, false);
        Ok(commit.after)
    }

    /// Makes all that was applied durable.
    pub fn sync(&mut self) -> Result<Position, Error> {
        let head = self.journal.head();
        if std::mem::take(&mut self.unsynced) {
            self.pulse.begin();
            let synced = self.store.rocks().sync();
            self.pulse.rest();
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
        // What it would move to files is in the log, and read from there next time.
        let _ = self.store.durability().finish(self.store.rocks(), None);
    }
}

/// The positions and the time that a commit names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected {
    /// The position before it.
    pub before: Position,
    /// The position after it.
    pub after: Position,
    /// When it was made, where it tells.
    pub time_ms: Option<i64>,
}

/// Reads a batch to its last byte, and what it says of itself if it is a commit, which nothing in it
/// contradicts then.
pub fn inspect(batch: &[u8]) -> Result<Inspected, Error> {
    let commit = Commit::read(batch).map_err(unfit)?;
    Ok(Inspected {
        before: commit.before,
        after: commit.after,
        time_ms: commit.time_ms,
    })
}

/// The commit that a batch is, if it belongs behind `own`.
pub(super) fn fitting(batch: &[u8], own: Position) -> Result<Commit<'_>, Error> {
    let commit = Commit::read(batch).map_err(unfit)?;
    if commit.before == own {
        return Ok(commit);
    }
    let before = commit.before;
    let why = format!("it belongs behind {before}, and this is {own}");
    Err(Error::Unfit { why })
}

fn unfit(why: Malformed) -> Error {
    let why = why.to_string();
    Error::Unfit { why }
}

/// The products whose rows a commit changes.
fn products(commit: &Commit<'_>) -> Result<Vec<ProductId>, Malformed> {
    let mut products = Vec::new();
    let mut records = commit.batch.records(FAMILIES);
    while let Some(record) = records.next()? {
        let (Record::Put { family, key, .. } | Record::Delete { family, key }) = record else {
            continue;
        };
        if Family::of_number(family).is_some_and(Family::is_by_product)
            && let Some(product) = key.first_chunk::<8>().and_then(|id| number_of(id))
        {
            products.push(ProductId(product));
        }
    }
    products.sort_unstable();
    products.dedup();
    Ok(products)
}
