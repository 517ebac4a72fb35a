//! Runs of small segments that may become one segment each, and segments that a longer one holds.
//!
//! Must not know targets. Invariants: a run is one line of commits of one store in one epoch; no other
//! segment begins where one of a run begins, and no other ends or begins, and no snapshot is, between two
//! of them; so every path through a run leads through the segment that takes its place, too.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::names::SegmentName;
use super::take::millis;
use super::target::TargetObject;
use crate::store::LogPosition;

/// A merged segment is no longer than this.
const MERGED_BYTES_MAX: u64 = 4 << 20;
/// The number of segments below which merging them costs more than it saves.
pub(super) const RUN_MIN: usize = 16;
/// The age at which a segment may be merged, and at which a merged one takes the place of its parts: a list
/// of a target never takes so long, so each shows a part or the segment that holds it.
const SETTLED_AGE: Duration = Duration::from_hours(1);

/// The merging that may be done at a moment.
#[derive(Debug, Default)]
pub(super) struct MergePlan {
    /// Segments that become one, each run in order.
    pub(super) runs: Vec<Vec<SegmentName>>,
    /// Merged segments, each with those that it holds as far as names tell, the last first.
    pub(super) merged: Vec<(SegmentName, Vec<SegmentName>)>,
}

/// A place at which a segment begins or ends.
type SegmentEnd = (u128, LogPosition);

/// The segments of a target, by where they begin.
struct SegmentLog<'e> {
    /// In order of stores and beginnings.
    all: Vec<(SegmentName, &'e TargetObject)>,
    from: HashMap<SegmentEnd, Vec<usize>>,
    /// The segments that a longer one holds.
    held: HashSet<usize>,
    now_ms: i64,
}

/// Finds the segments that may be merged, and those that were. Segments in `without` are left as they are.
pub(super) fn plan(
    log: &[TargetObject],
    snapshots: &HashSet<SegmentEnd>,
    without: &HashSet<SegmentName>,
    now_ms: i64,
) -> MergePlan {
    let mut log = SegmentLog::of(log, now_ms);
    let mut merged = Vec::new();
    for index in 0..log.all.len() {
        let parts = log.parts(index);
        let Some((whole, entry)) = log.all.get(index).filter(|_| !parts.is_empty()) else {
            continue;
        };
        if without.contains(whole) {
            continue;
        }
        if log.is_settled(entry) {
            let parts = parts.iter().filter_map(|part| log.all.get(*part));
            merged.push((*whole, parts.map(|(segment, _)| *segment).collect()));
        }
        log.held.extend(parts);
    }
    let runs = log.chains(snapshots, without);
    MergePlan {
        runs: runs.iter().flat_map(|chain| packed(chain)).collect(),
        merged,
    }
}

impl<'e> SegmentLog<'e> {
    fn of(log: &'e [TargetObject], now_ms: i64) -> Self {
        let read = log
            .iter()
            .filter_map(|e| Some((SegmentName::read(&e.name)?, e)));
        let mut all: Vec<_> = read.collect();
        all.sort_by_key(|(segment, _)| (segment.store, segment.from.seq, segment.to.seq));
        let mut from: HashMap<SegmentEnd, Vec<usize>> = HashMap::with_capacity(all.len());
        for (index, (segment, _)) in all.iter().enumerate() {
            from.entry(begin(segment)).or_default().push(index);
        }
        Self {
            all,
            from,
            held: HashSet::new(),
            now_ms,
        }
    }

    fn is_settled(&self, entry: &TargetObject) -> bool {
        self.now_ms.saturating_sub(entry.written_ms) > millis(SETTLED_AGE)
    }

    /// Returns the segments that lead on from where a longer one begins and not beyond its end, the last
    /// first.
    fn parts(&self, whole: usize) -> Vec<usize> {
        let Some((whole, _)) = self.all.get(whole).filter(|(of, _)| is_plain(of)) else {
            return Vec::new();
        };
        let mut parts = HashSet::new();
        let mut places = vec![begin(whole)];
        while let Some(place) = places.pop() {
            for index in self.from.get(&place).into_iter().flatten() {
                let part = self.all.get(*index).map(|(segment, _)| segment);
                let part = part.filter(|part| is_plain(part) && is_within(part, whole));
                if let Some(part) = part.filter(|_| parts.insert(*index)) {
                    places.push(end(part));
                }
            }
        }
        let mut parts: Vec<usize> = parts.into_iter().collect();
        // In order of their beginnings, as all are.
        parts.sort_by_key(|index| Reverse(*index));
        parts
    }

