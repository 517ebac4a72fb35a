//! A replica's process: with a store, or on the way to one.
//!
//! Everything is decided by the code that serves; here is only what that code is called by. Mirrors
//! `replica.rs`, `bootstrap.rs`, and `serve --follow`, whose sockets, files and threads are not here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::client::NoAnswer;
use super::super::disconnect::{Disconnect, SILENCE_MAX};
use super::disk::Disk;
use super::ledger::Violation;
use super::network::{SimulatedAnswer, SimulatedMessage, SimulatedProcess};
use super::world::{NodeState, SimulatedRole, World};
use crate::replica::backoff::Backoff;
use crate::replica::state::{AfterStream, HoldReason, ReplicaState};
use crate::replica::stream_reader::{Ack, UNSYNCED_BYTES_MAX};
use crate::store::key::FORMAT;
use crate::store::memory::{MemoryContents, MemoryStore};
use crate::store::{Lineage, OldStore};
use crate::wire::protocol::{PROTOCOL, STREAM, StreamRequest};

/// The time for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// With more it says that it is not ready.
pub(super) const LAG_MAX: Duration = Duration::from_secs(10);
/// The age of its last news: a stream may be stuck for almost as long as one that is dead.
const NEWS_TIME_MAX: Duration = Duration::from_secs(15);

/// A replica that has a store.
pub(super) struct SimulatedReplica {
    pub(super) replica_state: ReplicaState<Disk>,
    phase: ReplicaPhase,
    told: Option<Ack>,
    /// The primary's process that it last followed.
    heard_of: Option<u64>,
    was_told_late: bool,
}

enum ReplicaPhase {
    Waiting(Instant),
    /// Until then for an answer.
    Asking(Instant),
    Following(u64),
    /// The store is only behind.
    Renewing(Fetch),
}

/// A replica that has none, or none to be served.
pub(super) struct Empty {
    pub(super) old: Option<Disk>,
    before: OldStore,
    /// The store that replaces the old one.
    wanted: Option<u128>,
    pub(super) fetch: Fetch,
}

/// A store on its way.
pub(super) struct Fetch {
    /// It has more than this.
    there: Option<StreamRequest>,
    step: ReplicaStep,
    backoff: Backoff,
    spool: Vec<u8>,
    /// The stream that fills it.
    stream: Option<u64>,
}

enum ReplicaStep {
    Waiting(Instant),
    Asking(Instant),
    Fetching {
        from: SimulatedProcess,
        store: u128,
        contents: Arc<MemoryContents>,
        done: Instant,
    },
}

impl SimulatedReplica {
    pub(super) fn due(&self, now: Instant) -> Instant {
        match &self.phase {
            ReplicaPhase::Waiting(until) | ReplicaPhase::Asking(until) => *until,
            ReplicaPhase::Following(_) => self.replica_state.due(now),
            ReplicaPhase::Renewing(fetch) => fetch.due(),
        }
    }

    pub(super) fn is_following(&self) -> bool {
        matches!(self.phase, ReplicaPhase::Following(_))
            && self.replica_state.stream_reader().is_begun()
    }

    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.replica_state
            .progress()
            .unready(LAG_MAX, now)
            .is_none()
    }
}

impl Empty {
    /// A replica whose store, if it has one, holds no commits of its own.
    pub(super) fn new(old: Option<Disk>, now: Instant) -> Self {
        Self {
            old,
            before: OldStore::Contained,
            wanted: None,
            fetch: Fetch {
                there: None,
                step: ReplicaStep::Waiting(now),
                backoff: Backoff::default(),
                spool: Vec::new(),
                stream: None,
            },
        }
    }
}

impl Fetch {
    pub(super) fn due(&self) -> Instant {
        match &self.step {
            ReplicaStep::Waiting(until) | ReplicaStep::Asking(until) => *until,
            ReplicaStep::Fetching { done, .. } => *done,
        }
    }
}

impl World {
    fn copying(&mut self, node: usize) -> Option<&mut SimulatedReplica> {
        match &mut self.nodes[node].state {
            NodeState::Copying(copying) => Some(copying),
            _ => None,
        }
    }

    fn fetching(&mut self, node: usize) -> Option<&mut Fetch> {
        match &mut self.nodes[node].state {
            NodeState::Copying(copying) => match &mut copying.phase {
                ReplicaPhase::Renewing(fetch) => Some(fetch),
                _ => None,
            },
            NodeState::Empty(empty) => Some(&mut empty.fetch),
            _ => None,
        }
    }

