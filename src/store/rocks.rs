//! RocksDB: how it is opened and tuned, and the few calls the store makes of it.
//!
//! This file and those below it alone name rocksdb. Must not know what keys and values mean.
//! Invariants: one memory budget covers block cache, index, filters and memtables; a [`RocksView`] with
//! [`ReadTier::Memory`] never waits for the disk.

mod blocks;
mod families;
mod maintenance;
mod sorted;
mod statistics;
mod tuning;
mod view;

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    Cache, ColumnFamilyDescriptor, DB, DBRecoveryMode, DBWALIterator, ErrorKind, FlushOptions,
    IngestExternalFileOptions, LiveFile, LogLevel, Options, ReadOptions, ReadTier as RocksTier,
    WriteBatch as RocksBatch, WriteBufferManager, WriteOptions,
};

use blocks::Blocks;
pub(super) use sorted::{SortedFile, SortedFileOptions};
use tuning::family_options;
pub use view::ReadTier;
pub(super) use view::{RocksView, Scan, Value, ViewError};

use super::error::Error;
use super::key::Family;
use super::log::batch;
use super::log::batch::BatchRecord;
use super::log::commit::FAMILIES;

/// Memtables get a quarter of the store's memory, within these bounds.
const MEMTABLE_BYTES_MIN: usize = 4 << 20;
/// Bytes of memtables at most, which the disk must have space for.
pub const MEMTABLE_BYTES_MAX: usize = 64 << 20;
/// Older info logs are deleted.
const INFO_LOGS_MAX: usize = 3;
/// Files that are open at once where some are damaged: with a bound they are opened when they are read.
const READABLE_FILES: i32 = 256;

/// The part of the log that is to be there when a database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogCheck {
    /// The whole log, but for a write that was cut off at its very end.
    Whole,
    /// The part before the first damage.
    UpToDamage,
    /// The files as they are, whatever RocksDB's records say of them.
    AsItIs,
}

impl LogCheck {
    fn recovery_mode(self) -> DBRecoveryMode {
        match self {
            Self::Whole | Self::AsItIs => DBRecoveryMode::TolerateCorruptedTailRecords,
            Self::UpToDamage => DBRecoveryMode::PointInTime,
        }
    }
}

/// Bytes of memtables within a budget of `memory` bytes.
pub(super) fn memtable_bytes(memory: usize) -> usize {
    (memory / 4).clamp(MEMTABLE_BYTES_MIN, MEMTABLE_BYTES_MAX)
}

/// An open database.
pub(super) struct Rocks {
    db: DB,
    blocks: Blocks,
    from_memory: ReadOptions,
    from_disk: ReadOptions,
}

impl Rocks {
    /// Makes a database in `dir`, which has none.
    pub(super) fn create(dir: &Path, memory: usize) -> Result<Self, Error> {
        Self::open_or_create(dir, memory, Duration::ZERO, LogCheck::Whole, true)
    }

    /// Opens the database in `dir` within `memory` bytes. Logs that are no longer needed to open it are
    /// archived for `log_keep_time`, so that their commits can be read again. Families that a store of an
    /// earlier format lacks are made.
    pub(super) fn open(
        dir: &Path,
        memory: usize,
        log_keep_time: Duration,
        check: LogCheck,
    ) -> Result<Self, Error> {
        let rocks = Self::open_or_create(dir, memory, log_keep_time, check, false)?;
        rocks.expect_numbers()?;
        Ok(rocks)
    }

