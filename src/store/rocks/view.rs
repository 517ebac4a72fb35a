//! Views of the database: as far as memory or the disk, and as of when.
//!
//! Must not know what keys and values mean. Invariant: a [`RocksView`] with [`ReadTier::Memory`] never waits
//! for the disk.

use std::marker::PhantomData;

use rocksdb::{
    DBPinnableSlice, DBRawIterator, ErrorKind, ReadOptions, ReadTier as RocksTier, Snapshot,
};

use super::{Error, Family, Rocks, failed};
use crate::error::ReadError;

/// The bytes that a pass over a family reads ahead.
const READ_AHEAD_BYTES: usize = 1 << 20;

/// The read tier: memory alone, or the disk as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadTier {
    /// Answer at once from memory, or say that it is not enough: [`ReadError::Incomplete`].
    Memory,
    /// Go to the disk where needed; may block.
    Disk,
}

/// The error of a view: only one that may be bound to memory has a word for "incomplete".
pub(crate) trait ViewError: From<Error> {
    /// The error for one of RocksDB's.
    fn of(family: Family, error: &rocksdb::Error) -> Self;
}

impl ViewError for Error {
    fn of(family: Family, error: &rocksdb::Error) -> Self {
        failed(format!("read from {}", family.name()), error)
    }
}

impl ViewError for ReadError {
    fn of(family: Family, error: &rocksdb::Error) -> Self {
        match error.kind() {
            ErrorKind::Incomplete => Self::Incomplete,
            _ => Self::Failed(Error::of(family, error)),
        }
    }
}

/// A way to read the database: how far, and as of when. One that may use the disk fails with [`Error`], one
/// that may be bound to memory with [`ReadError`].
pub(crate) struct RocksView<'r, E = Error> {
    rocks: &'r Rocks,
    tier: ReadTier,
    snapshot: Option<Snapshot<'r>>,
    error: PhantomData<E>,
}

impl Rocks {
    /// A view of the database as it changes, from the disk where needed.
    pub(crate) fn view(&self) -> RocksView<'_> {
        self.view_of(ReadTier::Disk)
    }

    /// A view of the database as it changes, within a read tier.
    pub(crate) fn view_within(&self, tier: ReadTier) -> RocksView<'_, ReadError> {
        self.view_of(tier)
    }

    fn view_of<E>(&self, tier: ReadTier) -> RocksView<'_, E> {
        RocksView {
            rocks: self,
            tier,
            snapshot: None,
            error: PhantomData,
        }
    }
}

impl<'r, E: ViewError> RocksView<'r, E> {
    /// Returns the same view, standing still from now on.
    pub(crate) fn still(&self) -> Self {
        Self {
            rocks: self.rocks,
            tier: self.tier,
            snapshot: Some(self.rocks.db.snapshot()),
            error: PhantomData,
        }
    }

    /// Returns its read tier.
    pub(crate) fn tier(&self) -> ReadTier {
        self.tier
    }

    /// The value under `key`.
    pub(crate) fn get(
        &self,
        family: Family,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Value<'r>>, E> {
        let Some(handle) = self.rocks.handle_if_there(family)? else {
            return Ok(None);
        };
        let db = &self.rocks.db;
        let found = match (&self.snapshot, self.tier) {
            (Some(_), _) => db.get_pinned_cf_opt(handle, key, &self.options()),
            (None, ReadTier::Memory) => db.get_pinned_cf_opt(handle, key, &self.rocks.from_memory),
            (None, ReadTier::Disk) => db.get_pinned_cf_opt(handle, key, &self.rocks.from_disk),
        };
        found
            .map(|value| value.map(Value))
            .map_err(|e| E::of(family, &e))
    }

