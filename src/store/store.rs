//! The handle of an open store: how it is opened, what is noted beside it, and what stands ready for its
//! users: the commit feed, the reader, the fence.
//!
//! Must not know HTTP, JSON or how rows are read. Invariants: a store is opened by one process at a time,
//! and whole; the note that it takes no writes is durable before it is reported.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::Hashes;
use super::datadir::DataDir;
use super::datadir::last_backup;
use super::datadir::last_backup::{BackedUp, Noting};
use super::error::Error;
use super::fence::{Fence, Fences};
use super::key::state;
use super::large_products::LargeProducts;
use super::log::commit_feed::CommitFeed;
use super::log::commit_log::CommitLog;
use super::log::durability::DurableMark;
use super::log::position::LogPosition;
use super::log::recovery::{Recovered, Recovery};
use super::log::wal;
use super::rocks::{Rocks, memtable_bytes};
use super::state::{new_store_id, read_state, write_state};
use super::value::{Counters, Identity};
use super::writer::disk_space::{DiskFull, DiskSpace, has_space_for};
use crate::metrics::Exposition;

/// An open store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<StoreInner>,
}

/// The options for opening a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// Bytes that its caches and buffers may take.
    pub memory: u64,
    /// The time for which logs of changes are archived that other stores alone need; `None` is for a
    /// process that opens the store for a moment, and leaves them to the processes that archive any.
    pub log_keep_time: Option<Duration>,
    /// True if it is opened as a replica of another store, or to become none.
    pub as_copy: bool,
    /// True if it is opened although acknowledged writes are missing, as far as it is whole.
    pub accept_loss: bool,
    /// The way to open it where it does not open as usual.
    pub fallback: Fallback,
}

/// The way to open a store that does not open as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// None: it is not opened.
    Refuse,
    /// To read what is left of it, although files of it are damaged.
    ReadUndamaged,
    /// To be read alone where the disk has no space for what opening it writes; [`Store::full`] reports it.
    ReadWhenFull,
}

/// The time for which a process that opens the store for a moment archives logs that other stores may need.
const LOG_KEEP_TIME: Duration = Duration::from_hours(24);

impl OpenOptions {
    /// Returns the options for a store that is no replica, within so much memory.
    #[must_use]
    pub const fn own(memory: u64) -> Self {
        Self {
            memory,
            log_keep_time: None,
            as_copy: false,
            accept_loss: false,
            fallback: Fallback::Refuse,
        }
    }

    /// Returns the options for a store that may be a replica, and is not written to.
    #[must_use]
    pub const fn to_look(memory: u64) -> Self {
        Self {
            as_copy: true,
            ..Self::own(memory)
        }
    }

    /// Returns the options for a store whose files may be damaged: their rows are missing then.
    #[must_use]
    pub const fn to_save(memory: u64) -> Self {
        Self {
            fallback: Fallback::ReadUndamaged,
            ..Self::to_look(memory)
        }
    }
}

struct StoreInner {
    rocks: Rocks,
    identity: Identity,
    feed: CommitFeed,
    fences: Arc<Fences>,
    fullness: Arc<DiskSpace>,
    /// Bytes of memtables, which the disk must have space for.
    memtable_bytes: u64,
    /// The position at which it was opened.
    opened_at: LogPosition,
    large_products: LargeProducts,
    hashes: Hashes,
    durability: DurableMark,
    noting: Noting,
    /// The loss, where it was accepted.
    loss: Option<String>,
    // Dropped after the database: the directory stays locked until it is closed.
    data: DataDir,
}

impl Store {
    /// Opens the store in a data directory in the name of `who`, making an empty one where there
    /// is none, within `memory` bytes. `now_ms` is the time that an empty one is made at.
    pub fn open(data_dir: &Path, who: &str, memory: u64, now_ms: i64) -> Result<Self, Error> {
        Self::open_as(data_dir, who, OpenOptions::own(memory), now_ms)
    }

    /// Opens the store in a data directory, making an empty one at `now_ms` where there is none. A replica
    /// is opened as one or not at all, since any write of its own separates it from its primary.
    pub fn open_as(
        data_dir: &Path,
        who: &str,
        open_options: OpenOptions,
        now_ms: i64,
    ) -> Result<Self, Error> {
        let empty = |data: &DataDir, memory| make_empty(data, memory, now_ms, None);
        Self::open_in(DataDir::lock(data_dir, who)?, open_options, empty)
    }

