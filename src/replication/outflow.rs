//! What goes out on a stream next, as bytes.
//!
//! Must not know sockets, nor where commits are looked up. Invariant: frames follow each other
//! without a gap from the position on that was verified.

use super::frame::Frame;
use super::protocol::{PROTOCOL, point};
use crate::store::key::FORMAT;
use crate::store::{Behind, Committed, Found, Position};

/// The bytes of a frame besides its batch, and a little more.
const FRAME_BYTES: usize = 64;

/// The state of a stream.
#[derive(Debug)]
pub(super) struct Outflow {
    store: u128,
    at: Position,
}

/// The next step of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send this.
    Piece(Vec<u8>),
    /// Wait: there is nothing more.
    Wait,
    /// Ask the log, and then [`Outflow::of_log`].
    AskLog,
    /// End it: what follows is not there any more. The replica asks again, and is told why.
    End,
}

impl Outflow {
    /// A stream of a store, from a position on that was verified.
    pub(super) fn of(store: u128, at: Position) -> Self {
        Self { store, at }
    }

    /// Returns the position up to which commits were sent.
    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// Goes on with what memory has behind [`Self::at`].
    pub(super) fn of_memory(&mut self, behind: &Behind) -> Next {
        match behind {
            Behind::Nothing => Next::Wait,
            Behind::Commits(commits) => self.frames(commits),
            Behind::Older => Next::AskLog,
            Behind::Elsewhere => Next::End,
        }
    }

    /// Goes on with what the log has behind [`Self::at`].
    pub(super) fn of_log(&mut self, found: &Found) -> Next {
        match found {
            Found::Commits(commits) => self.frames(commits),
            Found::Gap | Found::Elsewhere => Next::End,
        }
    }

    fn frames(&mut self, commits: &[Committed]) -> Next {
        let bytes = commits.iter().map(|c| c.batch.len() + FRAME_BYTES);
        let mut piece = Vec::with_capacity(bytes.sum());
        for commit in commits {
            let (before, after) = (commit.before, commit.after);
            write_batch(self.store, before, after, &commit.batch, &mut piece);
            self.at = after;
        }
        if commits.is_empty() {
            Next::Wait
        } else {
            Next::Piece(piece)
        }
    }
}

/// The first words of a stream.
pub(super) fn hello(session: u64, waits: bool, store: u128, durable: Position) -> Vec<u8> {
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

/// A commit of a store, that leads from one position to another.
pub(super) fn write_batch(
    store: u128,
    before: Position,
    after: Position,
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

/// A sign of life.
pub(super) fn beat(durable: Position, now_ms: i64) -> Vec<u8> {
    let mut piece = Vec::new();
    let at = point(durable);
    Frame::Beat { at, now_ms }.write(&mut piece);
    piece
}
