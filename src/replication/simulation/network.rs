//! The messages on their way between nodes: requests and their answers, and streams, piece by piece.
//!
//! Must not know what is in them. Invariant: without faults all that was sent arrives in order and
//! whole; no stream holds more pieces than [`PIECES_MAX`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::random::Random;
use crate::replica::stream_reader::Ack;
use crate::store::memory::MemoryContents;
use crate::wire::protocol::StreamRequest;

/// Pieces that a stream's channel and its sockets hold.
pub(super) const PIECES_MAX: usize = 8;

/// A process: which node it runs on, and which of its lives that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SimulatedProcess {
    pub(super) node: usize,
    pub(super) life: u64,
}

/// A message of the simulated network.
pub(super) enum SimulatedMessage {
    /// A request for the commits behind a position, to the process that runs on a node.
    Ask {
        to: usize,
        from: SimulatedProcess,
        path: String,
        is_spool: bool,
    },
    /// Its answer.
    Answer {
        to: SimulatedProcess,
        answer: SimulatedAnswer,
        is_spool: bool,
    },
    /// A request for a whole store, with more than what is there.
    WantCopy {
        to: usize,
        from: SimulatedProcess,
        there: Option<StreamRequest>,
    },
    /// The store, as its files.
    Copy {
        to: SimulatedProcess,
        from: SimulatedProcess,
        store: u128,
        contents: Arc<MemoryContents>,
    },
    /// An acknowledgement.
    Ack { to: usize, ack: Ack },
    /// The reader of a stream has left.
    HungUp { stream: u64 },
    /// The operator has a node follow another.
    Order { node: usize, follow: usize },
    /// The operator lets a node take another store.
    Accept { node: usize, store: u128 },
    /// The operator says that what the primary has counts.
    Anew { node: usize },
    /// The operator gives a primary the disk that it had.
    GiveBack { node: usize },
}

pub(super) enum SimulatedAnswer {
    /// A stream begins.
    Stream(u64),
    /// As JSON.
    Refused(String),
    /// Too much to do.
    Busy,
    /// There is no process.
    Nobody,
}

/// A stream from a primary.
pub(super) struct SimulatedStream {
    pub(super) from: SimulatedProcess,
    pub(super) to: SimulatedProcess,
    pub(super) pieces: VecDeque<(Instant, Vec<u8>)>,
    /// Nothing comes behind the pieces.
    pub(super) is_ended: bool,
    /// True while they are read: not before the answer is there, nor once the stream is closed.
    is_read: bool,
    latest: Instant,
}

#[derive(Default)]
pub(super) struct SimulatedNetwork {
    pub(super) streams: BTreeMap<u64, SimulatedStream>,
    mail: BTreeMap<(Instant, u64), SimulatedMessage>,
    /// Until when a node is cut off.
    pub(super) cut_until: Vec<Option<Instant>>,
    /// Names and order of all there is.
    number: u64,
}

impl SimulatedNetwork {
    pub(super) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn cut_between(&self, one: usize, other: usize) -> Option<Instant> {
        self.cut_until[one].max(self.cut_until[other])
    }

    /// True if nothing comes through between two nodes.
    pub(super) fn is_cut(&self, one: usize, other: usize, now: Instant) -> bool {
        self.cut_between(one, other)
            .is_some_and(|until| until > now)
    }

    /// Sends something that takes `time` from now.
    pub(super) fn send(&mut self, due: Instant, mail: SimulatedMessage) {
        let number = self.number();
        self.mail.insert((due, number), mail);
    }

    /// Returns when the next message arrives.
    pub(super) fn mail_due(&self) -> Option<Instant> {
        self.mail.first_key_value().map(|((due, _), _)| *due)
    }

    pub(super) fn next_mail(&mut self) -> Option<SimulatedMessage> {
        self.mail.pop_first().map(|(_, mail)| mail)
    }

    /// Opens a stream.
    pub(super) fn open(
        &mut self,
        from: SimulatedProcess,
        to: SimulatedProcess,
        now: Instant,
    ) -> u64 {
        let name = self.number();
        let stream = SimulatedStream {
            from,
            to,
            pieces: VecDeque::new(),
            is_ended: false,
            is_read: false,
            latest: now,
        };
        self.streams.insert(name, stream);
        name
    }

    /// Begins to take its pieces.
    pub(super) fn read(&mut self, name: u64) {
        if let Some(stream) = self.streams.get_mut(&name) {
            stream.is_read = true;
        }
    }

    /// Takes no more of its pieces.
    pub(super) fn read_no_more(&mut self, name: u64) {
        if let Some(stream) = self.streams.get_mut(&name) {
            stream.is_read = false;
        }
    }

    /// Ends it behind what is on its way, if it has a reader.
    pub(super) fn end(&mut self, name: u64) {
        if let Some(stream) = self.streams.get_mut(&name) {
            stream.is_ended = true;
        }
    }

    /// Puts a piece on its way, which may be cut into two.
    pub(super) fn put(&mut self, name: u64, piece: Vec<u8>, due: Instant, random: &mut Random) {
        let Some(stream) = self.streams.get_mut(&name) else {
            return;
        };
        stream.latest = stream.latest.max(due);
        let mut rest = piece;
        if rest.len() > 1 && random.once_in(8) {
            let second = rest.split_off(random.size(1, rest.len() - 1));
            stream.pieces.push_back((stream.latest, rest));
            rest = second;
        }
        stream.pieces.push_back((stream.latest, rest));
    }

    /// Returns the stream that has the first piece for its reader, and the time.
    pub(super) fn piece_due(&self) -> Option<(Instant, u64)> {
        let due = |(name, stream): (&u64, &SimulatedStream)| {
            if !stream.is_read {
                return None;
            }
            let at = match stream.pieces.front() {
                Some((due, _)) => *due,
                None if stream.is_ended => stream.latest,
                None => return None,
            };
            let cut = self.cut_between(stream.from.node, stream.to.node);
            Some((cut.map_or(at, |until| at.max(until)), *name))
        };
        self.streams.iter().filter_map(due).min()
    }

    /// Ends the streams of a process that has ended; pieces on their way still arrives, or not.
    pub(super) fn end_of(&mut self, process: SimulatedProcess, arrives: bool) {
        for stream in self.streams.values_mut() {
            if stream.from == process {
                stream.is_ended = true;
                if !arrives {
                    stream.pieces.clear();
                }
            }
        }
        self.streams.retain(|_, stream| stream.to != process);
    }
}
