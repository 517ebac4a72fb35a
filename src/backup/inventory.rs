//! The snapshots and segments of a target, and the snapshot that a restore begins with.
//!
//! Must not know what stores are made of. Invariant: a restore without `--backup` and `--store` begins
//! with a snapshot of the store that the target holds at that moment, in its highest epoch.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use futures_util::{StreamExt, TryStreamExt};

use super::error::Error;
use super::manifest::{self, Snapshot, Unusable};
use super::names::{self, SegmentName};
use super::plan::Paths;
use super::standing::{self, Ownership, TargetOwner};
use super::target::{BackupTarget, TargetObject};
use crate::model::calendar::timestamp;
use crate::store::LogPosition;

/// The number of manifests that are read at once.
const READS_MAX: usize = 8;

/// Everything in a target but the contents of files.
#[derive(Debug, Clone, Default)]
pub(super) struct Inventory {
    /// By id, so by the time they were taken.
    pub(super) snapshots: BTreeMap<String, SnapshotResult>,
    /// The segments of each store, in order of their beginnings.
    segments: BTreeMap<u128, Vec<SegmentName>>,
}

/// The manifest of a snapshot, if it can be used.
pub(super) type SnapshotResult = Result<Snapshot, Unusable>;

/// The backup to restore.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The snapshot to begin with, if not the one that fits.
    pub snapshot: Option<&'a str>,
    /// The store, if not the one that the target holds.
    pub store: Option<u128>,
    /// The end of the restore.
    pub until: Until,
}

/// The end to which a store is to be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The end of all that there is.
    End,
    /// No further than this row.
    Seq(u64),
    /// No further than this moment, in milliseconds since 1970.
    Time(i64),
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("of the end"),
            Self::Seq(seq) => write!(f, "at sequence number {seq}"),
            Self::Time(ms) => write!(f, "of {}", timestamp(*ms)),
        }
    }
}

impl Inventory {
    /// Reads all of a target.
    pub(super) async fn of(target: &BackupTarget) -> Result<Self, Error> {
        let snapshots = snapshots(target).await?;
        // Listed after the snapshots: each segment that there is then follows one that is known.
        let log = target.list(names::LOG).await?;
        let log = log
            .iter()
            .filter_map(|entry| SegmentName::read(&entry.name));
        Ok(Self::from(snapshots, log))
    }

    fn from(
        snapshots: BTreeMap<String, SnapshotResult>,
        log: impl IntoIterator<Item = SegmentName>,
    ) -> Self {
        let mut segments: BTreeMap<u128, Vec<SegmentName>> = BTreeMap::new();
        for segment in log {
            segments.entry(segment.store).or_default().push(segment);
        }
        for of_store in segments.values_mut() {
            of_store.sort_by_key(|segment| (segment.from.seq, segment.time_ms));
        }
        Self {
            snapshots,
            segments,
        }
    }

    /// The snapshots that can be used, the latest first.
    pub(super) fn usable(&self) -> impl Iterator<Item = (&str, &Snapshot)> {
        let latest_first = self.snapshots.iter().rev();
        latest_first.filter_map(|(id, listed)| Some((id.as_str(), listed.as_ref().ok()?)))
    }

    /// The segments of all stores.
    pub(super) fn segments(&self) -> impl Iterator<Item = &SegmentName> {
        self.segments.values().flatten()
    }

    /// The snapshot of a name.
    pub(super) fn find(&self, id: &str, target: &BackupTarget) -> Result<(&str, &Snapshot), Error> {
        let found = self.snapshots.get_key_value(id);
        let (id, listed) = found.ok_or_else(|| Error::NoSuch {
            id: id.to_owned(),
            target: target.shown().to_owned(),
        })?;
        match listed {
            Ok(snapshot) => Ok((id, snapshot)),
            Err(Unusable::Damaged(why)) => Err(target.damaged(&names::snapshot(id), *why)),
            Err(Unusable::Newer(found)) => Err(Error::Newer {
                name: names::snapshot(id),
                found: *found,
                known: manifest::VERSION,
            }),
        }
    }

    /// The snapshot that leads to a moment: the named one, or the best one that is not past it.
    pub(super) fn beginning(
        &self,
        target: &BackupTarget,
        wanted: Wanted<'_>,
    ) -> Result<(&str, &Snapshot), Error> {
        let latest = self.snapshots.keys().next_back();
        let latest = latest.ok_or_else(|| Error::Empty {
            target: target.shown().to_owned(),
        })?;
        let until = wanted.until;
        if wanted.snapshot.is_none() && until == Until::End {
            // A snapshot that cannot be read may be the wanted one.
            self.find(latest, target)?;
        }
        let (id, snapshot) = match wanted.snapshot {
            Some(id) => self.find(id, target)?,
            None => self.best(target, wanted)?,
        };
        let from = snapshot.position();
        let path = self.paths(snapshot.store(), until, &HashSet::new());
        let end = path.from(from).last().map_or(from, |last| last.to);
        let is_short = matches!(until, Until::Seq(seq) if end.seq < seq);
        if is_short || !starts_before(snapshot, until) {
            return Err(self.unreachable(until));
        }
        Ok((id, snapshot))
    }