    /// Segments that follow each other, of which none but the last leads anywhere else.
    fn chains(
        &self,
        snapshots: &HashSet<SegmentEnd>,
        without: &HashSet<SegmentName>,
    ) -> Vec<Vec<(SegmentName, u64)>> {
        let (mut begins, mut ends): (HashMap<SegmentEnd, u32>, HashMap<SegmentEnd, u32>) =
            Default::default();
        for (segment, _) in &self.all {
            *begins.entry(begin(segment)).or_default() += 1;
            *ends.entry(end(segment)).or_default() += 1;
        }
        let one = Some(&1);
        let may = self
            .all
            .iter()
            .enumerate()
            .filter(|(index, (segment, entry))| {
                is_plain(segment)
                    && begins.get(&begin(segment)) == one
                    && !self.held.contains(index)
                    && !without.contains(segment)
                    && self.is_settled(entry)
            });
        let mut chains: Vec<Vec<(SegmentName, u64)>> = Vec::new();
        let mut open: HashMap<SegmentEnd, usize> = HashMap::new();
        for (_, (segment, entry)) in may {
            let place = begin(segment);
            let follows = ends.get(&place) == one && !snapshots.contains(&place);
            let chain = open.remove(&place).filter(|_| follows);
            let chain = chain.unwrap_or_else(|| {
                chains.push(Vec::new());
                chains.len() - 1
            });
            open.insert(end(segment), chain);
            if let Some(chain) = chains.get_mut(chain) {
                chain.push((*segment, entry.bytes));
            }
        }
        chains
    }
}

/// The runs of a chain, each as long as a merged segment may be. One that is longer than all behind it
/// is left alone, so that no byte is written again and again.
fn packed(mut chain: &[(SegmentName, u64)]) -> Vec<Vec<SegmentName>> {
    let mut runs = Vec::new();
    while let Some((_, first)) = chain.first() {
        let mut bytes = 0;
        let fits = chain.iter().take_while(|(_, more)| {
            bytes += more;
            bytes <= MERGED_BYTES_MAX
        });
        let count = fits.count();
        let (run, rest) = chain.split_at(count);
        let bytes: u64 = run.iter().map(|(_, bytes)| bytes).sum();
        if count >= RUN_MIN && *first <= bytes / 2 {
            runs.push(run.iter().map(|(segment, _)| *segment).collect());
            chain = rest;
        } else {
            chain = chain.split_at(1).1;
        }
    }
    runs
}

/// Returns true for a segment that is of one epoch and leads on.
fn is_plain(SegmentName { from, to, .. }: &SegmentName) -> bool {
    from.epoch == to.epoch && from.seq < to.seq
}

/// Returns true for one that is shorter than another and does not end behind it.
fn is_within(part: &SegmentName, whole: &SegmentName) -> bool {
    part.to.epoch == whole.to.epoch
        && part.to.seq <= whole.to.seq
        && part.to.seq - part.from.seq < whole.to.seq - whole.from.seq
}

fn begin(segment: &SegmentName) -> SegmentEnd {
    (segment.store, segment.from)
}