    fn open_or_create(
        dir: &Path,
        memory: usize,
        log_keep_time: Duration,
        check: LogCheck,
        create: bool,
    ) -> Result<Self, Error> {
        let memtables = memtable_bytes(memory);
        let cache = Cache::new_hyper_clock_cache(memory, 0);
        let mut options = Options::default();
        options.create_if_missing(create);
        options.create_missing_column_families(create || families::lacks_later(dir));
        options.set_error_if_exists(create);
        options.set_max_open_files(-1);
        options.set_skip_stats_update_on_db_open(true);
        options.set_max_background_jobs(2);
        options.set_keep_log_file_num(INFO_LOGS_MAX);
        options.set_log_level(LogLevel::Warn);
        options.set_wal_ttl_seconds(log_keep_time.as_secs());
        options.set_wal_recovery_mode(check.recovery_mode());
        options.set_track_and_verify_wals_in_manifest(check != LogCheck::AsItIs);
        // Files of all families end at one commit, so that without its log a store is as it was at
        // one moment.
        options.set_atomic_flush(true);
        // Memtables are charged to the block cache: one budget covers both.
        options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager_with_cache(
            memtables,
            false,
            cache.clone(),
        ));
        let families = Family::ALL.map(|family| {
            let mut options = family_options(family, Some(&cache));
            options.set_write_buffer_size(memtables / 2);
            ColumnFamilyDescriptor::new(family.name(), options)
        });
        let db = DB::open_cf_descriptors(&options, dir, families);
        db.map(Self::of).map_err(|e| unopened(dir, &e))
    }

    /// Opens what is left of a database for reading: a file that is damaged where all others are found is
    /// an error for its readers, and nothing is written.
    pub(super) fn open_readable(dir: &Path, memory: usize) -> Result<Self, Error> {
        let mut options = Options::default();
        options.set_paranoid_checks(false);
        options.set_max_open_files(READABLE_FILES);
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        Self::open_read_only(dir, memory, options)
    }

    /// Opens the database in `dir` for reading, within `memory` bytes and what the log holds, which is read
    /// into memory. Nothing is written.
    pub(super) fn open_to_read(dir: &Path, memory: usize, check: LogCheck) -> Result<Self, Error> {
        let mut options = Options::default();
        options.set_max_open_files(-1);
        options.set_skip_stats_update_on_db_open(true);
        options.set_wal_recovery_mode(check.recovery_mode());
        let rocks = Self::open_read_only(dir, memory, options)?;
        rocks.expect_numbers()?;
        Ok(rocks)
    }

    fn open_read_only(dir: &Path, memory: usize, mut options: Options) -> Result<Self, Error> {
        options.set_track_and_verify_wals_in_manifest(true);
        let cache = Cache::new_hyper_clock_cache(memory, 0);
        let families = families::to_read(dir).into_iter().map(|family| {
            ColumnFamilyDescriptor::new(family.name(), family_options(family, Some(&cache)))
        });
        let db = DB::open_cf_descriptors_read_only(&options, dir, families, false);
        db.map(Self::of).map_err(|e| unopened(dir, &e))
    }

    fn of(db: DB) -> Self {
        let mut from_memory = ReadOptions::default();
        from_memory.set_read_tier(RocksTier::BlockCache);
        Self {
            db,
            blocks: Blocks::new(),
            from_memory,
            from_disk: ReadOptions::default(),
        }
    }

    /// The value under `key` in the `state` family of the database in `dir`.
    pub(super) fn peek_state(dir: &Path, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        StatePeek::open(dir)?.state(key)
    }

    /// Changes that will be made together.
    pub(super) fn batch(&self) -> WriteBatch<'_> {
        WriteBatch {
            rocks: self,
            changes: RocksBatch::default(),
        }
    }

    /// Stops all that RocksDB does by itself, for good; reads go on. After a write that failed for want of
    /// space RocksDB would go on with another log once there is some: then the remains of the failed write
    /// in the log would stand there beside what is written later under the same number.
    pub(super) fn stop_work(&self) {
        self.db.cancel_all_background_work(false);
    }

    /// Makes all that was committed durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.db
            .flush_wal(true)
            .map_err(|e| failed("make writes durable".to_owned(), &e))
    }

    /// Returns an error unless every family has the number in the log that other stores know it by.
    fn expect_numbers(&self) -> Result<(), Error> {
        for family in Family::ALL {
            if self.handle_if_there(family)?.is_none() {
                continue;
            }
            let mut batch = self.batch();
            batch.delete(family, [])?;
            let read = batch::CommitBatch::open(batch.bytes());
            let record = read.and_then(|batch| batch.records(FAMILIES).next());
            let found = match record {
                Ok(Some(BatchRecord::Delete { family, .. })) => family,
                _ => 0,
            };
            if found != family.number() {
                return Err(Error::Damaged {
                    what: format!("the family {}", family.name()),
                    why: format!("it is number {found} instead of {}", family.number()),
                });
            }
        }
        Ok(())
    }

    /// The number of the row that was written last.
    pub(super) fn latest(&self) -> u64 {
        self.db.latest_sequence_number()
    }

    /// Returns the directory of its files.
    pub(super) fn dir(&self) -> &Path {
        self.db.path()
    }

    /// Makes the changes of a batch that another store committed. Its bytes must have been checked:
    /// after a batch that RocksDB refuses, it refuses all others.
    pub(super) fn commit_bytes(&self, batch: &[u8]) -> Result<(), Error> {
        self.db
            .write_opt(RocksBatch::from_data(batch), &WriteOptions::default())
            .map_err(|e| failed("write to the store".to_owned(), &e))
    }

    /// The batches in the log whose first row comes after number `seq`.
    pub(super) fn log_after(&self, seq: u64) -> Result<LogReader<'_>, Error> {
        let batches = self.db.get_updates_since(seq).map_err(log_failed)?;
        Ok(LogReader {
            batches,
            of: PhantomData,
        })
    }

    /// Makes a checkpoint of the database as it is now in `dir`, which must not be there. Files that
    /// never change are shared with it.
    pub(super) fn checkpoint(&self, dir: &Path) -> Result<(), Error> {
        // The memtables are flushed first, so that opening the checkpoint replays no log.
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint_with_log_size(dir, 0))
            .map_err(|e| failed(format!("make a checkpoint in {}", dir.display()), &e))
    }

    /// Takes sorted files into a family, moving them.
    pub(super) fn ingest(&self, family: Family, files: Vec<PathBuf>) -> Result<(), Error> {
        if files.is_empty() {
            return Ok(());
        }
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        self.db
            .ingest_external_file_cf_opts(self.handle(family)?, &options, files)
            .map_err(|e| failed(format!("take sorted files into {}", family.name()), &e))
    }

    /// The number of rows in the files of a family; exact where no row was written twice.
    pub(super) fn rows_in_files(&self, family: Family) -> Result<u64, Error> {
        let files = self.files()?;
        let of_family = files
            .iter()
            .filter(|file| file.column_family_name == family.name());
        Ok(of_family.map(|file| file.num_entries).sum())
    }

    /// The bytes of all files that hold rows.
    pub(super) fn file_bytes(&self) -> Result<u64, Error> {
        Ok(self.files()?.iter().map(|file| file.size as u64).sum())
    }

    fn files(&self) -> Result<Vec<LiveFile>, Error> {
        self.db
            .live_files()
            .map_err(|e| failed("list the store's files".to_owned(), &e))
    }

    /// Moves what is in memtables to files.
    pub(super) fn flush(&self) -> Result<(), Error> {
        let handles = Family::ALL.iter().map(|family| self.handle(*family));
        let handles = handles.collect::<Result<Vec<_>, _>>()?;
        self.db
            .flush_cfs_opt(&handles, &FlushOptions::default())
            .map_err(|e| failed("flush the store".to_owned(), &e))
    }
}