    /// The best snapshot of the wanted store, or of the one that the target held then, that is not past
    /// the moment.
    fn best(&self, target: &BackupTarget, wanted: Wanted<'_>) -> Result<(&str, &Snapshot), Error> {
        let until = wanted.until;
        // Time alone shows which store the target held. A sequence number does not.
        let then = self.usable().filter(|(_, snapshot)| match until {
            Until::Time(_) => starts_before(snapshot, until),
            Until::End | Until::Seq(_) => true,
        });
        let store = match wanted.store {
            Some(store) if self.usable().any(|(_, of)| of.store() == store) => store,
            Some(store) => {
                let target = target.shown().to_owned();
                return Err(Ownership::NoSuchStore { store, target }.into());
            }
            None => match standing::owner(then) {
                TargetOwner::Nobody => return Err(self.unreachable(until)),
                TargetOwner::Store(store) => store,
                TargetOwner::Unclear(stores) => {
                    return Err(Ownership::unclear(&stores, target).into());
                }
            },
        };
        let of_store = self
            .usable()
            .filter(|(_, snapshot)| snapshot.store() == store && starts_before(snapshot, until));
        let best = of_store.max_by_key(|(id, snapshot)| standing::rank(id, snapshot));
        best.ok_or_else(|| self.unreachable(until))
    }

    fn unreachable(&self, until: Until) -> Error {
        let reach = match self.usable().last() {
            None => "none can be read".to_owned(),
            Some((id, earliest)) => format!(
                "the earliest, {id}, is at sequence number {} of {}, and `reviewsd backups` shows how \
                 far each reaches",
                earliest.position().seq,
                timestamp(earliest.taken_ms)
            ),
        };
        Error::Unreachable {
            asked: until.to_string(),
            reach,
        }
    }

    /// The best paths to a moment through the segments of a store.
    pub(super) fn paths(&self, store: u128, until: Until, without: &HashSet<SegmentName>) -> Paths {
        let segments = self.segments.get(&store).map_or(&[][..], Vec::as_slice);
        Paths::of(segments, until, without)
    }

    /// The segments of one store, in order of their beginnings.
    pub(super) fn segments_of(&self, store: u128) -> &[SegmentName] {
        self.segments.get(&store).map_or(&[], Vec::as_slice)
    }

    /// Every store that there are snapshots or segments of.
    pub(super) fn stores(&self) -> BTreeSet<u128> {
        let of_snapshots = self.usable().map(|(_, snapshot)| snapshot.store());
        of_snapshots.chain(self.segments.keys().copied()).collect()
    }

    /// Counts the segments behind a position that nothing leads to.
    pub(super) fn beyond(&self, store: u128, end: LogPosition) -> usize {
        let of_store = self.segments.get(&store).into_iter().flatten();
        let is_beyond =
            |segment: &&SegmentName| segment.from.seq > end.seq && segment.to.epoch >= end.epoch;
        of_store.filter(is_beyond).count()
    }
}

/// Returns the positions up to which snapshots reach with the segments behind them.
pub(super) struct SnapshotReach(BTreeMap<u128, Paths>);

impl SnapshotReach {
    /// Finds the paths of all stores, once for all snapshots.
    pub(super) fn of(inventory: &Inventory) -> Self {
        let stores = inventory.segments.keys().copied();
        let paths = |store| (store, inventory.paths(store, Until::End, &HashSet::new()));
        Self(stores.map(paths).collect())
    }

    /// Returns the position that a snapshot reaches, and when that was.
    pub(super) fn reach(&self, snapshot: &Snapshot) -> (LogPosition, i64) {
        let from = snapshot.position();
        let last = self
            .0
            .get(&snapshot.store())
            .and_then(|paths| paths.end(from));
        last.map_or((from, snapshot.taken_ms), |last| (last.to, last.time_ms))
    }
}

