//! Assumptions of the store about RocksDB, pinned: a test here fails when RocksDB changes.
//!
//! Must not use the store. Invariant: each test is one sentence that the store's code relies on.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedOptions, ColumnFamilyDescriptor, DB, ErrorKind, IngestExternalFileOptions, Options,
    ReadOptions, ReadTier, SstFileWriter, WriteBatch, WriteOptions,
};

const FAMILIES: [&str; 2] = ["one", "two"];

fn open(dir: &Path) -> DB {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let families = FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
    DB::open_cf_descriptors(&options, dir, families).unwrap()
}

/// Writes the number under itself into both families, in one batch.
fn write(db: &DB, number: u32, sync: bool) {
    let mut batch = WriteBatch::default();
    for name in FAMILIES {
        let family = db.cf_handle(name).unwrap();
        batch.put_cf(family, number.to_be_bytes(), vec![0; 100]);
    }
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    db.write_opt(batch, &options).unwrap();
}

fn has(db: &DB, name: &str, number: u32) -> bool {
    let family = db.cf_handle(name).unwrap();
    db.get_cf(family, number.to_be_bytes()).unwrap().is_some()
}

/// The log that is written now.
fn log_of(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
    logs.max().unwrap()
}

/// A copy of a database as a crash would leave it, with its log cut to so many bytes.
fn crashed(dir: &Path, log_bytes: u64) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let log = OpenOptions::new()
        .write(true)
        .open(log_of(copy.path()))
        .unwrap();
    log.set_len(log_bytes).unwrap();
    copy
}

#[test]
fn a_truncated_log_keeps_a_prefix_of_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for number in 0..20 {
        write(&db, number, true);
    }
    let whole = fs::metadata(log_of(dir.path())).unwrap().len();
    let mut before = 20;
    for cut in (0..=whole).rev().step_by(97) {
        let copy = crashed(dir.path(), cut);
        let db = open(copy.path());
        let there = (0..20)
            .take_while(|number| has(&db, "one", *number))
            .count();
        for (at, number) in (0..20).enumerate() {
            assert_eq!(has(&db, "one", number), at < there, "cut at {cut}");
            assert_eq!(has(&db, "two", number), at < there, "cut at {cut}");
        }
        assert!(there <= before, "a shorter log has no more");
        before = there;
    }
    assert_eq!(before, 0);
}

#[test]
fn a_log_that_lost_its_tail_takes_further_batches() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for number in 0..12 {
        write(&db, number, true);
    }
    let whole = fs::metadata(log_of(dir.path())).unwrap().len();
    let copy = crashed(dir.path(), whole - 1);
    for round in 0..2 {
        let db = open(copy.path());
        assert_eq!(has(&db, "one", 11), round == 1);
        write(&db, 11, true);
    }
}

#[test]
fn a_committed_batch_is_visible_at_once_synced_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for (number, sync) in [(1, true), (2, false)] {
        write(&db, number, sync);
        assert!(has(&db, "one", number) && has(&db, "two", number));
    }
}

#[test]
fn a_read_of_memory_only_is_incomplete_and_never_wrong() {
    let dir = tempfile::tempdir().unwrap();
    {
        let db = open(dir.path());
        write(&db, 1, true);
        db.flush_cf(db.cf_handle("one").unwrap()).unwrap();
    }
    let db = open(dir.path());
    let family = db.cf_handle("one").unwrap();
    let options = || {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        options
    };
    let key = 1_u32.to_be_bytes();
    let found = db.get_cf_opt(family, key, &options());
    assert_eq!(found.unwrap_err().kind(), ErrorKind::Incomplete);
    let mut rows = db.raw_iterator_cf_opt(family, options());
    rows.seek_to_first();
    // It looks like the end: only the status shows the error.
    assert!(!rows.valid());
    assert_eq!(rows.status().unwrap_err().kind(), ErrorKind::Incomplete);
    db.get_cf(family, key).unwrap();
    assert!(db.get_cf_opt(family, key, &options()).unwrap().is_some());
}

