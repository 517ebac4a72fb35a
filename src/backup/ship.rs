//! Shipping what is committed, for as long as it takes.
//!
//! Invariants: what was shipped follows a snapshot without a gap, and where that cannot be, another
//! snapshot is taken; no more is held in memory than one segment and what comes in one piece, however long
//! the target is away; what was committed is on its way a bounded time later.

use std::cell::RefCell;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::Error;
use super::inventory::{Inventory, Reaches, snapshots};
use super::merge::{Merged, Merger};
use super::names::Segment;
use super::prune::{Pruned, Rules, prune};
use super::source::Source;
use super::standing;
use super::take::{Taken, take};
use super::target::Target;
use crate::model::clock::now_ms;
use crate::replication::{Recording, Tap, TapError};
use crate::store::{self, Position};

/// A segment is sealed when it is this long, if not before.
const SEGMENT_BYTES: usize = 4 << 20;
/// The time for which the target is waited for at the end.
const LAST_SHIP_TIME_MAX: Duration = Duration::from_secs(20);
const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_mins(1);
/// The age of the latest snapshot is looked at so often at least, since others may take one.
const LOOK_TIME: Duration = Duration::from_mins(10);
/// Small segments are merged so often.
const MERGE_EVERY: Duration = Duration::from_hours(1);

/// An event of shipping, to be shown.
#[derive(Debug)]
pub enum Event {
    /// A snapshot was taken, because of this.
    Taken(Taken, String),
    /// The commits behind a position are shipped from here on.
    Follows(Position),
    /// Something takes long, and is waited for.
    Slow(String),
    /// Something stands in the way, and is tried again after a while.
    Waits(String, Duration),
    /// After a snapshot, what no rule keeps was removed.
    Pruned(Pruned),
    /// Small segments were merged into larger ones.
    Merged(Merged),
    /// A segment was shipped that had to wait.
    Shipped(Position),
}

/// The times at which segments and snapshots are made, and the rules for which backups stay.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The time for which a commit may wait to be shipped.
    pub segment_time: Duration,
    /// A snapshot is taken when the latest is this old, if at all.
    pub snapshot_every: Option<Duration>,
    /// The rules for what is removed after that.
    pub rules: Rules,
}

