//! The thread that writes: groups of changes, one commit each, and their answers.
//!
//! Must not know HTTP. Invariants: a change is answered after its commit; after a write that failed nothing
//! is written any more; where writes may be lost, those of more than that time never are.

mod upkeep;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};

use super::bursts::Bursts;
use super::change::{ChangeOutcome, Rejected};
use super::dates::Dates;
use super::group::{CommitGroup, Times};
use super::housekeeping::Housekeeping;
use super::idempotency::{IDEMPOTENCY_KEYS_MAX, IdempotencyKeys};
use super::meters::StoreMeters;
use super::queue::{WriteJob, WriteReply, WriteResult, Writer, WriterOptions};
use crate::committed_change::CommittedChange;
use crate::error::Error;
use crate::heartbeat::Heartbeat;
use crate::join_on_drop::JoinOnDrop;
use crate::log::commit_log::CommitLog;
use crate::moderation::settings::{LiveModeration, ModerationSettings};
use crate::store::Store;
use crate::value::Counters;

/// Changes in one batch at most.
const GROUP_CHANGES_MAX: usize = 4096;
/// A batch takes no further change once the reviews in it have so many bytes.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// The time between two looks at the free space.
const SPACE_PERIOD: Duration = Duration::from_secs(1);
/// The time between two looks at the work that is due where no change comes.
const LOOK_PERIOD: Duration = Duration::from_mins(1);

impl Writer {
    /// Starts the thread. `now_ms` is the clock; `committed` is called with each part that a batch
    /// changed, after the batch is visible and before any client is answered; `failed` is called once, at
    /// the first write that fails, and is to end the process, unless [`Store::full`] says that reads go on.
    pub fn start(
        store: &Store,
        options: WriterOptions,
        now_ms: impl Fn() -> i64 + Send + 'static,
        committed: impl Fn(CommittedChange) + Send + 'static,
        failed: impl FnOnce(Error) + Send + 'static,
    ) -> Result<Self, Error> {
        let (queue, jobs) = bounded(options.queue_max);
        let counters = store.counters()?;
        let commit_log = take_over(store, &options)?;
        let idempotency_keys = counted_retries(store, &options);
        let dates = Dates::after_last(store.rocks(), counters.next_review_id)?;
        store.feed().restart(commit_log.head());
        store.durability().note(commit_log.head(), &counters)?;
        let house = Housekeeping::of(store.rocks())?;
        let live = Arc::new(LiveModeration::of(options.moderation));
        let moderation = Arc::clone(&live);
        let meters = Arc::new(StoreMeters::new(options.queue_max, options.free_space_min));
        let counted = Arc::clone(&meters);
        let own = store.clone();
        let heartbeat = Heartbeat::new();
        let felt = heartbeat.clone();
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let mut writer_loop = WriterLoop {
                    store: &own,
                    options,
                    now_ms: &now_ms,
                    committed: &committed,
                    counters,
                    dates,
                    commit_log,
                    idempotency_keys,
                    space_checked: None,
                    unsynced_since: None,
                    unanswered: Vec::new(),
                    meters: &counted,
                    bursts: Bursts::default(),
                    heartbeat,
                    house,
                    settings: options.moderation,
                    moderation: &moderation,
                    scrubbing: None,
                };
                // A panic may leave the group half made: it ends the process as a failed write does.
                let work = AssertUnwindSafe(|| writer_loop.work(&jobs));
                let done = catch_unwind(work).unwrap_or_else(|_told_already| {
                    Err(Error::Rocks {
                        doing: "resume writing to the store".to_owned(),
                        why: "the writer's thread panicked".to_owned(),
                    })
                });
                if let Err(error) = done {
                    writer_loop.give_up(error, failed, &jobs);
                }
            })
            .map_err(Error::io("start the writer's thread"))?;
        let thread = Some(thread.into());
        Ok(Self::of(store, queue, thread, meters, felt, live))
    }
}

