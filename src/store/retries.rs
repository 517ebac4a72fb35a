//! Reviews that clients may send again: what came of them, for a day.
//!
//! Must not know HTTP. Invariants: what came of a review is written in the batch that adds it;
//! there are at most [`RETRIES_MAX`], and the oldest go first. Rows by name answer, rows by time
//! tell which are the oldest.

use super::error::Error;
use super::key::Family;
use super::read::read;
use super::rocks::{Batch, View};
use super::value::{Retried, encode};

/// The time for which the outcome of a review is remembered.
const RETRY_MS: i64 = 24 * 60 * 60 * 1000;
/// The number that is remembered at most: some hundred megabytes, a day at eleven a second.
pub(super) const RETRIES_MAX: u64 = 1_000_000;

pub(super) const BY_NAME: u8 = b'n';
pub(super) const BY_TIME: u8 = b't';

/// The place of the oldest row.
pub(super) struct Retries {
    /// Rows by time before this key are gone: what is deleted is not passed over again and again.
    oldest: Vec<u8>,
    max: u64,
}

impl Retries {
    /// All that there are, at most `max`.
    pub(super) fn new(max: u64) -> Self {
        let oldest = vec![BY_TIME];
        Self { oldest, max }
    }

    /// Returns the outcome of the review with this name, if it is not too old.
    pub(super) fn find(
        view: &View<'_>,
        name: &[u8],
        now_ms: i64,
    ) -> Result<Option<Retried>, Error> {
        let retried = Self::stored(view, name)?;
        Ok(retried.filter(|retried| !is_over(retried.made_ms, now_ms)))
    }

    /// Adds what came of a review. The name is new, or so old that it counts as new; its row by
    /// time then goes with the others of its age.
    pub(super) fn add(batch: &mut Batch<'_>, name: &[u8], retried: &Retried) -> Result<(), Error> {
        let mut value = Vec::new();
        encode(retried, &mut value).map_err(|why| {
            super::read::damaged(Family::Retries, String::from_utf8_lossy(name), &why)
        })?;
        batch.put(Family::Retries, by_name(name), &value)?;
        batch.put(Family::Retries, by_time(retried.made_ms, name), &[])
    }

    /// Returns the outcome of the review with this name, however old it is.
    pub(super) fn stored(view: &View<'_>, name: &[u8]) -> Result<Option<Retried>, Error> {
        let value = view.get(Family::Retries, by_name(name))?;
        value
            .map(|value| read(Family::Retries, String::from_utf8_lossy(name), &value))
            .transpose()
    }

    /// Visits all of them, by name.
    pub(super) fn each(
        view: &View<'_>,
        mut visit: impl FnMut(&[u8], Retried),
    ) -> Result<(), Error> {
        let mut rows = view.sweep(Family::Retries, [BY_NAME])?;
        while let Some((key, value)) = rows.next()? {
            let Some(name) = key.strip_prefix(&[BY_NAME]) else {
                break;
            };
            visit(
                name,
                read(Family::Retries, String::from_utf8_lossy(name), value)?,
            );
        }
        Ok(())
    }

    /// Removes what came of a review.
    pub(super) fn forget(
        batch: &mut Batch<'_>,
        name: &[u8],
        retried: &Retried,
    ) -> Result<(), Error> {
        batch.delete(Family::Retries, by_name(name))?;
        batch.delete(Family::Retries, by_time(retried.made_ms, name))
    }

    /// Removes those that are over, and the oldest of those that are too many, `rows_max` at most. A row
    /// that cannot be read is passed over and stays: that it is there harms nobody.
    pub(super) fn prune(
        &mut self,
        view: &View<'_>,
        batch: &mut Batch<'_>,
        now_ms: i64,
        count: u64,
        rows_max: usize,
    ) -> Pruned {
        let mut pruned = Pruned {
            left: count,
            passed_over: Vec::new(),
        };
        let done = self.prune_rows(view, batch, now_ms, rows_max, &mut pruned);
        if let Err(error) = done {
            pruned.passed_over.push(error);
        }
        pruned
    }

    fn prune_rows(
        &mut self,
        view: &View<'_>,
        batch: &mut Batch<'_>,
        now_ms: i64,
        rows_max: usize,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        let mut rows = view.scan(Family::Retries, &self.oldest, Some([BY_TIME + 1]))?;
        for _ in 0..rows_max {
            let Some((key, _)) = rows.next()? else {
                break;
            };
            let Some((made_ms, name)) = of_time(key) else {
                break;
            };
            if !is_over(made_ms, now_ms) && pruned.left <= self.max {
                break;
            }
            self.oldest = key.to_vec();
            let retried = match Self::stored(view, name) {
                Ok(retried) => retried,
                Err(error) => {
                    // Looked at again by the next process, or by `verify`, which sets it aside.
                    self.oldest.push(0);
                    pruned.passed_over.push(error);
                    continue;
                }
            };
            batch.delete(Family::Retries, key)?;
            // A name that was used again since has a younger row, which stays.
            if retried.is_some_and(|retried| retried.made_ms == made_ms) {
                batch.delete(Family::Retries, by_name(name))?;
            }
            pruned.left = pruned.left.saturating_sub(1);
        }
        Ok(())
    }
}

/// The outcome of pruning the oldest rows.
pub(super) struct Pruned {
    /// The number of rows that are left.
    pub(super) left: u64,
    /// Why some were passed over.
    pub(super) passed_over: Vec<Error>,
}

fn is_over(made_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(made_ms) >= RETRY_MS
}

pub(super) fn by_name(name: &[u8]) -> Vec<u8> {
    [&[BY_NAME], name].concat()
}

pub(super) fn by_time(made_ms: i64, name: &[u8]) -> Vec<u8> {
    // The clock never stands before 1970, so the sign needs no care.
    [&[BY_TIME], made_ms.to_be_bytes().as_slice(), name].concat()
}

pub(super) fn of_time(key: &[u8]) -> Option<(i64, &[u8])> {
    let (made_ms, name) = key.strip_prefix(&[BY_TIME])?.split_first_chunk()?;
    Some((i64::from_be_bytes(*made_ms), name))
}
