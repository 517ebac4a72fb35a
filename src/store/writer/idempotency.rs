//! Idempotency records: the outcomes of reviews that clients may send again, for a day.
//!
//! Must not know HTTP. Invariants: the outcome of a review is written in the batch that adds it; there are
//! at most [`IDEMPOTENCY_KEYS_MAX`], and of the clients that have the most the oldest are removed first; a
//! client that has more than its share loses its own, never those of another client; no address is stored,
//! only its hash, salted with the store's id. Rows by name answer, rows by time tell which are the oldest,
//! rows by client which are the oldest of a client.

use std::collections::{BTreeMap, BTreeSet};

use crate::decoding::read;
use crate::error::Error;
use crate::key::Family;
use crate::rocks::{RocksView, WriteBatch};
use crate::value::{IdempotencyRecord, encode};

/// The time for which the outcome of a review is remembered.
const RETRY_MS: i64 = 24 * 60 * 60 * 1000;
/// The number of outcomes that is remembered at most: some hundred megabytes, a day at eleven a second.
pub const IDEMPOTENCY_KEYS_MAX: u64 = 1_000_000;
/// More rows are not removed for one that is added, so that old ones go and no group waits long.
const PRUNED_PER_RETRY: u64 = 2;
/// The number of clients whose oldest row is remembered.
const CURSORS_MAX: usize = 1024;

pub(crate) const BY_CLIENT: u8 = b'c';
pub(crate) const BY_NAME: u8 = b'n';
pub(crate) const BY_TIME: u8 = b't';

/// The records of a store: how many each client has, and the places of the oldest rows.
pub(crate) struct IdempotencyKeys {
    /// Rows by time before this key are deleted: deleted rows are not passed over again and again.
    oldest: Vec<u8>,
    /// The same for rows by client, of clients that had too many.
    oldest_of: BTreeMap<u64, Vec<u8>>,
    /// The number of rows by client, of each client that has any.
    counts: BTreeMap<u64, u32>,
    /// The client that had the most at the last search.
    heaviest: Option<u64>,
    max: u64,
    per_client_max: u64,
}

impl IdempotencyKeys {
    /// A set of records with at most `max` of them, and at most `per_client_max` of one client.
    pub(crate) fn new(max: u64, per_client_max: u64) -> Self {
        Self {
            oldest: vec![BY_TIME],
            oldest_of: BTreeMap::new(),
            counts: BTreeMap::new(),
            heaviest: None,
            max,
            per_client_max,
        }
    }

