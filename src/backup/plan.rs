//! The best path through the segments of a store: which segments lead from a position to a moment.
//!
//! Must not know targets. Invariants: a path has no gap and never goes back to an earlier epoch; of two
//! paths the one that ends in the later epoch is taken, and within an epoch the one that was written
//! later; the work is that of sorting, however many segments, snapshots and forks there are.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use super::inventory::Until;
use super::names::SegmentName;
use crate::store::LogPosition;

/// The segments of one store, each with the one that follows it on the best path.
#[derive(Debug)]
pub(super) struct Paths {
    until: Until,
    /// In order of their beginnings.
    segments: Vec<SegmentName>,
    /// The next segment on the best path of each segment.
    next: Vec<Option<usize>>,
    /// The last segment on the best path of each segment.
    last: Vec<usize>,
    /// The rank of the end of each segment's best path.
    ranks: Vec<Rank>,
    /// The segment with the best path from each position.
    best: HashMap<LogPosition, usize>,
    /// The highest end of all segments up to each segment.
    ends: Vec<u64>,
    /// The number of segments that were compared so far; a bound on the work for tests.
    compared: Cell<u64>,
}

/// The order of paths by their ends: far enough or within the moment, epoch, time, sequence number.
type Rank = (bool, u64, i64, u64);

impl Paths {
    /// Finds the best path from every segment, without those that turned out to lead elsewhere.
    pub(super) fn of(
        segments: &[SegmentName],
        until: Until,
        without: &HashSet<SegmentName>,
    ) -> Self {
        let leads_on = |segment: &&SegmentName| {
            let SegmentName { from, to, .. } = segment;
            let is_wanted = !matches!(until, Until::Seq(seq) if from.seq >= seq);
            // A path does not go back from an epoch that has begun.
            is_wanted && to.seq > from.seq && to.epoch >= from.epoch && !without.contains(*segment)
        };
        let mut segments: Vec<SegmentName> = segments.iter().filter(leads_on).copied().collect();
        segments.sort_by_key(|segment| (segment.from.seq, segment.time_ms));
        let mut highest = 0;
        let ends = segments.iter().map(|segment| {
            highest = segment.to.seq.max(highest);
            highest
        });
        let mut paths = Self {
            until,
            ends: ends.collect(),
            next: vec![None; segments.len()],
            last: (0..segments.len()).collect(),
            ranks: vec![(false, 0, 0, 0); segments.len()],
            best: HashMap::with_capacity(segments.len()),
            segments,
            compared: Cell::new(0),
        };
        paths.rank_all();
        paths
    }

    /// From the last beginning to the first: the successor of a segment begins behind it.
    fn rank_all(&mut self) {
        let until = self.until;
        for index in (0..self.segments.len()).rev() {
            let Some(segment) = self.segments.get(index).copied() else {
                continue;
            };
            let own = rank(&segment, until);
            let ends = match until {
                Until::End => false,
                Until::Seq(seq) => segment.to.seq >= seq,
                Until::Time(ms) => segment.time_ms > ms,
            };
            let next = self.best.get(&segment.to).copied().filter(|_| !ends);
            let onward = next.and_then(|next| self.ranks.get(next).copied());
            let rank = match (onward, until) {
                // A segment that is partly past the moment adds commits and no rank.
                (Some((false, ..)), Until::Time(_)) | (None, _) => own,
                (Some(onward), _) => onward,
            };
            let last = next.and_then(|next| self.last.get(next).copied());
            set(&mut self.next, index, next);
            set(&mut self.last, index, last.unwrap_or(index));
            set(&mut self.ranks, index, rank);
            self.count();
            let before = self
                .best
                .get(&segment.from)
                .and_then(|i| self.ranks.get(*i));
            if before.is_none_or(|before| *before < rank) {
                self.best.insert(segment.from, index);
            }
        }
    }

    /// Returns the path that leads on from a position. Its first segment may begin before that; only
    /// reading it shows whether it goes through the position.
    pub(super) fn from(&self, at: LogPosition) -> Vec<SegmentName> {
        let mut path = Vec::new();
        if matches!(self.until, Until::Seq(seq) if at.seq >= seq) {
            return path;
        }
        let mut next = self.first(at);
        while let Some((index, segment)) = next.and_then(|i| Some((i, self.segments.get(i)?))) {
            path.push(*segment);
            next = self.next.get(index).copied().flatten();
        }
        path
    }