#[test]
fn a_batched_read_of_memory_reads_files_and_misses_values() {
    let dir = tempfile::tempdir().unwrap();
    {
        let db = open(dir.path());
        let family = db.cf_handle("one").unwrap();
        // Two rows fill a block of the second file, and 21 is behind them and before the next block.
        for numbers in [&[21_u32][..], &[10, 20, 30, 40]] {
            for number in numbers {
                let value = vec![0; 3000];
                db.put_cf(family, number.to_be_bytes(), value).unwrap();
            }
            db.flush_cf(family).unwrap();
        }
    }
    let db = open(dir.path());
    let family = db.cf_handle("one").unwrap();
    let options = || {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        options
    };
    let read = |number: u32| {
        let keys = [number.to_be_bytes()];
        let mut values = db.batched_multi_get_cf_opt(family, &keys, false, &options());
        values.pop().unwrap().unwrap().unwrap().len()
    };
    // It reads the block in which a key would be from the file, and does not cache it.
    for _ in 0..2 {
        assert_eq!(read(30), 3000);
        let found = db.get_cf_opt(family, 30_u32.to_be_bytes(), &options());
        assert_eq!(found.unwrap_err().kind(), ErrorKind::Incomplete);
    }
    // It does not read the next block, and gives an empty value without an error then.
    assert_eq!(read(21), 0);
    db.get_cf(family, 21_u32.to_be_bytes()).unwrap();
    assert_eq!(read(21), 3000);
}

#[test]
fn a_snapshot_stands_still_while_rows_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    write(&db, 1, false);
    let snapshot = db.snapshot();
    write(&db, 2, false);
    let family = db.cf_handle("one").unwrap();
    assert!(
        snapshot
            .get_cf(family, 1_u32.to_be_bytes())
            .unwrap()
            .is_some()
    );
    assert!(
        snapshot
            .get_cf(family, 2_u32.to_be_bytes())
            .unwrap()
            .is_none()
    );
}

#[test]
fn files_ingested_one_by_one_may_overlap_and_count_their_rows() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("db"));
    let family = db.cf_handle("one").unwrap();
    let mut options = Options::default();
    options.set_block_based_table_factory(&BlockBasedOptions::default());
    for (file, numbers) in [("a", [1_u32, 5, 9]), ("b", [2, 5, 7])] {
        let path = dir.path().join(file);
        let mut writer = SstFileWriter::create(&options);
        writer.open(&path).unwrap();
        for number in numbers {
            writer.put(number.to_be_bytes(), file).unwrap();
        }
        writer.finish().unwrap();
        let mut moving = IngestExternalFileOptions::default();
        moving.set_move_files(true);
        db.ingest_external_file_cf_opts(family, &moving, vec![path])
            .unwrap();
    }
    let rows: u64 = db
        .live_files()
        .unwrap()
        .iter()
        .map(|file| file.num_entries)
        .sum();
    assert_eq!(rows, 6);
    let five = db.get_cf(family, 5_u32.to_be_bytes()).unwrap();
    assert_eq!(
        five.as_deref(),
        Some(b"b".as_slice()),
        "the later file wins"
    );
    let unsorted = {
        let mut writer = SstFileWriter::create(&options);
        writer.open(dir.path().join("c")).unwrap();
        writer.put("b", "").unwrap();
        writer.put("a", "")
    };
    assert!(unsorted.is_err(), "keys that do not ascend are refused");
}

#[test]
fn a_subset_of_families_opens_read_only_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let db = open(dir.path());
        write(&db, 1, true);
    }
    let names = || {
        let entries = fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| !name.to_string_lossy().starts_with("LOG"));
        names.sort();
        names
    };
    let before = names();
    let db = DB::open_cf_for_read_only(&Options::default(), dir.path(), ["one"], false).unwrap();
    assert!(has(&db, "one", 1));
    drop(db);
    assert_eq!(names(), before);
}

fn open_keeping_logs(dir: &Path) -> DB {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_wal_ttl_seconds(3600);
    let families = FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
    DB::open_cf_descriptors(&options, dir, families).unwrap()
}

/// The first numbers of the batches that the log has after a number.
fn firsts_after(db: &DB, seq: u64) -> Vec<u64> {
    let batches = db.get_updates_since(seq).unwrap();
    batches.map(|batch| batch.unwrap().0).collect()
}

