//! A primary's process: writes, and its answers to replicas.
//!
//! Everything is decided by the code that serves; here is only what that code is called by. Mirrors
//! `primary.rs`, `stream.rs` and `checkpoints.rs`, whose sockets and tasks are not here.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::Disk;
use super::ledger::{SimulationLedger, Violation, key_of};
use super::network::{PIECES_MAX, SimulatedAnswer, SimulatedMessage, SimulatedProcess};
use super::world::{NodeState, World};
use crate::primary::checkpoints::SHARE_TIME;
use crate::primary::handshake::{HandshakeOutcome, PrimaryPosition};
use crate::primary::sessions::{Session, Sessions};
use crate::primary::stream::BEAT_PERIOD;
use crate::primary::stream_writer::{NextStep, StreamWriter, beat, hello};
use crate::replica::stream_reader::Ack;
use crate::store::memory::MemoryContents;
use crate::store::{Backlog, Fence, LogPosition, Predecessor};
use crate::wire::protocol::{StreamRefusal, StreamRequest};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// A stream whose reader takes nothing for so long is ended, as `write_time_max` has it.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) struct SimulatedPrimary {
    pub(super) disk: Disk,
    sessions: Arc<Sessions>,
    streams: Vec<SimulatedStreamWriter>,
    next_write: Instant,
    next_sync: Option<Instant>,
    unsynced: Vec<LogPosition>,
    /// Clients that wait: the row that has to be durable on a replica, and their write.
    waiting: VecDeque<(u64, u64)>,
    checkpoint: Option<(Instant, Arc<MemoryContents>)>,
    /// Checkpoints of what is not durable yet, and which replicas get them.
    owed: Vec<(SimulatedProcess, Arc<MemoryContents>)>,
}

/// A stream on this side.
struct SimulatedStreamWriter {
    name: u64,
    stream_writer: StreamWriter,
    session: Session,
    beat_due: Instant,
    /// The time since which nothing was taken.
    stuck_since: Option<Instant>,
}

impl SimulatedPrimary {
    pub(super) fn due(&self) -> Instant {
        let beats = self.streams.iter().map(|out| out.beat_due);
        let sync = self.next_sync.into_iter();
        beats.chain(sync).fold(self.next_write, Instant::min)
    }

    fn own<'a>(&self, predecessors: &'a [Predecessor]) -> PrimaryPosition<'a> {
        PrimaryPosition {
            store: self.disk.store.id(),
            predecessors,
            epoch: self.disk.store.position().epoch,
            durable: self.disk.store.durable(),
        }
    }
}

/// Returns the reason for which a primary takes no writes any more that had to refuse a replica so.
fn fence_of(refusal: &StreamRefusal, replica: LogPosition) -> Option<Fence> {
    match refusal {
        StreamRefusal::Ahead { .. } => Some(Fence::Ahead { replica }),
        StreamRefusal::Later { .. } => Some(Fence::Superseded {
            epoch: replica.epoch,
        }),
        _ => None,
    }
}

impl World {
    pub(super) fn start_primary(&mut self, node: usize, mut disk: Disk) {
        disk.store.open(self.plan.ring_bytes);
        disk.wrote = true;
        self.ledger.primary_at(&disk);
        let seq = disk.store.durable().seq;
        self.ledger
            .durable_since(self.nodes[node].life, self.now, seq);
        self.nodes[node].state = NodeState::Primary(Box::new(SimulatedPrimary {
            disk,
            sessions: Arc::default(),
            streams: Vec::new(),
            next_write: self.now,
            next_sync: None,
            unsynced: Vec::new(),
            waiting: VecDeque::new(),
            checkpoint: None,
            owed: Vec::new(),
        }));
    }

    fn primary(&mut self, node: usize) -> Option<&mut SimulatedPrimary> {
        match &mut self.nodes[node].state {
            NodeState::Primary(primary) => Some(primary),
            _ => None,
        }
    }

