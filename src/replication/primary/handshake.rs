//! A primary's answer to a position: that the commits behind it can be sent, or why not.
//!
//! Must not know sockets, nor where its inputs were looked up. Invariant: a position is only taken for one
//! of the store's own past when memory or the log has the commit that follows it, or when it is where the
//! store is.

use crate::store::key::FORMAT;
use crate::store::{Backlog, HistoryLookup, Lineage, LogPosition, Predecessor};
use crate::wire::protocol::{PROTOCOL, StreamRefusal, StreamRequest};

/// The position of a primary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PrimaryPosition<'a> {
    /// Its store.
    pub(crate) store: u128,
    /// The stores that it replaced.
    pub(crate) predecessors: &'a [Predecessor],
    /// The epoch it writes in.
    pub(crate) epoch: u64,
    /// The position up to which it is durable.
    pub(crate) durable: LogPosition,
}

/// A handshake outcome that needs no look into the logs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HandshakeOutcome {
    /// The commits behind it can be sent.
    Send,
    /// It cannot.
    Refuse(StreamRefusal),
    /// Only the log can tell.
    AskLog,
}

impl PrimaryPosition<'_> {
    /// Decides by the epochs there were, and by the commits in memory.
    pub(crate) fn judge(
        self,
        asked: &StreamRequest,
        lineage: Lineage,
        behind: &Backlog,
    ) -> HandshakeOutcome {
        let (protocol, format) = (PROTOCOL, FORMAT);
        if (asked.protocol, asked.format) != (protocol, format) {
            return HandshakeOutcome::Refuse(StreamRefusal::Version { protocol, format });
        }
        if asked.store != self.store {
            let store = format!("{:032x}", self.store);
            let predecessors = self.predecessors.iter().map(Into::into).collect();
            return HandshakeOutcome::Refuse(StreamRefusal::OtherStore {
                store,
                predecessors,
            });
        }
        match lineage {
            Lineage::Shared => {}
            Lineage::Unknown => return HandshakeOutcome::Refuse(StreamRefusal::UnknownEpoch),
            Lineage::Diverged(fork) => {
                let fork = Some(fork.to_string());
                return HandshakeOutcome::Refuse(StreamRefusal::Diverged { fork });
            }
            Lineage::Later => {
                return HandshakeOutcome::Refuse(StreamRefusal::Later { epoch: self.epoch });
            }
        }
        match behind {
            Backlog::Nothing | Backlog::Commits(_) => HandshakeOutcome::Send,
            Backlog::Elsewhere => HandshakeOutcome::Refuse(self.elsewhere(asked.position)),
            Backlog::Older => HandshakeOutcome::AskLog,
        }
    }

    /// Decides by the commits that the log has behind a position; `None`: they can be sent.
    pub(crate) fn judge_by_log(
        self,
        position: LogPosition,
        found: &HistoryLookup,
    ) -> Option<StreamRefusal> {
        match found {
            HistoryLookup::Commits(_) => None,
            HistoryLookup::Gap => Some(StreamRefusal::Gap),
            HistoryLookup::Elsewhere => Some(self.elsewhere(position)),
        }
    }

    fn elsewhere(self, position: LogPosition) -> StreamRefusal {
        if position.seq > self.durable.seq {
            let primary = self.durable.to_string();
            StreamRefusal::Ahead { primary }
        } else {
            StreamRefusal::Diverged { fork: None }
        }
    }
}
