//! An operator's requests to the database: how large it is, a pass over all of it, and that removed rows
//! are gone from the disk.
//!
//! Must not know what keys and values mean. Invariant: [`Rocks::scrub`] succeeds only when every
//! file that held one of the keys before is no longer on the disk.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Bound;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rocksdb::{BottommostLevelCompaction, CompactOptions, LiveFile, WriteOptions};

use super::super::error::Error;
use super::super::key::Family;
use super::{Rocks, failed};
use crate::log::wal;

/// Behind every key.
const KEYS_END: [u8; 32] = [0xff; 32];
/// The time to wait for readers of older states, and for files on their way out.
const GONE_TIME_MAX: Duration = Duration::from_secs(10);
/// The time between two looks at them.
const GONE_PERIOD: Duration = Duration::from_millis(5);

/// The size of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Rows, as the database estimates them.
    pub(crate) rows: u64,
    /// Bytes of its files.
    pub(crate) bytes: u64,
    /// Files.
    pub(crate) files: u64,
    /// Bytes in memory that are not on the disk yet.
    pub(crate) memtable_bytes: u64,
}

impl Rocks {
    /// Returns the size of a family.
    pub(crate) fn usage(&self, family: Family) -> Result<Usage, Error> {
        let files = self.files()?;
        let of_family = || {
            let mut files = files.iter();
            std::iter::from_fn(move || files.find(|file| file.column_family_name == family.name()))
        };
        Ok(Usage {
            rows: self.property(family, "rocksdb.estimate-num-keys")?,
            bytes: of_family().map(|file| file.size as u64).sum(),
            files: of_family().count() as u64,
            memtable_bytes: self.property(family, "rocksdb.cur-size-all-mem-tables")?,
        })
    }

    /// Bytes of the blocks, indexes and filters that are in memory, for all families together.
    pub(crate) fn cache_bytes(&self) -> Result<u64, Error> {
        self.property(Family::State, "rocksdb.block-cache-usage")
    }

    /// Bytes of the write-ahead log's segments.
    pub(crate) fn log_bytes(&self) -> Result<u64, Error> {
        let sizes = self.log_segments()?.into_iter();
        let sizes = sizes.filter_map(|segment| fs::metadata(segment).ok());
        Ok(sizes.map(|segment| segment.len()).sum())
    }

    /// Makes the rows removed under `keys` go from the disk: flushes everything, so that the write-ahead
    /// log's segments are given up, and rewrites the files that overlap the keys. The leftovers of an
    /// earlier scrub that was cut off go with them: in `family`, files that remove rows. Returns how many
    /// segments of the log are still there all the same, archived for other stores to read.
    pub(crate) fn scrub(&self, keys: &[(Family, Vec<u8>)], family: Family) -> Result<usize, Error> {
        let mut segments = self.log_segments()?;
        self.wait_for_readers()?;
        self.flush()?;
        // If there was nothing to flush, the segment in use has nothing in it either.
        let in_use = self.log_segments()?.pop();
        segments.retain(|segment| Some(segment) != in_use.as_ref());
        for of in Family::ALL {
            let of_family = keys.iter().filter(|(family, _)| *family == of);
            let keys: BTreeSet<&[u8]> = of_family.map(|(_, key)| key.as_slice()).collect();
            self.scrub_family(of, &keys, of == family)?;
        }
        wait_until(|| !segments.iter().any(|segment| segment.exists()));
        Ok(segments.iter().filter(|segment| segment.exists()).count() + self.archived()?)
    }

    /// Removes all rows of a family, durably, and does not read them for it: files that hold nothing else
    /// go as they are, damaged or not.
    pub(crate) fn clear(&self, family: Family) -> Result<(), Error> {
        let handle = self.handle(family)?;
        let doing = || format!("clear {}", family.name());
        self.db
            .flush_cf(handle)
            .and_then(|()| {
                self.db
                    .delete_file_in_range_cf(handle, [].as_slice(), KEYS_END.as_slice())
            })
            .map_err(|e| failed(doing(), &e))?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db
            .delete_range_cf_opt(handle, [].as_slice(), KEYS_END.as_slice(), &options)
            .map_err(|e| failed(doing(), &e))
    }