    /// Counts the rows of each client anew. After an error those before the row that cannot be read
    /// are counted, so that the clients of the others have a larger share for a day.
    pub(crate) fn count(&mut self, view: &RocksView<'_>) -> Result<(), Error> {
        self.counts.clear();
        let mut rows = view.sweep(Family::IdempotencyKeys, [BY_CLIENT])?;
        while let Some((key, _)) = rows.next()? {
            if key.first() != Some(&BY_CLIENT) {
                break;
            }
            if let Some((client, ..)) = of_client(key) {
                *self.counts.entry(client).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Returns the outcome of the review with this name, however old it is.
    pub(crate) fn stored(
        view: &RocksView<'_>,
        name: &[u8],
    ) -> Result<Option<IdempotencyRecord>, Error> {
        let value = view.get(Family::IdempotencyKeys, by_name(name))?;
        value
            .map(|value| {
                read(
                    Family::IdempotencyKeys,
                    String::from_utf8_lossy(name),
                    &value,
                )
            })
            .transpose()
    }

    /// Visits all of them, by name.
    pub(crate) fn each(
        view: &RocksView<'_>,
        mut visit: impl FnMut(&[u8], IdempotencyRecord),
    ) -> Result<(), Error> {
        let mut rows = view.sweep(Family::IdempotencyKeys, [BY_NAME])?;
        while let Some((key, value)) = rows.next()? {
            let Some(name) = key.strip_prefix(&[BY_NAME]) else {
                break;
            };
            visit(
                name,
                read(
                    Family::IdempotencyKeys,
                    String::from_utf8_lossy(name),
                    value,
                )?,
            );
        }
        Ok(())
    }

    /// Begins the changes of one commit to a store that has `count` records with those that it adds.
    pub(crate) fn change<'c, 'r, 'b>(
        &'c mut self,
        view: &'c RocksView<'r>,
        batch: &'c mut WriteBatch<'b>,
        count: u64,
    ) -> KeyChanges<'c, 'r, 'b> {
        KeyChanges {
            idempotency_keys: self,
            view,
            batch,
            gone: BTreeSet::new(),
            pruned: PrunedKeys {
                left: count,
                passed_over: Vec::new(),
            },
        }
    }

    fn count_of(&self, client: u64) -> u64 {
        self.counts.get(&client).copied().unwrap_or(0).into()
    }

    /// Returns a client that has more than an equal part of the maximum. All are searched only when the
    /// last one has no more than that.
    fn heaviest(&mut self) -> Option<u64> {
        let equal = self.max / (self.counts.len() as u64).max(1);
        let known = self.heaviest.filter(|known| self.count_of(*known) > equal);
        self.heaviest = known.or_else(|| {
            let most = self.counts.iter().max_by_key(|(_, count)| **count);
            most.map(|(client, _)| *client)
        });
        self.heaviest.filter(|found| self.count_of(*found) > equal)
    }

    /// Notes that a row by client is added, with this key.
    fn enter(&mut self, client: u64, key: Vec<u8>) {
        let count = self.counts.entry(client).or_default();
        *count = count.saturating_add(1);
        if let Some(oldest) = self.oldest_of.get_mut(&client).filter(|it| key < **it) {
            *oldest = key;
        }
    }

    /// Notes that a row by client is removed.
    fn leave(&mut self, client: u64) {
        if let Some(count) = self.counts.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&client);
                self.oldest_of.remove(&client);
            }
        }
    }

    /// Notes that rows by client of this one before `key` are deleted.
    fn set_oldest_of(&mut self, client: u64, key: Vec<u8>) {
        self.oldest_of.insert(client, key);
        if self.oldest_of.len() > CURSORS_MAX {
            // Any will do: its deleted rows are passed over once more.
            self.oldest_of.pop_first();
        }
    }
}

/// The changes of one commit to the records. A record is removed once, whatever it is removed for.
pub(crate) struct KeyChanges<'c, 'r, 'b> {
    idempotency_keys: &'c mut IdempotencyKeys,
    view: &'c RocksView<'r>,
    batch: &'c mut WriteBatch<'b>,
    /// The rows by time that are removed.
    gone: BTreeSet<Vec<u8>>,
    pruned: PrunedKeys,
}

