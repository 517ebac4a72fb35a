//! Commits that are no longer in memory, read again from the log.
//!
//! Must not know its callers. Invariant: the commits returned follow the requested position without a gap,
//! and are durable. If the log does not reach back so far, or has diverged, the lookup says so: RocksDB
//! itself passes over a gap in silence. A log that cannot be read now is an error, and no gap: it may be
//! read later.

use std::fs;
use std::path::PathBuf;

use super::batch::CommitBatch;
use super::commit::ParsedCommit;
use super::commit_log::{Committed, epoch_begin};
use super::position::LogPosition;
use super::wal;
use crate::datadir::files;
use crate::error::Error;
use crate::rocks::LogReader;
use crate::store::Store;

/// The result of looking a position up in the log.
#[derive(Debug, PartialEq, Eq)]
pub enum HistoryLookup {
    /// The commits behind it; none where it is the durable end.
    Commits(Vec<Committed>),
    /// The log begins after it.
    Gap,
    /// A commit that differs from the one that led to the position.
    Elsewhere,
}

/// The relation of a position to the epochs of this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    /// It may be one that this store has been at.
    Shared,
    /// It is of an epoch that this store does not know of, earlier than its own.
    Unknown,
    /// It went on when this store began another epoch, here.
    Diverged(LogPosition),
    /// It is of a later epoch than this store's.
    Later,
}

/// A reader of the log that resumes where it stopped.
pub struct History<'s> {
    store: &'s Store,
    log: Option<(LogPosition, LogReader<'s>)>,
}

impl<'s> History<'s> {
    /// A reader of the log of a store.
    #[must_use]
    pub fn of(store: &'s Store) -> Self {
        Self { store, log: None }
    }

    /// Returns the position at which the next read is cheap.
    #[must_use]
    pub fn at(&self) -> Option<LogPosition> {
        self.log.as_ref().map(|(at, _)| *at)
    }

    /// The durable commits behind `position`, of so many bytes at most but for the first.
    pub fn read(
        &mut self,
        position: LogPosition,
        bytes_max: usize,
    ) -> Result<HistoryLookup, Error> {
        let durable = *self.store.feed().durable().borrow();
        if let Some(found) = without_log(position, durable) {
            return Ok(found);
        }
        match self.read_on(position, durable, bytes_max) {
            // The commit is missing or differs: a retry does not bring it back, unless the disk only failed
            // to read it.
            Ok(HistoryLookup::Gap) | Err(Error::Damaged { .. }) => {
                wal::expect_readable(self.store.rocks().dir(), position.seq)?;
                Ok(HistoryLookup::Gap)
            }
            read => read,
        }
    }

    fn read_on(
        &mut self,
        position: LogPosition,
        durable: LogPosition,
        bytes_max: usize,
    ) -> Result<HistoryLookup, Error> {
        let mut log = match self.log.take() {
            Some((at, log)) if at == position => log,
            _ => self.store.rocks().log_after(position.seq)?,
        };
        let (found, goes_on) = read_log(position, durable, bytes_max, || log.next())?;
        self.log = goes_on.map(|at| (at, log));
        Ok(found)
    }
}

/// Returns the result for a position as far as the durable position alone determines it.
pub(crate) fn without_log(position: LogPosition, durable: LogPosition) -> Option<HistoryLookup> {
    if position == durable {
        return Some(HistoryLookup::Commits(Vec::new()));
    }
    (position.seq >= durable.seq).then_some(HistoryLookup::Elsewhere)
}

/// The durable commits behind `position`, of so many bytes at most but for the first, and where the
/// log goes on, unless it ended. `next` gives the batches of a log that was opened at `position`.
pub(crate) fn read_log(
    position: LogPosition,
    durable: LogPosition,
    bytes_max: usize,
    mut next: impl FnMut() -> Result<Option<Vec<u8>>, Error>,
) -> Result<(HistoryLookup, Option<LogPosition>), Error> {
    let (mut at, mut commits, mut bytes) = (position, Vec::new(), 0);
    while bytes < bytes_max {
        let Some(batch) = next()? else {
            // It ended, at the end or for no reason: if nothing was read, the caller asks again.
            return Ok((or_gap(commits), None));
        };
        // Entries that RocksDB writes for itself have no rows.
        if CommitBatch::open(&batch).is_ok_and(|batch| batch.count == 0) {
            continue;
        }
        let Ok(commit) = ParsedCommit::read(&batch) else {
            return Ok((or_gap(commits), None));
        };
        let (before, after) = (commit.before, commit.after);
        if before != at {
            let is_other = commits.is_empty() && before.seq == at.seq;
            let found = if is_other {
                HistoryLookup::Elsewhere
            } else {
                or_gap(commits)
            };
            return Ok((found, None));
        }
        if after.seq > durable.seq {
            return Ok((or_gap(commits), None));
        }
        bytes += batch.len();
        at = after;
        commits.push(Committed {
            before,
            after,
            batch: batch.into(),
        });
    }
    Ok((HistoryLookup::Commits(commits), Some(at)))
}