    /// Returns the node that a node follows.
    fn followed_by(&self, node: usize) -> usize {
        match self.nodes[node].role {
            SimulatedRole::Replica(primary) => primary,
            SimulatedRole::Primary => node,
        }
    }

    pub(super) fn start_copying(&mut self, node: usize, mut disk: Disk) {
        disk.store.open(0);
        let (is_copy, failed) = (disk.follows, self.nodes[node].failed_copies);
        self.nodes[node].state = NodeState::Copying(Box::new(SimulatedReplica {
            replica_state: ReplicaState::new(disk, is_copy, failed, self.now),
            phase: ReplicaPhase::Waiting(self.now),
            told: None,
            heard_of: None,
            was_told_late: false,
        }));
    }

    /// Whatever is due on a replica that has a store.
    pub(super) fn copy(&mut self, node: usize) -> Result<(), Violation> {
        let now = self.now;
        let Some(copying) = self.copying(node) else {
            return Ok(());
        };
        match &copying.phase {
            ReplicaPhase::Waiting(_) => {
                copying.phase = ReplicaPhase::Asking(now + ANSWER_TIME_MAX);
                let path = copying.replica_state.asked().to_path(STREAM);
                self.ask(node, path, false);
                Ok(())
            }
            ReplicaPhase::Asking(_) => self.part(node, nobody()),
            ReplicaPhase::Following(_) => {
                let ticked = copying.replica_state.tick(now);
                self.after(node, ticked)
            }
            ReplicaPhase::Renewing(_) => self.fetch(node),
        }
    }

    fn ask(&mut self, node: usize, path: String, is_spool: bool) {
        let (to, from) = (self.followed_by(node), self.process(node));
        let due = self.soon();
        if self.network.is_cut(node, to, self.now) {
            return;
        }
        self.network.send(
            due,
            SimulatedMessage::Ask {
                to,
                from,
                path,
                is_spool,
            },
        );
    }

    pub(super) fn answered(
        &mut self,
        to: SimulatedProcess,
        answer: SimulatedAnswer,
        is_spool: bool,
    ) -> Result<(), Violation> {
        let node = to.node;
        let is_lost =
            !self.lives(to) || self.network.is_cut(node, self.followed_by(node), self.now);
        if is_lost {
            // The stream, if one began, gets stuck.
            return Ok(());
        }
        if is_spool {
            if let (SimulatedAnswer::Stream(name), Some(fetch)) = (&answer, self.fetching(node))
                && matches!(fetch.step, ReplicaStep::Fetching { .. })
            {
                fetch.stream = Some(*name);
                self.network.read(*name);
            }
            return Ok(());
        }
        if let Some(fetch) = self.fetching(node) {
            // The only other answer that it waits for is the store itself.
            if matches!(fetch.step, ReplicaStep::Asking(_)) {
                self.fetch_failed(node);
            }
            return Ok(());
        }
        let now = self.now;
        let Some(copying) = self.copying(node) else {
            return Ok(());
        };
        if !matches!(copying.phase, ReplicaPhase::Asking(_)) {
            return Ok(());
        }
        let disconnect = match answer {
            SimulatedAnswer::Stream(name) => {
                copying.replica_state.begin(now);
                copying.phase = ReplicaPhase::Following(name);
                copying.told = None;
                self.network.read(name);
                return Ok(());
            }
            SimulatedAnswer::Refused(text) => {
                Disconnect::Refused(serde_json::from_str(&text).unwrap())
            }
            SimulatedAnswer::Busy => Disconnect::Status(hyper::StatusCode::SERVICE_UNAVAILABLE),
            SimulatedAnswer::Nobody => nobody(),
        };
        self.part(node, disconnect)
    }