    fn scrub_family(
        &self,
        family: Family,
        keys: &BTreeSet<&[u8]>,
        removing: bool,
    ) -> Result<(), Error> {
        let handle = self.handle(family)?;
        let mut before = Vec::new();
        for file in self.files()? {
            if file.column_family_name != family.name() {
                continue;
            }
            let removes = removing && self.removes(file.level, family)?;
            let held = overlap(&file, keys).filter(|_| !removes);
            if removes || held.is_some() {
                before.push((file, held));
            }
        }
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        // A file at the bottom is rewritten as well: that is where most of what was removed is.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        for (file, held) in &before {
            let whole = file.start_key.as_deref().zip(file.end_key.as_deref());
            // Of the other files as few as possible. The call passes over a file in which it finds none
            // of the keys.
            for (first, last) in held.iter().copied().chain(whole) {
                if self.has_file(file)? {
                    self.db
                        .compact_range_cf_opt(handle, Some(first), Some(last), &options);
                }
            }
        }
        let paths: Vec<PathBuf> = before
            .iter()
            .map(|(file, ..)| self.db.path().join(file.name.trim_start_matches('/')))
            .collect();
        wait_until(|| !paths.iter().any(|path| path.exists()));
        match paths.iter().find(|path| path.exists()) {
            None => Ok(()),
            // The call that rewrites does not report its failure.
            Some(path) => Err(Error::Rocks {
                doing: format!("rewrite {}", path.display()),
                why:
                    "the file still exists; erased reviews can no longer be read, but their bytes \
                      remain in it until it is rewritten. Please erase them again"
                        .to_owned(),
            }),
        }
    }

    fn has_file(&self, wanted: &LiveFile) -> Result<bool, Error> {
        Ok(self.files()?.iter().any(|file| file.name == wanted.name))
    }

    /// Waits for readers of an earlier state: what they can read stays on the disk.
    fn wait_for_readers(&self) -> Result<(), Error> {
        let now = self.db.latest_sequence_number();
        let mut oldest = Ok(0);
        wait_until(|| {
            // 0 when there are none.
            oldest = self.property(Family::State, "rocksdb.oldest-snapshot-sequence");
            !matches!(oldest, Ok(oldest) if (1..now).contains(&oldest))
        });
        match oldest {
            Ok(oldest) if (1..now).contains(&oldest) => Err(Error::Rocks {
                doing: "delete erased reviews from the disk".to_owned(),
                why: "a reader still has an earlier state open. Other readers no longer see the \
                      reviews; please erase them again"
                    .to_owned(),
            }),
            oldest => oldest.map(drop),
        }
    }

    /// Returns true if files at a level of a family remove rows. How many a file removes is not known of
    /// those that an earlier process wrote.
    fn removes(&self, level: i32, family: Family) -> Result<bool, Error> {
        let name = format!("rocksdb.aggregated-table-properties-at-level{level}");
        let properties = self.db.property_value_cf(self.handle(family)?, &name);
        let properties = properties
            .map_err(|e| failed(format!("ask for {name} of {}", family.name()), &e))?
            .unwrap_or_default();
        Ok(!properties.contains("# deletions=0;"))
    }

    fn property(&self, family: Family, name: &str) -> Result<u64, Error> {
        let Some(handle) = self.handle_if_there(family)? else {
            return Ok(0);
        };
        let value = self.db.property_int_value_cf(handle, name);
        value
            .map(Option::unwrap_or_default)
            .map_err(|e| failed(format!("ask for {name} of {}", family.name()), &e))
    }

    fn log_segments(&self) -> Result<Vec<PathBuf>, Error> {
        wal::paths(self.db.path())
    }

    /// Returns the segments that are archived although nothing in them is needed for a restart.
    fn archived(&self) -> Result<usize, Error> {
        Ok(wal::kept(self.db.path())?.len())
    }
}

/// The first and the last of the keys that a file may hold.
fn overlap<'k>(file: &LiveFile, keys: &BTreeSet<&'k [u8]>) -> Option<(&'k [u8], &'k [u8])> {
    let (start, end) = (file.start_key.as_deref()?, file.end_key.as_deref()?);
    let mut held = keys.range::<[u8], _>((Bound::Included(start), Bound::Included(end)));
    let first = held.next()?;
    Some((first, held.next_back().unwrap_or(first)))
}

/// Waits until a condition holds, for a bounded time.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() && begun.elapsed() < GONE_TIME_MAX {
        thread::sleep(GONE_PERIOD);
    }
}