/// The idempotency records of a store, those of each client counted as far as they can be read.
fn counted_retries(store: &Store, options: &WriterOptions) -> IdempotencyKeys {
    let mut idempotency_keys = IdempotencyKeys::new(
        IDEMPOTENCY_KEYS_MAX,
        options.idempotency_keys_per_client_max,
    );
    if let Err(error) = idempotency_keys.count(&store.rocks().view()) {
        tracing::warn!("cannot count the idempotency records of every client: {error}");
    }
    idempotency_keys
}

/// Returns the commit log of a store that this process decides about from now on. It begins an epoch where
/// new commits could be taken for earlier ones: in a store that was restored, or that lost writes that
/// clients may have seen.
fn take_over(store: &Store, options: &WriterOptions) -> Result<CommitLog, Error> {
    let mut commit_log = CommitLog::take_over(store.rocks())?;
    if store.data().is_restored()? || store.durability().is_lossy() {
        commit_log.begin_epoch(store.rocks())?;
        store.data().set_served()?;
    }
    store
        .durability()
        .set_lossy(options.loss_time_max.is_some())?;
    Ok(commit_log)
}

/// The thread's side.
struct WriterLoop<'a> {
    store: &'a Store,
    options: WriterOptions,
    now_ms: &'a dyn Fn() -> i64,
    committed: &'a dyn Fn(CommittedChange),
    counters: Counters,
    dates: Dates,
    commit_log: CommitLog,
    idempotency_keys: IdempotencyKeys,
    /// The time at which the free space was asked for, and whether there was enough.
    space_checked: Option<(Instant, bool)>,
    /// The time at which the oldest change that is not durable yet was committed.
    unsynced_since: Option<Instant>,
    /// The answers of a group that could not be committed.
    unanswered: Vec<WriteReply>,
    meters: &'a StoreMeters,
    bursts: Bursts,
    heartbeat: Heartbeat,
    house: Housekeeping,
    settings: ModerationSettings,
    moderation: &'a LiveModeration,
    /// The thread that removes erased rows from the disk.
    scrubbing: Option<JoinOnDrop>,
}

