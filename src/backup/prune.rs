//! Pruning: removes snapshots by number and age, and then the objects that no snapshot needs.
//!
//! Nothing locks a target, so that nothing is left locked. A backup that is being taken builds on files
//! that are there; they stay until it names them itself for this reason. The backup first writes that it is
//! pending, then looks which snapshots there are, and builds on files of the latest alone, and on files of
//! the last `TIME_MAX`; it gives up after `TIME_MAX`. The pruner goes the other way: it removes snapshots
//! first, lists files, and then looks for pending backups.
//!
//! - If it finds a pending backup, it removes no file. That backup may build on a snapshot that was
//!   removed; the next pruning finds the files named by its snapshot, or by none.
//! - If it finds none, every backup that begins from there on sees the snapshots that were left, all of
//!   whose files stay, and files of the last day, which stay too: leftovers are removed after two. The
//!   files that the backup writes itself have names that no file had before.
//! - A backup that was pending and is done has written its snapshot before, and snapshots are read after
//!   that.
//!
//! A crash leaves fewer snapshots, or files that no snapshot names, for the next one to remove.
//!
//! Must not know what stores are made of. Invariants: the best snapshot of each store stays; every object
//! named by a snapshot that stays, stays; while a snapshot cannot be read, no file is removed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::error::Error;
use super::inventory::{SnapshotResult, snapshots};
use super::manifest::{Snapshot, StoreFile};
use super::names::{self, ContentsName, SegmentName};
use super::pending::holds;
use super::standing;
use super::take::millis;
use super::target::{BackupTarget, TargetObject};
use crate::model::clock::now_ms;

/// The time after which files that no snapshot names are removed.
const LEFTOVER_TIME: Duration = Duration::from_hours(48);

/// The retention rules for snapshots: those that either rule retains stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PruneRules {
    /// So many of the latest; `None` is for all.
    pub keep: Option<usize>,
    /// The age up to which snapshots stay, too.
    pub keep_for: Option<Duration>,
}

/// The numbers of removed objects, and why not more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Snapshots.
    pub snapshots: usize,
    /// Bytes of files.
    pub bytes: u64,
    /// Segments of the log.
    pub segments: usize,
    /// The reason for which no files were removed, if so.
    pub waits: Option<String>,
}

/// Removes what the rules allow.
pub async fn prune(target: &BackupTarget, rules: PruneRules) -> Result<Pruned, Error> {
    let begun_ms = now_ms();
    let mut pruned = Pruned::default();
    for id in dropped(&snapshots(target).await?, rules, begun_ms) {
        target.delete(&names::snapshot(&id)).await?;
        pruned.snapshots += 1;
    }
    // The order matters from here on: see above.
    let files = target.list(names::FILES).await?;
    let log = target.list(names::LOG).await?;
    let mut is_pending = None;
    for pending in target.list(names::PENDING).await? {
        if age(&pending, begun_ms) > millis(holds(&pending)) {
            target.delete(&pending.name).await?;
        } else {
            is_pending = Some(pending);
        }
    }
    let left = snapshots(target).await?;
    for (entry, _) in needless_segments(&left, &log, begun_ms) {
        target.delete(&entry.name).await?;
        pruned.segments += 1;
    }
    let unreadable = left.iter().find(|(_, listed)| listed.is_err());
    pruned.waits = match (unreadable, is_pending) {
        (Some((id, _)), _) => Some(format!(
            "{} cannot be read, so the files that it needs are unknown; copy an intact one back, or \
             delete it",
            names::snapshot(id)
        )),
        (None, Some(pending)) => Some(format!(
            "{} says that a backup is being taken; if none is, it is ignored after {} minutes",
            pending.name,
            holds(&pending).as_secs() / 60
        )),
        (None, None) => None,
    };
    if pruned.waits.is_some() {
        return Ok(pruned);
    }
    for entry in needless_files(&left, &files, begun_ms) {
        target.delete(&entry.name).await?;
        pruned.bytes += entry.bytes;
    }
    target.sweep(names::FILES, LEFTOVER_TIME)?;
    target.sweep(names::LOG, LEFTOVER_TIME)?;
    target.sweep(names::SNAPSHOTS, LEFTOVER_TIME)?;
    Ok(pruned)
}

