//! What there is of backups, and which of it leads to a moment.
//!
//! Must not know what stores are made of. Invariants: segments that lead on from a snapshot leave no gap;
//! of what was written twice, after a store had gone back to a moment and from there another way, the one
//! that counts is the later one, as of the moment that is asked for.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::{StreamExt, TryStreamExt};

use super::error::Error;
use super::manifest::{self, Snapshot, Unusable};
use super::names::{self, Segment};
use super::target::{Entry, Target};
use crate::store::Position;

/// Manifests that are read at once.
const READS_MAX: usize = 8;

/// Everything in a target but the contents of files.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// By id, so by the time they were taken.
    pub(super) snapshots: BTreeMap<String, Listed>,
    /// Of each store, in order of their beginnings.
    segments: BTreeMap<u128, Vec<Segment>>,
}

/// What the manifest of a snapshot says, if it can be used.
pub(super) type Listed = Result<Snapshot, Unusable>;

/// Up to where a store is to be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// As far as there is anything.
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
            Self::Time(ms) => write!(f, "of {}", names::told(*ms)),
        }
    }
}

impl Inventory {
    /// Reads all of a target.
    pub(super) async fn of(target: &Target) -> Result<Self, Error> {
        let snapshots = snapshots(target).await?;
        // After the snapshots: each segment that there is then follows one that is known.
        let log = target.list(names::LOG).await?;
        let log = log.iter().filter_map(|entry| Segment::read(&entry.name));
        Ok(Self::from(snapshots, log))
    }

    fn from(snapshots: BTreeMap<String, Listed>, log: impl IntoIterator<Item = Segment>) -> Self {
        let mut segments: BTreeMap<u128, Vec<Segment>> = BTreeMap::new();
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

    /// All segments.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.values().flatten()
    }

