//! The stream reader: one stream on the replica's side, frames in, commits applied, and made durable.
//!
//! Must not know sockets, RocksDB, or what a replica does when its stream ends. The clock is passed in.
//! Invariants: a commit is applied only when it extends the store's own position; an acknowledged commit
//! was synced before; the commits that wait to be synced are bounded in bytes and in time.

use std::time::{Duration, Instant};

use super::progress::ReplicaProgress;
use crate::disconnect::{Disconnect, SILENCE_MAX};
use crate::store::key::is_read;
use crate::store::{Error, LogPosition};
use crate::wire::frame::{Decoder, Frame};
use crate::wire::protocol::{PROTOCOL, StreamRefusal, position};

/// The time after which applied commits are made durable where no write waits for it.
pub(crate) const SYNC_TIME: Duration = Duration::from_millis(200);
/// The same where a write does, and there is always more to apply.
const WAITED_SYNC_TIME: Duration = Duration::from_millis(20);
/// The number of unsynced bytes at most.
pub(crate) const UNSYNCED_BYTES_MAX: usize = 16 << 20;

/// The store that a stream is applied to.
pub(crate) trait ApplyTarget {
    /// Its id.
    fn store_id(&self) -> u128;
    /// Returns its position.
    fn position(&self) -> LogPosition;
    /// Notes, durably, that the store follows the primary from now on, which is at `primary` and takes it
    /// for one of its own past.
    fn begin(&mut self, primary: LogPosition) -> Result<(), Error>;
    /// Applies a commit that belongs behind its position, and nothing else: [`Error::Unfit`].
    fn apply(&mut self, batch: &[u8]) -> Result<LogPosition, Error>;
    /// Makes all that was applied durable.
    fn sync(&mut self) -> Result<LogPosition, Error>;
}

/// A stream as it comes in.
pub(crate) struct StreamReader {
    decoder: Decoder,
    /// The time at which anything was last heard.
    heard: Instant,
    /// The time since which there are commits that are not durable.
    unsynced: Option<Instant>,
    unsynced_bytes: usize,
    hello: Option<Handshake>,
    acked: Option<Ack>,
    beats: u64,
}

/// An acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    /// The stream's name.
    pub(crate) session: u64,
    /// The row up to which the replica is durable.
    pub(crate) seq: u64,
    /// The heartbeats so far: the acknowledgement is repeated with each, for one that was lost.
    pub(crate) beats: u64,
}

#[derive(Debug, Clone, Copy)]
struct Handshake {
    session: u64,
    waits: bool,
}