    /// The values under `keys`, in their order: from the disk cheaper than one by one, most of all when they
    /// are neighbours. From memory they are read one by one, because RocksDB's batched read reads files
    /// all the same, keeps nothing of them in its cache, and where one block is not enough gives an empty
    /// value and no error.
    pub(crate) fn get_all<K: AsRef<[u8]>>(
        &self,
        family: Family,
        keys: impl Iterator<Item = K>,
    ) -> Result<Vec<Option<Value<'r>>>, E> {
        if self.tier == ReadTier::Memory {
            return keys.map(|key| self.get(family, key)).collect();
        }
        let keys: Vec<K> = keys.collect();
        let Some(handle) = self.rocks.handle_if_there(family)? else {
            return Ok(keys.iter().map(|_| None).collect());
        };
        let db = &self.rocks.db;
        let found = db.batched_multi_get_cf_opt(handle, &keys, false, &self.options());
        let found = found.into_iter().map(|found| {
            found
                .map(|value| value.map(Value))
                .map_err(|e| E::of(family, &e))
        });
        found.collect()
    }

    /// Reads rows in key order, from `from` on and before `before`.
    pub(crate) fn scan(
        &self,
        family: Family,
        from: impl AsRef<[u8]>,
        before: Option<impl AsRef<[u8]>>,
    ) -> Result<Scan<'r, E>, E> {
        let mut options = self.options();
        if let Some(before) = before {
            options.set_iterate_upper_bound(before.as_ref());
        }
        let handle = self.rocks.handle_if_there(family)?;
        let rows = handle.map(|handle| {
            let mut rows = self.rocks.db.raw_iterator_cf_opt(handle, options);
            rows.seek(from);
            rows
        });
        Ok(Scan::of(rows, family))
    }

    /// Reads rows in descending key order, from `from` on, or from the last.
    pub(crate) fn scan_back(&self, family: Family, from: Option<&[u8]>) -> Result<Scan<'r, E>, E> {
        let handle = self.rocks.handle_if_there(family)?;
        let rows = handle.map(|handle| {
            let mut rows = self.rocks.db.raw_iterator_cf_opt(handle, self.options());
            match from {
                Some(from) => rows.seek_for_prev(from),
                None => rows.seek_to_last(),
            }
            rows
        });
        Ok(Scan {
            is_back: true,
            ..Scan::of(rows, family)
        })
    }

    /// Reads all rows of a family from `from` on, once: what passes does not displace what is read
    /// often.
    pub(crate) fn sweep(&self, family: Family, from: impl AsRef<[u8]>) -> Result<Scan<'r, E>, E> {
        let mut options = self.options();
        options.fill_cache(false);
        options.set_readahead_size(READ_AHEAD_BYTES);
        let handle = self.rocks.handle_if_there(family)?;
        let rows = handle.map(|handle| {
            let mut rows = self.rocks.db.raw_iterator_cf_opt(handle, options);
            rows.seek(from);
            rows
        });
        Ok(Scan::of(rows, family))
    }

    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if self.tier == ReadTier::Memory {
            options.set_read_tier(RocksTier::BlockCache);
        }
        if let Some(snapshot) = &self.snapshot {
            options.set_snapshot(snapshot);
        }
        options
    }
}

impl<E> Drop for RocksView<'_, E> {
    fn drop(&mut self) {
        self.rocks.blocks.note();
    }
}

/// A value, where the database holds it.
pub(crate) struct Value<'r>(DBPinnableSlice<'r>);

impl std::ops::Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A key and its value.
pub(crate) type RawRow<'s> = (&'s [u8], &'s [u8]);

/// Rows in key order.
pub(crate) struct Scan<'r, E = Error> {
    /// `None` for a family that is not there, and empty.
    rows: Option<DBRawIterator<'r>>,
    family: Family,
    is_back: bool,
    fresh: bool,
    error: PhantomData<E>,
}

impl<'r, E: ViewError> Scan<'r, E> {
    fn of(rows: Option<DBRawIterator<'r>>, family: Family) -> Self {
        Self {
            rows,
            family,
            is_back: false,
            fresh: true,
            error: PhantomData,
        }
    }

    /// The next row's key and value; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<RawRow<'_>>, E> {
        let Some(rows) = &mut self.rows else {
            return Ok(None);
        };
        if self.fresh {
            self.fresh = false;
        } else if self.is_back {
            rows.prev();
        } else {
            rows.next();
        }
        if !rows.valid() {
            // An iterator also ends at an error: only its status tells the two apart.
            rows.status().map_err(|e| E::of(self.family, &e))?;
            return Ok(None);
        }
        Ok(rows.item())
    }
}
