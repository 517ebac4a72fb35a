//! The position of the store in its history, and how a batch becomes the next commit of it.
//!
//! Must not know what is written or who hears of it. Invariants: the owner of the commit log is the only
//! one who writes to the store; every batch it commits begins with a commit header and ends with the head
//! row, so that the position is durable exactly when the commit is.

use std::sync::Arc;

use super::batch::{CommitBatch as Bytes, HEADER_BYTES};
use super::position::{CommitHeader, LogPosition, epoch_key, time_note};
use crate::decoding::damaged;
use crate::error::Error;
use crate::key::{Family, state};
use crate::rocks::{Rocks, WriteBatch};
use crate::state::new_store_id;
use crate::value::{Counters, encode};

/// A store that is further behind in epochs than this was not merely away.
const EPOCHS_AT_ONCE_MAX: u64 = 1000;

/// A batch that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The position before it.
    pub before: LogPosition,
    /// The position after it.
    pub after: LogPosition,
    /// The batch, with its number.
    pub batch: Arc<[u8]>,
}

/// Numbers the commits of one store.
pub(crate) struct CommitLog {
    head: LogPosition,
}

impl CommitLog {
    /// Returns the position of the store.
    pub(crate) fn position_of(rocks: &Rocks) -> Result<LogPosition, Error> {
        let head = rocks.view().get(Family::State, state::HEAD)?;
        position_from(head.as_deref(), rocks.latest())
    }

    /// Returns true if the last row of the store is the head row of its last commit.
    pub(crate) fn is_whole(rocks: &Rocks) -> Result<bool, Error> {
        let head = rocks.view().get(Family::State, state::HEAD)?;
        let head = head.as_deref().and_then(LogPosition::from_value);
        Ok(head.is_none_or(|head| head.seq == rocks.latest()))
    }

    /// Resumes at the position of the store, for a replica, which applies the commits of another store.
    pub(crate) fn resume(rocks: &Rocks) -> Result<Self, Error> {
        let head = Self::position_of(rocks)?;
        Ok(Self { head })
    }

    /// Resumes at the position of the store, for a primary, which decides what is written.
    pub(crate) fn take_over(rocks: &Rocks) -> Result<Self, Error> {
        let mut commit_log = Self::resume(rocks)?;
        let value = rocks.view().get(Family::State, state::HEAD)?;
        let written = value.and_then(|value| LogPosition::from_value(&value));
        if written.is_some_and(|written| written != commit_log.head) {
            commit_log.begin_epoch(rocks)?;
        }
        Ok(commit_log)
    }

    /// Returns the position of the store.
    pub(crate) fn head(&self) -> LogPosition {
        self.head
    }

