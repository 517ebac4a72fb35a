//! Shipping: sends commits to a target, for as long as it takes.
//!
//! Invariants: the shipped commits follow a snapshot without a gap, and if that cannot be, another snapshot
//! is taken; no more is held in memory than one segment and one piece of the stream, however long the
//! target is unavailable; a commit is on its way a bounded time later.

use std::cell::RefCell;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::Error;
use super::inventory::{Inventory, SnapshotReach, snapshots};
use super::merge::{Merged, Merger};
use super::names::SegmentName;
use super::prune::{PruneRules, Pruned, prune};
use super::source::BackupOrigin;
use super::standing;
use super::take::{NewSnapshot, take};
use super::target::BackupTarget;
use crate::backup_source::{BackupSource, BackupSourceError};
use crate::model::clock::now_ms;
use crate::segment::SegmentWriter;
use crate::store::{self, LogPosition};

/// A segment is sealed when it is this long, if not before.
const SEGMENT_BYTES: usize = 4 << 20;
/// The time for which the target is waited for at the end.
const LAST_SHIP_TIME_MAX: Duration = Duration::from_secs(20);
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_mins(1);
/// The period at which the age of the latest snapshot is checked, since other processes may take one.
const LOOK_TIME: Duration = Duration::from_mins(10);
/// The period at which small segments are merged.
const MERGE_EVERY: Duration = Duration::from_hours(1);

/// An event of shipping, to be shown.
#[derive(Debug)]
pub enum Event {
    /// A snapshot was taken, for this reason.
    Taken(NewSnapshot, String),
    /// The commits behind a position are shipped from here on.
    Follows(LogPosition),
    /// An operation takes long, and is waited for.
    Slow(String),
    /// An operation failed, and is tried again after a while.
    Waits(String, Duration),
    /// After a snapshot, the objects that no rule retains were removed.
    Pruned(Pruned),
    /// Small segments were merged into larger ones.
    Merged(Merged),
    /// A segment was shipped that had to wait.
    Shipped(LogPosition),
}

/// The times at which segments and snapshots are made, and the rules for which backups stay.
#[derive(Debug, Clone, Copy)]
pub struct ShipPace {
    /// The time for which a commit may wait to be shipped.
    pub segment_time: Duration,
    /// A snapshot is taken when the latest is this old, if at all.
    pub snapshot_every: Option<Duration>,
    /// The rules for objects that are removed after that.
    pub rules: PruneRules,
}

/// Ships until `ends` is ready, and then the commits that are left.
pub async fn follow(
    target: &BackupTarget,
    backup_source: &BackupSource,
    pace: ShipPace,
    ends: impl Future<Output = ()>,
    tell: impl FnMut(Event),
) -> Result<(), Error> {
    let tell = RefCell::new(tell);
    // Both futures run in one task, so neither reports while the other does.
    let tell = |event| (tell.borrow_mut())(event);
    let mut told = tell;
    let mut ship = Ship {
        target,
        backup_source,
        segment_time: pace.segment_time,
        wait: WAIT_MIN,
        segment_writer: None,
    };
    let upkeep = Box::pin(async {
        match pace.snapshot_every {
            Some(every) => upkeep(target, backup_source, every, pace.rules, tell).await,
            None => pending().await,
        }
    });
    let merging = Box::pin(merging(target, tell));
    tokio::select! {
        ended = ship.run(&mut told) => ended,
        // Beside the shipping, which goes on meanwhile.
        () = upkeep => Ok(()),
        () = merging => Ok(()),
        () = ends => {
            match ship.segment_writer.take() {
                Some(segment_writer) => {
                    let last = timeout(LAST_SHIP_TIME_MAX, ship.put(&segment_writer)).await;
                    last.unwrap_or(Err(Error::Unshipped))?;
                    ship.note(&segment_writer).await;
                    Ok(())
                }
                None => Ok(()),
            }
        }
    }
}