impl WriterLoop<'_> {
    /// Works until the queue is closed and empty, or a write fails.
    fn work(&mut self, jobs: &Receiver<WriteJob>) -> Result<(), Error> {
        loop {
            self.heartbeat.rest();
            let next = self.wait(jobs);
            self.heartbeat.begin();
            match next {
                Ok(first) => self.write_group(first, jobs)?,
                Err(RecvTimeoutError::Timeout) if self.is_sync_due() => self.sync()?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            self.keep_house()?;
        }
    }

    /// Makes everything durable, and the log empty where the disk has space for that.
    fn finish(&mut self) -> Result<(), Error> {
        self.sync()?;
        // The changes that it would move to files are durable in the log, and read from there next time.
        let _ = self
            .store
            .durability()
            .finish(self.store.rocks(), Some(false));
        Ok(())
    }

    /// Ends all writing after a write that failed. Nothing is tried again: a second fsync may succeed and
    /// mean nothing.
    fn give_up(self, error: Error, failed: impl FnOnce(Error), jobs: &Receiver<WriteJob>) {
        let store = self.store;
        let is_full = error.is_no_space();
        if is_full {
            store.run_full(&error, false);
            // It has nothing to do from now on, and is not at fault.
            self.heartbeat.rest();
        } else {
            store.durability().give_up();
            // Never closed: closing waits for RocksDB to recover, and the process is ending.
            std::mem::forget(store.clone());
        }
        failed(error);
        // After it is known that nothing is written any more.
        for answer in self.unanswered {
            answer.give(Err(Rejected::Failed));
        }
        for WriteJob { answer, .. } in jobs {
            self.meters.queued.leave();
            // Nothing of these was written.
            let refused = if is_full {
                Rejected::DiskFull
            } else {
                Rejected::Failed
            };
            answer.give(Err(refused));
        }
    }

    fn wait(&self, jobs: &Receiver<WriteJob>) -> Result<WriteJob, RecvTimeoutError> {
        // First, because a queue that is never empty would put it off without end.
        if self.is_sync_due() {
            return Err(RecvTimeoutError::Timeout);
        }
        if self.is_house_due() {
            return jobs.try_recv().map_err(|empty| match empty {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            });
        }
        let look = || Instant::now().checked_add(LOOK_PERIOD);
        let look = self.house.has_work().then(look).flatten();
        match self.deadline().into_iter().chain(look).min() {
            Some(deadline) => jobs.recv_deadline(deadline),
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn is_sync_due(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Returns when the committed changes are to be durable; `None` when they are.
    fn deadline(&self) -> Option<Instant> {
        let since = self.unsynced_since?;
        since.checked_add(self.options.loss_time_max?)
    }

    fn sync(&mut self) -> Result<(), Error> {
        match self.unsynced_since.take() {
            Some(_) => {
                let begun = Instant::now();
                let done = self.store.rocks().sync();
                self.meters.synced(begun.elapsed());
                done?;
            }
            None => return Ok(()),
        }
        self.store
            .durability()
            .note(self.commit_log.head(), &self.counters)?;
        self.store.feed().synced();
        Ok(())
    }

    /// Writes a change and all that wait behind it, and answers them.
    fn write_group(&mut self, first: WriteJob, jobs: &Receiver<WriteJob>) -> Result<(), Error> {
        self.take_settings();
        let has_space = self.has_space();
        let now_ms = (self.now_ms)();
        let (date_ms, jump) = self.dates.next(now_ms, Instant::now());
        let times = Times { now_ms, date_ms };
        let mut group = CommitGroup::new(self.store, self.counters, times, self.settings);
        let mut answers: Vec<(WriteReply, Result<ChangeOutcome, Rejected>)> = Vec::new();
        let mut next = Some(first);
        while let Some(WriteJob { change, answer }) = next {
            self.meters.queued.leave();
            let outcome = match change {
                change if !has_space && change.takes_space() => Err(Rejected::DiskFull),
                change => group.apply(change),
            };
            answers.push((answer, outcome));
            let full = answers.len() >= GROUP_CHANGES_MAX || group.bytes() >= GROUP_BYTES_MAX;
            next = if full { None } else { jobs.try_recv().ok() };
        }
        if group.is_added_to(self.counters) {
            self.dates.used(date_ms);
            if let Some(jump) = jump {
                tracing::warn!("{jump}");
            }
        }
        if let Err(error) = self.commit(group, answers.len()) {
            self.unanswered = answers.into_iter().map(|(answer, _)| answer).collect();
            return Err(error);
        }
        let at = self.commit_log.head();
        for (answer, outcome) in answers {
            answer.give(outcome.map(|outcome| WriteResult { outcome, at }));
        }
        Ok(())
    }

    fn commit(&mut self, group: CommitGroup<'_>, changes: usize) -> Result<(), Error> {
        if !group.is_changed() {
            return Ok(());
        }
        let durable = self.options.loss_time_max.is_none();
        let begun = Instant::now();
        let done = group.commit(&mut self.idempotency_keys, &mut self.commit_log, durable)?;
        self.meters.committed(changes, begun.elapsed());
        self.counters = done.counters;
        if done.is_audited {
            self.house.note(&self.settings, (self.now_ms)());
        }
        self.meters.reports.add(done.hidden_by.len() as u64);
        self.bursts.reported(&done.hidden_by, Instant::now());
        for error in done.passed_over {
            // It is no write: the rows that it is about stay as they were.
            self.meters.passed_over.count();
            tracing::warn!("cannot delete an old idempotency record: {error}");
        }
        let noted = if durable {
            let durability = self.store.durability();
            durability.note(done.commit.after, &self.counters)
        } else {
            Ok(())
        };
        // Readers see it by now, whether that could be noted or not.
        done.changed.into_iter().for_each(self.committed);
        self.store.feed().committed(done.commit, durable);
        noted?;
        if !durable {
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Returns true if there is space for changes of clients; looked at once in a while.
    fn has_space(&mut self) -> bool {
        let known = self.space_checked;
        if let Some((_, enough)) = known.filter(|(when, _)| when.elapsed() < SPACE_PERIOD) {
            return enough;
        }
        // A file system that does not report its free space is not thereby full.
        let space = self.store.free_space().unwrap_or(u64::MAX);
        let enough = space >= self.options.free_space_min;
        self.space_checked = Some((Instant::now(), enough));
        enough
    }
}
