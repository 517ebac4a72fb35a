//! The latest commits in memory, and how far they came: visible, durable, durable on a replica.
//!
//! The writer fills it; the streams to other stores, and the requests that wait for a commit, read it. Must
//! not know what is done with them. Invariants: it never holds more bytes than its bound; commits in it
//! follow each other without a gap; the commits that it returns are durable here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::commit_log::Committed;
use super::position::LogPosition;

/// The memory of a commit besides its bytes.
const OVERHEAD_BYTES: usize = 128;

/// The latest commits of a store.
pub struct CommitFeed {
    ring: Mutex<FeedRing>,
    applied: watch::Sender<LogPosition>,
    durable: watch::Sender<LogPosition>,
    acked: watch::Sender<u64>,
    doubt: Arc<Notify>,
}

#[derive(Default)]
struct FeedRing {
    commits: VecDeque<Committed>,
    bytes: usize,
    bytes_max: usize,
}

/// The commits behind a position.
#[derive(Debug, PartialEq, Eq)]
pub enum Backlog {
    /// These commits, at least one.
    Commits(Vec<Committed>),
    /// Nothing yet.
    Nothing,
    /// Commits that are no longer in memory.
    Older,
    /// The position is none that this store has been at, as far as memory shows.
    Elsewhere,
}

impl CommitFeed {
    /// Makes the feed of a store that is durable at `position`. It retains no commits until [`Self::keep`]
    /// is called.
    pub(crate) fn new(position: LogPosition) -> Self {
        Self {
            ring: Mutex::default(),
            applied: watch::Sender::new(position),
            durable: watch::Sender::new(position),
            acked: watch::Sender::new(0),
            doubt: Arc::default(),
        }
    }

    /// Retains as many of the commits from now on as fit into so many bytes.
    pub fn keep(&self, bytes_max: usize) {
        let mut ring = self.ring();
        ring.bytes_max = bytes_max;
        ring.trim();
    }

    /// The bytes of the retained commits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ring().bytes
    }

    /// Returns the position that reads of this store see.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<LogPosition> {
        self.applied.subscribe()
    }

    /// Returns the position up to which the store is durable.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<LogPosition> {
        self.durable.subscribe()
    }

    /// The signal that another server may know more of this store: for one, that its primary was replaced.
    #[must_use]
    pub fn doubt(&self) -> &Arc<Notify> {
        &self.doubt
    }

    /// The row up to which a replica of this store is durable.
    #[must_use]
    pub fn acked(&self) -> watch::Receiver<u64> {
        self.acked.subscribe()
    }

    /// Notes the row up to which a replica of this store is durable.
    pub fn ack(&self, seq: u64) {
        self.acked.send_if_modified(|acked| {
            let advances = seq > *acked;
            *acked = seq.max(*acked);
            advances
        });
    }

    /// Begins at a durable position.
    pub(crate) fn restart(&self, position: LogPosition) {
        self.durable.send_replace(position);
        self.applied.send_replace(position);
    }

    /// Notes that a commit can be read. Must be called before the writer's client is answered.
    pub(crate) fn committed(&self, commit: Committed, durable: bool) {
        let after = commit.after;
        self.ring().push(commit);
        if durable {
            self.durable.send_replace(after);
        }
        self.applied.send_replace(after);
    }

    /// Notes that everything that was committed is durable.
    pub(crate) fn synced(&self) {
        let applied = *self.applied.borrow();
        self.durable.send_replace(applied);
    }

    /// The durable commits behind a position, of so many bytes at most but for the first.
    #[must_use]
    pub fn behind(&self, position: LogPosition, bytes_max: usize) -> Backlog {
        let durable = *self.durable.borrow();
        if position == durable {
            return Backlog::Nothing;
        }
        if position.seq >= durable.seq {
            return Backlog::Elsewhere;
        }
        let ring = self.ring();
        let from = ring
            .commits
            .partition_point(|commit| commit.before.seq < position.seq);
        match ring.commits.get(from).map(|commit| commit.before) {
            Some(before) if before == position => {}
            // The oldest begins behind it.
            Some(before) if from == 0 && before.seq > position.seq => return Backlog::Older,
            None if from == 0 => return Backlog::Older,
            _ => return Backlog::Elsewhere,
        }
        let mut bytes = 0;
        let commits = ring.commits.iter().skip(from).take_while(|commit| {
            let first = bytes == 0;
            bytes += commit.batch.len();
            commit.after.seq <= durable.seq && (first || bytes <= bytes_max)
        });
        Backlog::Commits(commits.cloned().collect())
    }

    fn ring(&self) -> MutexGuard<'_, FeedRing> {
        // A panic cannot leave the ring half changed.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeedRing {
    fn push(&mut self, commit: Committed) {
        if self.bytes_max == 0 {
            return;
        }
        self.bytes += size(&commit);
        self.commits.push_back(commit);
        self.trim();
    }

    fn trim(&mut self) {
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.commits.pop_front() else {
                return;
            };
            self.bytes -= size(&oldest);
        }
    }
}