    /// Begins the next commit of the same epoch.
    pub(crate) fn begin<'r>(&self, rocks: &'r Rocks) -> WriteBatch<'r> {
        self.begin_in(rocks, self.head.epoch)
    }

    /// Begins the next commit of the same epoch, and notes its time.
    pub(crate) fn begin_at<'r>(&self, rocks: &'r Rocks, now_ms: i64) -> WriteBatch<'r> {
        let mut batch = self.begin(rocks);
        batch.note(&time_note(now_ms));
        batch
    }

    fn begin_in<'r>(&self, rocks: &'r Rocks, epoch: u64) -> WriteBatch<'r> {
        let mut batch = rocks.batch();
        let commit_header = CommitHeader {
            epoch,
            before: self.head,
        };
        batch.note(&commit_header.to_bytes());
        batch
    }

    /// Completes the commit that was begun, and makes it.
    pub(crate) fn commit(
        &mut self,
        rocks: &Rocks,
        batch: WriteBatch<'_>,
        durable: bool,
    ) -> Result<Committed, Error> {
        self.commit_in(rocks, self.head.epoch, batch, durable)
    }

    fn commit_in(
        &mut self,
        rocks: &Rocks,
        epoch: u64,
        mut batch: WriteBatch<'_>,
        durable: bool,
    ) -> Result<Committed, Error> {
        let so_far = Bytes::open(batch.bytes()).map_err(|why| Error::Unfit {
            why: why.to_string(),
        })?;
        let count = so_far.count + 1;
        let after = self.head.after(epoch, count, so_far.records);
        batch.put(Family::State, state::HEAD, &after.to_value())?;
        let first = self.head.seq + 1;
        let mut bytes: Arc<[u8]> = batch.bytes().into();
        // The batch is given its number when it is written; the retained bytes get it here.
        if let Some(number) = Arc::get_mut(&mut bytes).and_then(|b| b.get_mut(..HEADER_BYTES - 4)) {
            number.copy_from_slice(&first.to_le_bytes());
        }
        batch.commit(durable)?;
        expect_latest(rocks, after)?;
        let before = std::mem::replace(&mut self.head, after);
        Ok(Committed {
            before,
            after,
            batch: bytes,
        })
    }

    /// Begins the next epoch, durably, with a commit of its own.
    pub(crate) fn begin_epoch(&mut self, rocks: &Rocks) -> Result<Committed, Error> {
        self.begin_epoch_with(rocks, None)
    }

    /// Begins the next epoch, with other counters.
    pub(crate) fn begin_epoch_with(
        &mut self,
        rocks: &Rocks,
        counters: Option<&Counters>,
    ) -> Result<Committed, Error> {
        let epoch = self.head.epoch + 1;
        let mut batch = self.begin_in(rocks, epoch);
        // Two replicas that are promoted at the same position must not go on as if they were one.
        batch.note(&new_store_id()?.to_be_bytes());
        if let Some(counters) = counters {
            let mut value = Vec::new();
            encode(counters, &mut value).map_err(|why| damaged(Family::State, "counters", &why))?;
            batch.put(Family::State, state::COUNTERS, &value)?;
        }
        batch.put(Family::State, epoch_key(epoch), &self.head.to_value())?;
        self.commit_in(rocks, epoch, batch, true)
    }

    /// Begins epochs, one after the other, until the store is in a later one than `epoch`: positions are
    /// told apart by where each epoch began.
    pub(crate) fn begin_epoch_beyond(&mut self, rocks: &Rocks, epoch: u64) -> Result<(), Error> {
        self.begin_epoch(rocks)?;
        let behind = epoch.saturating_sub(self.head.epoch);
        if behind > EPOCHS_AT_ONCE_MAX {
            return Err(Error::Rocks {
                doing: format!("begin epoch {} of the store", epoch.saturating_add(1)),
                why: format!("it is in epoch {}, and that is too far", self.head.epoch),
            });
        }
        while self.head.epoch <= epoch {
            self.begin_epoch(rocks)?;
        }
        Ok(())
    }

    /// Takes over the position behind a commit that was made as it is.
    pub(crate) fn advance(&mut self, rocks: &Rocks, after: LogPosition) -> Result<(), Error> {
        expect_latest(rocks, after)?;
        self.head = after;
        Ok(())
    }
}

/// The position of a store whose head row and whose last row's number are these.
pub(crate) fn position_from(head: Option<&[u8]>, latest: u64) -> Result<LogPosition, Error> {
    let Some(value) = head else {
        return Ok(LogPosition::genesis(latest));
    };
    let head = LogPosition::from_value(value)
        .ok_or_else(|| damaged(Family::State, "head", "it is no position"))?;
    if head.seq == latest {
        return Ok(head);
    }
    // The store was written by a version that did not record commit heads. No other store has been where it
    // is.
    let chained = latest.to_be_bytes();
    let astray = head.after(head.epoch, 0, &chained);
    Ok(LogPosition {
        seq: latest,
        ..astray
    })
}

/// Returns the position at which an epoch began; `None` when the store has not seen it begin.
pub(crate) fn epoch_begin(rocks: &Rocks, epoch: u64) -> Result<Option<LogPosition>, Error> {
    let value = rocks.view().get(Family::State, epoch_key(epoch))?;
    value
        .map(|value| {
            LogPosition::from_value(&value)
                .ok_or_else(|| damaged(Family::State, "an epoch", "it is no position"))
        })
        .transpose()
}