/// The `state` family of a database, whatever other families it has: nothing is written, nothing else is
/// opened, and a damaged log is read up to its damage.
pub(super) struct StatePeek {
    db: DB,
    dir: PathBuf,
}

impl StatePeek {
    /// Opens the database in `dir` for reading.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let state = Family::State.name();
        let mut options = Options::default();
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        // Without it RocksDB would forget its record of the logs, which it cannot do here.
        options.set_track_and_verify_wals_in_manifest(true);
        let db = DB::open_cf_for_read_only(&options, dir, [state], false)
            .map_err(|e| failed(format!("open the store in {}", dir.display()), &e))?;
        let dir = dir.to_owned();
        Ok(Self { db, dir })
    }

    /// The value under a key.
    pub(super) fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let family = self.db.cf_handle(Family::State.name());
        let family = family.ok_or_else(|| no_family(Family::State))?;
        let found = self.db.get_cf(family, key);
        found.map_err(|e| failed(format!("read the store in {}", self.dir.display()), &e))
    }

    /// The number of the row that was written last.
    pub(super) fn latest(&self) -> u64 {
        self.db.latest_sequence_number()
    }
}

/// Changes that are made together or not at all.
pub(super) struct WriteBatch<'r> {
    rocks: &'r Rocks,
    changes: RocksBatch,
}

