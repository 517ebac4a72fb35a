//! The state of a replica: its requests, its reaction to the end of a stream, and when it gives its store
//! up.
//!
//! Must not know sockets, RocksDB, nor how a store is fetched. The clock and randomness are passed in.
//! Invariants: the store is only ever changed by commits that extend it; every end of a stream is answered
//! by exactly one of a longer wait, a new bootstrap, or the end; a primary of an earlier epoch is never
//! followed, and that is reported once; a store is given up for one with another id only where that one
//! names it as its predecessor, or an operator does, and never for one that has less.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::progress::ReplicaProgress;
use super::stream_reader::{Ack, ApplyTarget, StreamReader};
use crate::disconnect::Disconnect;
use crate::store::key::{FORMAT, is_read};
use crate::store::{Error, LogPosition};
use crate::wire::frame::{Decoder, Frame};
use crate::wire::protocol::{PROTOCOL, ReplacedStore, StreamRefusal, StreamRequest, id};

/// The bytes of a spool that are read at once.
const SPOOL_PIECE_BYTES: usize = 1 << 20;

/// A replica that is held asks again so often at least: a primary that an operator repaired is followed soon.
const HELD_WAIT_MAX: Duration = Duration::from_secs(10);

/// A replica between its start and the moment at which it needs another store.
pub(crate) struct ReplicaState<T> {
    target: T,
    progress: Arc<ReplicaProgress>,
    /// True if the store was fetched, or accepted, by a primary, and never was one since.
    is_copy: bool,
    /// The number of fetched stores in a row that could not be followed from.
    failed_copies: u32,
    was_refused_as_late: bool,
    held: Option<HoldReason>,
    backoff: Backoff,
    stream_reader: StreamReader,
    /// The format that it asks for: an earlier one where the primary, which is upgraded last, has no later.
    format: u32,
}

/// The reason for which a replica stops following, and serves its store, until an operator intervenes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HoldReason {
    /// The primary has another store, which says nothing of this one.
    OtherStore(String),
    /// The primary has less, in the same epoch; this is where it is.
    Ahead(String),
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherStore(store) => write!(
                f,
                "the primary has another store, {store}, which does not say that it replaced this one; \
                 start the primary with the data directory it had, or let this replica take that store \
                 and move its own to diverged-…: reviewsd follow --data DIR --accept-store {store}"
            ),
            Self::Ahead(primary) => write!(
                f,
                "the primary is only at {primary}, so it lost writes or is an older one; promote the \
                 replica with the latest position, or start the primary once with `serve --new` to go \
                 on without them"
            ),
        }
    }
}

/// The step after a stream.
#[derive(Debug)]
pub(crate) enum AfterStream {
    /// Another try, after so long.
    Retry(Duration),
    /// Another try, because the primary is of an earlier epoch; reported the first time.
    Late {
        /// The time to wait.
        wait: Duration,
        /// True if this is the first time.
        is_news: bool,
    },
    /// Another try, after so long; the store here is served, and retained, whatever the primary has.
    Hold {
        /// The time to wait.
        wait: Duration,
        /// The reason.
        held: HoldReason,
        /// True if this is the first time.
        is_news: bool,
    },
    /// A new bootstrap, while the store here is served: it is only behind.
    Renew,
    /// A new bootstrap, and nothing is served until it is complete; the store here may hold commits that
    /// are nowhere else, and is moved aside.
    Leave {
        /// The id of the store that replaces it.
        wanted: u128,
    },
    /// The store cannot be written to any more.
    Restart(Error),
}

impl<T: ApplyTarget> ReplicaState<T> {
    /// Makes the state of a replica that begins now. `is_copy` says that the store holds no commits of its
    /// own.
    pub(crate) fn new(target: T, is_copy: bool, failed_copies: u32, now: Instant) -> Self {
        Self {
            progress: Arc::new(ReplicaProgress::new(target.position().seq, now)),
            target,
            is_copy,
            failed_copies,
            was_refused_as_late: false,
            held: None,
            backoff: Backoff::default(),
            stream_reader: StreamReader::new(now),
            format: FORMAT,
        }
    }

    /// Returns its progress.
    pub(crate) fn progress(&self) -> &Arc<ReplicaProgress> {
        &self.progress
    }

    /// The store.
    pub(crate) fn target(&self) -> &T {
        &self.target
    }

    /// Returns the position of the store.
    pub(crate) fn position(&self) -> LogPosition {
        self.target.position()
    }

    /// Returns the number of fetched stores in a row that could not be followed from.
    pub(crate) fn failed_copies(&self) -> u32 {
        self.failed_copies
    }