/// Ships until `ends` is ready, and then what there is.
pub async fn follow(
    target: &Target,
    tap: &Tap,
    pace: Pace,
    ends: impl Future<Output = ()>,
    tell: impl FnMut(Event),
) -> Result<(), Error> {
    let tell = RefCell::new(tell);
    // Both futures run in one task, so neither tells while the other does.
    let tell = |event| (tell.borrow_mut())(event);
    let mut told = tell;
    let mut ship = Ship {
        target,
        tap,
        segment_time: pace.segment_time,
        wait: WAIT_MIN,
        recording: None,
    };
    let upkeep = Box::pin(async {
        match pace.snapshot_every {
            Some(every) => upkeep(target, tap, every, pace.rules, tell).await,
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
            match ship.recording.take() {
                Some(recording) => {
                    let last = timeout(LAST_SHIP_TIME_MAX, ship.put(&recording)).await;
                    last.unwrap_or(Err(Error::Unshipped))?;
                    ship.note(&recording).await;
                    Ok(())
                }
                None => Ok(()),
            }
        }
    }
}

/// Takes a snapshot whenever the latest is so old, and removes what no rule keeps then. Never ends.
async fn upkeep(
    target: &Target,
    tap: &Tap,
    every: Duration,
    rules: Rules,
    mut tell: impl FnMut(Event),
) {
    let mut wait = Duration::ZERO;
    loop {
        sleep(wait).await;
        let kept = async {
            let all = snapshots(target).await?;
            let usable = all.values().filter_map(|listed| listed.as_ref().ok());
            let Some(latest_ms) = usable.map(|snapshot| snapshot.taken_ms).max() else {
                // The first one is taken by who ships.
                return Ok(every.min(LOOK_TIME));
            };
            let age = now_ms().saturating_sub(latest_ms);
            let age = Duration::from_millis(u64::try_from(age).unwrap_or_default());
            if let Some(left) = every.checked_sub(age).filter(|left| !left.is_zero()) {
                return Ok(left.min(LOOK_TIME));
            }
            let slow = |what| tell(Event::Slow(what));
            let taken = take(target, &Source::Server(tap.clone()), None, slow).await?;
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
async fn merging(target: &Target, mut tell: impl FnMut(Event)) {
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
    target: &'s Target,
    tap: &'s Tap,
    segment_time: Duration,
    wait: Duration,
    /// The commits that were received and not shipped, and their store.
    recording: Option<(u128, Recording)>,
}

/// Why there is nothing more to ship for now.
enum Parted {
    /// The stream, or the server, or the target: it is asked again.
    Later(String),
    /// The server has what does not follow what was shipped.
    Astray(String),
    /// It makes no sense to try again.
    Failed(Error),
}

impl From<TapError> for Parted {
    fn from(error: TapError) -> Self {
        match error {
            TapError::Astray(why) => Self::Astray(why),
            TapError::NoAnswer(why) | TapError::Replaced(why) => Self::Later(why),
            TapError::Gone => Self::Later(error.to_string()),
            error @ (TapError::Version(_) | TapError::Unknown(_)) => Self::Failed(error.into()),
        }
    }
}

impl From<store::Error> for Parted {
    fn from(error: store::Error) -> Self {
        // What came does not extend what was there: the server will say why, if it is asked.
        Self::Later(error.to_string())
    }
}

impl Ship<'_> {
    async fn run(&mut self, tell: &mut impl FnMut(Event)) -> Result<(), Error> {
        loop {
            let parted = match self.begin().await {
                Ok(Some((store, at))) => self.stream(store, at, tell).await,
                Ok(None) => Parted::Astray("there is no snapshot yet".to_owned()),
                Err(error) => Parted::Later(error.to_string()),
            };
            let why = match parted {
                Parted::Failed(error) => return Err(error),
                Parted::Later(why) => why,
                Parted::Astray(why) => match self.snapshot(tell).await {
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
    async fn begin(&mut self) -> Result<Option<(u128, Position)>, Error> {
        let inventory = Inventory::of(self.target).await?;
        let Some((_, latest)) = standing::latest(&inventory) else {
            return Ok(None);
        };
        let store = latest.store();
        let of_store = inventory.usable().filter(|(_, one)| one.store() == store);
        let best = of_store.max_by_key(|(id, snapshot)| standing::rank(id, snapshot));
        Ok(best.map(|(_, best)| (store, Reaches::of(&inventory).reach(best).0)))
    }

    async fn snapshot(&self, tell: &mut impl FnMut(Event)) -> Result<Taken, Error> {
        let source = Source::Server(self.tap.clone());
        take(self.target, &source, None, |what| tell(Event::Slow(what))).await
    }

    /// Ships what is committed behind a position, as long as there is a stream.
    async fn stream(&mut self, store: u128, at: Position, tell: &mut impl FnMut(Event)) -> Parted {
        let mut commits = match self.tap.commits(store, at).await {
            Ok(commits) => commits,
            Err(error) => return error.into(),
        };
        tell(Event::Follows(at));
        self.wait = WAIT_MIN;
        let mut at = at;
        let mut due: Option<Instant> = None;
        loop {
            let (_, recording) = self
                .recording
                .get_or_insert_with(|| (store, Recording::begin(store, at)));
            let next = commits.next(|batch| {
                at = recording.push(batch)?;
                Ok::<_, Parted>(())
            });
            let heard = match due {
                Some(due) => timeout_at(due, next).await.unwrap_or(Ok(())),
                None => next.await,
            };
            let (is_empty, is_full) = (recording.is_empty(), recording.bytes() >= SEGMENT_BYTES);
            if !is_empty && due.is_none() {
                due = Some(Instant::now() + self.segment_time);
            }
            let is_due = due.is_some_and(|due| Instant::now() >= due);
            if is_full || is_due || heard.is_err() {
                due = None;
                self.ship(tell).await;
                commits.shipped(at.seq).await;
            }
            if let Err(parted) = heard {
                return parted;
            }
        }
    }

    /// Ships what was recorded, however long the target is away.
    async fn ship(&mut self, tell: &mut impl FnMut(Event)) {
        let mut waited = false;
        while let Some(recording) = &self.recording {
            match self.put(recording).await {
                Ok(()) => {
                    self.note(recording).await;
                    let (_, to) = recording.1.span();
                    self.recording = None;
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

    /// Has the server note that what was recorded is shipped, which follows a snapshot.
    async fn note(&self, (store, recording): &(u128, Recording)) {
        if !recording.is_empty() {
            self.tap.backed_up(*store, recording.span().1.seq).await;
        }
    }

    async fn put(&self, (store, recording): &(u128, Recording)) -> Result<(), Error> {
        if recording.is_empty() {
            return Ok(());
        }
        let (from, to) = recording.span();
        let time_ms = recording.time_ms().unwrap_or_else(now_ms);
        let segment = Segment {
            store: *store,
            from,
            to,
            time_ms,
        };
        let object = recording.ended(time_ms);
        self.target.put(&segment.name(), object).await
    }
}
