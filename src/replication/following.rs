//! What a replica does: what it asks for, what becomes of it when a stream ends, and when it gives
//! its store up.
//!
//! Must not know sockets, RocksDB, nor how a store is fetched. The clock and randomness are passed
//! in. Invariants: the store is only ever changed by commits that extend it; every end of a stream
//! is answered by exactly one of a longer wait, a new copy, or the end; a primary of an earlier
//! epoch is never followed, and that is told once; a store is given up for one with another id only where
//! that one names it as its predecessor, or an operator does, and never for one that has less.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::frame::{Decoder, Frame};
use super::intake::{Ack, Intake, Target};
use super::parted::Parted;
use super::progress::Progress;
use super::protocol::{Asked, PROTOCOL, Refusal, Replaced, id};
use crate::store::key::FORMAT;
use crate::store::{Error, Position};

/// The bytes of a spool that are read at once.
const SPOOL_PIECE_BYTES: usize = 1 << 20;

/// A replica that is held asks again so often at least: what an operator mended is followed soon.
const HELD_WAIT_MAX: Duration = Duration::from_secs(10);

/// A replica between its start and the moment at which it needs another store.
pub(super) struct Following<T> {
    target: T,
    progress: Arc<Progress>,
    /// True if the store was fetched, or accepted, by a primary, and never was one since.
    is_copy: bool,
    /// New copies in a row that were not followed from.
    failed_copies: u32,
    was_refused_as_late: bool,
    held: Option<Held>,
    backoff: Backoff,
    intake: Intake,
}

/// Why a replica follows no more, and serves what it has, until somebody does something about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// The primary has another store, which says nothing of this one.
    OtherStore(String),
    /// The primary has less, in the same epoch; this is where it is.
    Ahead(String),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherStore(store) => write!(
                f,
                "the primary has another store, {store}, which does not say that it took the place of \
                 this one; start the primary with the data directory it had, or have this copy take that \
                 store and keep its own aside: reviewsd follow --data DIR --accept-store {store}"
            ),
            Self::Ahead(primary) => write!(
                f,
                "the primary is at {primary} only, so it lost writes or is an older one; promote the copy \
                 that is furthest, or start the primary once with `serve --new` to go on without them"
            ),
        }
    }
}

/// The step after a stream.
#[derive(Debug)]
pub(super) enum Next {
    /// Another try, after so long.
    Retry(Duration),
    /// The same, because the primary is of an earlier epoch; told the first time.
    Late {
        /// The time to wait.
        wait: Duration,
        /// True if this is the first time.
        is_news: bool,
    },
    /// Another try, after so long; what is here is served, and kept, whatever the primary has.
    Hold {
        /// The time to wait.
        wait: Duration,
        /// Why.
        held: Held,
        /// True if this is the first time.
        is_news: bool,
    },
    /// A new copy, while what is here is served: it is only behind.
    Renew,
    /// A new copy, and nothing is served until it is there; what is here may be nowhere else, and is moved
    /// aside.
    Leave {
        /// The id of the store that it is given up for.
        wanted: u128,
    },
    /// The store cannot be written to any more.
    Restart(Error),
}

impl<T: Target> Following<T> {
    /// A replica that begins now. `is_copy` tells that the store holds nothing of its own.
    pub(super) fn new(target: T, is_copy: bool, failed_copies: u32, now: Instant) -> Self {
        Self {
            progress: Arc::new(Progress::new(target.position().seq, now)),
            target,
            is_copy,
            failed_copies,
            was_refused_as_late: false,
            held: None,
            backoff: Backoff::default(),
            intake: Intake::new(now),
        }
    }

    /// Returns its progress.
    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The store.
    pub(super) fn target(&self) -> &T {
        &self.target
    }

    /// Returns the position of the store.
    pub(super) fn position(&self) -> Position {
        self.target.position()
    }

    /// New copies in a row that were not followed from.
    pub(super) fn failed_copies(&self) -> u32 {
        self.failed_copies
    }

