//! The reason for which a store takes no writes although it is a primary's.
//!
//! Must not know who found out. Invariants: from the moment at which a fence is up no change is taken; it
//! is on the disk before its reason is sent in any response, so that a restart does not forget it; only an
//! operator takes it down.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::log::position::LogPosition;

/// The reason for which writes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// The store was made because there was none, and there may be replicas of another one.
    Empty,
    /// A replica of the same epoch has more than this store.
    Ahead {
        /// The position of the replica.
        replica: LogPosition,
    },
    /// Another server is the primary since.
    Superseded {
        /// The epoch of that server.
        epoch: u64,
    },
    /// A reason that a later version wrote.
    Unknown,
}

impl Fence {
    /// Returns the reason as the text of a file.
    pub(super) fn to_text(self) -> String {
        match self {
            Self::Empty => "empty".to_owned(),
            Self::Ahead { replica } => {
                let LogPosition { epoch, seq, chain } = replica;
                format!("ahead {epoch} {seq} {chain}")
            }
            Self::Superseded { epoch } => format!("superseded {epoch}"),
            Self::Unknown => "unknown".to_owned(),
        }
    }

    /// Reads such a text. One that is not understood is a reason all the same.
    pub(super) fn from_text(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let kind = words.next();
        let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        match (kind, numbers.as_slice()) {
            (Some("empty"), []) => Self::Empty,
            (Some("ahead"), &[epoch, seq, chain]) => Self::Ahead {
                replica: LogPosition { epoch, seq, chain },
            },
            (Some("superseded"), &[epoch]) => Self::Superseded { epoch },
            _ => Self::Unknown,
        }
    }

    /// Returns the epoch that a store must be beyond for its replicas to follow it again.
    #[must_use]
    pub fn epoch(self) -> u64 {
        match self {
            Self::Empty | Self::Unknown => 0,
            Self::Ahead { replica } => replica.epoch,
            Self::Superseded { epoch } => epoch,
        }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("writes are rejected: ")?;
        match self {
            Self::Empty => f.write_str(
                "the data directory was empty, although replication.token_file means that there are \
                 replicas; check that the right volume is mounted, or start once with `serve --new` to \
                 begin with \
                 an empty store",
            ),
            Self::Ahead { replica } => write!(
                f,
                "a replica is at {replica}, so this store lost writes or is an older one; promote the \
                 replica with the latest position, or start once with `serve --new` to go on without them"
            ),
            Self::Superseded { epoch } => write!(
                f,
                "another server is the primary since epoch {epoch}; start this one with --follow"
            ),
            Self::Unknown => f.write_str(
                "a later version of reviewsd fenced this store; run that version, or start once with \
                 `serve --new`",
            ),
        }
    }
}

/// The fence of an open store.
#[derive(Debug, Default)]
pub(super) struct Fences {
    is_up: AtomicBool,
    why: Mutex<Option<Fence>>,
}

impl Fences {
    pub(super) fn of(why: Option<Fence>) -> Self {
        Self {
            is_up: AtomicBool::new(why.is_some()),
            why: Mutex::new(why),
        }
    }

    /// Puts it up. Returns whether that is news. Of two reasons the one of the later epoch stands.
    pub(super) fn put_up(&self, why: Fence) -> bool {
        let mut stands = self.why();
        let is_news = stands.is_none_or(|stands| why.epoch() > stands.epoch());
        if is_news {
            *stands = Some(why);
        }
        self.is_up.store(true, Ordering::SeqCst);
        is_news
    }

    pub(super) fn take_down(&self) {
        *self.why() = None;
        self.is_up.store(false, Ordering::SeqCst);
    }

    pub(super) fn get(&self) -> Option<Fence> {
        // Every write checks it.
        if self.is_up.load(Ordering::SeqCst) {
            *self.why()
        } else {
            None
        }
    }

    fn why(&self) -> MutexGuard<'_, Option<Fence>> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_read_as_it_was_written() {
        let replica = LogPosition {
            epoch: 2,
            seq: 30,
            chain: u64::MAX,
        };
        for fence in [
            Fence::Empty,
            Fence::Ahead { replica },
            Fence::Superseded { epoch: 7 },
            Fence::Unknown,
        ] {
            assert_eq!(Fence::from_text(&fence.to_text()), fence);
        }
        for text in ["", "ahead 1", "ahead 1 2 x", "superseded", "of later"] {
            assert_eq!(Fence::from_text(text), Fence::Unknown, "{text}");
        }
        assert_eq!(Fence::Superseded { epoch: 7 }.to_text(), "superseded 7");
    }

    #[test]
    fn the_reason_of_the_latest_epoch_stands_until_it_is_taken_down() {
        let fences = Fences::default();
        assert_eq!(fences.get(), None);
        assert!(fences.put_up(Fence::Empty));
        let superseded = Fence::Superseded { epoch: 2 };
        assert!(fences.put_up(superseded) && !fences.put_up(superseded));
        assert!(!fences.put_up(Fence::Unknown));
        assert_eq!(fences.get(), Some(superseded));
        fences.take_down();
        assert_eq!(fences.get(), None);
    }
}
