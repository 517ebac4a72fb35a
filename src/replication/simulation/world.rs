//! The nodes, the clock, and what happens next.
//!
//! Invariant: everything follows from the seed. Nothing looks at the real clock, and no order depends on
//! anything else.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::copying::{Empty, SimulatedReplica};
use super::disk::Disk;
use super::faults::PieceDamage;
use super::ledger::{SimulationLedger, Violation};
use super::network::{SimulatedAnswer, SimulatedMessage, SimulatedNetwork, SimulatedProcess};
use super::primary::SimulatedPrimary;
use super::random::Random;
use crate::store::Predecessor;
use crate::store::memory::{MemoryContents, MemoryStore};

/// The time for which faults happen.
const FAULTS_TIME: Duration = Duration::from_secs(30);
/// For how much longer there are writes.
const CALM_WRITES_TIME: Duration = Duration::from_secs(2);
/// By then all are the same, or never: the longest wait is a minute, and may come several times.
const CONVERGED_TIME_MAX: Duration = Duration::from_mins(20);
/// More is not done in one instant.
const TURNS_AT_ONCE_MAX: u64 = 10_000;
/// The most events that are remembered.
const TRACE_MAX: usize = 60;

/// The plan of a run, which its seed chooses.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunPlan {
    pub(super) replicas: usize,
    /// True if clients wait for a replica.
    pub(super) acks: bool,
    /// The time whose writes the primary may lose; `None` where it syncs every commit.
    pub(super) loss_time_max: Option<Duration>,
    pub(super) ring_bytes: usize,
    pub(super) piece_bytes: usize,
    /// Commits that the log keeps when it is purged.
    pub(super) log_kept: usize,
    pub(super) spool_bytes: usize,
    pub(super) write_ms: u64,
    pub(super) fault_ms: u64,
    /// True if the network may be slow.
    pub(super) is_slow: bool,
    /// True if nothing ever takes a log, a primary or a store away for good. Then every replica is
    /// fetched once.
    pub(super) is_calm: bool,
}

impl RunPlan {
    fn draw(random: &mut Random) -> Self {
        let is_calm = random.once_in(4);
        Self {
            replicas: random.size(1, 3),
            acks: random.once_in(2),
            loss_time_max: (!random.once_in(3)).then(|| random.time(50, 2000)),
            ring_bytes: random.size(0, 6) * 1000,
            piece_bytes: random.size(100, 3000),
            log_kept: if is_calm {
                usize::MAX
            } else {
                random.size(0, 40)
            },
            spool_bytes: random.size(0, 5) * 2000,
            write_ms: random.below(400) + 20,
            fault_ms: random.below(1500) + 300,
            is_slow: random.once_in(3),
            is_calm,
        }
    }
}

/// Counts of events, for tests that need some to have happened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EventCounts {
    pub(super) writes: u64,
    pub(super) acknowledged: u64,
    pub(super) applied: u64,
    pub(super) copies: u64,
    pub(super) faults: u64,
    pub(super) promotions: u64,
    pub(super) imports: u64,
    pub(super) refusals: u64,
    pub(super) late: u64,
    /// Promotions of a replica that had to have all acknowledged writes.
    pub(super) promises: u64,
    pub(super) kept: u64,
    pub(super) readies: u64,
    /// Replicas that were held, and primaries that were fenced.
    pub(super) held: u64,
    pub(super) fenced: u64,
    /// Primaries that came back empty, and as they were before.
    pub(super) emptied: u64,
    pub(super) aged: u64,
}

/// The role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SimulatedRole {
    Primary,
    /// Follows the process that runs on that node.
    Replica(usize),
}

#[expect(clippy::large_enum_variant, reason = "there are four of them")]
pub(super) enum NodeState {
    /// Nothing runs until then.
    Down {
        disk: Option<Disk>,
        until: Instant,
    },
    Primary(Box<SimulatedPrimary>),
    /// A replica that has a store.
    Copying(Box<SimulatedReplica>),
    /// A replica that serves nothing.
    Empty(Box<Empty>),
}

pub(super) struct SimulatedNode {
    pub(super) life: u64,
    pub(super) role: SimulatedRole,
    pub(super) state: NodeState,
    /// The number of fetched stores in a row that could not be followed from.
    pub(super) failed_copies: u32,
    /// The store that an operator lets it take.
    pub(super) accepts: Option<u128>,
}