    /// Applies the commits that were made while this store was fetched: the frames of a stream that may be
    /// cut, damaged, or of another store. Frames that do not fit are requested again.
    pub(crate) fn apply_spool(
        &mut self,
        mut spool: impl Read,
        now: impl Fn() -> Instant,
    ) -> Result<(), Error> {
        let mut decoder = Decoder::default();
        let mut piece = vec![0; SPOOL_PIECE_BYTES];
        'all: while let Ok(read @ 1..) = spool.read(&mut piece) {
            decoder.push(piece.get(..read).unwrap_or_default());
            while let Ok(Some(frame)) = decoder.next_frame() {
                let Frame::Batch { store, batch, .. } = frame else {
                    continue;
                };
                if store != self.target.store_id() {
                    break 'all;
                }
                match self.target.apply(batch) {
                    Ok(at) => self.progress.applied(at.seq, now()),
                    Err(Error::Unfit { .. }) => break 'all,
                    Err(error) => return Err(error),
                }
            }
        }
        self.target.sync().map(|_| ())
    }

    /// Returns the parameters of the next request to the primary.
    pub(crate) fn asked(&self) -> StreamRequest {
        StreamRequest {
            protocol: PROTOCOL,
            format: self.format,
            store: self.target.store_id(),
            position: self.target.position(),
        }
    }

    /// Notes that the primary began to answer with a stream.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.stream_reader = StreamReader::new(now);
    }

    /// Returns when [`Self::tick`] is to be called if nothing comes.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        self.stream_reader.due(now)
    }

    /// Takes bytes of the stream.
    pub(crate) fn take(&mut self, bytes: &[u8], now: Instant) -> Result<(), Disconnect> {
        let was_begun = self.stream_reader.is_begun();
        let taken = self
            .stream_reader
            .take(bytes, now, &mut self.target, &self.progress);
        if self.stream_reader.is_begun() && !was_begun {
            self.is_copy = true;
            self.was_refused_as_late = false;
            self.held = None;
            self.failed_copies = 0;
        }
        taken?;
        if self.stream_reader.is_begun() {
            self.backoff.reset();
        }
        Ok(())
    }

    /// Notes that nothing came until [`Self::due`].
    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), Disconnect> {
        self.stream_reader.tick(now, &mut self.target)
    }

    /// Returns the acknowledgement of this stream, once there is one.
    pub(crate) fn acked(&self) -> Option<Ack> {
        self.stream_reader.acked()
    }

    /// Makes the applied commits durable.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.target.sync().map(|_| ())
    }

    /// Notes that the stream ended, or that there was none. `random` is any number; `accepted` is the store
    /// that an operator has this replica take instead of its own.
    pub(crate) fn part(
        &mut self,
        disconnect: Disconnect,
        random: u32,
        accepted: Option<u128>,
    ) -> AfterStream {
        let why = disconnect.to_string();
        let refusal = match disconnect {
            Disconnect::Store(error) => return AfterStream::Restart(error),
            Disconnect::Refused(refusal) => Some(refusal),
            _ => None,
        };
        let (mut is_late, mut held) = (false, None);
        match refusal {
            Some(StreamRefusal::Gap) if self.is_copy => {
                let why = format!("{why}; the store is being fetched again");
                self.progress.disconnect(why);
                return AfterStream::Renew;
            }
            Some(
                StreamRefusal::Gap | StreamRefusal::UnknownEpoch | StreamRefusal::Diverged { .. },
            ) => {
                let wanted = self.target.store_id();
                return AfterStream::Leave { wanted };
            }
            Some(StreamRefusal::OtherStore {
                store,
                predecessors,
            }) => {
                if let Some(wanted) = id(&store)
                    && (accepted == Some(wanted) || self.is_among(&predecessors))
                {
                    return AfterStream::Leave { wanted };
                }
                held = Some(HoldReason::OtherStore(store));
            }
            Some(StreamRefusal::Ahead { primary }) => held = Some(HoldReason::Ahead(primary)),
            Some(StreamRefusal::Later { .. }) => is_late = true,
            Some(StreamRefusal::Version { protocol, format })
                if protocol == PROTOCOL && is_read(format) =>
            {
                self.format = format;
            }
            Some(StreamRefusal::Version { .. }) | None => {}
        }
        match &held {
            Some(held) => self.progress.hold(held.to_string()),
            None => self.progress.disconnect(why),
        }
        if let Err(error) = self.sync() {
            return AfterStream::Restart(error);
        }
        let wait = self.backoff.wait(random);
        if let Some(held) = held {
            let is_news = self.held.replace(held.clone()).as_ref() != Some(&held);
            let wait = wait.min(HELD_WAIT_MAX);
            return AfterStream::Hold {
                wait,
                held,
                is_news,
            };
        }
        if is_late {
            let is_news = !std::mem::replace(&mut self.was_refused_as_late, true);
            AfterStream::Late { wait, is_news }
        } else {
            AfterStream::Retry(wait)
        }
    }

    /// Returns true if one of the stores that the primary's replaced had all that this store has.
    fn is_among(&self, predecessors: &[ReplacedStore]) -> bool {
        let (store, at) = (self.target.store_id(), self.target.position());
        predecessors.iter().any(|of| of.has_had(store, at))
    }

    /// The store, as its process leaves it.
    #[cfg(test)]
    pub(crate) fn into_target(self) -> T {
        self.target
    }

    #[cfg(test)]
    pub(crate) fn target_mut(&mut self) -> &mut T {
        &mut self.target
    }

    /// The stream, for its bounds.
    #[cfg(test)]
    pub(crate) fn stream_reader(&self) -> &StreamReader {
        &self.stream_reader
    }
}