impl WriteBatch<'_> {
    /// Writes a row, in place of the one that is there.
    pub(super) fn put(
        &mut self,
        family: Family,
        key: impl AsRef<[u8]>,
        value: &[u8],
    ) -> Result<(), Error> {
        let handle = self.rocks.handle(family)?;
        self.changes.put_cf(handle, key, value);
        Ok(())
    }

    /// Removes a row.
    pub(super) fn delete(&mut self, family: Family, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let handle = self.rocks.handle(family)?;
        self.changes.delete_cf(handle, key);
        Ok(())
    }

    /// Adds a note to the log that is no row.
    pub(super) fn note(&mut self, text: &[u8]) {
        self.changes.put_log_data(text);
    }

    /// The batch as RocksDB writes it, as far as it goes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.changes.data()
    }

    /// Makes the changes; `durable` waits until they are on the disk.
    pub(super) fn commit(self, durable: bool) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.set_sync(durable);
        self.rocks
            .db
            .write_opt(self.changes, &options)
            .map_err(|e| failed("write to the store".to_owned(), &e))
    }
}

/// Reads what was committed, in order, from the log.
pub(super) struct LogReader<'r> {
    batches: DBWALIterator,
    /// It must not outlive the database; RocksDB's interface leaves that to us.
    of: PhantomData<&'r Rocks>,
}

impl LogReader<'_> {
    /// The next batch with its first number; `None` when there is none, or none yet, and then never
    /// again.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match self.batches.next() {
            Some(Ok((_, batch))) => Ok(Some(batch.data().to_vec())),
            Some(Err(error)) => Err(log_failed(error)),
            // It also ends at an error: only its status tells the two apart.
            None => match self.batches.status() {
                Err(error) if error.kind() != ErrorKind::TryAgain => Err(log_failed(error)),
                _ => Ok(None),
            },
        }
    }
}

/// Returns the error that says whether the log itself is at fault, or only reading it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn log_failed(error: rocksdb::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Corruption => Error::Damaged {
            what: "the log of changes".to_owned(),
            why: error.to_string(),
        },
        _ => failed("read the log of changes".to_owned(), &error),
    }
}

/// Returns the number of the log that differs from RocksDB's record of it, if that is why it opens no
/// database.
pub(super) fn log_in_doubt(error: &Error) -> Option<u64> {
    let Error::Rocks { why, .. } = error else {
        return None;
    };
    let is_said = why.contains("Missing WAL") || why.contains("Size mismatch: WAL");
    let (_, rest) = why.split_once("log number: ").filter(|_| is_said)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn no_family(family: Family) -> Error {
    Error::Rocks {
        doing: format!("use the family {}", family.name()),
        why: "the store has none of that name".to_owned(),
    }
}

fn unopened(dir: &Path, error: &rocksdb::Error) -> Error {
    match error.kind() {
        ErrorKind::Corruption => Error::DamagedFile {
            dir: dir.to_owned(),
            why: error.to_string(),
        },
        _ => failed(format!("open the store in {}", dir.display()), error),
    }
}

fn failed(doing: String, error: &rocksdb::Error) -> Error {
    Error::Rocks {
        doing,
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