    /// A piece of a stream, or its end, arrives.
    pub(super) fn piece(&mut self, name: u64) -> Result<(), Violation> {
        let Some(stream) = self.network.streams.get_mut(&name) else {
            return Ok(());
        };
        let (from, to, piece) = (stream.from, stream.to, stream.pieces.pop_front());
        if piece.is_none() {
            self.network.streams.remove(&name);
        }
        let (node, now, spool_bytes) = (to.node, self.now, self.plan.spool_bytes);
        if let Some(fetch) = self
            .fetching(node)
            .filter(|fetch| fetch.stream == Some(name))
        {
            let Some((_, bytes)) = piece else {
                fetch.stream = None;
                return Ok(());
            };
            if fetch.spool.len() + bytes.len() > spool_bytes {
                fetch.stream = None;
                self.hang_up(name);
            } else {
                fetch.spool.extend_from_slice(&bytes);
            }
            return self.pump(from.node);
        }
        let Some(copying) = self.copying(node) else {
            return Ok(());
        };
        if !matches!(copying.phase, ReplicaPhase::Following(of) if of == name) {
            return Ok(());
        }
        let Some((_, bytes)) = piece else {
            return self.part(node, Disconnect::Ended);
        };
        let was_begun = copying.replica_state.stream_reader().is_begun();
        let before = copying.replica_state.position();
        let taken = copying.replica_state.take(&bytes, now);
        if copying.replica_state.stream_reader().is_begun() && !was_begun {
            copying.heard_of = Some(from.life);
            copying.was_told_late = false;
            let epoch = copying.replica_state.position().epoch;
            self.say(|| format!("node {node} follows node {}, of epoch {epoch}", from.node));
        } else if copying.replica_state.position() != before {
            self.tally.applied += 1;
        }
        self.after(node, taken)?;
        self.pump(from.node)
    }

    /// Checks the invariants of a replica after each of its acts, and sends its reports to its primary.
    fn after(&mut self, node: usize, done: Result<(), Disconnect>) -> Result<(), Violation> {
        let now = self.now;
        let NodeState::Copying(copying) = &mut self.nodes[node].state else {
            return Ok(());
        };
        let replica_state = &copying.replica_state;
        self.ledger.expect_copy(replica_state.target())?;
        let (waiting, unsynced) = replica_state.stream_reader().held_bytes();
        if waiting > 100_000 || unsynced > UNSYNCED_BYTES_MAX {
            return Err(format!("a copy holds {waiting} and {unsynced} bytes"));
        }
        if replica_state.due(now) > now + SILENCE_MAX {
            return Err("a copy would wait for ever".to_owned());
        }
        let ack = replica_state.acked();
        if let Some(ack) = ack.filter(|_| ack != copying.told) {
            copying.told = Some(ack);
            let durable = replica_state.target().store.durable();
            if durable.seq < ack.seq {
                return Err(format!(
                    "a copy that is durable up to {durable} acknowledges row {}",
                    ack.seq
                ));
            }
            self.acknowledge(node, ack);
        }
        match done {
            Ok(()) => Ok(()),
            Err(disconnect) => self.part(node, disconnect),
        }
    }

    /// Sends an acknowledgement, which may be lost, late, or twice there.
    fn acknowledge(&mut self, node: usize, ack: Ack) {
        let to = self.followed_by(node);
        for _ in 0..self.random.size(0, 9).min(2) {
            let late = match self.random.below(10) {
                0 => self.random.time(0, 3000),
                _ => Duration::ZERO,
            };
            let due = self.soon() + late;
            if !self.network.is_cut(node, to, self.now) {
                self.network.send(due, SimulatedMessage::Ack { to, ack });
            }
        }
    }

    /// Reads a stream no more. Its sender notices, unless the two are cut off.
    fn hang_up(&mut self, name: u64) {
        let due = self.soon();
        let Some(stream) = self.network.streams.get(&name) else {
            return;
        };
        let (one, other) = (stream.from.node, stream.to.node);
        self.network.read_no_more(name);
        if !self.network.is_cut(one, other, self.now) {
            self.network
                .send(due, SimulatedMessage::HungUp { stream: name });
        }
    }

    /// A stream ended, or there was none.
    fn part(&mut self, node: usize, disconnect: Disconnect) -> Result<(), Violation> {
        let (now, random) = (self.now, self.random.short());
        self.say(|| format!("node {node} parted: {disconnect}"));
        let accepted = self.nodes[node].accepts;
        let Some(copying) = self.copying(node) else {
            return Ok(());
        };
        let next = copying.replica_state.part(disconnect, random, accepted);
        let failed = copying.replica_state.failed_copies();
        let there = copying.replica_state.asked();
        let phase = match next {
            AfterStream::Retry(wait) => ReplicaPhase::Waiting(now + wait),
            AfterStream::Late { wait, is_news } => {
                if is_news == std::mem::replace(&mut copying.was_told_late, true) {
                    return Err("an earlier primary is not told of exactly once".to_owned());
                }
                self.tally.late += u64::from(is_news);
                ReplicaPhase::Waiting(now + wait)
            }
            AfterStream::Renew => ReplicaPhase::Renewing(self.begin_fetch(failed, Some(there))),
            AfterStream::Leave { wanted } => {
                self.leave(node, wanted);
                return Ok(());
            }
            AfterStream::Hold {
                wait,
                held,
                is_news,
            } => {
                if copying.is_ready(now) {
                    return Err("a copy that is held says that it is ready".to_owned());
                }
                self.tally.held += u64::from(is_news);
                self.look_after(node, &held);
                ReplicaPhase::Waiting(now + wait)
            }
            AfterStream::Restart(_) => {
                let pause = self.random.time(0, 2000);
                self.end(node, true, pause);
                return Ok(());
            }
        };
        let Some(copying) = self.copying(node) else {
            return Ok(());
        };
        if let ReplicaPhase::Following(name) = std::mem::replace(&mut copying.phase, phase) {
            self.hang_up(name);
        }
        Ok(())
    }

