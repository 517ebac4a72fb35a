//! Opening a store after any kind of end: all that was acknowledged is there, or the store is refused.
//!
//! The log is surveyed (`wal`) and held against the durability watermark (`watermark`) before RocksDB
//! opens the store, so that a store which is refused is left as it was. Invariant: a store is opened at
//! an earlier position than it was durable at only when the operator accepted that loss; then it begins
//! an epoch and skips ids, so that nothing that was lost is mistaken for what comes. Where the disk has no
//! space for what opening writes, a server may have the store opened to be read alone, and nothing is written.

use std::path::Path;
use std::time::Duration;

use super::commit_log::{CommitLog, position_from};
use super::position::LogPosition;
use super::wal::{self, LogDamage, LogSurvey};
use super::watermark::{Watermark, WatermarkFile};
use crate::error::{Error, Loss};
use crate::key::{Family, state};
use crate::rocks::{LogCheck, Rocks, StatePeek, log_in_doubt};
use crate::state::{expect_format, read_state};
use crate::store::Fallback;
use crate::value::Counters;

/// Ids that are skipped behind those of the watermark, which lags after a power failure: more than a
/// server gives within the half minute that the page cache may keep it.
const SKIPPED_IDS: u64 = 1_000_000;

/// The options with which a store is to be opened.
pub(crate) struct Recovery<'a> {
    /// The store's own directory.
    pub(crate) dir: &'a Path,
    /// The data directory, for sentences.
    pub(crate) data_dir: &'a Path,
    /// The primary that it follows.
    pub(crate) primary: Option<String>,
    /// Bytes for its caches and buffers.
    pub(crate) memory: usize,
    /// The time for which logs are archived that other stores alone need.
    pub(crate) log_keep_time: Duration,
    /// True if the operator accepts the loss of what is no longer there.
    pub(crate) accept_loss: bool,
    /// The way to open it where it does not open as usual.
    pub(crate) fallback: Fallback,
}

/// An open store, and what recovery found.
pub(crate) struct Recovered {
    pub(crate) rocks: Rocks,
    /// The store; `None` where the disk has no space for it.
    pub(crate) watermark: Option<WatermarkFile>,
    /// The loss, where it was accepted.
    pub(crate) loss: Option<String>,
    /// The write for which the disk had no space, so that the store is only read.
    pub(crate) full: Option<Error>,
}

/// The state of a store before RocksDB opens it.
struct LogFindings {
    survey: LogSurvey,
    watermark: Option<WatermarkFile>,
    /// The store's loss, if there is one.
    loss: Option<Loss>,
    /// The log that differs from RocksDB's record of it.
    doubted: Option<u64>,
}

