//! The faults: of power, processes, disks and the network, and the acts of operators.

use std::time::{Duration, Instant};

use super::disk::Disk;
use super::ledger::Violation;
use super::network::SimulatedMessage;
use super::world::{NodeState, SimulatedRole, World};
use crate::primary::stream_writer::write_batch;
use crate::store::memory::{CommitBytes, MemoryStore};
use crate::store::{Fence, LogPosition, Predecessor};
use crate::wire::frame::{Decoder, Frame};

/// Damage to the next piece that is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum PieceDamage {
    /// One bit is another.
    Flip,
    /// It goes missing, and what follows does not.
    Drop,
    /// It comes twice.
    Repeat,
    /// It comes after the next one.
    Delay,
    /// A piece of any other stream comes before it.
    Splice,
    /// Adds a commit that another primary might have written at the same row.
    Forge,
    /// It comes in part, and then the stream ends.
    Cut,
}

const HARMS: [PieceDamage; 7] = [
    PieceDamage::Flip,
    PieceDamage::Drop,
    PieceDamage::Repeat,
    PieceDamage::Delay,
    PieceDamage::Splice,
    PieceDamage::Forge,
    PieceDamage::Cut,
];

/// Pieces that may come where they do not belong.
const STRAYS_MAX: usize = 16;

/// A piece with a commit more in it, of the same row as the next one, but behind another position: one
/// of an earlier epoch, or one that other commits led to.
fn forged(piece: &[u8], is_earlier: bool) -> Vec<u8> {
    let mut decoder = Decoder::default();
    decoder.push(piece);
    let (mut out, mut epoch_before) = (Vec::new(), None);
    let mut is_forged = false;
    while let Ok(Some(frame)) = decoder.next_frame() {
        if let Frame::Batch {
            store,
            epoch,
            first,
            chain_before,
            ..
        } = frame
        {
            // The first commit of an epoch does belong behind a position of the one before.
            let is_within = epoch_before == Some(epoch);
            if !is_forged && (is_within || !is_earlier) {
                let before = LogPosition {
                    epoch: epoch - u64::from(is_earlier),
                    seq: first - 1,
                    chain: chain_before ^ u64::from(!is_earlier),
                };
                forge(store, before, &mut out);
                is_forged = true;
            }
            epoch_before = Some(epoch);
        }
        frame.write(&mut out);
    }
    out
}

fn forge(store: u128, before: LogPosition, out: &mut Vec<u8>) {
    let mut writing = CommitBytes::begin(before, before.epoch);
    writing.put(3, b"forged", b"");
    let seq = before.seq + 2;
    write_batch(
        store,
        before,
        LogPosition { seq, ..before },
        &writing.end(),
        out,
    );
}

impl World {
    /// Puts a piece on its way, and does it the damage that is due.
    pub(super) fn put(&mut self, name: u64, mut piece: Vec<u8>) {
        let due = self.soon();
        let (network, random) = (&mut self.network, &mut self.random);
        if self.strays.len() == STRAYS_MAX {
            self.strays.pop_front();
        }
        self.strays.push_back(piece.clone());
        let Some(damage) = self.damage.take() else {
            network.put(name, piece, due, random);
            if let Some(delayed) = self.delayed.take().filter(|(of, _)| *of == name) {
                network.put(name, delayed.1, due, random);
            }
            return;
        };
        match damage {
            PieceDamage::Drop => {}
            PieceDamage::Delay => self.delayed = Some((name, piece)),
            PieceDamage::Flip => {
                let at = random.index(piece.len());
                piece[at] ^= 1 << random.below(8);
                network.put(name, piece, due, random);
            }
            PieceDamage::Repeat => {
                network.put(name, piece.clone(), due, random);
                network.put(name, piece, due, random);
            }
            PieceDamage::Splice => {
                let stray = self.strays[random.index(self.strays.len())].clone();
                network.put(name, stray, due, random);
                network.put(name, piece, due, random);
            }
            PieceDamage::Forge => {
                let forged = forged(&piece, random.once_in(2));
                network.put(name, forged, due, random);
            }
            PieceDamage::Cut => {
                piece.truncate(random.index(piece.len()));
                network.put(name, piece, due, random);
                if let Some(stream) = network.streams.get_mut(&name) {
                    stream.is_ended = true;
                }
            }
        }
    }