    /// Whatever is due on a primary.
    pub(super) fn lead(&mut self, node: usize) -> Result<(), Violation> {
        let now = self.now;
        let Some(primary) = self.primary(node) else {
            return Ok(());
        };
        if primary.next_write <= now {
            self.write(node);
        } else if primary.next_sync.is_some_and(|due| due <= now) {
            self.sync(node);
        } else {
            self.beat(node);
        }
        self.pump(node)
    }

    /// Makes a write, or many at once.
    pub(super) fn write(&mut self, node: usize) {
        let pause = self.plan.write_ms;
        let pause = if self.now < self.writes_end {
            self.random.time(0, pause * 2)
        } else {
            Duration::from_hours(1)
        };
        let now = self.now;
        if let Some(primary) = self.primary(node).filter(|it| it.disk.fence.is_some()) {
            primary.next_write = now + pause;
            return;
        }
        self.tally.writes += 1;
        let (write, now, loss) = (self.tally.writes, self.now, self.plan.loss_time_max);
        let bytes = match self.random.below(20) {
            0 => self.random.size(500, 5000),
            _ => self.random.size(0, 60),
        };
        let value = vec![u8::try_from(write & 0xff).unwrap(); bytes];
        let shared = [u8::try_from(self.random.below(5)).unwrap()];
        let is_gone = self.random.once_in(3);
        let Some(primary) = self.primary(node) else {
            return;
        };
        let store = &mut primary.disk.store;
        let mut writing = store.begin();
        let (_, key) = key_of(write);
        writing.put(1, &key, &value);
        if is_gone {
            writing.delete(2, &shared);
        } else {
            writing.put(2, &shared, &key);
        }
        store.commit(writing, loss.is_none());
        primary.next_write = now + pause;
        primary.waiting.push_back((store.position().seq, write));
        match loss {
            None => {}
            Some(time) => {
                primary.unsynced.push(store.position());
                primary.next_sync.get_or_insert(now + time);
            }
        }
        self.note_primary(node);
    }

    fn note_primary(&mut self, node: usize) {
        let (life, now) = (self.nodes[node].life, self.now);
        if let NodeState::Primary(primary) = &self.nodes[node].state {
            self.ledger.primary_at(&primary.disk);
            let seq = primary.disk.store.durable().seq;
            self.ledger.durable_since(life, now, seq);
        }
    }

    fn sync(&mut self, node: usize) {
        let Some(primary) = self.primary(node) else {
            return;
        };
        primary.disk.store.sync();
        primary.next_sync = None;
        let unsynced = std::mem::take(&mut primary.unsynced);
        if let NodeState::Primary(primary) = &self.nodes[node].state {
            self.ledger.synced(&primary.disk, &unsynced);
        }
        self.note_primary(node);
        self.pay(node);
    }

    fn beat(&mut self, node: usize) {
        let (now, start) = (self.now, self.start);
        let Some(primary) = self.primary(node) else {
            return;
        };
        let durable = primary.disk.store.durable();
        let mut names = Vec::new();
        for out in primary.streams.iter_mut().filter(|out| out.beat_due <= now) {
            out.beat_due = now + BEAT_PERIOD;
            names.push((out.name, out.stuck_since));
        }
        for (name, stuck_since) in names {
            let Some(stream) = self.network.streams.get_mut(&name) else {
                continue;
            };
            if stream.pieces.len() < PIECES_MAX {
                let ms = now.saturating_duration_since(start).as_millis();
                let piece = beat(durable, i64::try_from(ms).unwrap());
                let due = self.soon();
                self.network.put(name, piece, due, &mut self.random);
            } else if stuck_since.is_some_and(|since| since + WRITE_TIME_MAX <= now) {
                stream.is_ended = true;
                stream.pieces.clear();
                self.say(|| format!("node {node} ends a stream that is stuck"));
                if let Some(primary) = self.primary(node) {
                    primary.streams.retain(|out| out.name != name);
                }
            }
        }
    }