impl SimulatedNode {
    /// Returns its disk, as an operator finds it.
    pub(super) fn disk(&self) -> Option<&Disk> {
        match &self.state {
            NodeState::Down { disk, .. } => disk.as_ref(),
            NodeState::Primary(primary) => Some(&primary.disk),
            NodeState::Copying(copying) => Some(copying.replica_state.target()),
            NodeState::Empty(empty) => empty.old.as_ref(),
        }
    }
}

pub(super) struct World {
    pub(super) plan: RunPlan,
    pub(super) random: Random,
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) nodes: Vec<SimulatedNode>,
    pub(super) network: SimulatedNetwork,
    pub(super) ledger: SimulationLedger,
    /// The node that the operator means by the primary.
    pub(super) leader: usize,
    /// The stores that each store replaced.
    pub(super) predecessors: BTreeMap<u128, Vec<Predecessor>>,
    /// The disk of a primary that came back without it, and that primary.
    pub(super) unmounted: Option<(usize, Disk)>,
    /// The leader's store as it was a while ago.
    pub(super) older: Option<(u128, MemoryContents)>,
    pub(super) fault_due: Instant,
    pub(super) writes_end: Instant,
    pub(super) lives: u64,
    pub(super) tally: EventCounts,
    pub(super) is_healed: bool,
    /// Turns without any time between them.
    turns_at_once: u64,
    /// Damage to the next piece.
    pub(super) damage: Option<PieceDamage>,
    /// A piece that comes after the next one of its stream.
    pub(super) delayed: Option<(u64, Vec<u8>)>,
    /// Pieces that were sent, and may come again.
    pub(super) strays: VecDeque<Vec<u8>>,
    /// A number for all that happened, in its order.
    digest: u64,
    trace: Option<VecDeque<String>>,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NextTurn {
    Mail,
    Piece(u64),
    Node(usize),
    Fault,
}

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = RunPlan::draw(&mut random);
        let start = Instant::now();
        let mut world = Self {
            plan,
            random,
            now: start,
            start,
            nodes: Vec::new(),
            network: SimulatedNetwork::default(),
            ledger: SimulationLedger::default(),
            leader: 0,
            predecessors: BTreeMap::new(),
            unmounted: None,
            older: None,
            fault_due: start,
            writes_end: start + FAULTS_TIME + CALM_WRITES_TIME,
            lives: 0,
            tally: EventCounts::default(),
            is_healed: false,
            turns_at_once: 0,
            damage: None,
            delayed: None,
            strays: VecDeque::new(),
            digest: 0,
            trace: is_traced.then(VecDeque::new),
        };
        world.say(|| format!("{plan:?}"));
        let store = MemoryStore::import(u128::from(world.random.next()), 10);
        let mut disk = Some(Disk::new(store, false));
        for number in 0..=plan.replicas {
            let role = match number {
                0 => SimulatedRole::Primary,
                _ => SimulatedRole::Replica(0),
            };
            let state = NodeState::Down {
                disk: disk.take(),
                until: start,
            };
            world.network.cut_until.push(None);
            world.nodes.push(SimulatedNode {
                life: 0,
                role,
                state,
                failed_copies: 0,
                accepts: None,
            });
        }
        world
    }

    /// Runs to the end: what happened, and a number for all of it.
    pub(super) fn run(&mut self) -> Result<(EventCounts, u64), Violation> {
        while self.now < self.start + FAULTS_TIME {
            self.step()?;
        }
        self.heal();
        let limit = self.now + CONVERGED_TIME_MAX;
        while !self.is_converged() {
            self.step()?;
            if self.now > limit {
                return Err(format!(
                    "they never get to be the same: {}",
                    self.whereabouts()
                ));
            }
        }
        self.expect_the_same()?;
        Ok((self.tally, self.digest))
    }

    /// The last events, where they are stored.
    pub(super) fn trace(&self) -> String {
        let lines: Vec<&str> = self.trace.iter().flatten().map(String::as_str).collect();
        lines.join("\n")
    }

    pub(super) fn say(&mut self, what: impl FnOnce() -> String) {
        let at = self.now.saturating_duration_since(self.start);
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACE_MAX {
                trace.pop_front();
            }
            trace.push_back(format!("{:>10.3} s  {}", at.as_secs_f64(), what()));
        }
    }

    fn step(&mut self) -> Result<(), Violation> {
        let (due, turn) = self.next();
        self.turns_at_once = if due > self.now {
            0
        } else {
            self.turns_at_once + 1
        };
        if self.turns_at_once > TURNS_AT_ONCE_MAX {
            return Err(format!("time stands still: {turn:?} again and again"));
        }
        self.now = self.now.max(due);
        let at = self.now.saturating_duration_since(self.start).as_micros();
        let turned = match turn {
            NextTurn::Mail => 1,
            NextTurn::Piece(stream) => 2 + stream,
            NextTurn::Node(node) => 3 + node as u64,
            NextTurn::Fault => 4,
        };
        let digest = self.digest ^ u64::try_from(at).unwrap_or(0) ^ (turned << 48);
        self.digest = digest.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        match turn {
            NextTurn::Mail => match self.network.next_mail() {
                Some(mail) => self.receive(mail),
                None => Ok(()),
            },
            NextTurn::Piece(stream) => self.piece(stream),
            NextTurn::Node(node) => self.turn_of(node),
            NextTurn::Fault => self.strike(),
        }
    }

    fn next(&self) -> (Instant, NextTurn) {
        let mail = self.network.mail_due().map(|due| (due, NextTurn::Mail));
        let piece = self.network.piece_due();
        let piece = piece.map(|(due, stream)| (due, NextTurn::Piece(stream)));
        let nodes = (0..self.nodes.len()).map(|node| (self.due_of(node), NextTurn::Node(node)));
        let fault = (self.fault_due, NextTurn::Fault);
        let others = [mail, piece, Some(fault)].into_iter().flatten();
        nodes.chain(others).min().unwrap_or(fault)
    }

    fn due_of(&self, node: usize) -> Instant {
        match &self.nodes[node].state {
            NodeState::Down { until, .. } => *until,
            NodeState::Primary(primary) => primary.due(),
            NodeState::Copying(copying) => copying.due(self.now),
            NodeState::Empty(empty) => empty.fetch.due(),
        }
    }

    fn turn_of(&mut self, node: usize) -> Result<(), Violation> {
        match &self.nodes[node].state {
            NodeState::Down { .. } => self.start(node),
            NodeState::Primary(_) => self.lead(node),
            NodeState::Copying(_) => self.copy(node),
            NodeState::Empty(_) => self.fetch(node),
        }
    }

    fn receive(&mut self, mail: SimulatedMessage) -> Result<(), Violation> {
        match mail {
            SimulatedMessage::Ask {
                to,
                from,
                path,
                is_spool,
            } => self.asked(to, from, &path, is_spool),
            SimulatedMessage::Answer {
                to,
                answer,
                is_spool,
            } => self.answered(to, answer, is_spool),
            SimulatedMessage::WantCopy { to, from, there } => {
                self.wanted(to, from, there);
                Ok(())
            }
            SimulatedMessage::Copy {
                to,
                from,
                store,
                contents,
            } => {
                self.copy_comes(to, from, store, contents);
                Ok(())
            }
            SimulatedMessage::Ack { to, ack } => {
                self.acknowledged(to, ack);
                Ok(())
            }
            SimulatedMessage::HungUp { stream } => {
                self.network.streams.remove(&stream);
                Ok(())
            }
            SimulatedMessage::Accept { node, store } => {
                self.nodes[node].accepts = Some(store);
                Ok(())
            }
            SimulatedMessage::Anew { node } => {
                self.begin_anew(node);
                Ok(())
            }
            SimulatedMessage::GiveBack { node } => {
                self.give_back(node);
                Ok(())
            }
            SimulatedMessage::Order { node, follow } => {
                self.follow_from_now_on(node, follow);
                Ok(())
            }
        }
    }

    /// Something comes after a time, mostly a short one.
    pub(super) fn soon(&mut self) -> Instant {
        let time = if self.plan.is_slow && self.random.once_in(20) {
            self.random.time(10, 1500)
        } else {
            self.random.time(0, 3)
        };
        self.now + time
    }

    pub(super) fn process(&self, node: usize) -> SimulatedProcess {
        let life = self.nodes[node].life;
        SimulatedProcess { node, life }
    }

    /// True if a process still runs.
    pub(super) fn lives(&self, process: SimulatedProcess) -> bool {
        let node = &self.nodes[process.node];
        node.life == process.life && !matches!(node.state, NodeState::Down { .. })
    }

    /// Starts what is to run on a node.
    fn start(&mut self, node: usize) -> Result<(), Violation> {
        self.lives += 1;
        let (life, now) = (self.lives, self.now);
        let of = &mut self.nodes[node];
        of.life = life;
        let NodeState::Down { disk, .. } = &mut of.state else {
            return Ok(());
        };
        let disk = disk.take();
        let role = of.role;
        self.say(|| format!("node {node} starts as {role:?}"));
        match (role, disk) {
            (SimulatedRole::Primary, Some(disk)) => self.start_primary(node, disk),
            (SimulatedRole::Primary, None) => return Err("a primary has no store".to_owned()),
            (SimulatedRole::Replica(_), Some(disk)) => self.start_copying(node, disk),
            (SimulatedRole::Replica(_), None) => {
                self.nodes[node].state = NodeState::Empty(Box::new(Empty::new(None, now)));
            }
        }
        Ok(())
    }

    /// Ends what runs on a node, with or without power; it starts again later.
    pub(super) fn end(&mut self, node: usize, with_power: bool, pause: Duration) {
        let process = self.process(node);
        self.say(|| format!("node {node} ends, with power: {with_power}"));
        let gone = NodeState::Down {
            disk: None,
            until: self.now,
        };
        let (streams, was_primary) = match &self.nodes[node].state {
            NodeState::Copying(copying) => (copying.replica_state.progress().streams(), false),
            NodeState::Primary(_) => (0, true),
            NodeState::Down { .. } | NodeState::Empty(_) => (0, false),
        };
        let mut disk = match std::mem::replace(&mut self.nodes[node].state, gone) {
            NodeState::Down { disk, .. } => disk,
            NodeState::Primary(primary) => Some(primary.disk),
            NodeState::Copying(copying) => Some(copying.replica_state.into_target()),
            NodeState::Empty(empty) => empty.old,
        };
        if streams > 0 {
            self.nodes[node].failed_copies = 0;
        }
        if let Some(disk) = &mut disk {
            disk.fails = false;
            if with_power {
                // Unsynced bytes are in the page cache, and are read and synced by the next process.
                let at = disk.store.durable();
                disk.store.sync();
                if was_primary {
                    let synced = disk.store.contents().positions_behind(at);
                    self.ledger.synced(disk, &synced);
                }
            } else {
                disk.store.crash();
            }
        }
        self.network.end_of(process, with_power);
        self.nodes[node].state = NodeState::Down {
            disk,
            until: self.now + pause,
        };
    }

    /// Answers a request after a while.
    pub(super) fn answer(&mut self, to: SimulatedProcess, answer: SimulatedAnswer, is_spool: bool) {
        let due = self.soon();
        self.network.send(
            due,
            SimulatedMessage::Answer {
                to,
                answer,
                is_spool,
            },
        );
    }

    fn is_converged(&self) -> bool {
        let leader = match &self.nodes[self.leader].state {
            NodeState::Primary(primary) => &primary.disk.store,
            _ => return false,
        };
        let end = leader.position();
        self.now >= self.writes_end
            && leader.durable() == end
            && (0..self.nodes.len())
                .filter(|node| *node != self.leader)
                .all(|node| match &self.nodes[node].state {
                    NodeState::Copying(copying) => {
                        let disk = copying.replica_state.target();
                        copying.is_following()
                            && disk.store.id() == leader.id()
                            && disk.store.durable() == end
                            && copying.is_ready(self.now)
                    }
                    _ => false,
                })
    }

    fn expect_the_same(&self) -> Result<(), Violation> {
        let Some(leader) = self.nodes[self.leader].disk() else {
            return Err("there is no primary".to_owned());
        };
        let rows = leader.store.contents().rows();
        for (number, node) in self.nodes.iter().enumerate() {
            let same = node
                .disk()
                .is_some_and(|disk| disk.store.contents().rows() == rows);
            if !same {
                return Err(format!("node {number} holds other rows than the primary"));
            }
        }
        self.ledger.expect_acknowledged(leader.store.contents())?;
        let once = self.plan.replicas as u64;
        if self.plan.is_calm && self.tally.copies != once {
            let copies = self.tally.copies;
            return Err(format!(
                "{copies} copies were fetched, and {once} were needed"
            ));
        }
        Ok(())
    }

    fn whereabouts(&self) -> String {
        let mut words = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let state = match &node.state {
                NodeState::Down { .. } => "down",
                NodeState::Primary(_) => "primary",
                NodeState::Copying(_) => "copy",
                NodeState::Empty(_) => "without a store",
            };
            let at = node.disk().map(|disk| disk.store.position().to_string());
            words.push(format!("{number} is {state} at {at:?}"));
        }
        words.join(", ")
    }
}
