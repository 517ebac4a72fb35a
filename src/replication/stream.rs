//! One replica's stream: what is in the ring, or else in the log, and a beat every second.
//!
//! Invariants: frames follow each other without a gap from the position on that was verified; a
//! replica that takes nothing holds a bounded number of pieces and nobody up.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::body::PIECE_BYTES;
use super::catch_up::CatchUp;
use super::frame::Frame;
use super::protocol::point;
use super::sessions::Session;
use crate::clock::now_ms;
use crate::store::{Behind, Committed, Found, Position, Store};

/// How often a sign of life is sent.
const BEAT_PERIOD: Duration = Duration::from_secs(1);

/// A stream that was begun.
pub(super) struct Stream {
    pub(super) store: Store,
    pub(super) catch_up: CatchUp,
    pub(super) session: Session,
    /// What was sent so far.
    pub(super) at: Position,
    pub(super) pieces: mpsc::Sender<Bytes>,
    pub(super) end: watch::Receiver<bool>,
}

/// Waits for the word to end, or for there to be nobody left to give it.
async fn ended(end: &mut watch::Receiver<bool>) {
    while !*end.borrow_and_update() {
        if end.changed().await.is_err() {
            return;
        }
    }
}

/// Why a stream ends: the replica is gone, or what it needs is, or the server ends.
struct Ended;

impl Stream {
    /// Sends until the replica or the server ends.
    pub(super) async fn run(mut self, hello: Bytes) {
        if self.pieces.send(hello).await.is_err() {
            return;
        }
        let mut durable = self.store.feed().durable();
        let mut beat = interval_at(Instant::now(), BEAT_PERIOD);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Whatever is there is sent before anything is waited for.
            match self.send_some(&mut durable).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(Ended) => return,
            }
            let mut end = self.end.clone();
            let pieces = self.pieces.clone();
            tokio::select! {
                () = pieces.closed() => return,
                changed = durable.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                _ = beat.tick() => {
                    if self.send_beat().await.is_err() {
                        return;
                    }
                }
                () = ended(&mut end) => {
                    // What was committed before the end still goes out.
                    while matches!(self.send_some(&mut durable).await, Ok(true)) {}
                    return;
                }
            }
        }
    }

    /// Sends a piece of what there is; whether there was any.
    async fn send_some(&mut self, durable: &mut watch::Receiver<Position>) -> Result<bool, Ended> {
        durable.mark_unchanged();
        match self.store.feed().behind(self.at, PIECE_BYTES) {
            Behind::Nothing => Ok(false),
            Behind::Commits(commits) => self.send(&commits).await,
            Behind::Older => match self.catch_up.read(self.at).await {
                Ok(Found::Commits(commits)) => self.send(&commits).await,
                _ => Err(self.stop()),
            },
            Behind::Elsewhere => Err(self.stop()),
        }
    }

    /// The replica will ask again, and be told why it cannot go on.
    fn stop(&self) -> Ended {
        tracing::warn!("a copy at {} can no longer be sent what follows", self.at);
        Ended
    }

    async fn send(&mut self, commits: &[Committed]) -> Result<bool, Ended> {
        let mut piece = Vec::with_capacity(commits.iter().map(|c| c.batch.len() + 64).sum());
        for commit in commits {
            let frame = Frame::Batch {
                epoch: commit.after.epoch,
                first: commit.before.seq + 1,
                count: u32::try_from(commit.after.seq - commit.before.seq).unwrap_or(u32::MAX),
                chain_before: commit.before.chain,
                batch: &commit.batch,
            };
            frame.write(&mut piece);
        }
        let Some(last) = commits.last() else {
            return Ok(false);
        };
        self.at = last.after;
        // Before it is out: an acknowledgement may be as quick as the socket.
        self.session.sent(self.at.seq);
        self.put(piece).await.map(|()| true)
    }

    async fn send_beat(&mut self) -> Result<(), Ended> {
        let at = *self.store.feed().durable().borrow();
        let mut piece = Vec::new();
        let beat = Frame::Beat {
            at: point(at),
            now_ms: now_ms(),
        };
        beat.write(&mut piece);
        self.put(piece).await
    }

    async fn put(&self, piece: Vec<u8>) -> Result<(), Ended> {
        self.pieces.send(piece.into()).await.map_err(|_| Ended)
    }
}