    /// Opens the store as [`Self::open_as`] does; but an empty store that is made takes no writes, until
    /// an operator says that it may.
    pub fn open_fenced(
        data_dir: &Path,
        who: &str,
        open_options: OpenOptions,
        now_ms: i64,
    ) -> Result<Self, Error> {
        let empty = |data: &DataDir, memory| make_empty(data, memory, now_ms, Some(Fence::Empty));
        Self::open_in(DataDir::lock(data_dir, who)?, open_options, empty)
    }

    /// Opens the store that is in a data directory; an error where there is none.
    pub fn open_existing(
        data_dir: &Path,
        who: &str,
        open_options: OpenOptions,
    ) -> Result<Self, Error> {
        let none = || Error::NoStore {
            dir: data_dir.to_owned(),
        };
        if !data_dir.is_dir() {
            // Locking it would make one.
            return Err(none());
        }
        Self::open_in(DataDir::lock(data_dir, who)?, open_options, |_, _| {
            Err(none())
        })
    }

    fn open_in(
        data: DataDir,
        open_options: OpenOptions,
        absent: impl FnOnce(&DataDir, usize) -> Result<PathBuf, Error>,
    ) -> Result<Self, Error> {
        if !open_options.as_copy {
            if let Some(primary) = data.follows()? {
                let dir = data.path().to_owned();
                return Err(Error::Follows { dir, primary });
            }
            data.sweep_bootstrap()?;
        }
        let memory = usize::try_from(open_options.memory).unwrap_or(usize::MAX);
        let dir = match data.current()? {
            Some(dir) => dir,
            None => absent(&data, memory)?,
        };
        let log_keep_time = match open_options.log_keep_time {
            Some(time) => time,
            None if keeps_logs(&dir) || data.follows()?.is_some() => LOG_KEEP_TIME,
            None => Duration::ZERO,
        };
        let recovery = Recovery {
            dir: &dir,
            data_dir: data.path(),
            primary: data.follows()?,
            memory,
            log_keep_time,
            accept_loss: open_options.accept_loss,
            fallback: open_options.fallback,
        };
        let Recovered {
            rocks,
            watermark,
            loss,
            full,
        } = recovery.open()?;
        let identity = read_state(&rocks, state::IDENTITY)?;
        let opened_at = CommitLog::position_of(&rocks)?;
        let fence = data.fenced()?.map(|why| Fence::from_text(&why));
        let store = Self {
            shared: Arc::new(StoreInner {
                rocks,
                identity,
                feed: CommitFeed::new(opened_at),
                fences: Arc::new(Fences::of(fence)),
                fullness: Arc::default(),
                memtable_bytes: memtable_bytes(memory) as u64,
                opened_at,
                large_products: LargeProducts::default(),
                hashes: Hashes::default(),
                durability: DurableMark::new(watermark),
                noting: Noting::default(),
                loss,
                data,
            }),
        };
        if let Some(error) = full {
            store.run_full(&error, true);
        }
        Ok(store)
    }

    /// Returns the loss, where the store was opened all the same.
    #[must_use]
    pub fn loss(&self) -> Option<&str> {
        self.shared.loss.as_deref()
    }

    /// Returns the commit feed: the latest commits, and how far they came.
    #[must_use]
    pub fn feed(&self) -> &CommitFeed {
        &self.shared.feed
    }

    /// Returns the primary that the store is a replica of; `None` on a primary.
    pub fn follows(&self) -> Result<Option<String>, Error> {
        self.shared.data.follows()
    }