    fn begin_fetch(&mut self, failed_copies: u32, there: Option<StreamRequest>) -> Fetch {
        let wait = Backoff::after(failed_copies, self.random.short());
        Fetch {
            there,
            step: ReplicaStep::Waiting(self.now + wait.unwrap_or_default()),
            backoff: Backoff::default(),
            spool: Vec::new(),
            stream: None,
        }
    }

    /// The operator is told of a replica that is held: where its primary is the right one and has the right
    /// disk, it is let take that store.
    fn look_after(&mut self, node: usize, held: &HoldReason) {
        let is_right = self.followed_by(node) == self.leader && self.unmounted.is_none();
        if let HoldReason::OtherStore(store) = held
            && is_right
            && let Ok(store) = u128::from_str_radix(store, 16)
        {
            let due = self.now + self.random.time(100, 5000);
            self.network
                .send(due, SimulatedMessage::Accept { node, store });
        }
    }

    /// Serves nothing any more, and fetches another store.
    fn leave(&mut self, node: usize, wanted: u128) {
        self.say(|| format!("node {node} leaves its store"));
        let gone = NodeState::Down {
            disk: None,
            until: self.now,
        };
        let NodeState::Copying(copying) = std::mem::replace(&mut self.nodes[node].state, gone)
        else {
            return;
        };
        if let ReplicaPhase::Following(name) = copying.phase {
            self.hang_up(name);
        }
        if copying.replica_state.progress().streams() > 0 {
            self.nodes[node].failed_copies = 0;
        }
        let fetch = self.begin_fetch(self.nodes[node].failed_copies, None);
        self.nodes[node].state = NodeState::Empty(Box::new(Empty {
            old: Some(copying.replica_state.into_target()),
            before: OldStore::Diverged,
            wanted: Some(wanted),
            fetch,
        }));
    }

    /// Whatever is due on a replica that fetches a store.
    pub(super) fn fetch(&mut self, node: usize) -> Result<(), Violation> {
        let (now, from) = (self.now, self.process(node));
        let to = self.followed_by(node);
        let Some(fetch) = self.fetching(node) else {
            return Ok(());
        };
        match &fetch.step {
            ReplicaStep::Waiting(_) => {
                let there = fetch.there;
                fetch.step = ReplicaStep::Asking(now + ANSWER_TIME_MAX);
                if !self.network.is_cut(node, to, now) {
                    let due = self.soon();
                    self.network
                        .send(due, SimulatedMessage::WantCopy { to, from, there });
                }
                Ok(())
            }
            ReplicaStep::Asking(_) => {
                self.fetch_failed(node);
                Ok(())
            }
            ReplicaStep::Fetching { from, .. } => {
                let from = *from;
                if self.lives(from) && !self.network.is_cut(node, from.node, now) {
                    return self.adopt(node);
                }
                self.fetch_failed(node);
                Ok(())
            }
        }
    }

    fn fetch_failed(&mut self, node: usize) {
        let (now, random) = (self.now, self.random.short());
        self.say(|| format!("node {node} cannot fetch a copy"));
        let Some(fetch) = self.fetching(node) else {
            return;
        };
        fetch.step = ReplicaStep::Waiting(now + fetch.backoff.wait(random));
        if let Some(name) = fetch.stream.take() {
            self.hang_up(name);
        }
    }