impl KeyChanges<'_, '_, '_> {
    /// Removes the outcome of a review, which is no longer counted.
    pub(crate) fn forget(&mut self, name: &[u8], retried: &IdempotencyRecord) -> Result<(), Error> {
        self.remove(retried.made_ms, name, Some(*retried))?;
        Ok(())
    }

    /// Adds the outcome of a review. The name is new, or its former record is removed.
    pub(crate) fn add(&mut self, name: &[u8], retried: &IdempotencyRecord) -> Result<(), Error> {
        let mut value = Vec::new();
        encode(retried, &mut value).map_err(|why| {
            crate::decoding::damaged(Family::IdempotencyKeys, String::from_utf8_lossy(name), &why)
        })?;
        self.batch
            .put(Family::IdempotencyKeys, by_name(name), &value)?;
        let time = by_time(retried.made_ms, name);
        self.batch.put(Family::IdempotencyKeys, &time, &[])?;
        if time < self.idempotency_keys.oldest {
            self.idempotency_keys.oldest = time;
        }
        if let Some(client) = retried.client {
            let key = by_client(client, retried.made_ms, name);
            self.batch.put(Family::IdempotencyKeys, &key, &[])?;
            self.idempotency_keys.enter(client, key);
        }
        Ok(())
    }

    /// Removes records in favour of those to be added: the oldest of a client that has more than its share,
    /// the expired ones, and where there are still too many the oldest of the client that has the most. Two
    /// rows at most of each kind for each that is added, so a client may have more than its share for a
    /// while. A row that cannot be read is passed over and stays, which does no harm.
    pub(crate) fn prune<'n>(
        &mut self,
        now_ms: i64,
        added: impl Iterator<Item = &'n IdempotencyRecord>,
    ) {
        let mut added_by: BTreeMap<Option<u64>, u64> = BTreeMap::new();
        for retried in added {
            *added_by.entry(retried.client).or_default() += 1;
        }
        for (client, added) in &added_by {
            let Some(client) = *client else {
                continue;
            };
            let count = self.idempotency_keys.count_of(client) + added;
            let over = count.saturating_sub(self.idempotency_keys.per_client_max);
            self.prune_client(client, over.min(PRUNED_PER_RETRY * added));
        }
        let rows_max = PRUNED_PER_RETRY * added_by.values().sum::<u64>();
        self.prune_oldest(rows_max, |made_ms| is_over(made_ms, now_ms));
        if self.too_many() > 0
            && let Some(client) = self.idempotency_keys.heaviest()
        {
            self.prune_client(client, self.too_many().min(rows_max));
        }
        self.prune_oldest(self.too_many().min(rows_max), |_| true);
    }

    /// Returns the number of records beyond the maximum.
    fn too_many(&self) -> u64 {
        self.pruned.left.saturating_sub(self.idempotency_keys.max)
    }

    /// Returns the number of records after all changes, and why some rows were passed over.
    pub(crate) fn finish(self) -> PrunedKeys {
        self.pruned
    }

    /// Removes the oldest records, as far as `goes` says so of when they were made.
    fn prune_oldest(&mut self, rows_max: u64, goes: impl Fn(i64) -> bool) {
        if rows_max > 0 {
            let done = self.prune_times(rows_max, goes);
            self.pruned.passed_over.extend(done.err());
        }
    }

    /// Removes the oldest records of a client.
    fn prune_client(&mut self, client: u64, rows_max: u64) {
        if rows_max > 0 {
            let done = self.prune_own(client, rows_max);
            self.pruned.passed_over.extend(done.err());
        }
    }

    fn prune_times(&mut self, rows_max: u64, goes: impl Fn(i64) -> bool) -> Result<(), Error> {
        let view = self.view;
        let mut rows = view.scan(
            Family::IdempotencyKeys,
            &self.idempotency_keys.oldest,
            Some([BY_TIME + 1]),
        )?;
        for _ in 0..rows_max {
            let Some((key, _)) = rows.next()? else {
                break;
            };
            let Some((made_ms, name)) = of_time(key) else {
                break;
            };
            // Those before it are deleted, some of them with others of their client.
            self.idempotency_keys.oldest = key.to_vec();
            if !goes(made_ms) {
                break;
            }
            let retried = match IdempotencyKeys::stored(view, name) {
                Ok(retried) => retried,
                Err(error) => {
                    // The next process, or `verify`, which quarantines it, looks at it again.
                    self.idempotency_keys.oldest.push(0);
                    self.pruned.passed_over.push(error);
                    continue;
                }
            };
            self.drop_one(made_ms, name, retried)?;
        }
        Ok(())
    }

    fn prune_own(&mut self, client: u64, rows_max: u64) -> Result<(), Error> {
        let view = self.view;
        let known = self.idempotency_keys.oldest_of.get(&client).cloned();
        let from = known.unwrap_or_else(|| client_prefix(client));
        let mut rows = view.scan(Family::IdempotencyKeys, from, Some(client_end(client)))?;
        for _ in 0..rows_max {
            let Some((key, _)) = rows.next()? else {
                break;
            };
            let Some((_, made_ms, name)) = of_client(key) else {
                break;
            };
            let mut oldest = key.to_vec();
            match IdempotencyKeys::stored(view, name) {
                Ok(retried) if is_record(retried.as_ref(), client, made_ms) => {
                    self.drop_one(made_ms, name, retried)?;
                }
                Ok(_) => {
                    // It was left behind, by a repair for one.
                    self.batch.delete(Family::IdempotencyKeys, key)?;
                    self.idempotency_keys.leave(client);
                }
                Err(error) => {
                    oldest.push(0);
                    self.pruned.passed_over.push(error);
                }
            }
            self.idempotency_keys.set_oldest_of(client, oldest);
        }
        Ok(())
    }

    /// Removes a record that is counted.
    fn drop_one(
        &mut self,
        made_ms: i64,
        name: &[u8],
        retried: Option<IdempotencyRecord>,
    ) -> Result<(), Error> {
        if self.remove(made_ms, name, retried)? {
            self.pruned.left = self.pruned.left.saturating_sub(1);
        }
        Ok(())
    }

    /// Removes the rows of a record, unless this commit has done so.
    fn remove(
        &mut self,
        made_ms: i64,
        name: &[u8],
        retried: Option<IdempotencyRecord>,
    ) -> Result<bool, Error> {
        let time = by_time(made_ms, name);
        if self.gone.contains(&time) {
            return Ok(false);
        }
        self.batch.delete(Family::IdempotencyKeys, &time)?;
        self.gone.insert(time);
        // A name that was used again since has a younger record, which stays.
        if let Some(retried) = retried.filter(|retried| retried.made_ms == made_ms) {
            self.batch.delete(Family::IdempotencyKeys, by_name(name))?;
            if let Some(client) = retried.client {
                let key = by_client(client, made_ms, name);
                self.batch.delete(Family::IdempotencyKeys, key)?;
                self.idempotency_keys.leave(client);
            }
        }
        Ok(true)
    }
}