/// Takes a snapshot whenever the latest is so old, and removes the objects that no rule retains then. Never
/// ends.
async fn upkeep(
    target: &BackupTarget,
    backup_source: &BackupSource,
    every: Duration,
    rules: PruneRules,
    mut tell: impl FnMut(Event),
) {
    let mut wait = Duration::ZERO;
    loop {
        sleep(wait).await;
        let kept = async {
            let all = snapshots(target).await?;
            let usable = all.values().filter_map(|listed| listed.as_ref().ok());
            let Some(latest_ms) = usable.map(|snapshot| snapshot.taken_ms).max() else {
                // The first one is taken by the shipper.
                return Ok(every.min(LOOK_TIME));
            };
            let age = now_ms().saturating_sub(latest_ms);
            let age = Duration::from_millis(u64::try_from(age).unwrap_or_default());
            if let Some(left) = every.checked_sub(age).filter(|left| !left.is_zero()) {
                return Ok(left.min(LOOK_TIME));
            }
            let slow = |what| tell(Event::Slow(what));
            let taken = take(
                target,
                &BackupOrigin::Server(backup_source.clone()),
                None,
                slow,
            )
            .await?;
            let why = "the latest backup is as old as backup.snapshot_every";
            tell(Event::Taken(taken, why.to_owned()));
            tell(Event::Pruned(prune(target, rules).await?));
            Ok::<_, Error>(Duration::ZERO)
        };
        wait = match kept.await {
            Ok(wait) => wait,
            Err(error) => {
                tell(Event::Waits(error.to_string(), WAIT_MAX));
                WAIT_MAX
            }
        };
    }
}

/// Merges small segments once in a while. Never ends.
async fn merging(target: &BackupTarget, mut tell: impl FnMut(Event)) {
    let mut merger = Merger::default();
    loop {
        tell(match merger.round(target).await {
            Ok(done) => Event::Merged(done),
            Err(error) => Event::Waits(error.to_string(), MERGE_EVERY),
        });
        sleep(MERGE_EVERY).await;
    }
}

struct Ship<'s> {
    target: &'s BackupTarget,
    backup_source: &'s BackupSource,
    segment_time: Duration,
    wait: Duration,
    /// The commits that were received and not shipped, and their store.
    segment_writer: Option<(u128, SegmentWriter)>,
}

/// The reason for which there is nothing more to ship for now.
enum ShipDisconnect {
    /// The stream, the server or the target failed: it is asked again.
    Later(String),
    /// The server's commits do not follow those that were shipped.
    Astray(String),
    /// A retry will not help.
    Failed(Error),
}

impl From<BackupSourceError> for ShipDisconnect {
    fn from(error: BackupSourceError) -> Self {
        match error {
            BackupSourceError::Astray(why) => Self::Astray(why),
            BackupSourceError::NoAnswer(why) | BackupSourceError::Replaced(why) => Self::Later(why),
            BackupSourceError::Gone => Self::Later(error.to_string()),
            error @ (BackupSourceError::Version(_) | BackupSourceError::Unknown(_)) => {
                Self::Failed(error.into())
            }
        }
    }
}

impl From<store::Error> for ShipDisconnect {
    fn from(error: store::Error) -> Self {
        // The batches do not extend those before: the server will say why, if it is asked.
        Self::Later(error.to_string())
    }
}