impl StreamReader {
    /// A stream that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            decoder: Decoder::default(),
            heard: now,
            unsynced: None,
            unsynced_bytes: 0,
            hello: None,
            acked: None,
            beats: 0,
        }
    }

    /// Returns true if the primary has named itself.
    pub(crate) fn is_begun(&self) -> bool {
        self.hello.is_some()
    }

    /// Returns the acknowledgement, once there is one.
    pub(crate) fn acked(&self) -> Option<Ack> {
        self.acked
    }

    /// Returns when [`Self::tick`] is to be called if nothing comes.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        let silent = self.heard + SILENCE_MAX;
        match self.unsynced {
            None => silent,
            // With nothing more at hand this is when the primary can be sent an acknowledgement.
            Some(_) if self.waits() => now,
            Some(since) => silent.min(since + SYNC_TIME),
        }
    }

    /// Takes bytes, and the frames that are there.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        now: Instant,
        target: &mut impl ApplyTarget,
        progress: &ReplicaProgress,
    ) -> Result<(), Disconnect> {
        self.heard = now;
        self.decoder.push(bytes);
        while self.take_frame(now, target, progress)? {}
        let unsynced_time_max = if self.waits() {
            WAITED_SYNC_TIME
        } else {
            SYNC_TIME
        };
        let is_due = self
            .unsynced
            .is_some_and(|since| now.saturating_duration_since(since) >= unsynced_time_max);
        if is_due || self.unsynced_bytes >= UNSYNCED_BYTES_MAX {
            self.sync(target)?;
        }
        Ok(())
    }

    /// Notes that nothing came until [`Self::due`].
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        target: &mut impl ApplyTarget,
    ) -> Result<(), Disconnect> {
        if self.unsynced.is_some() {
            self.sync(target)?;
        }
        if now.saturating_duration_since(self.heard) >= SILENCE_MAX {
            return Err(Disconnect::Silent);
        }
        Ok(())
    }

    /// Takes a frame, if one is there.
    fn take_frame(
        &mut self,
        now: Instant,
        target: &mut impl ApplyTarget,
        progress: &ReplicaProgress,
    ) -> Result<bool, Disconnect> {
        let Some(frame) = self.decoder.next_frame().map_err(Disconnect::Malformed)? else {
            return Ok(false);
        };
        match frame {
            Frame::Hello {
                protocol,
                format,
                waits,
                session,
                store,
                at,
            } => {
                if self.hello.is_some() || store != target.store_id() {
                    return Err(Disconnect::Unasked("another hello"));
                }
                if protocol != PROTOCOL || !is_read(format) {
                    return Err(Disconnect::Refused(StreamRefusal::Version {
                        protocol,
                        format,
                    }));
                }
                self.hello = Some(Handshake { session, waits });
                let primary = position(at);
                target.begin(primary).map_err(Disconnect::Store)?;
                progress.connected();
                progress.heard(primary.seq, now);
                // The replica's commits are durable before it asks for more.
                self.acknowledge(target.position());
            }
            _ if self.hello.is_none() => return Err(Disconnect::Unasked("no hello")),
            Frame::Beat { at, now_ms: _ } => {
                progress.heard(position(at).seq, now);
                self.beats += 1;
                if let Some(acked) = &mut self.acked {
                    acked.beats = self.beats;
                }
            }
            Frame::Batch {
                store,
                epoch,
                first,
                count,
                chain_before,
                batch,
            } => {
                let own = target.position();
                let extends = store == target.store_id()
                    && epoch >= own.epoch
                    && Some(first) == own.seq.checked_add(1)
                    && chain_before == own.chain;
                if !extends {
                    return Err(Disconnect::Unfit(format!(
                        "a batch from {first} on does not extend {own}"
                    )));
                }
                let at = target.apply(batch).map_err(|error| match error {
                    Error::Unfit { why } => Disconnect::Unfit(why),
                    error => Disconnect::Store(error),
                })?;
                debug_assert_eq!(at.seq - own.seq, u64::from(count), "the commit was checked");
                self.unsynced.get_or_insert(now);
                self.unsynced_bytes += batch.len();
                progress.applied(at.seq, now);
            }
        }
        Ok(true)
    }

    fn sync(&mut self, target: &mut impl ApplyTarget) -> Result<(), Disconnect> {
        let at = target.sync().map_err(Disconnect::Store)?;
        self.unsynced = None;
        self.unsynced_bytes = 0;
        self.acknowledge(at);
        Ok(())
    }

    /// Notes that the replica is durable at a position.
    fn acknowledge(&mut self, at: LogPosition) {
        if let Some(Handshake { session, .. }) = self.hello {
            let (seq, beats) = (at.seq, self.beats);
            self.acked = Some(Ack {
                session,
                seq,
                beats,
            });
        }
    }

    fn waits(&self) -> bool {
        self.hello.is_some_and(|hello| hello.waits)
    }

    /// Returns the bytes that are held: those of a frame that is not whole yet, and those that are not
    /// durable.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> (usize, usize) {
        (self.decoder.waiting(), self.unsynced_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::state::{AfterStream, ReplicaState};
    use crate::store::key::FORMAT;
    use crate::wire::frame::WirePosition;
    use crate::wire::protocol::point;

    /// Counts what it is given.
    struct Counting {
        at: LogPosition,
        applied: usize,
    }

    impl ApplyTarget for Counting {
        fn store_id(&self) -> u128 {
            7
        }

        fn position(&self) -> LogPosition {
            self.at
        }

        fn begin(&mut self, _: LogPosition) -> Result<(), Error> {
            Ok(())
        }

        fn apply(&mut self, _: &[u8]) -> Result<LogPosition, Error> {
            self.applied += 1;
            self.at.seq += 1;
            Ok(self.at)
        }

        fn sync(&mut self) -> Result<LogPosition, Error> {
            Ok(self.at)
        }
    }

    #[test]
    fn a_replica_asks_for_the_earlier_format_of_a_primary() {
        let at = LogPosition {
            epoch: 2,
            seq: 3,
            chain: 4,
        };
        let target = Counting { at, applied: 0 };
        let mut replica = ReplicaState::new(target, true, 0, Instant::now());
        assert_eq!(replica.asked().format, FORMAT);
        for (protocol, format, asked) in [
            (PROTOCOL, 1, 1),
            (PROTOCOL, FORMAT + 1, 1),
            (PROTOCOL + 1, FORMAT, 1),
            (PROTOCOL, FORMAT, FORMAT),
        ] {
            let refusal = StreamRefusal::Version { protocol, format };
            let after = replica.part(Disconnect::Refused(refusal), 0, None);
            assert!(matches!(after, AfterStream::Retry(_)), "{after:?}");
            assert_eq!(replica.asked().format, asked);
        }
    }

    #[test]
    fn a_replica_acknowledges_at_the_handshake_and_at_heartbeats() {
        let at = LogPosition {
            epoch: 2,
            seq: 3,
            chain: 4,
        };
        let (now, mut target) = (Instant::now(), Counting { at, applied: 0 });
        let (mut stream_reader, progress) =
            (StreamReader::new(now), ReplicaProgress::new(at.seq, now));
        let mut told = |frame: Frame<'_>| {
            let mut bytes = Vec::new();
            frame.write(&mut bytes);
            let taken = stream_reader.take(&bytes, now, &mut target, &progress);
            assert!(taken.is_ok());
            stream_reader.acked().unwrap()
        };
        let hello = Frame::Hello {
            protocol: PROTOCOL,
            format: FORMAT,
            waits: true,
            session: 9,
            store: 7,
            at: point(at),
        };
        let first = told(hello);
        assert_eq!((first.session, first.seq), (9, 3));
        let beat = || Frame::Beat {
            at: point(at),
            now_ms: 0,
        };
        let again = told(beat());
        assert_eq!((again.session, again.seq), (9, 3));
        assert_ne!(again, first, "it is not told again");
        assert_ne!(told(beat()), again, "it is not told again");
    }

    #[test]
    fn a_batch_is_applied_where_all_that_it_says_of_itself_fits() {
        let at = LogPosition {
            epoch: 2,
            seq: 3,
            chain: 4,
        };
        let applied = |store: u128, [epoch, first, chain_before]: WirePosition| {
            let mut target = Counting { at, applied: 0 };
            let now = Instant::now();
            let (mut stream_reader, progress) =
                (StreamReader::new(now), ReplicaProgress::new(at.seq, now));
            let hello = Frame::Hello {
                protocol: PROTOCOL,
                format: FORMAT,
                waits: false,
                session: 1,
                store: 7,
                at: point(at),
            };
            let batch = Frame::Batch {
                store,
                epoch,
                first,
                count: 1,
                chain_before,
                batch: b"",
            };
            let mut bytes = Vec::new();
            hello.write(&mut bytes);
            batch.write(&mut bytes);
            let taken = stream_reader.take(&bytes, now, &mut target, &progress);
            assert_eq!(taken.is_ok(), target.applied == 1);
            target.applied == 1
        };
        assert!(applied(7, [2, 4, 4]));
        assert!(applied(7, [3, 4, 4]), "a later epoch");
        assert!(!applied(8, [2, 4, 4]), "another store");
        assert!(!applied(7, [1, 4, 4]), "an earlier epoch");
        assert!(!applied(7, [2, 5, 4]), "a gap");
        assert!(!applied(7, [2, 3, 4]), "again");
        assert!(!applied(7, [2, 4, 5]), "another chain");
    }
}