/// The outcome of the changes of a commit.
pub(crate) struct PrunedKeys {
    /// The number of records that are left.
    pub(crate) left: u64,
    /// The errors for which some were passed over.
    pub(crate) passed_over: Vec<Error>,
}

/// Returns true if this is the record that a row by client stands for.
pub(crate) fn is_record(retried: Option<&IdempotencyRecord>, client: u64, made_ms: i64) -> bool {
    retried.is_some_and(|retried| (retried.client, retried.made_ms) == (Some(client), made_ms))
}

pub(crate) fn is_over(made_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(made_ms) >= RETRY_MS
}

pub(crate) fn by_name(name: &[u8]) -> Vec<u8> {
    [&[BY_NAME], name].concat()
}

pub(crate) fn by_time(made_ms: i64, name: &[u8]) -> Vec<u8> {
    // The clock never stands before 1970, so the sign needs no care.
    [&[BY_TIME], made_ms.to_be_bytes().as_slice(), name].concat()
}

pub(crate) fn of_time(key: &[u8]) -> Option<(i64, &[u8])> {
    let (made_ms, name) = key.strip_prefix(&[BY_TIME])?.split_first_chunk()?;
    Some((i64::from_be_bytes(*made_ms), name))
}

/// The clock never stands before 1970 here, either.
pub(crate) fn by_client(client: u64, made_ms: i64, name: &[u8]) -> Vec<u8> {
    let mut key = client_prefix(client);
    key.extend_from_slice(&made_ms.to_be_bytes());
    key.extend_from_slice(name);
    key
}

pub(crate) fn of_client(key: &[u8]) -> Option<(u64, i64, &[u8])> {
    let (client, rest) = key.strip_prefix(&[BY_CLIENT])?.split_first_chunk()?;
    let (made_ms, name) = rest.split_first_chunk()?;
    let (client, made_ms) = (u64::from_be_bytes(*client), i64::from_be_bytes(*made_ms));
    Some((client, made_ms, name))
}

fn client_prefix(client: u64) -> Vec<u8> {
    [&[BY_CLIENT], client.to_be_bytes().as_slice()].concat()
}

/// The first key behind the rows of a client.
fn client_end(client: u64) -> Vec<u8> {
    match client.checked_add(1) {
        Some(next) => client_prefix(next),
        None => vec![BY_CLIENT + 1],
    }
}

#[cfg(test)]
mod tests;