    /// Sends on every stream what there is, as far as there is space.
    pub(super) fn pump(&mut self, node: usize) -> Result<(), Violation> {
        let ring_bytes = self.plan.ring_bytes;
        let Some(primary) = self.primary(node) else {
            return Ok(());
        };
        if primary.disk.store.feed().bytes() > ring_bytes {
            return Err("the ring holds more than it may".to_owned());
        }
        let mut kept = Vec::new();
        for mut out in std::mem::take(&mut primary.streams) {
            if self.flow(node, &mut out) {
                kept.push(out);
            } else {
                self.network.end(out.name);
            }
        }
        if let Some(primary) = self.primary(node) {
            primary.streams = kept;
        }
        Ok(())
    }

    /// Sends on one stream what there is. Returns whether it goes on.
    fn flow(&mut self, node: usize, out: &mut SimulatedStreamWriter) -> bool {
        let (now, piece_bytes) = (self.now, self.plan.piece_bytes);
        loop {
            let NodeState::Primary(primary) = &self.nodes[node].state else {
                return false;
            };
            let Some(stream) = self.network.streams.get(&out.name) else {
                return false;
            };
            if stream.is_ended {
                return false;
            }
            if stream.pieces.len() >= PIECES_MAX {
                out.stuck_since.get_or_insert(now);
                return true;
            }
            out.stuck_since = None;
            let (store, at) = (&primary.disk.store, out.stream_writer.at());
            let mut next = out
                .stream_writer
                .of_memory(&store.feed().behind(at, piece_bytes));
            if next == NextStep::AskLog {
                next = out.stream_writer.of_log(&store.read_log(at, piece_bytes));
            }
            match next {
                NextStep::Wait => return true,
                NextStep::Piece(piece) => {
                    out.session.sent(out.stream_writer.at().seq);
                    self.put(out.name, piece);
                }
                NextStep::AskLog | NextStep::End => return false,
            }
        }
    }

    /// Answers a request for the commits behind a position.
    pub(super) fn asked(
        &mut self,
        to: usize,
        from: SimulatedProcess,
        path: &str,
        is_spool: bool,
    ) -> Result<(), Violation> {
        let here = self.process(to);
        let (piece_bytes, waits, now) = (self.plan.piece_bytes, self.plan.acks, self.now);
        let answer = match &mut self.nodes[to].state {
            NodeState::Down { .. } => SimulatedAnswer::Nobody,
            NodeState::Copying(_) | NodeState::Empty(_) => SimulatedAnswer::Busy,
            NodeState::Primary(primary) => {
                let query = path.split_once('?').map_or("", |(_, query)| query);
                let Some(asked) = StreamRequest::read(query) else {
                    return Err(format!("{path} is no request"));
                };
                let id = primary.disk.store.id();
                let predecessors = self.predecessors.get(&id).map_or(&[][..], Vec::as_slice);
                let own = primary.own(predecessors);
                let (store, position) = (&primary.disk.store, asked.position);
                let behind = store.feed().behind(position, piece_bytes);
                let mut outcome = own.judge(&asked, store.lineage(position), &behind);
                if outcome == HandshakeOutcome::AskLog {
                    let found = store.read_log(position, piece_bytes);
                    let refusal = own.judge_by_log(position, &found);
                    outcome = refusal.map_or(HandshakeOutcome::Send, HandshakeOutcome::Refuse);
                }
                let in_memory = matches!(behind, Backlog::Commits(_));
                let begins = if in_memory { 0 } else { store.log_begins() };
                SimulationLedger::expect_verdict(&asked, &primary.disk, begins, &outcome)?;
                match outcome {
                    HandshakeOutcome::Refuse(refusal) => {
                        self.tally.refusals += 1;
                        let fence = fence_of(&refusal, position);
                        if let Some(fence) = fence.filter(|_| primary.disk.fence.is_none()) {
                            primary.disk.fence = Some(fence);
                            self.tally.fenced += 1;
                            if self.plan.is_calm {
                                return Err(format!("a primary is fenced for nothing: {fence}"));
                            }
                            let due = self.now + self.random.time(100, 4000);
                            self.network.send(due, SimulatedMessage::Anew { node: to });
                        }
                        SimulatedAnswer::Refused(serde_json::to_string(&refusal).unwrap())
                    }
                    HandshakeOutcome::AskLog => SimulatedAnswer::Busy,
                    HandshakeOutcome::Send => {
                        match primary.sessions.begin(PEER, false, position.seq) {
                            None => SimulatedAnswer::Busy,
                            Some(session) => {
                                let (id, durable) = (store.id(), store.durable());
                                let words = hello(session.id(), waits, id, durable);
                                let name = self.network.open(here, from, now);
                                primary.streams.push(SimulatedStreamWriter {
                                    name,
                                    stream_writer: StreamWriter::of(id, position),
                                    session,
                                    beat_due: now,
                                    stuck_since: None,
                                });
                                let random = &mut self.random;
                                self.network.put(name, words, now, random);
                                SimulatedAnswer::Stream(name)
                            }
                        }
                    }
                }
            }
        };
        if let SimulatedAnswer::Refused(why) = &answer {
            let why = why.clone();
            self.say(|| format!("node {to} refuses node {}: {why}", from.node));
        }
        self.answer(from, answer, is_spool);
        self.pump(to)
    }