    /// The snapshot of a name.
    pub(super) fn find(&self, id: &str, target: &Target) -> Result<(&str, &Snapshot), Error> {
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

    /// The snapshot that leads to a moment: the one of a name, or the latest one before it.
    pub(super) fn beginning(
        &self,
        target: &Target,
        from: Option<&str>,
        until: Until,
    ) -> Result<(&str, &Snapshot), Error> {
        let latest = self.snapshots.keys().next_back();
        let latest = latest.ok_or_else(|| Error::Empty {
            target: target.shown().to_owned(),
        })?;
        let (id, snapshot) = match (from, until) {
            (Some(id), _) => self.find(id, target)?,
            // One that cannot be read may be what is wanted: nobody gets an older one unasked.
            (None, Until::End) => self.find(latest, target)?,
            (None, _) => self.latest_before(until)?,
        };
        let (from, store) = (snapshot.position(), snapshot.store());
        let segments = self.segments_from(store, from, until, &[]);
        let end = segments.last().map_or(from, |last| last.to);
        let is_short = matches!(until, Until::Seq(seq) if end.seq < seq);
        if is_short || !starts_before(snapshot, until) {
            return Err(self.unreachable(until));
        }
        Ok((id, snapshot))
    }

    /// Of the store that was backed up last, the latest snapshot that is not past a moment.
    fn latest_before(&self, until: Until) -> Result<(&str, &Snapshot), Error> {
        let store = self.usable().next().map(|(_, latest)| latest.store());
        let mut fitting = self.usable().filter(|(_, snapshot)| {
            let is_store = matches!(until, Until::Time(_)) || Some(snapshot.store()) == store;
            is_store && starts_before(snapshot, until)
        });
        fitting.next().ok_or_else(|| self.unreachable(until))
    }

    fn unreachable(&self, until: Until) -> Error {
        let reach = match self.usable().last() {
            None => "there is none that can be read".to_owned(),
            Some((id, earliest)) => format!(
                "the earliest, {id}, is at sequence number {} of {}, and `reviewsd backups` tells \
                 how far each reaches",
                earliest.position().seq,
                names::told(earliest.taken_ms)
            ),
        };
        Error::Unreachable {
            asked: until.to_string(),
            reach,
        }
    }

    /// The segments that lead on from a position, as far as they do without a gap and without those that
    /// turned out to lead elsewhere.
    pub(super) fn segments_from(
        &self,
        store: u128,
        from: Position,
        until: Until,
        without: &[Segment],
    ) -> Vec<Segment> {
        let none = Vec::new();
        let of_store = self.segments.get(&store).unwrap_or(&none);
        let (mut way, mut at, mut is_first) = (Vec::new(), from, true);
        loop {
            if matches!(until, Until::Seq(seq) if at.seq >= seq) {
                return way;
            }
            let near = of_store.partition_point(|segment| segment.from.seq <= at.seq);
            let leads_on = of_store.iter().take(near).filter(|segment| {
                // The first may have begun before the snapshot was taken; every other one begins
                // where the one before ends.
                let fits = segment.from == at || (is_first && segment.from.seq < at.seq);
                // An epoch that has begun is not gone back from.
                let goes_on = segment.to.seq > at.seq && segment.to.epoch >= at.epoch;
                fits && goes_on && !without.contains(segment)
            });
            // Of two, the one that tells more of what was when it is asked for.
            let best = leads_on.max_by_key(|segment| match until {
                Until::Time(ms) if segment.time_ms > ms => (false, -segment.time_ms, 0),
                _ => (true, segment.time_ms, segment.to.seq),
            });
            let Some(best) = best else {
                return way;
            };
            way.push(*best);
            at = best.to;
            is_first = false;
            if matches!(until, Until::Time(ms) if best.time_ms > ms) {
                return way;
            }
        }
    }

    /// How many segments there are behind a position that nothing leads to.
    pub(super) fn beyond(&self, store: u128, end: Position) -> usize {
        let of_store = self.segments.get(&store).into_iter().flatten();
        let is_beyond =
            |segment: &&Segment| segment.from.seq > end.seq && segment.to.epoch >= end.epoch;
        of_store.filter(is_beyond).count()
    }

    /// How far a snapshot reaches, and when that was.
    pub(super) fn reach(&self, snapshot: &Snapshot) -> (Position, i64) {
        let from = snapshot.position();
        let segments = self.segments_from(snapshot.store(), from, Until::End, &[]);
        let last = segments.last().map(|last| (last.to, last.time_ms));
        last.unwrap_or((from, snapshot.taken_ms))
    }
}

/// Every snapshot of a target, by id.
pub(super) async fn snapshots(target: &Target) -> Result<BTreeMap<String, Listed>, Error> {
    let entries = target.list(names::SNAPSHOTS).await?;
    let reads = entries.into_iter().map(|Entry { name, .. }| async move {
        let Some(id) = names::id_of_snapshot(&name) else {
            return Ok(None);
        };
        match target.get(&name, manifest::BYTES_MAX).await {
            Ok(object) => Ok(Some((id.to_owned(), Snapshot::read(&object)))),
            // Somebody removed it just now.
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

    fn at(epoch: u64, seq: u64) -> Position {
        let chain = epoch * 1000 + seq;
        Position { epoch, seq, chain }
    }

    fn snapshot(position: Position, taken_ms: i64) -> (String, Listed) {
        let id = names::snapshot_id(taken_ms, 0);
        (id, Ok(Snapshot::new(taken_ms, STORE, position, Vec::new())))
    }

    fn segment(from: Position, to: Position, time_ms: i64) -> Segment {
        Segment {
            store: STORE,
            from,
            to,
            time_ms,
        }
    }

    fn target() -> (tempfile::TempDir, Target) {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::to_write(dir.path().to_str().unwrap()).unwrap();
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

    fn ends(inventory: &Inventory, from: Position, until: Until) -> Vec<u64> {
        let segments = inventory.segments_from(STORE, from, until, &[]);
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
        // What is past a moment may begin before it.
        assert_eq!(ends(&there, at(1, 10), Until::Time(200)), [20, 30]);
        assert_eq!(ends(&there, at(1, 10), Until::Time(199)), [20]);
        assert_eq!(
            there.segments_from(8, at(1, 10), Until::End, &[]),
            [] as [Segment; 0]
        );
        assert_eq!(there.beyond(STORE, at(1, 40)), 1);
        assert_eq!(there.beyond(STORE, at(1, 60)), 0);
        assert_eq!(there.beyond(STORE, at(2, 40)), 0);
        let without = [segment(at(1, 20), at(1, 30), 300)];
        let segments = there.segments_from(STORE, at(1, 10), Until::End, &without);
        assert_eq!(segments.len(), 1);
    }

    #[test]
    fn a_moment_is_reached_from_the_latest_snapshot_before_it() {
        let (there, (_dir, target)) = (inventory(), target());
        let begins = |until| {
            let found = there.beginning(&target, None, until);
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
        assert!(
            Inventory::default()
                .beginning(&target, None, Until::End)
                .is_err()
        );
    }

    #[test]
    fn the_latest_that_cannot_be_read_is_not_passed_over_unasked() {
        let (_dir, target) = target();
        let (id, _) = snapshot(at(1, 99), 900);
        let mut there = inventory();
        there.snapshots.insert(id.clone(), Err(Unusable::Newer(2)));
        let refused = there.beginning(&target, None, Until::End).unwrap_err();
        assert!(refused.to_string().contains(&id), "{refused}");
        assert!(there.beginning(&target, None, Until::Seq(30)).is_ok());
        let (before, _) = snapshot(at(1, 25), 250);
        assert!(there.beginning(&target, Some(&before), Until::End).is_ok());
    }

    #[test]
    fn of_two_ways_the_one_of_that_time_is_taken_and_no_epoch_is_gone_back_from() {
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
        assert_eq!(there.reach(latest), (at(2, 60), 700));
    }
}