    /// Applies what was committed while this copy was fetched: the frames of a stream that may be
    /// cut, damaged, or of another copy. What does not fit is asked for again.
    pub(super) fn apply_spool(
        &mut self,
        mut spool: impl Read,
        now: impl Fn() -> Instant,
    ) -> Result<(), Error> {
        let mut decoder = Decoder::default();
        let mut piece = vec![0; SPOOL_PIECE_BYTES];
        'all: while let Ok(read @ 1..) = spool.read(&mut piece) {
            decoder.push(piece.get(..read).unwrap_or_default());
            while let Ok(Some(frame)) = decoder.next() {
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
    pub(super) fn asked(&self) -> Asked {
        Asked {
            protocol: PROTOCOL,
            format: FORMAT,
            store: self.target.store_id(),
            position: self.target.position(),
        }
    }

    /// The primary began to answer with a stream.
    pub(super) fn begin(&mut self, now: Instant) {
        self.intake = Intake::new(now);
    }

    /// When [`Self::tick`] is to be called if nothing comes.
    pub(super) fn due(&self, now: Instant) -> Instant {
        self.intake.due(now)
    }

    /// Bytes of the stream came.
    pub(super) fn take(&mut self, bytes: &[u8], now: Instant) -> Result<(), Parted> {
        let was_begun = self.intake.is_begun();
        let taken = self
            .intake
            .take(bytes, now, &mut self.target, &self.progress);
        if self.intake.is_begun() && !was_begun {
            self.is_copy = true;
            self.was_refused_as_late = false;
            self.held = None;
            self.failed_copies = 0;
        }
        taken?;
        if self.intake.is_begun() {
            self.backoff.reset();
        }
        Ok(())
    }

    /// Nothing came until [`Self::due`].
    pub(super) fn tick(&mut self, now: Instant) -> Result<(), Parted> {
        self.intake.tick(now, &mut self.target)
    }

    /// Returns the acknowledgement of this stream, once there is one.
    pub(super) fn acked(&self) -> Option<Ack> {
        self.intake.acked()
    }

    /// Keeps what was applied.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.target.sync().map(|_| ())
    }

    /// The stream ended, or there was none. `random` is any number; `accepted` is the store that an
    /// operator has this replica take instead of its own.
    pub(super) fn part(&mut self, parted: Parted, random: u32, accepted: Option<u128>) -> Next {
        let why = parted.to_string();
        let refusal = match parted {
            Parted::Store(error) => return Next::Restart(error),
            Parted::Refused(refusal) => Some(refusal),
            _ => None,
        };
        let (mut is_late, mut held) = (false, None);
        match refusal {
            Some(Refusal::Gap) if self.is_copy => {
                let why = format!("{why}; a new copy is being fetched");
                self.progress.parted(why);
                return Next::Renew;
            }
            Some(Refusal::Gap | Refusal::UnknownEpoch | Refusal::Diverged { .. }) => {
                let wanted = self.target.store_id();
                return Next::Leave { wanted };
            }
            Some(Refusal::OtherStore {
                store,
                predecessors,
            }) => {
                if let Some(wanted) = id(&store)
                    && (accepted == Some(wanted) || self.is_among(&predecessors))
                {
                    return Next::Leave { wanted };
                }
                held = Some(Held::OtherStore(store));
            }
            Some(Refusal::Ahead { primary }) => held = Some(Held::Ahead(primary)),
            Some(Refusal::Later { .. }) => is_late = true,
            Some(Refusal::Version { .. }) | None => {}
        }
        match &held {
            Some(held) => self.progress.hold(held.to_string()),
            None => self.progress.parted(why),
        }
        if let Err(error) = self.sync() {
            return Next::Restart(error);
        }
        let wait = self.backoff.wait(random);
        if let Some(held) = held {
            let is_news = self.held.replace(held.clone()).as_ref() != Some(&held);
            let wait = wait.min(HELD_WAIT_MAX);
            return Next::Hold {
                wait,
                held,
                is_news,
            };
        }
        if is_late {
            let is_news = !std::mem::replace(&mut self.was_refused_as_late, true);
            Next::Late { wait, is_news }
        } else {
            Next::Retry(wait)
        }
    }

    /// True if one of the stores that the primary's took the place of had all that this store has.
    fn is_among(&self, predecessors: &[Replaced]) -> bool {
        let (store, at) = (self.target.store_id(), self.target.position());
        predecessors.iter().any(|of| of.has_had(store, at))
    }

    /// The store, as its process leaves it.
    #[cfg(test)]
    pub(super) fn into_target(self) -> T {
        self.target
    }

    #[cfg(test)]
    pub(super) fn target_mut(&mut self) -> &mut T {
        &mut self.target
    }

    /// The stream, for its bounds.
    #[cfg(test)]
    pub(super) fn intake(&self) -> &Intake {
        &self.intake
    }
}