fn end(segment: &SegmentName) -> SegmentEnd {
    (segment.store, segment.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const DAY_SEGMENTS: u64 = 100_000;

    fn at(epoch: u64, seq: u64) -> LogPosition {
        LogPosition {
            epoch,
            seq,
            chain: seq,
        }
    }

    fn segment(from: LogPosition, to: LogPosition) -> SegmentName {
        SegmentName {
            store: 7,
            from,
            to,
            time_ms: to.seq.cast_signed(),
        }
    }

    /// An object that was written two hours ago.
    fn entry(segment: &SegmentName, bytes: u64) -> TargetObject {
        TargetObject {
            name: segment.name(),
            bytes,
            written_ms: NOW - 2 * millis(SETTLED_AGE),
        }
    }

    fn line(segments: std::ops::Range<u64>) -> Vec<SegmentName> {
        let step = |step: u64| segment(at(1, step * 10), at(1, step * 10 + 10));
        segments.map(step).collect()
    }

    fn entries(segments: &[SegmentName], bytes: u64) -> Vec<TargetObject> {
        segments.iter().map(|one| entry(one, bytes)).collect()
    }

    fn planned(log: &[TargetObject]) -> MergePlan {
        plan(log, &HashSet::new(), &HashSet::new(), NOW)
    }

    /// The first and the last step of each run.
    fn spans(plan: &MergePlan) -> Vec<(u64, u64)> {
        let span = |run: &Vec<SegmentName>| (run[0].from.seq / 10, run[run.len() - 1].to.seq / 10);
        plan.runs.iter().map(span).collect()
    }

    #[test]
    fn day_of_100_000_small_segments_becomes_some_dozens() {
        let day = line(0..DAY_SEGMENTS);
        let plan = planned(&entries(&day, 2000));
        assert_eq!(plan.runs.concat(), day);
        assert_eq!(plan.runs.len(), 48);
        // With the merged ones beside them there is nothing to merge, and each part is held by one.
        let merged: Vec<SegmentName> = plan
            .runs
            .iter()
            .map(|run| segment(run[0].from, run[run.len() - 1].to))
            .collect();
        let log = [entries(&day, 2000), entries(&merged, MERGED_BYTES_MAX)].concat();
        let plan = planned(&log);
        assert!(plan.runs.is_empty());
        let mut parts: Vec<SegmentName> = plan.merged.iter().flat_map(|(_, p)| p.clone()).collect();
        assert!(plan.merged.iter().all(|(whole, _)| merged.contains(whole)));
        parts.sort_by_key(|part| part.from.seq);
        assert_eq!(parts, day);
    }

    #[test]
    fn run_ends_at_its_bound_and_few_segments_stay() {
        let few = RUN_MIN as u64 - 1;
        assert_eq!(spans(&planned(&entries(&line(0..few), 1))), []);
        assert_eq!(
            spans(&planned(&entries(&line(0..few + 1), 1))),
            [(0, few + 1)]
        );
        let quarter = MERGED_BYTES_MAX / 32;
        let plan = planned(&entries(&line(0..80), quarter));
        assert_eq!(spans(&plan), [(0, 32), (32, 64), (64, 80)]);
    }

    #[test]
    fn segment_longer_than_all_behind_it_is_not_written_again() {
        let mut log = entries(&line(0..40), 10);
        log[0].bytes = 1000;
        assert_eq!(spans(&planned(&log)), [(1, 40)]);
        log[0].bytes = 100;
        assert_eq!(spans(&planned(&log)), [(0, 40)]);
        // One in the middle is written once, and is the first of the next run.
        log[20].bytes = MERGED_BYTES_MAX - 1000;
        assert_eq!(spans(&planned(&log)), [(0, 40)]);
    }

    #[test]
    fn no_run_leads_across_a_branch_a_gap_or_an_epoch() {
        let whole = line(0..100);
        let ends: [(&str, SegmentName); 4] = [
            ("begins there", segment(at(1, 500), at(1, 505))),
            (
                "begins there in another epoch",
                segment(at(1, 500), at(2, 700)),
            ),
            ("ends there", segment(at(1, 495), at(1, 500))),
            (
                "ends there, from another epoch",
                segment(at(0, 495), at(1, 500)),
            ),
        ];
        for (what, other) in ends {
            let log = [whole.clone(), vec![other]].concat();
            let expected: [(u64, u64); 2] = match what {
                "begins there" | "begins there in another epoch" => [(0, 50), (51, 100)],
                _ => [(0, 50), (50, 100)],
            };
            assert_eq!(spans(&planned(&entries(&log, 9))), expected, "{what}");
        }
        let mut gap = whole.clone();
        gap.remove(50);
        assert_eq!(spans(&planned(&entries(&gap, 9))), [(0, 50), (51, 100)]);
        let mut other_store = whole.clone();
        other_store[50].store = 8;
        let plan = planned(&entries(&other_store, 9));
        assert_eq!(spans(&plan), [(0, 50), (51, 100)]);
        let mut epoch = whole.clone();
        for one in &mut epoch[50..] {
            (one.from.epoch, one.to.epoch) = (2, 2);
        }
        epoch[50].from.epoch = 1;
        assert_eq!(spans(&planned(&entries(&epoch, 9))), [(0, 50), (51, 100)]);
    }

    #[test]
    fn snapshots_damage_and_youth_end_a_run() {
        let whole = line(0..100);
        let log = entries(&whole, 9);
        let none = HashSet::new();
        let snapshots = [(7, at(1, 500)), (8, at(1, 300))].into();
        let plan = super::plan(&log, &snapshots, &none, NOW);
        assert_eq!(spans(&plan), [(0, 50), (50, 100)]);
        let without = [whole[50]].into();
        let plan = super::plan(&log, &HashSet::new(), &without, NOW);
        assert_eq!(spans(&plan), [(0, 50), (51, 100)]);
        let mut young = log;
        for one in &mut young[50..] {
            one.written_ms = NOW - millis(SETTLED_AGE);
        }
        assert_eq!(spans(&planned(&young)), [(0, 50)]);
    }

    #[test]
    fn parts_are_told_the_last_first_once_the_whole_is_settled() {
        let parts = line(0..4);
        let whole = segment(at(1, 0), at(1, 40));
        let longer = segment(at(1, 0), at(1, 60));
        let beyond = segment(at(1, 40), at(1, 50));
        let mut log = entries(&[&parts[..], &[whole, beyond]].concat(), 9);
        let plan = planned(&log);
        let back: Vec<SegmentName> = parts.iter().rev().copied().collect();
        assert_eq!(plan.merged, [(whole, back.clone())]);
        log[4].written_ms = NOW - millis(SETTLED_AGE);
        assert!(planned(&log).merged.is_empty());
        // Removals that were cut off are planned again, and a merged one may be a part as well.
        let left = entries(&[parts[0], parts[1], whole, beyond, longer], 9);
        let plan = planned(&left);
        let expected = [
            (whole, vec![parts[1], parts[0]]),
            (longer, vec![beyond, parts[1], whole, parts[0]]),
        ];
        assert_eq!(plan.merged, expected);
    }
}