    /// Something goes wrong.
    pub(super) fn strike(&mut self) -> Result<(), Violation> {
        let pause = self.plan.fault_ms;
        self.fault_due = self.now + self.random.time(0, pause * 2);
        for node in 0..self.nodes.len() {
            self.expect_honest(node)?;
        }
        if self.is_healed {
            return Ok(());
        }
        self.tally.faults += 1;
        let node = self.random.index(self.nodes.len());
        let pause = self.random.time(0, 3000);
        match self.random.below(if self.plan.is_calm { 12 } else { 24 }) {
            0..=1 => {
                let with_power = self.random.once_in(2);
                self.end(node, with_power, pause);
            }
            2 => {
                let with_power = self.random.once_in(2);
                self.end(self.leader, with_power, pause);
            }
            3..=6 => {
                let damage = HARMS[self.random.index(HARMS.len())];
                self.say(|| format!("the next piece comes to harm: {damage:?}"));
                self.damage = Some(damage);
            }
            7..=8 => {
                let time = self.random.time(0, 12_000);
                self.say(|| format!("node {node} is cut off for {time:?}"));
                self.network.cut_until[node] = Some(self.now + time);
            }
            9 => {
                if let NodeState::Copying(copying) = &mut self.nodes[node].state {
                    copying.replica_state.target_mut().fails = true;
                    self.say(|| format!("the disk of node {node} is full"));
                }
            }
            10..=11 => {
                for _ in 0..self.random.size(1, 30) {
                    self.write(self.leader);
                }
                self.pump(self.leader)?;
            }
            12..=15 => {
                let kept = self.plan.log_kept;
                let leader = self.leader;
                if let NodeState::Primary(primary) = &mut self.nodes[leader].state {
                    primary.disk.store.purge(kept);
                    self.say(|| format!("the log of node {leader} is purged"));
                }
            }
            16..=17 => self.fail_over()?,
            18 => self.promote_another(node),
            19 => self.mislead(node),
            20 => self.lose_disk(),
            21..=22 => self.age(),
            _ => self.import(),
        }
        Ok(())
    }

