//! The write-ahead log, read before RocksDB reads it: how far its commits follow each other.
//!
//! RocksDB takes damage that looks like the end of a log for a write that was cut off, and does not
//! notice rows that are missing in the middle. Every commit says which position it belongs behind
//! (`commit`), so the commits themselves show where something is missing. Must not know RocksDB, and
//! changes nothing unless the caller has logs set aside. Invariant: a log is sound when all that follows
//! its
//! damage, if anything, continues at the position before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::batch::CommitBatch;
use super::commit::ParsedCommit;
use super::position::LogPosition;
use crate::error::Error;

/// Logs are cut into blocks of so many bytes, and records into pieces that fit.
const BLOCK_BYTES: usize = 32 << 10;
/// Checksum, length and kind of a piece.
const HEADER_BYTES: usize = 7;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// In a store's directory: logs that RocksDB archived, needed by other stores alone.
const KEPT: &str = "archive";
/// In a store's directory: its logs as they were when their damage was accepted.
const ASIDE: &str = "damaged-log";

/// The result of reading a store's logs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct LogSurvey {
    /// The position after the last commit that follows from those before it; `None` where that is not known.
    pub(crate) end: Option<LogPosition>,
    /// The first damage that no commit continues behind.
    pub(crate) damage: Option<LogDamage>,
    /// True if there are commits behind the damage, so that it is not a write that was cut off.
    pub(crate) goes_on: bool,
}

/// The end of the sound part of the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogDamage {
    /// The last log with a sound record in it.
    pub(crate) log: u64,
    /// The number of its bytes that are sound.
    pub(crate) sound_bytes: u64,
    /// The fault behind them.
    pub(crate) why: String,
}

/// Reads all logs of the store in `dir`.
pub(crate) fn survey(dir: &Path) -> Result<LogSurvey, Error> {
    let mut surveyor = LogSurveyor::default();
    for log in logs(dir)? {
        surveyor.begin(log);
        let path = path_of(dir, log);
        let failed = || Error::io(format!("read {}", path.display()));
        let file = File::open(&path).map_err(|e| failed()(e))?;
        let mut reader = WalReader::of(file);
        loop {
            let step = reader.next().map_err(|e| failed()(e))?;
            match step {
                LogStep::End => break,
                LogStep::Damage(why) => surveyor.damaged(log, reader.offset(), why),
                LogStep::Record => {
                    surveyor.record(log, reader.offset(), &reader.record);
                    if surveyor.survey.goes_on {
                        return Ok(surveyor.survey);
                    }
                }
            }
        }
    }
    Ok(surveyor.survey)
}

/// Makes the logs of the store in `dir` durable, as they are.
pub(crate) fn sync(dir: &Path) -> Result<(), Error> {
    for path in paths(dir)? {
        File::open(&path)
            .and_then(|log| log.sync_all())
            .map_err(Error::io(format!("make {} durable", path.display())))?;
    }
    crate::datadir::files::sync(dir)
}

/// Returns an error where a log of the store in `dir` (archived logs included) that may hold the commits
/// behind row `seq` cannot be read. RocksDB's own reader ends there as if nothing followed.
pub(crate) fn expect_readable(dir: &Path, seq: u64) -> Result<(), Error> {
    // Listed last, so that a log that is archived meanwhile is there twice and not missing.
    let live = paths(dir)?;
    let mut all = kept(dir)?;
    all.extend(live);
    for path in all.into_iter().rev() {
        match reaches_back(&path, seq) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            // It was moved or removed just now.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(format!("read {}", path.display()))(e)),
        }
    }
    Ok(())
}

/// Returns true if a log holds the row behind `seq`, or earlier ones; then it is read to its end.
fn reaches_back(log: &Path, seq: u64) -> io::Result<bool> {
    let mut reader = WalReader::of(File::open(log)?);
    let mut step = reader.next()?;
    let first = CommitBatch::open(&reader.record).map(|batch| batch.first);
    if !matches!(step, LogStep::Record) || first.is_ok_and(|first| first > seq.saturating_add(1)) {
        return Ok(false);
    }
    while !matches!(step, LogStep::End) {
        step = reader.next()?;
    }
    Ok(true)
}

