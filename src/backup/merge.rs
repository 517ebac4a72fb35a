//! Merging small segments into larger ones, so that a restore fetches few objects.
//!
//! A merged segment is a segment like others: it has the commits of its parts, each with the time at which
//! it was made, so a restore ends at any commit as before. It is written beside its parts. An hour later it
//! is read back, and the parts that it holds are removed, the last first, so that those that are left lead
//! on from where it begins, and are found again.
//!
//! Invariants: a part is removed only after a longer segment was read whole that has been where the part
//! begins and ends; whatever moment a process dies at, every commit is in a segment that leads to it; no
//! more than one merged segment and its parts are in memory.

use std::collections::HashSet;

use futures_util::StreamExt;

use super::check::played;
use super::error::Error;
use super::inventory::snapshots;
use super::names::{self, SegmentName};
use super::runs::{RUN_MIN, plan};
use super::target::BackupTarget;
use crate::model::clock::now_ms;
use crate::segment::SegmentWriter;
use crate::store::LogPosition;

/// Segments that are read at once.
const READS_MAX: usize = 8;

/// Merges segments, round by round.
#[derive(Debug, Default)]
pub struct Merger {
    /// The segments that were found damaged, or whose commits do not say when they were made: merged, they
    /// would be restored further than a moment that lies within.
    without: HashSet<SegmentName>,
}

/// The counts of a round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// Segments that were merged.
    pub segments: usize,
    /// The number of those that they became.
    pub into: usize,
    /// Segments that were removed, since a longer one holds them.
    pub removed: usize,
    /// Sentences on segments that cannot be read, and are left as they are.
    pub faults: Vec<String>,
}

/// A commit of a segment that was read whole.
struct MergedCommit {
    time_ms: Option<i64>,
    to: LogPosition,
    batch: Vec<u8>,
}

/// The result of reading a segment.
enum SegmentRead {
    /// All of it.
    Whole(Vec<MergedCommit>),
    /// It is not there: another process removed it meanwhile.
    Gone,
    /// It is damaged, or of a newer program.
    Unusable(Error),
}

impl Merger {
    /// Merges the segments that may be merged by now.
    pub async fn round(&mut self, target: &BackupTarget) -> Result<Merged, Error> {
        self.round_at(target, now_ms()).await
    }

    async fn round_at(&mut self, target: &BackupTarget, now_ms: i64) -> Result<Merged, Error> {
        let snapshots = snapshots(target).await?;
        let usable = snapshots.values().filter_map(|listed| listed.as_ref().ok());
        let places = usable.map(|one| (one.store(), one.position())).collect();
        let log = target.list(names::LOG).await?;
        let plan = plan(&log, &places, &self.without, now_ms);
        let mut merged = Merged::default();
        for (whole, parts) in plan.merged {
            self.remove(target, whole, &parts, &mut merged).await?;
        }
        for run in plan.runs {
            self.write(target, &run, &mut merged).await?;
        }
        Ok(merged)
    }

    /// Removes the parts that a segment holds, in their order.
    async fn remove(
        &mut self,
        target: &BackupTarget,
        whole: SegmentName,
        parts: &[SegmentName],
        merged: &mut Merged,
    ) -> Result<(), Error> {
        let commits = match read(target, &whole).await? {
            SegmentRead::Whole(commits) => commits,
            SegmentRead::Gone => return Ok(()),
            SegmentRead::Unusable(why) => {
                self.leave(whole, &why, merged);
                return Ok(());
            }
        };
        let positions: HashSet<LogPosition> = commits.iter().map(|commit| commit.to).collect();
        let has = |at| at == whole.from || positions.contains(&at);
        for part in parts {
            if has(part.from) && has(part.to) {
                target.delete(&part.name()).await?;
                merged.removed += 1;
            }
        }
        Ok(())
    }

    /// Writes a segment of all commits of a run, or of those before the first segment that is unfit.
    async fn write(
        &mut self,
        target: &BackupTarget,
        run: &[SegmentName],
        merged: &mut Merged,
    ) -> Result<(), Error> {
        let Some(first) = run.first() else {
            return Ok(());
        };
        let mut segment_writer = SegmentWriter::begin(first.store, first.from);
        let (mut count, mut time_ms) = (0, first.time_ms);
        let reads = run
            .iter()
            .map(|part| async { (*part, read(target, part).await) });
        let mut reads = Box::pin(futures_util::stream::iter(reads).buffered(READS_MAX));
        while let Some((part, found)) = reads.next().await {
            match found? {
                SegmentRead::Whole(commits) if commits.iter().all(|one| one.time_ms.is_some()) => {
                    for commit in commits {
                        segment_writer.push(&commit.batch)?;
                    }
                    count += 1;
                    time_ms = part.time_ms;
                }
                SegmentRead::Whole(_) => {
                    self.without.insert(part);
                    break;
                }
                SegmentRead::Gone => break,
                SegmentRead::Unusable(why) => {
                    self.leave(part, &why, merged);
                    break;
                }
            }
        }
        if count < RUN_MIN {
            return Ok(());
        }
        let (from, to) = segment_writer.span();
        let segment = SegmentName {
            store: first.store,
            from,
            to,
            time_ms,
        };
        target
            .put(&segment.name(), segment_writer.ended(time_ms))
            .await?;
        merged.segments += count;
        merged.into += 1;
        Ok(())
    }