    /// The list of a checkpoint's files is there: commits made meanwhile are spooled while they are fetched.
    pub(super) fn copy_comes(
        &mut self,
        to: SimulatedProcess,
        from: SimulatedProcess,
        store: u128,
        contents: Arc<MemoryContents>,
    ) {
        let now = self.now;
        let done = now + self.random.time(5, 4000);
        let is_cut = self.network.is_cut(to.node, from.node, self.now);
        if !self.lives(to) || is_cut {
            return;
        }
        let Some(fetch) = self.fetching(to.node) else {
            return;
        };
        if !matches!(fetch.step, ReplicaStep::Asking(_)) {
            return;
        }
        if fetch.there.is_some_and(|there| there.store != store) {
            // It asks again, and the answer says why.
            if let Some(copying) = self.copying(to.node) {
                copying.phase = ReplicaPhase::Waiting(now);
            }
            return;
        }
        if let NodeState::Empty(empty) = &mut self.nodes[to.node].state
            && empty.wanted.is_some_and(|wanted| wanted != store)
        {
            if let Some(old) = empty.old.take() {
                self.start_copying(to.node, old);
            }
            return;
        }
        let Some(fetch) = self.fetching(to.node) else {
            return;
        };
        let at = contents.position();
        if fetch.there.is_some_and(|there| !there.gains_by(store, at)) {
            if let Some(copying) = self.copying(to.node) {
                copying.phase = ReplicaPhase::Waiting(now + Duration::from_secs(1));
            }
            return;
        }
        let asked = StreamRequest {
            protocol: PROTOCOL,
            format: FORMAT,
            store,
            position: contents.position(),
        };
        fetch.spool.clear();
        fetch.step = ReplicaStep::Fetching {
            from,
            store,
            contents,
            done,
        };
        self.ask(to.node, asked.to_path(STREAM), true);
    }

    /// The fetched store takes the place of the old one.
    fn adopt(&mut self, node: usize) -> Result<(), Violation> {
        let now = self.now;
        let gone = NodeState::Down {
            disk: None,
            until: now,
        };
        let (old, before, fetch) = match std::mem::replace(&mut self.nodes[node].state, gone) {
            NodeState::Copying(copying) => {
                if copying.replica_state.progress().streams() > 0 {
                    self.nodes[node].failed_copies = 0;
                }
                let ReplicaPhase::Renewing(fetch) = copying.phase else {
                    return Err("a store is replaced that nobody gave up".to_owned());
                };
                let old = copying.replica_state.into_target();
                if let ReplicaStep::Fetching {
                    store, contents, ..
                } = &fetch.step
                    && *store == old.store.id()
                    && contents.position().epoch == old.store.position().epoch
                    && contents.position().seq <= old.store.position().seq
                {
                    return Err("an older copy takes the place of a store".to_owned());
                }
                (Some(old), OldStore::Contained, fetch)
            }
            NodeState::Empty(empty) => (empty.old, empty.before, empty.fetch),
            _ => return Err("a store is replaced beneath a primary".to_owned()),
        };
        let ReplicaStep::Fetching {
            store, contents, ..
        } = fetch.step
        else {
            return Err("a copy is taken over that is not there".to_owned());
        };
        let new = MemoryStore::adopt(store, MemoryContents::clone(&contents));
        if let Some(old) = old {
            // As `store::adopt` has it.
            let (id, at) = (old.store.id(), old.store.position());
            let has_had =
                id == store && new.lineage(at) == Lineage::Shared && new.position().seq >= at.seq;
            if before == OldStore::Contained && has_had {
                if old.wrote {
                    return Err("a store is removed whose commits may be nowhere else".to_owned());
                }
            } else {
                self.tally.kept += 1;
            }
        }
        self.nodes[node].accepts = None;
        if let Some(name) = fetch.stream {
            self.hang_up(name);
        }
        self.tally.copies += 1;
        self.nodes[node].failed_copies += 1;
        self.say(|| format!("node {node} has a new copy at {}", contents.position()));
        self.start_copying(node, Disk::new(new, true));
        if let Some(copying) = self.copying(node) {
            let applied = copying.replica_state.apply_spool(&fetch.spool[..], || now);
            applied.map_err(|error| format!("a spool cannot be applied: {error}"))?;
        }
        self.after(node, Ok(()))
    }

    /// Checks that a replica that reports to be ready has what its primary had a while ago.
    pub(super) fn expect_honest(&mut self, node: usize) -> Result<(), Violation> {
        let now = self.now;
        let NodeState::Copying(copying) = &self.nodes[node].state else {
            return Ok(());
        };
        if !copying.is_ready(now) {
            return Ok(());
        }
        let Some(life) = copying.heard_of else {
            return Err("a copy that heard of no primary says that it is ready".to_owned());
        };
        self.tally.readies += 1;
        let there = self
            .ledger
            .durable_before(life, now, LAG_MAX + NEWS_TIME_MAX);
        let here = copying.replica_state.position().seq;
        if here < there {
            return Err(format!(
                "a copy at row {here} of {there} says that it is ready"
            ));
        }
        Ok(())
    }
}

fn nobody() -> Disconnect {
    Disconnect::NoAnswer(NoAnswer::Slow("connecting"))
}