/// Returns the snapshots that no rule retains. Those of each store are counted for themselves, so that the
/// backups of one never remove those of another.
fn dropped(
    snapshots: &BTreeMap<String, SnapshotResult>,
    rules: PruneRules,
    now_ms: i64,
) -> Vec<String> {
    if rules == PruneRules::default() {
        return Vec::new();
    }
    let is_old = |snapshot: &Snapshot| {
        let age = now_ms.saturating_sub(snapshot.taken_ms);
        rules.keep_for.is_none_or(|keep| age > millis(keep))
    };
    let mut of_stores: BTreeMap<u128, Vec<(&String, &Snapshot)>> = BTreeMap::new();
    for (id, listed) in snapshots {
        if let Ok(snapshot) = listed {
            let of_store = of_stores.entry(snapshot.store()).or_default();
            of_store.push((id, snapshot));
        }
    }
    let mut dropped = Vec::new();
    for mut of_store in of_stores.into_values() {
        of_store.sort_by_key(|(id, snapshot)| Reverse(standing::rank(id, snapshot)));
        let beyond = of_store.iter().skip(rules.keep.unwrap_or(0).max(1));
        let old = beyond.filter(|(_, snapshot)| is_old(snapshot));
        dropped.extend(old.map(|(id, _)| (*id).clone()));
    }
    dropped
}

/// Returns the files that no snapshot names and that are no part of one that is being taken.
fn needless_files<'e>(
    left: &BTreeMap<String, SnapshotResult>,
    files: &'e [TargetObject],
    now_ms: i64,
) -> impl Iterator<Item = &'e TargetObject> {
    let usable = left.values().filter_map(|listed| listed.as_ref().ok());
    let needed: BTreeSet<ContentsName> = usable
        .flat_map(|snapshot| &snapshot.files)
        .map(StoreFile::contents)
        .collect();
    files.iter().filter(move |entry| {
        let contents = ContentsName::read(&entry.name);
        contents.is_some_and(|contents| !needed.contains(&contents))
            && age(entry, now_ms) > millis(LEFTOVER_TIME)
    })
}

/// Returns the segments that do not lead beyond the earliest snapshot of their store.
fn needless_segments<'e>(
    left: &BTreeMap<String, SnapshotResult>,
    log: &'e [TargetObject],
    now_ms: i64,
) -> Vec<(&'e TargetObject, SegmentName)> {
    let mut earliest: BTreeMap<u128, u64> = BTreeMap::new();
    for listed in left.values() {
        let Ok(snapshot) = listed else {
            // It may be of any store.
            return Vec::new();
        };
        let seq = snapshot.position().seq;
        let of_store = earliest.entry(snapshot.store()).or_insert(seq);
        *of_store = seq.min(*of_store);
    }
    let segments = log.iter();
    let segments = segments.filter_map(|entry| Some((entry, SegmentName::read(&entry.name)?)));
    let needless = segments.filter(|(entry, segment)| match earliest.get(&segment.store) {
        Some(seq) => segment.to.seq <= *seq,
        None => age(entry, now_ms) > millis(LEFTOVER_TIME),
    });
    needless.collect()
}

