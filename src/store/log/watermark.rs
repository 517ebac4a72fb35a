//! The durability watermark: how far the store was durable, kept outside its log.
//!
//! ```text
//! STORE/WATERMARK   two slots of 64 bytes, in sectors of their own; the valid one with the higher
//!                   generation counts, so that one that was cut off leaves the other
//! ```
//!
//! Must not know RocksDB. Invariants: it is written after what it names is durable, so it is a lower
//! bound: a store that is opened at an earlier position has lost acknowledged writes. It is not synced for
//! each commit, so after a power failure it lags behind by what the page cache held. A checkpoint, and so a
//! replica and a backup, never contains the watermark of the store that it was made of.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::position::LogPosition;
use crate::error::Error;
use crate::value::Counters;

const FILE: &str = "WATERMARK";
/// The file until it is complete and durable.
const NEXT_FILE: &str = "WATERMARK.next";
const MAGIC: [u8; 4] = *b"rvwm";
const VERSION: u8 = 1;
const SLOT_BYTES: usize = 64;
const HASHED_BYTES: usize = SLOT_BYTES - 8;
/// Sectors are written whole or not at all.
const SECTOR_BYTES: u64 = 512;
const SLOTS: u64 = 2;

/// A position that was durable, and what must not be used again after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watermark {
    /// The durable position.
    pub(crate) at: LogPosition,
    /// The next id of a review there.
    pub(crate) next_review_id: u64,
    /// The next id of a photo there.
    pub(crate) next_photo_id: u64,
    /// True if clients may know of later positions, which were not durable: `durability = "interval"`,
    /// without a clean stop since.
    pub(crate) is_lossy: bool,
}

impl Watermark {
    /// Makes the watermark of a store at a position.
    pub(crate) fn new(at: LogPosition, counters: &Counters, is_lossy: bool) -> Self {
        Self {
            at,
            next_review_id: counters.next_review_id,
            next_photo_id: counters.next_photo_id,
            is_lossy,
        }
    }

    /// Returns true if a store at `position` has all that was durable.
    pub(crate) fn is_reached_by(&self, position: LogPosition) -> bool {
        let (own, other) = (self.at, position);
        if own.epoch == other.epoch && own.seq == other.seq {
            return own.chain == other.chain;
        }
        other.epoch >= own.epoch && other.seq >= own.seq
    }

    fn to_slot(self, generation: u64) -> [u8; SLOT_BYTES] {
        let mut slot = [0; SLOT_BYTES];
        let head = [MAGIC.as_slice(), &[VERSION, u8::from(self.is_lossy), 0, 0]].concat();
        let numbers = [generation, self.next_review_id, self.next_photo_id];
        let numbers = numbers.map(u64::to_be_bytes).concat();
        let hashed = [head, numbers, self.at.to_bytes().to_vec()].concat();
        let hash = xxh3_64(&hashed).to_be_bytes();
        for (place, byte) in slot.iter_mut().zip(hashed.into_iter().chain(hash)) {
            *place = byte;
        }
        slot
    }

    /// Reads a slot with its generation; `None` when it is damaged, or was never written.
    fn from_slot(slot: &[u8]) -> Option<(u64, Self)> {
        let (hashed, hash) = slot.split_at_checked(HASHED_BYTES)?;
        if hash != xxh3_64(hashed).to_be_bytes() {
            return None;
        }
        let rest = hashed.strip_prefix(&MAGIC)?.strip_prefix(&[VERSION])?;
        let (is_lossy, rest) = rest.split_first()?;
        let (numbers, at) = rest.get(2..)?.split_at_checked(3 * 8)?;
        let mut numbers = numbers
            .chunks_exact(8)
            .filter_map(|number| Some(u64::from_be_bytes(number.try_into().ok()?)));
        let generation = numbers.next()?;
        Some((
            generation,
            Self {
                at: LogPosition::from_bytes(at)?,
                next_review_id: numbers.next()?,
                next_photo_id: numbers.next()?,
                is_lossy: *is_lossy != 0,
            },
        ))
    }
}

/// The file of an open store.
#[derive(Debug)]
pub(crate) struct WatermarkFile {
    file: File,
    path: PathBuf,
    generation: u64,
    last: Watermark,
}