/// Every snapshot of a target, by id.
pub(super) async fn snapshots(
    target: &BackupTarget,
) -> Result<BTreeMap<String, SnapshotResult>, Error> {
    let entries = target.list(names::SNAPSHOTS).await?;
    let reads = entries
        .into_iter()
        .map(|TargetObject { name, .. }| async move {
            let Some(id) = names::id_of_snapshot(&name) else {
                return Ok(None);
            };
            match target.get(&name, manifest::BYTES_MAX).await {
                Ok(object) => Ok(Some((id.to_owned(), Snapshot::read(&object)))),
                // Another process removed it just now.
                Err(Error::Missing { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
    let reads = futures_util::stream::iter(reads).buffer_unordered(READS_MAX);
    reads
        .try_filter_map(|read| async { Ok(read) })
        .try_collect()
        .await
}

fn starts_before(snapshot: &Snapshot, until: Until) -> bool {
    match until {
        Until::End => true,
        Until::Seq(seq) => snapshot.position().seq <= seq,
        Until::Time(ms) => snapshot.taken_ms <= ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: u128 = 7;

    fn at(epoch: u64, seq: u64) -> LogPosition {
        let chain = epoch * 1000 + seq;
        LogPosition { epoch, seq, chain }
    }

    fn snapshot(position: LogPosition, taken_ms: i64) -> (String, SnapshotResult) {
        let id = names::snapshot_id(taken_ms, 0);
        (id, Ok(Snapshot::new(taken_ms, STORE, position, Vec::new())))
    }

    fn segment(from: LogPosition, to: LogPosition, time_ms: i64) -> SegmentName {
        SegmentName {
            store: STORE,
            from,
            to,
            time_ms,
        }
    }

    fn wanted(until: Until) -> Wanted<'static> {
        Wanted {
            snapshot: None,
            store: None,
            until,
        }
    }

    /// A snapshot of a store that was accepted then.
    fn accepted(
        store: u128,
        at: LogPosition,
        taken_ms: i64,
        accepted_ms: Option<i64>,
    ) -> (String, SnapshotResult) {
        let mut snapshot = Snapshot::new(taken_ms, store, at, Vec::new());
        snapshot.accepted_ms = accepted_ms;
        (names::snapshot_id(taken_ms, 0), Ok(snapshot))
    }

    fn target() -> (tempfile::TempDir, BackupTarget) {
        let dir = tempfile::tempdir().unwrap();
        let target = BackupTarget::to_write(dir.path().to_str().unwrap()).unwrap();
        (dir, target)
    }

    /// Three segments behind a snapshot, another one in the middle of the second, a gap, and a fourth.
    fn inventory() -> Inventory {
        let snapshots = [snapshot(at(1, 10), 100), snapshot(at(1, 25), 250)];
        let segments = [
            segment(at(1, 20), at(1, 30), 300),
            segment(at(1, 10), at(1, 20), 200),
            segment(at(1, 30), at(1, 40), 400),
            segment(at(1, 50), at(1, 60), 600),
        ];
        Inventory::from(snapshots.into(), segments)
    }

    fn ends(inventory: &Inventory, from: LogPosition, until: Until) -> Vec<u64> {
        let segments = inventory.paths(STORE, until, &HashSet::new()).from(from);
        segments.iter().map(|segment| segment.to.seq).collect()
    }

    #[test]
    fn segments_lead_on_without_a_gap_as_far_as_they_are_wanted() {
        let there = inventory();
        assert_eq!(ends(&there, at(1, 10), Until::End), [20, 30, 40]);
        assert_eq!(ends(&there, at(1, 25), Until::End), [30, 40]);
        assert_eq!(ends(&there, at(1, 40), Until::End), [] as [u64; 0]);
        assert_eq!(ends(&there, at(1, 10), Until::Seq(20)), [20]);
        assert_eq!(ends(&there, at(1, 10), Until::Seq(21)), [20, 30]);
        // A segment that leads past a moment may begin before it.
        assert_eq!(ends(&there, at(1, 10), Until::Time(200)), [20, 30]);
        assert_eq!(ends(&there, at(1, 10), Until::Time(199)), [20]);
        let none = HashSet::new();
        assert_eq!(there.paths(8, Until::End, &none).from(at(1, 10)), []);
        assert_eq!(there.beyond(STORE, at(1, 40)), 1);
        assert_eq!(there.beyond(STORE, at(1, 60)), 0);
        assert_eq!(there.beyond(STORE, at(2, 40)), 0);
        let without = [segment(at(1, 20), at(1, 30), 300)].into();
        let path = there.paths(STORE, Until::End, &without).from(at(1, 10));
        assert_eq!(path.len(), 1);
    }

    #[test]
    fn a_moment_is_reached_from_the_latest_snapshot_before_it() {
        let (there, (_dir, target)) = (inventory(), target());
        let begins = |until| {
            let found = there.beginning(&target, wanted(until));
            found.map(|(_, snapshot)| snapshot.position().seq).ok()
        };
        for (until, seq) in [
            (Until::End, Some(25)),
            (Until::Seq(10), Some(10)),
            (Until::Seq(24), Some(10)),
            (Until::Seq(25), Some(25)),
            (Until::Seq(40), Some(25)),
            (Until::Time(100), Some(10)),
            (Until::Time(249), Some(10)),
            (Until::Time(9999), Some(25)),
            // Before the first, within the gap, and beyond the end.
            (Until::Seq(9), None),
            (Until::Time(99), None),
            (Until::Seq(41), None),
            (Until::Seq(55), None),
        ] {
            assert_eq!(begins(until), seq, "{until}");
        }
        let nothing = Inventory::default();
        assert!(nothing.beginning(&target, wanted(Until::End)).is_err());
    }

    #[test]
    fn the_latest_that_cannot_be_read_is_not_passed_over_unasked() {
        let (_dir, target) = target();
        let (id, _) = snapshot(at(1, 99), 900);
        let mut there = inventory();
        there.snapshots.insert(id.clone(), Err(Unusable::Newer(2)));
        let refused = there.beginning(&target, wanted(Until::End)).unwrap_err();
        assert!(refused.to_string().contains(&id), "{refused}");
        assert!(there.beginning(&target, wanted(Until::Seq(30))).is_ok());
        let (before, _) = snapshot(at(1, 25), 250);
        let named = Wanted {
            snapshot: Some(&before),
            ..wanted(Until::End)
        };
        assert!(there.beginning(&target, named).is_ok());
    }

    #[test]
    fn a_restore_takes_the_branch_of_its_time_and_no_older_epoch() {
        // At 30 the store went on to 40, was brought back to 30 in another epoch, and went on again.
        let snapshots = [snapshot(at(1, 10), 100), snapshot(at(2, 32), 500)];
        let segments = [
            segment(at(1, 10), at(1, 40), 400),
            segment(at(1, 10), at(1, 30), 300),
            segment(at(1, 30), at(2, 50), 600),
            segment(at(2, 50), at(2, 60), 700),
        ];
        let there = Inventory::from(snapshots.into(), segments);
        assert_eq!(ends(&there, at(1, 10), Until::Time(450)), [40]);
        assert_eq!(ends(&there, at(1, 30), Until::End), [50, 60]);
        assert_eq!(ends(&there, at(2, 32), Until::End), [50, 60]);
        let (_, latest) = there.usable().next().unwrap();
        assert_eq!(SnapshotReach::of(&there).reach(latest), (at(2, 60), 700));
    }

    #[test]
    fn epoch_that_ended_never_wins_over_a_later_one() {
        // The old primary went on by itself, and was shipped after the new one.
        let snapshots = [snapshot(at(1, 10), 100)];
        let segments = [
            segment(at(1, 10), at(1, 30), 300),
            segment(at(1, 30), at(2, 35), 500),
            segment(at(1, 30), at(1, 90), 900),
        ];
        let there = Inventory::from(snapshots.into(), segments);
        assert_eq!(ends(&there, at(1, 10), Until::End), [30, 35]);
        assert_eq!(ends(&there, at(1, 10), Until::Time(950)), [30, 35]);
        assert_eq!(ends(&there, at(1, 10), Until::Time(400)), [30, 35]);
        assert_eq!(ends(&there, at(1, 10), Until::Seq(34)), [30, 35]);
        // Only the old one has it.
        assert_eq!(ends(&there, at(1, 10), Until::Seq(60)), [30, 90]);
    }

    #[test]
    fn restore_takes_the_accepted_store_in_its_highest_epoch() {
        let (_dir, target) = target();
        let snapshots = [
            accepted(7, at(1, 10), 100, None),
            accepted(8, at(1, 5), 200, Some(190)),
            accepted(8, at(3, 50), 300, Some(190)),
            accepted(8, at(2, 70), 400, Some(190)),
        ];
        let there = Inventory::from(snapshots.into(), []);
        let begins = |wanted| {
            let found = there.beginning(&target, wanted);
            found.map(|(_, one)| (one.store(), one.position())).ok()
        };
        assert_eq!(begins(wanted(Until::End)), Some((8, at(3, 50))));
        assert_eq!(begins(wanted(Until::Time(150))), Some((7, at(1, 10))));
        assert_eq!(begins(wanted(Until::Time(250))), Some((8, at(1, 5))));
        let of = |store| Wanted {
            store: Some(store),
            ..wanted(Until::End)
        };
        assert_eq!(begins(of(7)), Some((7, at(1, 10))));
        assert_eq!(begins(of(9)), None);
    }

    #[test]
    fn several_stores_without_an_acceptance_are_not_guessed_at() {
        let (_dir, target) = target();
        let snapshots = [
            accepted(7, at(1, 10), 100, None),
            accepted(8, at(1, 5), 200, None),
        ];
        let there = Inventory::from(snapshots.into(), []);
        let refused = there.beginning(&target, wanted(Until::End)).unwrap_err();
        let said = refused.to_string();
        for word in ["--store", "--backup", &format!("{:032x} and {:032x}", 7, 8)] {
            assert!(said.contains(word), "{said}");
        }
        let early = there.beginning(&target, wanted(Until::Time(150)));
        assert_eq!(early.unwrap().1.store(), 7);
    }
}