fn age(entry: &TargetObject, now_ms: i64) -> i64 {
    now_ms.saturating_sub(entry.written_ms)
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Unusable;
    use super::*;
    use crate::store::LogPosition;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000_000;
    const HOUR: i64 = 3_600_000;

    fn contents(hash: u128) -> ContentsName {
        ContentsName {
            hash,
            bytes: 5,
            by: 1,
        }
    }

    /// A snapshot that was taken so many hours ago, at so many rows, of files with these hashes.
    fn snapshot(hours: i64, seq: u64, hashes: &[u128]) -> (String, SnapshotResult) {
        let taken_ms = NOW - hours * HOUR;
        let position = LogPosition {
            epoch: 1,
            seq,
            chain: 0,
        };
        let files = hashes
            .iter()
            .map(|hash| StoreFile::new("x", contents(*hash)));
        let snapshot = Snapshot::new(taken_ms, 7, position, files.collect());
        (names::snapshot_id(taken_ms, 0), Ok(snapshot))
    }

    fn entry(name: String, hours: i64) -> TargetObject {
        TargetObject {
            name,
            bytes: 5,
            written_ms: NOW - hours * HOUR,
        }
    }

    fn rules(keep: usize, hours: u64) -> PruneRules {
        PruneRules {
            keep: (keep > 0).then_some(keep),
            keep_for: (hours > 0).then(|| Duration::from_hours(hours)),
        }
    }

    #[test]
    fn what_either_rule_keeps_stays_and_the_latest_in_any_case() {
        let all: BTreeMap<_, _> = (1..=5).map(|age| snapshot(age * 24, 1, &[])).collect();
        let left = |rules| all.len() - dropped(&all, rules, NOW).len();
        for (keep, hours, expected) in [
            (0, 0, 5),
            (2, 0, 2),
            (9, 0, 5),
            (0, 60, 2),
            (0, 1, 1),
            (1, 80, 3),
            (4, 60, 4),
        ] {
            assert_eq!(left(rules(keep, hours)), expected, "{keep} {hours}");
        }
        let oldest = snapshot(120, 1, &[]).0;
        assert_eq!(dropped(&all, rules(4, 0), NOW), [oldest]);
    }

    #[test]
    fn backups_of_one_store_never_rotate_out_those_of_another() {
        let of = |store, epoch, hours: i64| {
            let taken_ms = NOW - hours * HOUR;
            let at = LogPosition {
                epoch,
                seq: 1,
                chain: 0,
            };
            let one = Snapshot::new(taken_ms, store, at, Vec::new());
            (names::snapshot_id(taken_ms, 0), Ok(one))
        };
        let all: BTreeMap<_, _> = [
            of(7, 2, 100),
            of(7, 2, 99),
            of(7, 1, 98),
            of(8, 1, 3),
            of(8, 1, 2),
            of(8, 1, 1),
        ]
        .into();
        let gone = dropped(&all, rules(1, 0), NOW);
        let left: Vec<_> = all.keys().filter(|id| !gone.contains(id)).collect();
        assert_eq!(left, [&of(7, 2, 99).0, &of(8, 1, 1).0]);
        assert_eq!(dropped(&all, rules(0, 1), NOW).len(), 4);
    }

    #[test]
    fn one_that_cannot_be_read_is_neither_counted_nor_dropped() {
        let mut all: BTreeMap<_, _> = (1..=3).map(|age| snapshot(age * 24, 1, &[])).collect();
        let (id, _) = snapshot(30, 1, &[]);
        all.insert(id.clone(), Err(Unusable::Damaged("")));
        let gone = dropped(&all, rules(1, 0), NOW);
        assert!(gone.len() == 2 && !gone.contains(&id));
        let log = [entry("log/x".to_owned(), 99)];
        assert_eq!(needless_segments(&all, &log, NOW), []);
    }

    #[test]
    fn segments_up_to_the_earliest_snapshot_of_their_store_go() {
        let left: BTreeMap<_, _> = [snapshot(50, 20, &[]), snapshot(2, 40, &[])].into();
        let at = |seq| LogPosition {
            epoch: 1,
            seq,
            chain: 0,
        };
        let name = |store, from, to| {
            let (from, to, time_ms) = (at(from), at(to), 0);
            SegmentName {
                store,
                from,
                to,
                time_ms,
            }
            .name()
        };
        let log = [
            entry(name(7, 10, 20), 1),
            entry(name(7, 19, 21), 99),
            entry(name(7, 40, 50), 99),
            entry(name(8, 10, 20), 1),
            entry(name(8, 10, 30), 99),
        ];
        let gone = needless_segments(&left, &log, NOW);
        let gone: Vec<&TargetObject> = gone.into_iter().map(|(entry, _)| entry).collect();
        assert_eq!(gone, [&log[0], &log[4]]);
    }

    proptest! {
        #[test]
        fn nothing_goes_that_is_named_or_may_be_on_its_way(
            named in prop::collection::vec(0_u128..20, 0..10),
            files in prop::collection::vec((0_u128..30, 0_i64..100), 0..40),
        ) {
            let left: BTreeMap<_, _> = [snapshot(1, 1, &named)].into();
            let files: Vec<TargetObject> = files
                .into_iter()
                .map(|(hash, hours)| entry(contents(hash).name(), hours))
                .collect();
            let gone: Vec<&TargetObject> = needless_files(&left, &files, NOW).collect();
            for file in &files {
                let hash = ContentsName::read(&file.name).unwrap().hash;
                let is_old = file.written_ms < NOW - 48 * HOUR;
                let goes = !named.contains(&hash) && is_old;
                prop_assert_eq!(gone.contains(&file), goes);
            }
        }
    }
}