    /// The primary is lost, and the replica that is furthest takes its place.
    fn fail_over(&mut self) -> Result<(), Violation> {
        let lost = self.leader;
        if self.unmounted.is_some() {
            return Ok(());
        }
        let Some(store) = self.nodes[lost].disk().map(|disk| disk.store.id()) else {
            return Ok(());
        };
        let power = self.random.once_in(2);
        let away = self.random.time(100, 8000);
        self.end(lost, power, away);
        for node in 0..self.nodes.len() {
            if node != lost && self.random.once_in(3) {
                self.end(node, false, Duration::from_secs(1));
            }
        }
        let others = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(node, _)| *node != lost);
        let disks = others.filter_map(|(node, of)| Some((node, of.disk()?)));
        let disks: Vec<_> = disks.filter(|(_, disk)| disk.store.id() == store).collect();
        // An operator who reads the positions on their disks sees which is furthest.
        let furthest = disks.iter().max_by_key(|(_, disk)| {
            let at = disk.store.durable();
            (at.epoch, at.seq)
        });
        let Some((chosen, _)) = furthest else {
            return Ok(());
        };
        let chosen = *chosen;
        // With diverged stores the position does not show which replica has the most.
        let of_lost = self.nodes[lost].disk().map(|disk| disk.store.contents());
        let was_there = |at| of_lost.is_some_and(|contents| contents.was_at(at));
        let is_kept = disks
            .iter()
            .all(|(_, disk)| was_there(disk.store.durable()));
        let epoch = self.nodes.iter().filter_map(|node| node.disk());
        let epoch = epoch.filter(|disk| disk.store.id() == store);
        let epoch = epoch.map(|disk| disk.store.position().epoch).max();
        self.end(chosen, false, Duration::ZERO);
        if let Some(disk) = self.nodes[chosen].disk() {
            let contents = disk.store.contents();
            if is_kept {
                self.tally.promises += u64::from(!self.ledger.acknowledged.is_empty());
                self.ledger.expect_acknowledged(contents)?;
            } else {
                self.ledger.forget_lost(contents);
            }
        }
        self.promote(chosen, epoch.unwrap_or(1));
        self.leader = chosen;
        for node in 0..self.nodes.len() {
            if node == chosen || self.nodes[node].role == SimulatedRole::Primary {
                continue;
            }
            if self.random.once_in(6) {
                let due = self.now + self.random.time(100, 8000);
                self.order(due, node, chosen);
            } else {
                self.nodes[node].role = SimulatedRole::Replica(chosen);
            }
        }
        // The old one returns as a replica, or as what it was until the operator notices.
        if self.random.once_in(2) {
            let notice = self.random.time(1000, 15_000);
            let (early, late) = (self.now + notice / 3, self.now + notice);
            for node in (0..self.nodes.len()).filter(|node| ![lost, chosen].contains(node)) {
                self.order(early, node, lost);
                self.order(late, node, chosen);
            }
            self.order(late, lost, chosen);
        } else {
            self.follow_from_now_on(lost, chosen);
        }
        Ok(())
    }

    /// Has a node follow another from some time on.
    fn order(&mut self, due: Instant, node: usize, follow: usize) {
        self.network
            .send(due, SimulatedMessage::Order { node, follow });
    }

    /// Makes what is on a node that is down a primary, of an epoch that is none of those before.
    fn promote(&mut self, node: usize, epoch: u64) {
        let NodeState::Down {
            disk: Some(disk),
            until,
        } = &mut self.nodes[node].state
        else {
            return;
        };
        *until = self.now;
        disk.follows = false;
        disk.wrote = true;
        disk.fence = None;
        disk.store.open(0);
        loop {
            disk.store.begin_epoch(self.random.next());
            self.ledger.primary_at(disk);
            if disk.store.position().epoch > epoch {
                break;
            }
        }
        let at = disk.store.position();
        self.nodes[node].role = SimulatedRole::Primary;
        self.tally.promotions += 1;
        self.say(|| format!("node {node} is promoted: {at}"));
    }

    /// A second replica is promoted beside the primary, by mistake, for a while.
    fn promote_another(&mut self, node: usize) {
        let leader = self.leader;
        let is_free = matches!(self.nodes[node].role, SimulatedRole::Replica(_));
        if node == leader || !is_free || self.nodes[node].disk().is_none() {
            return;
        }
        let leads = self.nodes[leader].disk();
        let at = leads.map(|disk| (disk.store.id(), disk.store.position().epoch));
        let own = self.nodes[node].disk();
        let own = own.map(|disk| (disk.store.id(), disk.store.position().epoch));
        // As if it were promoted at the same time as the one that leads, or never again.
        if at
            .zip(own)
            .is_none_or(|(at, own)| at.0 == own.0 && own.1 >= at.1)
        {
            return;
        }
        self.end(node, true, Duration::ZERO);
        self.promote(node, 0);
        let due = self.now + self.random.time(100, 6000);
        self.order(due, node, leader);
    }

    /// The operator has a node follow another, if that still leads.
    pub(super) fn follow_from_now_on(&mut self, node: usize, follow: usize) {
        if node == self.leader {
            return;
        }
        let is_over = self.is_healed || follow == node;
        let follow = if is_over { self.leader } else { follow };
        let role = SimulatedRole::Replica(follow);
        if std::mem::replace(&mut self.nodes[node].role, role) == role {
            return;
        }
        self.say(|| format!("node {node} is to follow node {follow}"));
        let pause = match &self.nodes[node].state {
            NodeState::Down { until, .. } => until.saturating_duration_since(self.now),
            _ => Duration::ZERO,
        };
        self.end(node, true, pause);
    }

    /// A replica is told of another primary than the one that leads, for a while.
    fn mislead(&mut self, node: usize) {
        let other = self.random.index(self.nodes.len());
        if let SimulatedRole::Replica(_) = self.nodes[node].role
            && other != node
        {
            self.say(|| format!("node {node} is to follow node {other}, by mistake"));
            self.end(node, true, Duration::ZERO);
            self.nodes[node].role = SimulatedRole::Replica(other);
            let due = self.now + self.random.time(100, 8000);
            self.order(due, node, self.leader);
        }
    }

    /// The primary gets another store.
    fn import(&mut self) {
        let leader = self.leader;
        if self.unmounted.is_some() {
            return;
        }
        let pause = self.random.time(0, 500);
        self.end(leader, true, pause);
        let id = u128::from(self.random.next());
        let first = self.random.below(200);
        let before = self.nodes[leader].disk().map(|disk| {
            let at = disk.store.position();
            let mut all = vec![Predecessor {
                store_id: disk.store.id(),
                epoch: at.epoch,
                seq: at.seq,
            }];
            let earlier = self.predecessors.get(&disk.store.id());
            all.extend(earlier.into_iter().flatten().take(2));
            all
        });
        self.predecessors.insert(id, before.unwrap_or_default());
        if let NodeState::Down { disk, .. } = &mut self.nodes[leader].state {
            let new = Disk::new(MemoryStore::import(id, first), false);
            self.ledger.primary_at(&new);
            *disk = Some(new);
        }
        self.ledger.acknowledged.clear();
        self.tally.imports += 1;
        self.say(|| format!("node {leader} has a new store"));
    }

    /// The primary comes back without its disk, on one that is empty, until the operator notices.
    fn lose_disk(&mut self) {
        let leader = self.leader;
        if self.unmounted.is_some() {
            return;
        }
        let with_power = self.random.once_in(2);
        self.end(leader, with_power, Duration::ZERO);
        let id = u128::from(self.random.next());
        let NodeState::Down { disk, .. } = &mut self.nodes[leader].state else {
            return;
        };
        let mut empty = Disk::new(MemoryStore::import(id, 0), false);
        // It knows that there are replicas.
        empty.fence = Some(Fence::Empty);
        self.ledger.primary_at(&empty);
        if let Some(lost) = disk.replace(empty) {
            self.unmounted = Some((leader, lost));
        }
        self.tally.emptied += 1;
        self.say(|| format!("node {leader} starts without its disk"));
        let due = self.now + self.random.time(500, 12_000);
        self.network
            .send(due, SimulatedMessage::GiveBack { node: leader });
    }

    /// The operator noticed.
    pub(super) fn give_back(&mut self, node: usize) {
        let Some((_, lost)) = self.unmounted.take_if(|(of, _)| *of == node) else {
            return;
        };
        self.end(node, true, Duration::ZERO);
        if let NodeState::Down { disk, .. } = &mut self.nodes[node].state {
            *disk = Some(lost);
        }
        self.say(|| format!("node {node} has its disk again"));
        self.network.send(self.now, SimulatedMessage::Anew { node });
    }

    /// The primary's store is moved aside as it is, or comes back as it was then.
    fn age(&mut self) {
        let leader = self.leader;
        let disk = self.nodes[leader].disk();
        let Some(disk) = disk.filter(|_| self.unmounted.is_none()) else {
            return;
        };
        let id = disk.store.id();
        let older = self.older.take_if(|(of, contents)| {
            *of == id && disk.store.contents().was_at(contents.position())
        });
        let Some((_, contents)) = older else {
            if disk.store.position() == disk.store.durable() {
                self.older = Some((id, disk.store.contents().clone()));
            }
            return;
        };
        self.end(leader, true, Duration::ZERO);
        if let NodeState::Down { disk, .. } = &mut self.nodes[leader].state {
            self.ledger.forget_lost(&contents);
            let follows = disk.as_ref().is_some_and(|disk| disk.follows);
            *disk = Some(Disk::new(MemoryStore::adopt(id, contents), follows));
        }
        self.tally.aged += 1;
        self.say(|| format!("node {leader} is as it was before"));
    }

    /// The operator says that what the primary has counts, if it still leads.
    pub(super) fn begin_anew(&mut self, node: usize) {
        let is_stopped = self.nodes[node].disk().and_then(|disk| disk.fence);
        let is_right = node == self.leader && self.unmounted.is_none();
        let Some(fence) = is_stopped.filter(|_| is_right) else {
            return;
        };
        self.end(node, true, Duration::ZERO);
        self.promote(node, fence.epoch());
        self.say(|| format!("node {node} is started with --new"));
    }

    /// Nothing goes wrong any more, and every replica follows the one that leads.
    pub(super) fn heal(&mut self) {
        self.say(|| "nothing goes wrong any more".to_owned());
        self.is_healed = true;
        self.damage = None;
        self.delayed = None;
        self.network.cut_until.fill(None);
        // One that lost a piece waits for it as long as it lasts, if nothing else comes.
        for stream in self.network.streams.values_mut() {
            stream.is_ended = true;
        }
        let leader = self.leader;
        self.give_back(leader);
        for node in 0..self.nodes.len() {
            if node == leader {
                continue;
            }
            self.give_back(node);
            self.follow_from_now_on(node, leader);
            match &mut self.nodes[node].state {
                NodeState::Down { until, .. } => *until = self.now,
                NodeState::Copying(copying) => copying.replica_state.target_mut().fails = false,
                NodeState::Primary(_) | NodeState::Empty(_) => {}
            }
        }
        if let NodeState::Down { until, .. } = &mut self.nodes[leader].state {
            *until = self.now;
        }
        self.network
            .send(self.now, SimulatedMessage::Anew { node: leader });
    }
}
