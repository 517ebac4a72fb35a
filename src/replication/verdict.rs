//! What a primary answers to a position: that what follows it can be sent, or why not.
//!
//! Must not know sockets, nor where what it decides by was looked up. Invariant: a position is only
//! taken for one of the store's own past when memory or the log has the commit that follows it, or
//! when it is where the store is.

use super::protocol::{Asked, PROTOCOL, Refusal};
use crate::store::key::FORMAT;
use crate::store::{Behind, Found, Lineage, Position, Predecessor};

/// The position of a primary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    /// Its store.
    pub(super) store: u128,
    /// The stores that it took the place of.
    pub(super) predecessors: &'a [Predecessor],
    /// The epoch it writes in.
    pub(super) epoch: u64,
    /// Up to where it is durable.
    pub(super) durable: Position,
}

/// A verdict that needs no look into the logs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The commits behind it can be sent.
    Send,
    /// It cannot.
    Refuse(Refusal),
    /// Only the log can tell.
    AskLog,
}

impl Own<'_> {
    /// Judges by the epochs there were, and by what is in memory.
    pub(super) fn judge(self, asked: &Asked, lineage: Lineage, behind: &Behind) -> Verdict {
        let (protocol, format) = (PROTOCOL, FORMAT);
        if (asked.protocol, asked.format) != (protocol, format) {
            return Verdict::Refuse(Refusal::Version { protocol, format });
        }
        if asked.store != self.store {
            let store = format!("{:032x}", self.store);
            let predecessors = self.predecessors.iter().map(Into::into).collect();
            return Verdict::Refuse(Refusal::OtherStore {
                store,
                predecessors,
            });
        }
        match lineage {
            Lineage::Shared => {}
            Lineage::Unknown => return Verdict::Refuse(Refusal::UnknownEpoch),
            Lineage::Diverged(fork) => {
                let fork = Some(fork.to_string());
                return Verdict::Refuse(Refusal::Diverged { fork });
            }
            Lineage::Later => return Verdict::Refuse(Refusal::Later { epoch: self.epoch }),
        }
        match behind {
            Behind::Nothing | Behind::Commits(_) => Verdict::Send,
            Behind::Elsewhere => Verdict::Refuse(self.elsewhere(asked.position)),
            Behind::Older => Verdict::AskLog,
        }
    }

    /// Judges by what the log has behind a position; `None`: it can be sent.
    pub(super) fn judge_by_log(self, position: Position, found: &Found) -> Option<Refusal> {
        match found {
            Found::Commits(_) => None,
            Found::Gap => Some(Refusal::Gap),
            Found::Elsewhere => Some(self.elsewhere(position)),
        }
    }

    fn elsewhere(self, position: Position) -> Refusal {
        if position.seq > self.durable.seq {
            let primary = self.durable.to_string();
            Refusal::Ahead { primary }
        } else {
            Refusal::Diverged { fork: None }
        }
    }
}
