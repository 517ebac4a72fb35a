//! One replica's stream: the commits in the ring, or else in the log, and a heartbeat every second.
//!
//! The stream writer (`stream_writer.rs`) decides what is sent next. Invariant: a replica that reads
//! nothing holds a bounded number of pieces and delays no other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::body::PIECE_BYTES;
use super::catch_up::{CatchUp, Unavailable};
use super::sessions::Session;
use super::stream_writer::{NextStep, StreamWriter, beat};
use crate::model::clock::now_ms;
use crate::store::{LogPosition, Store};

/// The time between two heartbeats.
pub(crate) const BEAT_PERIOD: Duration = Duration::from_secs(1);

/// A stream that was begun.
pub(crate) struct ReplicaStream {
    pub(crate) store: Store,
    pub(crate) catch_up: Arc<CatchUp>,
    pub(crate) session: Session,
    /// The commits that were sent so far.
    pub(crate) stream_writer: StreamWriter,
    pub(crate) pieces: mpsc::Sender<Bytes>,
    pub(crate) end: watch::Receiver<bool>,
}

/// Waits for the shutdown signal, or for its sender to be dropped.
async fn ended(end: &mut watch::Receiver<bool>) {
    while !*end.borrow_and_update() {
        if end.changed().await.is_err() {
            return;
        }
    }
}

/// The end of a stream: the replica disconnected, the commits it needs are removed, or the server ends.
struct StreamEnded;

impl ReplicaStream {
    /// Sends until the replica or the server ends.
    pub(crate) async fn run(mut self, hello: Bytes) {
        if self.pieces.send(hello).await.is_err() {
            return;
        }
        let mut durable = self.store.feed().durable();
        let mut beat = interval_at(Instant::now(), BEAT_PERIOD);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // All that is there is sent before anything is waited for.
            match self.send_some(&mut durable).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(StreamEnded) => return,
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
                    // Commits made before the end are still sent.
                    while matches!(self.send_some(&mut durable).await, Ok(true)) {}
                    return;
                }
            }
        }
    }

    /// Sends a piece of what there is. Returns whether there was any.
    async fn send_some(
        &mut self,
        durable: &mut watch::Receiver<LogPosition>,
    ) -> Result<bool, StreamEnded> {
        durable.mark_unchanged();
        let at = self.stream_writer.at();
        let mut next = self
            .stream_writer
            .of_memory(&self.store.feed().behind(at, PIECE_BYTES));
        if next == NextStep::AskLog {
            next = match self.catch_up.read(at).await {
                Ok(found) => self.stream_writer.of_log(&found),
                // The replica asks again, and the refusal says so.
                Err(Unavailable) => return Err(StreamEnded),
            };
        }
        match next {
            NextStep::Wait => Ok(false),
            NextStep::Piece(piece) => {
                // Noted before it is sent: an acknowledgement may be as quick as the socket.
                self.session.sent(self.stream_writer.at().seq);
                self.put(piece).await.map(|()| true)
            }
            NextStep::AskLog | NextStep::End => {
                tracing::warn!("a replica at {at} needs commits that are no longer available");
                Err(StreamEnded)
            }
        }
    }

    async fn send_beat(&mut self) -> Result<(), StreamEnded> {
        let durable = *self.store.feed().durable().borrow();
        self.put(beat(durable, now_ms())).await
    }

    async fn put(&self, piece: Vec<u8>) -> Result<(), StreamEnded> {
        self.pieces
            .send(piece.into())
            .await
            .map_err(|_| StreamEnded)
    }
}