    /// Returns the reason for which the store takes no writes; `None` where it does.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.shared.fences.get()
    }

    /// Returns the reason for which the store takes no writes for want of space; `None` where it does.
    #[must_use]
    pub fn full(&self) -> Option<DiskFull> {
        self.shared.fullness.get()
    }

    /// Waits until the store takes no writes for want of space.
    pub async fn until_full(&self) -> DiskFull {
        let mut changes = self.shared.fullness.watch();
        loop {
            if let Some(full) = self.full() {
                return full;
            }
            // An error is that the state is dropped, which lives as long as the store.
            let _ = changes.changed().await;
        }
    }

    /// Takes no writes from now on, because `error` says that the disk has no space. Reads go on, from the
    /// state before that write. `since_start` says that no write was taken before.
    pub fn run_full(&self, error: &Error, since_start: bool) {
        self.durability().give_up();
        self.rocks().stop_work();
        self.shared.fullness.note(error, since_start);
        // Never closed: closing waits for RocksDB to recover, which on a full disk it may never do.
        std::mem::forget(self.clone());
    }

    /// Bytes that must be free before a store that ran full is opened anew, where its writer wants so many.
    #[must_use]
    pub fn space_wanted(&self, free_space_min: u64) -> u64 {
        // Opening it writes what is in the log to files.
        free_space_min.max(self.shared.memtable_bytes)
    }

    /// Returns true if the disk has that space. Asks the file system.
    #[must_use]
    pub fn has_space_again(&self, free_space_min: u64) -> bool {
        let wanted = self.space_wanted(free_space_min);
        let is_free = self.free_space().is_ok_and(|free| free >= wanted);
        is_free && has_space_for(self.data_dir(), self.shared.memtable_bytes)
    }

    /// Takes no writes from now on, and remembers that, durably. Returns whether that is news.
    pub fn put_up_fence(&self, why: Fence) -> Result<bool, Error> {
        let is_news = self.shared.fences.put_up(why);
        if is_news {
            self.shared.data.set_fenced(Some(&why.to_text()))?;
        }
        Ok(is_news)
    }

    /// Begins the history of this store anew on an operator's order: its rows count from now on, whatever
    /// other servers have. Must be called before anything writes to it. Returns the position then.
    pub fn begin_anew(&self) -> Result<LogPosition, Error> {
        let mut commit_log = CommitLog::resume(self.rocks())?;
        let fence = self.fence();
        let is_new = self.counters()? == Counters::NONE && commit_log.head().chain == 0;
        if !is_new {
            commit_log.begin_epoch_beyond(self.rocks(), fence.map_or(0, Fence::epoch))?;
        }
        self.durability()
            .note(commit_log.head(), &self.counters()?)?;
        self.shared.feed.restart(commit_log.head());
        self.shared.data.set_fenced(None)?;
        self.shared.fences.take_down();
        Ok(commit_log.head())
    }

    /// Returns the admin ports of the replicas that were served from this directory, newest first.
    pub fn replicas(&self) -> Result<Vec<String>, Error> {
        let lines = self.shared.data.replicas()?.unwrap_or_default();
        Ok(lines.lines().map(str::to_owned).collect())
    }

    /// Notes them, durably.
    pub fn set_replicas(&self, all: &[String]) -> Result<(), Error> {
        self.shared.data.set_replicas(&all.join("\n"))
    }

    /// Returns the note of the answers that are requested most; `None` if there is none.
    pub fn hot_answers(&self) -> Result<Option<String>, Error> {
        self.shared.data.hot_answers()
    }

    /// Notes them, durably.
    pub fn set_hot_answers(&self, note: &str) -> Result<(), Error> {
        self.shared.data.set_hot_answers(note)
    }

    /// Reports the last complete backup.
    fn describe_backup(&self, page: &mut Exposition) {
        let (time_ms, seq) = self
            .backed_up()
            .map_or((0, 0), |last| (last.time_ms, last.seq));
        page.gauge(
            "reviewsd_backup_last_success_timestamp_seconds",
            "Time of the last complete backup, since 1970; 0 if none is known.",
        )
        .value(u64::try_from(time_ms / 1000).unwrap_or_default());
        page.gauge(
            "reviewsd_backup_last_seq",
            "Sequence number of the last row in it, or shipped since.",
        )
        .value(seq);
        let durable = self.feed().durable().borrow().seq;
        page.gauge(
            "reviewsd_backup_lag_rows",
            "Rows that are not in a backup yet.",
        )
        .value(durable.saturating_sub(seq));
    }

    /// Returns the last complete backup that was reported to this store.
    #[must_use]
    pub fn backed_up(&self) -> Option<BackedUp> {
        last_backup::read(self.data_dir(), self.identity().store_id)
    }

    /// Notes a complete backup, durably. Returns whether it can be one of this store, which has that row.
    pub fn set_backed_up(&self, store_id: u128, backup: BackedUp) -> Result<bool, Error> {
        let durable = self.feed().durable().borrow().seq;
        if store_id != self.identity().store_id || backup.seq > durable {
            return Ok(false);
        }
        let noting = &self.shared.noting;
        noting.note((self.data(), store_id), durable, backup)?;
        Ok(true)
    }

    pub(super) fn fullness(&self) -> &Arc<DiskSpace> {
        &self.shared.fullness
    }

    pub(super) fn fences(&self) -> &Arc<Fences> {
        &self.shared.fences
    }

    pub(super) fn large_products(&self) -> &LargeProducts {
        &self.shared.large_products
    }

    pub(super) fn opened_at(&self) -> LogPosition {
        self.shared.opened_at
    }

    pub(super) fn durability(&self) -> &DurableMark {
        &self.shared.durability
    }

    pub(super) fn hashes(&self) -> &Hashes {
        &self.shared.hashes
    }

    pub(super) fn data(&self) -> &DataDir {
        &self.shared.data
    }

    /// Returns the store's id and when it was made.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.shared.identity
    }

    pub(super) fn rocks(&self) -> &Rocks {
        &self.shared.rocks
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.shared.data.path()
    }

    /// Bytes of free space where the store is.
    pub(super) fn free_space(&self) -> Result<u64, Error> {
        let dir = self.shared.data.path();
        let space = rustix::fs::statvfs(dir).map_err(|e| {
            Error::io(format!("read the free space of {}", dir.display()))(e.into())
        })?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    /// Reports the store: what it holds, and how its database does. Asks the file system.
    pub fn describe(&self, page: &mut Exposition) {
        self.describe_backup(page);
        if let Ok(counters) = self.counters() {
            page.gauge(
                "reviewsd_store_reviews",
                "Reviews, including reported ones.",
            )
            .value(counters.reviews);
            page.gauge(
                "reviewsd_store_visible_reviews",
                "Reviews that are in lists.",
            )
            .value(counters.reviews_visible);
            page.gauge("reviewsd_store_products", "Products of the catalogue.")
                .value(counters.products);
        }
        if let Ok(free) = self.free_space() {
            page.gauge(
                "reviewsd_store_free_bytes",
                "Free space on the disk of the store.",
            )
            .value(free);
        }
        page.gauge(
            "reviewsd_store_fenced",
            "Whether writes are fenced until an operator intervenes: 1 or 0.",
        )
        .value(self.fence().is_some());
        page.gauge(
            "reviewsd_store_read_only",
            "Whether the store is read-only because the disk is full: 1 or 0.",
        )
        .value(self.full().is_some());
        self.shared.rocks.describe(page);
    }

    /// Returns the store's counters.
    pub fn counters(&self) -> Result<Counters, Error> {
        read_state(&self.shared.rocks, state::COUNTERS)
    }
}

impl Drop for StoreInner {
    fn drop(&mut self) {
        // The next process finds in the log the changes that are not in files.
        let _ = self.durability.finish(&self.rocks, None);
    }
}

/// Returns true if the store in `dir` was served to replicas or backups, which may need its logs.
fn keeps_logs(dir: &Path) -> bool {
    wal::kept(dir).is_ok_and(|logs| !logs.is_empty())
}

fn make_empty(
    data: &DataDir,
    memory: usize,
    made_ms: i64,
    fence: Option<Fence>,
) -> Result<PathBuf, Error> {
    // A slip in the path must not make a store among other files.
    data.refuse_foreign()?;
    let store_id = new_store_id()?;
    let place = data.begin_store(store_id)?;
    let rocks = Rocks::create(&place, memory)?;
    write_state(&rocks, Identity { store_id, made_ms }, Counters::NONE)?;
    drop(rocks);
    if let Some(fence) = fence {
        DataDir::mark_fenced(&place, &fence.to_text())?;
    }
    data.publish(&place)?.remove()?;
    Ok(place)
}