impl Ship<'_> {
    async fn run(&mut self, tell: &mut impl FnMut(Event)) -> Result<(), Error> {
        loop {
            let disconnect = match self.begin().await {
                Ok(Some((store, at))) => self.stream(store, at, tell).await,
                Ok(None) => ShipDisconnect::Astray("there is no snapshot yet".to_owned()),
                Err(error) => ShipDisconnect::Later(error.to_string()),
            };
            let why = match disconnect {
                ShipDisconnect::Failed(error) => return Err(error),
                ShipDisconnect::Later(why) => why,
                ShipDisconnect::Astray(why) => match self.snapshot(tell).await {
                    Ok(taken) => {
                        self.wait = WAIT_MIN;
                        tell(Event::Taken(taken, why));
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
            };
            tell(Event::Waits(why, self.wait));
            sleep(self.wait).await;
            self.wait = (self.wait * 2).min(WAIT_MAX);
        }
    }

    /// Returns the end of the shipped commits; `None` where there are none.
    async fn begin(&mut self) -> Result<Option<(u128, LogPosition)>, Error> {
        let inventory = Inventory::of(self.target).await?;
        let Some((_, latest)) = standing::latest(&inventory) else {
            return Ok(None);
        };
        let store = latest.store();
        let of_store = inventory.usable().filter(|(_, one)| one.store() == store);
        let best = of_store.max_by_key(|(id, snapshot)| standing::rank(id, snapshot));
        Ok(best.map(|(_, best)| (store, SnapshotReach::of(&inventory).reach(best).0)))
    }

    async fn snapshot(&self, tell: &mut impl FnMut(Event)) -> Result<NewSnapshot, Error> {
        let source = BackupOrigin::Server(self.backup_source.clone());
        take(self.target, &source, None, |what| tell(Event::Slow(what))).await
    }

    /// Ships the commits behind a position, as long as there is a stream.
    async fn stream(
        &mut self,
        store: u128,
        at: LogPosition,
        tell: &mut impl FnMut(Event),
    ) -> ShipDisconnect {
        let mut commits = match self.backup_source.commits(store, at).await {
            Ok(commits) => commits,
            Err(error) => return error.into(),
        };
        tell(Event::Follows(at));
        self.wait = WAIT_MIN;
        let mut at = at;
        let mut due: Option<Instant> = None;
        loop {
            let (_, segment_writer) = self
                .segment_writer
                .get_or_insert_with(|| (store, SegmentWriter::begin(store, at)));
            let next = commits.next(|batch| {
                at = segment_writer.push(batch)?;
                Ok::<_, ShipDisconnect>(())
            });
            let heard = match due {
                Some(due) => timeout_at(due, next).await.unwrap_or(Ok(())),
                None => next.await,
            };
            let (is_empty, is_full) = (
                segment_writer.is_empty(),
                segment_writer.bytes() >= SEGMENT_BYTES,
            );
            if !is_empty && due.is_none() {
                due = Some(Instant::now() + self.segment_time);
            }
            let is_due = due.is_some_and(|due| Instant::now() >= due);
            if is_full || is_due || heard.is_err() {
                due = None;
                self.ship(tell).await;
                commits.shipped(at.seq).await;
            }
            if let Err(disconnect) = heard {
                return disconnect;
            }
        }
    }

    /// Ships the recorded segment, however long the target is unavailable.
    async fn ship(&mut self, tell: &mut impl FnMut(Event)) {
        let mut waited = false;
        while let Some(segment_writer) = &self.segment_writer {
            match self.put(segment_writer).await {
                Ok(()) => {
                    self.note(segment_writer).await;
                    let (_, to) = segment_writer.1.span();
                    self.segment_writer = None;
                    self.wait = WAIT_MIN;
                    if waited {
                        tell(Event::Shipped(to));
                    }
                }
                Err(error) => {
                    waited = true;
                    tell(Event::Waits(error.to_string(), self.wait));
                    sleep(self.wait).await;
                    self.wait = (self.wait * 2).min(WAIT_MAX);
                }
            }
        }
    }

    /// Has the server note that the recorded commits, which follow a snapshot, are shipped.
    async fn note(&self, (store, segment_writer): &(u128, SegmentWriter)) {
        if !segment_writer.is_empty() {
            self.backup_source
                .backed_up(*store, segment_writer.span().1.seq)
                .await;
        }
    }

    async fn put(&self, (store, segment_writer): &(u128, SegmentWriter)) -> Result<(), Error> {
        if segment_writer.is_empty() {
            return Ok(());
        }
        let (from, to) = segment_writer.span();
        let time_ms = segment_writer.time_ms().unwrap_or_else(now_ms);
        let segment = SegmentName {
            store: *store,
            from,
            to,
            time_ms,
        };
        let object = segment_writer.ended(time_ms);
        self.target.put(&segment.name(), object).await
    }
}