impl WatermarkFile {
    /// Opens the file of the store in `dir`; `None` where there is none, as in a store of an earlier
    /// version or one that was just fetched. A file without a valid slot is an error.
    pub(crate) fn open(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(FILE);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(format!("open {}", path.display()))(e)),
        };
        let mut newest: Option<(u64, Watermark)> = None;
        for slot in 0..SLOTS {
            let mut bytes = [0; SLOT_BYTES];
            match file.read_exact_at(&mut bytes, slot * SECTOR_BYTES) {
                Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => {
                    return Err(Error::io(format!("read {}", path.display()))(e));
                }
                _ => {}
            }
            if let Some(read) = Watermark::from_slot(&bytes)
                && newest.is_none_or(|(generation, _)| generation < read.0)
            {
                newest = Some(read);
            }
        }
        let Some((generation, last)) = newest else {
            return Err(Error::Damaged {
                what: format!("the durability watermark {}", path.display()),
                why: "neither of its slots has its checksum".to_owned(),
            });
        };
        Ok(Some(Self {
            file,
            path,
            generation,
            last,
        }))
    }

    /// Makes the file of the store in `dir`, durably, in place of any that is there.
    pub(crate) fn create(dir: &Path, commit_header: Watermark) -> Result<Self, Error> {
        let (path, next) = (dir.join(FILE), dir.join(NEXT_FILE));
        let make = || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&next)?;
            file.set_len(SLOTS * SECTOR_BYTES)?;
            file.write_all_at(&commit_header.to_slot(0), 0)?;
            file.sync_all()?;
            fs::rename(&next, &path)?;
            File::open(dir)?.sync_all()?;
            Ok(file)
        };
        let file = make().map_err(Error::io(format!("write {}", path.display())))?;
        Ok(Self {
            file,
            path,
            generation: 0,
            last: commit_header,
        })
    }

    /// The latest watermark.
    pub(crate) fn last(&self) -> Watermark {
        self.last
    }

    /// Writes a later one.
    pub(crate) fn write(&mut self, commit_header: Watermark) -> Result<(), Error> {
        if commit_header == self.last {
            return Ok(());
        }
        let generation = self.generation + 1;
        let slot = (generation % SLOTS) * SECTOR_BYTES;
        self.file
            .write_all_at(&commit_header.to_slot(generation), slot)
            .map_err(Error::io(format!("write {}", self.path.display())))?;
        self.generation = generation;
        self.last = commit_header;
        Ok(())
    }

    /// Makes the latest durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(Error::io(format!("make {} durable", self.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn commit_header(seq: u64) -> Watermark {
        Watermark {
            at: LogPosition {
                epoch: 2,
                seq,
                chain: 7 * seq,
            },
            next_review_id: seq + 100,
            next_photo_id: seq + 200,
            is_lossy: seq % 2 == 1,
        }
    }

    fn reopened(dir: &Path) -> Watermark {
        WatermarkFile::open(dir).unwrap().unwrap().last()
    }

    #[test]
    fn the_bytes_of_a_watermark_never_change() {
        let mut expected = b"rvwm\x01\x01\0\0".to_vec();
        for number in [3_u64, 0x0103 + 100, 0x0103 + 200, 2, 0x0103, 7 * 0x0103] {
            expected.extend(number.to_be_bytes());
        }
        let slot = commit_header(0x0103).to_slot(3);
        assert_eq!(slot[..HASHED_BYTES], expected);
        assert_eq!(slot[HASHED_BYTES..], xxh3_64(&expected).to_be_bytes());
        assert_eq!(
            Watermark::from_slot(&slot),
            Some((3, commit_header(0x0103)))
        );
    }

    #[test]
    fn a_damaged_slot_leaves_the_watermark_before_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(WatermarkFile::open(dir.path()).unwrap().is_none());
        let mut file = WatermarkFile::create(dir.path(), commit_header(1)).unwrap();
        for seq in 2..6 {
            file.write(commit_header(seq)).unwrap();
            assert_eq!(reopened(dir.path()), commit_header(seq));
        }
        let length = fs::metadata(dir.path().join(FILE)).unwrap().len();
        assert_eq!(length, SLOTS * SECTOR_BYTES);
        // The latest is of generation 4, in the first slot.
        file.file.write_all_at(b"x", 20).unwrap();
        assert_eq!(reopened(dir.path()), commit_header(4));
        file.file.write_all_at(b"x", SECTOR_BYTES + 20).unwrap();
        let why = WatermarkFile::open(dir.path()).unwrap_err().to_string();
        assert!(
            why.contains("WATERMARK") && why.contains("checksum"),
            "{why}"
        );
    }

    #[test]
    fn an_earlier_or_another_position_does_not_reach_a_watermark() {
        let known = commit_header(10);
        let at = |epoch, seq, chain| known.is_reached_by(LogPosition { epoch, seq, chain });
        assert!(at(2, 10, 70) && at(2, 11, 5) && at(3, 12, 5));
        assert!(!at(2, 10, 71) && !at(2, 9, 63) && !at(1, 12, 5) && !at(3, 9, 5));
    }

    proptest! {
        #[test]
        fn a_slot_with_any_byte_changed_is_none(byte in 0..SLOT_BYTES, with in 1_u8..) {
            let mut slot = commit_header(9).to_slot(1);
            slot[byte] ^= with;
            prop_assert_eq!(Watermark::from_slot(&slot), None);
        }
    }
}