/// Copies the logs of the store in `dir` into a directory of their own, cuts what is behind the damage, and
/// removes later logs. Returns the directory of the copies.
pub(crate) fn set_aside(dir: &Path, damage: &LogDamage) -> Result<PathBuf, Error> {
    let aside = (0..).map(|n| dir.join(format!("{ASIDE}-{n}")));
    let aside = aside.into_iter().find(|aside| !aside.exists());
    let aside = aside.unwrap_or_else(|| dir.join(ASIDE));
    let set_aside = || {
        fs::create_dir(&aside)?;
        let all = logs(dir).map_err(io::Error::other)?;
        for log in &all {
            let copy = path_of(&aside, *log);
            fs::copy(path_of(dir, *log), &copy)?;
            File::open(copy)?.sync_all()?;
        }
        File::open(&aside)?.sync_all()?;
        File::open(dir)?.sync_all()?;
        for log in all {
            let path = path_of(dir, log);
            if log == damage.log {
                let cut = OpenOptions::new().write(true).open(&path)?;
                cut.set_len(damage.sound_bytes.min(cut.metadata()?.len()))?;
                cut.sync_all()?;
            } else if log > damage.log {
                fs::remove_file(&path)?;
            }
        }
        File::open(dir)?.sync_all()
    };
    set_aside().map_err(Error::io(format!(
        "move the damaged log of {} to {}",
        dir.display(),
        aside.display()
    )))?;
    Ok(aside)
}

/// Returns the paths of the logs that RocksDB archives for other stores beside the one in `dir`, from the
/// oldest to the latest.
pub(crate) fn kept(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let kept = dir.join(KEPT);
    if kept.is_dir() {
        paths(&kept)
    } else {
        Ok(Vec::new())
    }
}

/// Returns the paths of the logs in `dir` from the oldest to the latest.
pub(crate) fn paths(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let logs = logs(dir)?.into_iter();
    Ok(logs.map(|log| path_of(dir, log)).collect())
}