impl Recovery<'_> {
    /// Opens the store.
    pub(crate) fn open(&self) -> Result<Recovered, Error> {
        let mut found = self.look()?;
        match found.loss.take() {
            None => self.open_whole(found),
            Some(loss) if self.accept_loss => self.open_rest(&found, &loss),
            Some(loss) => Err(Error::Lost(Box::new(loss))),
        }
    }

    /// Surveys the closed store, and changes nothing.
    fn look(&self) -> Result<LogFindings, Error> {
        let (watermark, mut why) = match WatermarkFile::open(self.dir) {
            Err(Error::Damaged { what, why }) => (None, Some(format!("{what}: {why}"))),
            read => (read?, None),
        };
        let known = watermark.as_ref().map(WatermarkFile::last);
        let survey = wal::survey(self.dir)?;
        // In this mode the commits behind the watermark may be lost.
        let is_lossy = known.is_some_and(|known| known.is_lossy);
        if survey.goes_on && !(is_lossy && survey.end.is_some()) {
            why = survey.damage.as_ref().map(|damage| damage.why.clone());
        }
        let (mut has, mut doubted) = (survey.end, None);
        match peek(self.dir) {
            Ok(at) => {
                if !survey.goes_on {
                    has = Some(at);
                }
                if known.is_some_and(|known| !known.is_reached_by(at)) {
                    let damage = survey.damage.as_ref().map(|damage| damage.why.clone());
                    why = why.or(damage).or(Some("its end is missing".to_owned()));
                }
            }
            Err(error) => {
                let log = log_in_doubt(&error).ok_or(error)?;
                why = why.or(Some(format!("{log:06}.log is missing or too short")));
                doubted = Some(log);
            }
        }
        let loss = why.map(|why| Loss {
            dir: self.data_dir.to_owned(),
            primary: self.primary.clone(),
            has,
            acknowledged: known.map(|known| known.at),
            why,
        });
        Ok(LogFindings {
            survey,
            watermark,
            loss,
            doubted,
        })
    }

    /// Opens a store that lost nothing. The remains of a write that was cut off are passed over.
    fn open_whole(&self, found: LogFindings) -> Result<Recovered, Error> {
        let check = if found.survey.damage.is_some() {
            LogCheck::UpToDamage
        } else {
            LogCheck::Whole
        };
        let rocks = match self.open_rocks(check) {
            Err(full) if self.falls_back_on(&full) => {
                return self.open_to_read(check, full);
            }
            opened => opened?,
        };
        let at = CommitLog::position_of(&rocks)?;
        let counters: Counters = read_state(&rocks, state::COUNTERS)?;
        let noted = match found.watermark {
            Some(mut file) => {
                let commit_header = Watermark::new(at, &counters, file.last().is_lossy);
                file.write(commit_header).map(|()| file)
            }
            None => WatermarkFile::create(self.dir, Watermark::new(at, &counters, false)),
        };
        let (watermark, full) = match noted {
            Err(full) if self.falls_back_on(&full) => (None, Some(full)),
            noted => (Some(noted?), None),
        };
        Ok(Recovered {
            rocks,
            watermark,
            loss: None,
            full,
        })
    }

    /// Opens a store that lost nothing and writes nothing, because the disk has no space to open it as
    /// usual. Its log is read into memory.
    fn open_to_read(&self, check: LogCheck, full: Error) -> Result<Recovered, Error> {
        // The process before may have ended between a write and its sync. The rows that readers see must
        // not be lost in a power failure.
        wal::sync(self.dir)?;
        Ok(Recovered {
            rocks: Rocks::open_to_read(self.dir, self.memory, check)?,
            watermark: None,
            loss: None,
            full: Some(full),
        })
    }

    /// Opens what is left of a store, as it was at one moment.
    fn open_rest(&self, found: &LogFindings, loss: &Loss) -> Result<Recovered, Error> {
        let doubted = found.doubted.map(|log| LogDamage {
            log,
            sound_bytes: u64::MAX,
            why: String::new(),
        });
        let damages = [found.survey.damage.as_ref(), doubted.as_ref()];
        let earliest = damages
            .into_iter()
            .flatten()
            .min_by_key(|damage| damage.log);
        if let Some(damage) = earliest {
            wal::set_aside(self.dir, damage)?;
        }
        let rocks = self.open_rocks(LogCheck::AsItIs)?;
        expect_format(
            self.dir,
            rocks.view().get(Family::State, state::FORMAT)?.as_deref(),
        )?;
        if !CommitLog::is_whole(&rocks)? {
            return Err(Error::Unsound {
                dir: self.data_dir.to_owned(),
            });
        }
        let mut commit_log = CommitLog::resume(&rocks)?;
        let mut counters: Counters = read_state(&rocks, state::COUNTERS)?;
        if self.primary.is_none() {
            let known = found.watermark.as_ref().map(WatermarkFile::last);
            let (reviews, photos) =
                known.map_or((0, 0), |known| (known.next_review_id, known.next_photo_id));
            let beyond = |own: u64, known: u64| own.max(known).saturating_add(SKIPPED_IDS);
            counters.next_review_id = beyond(counters.next_review_id, reviews);
            counters.next_photo_id = beyond(counters.next_photo_id, photos);
            commit_log.begin_epoch_with(&rocks, Some(&counters))?;
        }
        let commit_header = Watermark::new(commit_log.head(), &counters, false);
        Ok(Recovered {
            rocks,
            watermark: Some(WatermarkFile::create(self.dir, commit_header)?),
            loss: Some(loss.to_string()),
            full: None,
        })
    }

    /// Returns true if the store is read alone because of an error.
    fn falls_back_on(&self, error: &Error) -> bool {
        self.fallback == Fallback::ReadWhenFull && error.is_no_space()
    }

    fn open_rocks(&self, check: LogCheck) -> Result<Rocks, Error> {
        match Rocks::open(self.dir, self.memory, self.log_keep_time, check) {
            Err(Error::DamagedFile { .. }) if self.fallback == Fallback::ReadUndamaged => {
                Rocks::open_readable(self.dir, self.memory)
            }
            opened => opened,
        }
    }
}

/// Refuses the closed store in `dir` when it lacks acknowledged writes. Writes nothing.
pub(crate) fn refuse_lossy(dir: &Path, data_dir: &Path) -> Result<(), Error> {
    let loss = lost(dir, data_dir, None)?;
    loss.map_or(Ok(()), |loss| Err(Error::Lost(Box::new(loss))))
}

/// Finds the acknowledged writes that the closed store in `dir`, a replica of `primary` if there is one, lacks.
/// Writes nothing.
pub(crate) fn lost(
    dir: &Path,
    data_dir: &Path,
    primary: Option<String>,
) -> Result<Option<Loss>, Error> {
    let looking = Recovery {
        dir,
        data_dir,
        primary,
        memory: 0,
        log_keep_time: Duration::ZERO,
        accept_loss: false,
        fallback: Fallback::Refuse,
    };
    Ok(looking.look()?.loss)
}

/// Reads the position of the store in `dir` without writing anything.
fn peek(dir: &Path) -> Result<LogPosition, Error> {
    let store = StatePeek::open(dir)?;
    expect_format(dir, store.state(state::FORMAT)?.as_deref())?;
    position_from(store.state(state::HEAD)?.as_deref(), store.latest())
}