    /// Returns the last segment of the path from a position, without walking it.
    pub(super) fn end(&self, at: LogPosition) -> Option<&SegmentName> {
        let first = self.first(at)?;
        self.segments.get(*self.last.get(first)?)
    }

    fn first(&self, at: LogPosition) -> Option<usize> {
        let exact = self.best.get(&at).copied();
        let mut best = exact.filter(|index| self.goes_on(*index, at));
        let behind = self
            .segments
            .partition_point(|segment| segment.from.seq < at.seq);
        for index in (0..behind).rev() {
            // No segment up to here ends behind the position.
            if self.ends.get(index).is_none_or(|end| *end <= at.seq) {
                break;
            }
            self.count();
            let is_better = best.is_none_or(|best| self.ranks.get(best) < self.ranks.get(index));
            if is_better && self.goes_on(index, at) {
                best = Some(index);
            }
        }
        best
    }

    fn goes_on(&self, index: usize, at: LogPosition) -> bool {
        self.segments
            .get(index)
            .is_some_and(|SegmentName { from, to, .. }| {
                to.seq > at.seq && from.epoch <= at.epoch && at.epoch <= to.epoch
            })
    }

    fn count(&self) {
        self.compared.set(self.compared.get() + 1);
    }
}

fn set<T>(all: &mut [T], index: usize, value: T) {
    if let Some(one) = all.get_mut(index) {
        *one = value;
    }
}

fn rank(segment: &SegmentName, until: Until) -> Rank {
    let SegmentName { to, time_ms, .. } = segment;
    match until {
        // The one that is least past the moment.
        Until::Time(ms) if *time_ms > ms => (false, 0, time_ms.saturating_neg(), 0),
        Until::Seq(seq) => (to.seq >= seq, to.epoch, *time_ms, to.seq),
        Until::End | Until::Time(_) => (true, to.epoch, *time_ms, to.seq),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENTS: u64 = 100_000;

    fn at(epoch: u64, seq: u64) -> LogPosition {
        LogPosition {
            epoch,
            seq,
            chain: seq,
        }
    }

    fn segment(from: LogPosition, to: LogPosition, time_ms: u64) -> SegmentName {
        SegmentName {
            store: 7,
            from,
            to,
            time_ms: time_ms.cast_signed(),
        }
    }

    /// A week of segments: from each position a step to the next, and every tenth time a fork that ends.
    fn week() -> Vec<SegmentName> {
        let steps = (0..SEGMENTS).flat_map(|step| {
            let (from, to) = (at(1, step * 10), at(1, step * 10 + 10));
            let fork = segment(from, at(1, step * 10 + 5), step);
            let fork = (step % 10 == 0).then_some(fork);
            [Some(segment(from, to, step)), fork].into_iter().flatten()
        });
        steps.collect()
    }

    #[test]
    fn planning_of_100_000_segments_compares_each_once() {
        let week = week();
        let untils = [
            Until::End,
            Until::Seq(SEGMENTS * 10),
            Until::Time(SEGMENTS.cast_signed()),
        ];
        for until in untils {
            let paths = Paths::of(&week, until, &HashSet::new());
            assert_eq!(paths.from(at(1, 0)).len() as u64, SEGMENTS);
            // The request of a list of a thousand backups.
            for step in 0..1000 {
                let end = paths.end(at(1, step * 997 + 3)).unwrap();
                assert_eq!(end.to, at(1, SEGMENTS * 10));
            }
            let bound = week.len() as u64 + 1001 * 3;
            assert!(paths.compared.get() <= bound, "{}", paths.compared.get());
        }
    }

    #[test]
    fn segment_that_covers_others_is_one_way_among_them() {
        let segments = [
            segment(at(1, 0), at(1, 10), 1),
            segment(at(1, 10), at(1, 20), 2),
            segment(at(1, 0), at(1, 20), 2),
            segment(at(1, 20), at(1, 30), 3),
        ];
        let end = |from, without: &[SegmentName]| {
            let without = without.iter().copied().collect();
            let paths = Paths::of(&segments, Until::End, &without);
            paths.end(from).map(|segment| segment.to.seq)
        };
        for seq in [0, 5, 10, 15] {
            assert_eq!(end(at(1, seq), &[]), Some(30));
            assert_eq!(end(at(1, seq), &segments[..2]), Some(30));
        }
        assert_eq!(end(at(1, 5), &[segments[0], segments[2]]), None);
        assert_eq!(end(at(1, 10), &[segments[2]]), Some(30));
    }
}