/// Returns the numbers of the logs in `dir` from the oldest to the latest.
fn logs(dir: &Path) -> Result<Vec<u64>, Error> {
    let names = crate::datadir::files::names_in(dir)?;
    let numbers = names.iter().filter_map(|name| {
        let number = name.strip_suffix(".log")?;
        number.parse::<u64>().ok()
    });
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Returns the path of a log; from a million on, its name has more than six digits.
fn path_of(dir: &Path, log: u64) -> PathBuf {
    dir.join(format!("{log:06}.log"))
}

/// The state of reading the logs.
#[derive(Default)]
struct LogSurveyor {
    survey: LogSurvey,
    /// The log and the offset in it behind the last sound record.
    sound: Option<(u64, u64)>,
    first: Option<u64>,
    /// True if nothing of the log at hand was read yet.
    is_fresh: bool,
}

impl LogSurveyor {
    fn begin(&mut self, log: u64) {
        self.first.get_or_insert(log);
        self.sound.get_or_insert((log, 0));
        self.is_fresh = true;
    }

    fn damaged(&mut self, log: u64, offset: u64, why: &str) {
        let (sound_log, sound_bytes) = self.sound.unwrap_or((log, 0));
        self.survey.damage.get_or_insert_with(|| LogDamage {
            log: sound_log,
            sound_bytes,
            why: format!("{why} before byte {offset} of {log:06}.log"),
        });
    }

    fn record(&mut self, log: u64, offset: u64, record: &[u8]) {
        let is_first = std::mem::take(&mut self.is_fresh) && self.survey.damage.is_none();
        let commit = match (CommitBatch::open(record), ParsedCommit::read(record)) {
            // Entries that RocksDB writes for itself have no rows.
            (Ok(batch), Err(_)) if batch.count == 0 => return self.is_sound(log, offset),
            (_, commit) => commit.ok(),
        };
        let follows = match (commit, self.survey.end) {
            // RocksDB removes logs that it no longer needs one by one, and in no order; of those that
            // it needs it notes how long each is.
            (Some(commit), Some(end)) if is_first && commit.before.seq > end.seq => true,
            (Some(commit), Some(end)) => commit.before == end,
            // No record says where a write without positions belongs, as the first one of a store.
            _ => self.survey.damage.is_none(),
        };
        if follows {
            self.survey.end = commit.map(|commit| commit.after);
            self.survey.damage = None;
            return self.is_sound(log, offset);
        }
        let is_earlier =
            |end: LogPosition| commit.is_some_and(|commit| commit.before.seq < end.seq);
        if is_first && self.survey.end.is_some_and(is_earlier) {
            // No record says which of them is where it belongs.
            self.survey.end = None;
            self.sound = self.first.map(|first| (first, 0));
            self.damaged(log, offset, "the logs are out of order");
        }
        self.damaged(log, offset, "commits are missing");
        self.survey.goes_on = true;
    }

    fn is_sound(&mut self, log: u64, offset: u64) {
        if self.survey.damage.is_none() {
            self.sound = Some((log, offset));
        }
    }
}

/// The next item of a log.
enum LogStep {
    /// A whole record, which is in the reader.
    Record,
    /// Bytes that are no record.
    Damage(&'static str),
    /// Nothing.
    End,
}

/// One log, block by block.
struct WalReader {
    file: File,
    block: Vec<u8>,
    /// The offset of the block in the file.
    start: u64,
    /// The number of bytes of the block that are read.
    at: usize,
    /// The record, as far as its pieces came.
    record: Vec<u8>,
    is_begun: bool,
}

impl WalReader {
    fn of(file: File) -> Self {
        Self {
            file,
            block: Vec::new(),
            start: 0,
            at: 0,
            record: Vec::new(),
            is_begun: false,
        }
    }

    /// The offset up to which the log was read.
    fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    fn next(&mut self) -> io::Result<LogStep> {
        loop {
            let rest = self.block.get(self.at..).unwrap_or_default();
            if rest.len() < HEADER_BYTES {
                if self.fill()? {
                    continue;
                }
                return Ok(if std::mem::take(&mut self.is_begun) {
                    LogStep::Damage("a record is cut off")
                } else {
                    LogStep::End
                });
            }
            // Space that was reserved and not written to.
            let is_empty = rest.starts_with(&[0; HEADER_BYTES]);
            let Some((kind, piece)) = sound_piece(rest).filter(|_| !is_empty) else {
                let was_begun = std::mem::take(&mut self.is_begun);
                self.skip();
                if is_empty && !was_begun {
                    continue;
                }
                return Ok(LogStep::Damage("a checksum is wrong"));
            };
            let begins = matches!(kind, FULL | FIRST);
            if begins == self.is_begun {
                // The record before has no end; or this one no beginning, and is passed over.
                self.at += if begins {
                    0
                } else {
                    HEADER_BYTES + piece.len()
                };
                self.is_begun = false;
                return Ok(LogStep::Damage("a part of a record is missing"));
            }
            if begins {
                self.record.clear();
            }
            self.record.extend_from_slice(piece);
            self.at += HEADER_BYTES + piece.len();
            self.is_begun = matches!(kind, FIRST | MIDDLE);
            if !self.is_begun {
                return Ok(LogStep::Record);
            }
        }
    }

    /// Reads the next block. Returns false if there is none.
    fn fill(&mut self) -> io::Result<bool> {
        self.start += self.block.len() as u64;
        self.at = 0;
        self.block.clear();
        let mut next = (&mut self.file).take(BLOCK_BYTES as u64);
        Ok(next.read_to_end(&mut self.block)? > 0)
    }

    /// Goes on at the next sound piece of the block, or behind the block.
    fn skip(&mut self) {
        let places = self.at + 1..self.block.len();
        let mut sound = places.filter(|at| {
            let rest = self.block.get(*at..).unwrap_or_default();
            sound_piece(rest).is_some()
        });
        self.at = sound.next().unwrap_or(self.block.len());
    }
}

/// The kind and the bytes of the piece that a block goes on with, if its checksum is right.
fn sound_piece(block: &[u8]) -> Option<(u8, &[u8])> {
    let (checksum, rest) = block.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let kind = *rest.first().filter(|kind| (FULL..=LAST).contains(*kind))?;
    let hashed = rest.get(..=usize::from(u16::from_le_bytes(*length)))?;
    let is_sound = masked(crc32c(hashed)) == u32::from_le_bytes(*checksum);
    is_sound.then(|| (kind, hashed.get(1..).unwrap_or_default()))
}

/// RocksDB does not store checksums as they are.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn crc32c(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        let place = crc.to_le_bytes()[0] ^ byte;
        (crc >> 8) ^ CRC32C.get(usize::from(place)).unwrap_or(&0)
    });
    !crc
}

/// The checksums of single bytes.
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
            bit += 1;
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "the loop stays within the table, and the compiler runs it"
        )]
        {
            table[byte as usize] = crc;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;
