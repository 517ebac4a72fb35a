//! The stream writer: the next bytes of a stream.
//!
//! Must not know sockets, nor where commits are looked up. Invariant: frames follow each other
//! without a gap from the position on that was verified.

use crate::store::key::FORMAT;
use crate::store::{Backlog, Committed, HistoryLookup, LogPosition};
use crate::wire::frame::Frame;
use crate::wire::protocol::{PROTOCOL, point};

/// The bytes of a frame besides its batch, and a little more.
const FRAME_BYTES: usize = 64;

/// The state of a stream.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    store: u128,
    at: LogPosition,
}

/// The next step of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Send these bytes.
    Piece(Vec<u8>),
    /// Wait: there is nothing more.
    Wait,
    /// Ask the log, and then call [`StreamWriter::of_log`].
    AskLog,
    /// End it: the commits behind it are no longer there. The replica asks again, and the refusal says why.
    End,
}

impl StreamWriter {
    /// A stream of a store, from a position on that was verified.
    pub(crate) fn of(store: u128, at: LogPosition) -> Self {
        Self { store, at }
    }

    /// Returns the position up to which commits were sent.
    pub(crate) fn at(&self) -> LogPosition {
        self.at
    }

    /// Continues with the commits that memory has behind [`Self::at`].
    pub(crate) fn of_memory(&mut self, behind: &Backlog) -> NextStep {
        match behind {
            Backlog::Nothing => NextStep::Wait,
            Backlog::Commits(commits) => self.frames(commits),
            Backlog::Older => NextStep::AskLog,
            Backlog::Elsewhere => NextStep::End,
        }
    }

    /// Continues with the commits that the log has behind [`Self::at`].
    pub(crate) fn of_log(&mut self, found: &HistoryLookup) -> NextStep {
        match found {
            HistoryLookup::Commits(commits) => self.frames(commits),
            HistoryLookup::Gap | HistoryLookup::Elsewhere => NextStep::End,
        }
    }

    fn frames(&mut self, commits: &[Committed]) -> NextStep {
        let bytes = commits.iter().map(|c| c.batch.len() + FRAME_BYTES);
        let mut piece = Vec::with_capacity(bytes.sum());
        for commit in commits {
            let (before, after) = (commit.before, commit.after);
            write_batch(self.store, before, after, &commit.batch, &mut piece);
            self.at = after;
        }
        if commits.is_empty() {
            NextStep::Wait
        } else {
            NextStep::Piece(piece)
        }
    }
}

/// The handshake: the first frame of a stream.
pub(crate) fn hello(session: u64, waits: bool, store: u128, durable: LogPosition) -> Vec<u8> {
    let mut piece = Vec::new();
    let frame = Frame::Hello {
        protocol: PROTOCOL,
        format: FORMAT,
        waits,
        session,
        store,
        at: point(durable),
    };
    frame.write(&mut piece);
    piece
}

/// The frame of a commit of a store, that leads from one position to another.
pub(crate) fn write_batch(
    store: u128,
    before: LogPosition,
    after: LogPosition,
    batch: &[u8],
    out: &mut Vec<u8>,
) {
    let frame = Frame::Batch {
        store,
        epoch: after.epoch,
        first: before.seq + 1,
        count: u32::try_from(after.seq - before.seq).unwrap_or(u32::MAX),
        chain_before: before.chain,
        batch,
    };
    frame.write(out);
}

/// A heartbeat.
pub(crate) fn beat(durable: LogPosition, now_ms: i64) -> Vec<u8> {
    let mut piece = Vec::new();
    let at = point(durable);
    Frame::Beat { at, now_ms }.write(&mut piece);
    piece
}