fn expect_latest(rocks: &Rocks, after: LogPosition) -> Result<(), Error> {
    let latest = rocks.latest();
    if latest == after.seq {
        return Ok(());
    }
    Err(Error::Rocks {
        doing: format!("write up to row {}", after.seq),
        why: format!("the store is at row {latest}, so another process writes to it"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::commit::ParsedCommit;
    use crate::rocks::LogCheck;
    use std::path::Path;

    const MEMORY_BYTES: usize = 32 << 20;

    fn open(dir: &Path) -> Rocks {
        let dir = dir.join("db");
        if !dir.exists() {
            let rocks = Rocks::create(&dir, MEMORY_BYTES).unwrap();
            // The rows that every store has from the start, and no head row.
            write_without_head(&rocks);
            return rocks;
        }
        let keep = std::time::Duration::ZERO;
        Rocks::open(&dir, MEMORY_BYTES, keep, LogCheck::Whole).unwrap()
    }

    fn write_without_head(rocks: &Rocks) {
        let mut batch = rocks.batch();
        batch.put(Family::State, state::FORMAT, b"1").unwrap();
        batch.commit(true).unwrap();
    }

    fn write(commit_log: &mut CommitLog, rocks: &Rocks) -> Committed {
        let mut batch = commit_log.begin(rocks);
        batch.put(Family::Reviews, b"key", b"value").unwrap();
        commit_log.commit(rocks, batch, true).unwrap()
    }

    #[test]
    fn a_store_older_than_positions_is_at_the_start_of_epoch_one() {
        let dir = tempfile::tempdir().unwrap();
        let rocks = open(dir.path());
        assert_eq!(
            CommitLog::position_of(&rocks).unwrap(),
            LogPosition::genesis(1)
        );
        let mut commit_log = CommitLog::take_over(&rocks).unwrap();
        assert_eq!(rocks.latest(), 1, "opening it writes nothing");
        let commit = write(&mut commit_log, &rocks);
        assert_eq!(
            (commit.before, commit.after.epoch, commit.after.seq),
            (LogPosition::genesis(1), 1, 3)
        );
        let read = ParsedCommit::read(&commit.batch).unwrap();
        assert_eq!((read.before, read.after), (commit.before, commit.after));
        drop(rocks);
        let rocks = open(dir.path());
        assert_eq!(CommitLog::position_of(&rocks).unwrap(), commit.after);
        assert_eq!(CommitLog::take_over(&rocks).unwrap().head(), commit.after);
    }

    #[test]
    fn writes_without_commit_headers_begin_a_new_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let rocks = open(dir.path());
        let mut commit_log = CommitLog::take_over(&rocks).unwrap();
        let commit = write(&mut commit_log, &rocks);
        write_without_head(&rocks);
        let astray = CommitLog::position_of(&rocks).unwrap();
        assert_eq!((astray.epoch, astray.seq), (1, commit.after.seq + 1));
        assert_ne!(astray.chain, commit.after.chain);
        let commit_log = CommitLog::take_over(&rocks).unwrap();
        assert_eq!(commit_log.head().epoch, 2);
        assert_eq!(epoch_begin(&rocks, 2).unwrap(), Some(astray));
        assert_eq!(epoch_begin(&rocks, 3).unwrap(), None);
    }

    #[test]
    fn two_epochs_from_one_position_lead_to_different_positions() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let heads = dirs.each_ref().map(|dir| {
            let rocks = open(dir.path());
            let mut commit_log = CommitLog::resume(&rocks).unwrap();
            let commit = commit_log.begin_epoch(&rocks).unwrap();
            assert!(ParsedCommit::read(&commit.batch).is_ok());
            commit.after
        });
        assert_eq!(
            (heads[0].epoch, heads[0].seq),
            (heads[1].epoch, heads[1].seq)
        );
        assert_ne!(heads[0].chain, heads[1].chain);
    }

    #[test]
    fn somebody_else_who_writes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let rocks = open(dir.path());
        let mut commit_log = CommitLog::take_over(&rocks).unwrap();
        write_without_head(&rocks);
        let batch = commit_log.begin(&rocks);
        assert!(commit_log.commit(&rocks, batch, true).is_err());
    }
}
