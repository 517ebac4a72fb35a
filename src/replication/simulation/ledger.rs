//! The record of what happened, checked against what must never happen.
//!
//! Owns the truth: every position that a primary was at, with a hash of what it held there, and every write
//! that was acknowledged to a client as safe.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::disk::Disk;
use crate::primary::handshake::HandshakeOutcome;
use crate::store::LogPosition;
use crate::store::memory::MemoryContents;
use crate::wire::protocol::{StreamRefusal, StreamRequest};

/// A fault, as a sentence.
pub(super) type Violation = String;

#[derive(Debug, Clone, Copy)]
struct LedgerEntry {
    hash: u64,
    is_durable: bool,
}

#[derive(Default)]
pub(super) struct SimulationLedger {
    positions: HashMap<(u128, LogPosition), LedgerEntry>,
    /// Writes that were acknowledged and must not get lost.
    pub(super) acknowledged: Vec<u64>,
    /// The times up to where each process of a primary was durable.
    durable: BTreeMap<u64, Vec<(Instant, u64)>>,
}

/// The key of the row that a write leaves.
pub(super) fn key_of(write: u64) -> (u32, Vec<u8>) {
    (1, write.to_be_bytes().to_vec())
}

impl SimulationLedger {
    /// A primary is there, visibly or also durably.
    pub(super) fn primary_at(&mut self, disk: &Disk) {
        let (id, contents) = (disk.store.id(), disk.store.contents());
        let at = contents.position();
        let entry = LedgerEntry {
            hash: contents.hash(),
            is_durable: at == disk.store.durable(),
        };
        self.positions.insert((id, at), entry);
    }

    /// A primary made all it has durable, the last of which are these.
    pub(super) fn synced(&mut self, disk: &Disk, unsynced: &[LogPosition]) {
        for at in unsynced {
            if let Some(entry) = self.positions.get_mut(&(disk.store.id(), *at)) {
                entry.is_durable = true;
            }
        }
    }

    /// A process of a primary is durable up to a row.
    pub(super) fn durable_since(&mut self, life: u64, now: Instant, seq: u64) {
        self.durable.entry(life).or_default().push((now, seq));
    }

    /// Returns up to which row it was durable so long ago.
    pub(super) fn durable_before(&self, life: u64, now: Instant, time: Duration) -> u64 {
        let times = self.durable.get(&life).map_or(&[][..], Vec::as_slice);
        let past = times.iter().rev().find(|(at, _)| *at + time <= now);
        past.map_or(0, |(_, seq)| *seq)
    }

    /// A replica is where some primary was, durably, and holds what that held.
    pub(super) fn expect_copy(&self, disk: &Disk) -> Result<(), Violation> {
        let contents = disk.store.contents();
        let at = contents.position();
        let Some(entry) = self.positions.get(&(disk.store.id(), at)) else {
            return Err(format!("a copy is at {at}, where no primary has been"));
        };
        if !entry.is_durable {
            return Err(format!(
                "a copy is at {at}, which no primary has on its disk"
            ));
        }
        if entry.hash != contents.hash() {
            return Err(format!(
                "a copy holds other rows at {at} than its primary did"
            ));
        }
        Ok(())
    }

    /// Asserts that a primary's answer to a position follows from its past.
    pub(super) fn expect_verdict(
        asked: &StreamRequest,
        disk: &Disk,
        log_begins: u64,
        outcome: &HandshakeOutcome,
    ) -> Result<(), Violation> {
        let (store, at) = (&disk.store, asked.position);
        let is_past = store.contents().was_at(at) && at.seq <= store.durable().seq;
        let is_there = at == store.durable() || at.seq >= log_begins;
        // The end of an epoch is known, whatever the log has.
        let is_behind_fork = at.epoch < store.position().epoch
            && (store.contents().end_of(at.epoch)).is_some_and(|end| at.seq > end.seq);
        let is_right = match outcome {
            HandshakeOutcome::AskLog => false,
            HandshakeOutcome::Send => asked.store == store.id() && is_past,
            HandshakeOutcome::Refuse(refusal) => match refusal {
                StreamRefusal::Version { .. } => false,
                StreamRefusal::OtherStore { .. } => asked.store != store.id(),
                StreamRefusal::Later { .. } => at.epoch > store.position().epoch,
                // In a log that went another way there may be no commit that begins at its row.
                StreamRefusal::Gap => !is_behind_fork && (!is_there || !is_past),
                StreamRefusal::Ahead { .. } => !is_past && at.seq > store.durable().seq,
                StreamRefusal::UnknownEpoch | StreamRefusal::Diverged { .. } => !is_past,
            },
        };
        if is_right {
            return Ok(());
        }
        Err(format!(
            "who asks for what follows {at} is answered {outcome:?} by a primary at {}",
            store.durable()
        ))
    }

    /// Forgets the writes that are absent and were allowed to get lost.
    pub(super) fn forget_lost(&mut self, contents: &MemoryContents) {
        let rows = contents.rows();
        self.acknowledged
            .retain(|write| rows.contains_key(&key_of(*write)));
    }

    /// All writes that were acknowledged are there.
    pub(super) fn expect_acknowledged(&self, contents: &MemoryContents) -> Result<(), Violation> {
        let rows = contents.rows();
        let lost = |write: &&u64| !rows.contains_key(&key_of(**write));
        let lost: Vec<_> = self.acknowledged.iter().filter(lost).collect();
        if lost.is_empty() {
            return Ok(());
        }
        Err(format!("acknowledged writes are lost: {lost:?}"))
    }
}