    /// A replica requests a whole store.
    pub(super) fn wanted(
        &mut self,
        to: usize,
        from: SimulatedProcess,
        there: Option<StreamRequest>,
    ) {
        let now = self.now;
        let Some(primary) = self.primary(to) else {
            self.answer(from, SimulatedAnswer::Nobody, false);
            return;
        };
        let id = primary.disk.store.id();
        let shared = primary.checkpoint.take();
        let shared = shared.filter(|(made, contents)| {
            let gains = there.is_none_or(|there| there.gains_by(id, contents.position()));
            gains && now < *made + SHARE_TIME
        });
        let (made, contents) =
            shared.unwrap_or_else(|| (now, Arc::new(primary.disk.store.contents().clone())));
        primary.checkpoint = Some((made, Arc::clone(&contents)));
        primary.owed.push((from, contents));
        self.pay(to);
    }

    /// Hands out checkpoints, all of which are durable here.
    fn pay(&mut self, node: usize) {
        let here = self.process(node);
        let Some(primary) = self.primary(node) else {
            return;
        };
        let (store, durable) = (primary.disk.store.id(), primary.disk.store.durable());
        let owed = std::mem::take(&mut primary.owed);
        let (paid, owed): (Vec<_>, Vec<_>) = owed
            .into_iter()
            .partition(|(_, contents)| contents.position().seq <= durable.seq);
        primary.owed = owed;
        for (to, contents) in paid {
            let due = self.soon();
            let from = here;
            self.network.send(
                due,
                SimulatedMessage::Copy {
                    to,
                    from,
                    store,
                    contents,
                },
            );
        }
    }

    /// A replica reports how far it is durable.
    pub(super) fn acknowledged(&mut self, to: usize, ack: Ack) {
        let is_meant = to == self.leader && self.plan.acks;
        let Some(primary) = self.primary(to) else {
            return;
        };
        if primary.sessions.ack(ack.session, ack.seq).is_none() {
            return;
        }
        let feed = primary.disk.store.feed();
        feed.ack(ack.seq);
        let acked = *feed.acked().borrow();
        let told = primary.waiting.partition_point(|(seq, _)| *seq <= acked);
        let told: Vec<u64> = primary
            .waiting
            .drain(..told)
            .map(|(_, write)| write)
            .collect();
        if is_meant {
            self.tally.acknowledged += told.len() as u64;
            self.ledger.acknowledged.extend(told);
        }
    }
}
