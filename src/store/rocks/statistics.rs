//! RocksDB's statistics: what it holds where, what it still has to do, and what keeps it from taking
//! writes.
//!
//! Asks RocksDB, which takes a lock that commits take, too, for moments; and the file system. Invariant: a
//! value that RocksDB does not report is left out, and nothing here fails.

use std::collections::BTreeMap;
use std::fs;

use rocksdb::ColumnFamily;

use super::Rocks;
use crate::key::Family;
use crate::metrics::{Exposition, Number};

/// The properties of each family: the metric, RocksDB's name for it, the help.
const OF_FAMILIES: [(&str, &str, &str); 4] = [
    (
        "reviewsd_rocksdb_memtable_bytes",
        "rocksdb.cur-size-all-mem-tables",
        "Rows that are not in files yet.",
    ),
    (
        "reviewsd_rocksdb_immutable_memtables",
        "rocksdb.num-immutable-mem-table",
        "Full memtables that wait to be written to files.",
    ),
    (
        "reviewsd_rocksdb_compaction_pending_bytes",
        "rocksdb.estimate-pending-compaction-bytes",
        "Bytes that compactions have to rewrite, as RocksDB estimates them.",
    ),
    (
        "reviewsd_rocksdb_compaction_pending",
        "rocksdb.compaction-pending",
        "Whether a compaction waits to be run: 1 or 0.",
    ),
];

/// The properties of the whole database.
const OF_ALL: [(&str, &str, &str); 5] = [
    (
        "reviewsd_rocksdb_running_compactions",
        "rocksdb.num-running-compactions",
        "Running compactions.",
    ),
    (
        "reviewsd_rocksdb_running_flushes",
        "rocksdb.num-running-flushes",
        "Running flushes of memtables.",
    ),
    (
        "reviewsd_rocksdb_write_stopped",
        "rocksdb.is-write-stopped",
        "Whether RocksDB takes no write until compactions catch up: 1 or 0.",
    ),
    (
        "reviewsd_rocksdb_delayed_write_bytes_per_second",
        "rocksdb.actual-delayed-write-rate",
        "The rate that RocksDB slows writes down to; 0 when it does not.",
    ),
    (
        "reviewsd_rocksdb_background_errors",
        "rocksdb.background-errors",
        "Flushes and compactions that failed.",
    ),
];

/// The properties of the block cache, which all families share.
const OF_CACHE: [(&str, &str, &str); 3] = [
    (
        "reviewsd_rocksdb_block_cache_bytes",
        "rocksdb.block-cache-usage",
        "Memory of blocks, indexes, filters and memtables.",
    ),
    (
        "reviewsd_rocksdb_block_cache_pinned_bytes",
        "rocksdb.block-cache-pinned-usage",
        "Bytes of the block cache that are pinned.",
    ),
    (
        "reviewsd_rocksdb_block_cache_max_bytes",
        "rocksdb.block-cache-capacity",
        "Limit of the block cache.",
    ),
];

impl Rocks {
    /// Reports how the database does.
    pub(crate) fn describe(&self, page: &mut Exposition) {
        self.describe_files(page);
        self.describe_wal(page);
        for (name, property, help) in OF_FAMILIES {
            let mut metric = page.gauge(name, help);
            for (family, handle) in self.families() {
                if let Ok(Some(value)) = self.db.property_int_value_cf(handle, property) {
                    metric.sample(&[("family", family.name())], value);
                }
            }
        }
        for (name, property, help) in OF_ALL {
            if let Ok(Some(value)) = self.db.property_int_value(property) {
                page.gauge(name, help).value(value);
            }
        }
        // The family that is asked where none is named has a cache of its own, which is not used.
        for (name, property, help) in OF_CACHE {
            let value = self.handle(Family::Reviews).ok().and_then(|reviews| {
                let value = self.db.property_int_value_cf(reviews, property);
                value.ok().flatten()
            });
            if let Some(value) = value {
                page.gauge(name, help).value(value);
            }
        }
        self.describe_stalls(page);
        self.blocks.describe(page);
    }

    fn families(&self) -> impl Iterator<Item = (Family, &ColumnFamily)> {
        let all = Family::ALL.into_iter();
        all.filter_map(|family| Some((family, self.handle(family).ok()?)))
    }

    /// Files and bytes of each family, level by level.
    fn describe_files(&self, page: &mut Exposition) {
        let Ok(files) = self.files() else { return };
        let mut levels = BTreeMap::<(&str, i32), (u64, u64)>::new();
        for file in &files {
            let level = (file.column_family_name.as_str(), file.level);
            let (files, bytes) = levels.entry(level).or_default();
            *files += 1;
            *bytes += file.size as u64;
        }
        let mut tell = |name, help, value: fn((u64, u64)) -> u64| {
            let mut metric = page.gauge(name, help);
            for ((family, level), of_level) in &levels {
                let labels = [("family", *family), ("level", &level.to_string())];
                metric.sample(&labels, value(*of_level));
            }
        };
        tell(
            "reviewsd_rocksdb_files",
            "Files that hold rows.",
            |(files, _)| files,
        );
        tell(
            "reviewsd_rocksdb_file_bytes",
            "Bytes of the files that hold rows.",
            |(_, bytes)| bytes,
        );
    }

    /// The write-ahead log is what is in files of its own.
    fn describe_wal(&self, page: &mut Exposition) {
        let Ok(entries) = fs::read_dir(self.db.path()) else {
            return;
        };
        let logs = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().ends_with(b".log")
        });
        let bytes = logs.filter_map(|log| Some(log.metadata().ok()?.len()));
        page.gauge(
            "reviewsd_rocksdb_wal_bytes",
            "Bytes of the write-ahead log, which a start reads.",
        )
        .value(bytes.sum::<u64>());
    }

    /// Reports the delays and stops of writes, for each family and for the database.
    fn describe_stalls(&self, page: &mut Exposition) {
        let mut metric = page.counter(
            "reviewsd_rocksdb_stalls_total",
            "Times that RocksDB slowed writes down (delayed) or took none (stopped).",
        );
        let mut tell = |family: &str, stalls: &str| {
            for (kind, name) in [("delayed", "total-delays: "), ("stopped", "total-stops: ")] {
                if let Some(count) = number_after(stalls, name) {
                    metric.sample(&[("family", family), ("kind", kind)], count);
                }
            }
        };
        for (family, handle) in self.families() {
            let stalls = self
                .db
                .property_value_cf(handle, "rocksdb.cf-write-stall-stats");
            if let Ok(Some(stalls)) = stalls {
                tell(family.name(), &stalls);
            }
        }
        // Those for want of memtables are no single family's.
        if let Ok(Some(stalls)) = self.db.property_value("rocksdb.db-write-stall-stats") {
            let name = "write-buffer-manager-limit-stops: ";
            if let Some(count) = number_after(&stalls, name) {
                metric.sample(&[("family", "all"), ("kind", "stopped")], count);
            }
        }
    }
}

fn number_after(text: &str, name: &str) -> Option<Number> {
    let (_, rest) = text.split_once(name)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse::<u64>().ok().map(Number::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_after_a_name_is_found() {
        let stalls = "Write Stall (count): a-stops: 1, total-delays: 12, total-stops: 3\n";
        assert_eq!(
            number_after(stalls, "total-delays: "),
            Some(Number::Whole(12))
        );
        assert_eq!(
            number_after(stalls, "total-stops: "),
            Some(Number::Whole(3))
        );
        assert_eq!(number_after(stalls, "none: "), None);
        assert_eq!(number_after("a: b", "a: "), None);
    }
}