fn size(commit: &Committed) -> usize {
    commit.batch.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seq: u64) -> LogPosition {
        LogPosition {
            epoch: 1,
            seq,
            chain: seq * 7,
        }
    }

    fn commit(seq: u64, rows: u64, bytes: usize) -> Committed {
        Committed {
            before: at(seq),
            after: at(seq + rows),
            batch: vec![0; bytes].into(),
        }
    }

    fn seqs(behind: Backlog) -> Vec<u64> {
        match behind {
            Backlog::Commits(commits) => commits.iter().map(|c| c.before.seq).collect(),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn the_feed_is_bounded_in_bytes_and_keeps_the_latest(
            sizes in prop::collection::vec((1_u64..5, 0_usize..2000), 1..60),
            bytes_max in 0_usize..20_000,
        ) {
            let feed = CommitFeed::new(at(10));
            feed.keep(bytes_max);
            let mut starts = vec![];
            let mut seq = 10;
            for (rows, bytes) in &sizes {
                feed.committed(commit(seq, *rows, *bytes), true);
                starts.push(seq);
                seq += rows;
                prop_assert!(feed.bytes() <= bytes_max);
            }
            // From any position on the feed has all that follows, or says that it is no longer in memory.
            let mut gone = true;
            for (index, start) in starts.iter().enumerate() {
                match feed.behind(at(*start), usize::MAX) {
                    Backlog::Older => prop_assert!(gone, "a gap"),
                    behind => {
                        gone = false;
                        prop_assert_eq!(&seqs(behind)[..], &starts[index..]);
                    }
                }
            }
            prop_assert_eq!(feed.behind(at(seq), usize::MAX), Backlog::Nothing);
        }
    }

    #[test]
    fn what_is_not_durable_is_not_handed_out() {
        let feed = CommitFeed::new(at(10));
        feed.keep(10_000);
        feed.committed(commit(10, 2, 10), false);
        feed.committed(commit(12, 2, 10), false);
        assert_eq!(feed.behind(at(10), 100), Backlog::Nothing);
        assert_eq!(
            (*feed.applied().borrow(), *feed.durable().borrow()),
            (at(14), at(10))
        );
        feed.synced();
        assert_eq!(seqs(feed.behind(at(10), 100)), [10, 12]);
    }

    #[test]
    fn a_position_that_the_store_was_never_at_is_elsewhere() {
        let feed = CommitFeed::new(at(10));
        feed.keep(10_000);
        for seq in [10, 12, 14] {
            feed.committed(commit(seq, 2, 10), true);
        }
        let other_chain = LogPosition { chain: 1, ..at(12) };
        let other_chain_at_end = LogPosition { chain: 1, ..at(16) };
        let other_epoch = LogPosition { epoch: 2, ..at(14) };
        for position in [
            other_chain,
            other_chain_at_end,
            other_epoch,
            at(13),
            at(15),
            at(17),
        ] {
            assert_eq!(feed.behind(position, 100), Backlog::Elsewhere, "{position}");
        }
        assert_eq!(feed.behind(at(8), 100), Backlog::Older);
    }

    #[test]
    fn a_large_commit_is_handed_out_alone() {
        let feed = CommitFeed::new(at(10));
        feed.keep(10_000);
        for seq in [10, 12, 14] {
            feed.committed(commit(seq, 2, 1000), true);
        }
        assert_eq!(seqs(feed.behind(at(10), 1)), [10]);
        assert_eq!(seqs(feed.behind(at(10), 2000)), [10, 12]);
    }

    #[test]
    fn an_acknowledgement_never_goes_back() {
        let feed = CommitFeed::new(at(10));
        feed.ack(20);
        feed.ack(15);
        assert_eq!(*feed.acked().borrow(), 20);
    }
}