fn or_gap(commits: Vec<Committed>) -> HistoryLookup {
    if commits.is_empty() {
        HistoryLookup::Gap
    } else {
        HistoryLookup::Commits(commits)
    }
}

/// Returns the relation of a position to the epochs of a store.
pub fn lineage(store: &Store, position: LogPosition) -> Result<Lineage, Error> {
    let own = store.feed().applied().borrow().epoch;
    lineage_in(position, own, |epoch| epoch_begin(store.rocks(), epoch))
}

/// Returns the relation for a store of the epoch `own`. `begin` gives where an epoch began.
pub(crate) fn lineage_in(
    position: LogPosition,
    own: u64,
    begin: impl FnOnce(u64) -> Result<Option<LogPosition>, Error>,
) -> Result<Lineage, Error> {
    if position.epoch > own {
        return Ok(Lineage::Later);
    }
    if position.epoch == own {
        return Ok(Lineage::Shared);
    }
    match begin(position.epoch + 1)? {
        None => Ok(Lineage::Unknown),
        Some(begin) if begin.epoch != position.epoch => Ok(Lineage::Unknown),
        Some(begin) if position.seq > begin.seq => Ok(Lineage::Diverged(begin)),
        Some(begin) if position.seq == begin.seq && position != begin => {
            Ok(Lineage::Diverged(begin))
        }
        Some(_) => Ok(Lineage::Shared),
    }
}

/// Returns true if the rows up to `seq` of `epoch` are part of this store's history.
pub fn has_had(store: &Store, epoch: u64, seq: u64) -> Result<bool, Error> {
    let own = *store.feed().applied().borrow();
    if epoch >= own.epoch {
        return Ok(epoch == own.epoch && seq <= own.seq);
    }
    let next = epoch_begin(store.rocks(), epoch + 1)?;
    Ok(next.is_some_and(|begin| begin.epoch == epoch && seq <= begin.seq))
}

/// Removes the oldest logs that are archived for other stores, until what remains takes at most `bytes_max`.
/// RocksDB removes old ones itself, but has a bound on their size only in name.
pub fn trim_kept_logs(store: &Store, bytes_max: u64) -> Result<u64, Error> {
    trim(wal::kept(store.rocks().dir())?, bytes_max)
}

/// Removes the first of these logs, until what remains takes at most `bytes_max`.
fn trim(logs: Vec<PathBuf>, bytes_max: u64) -> Result<u64, Error> {
    // RocksDB may remove one meanwhile.
    let logs: Vec<_> = logs
        .into_iter()
        .filter_map(|path| Some((fs::metadata(&path).ok()?.len(), path)))
        .collect();
    let mut bytes: u64 = logs.iter().map(|(bytes, _)| bytes).sum();
    for (size, path) in logs {
        if bytes <= bytes_max {
            break;
        }
        files::remove_file(&path)?;
        bytes -= size;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_log_goes_first_also_behind_a_million() {
        let dir = tempfile::tempdir().unwrap();
        for log in [1_000_000, 999_999, 1_000_001, 999_998] {
            fs::write(dir.path().join(format!("{log:06}.log")), [0; 10]).unwrap();
        }
        let logs = wal::paths(dir.path()).unwrap();
        assert_eq!(trim(logs.clone(), 25).unwrap(), 20);
        assert_eq!(wal::paths(dir.path()).unwrap(), logs[2..]);
        assert!(logs[3].ends_with("1000001.log"));
        assert!(wal::kept(dir.path()).unwrap().is_empty());
    }
}
