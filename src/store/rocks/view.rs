//! How the database is read: as far as memory or the disk, and as of when.
//!
//! Must not know what keys and values mean. Invariant: a [`RocksView`] with [`ReadTier::Memory`] never waits
//! for the disk.

use std::marker::PhantomData;

use rocksdb::{
    DBPinnableSlice, DBRawIterator, ErrorKind, ReadOptions, ReadTier as RocksTier, Snapshot,
};

use super::{Error, Family, Rocks, failed};

/// The read tier: memory alone, or the disk as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadTier {
    /// Answer at once from memory, or say [`Error::NotInMemory`].
    Memory,
    /// Go to the disk where needed; may block.
    Disk,
}

/// A way to read the database: how far, and as of when.
pub(crate) struct RocksView<'r> {
    rocks: &'r Rocks,
    reach: ReadTier,
    snapshot: Option<Snapshot<'r>>,
}

impl<'r> RocksView<'r> {
    /// The same view, standing still from now on.
    pub(crate) fn still(&self) -> Self {
        Self {
            rocks: self.rocks,
            reach: self.reach,
            snapshot: Some(self.rocks.db.snapshot()),
        }
    }

    /// Returns its read tier.
    pub(crate) fn reach(&self) -> ReadTier {
        self.reach
    }

    /// The value under `key`.
    pub(crate) fn get(
        &self,
        family: Family,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Value<'r>>, Error> {
        let handle = self.rocks.handle(family)?;
        let db = &self.rocks.db;
        let found = match (&self.snapshot, self.reach) {
            (Some(_), _) => db.get_pinned_cf_opt(handle, key, &self.options()),
            (None, ReadTier::Memory) => db.get_pinned_cf_opt(handle, key, &self.rocks.from_memory),
            (None, ReadTier::Disk) => db.get_pinned_cf_opt(handle, key, &self.rocks.from_disk),
        };
        found
            .map(|value| value.map(Value))
            .map_err(|e| read_failed(family, &e))
    }

    /// The values under `keys`, in their order: from the disk cheaper than one by one, most of all when they
    /// are neighbours. From memory they are read one by one, because RocksDB's batched read reads files
    /// all the same, keeps nothing of them in its cache, and where one block is not enough gives an empty
    /// value and no error.
    pub(crate) fn get_all<K: AsRef<[u8]>>(
        &self,
        family: Family,
        keys: impl Iterator<Item = K>,
    ) -> Result<Vec<Option<Value<'r>>>, Error> {
        if self.reach == ReadTier::Memory {
            return keys.map(|key| self.get(family, key)).collect();
        }
        let handle = self.rocks.handle(family)?;
        let keys: Vec<K> = keys.collect();
        let db = &self.rocks.db;
        let found = db.batched_multi_get_cf_opt(handle, &keys, false, &self.options());
        let found = found.into_iter().map(|found| {
            found
                .map(|value| value.map(Value))
                .map_err(|e| read_failed(family, &e))
        });
        found.collect()
    }

    /// Reads rows in key order, from `from` on and before `before`.
    pub(crate) fn scan(
        &self,
        family: Family,
        from: impl AsRef<[u8]>,
        before: Option<impl AsRef<[u8]>>,
    ) -> Result<Scan<'r>, Error> {
        let mut options = self.options();
        if let Some(before) = before {
            options.set_iterate_upper_bound(before.as_ref());
        }
        let handle = self.rocks.handle(family)?;
        let mut rows = self.rocks.db.raw_iterator_cf_opt(handle, options);
        rows.seek(from);
        Ok(Scan {
            rows,
            family,
            fresh: true,
        })
    }

    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if self.reach == ReadTier::Memory {
            options.set_read_tier(RocksTier::BlockCache);
        }
        if let Some(snapshot) = &self.snapshot {
            options.set_snapshot(snapshot);
        }
        options
    }
}

impl Drop for RocksView<'_> {
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
pub(crate) struct Scan<'r> {
    rows: DBRawIterator<'r>,
    family: Family,
    fresh: bool,
}

impl Scan<'_> {
    /// The next row's key and value; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<RawRow<'_>>, Error> {
        if self.fresh {
            self.fresh = false;
        } else {
            self.rows.next();
        }
        if !self.rows.valid() {
            // An iterator also ends at an error: only its status tells the two apart.
            self.rows
                .status()
                .map_err(|e| read_failed(self.family, &e))?;
            return Ok(None);
        }
        Ok(self.rows.item())
    }
}

fn read_failed(family: Family, error: &rocksdb::Error) -> Error {
    match error.kind() {
        ErrorKind::Incomplete => Error::NotInMemory,
        _ => failed(format!("read from {}", family.name()), error),
    }
}