    fn leave(&mut self, segment: SegmentName, why: &Error, merged: &mut Merged) {
        self.without.insert(segment);
        merged.faults.push(why.to_string());
    }
}

async fn read(target: &BackupTarget, segment: &SegmentName) -> Result<SegmentRead, Error> {
    let mut commits = Vec::new();
    let played = played(target, segment, |told, batch| {
        commits.push(MergedCommit {
            time_ms: told.time_ms,
            to: told.after,
            batch: batch.to_vec(),
        });
    });
    match played.await {
        Ok(_) => Ok(SegmentRead::Whole(commits)),
        Err(Error::Missing { .. }) => Ok(SegmentRead::Gone),
        Err(fault) if fault.is_of_an_object() => Ok(SegmentRead::Unusable(fault)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::super::inventory::{Inventory, Until};
    use super::super::target::TargetObject;
    use super::*;
    use crate::store::memory::CommitBytes;

    const STORE: u128 = 7;
    const START: LogPosition = LogPosition {
        epoch: 1,
        seq: 100,
        chain: 0,
    };
    const HOURS: i64 = 3_600_000;

    /// A target in a directory, with one line of commits in segments of two.
    struct MergeFixture {
        _dir: TempDir,
        target: BackupTarget,
        log: PathBuf,
        /// Each commit: where it leads, and when it was made.
        commits: Vec<(LogPosition, i64)>,
    }

    fn commit(before: LogPosition, row: &str, time_ms: Option<i64>) -> Vec<u8> {
        let mut writing = CommitBytes::begin(before, before.epoch);
        if let Some(time_ms) = time_ms {
            writing.note(&[b"rt1".as_slice(), &time_ms.to_be_bytes()].concat());
        }
        writing.put(1, row.as_bytes(), b"value");
        writing.end()
    }

    impl MergeFixture {
        async fn of(segments: usize) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let target = BackupTarget::to_write(dir.path().to_str().unwrap()).unwrap();
            let mut place = Self {
                log: dir.path().join(names::LOG).join(format!("{STORE:032x}")),
                _dir: dir,
                target,
                commits: Vec::new(),
            };
            let mut at = START;
            for number in 0..segments {
                let times = [Some(10 * number), Some(10 * number + 5)];
                at = place.ship(at, "row", &times).await;
            }
            place
        }

        /// Writes a segment of commits that were made at these times.
        async fn ship(
            &mut self,
            from: LogPosition,
            row: &str,
            times: &[Option<usize>],
        ) -> LogPosition {
            let mut segment_writer = SegmentWriter::begin(STORE, from);
            let mut last_ms = 0;
            for time in times {
                let time_ms = time.map(|time| i64::try_from(time).unwrap());
                let at = segment_writer.span().1;
                let to = segment_writer.push(&commit(at, row, time_ms)).unwrap();
                last_ms = time_ms.unwrap_or_default();
                self.commits.push((to, last_ms));
            }
            let (from, to) = segment_writer.span();
            let segment = SegmentName {
                store: STORE,
                from,
                to,
                time_ms: last_ms,
            };
            let object = segment_writer.ended(last_ms);
            self.target.put(&segment.name(), object).await.unwrap();
            to
        }

        async fn round(&self, target: &BackupTarget) -> Result<Merged, Error> {
            Merger::default()
                .round_at(target, now_ms() + 2 * HOURS)
                .await
        }

        async fn log(&self) -> Vec<TargetObject> {
            let mut log = self.target.list(names::LOG).await.unwrap();
            log.sort_by(|a, b| a.name.cmp(&b.name));
            log
        }

        /// The file of the longest segment.
        async fn longest(&self) -> PathBuf {
            let log = self.log().await;
            let longest = log.iter().max_by_key(|entry| entry.bytes).unwrap();
            self.log.join(longest.name.rsplit('/').next().unwrap())
        }

        /// The commit that a restore from the start would end at.
        async fn ends(&self, until: Until) -> LogPosition {
            let mut at = START;
            loop {
                let inventory = Inventory::of(&self.target).await.unwrap();
                let path = inventory.paths(STORE, until, &HashSet::new()).from(at);
                let before = at;
                for segment in path {
                    let each = |told: &crate::store::Inspected, _: &[u8]| {
                        let is_past = match until {
                            Until::End => false,
                            Until::Seq(seq) => told.after.seq > seq,
                            Until::Time(ms) => told.time_ms.is_some_and(|made| made > ms),
                        };
                        if told.before == at && !is_past {
                            at = told.after;
                        }
                    };
                    played(&self.target, &segment, each).await.unwrap();
                }
                if at == before {
                    return at;
                }
            }
        }

        /// Every commit can be restored, by its number and by its time, and the end is the end.
        async fn leads_to_every_commit(&self) {
            for (position, time_ms) in &self.commits {
                assert_eq!(self.ends(Until::Seq(position.seq)).await, *position);
                assert_eq!(self.ends(Until::Time(*time_ms)).await, *position);
            }
            assert_eq!(self.ends(Until::End).await, self.commits.last().unwrap().0);
        }
    }

    #[tokio::test]
    async fn every_cut_leaves_a_way_to_every_commit() {
        let parts = u32::try_from(RUN_MIN).unwrap() + 3;
        for changes in 0..=parts + 1 {
            let place = MergeFixture::of(RUN_MIN + 3).await;
            // Parts are removed in the round after the one that wrote the whole.
            let mut left = changes;
            if changes > 0 {
                let merged = place.round(&place.target).await.unwrap();
                assert_eq!((merged.segments, merged.into), (RUN_MIN + 3, 1));
                assert_eq!(merged.removed, 0);
                left -= 1;
            }
            place.leads_to_every_commit().await;
            let cut = place.round(&place.target.cut_after(left)).await;
            assert_eq!(cut.is_err(), changes <= parts, "after {changes} changes");
            let whole = usize::from(changes > 0);
            let expected = usize::try_from(parts - left).unwrap() + whole;
            assert_eq!(place.log().await.len(), expected);
            place.leads_to_every_commit().await;
            // The next round takes it from there.
            place.round(&place.target).await.unwrap();
            place.round(&place.target).await.unwrap();
            assert_eq!(place.log().await.len(), 1);
            place.leads_to_every_commit().await;
            let nothing = place.round(&place.target).await.unwrap();
            assert_eq!(nothing, Merged::default());
        }
    }

    #[tokio::test]
    async fn parts_stay_while_the_whole_is_damaged() {
        let place = MergeFixture::of(RUN_MIN).await;
        place.round(&place.target).await.unwrap();
        let longest = place.longest().await;
        let whole = fs::read(&longest).unwrap();
        for damaged in [&whole[..whole.len() - 1], &whole[..0]] {
            fs::write(&longest, damaged).unwrap();
            let merged = place.round(&place.target).await.unwrap();
            assert_eq!((merged.removed, merged.into), (0, 0));
            assert!(merged.faults[0].contains("is damaged"), "{merged:?}");
            assert_eq!(place.log().await.len(), RUN_MIN + 1);
        }
        fs::write(&longest, &whole).unwrap();
        let merged = place.round(&place.target).await.unwrap();
        assert_eq!(merged.removed, RUN_MIN);
        place.leads_to_every_commit().await;
    }

    #[tokio::test]
    async fn segment_of_another_history_holds_nothing() {
        let mut place = MergeFixture::of(3).await;
        // A longer one from the same position, in the same epoch, of other rows.
        place.ship(START, "other", &[Some(1); 40]).await;
        let before = place.log().await;
        let merged = place.round(&place.target).await.unwrap();
        assert_eq!(merged, Merged::default());
        assert_eq!(place.log().await, before);
    }

    #[tokio::test]
    async fn commits_without_a_time_are_not_merged() {
        let mut place = MergeFixture::of(RUN_MIN).await;
        let mut at = place.commits.last().unwrap().0;
        for times in [[Some(900), None], [None, None]] {
            at = place.ship(at, "row", &times).await;
        }
        for number in 0..RUN_MIN {
            at = place.ship(at, "row", &[Some(1000 + number)]).await;
        }
        let mut merger = Merger::default();
        let mut sum = Merged::default();
        // One round finds each of the two.
        for _ in 0..4 {
            let later = now_ms() + 2 * HOURS;
            let round = merger.round_at(&place.target, later).await.unwrap();
            assert_eq!(round.faults, [] as [String; 0]);
            sum.segments += round.segments;
            sum.removed += round.removed;
        }
        assert_eq!((sum.segments, sum.removed), (2 * RUN_MIN, 2 * RUN_MIN));
        assert_eq!(place.log().await.len(), 4);
    }

    #[tokio::test]
    async fn damaged_segment_is_told_once_and_ends_a_run() {
        let place = MergeFixture::of(2 * RUN_MIN + 1).await;
        let log = place.log().await;
        let middle = log[RUN_MIN].name.rsplit('/').next().unwrap();
        fs::write(place.log.join(middle), "damaged").unwrap();
        let mut merger = Merger::default();
        let mut faults = Vec::new();
        for _ in 0..4 {
            let later = now_ms() + 2 * HOURS;
            let round = merger.round_at(&place.target, later).await.unwrap();
            faults.extend(round.faults);
        }
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains(middle), "{faults:?}");
        assert_eq!(place.log().await.len(), 3);
    }
}