#[test]
fn the_log_returns_batches_that_begin_after_a_sequence_number() {
    let dir = tempfile::tempdir().unwrap();
    let db = open_keeping_logs(dir.path());
    // Two rows each: 1 and 2, 3 and 4, 5 and 6.
    for number in 0..3 {
        write(&db, number, true);
        assert_eq!(db.latest_sequence_number(), u64::from(number) * 2 + 2);
    }
    assert_eq!(firsts_after(&db, 0), [1, 3, 5]);
    assert_eq!(firsts_after(&db, 2), [3, 5]);
    // From within a batch it begins with the next, so that one is passed over in silence.
    assert_eq!(firsts_after(&db, 3), [5]);
    assert_eq!(firsts_after(&db, 6), [0; 0]);
    assert!(db.get_updates_since(7).is_err(), "there is no such row yet");
}

#[test]
fn a_log_that_is_gone_is_passed_over_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..4 {
        let db = open_keeping_logs(dir.path());
        write(&db, number, true);
    }
    let db = open_keeping_logs(dir.path());
    assert_eq!(firsts_after(&db, 0), [1, 3, 5, 7]);
    let archive = dir.path().join("archive");
    let logs = || {
        let entries = fs::read_dir(&archive).unwrap();
        let mut logs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        logs.sort();
        logs
    };
    // Removing the oldest does no harm.
    let oldest = logs().remove(0);
    fs::remove_file(oldest).unwrap();
    assert_eq!(
        firsts_after(&db, 0),
        [3, 5, 7],
        "no error, and no first batch"
    );
    write(&db, 4, true);
    for log in logs() {
        fs::remove_file(log).unwrap();
    }
    let firsts = firsts_after(&db, 2);
    assert!(firsts.is_empty() || firsts == [9], "{firsts:?}");
    drop(db);
    assert!(has(&open_keeping_logs(dir.path()), "one", 4));
}

#[test]
fn a_batch_that_is_written_from_its_bytes_is_the_same_batch() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (db, copy) = (
        open_keeping_logs(here.path()),
        open_keeping_logs(there.path()),
    );
    for number in 0..20_u32 {
        let mut batch = WriteBatch::default();
        batch.put_log_data(b"a note");
        let family = db.cf_handle(FAMILIES[number as usize % 2]).unwrap();
        batch.put_cf(family, number.to_be_bytes(), b"value");
        batch.delete_cf(family, (number / 2).to_be_bytes());
        let before = db.latest_sequence_number();
        let bytes = batch.data().to_vec();
        db.write(batch).unwrap();
        // Notes are no rows, and the number is all that writing changes of a batch.
        assert_eq!(db.latest_sequence_number(), before + 2);
        let (first, read) = db
            .get_updates_since(before)
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(first, before + 1);
        assert_eq!(read.data()[8..], bytes[8..]);
        assert_eq!(read.data()[..8], first.to_le_bytes());
        copy.write(WriteBatch::from_data(read.data())).unwrap();
        assert_eq!(copy.latest_sequence_number(), db.latest_sequence_number());
    }
    for name in FAMILIES {
        for number in 0..20 {
            assert_eq!(has(&copy, name, number), has(&db, name, number));
        }
    }
}

#[test]
fn families_are_numbered_in_the_order_of_their_creation() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for (number, name) in (1..).zip(FAMILIES) {
        let mut batch = WriteBatch::default();
        batch.delete_cf(db.cf_handle(name).unwrap(), b"");
        assert_eq!(batch.data()[12..], [4, number, 0], "{name}");
    }
}

#[test]
fn after_a_batch_that_it_refuses_rocksdb_refuses_all_others() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut unknown = vec![0; 8];
    // One row, in a family that is not there.
    unknown.extend([1, 0, 0, 0, 5, 99, 1, b'k', 0]);
    assert!(db.write(WriteBatch::from_data(&unknown)).is_err());
    let mut batch = WriteBatch::default();
    batch.put_cf(db.cf_handle("one").unwrap(), b"k", b"v");
    assert!(db.write(batch).is_err());
    drop(db);
    write(&open(dir.path()), 1, true);
}

#[test]
fn a_checkpoint_stays_at_the_sequence_number_of_its_database() {
    use rocksdb::checkpoint::Checkpoint;
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir.path().join("db"));
    for number in 0..5 {
        write(&db, number, true);
    }
    let at = dir.path().join("checkpoint");
    let checkpoint = Checkpoint::new(&db).unwrap();
    checkpoint.create_checkpoint_with_log_size(&at, 0).unwrap();
    write(&db, 5, true);
    let copy = open(&at);
    assert_eq!(copy.latest_sequence_number(), 10);
    assert!(has(&copy, "two", 4) && !has(&copy, "two", 5));
}
