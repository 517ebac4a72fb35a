//! The faults there are, and those of links, processes and old logs.

use std::fs;

use super::super::proxy::Fault;
use super::{Chaos, WRITES_MIN};
use crate::chance::Random;

/// A fault of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// A stream ends in the middle.
    CutStream,
    /// A bit of a stream is another.
    FlipBit,
    /// A link lets no byte through.
    Stall,
    KillReplica,
    StopReplica,
    KillPrimary,
    StopPrimary,
    /// A replica needs logs that the primary has no more.
    LoseLogs,
    /// A replica begins with an empty directory.
    NewReplica,
    /// The primary comes back without its store.
    EmptyPrimary,
    /// The primary comes back with an older state of its store.
    OlderPrimary,
    /// A server with another store is at the address that a replica follows.
    Stranger,
    /// A primary was stopped or paused, replaced by a replica, and comes back as it was.
    ReplacedPrimary,
    /// The disk damages the log of a server that was killed.
    DamagedLog,
    /// Root runs commands on a store that is another user's.
    RootsCommands,
    /// Another store, too, is backed up into the same target.
    SharedTarget,
}

const TROUBLES: [Trouble; 16] = [
    Trouble::CutStream,
    Trouble::FlipBit,
    Trouble::Stall,
    Trouble::KillReplica,
    Trouble::StopReplica,
    Trouble::KillPrimary,
    Trouble::StopPrimary,
    Trouble::LoseLogs,
    Trouble::NewReplica,
    Trouble::EmptyPrimary,
    Trouble::OlderPrimary,
    Trouble::Stranger,
    Trouble::ReplacedPrimary,
    Trouble::DamagedLog,
    Trouble::RootsCommands,
    Trouble::SharedTarget,
];

impl Chaos {
    /// Makes a fault happen, checks the consequences, and repairs it.
    pub(super) fn strike(&mut self) {
        let trouble = match TROUBLES[self.random.index(TROUBLES.len())] {
            Trouble::RootsCommands if !self.is_root => Trouble::StopReplica,
            trouble => trouble,
        };
        self.faults.push(trouble);
        // However much chance a fault takes, the next one is the same.
        let mut random = Random::new(self.random.next());
        let replica = self.any_replica(&mut random);
        let bytes = random.index(6000);
        let writes = random.below(WRITES_MIN);
        match trouble {
            Trouble::CutStream => self.links[replica].break_once(Fault::Cut(bytes)),
            Trouble::FlipBit => self.links[replica].break_once(Fault::Flip(bytes)),
            Trouble::Stall => {
                self.links[replica].stall(true);
                self.load.wait_for_more(writes);
                self.links[replica].stall(false);
            }
            Trouble::KillReplica => self.replica_is_away(replica, true, writes),
            Trouble::StopReplica => self.replica_is_away(replica, false, writes),
            Trouble::KillPrimary => self.primary_is_away(true),
            Trouble::StopPrimary => self.primary_is_away(false),
            Trouble::LoseLogs => self.lose_logs(replica, writes),
            Trouble::NewReplica => self.begin_replica_anew(replica),
            Trouble::EmptyPrimary => self.empty_primary(&mut random),
            Trouble::OlderPrimary => self.older_primary(writes, &mut random),
            Trouble::Stranger => self.stranger(replica, writes),
            Trouble::ReplacedPrimary => self.replaced_primary(&mut random),
            Trouble::DamagedLog => self.damaged_log(&mut random),
            Trouble::RootsCommands => self.roots_commands(&mut random),
            Trouble::SharedTarget => self.shared_target(&mut random),
        }
    }

    pub(super) fn any_replica(&self, random: &mut Random) -> usize {
        self.replicas().nth(random.index(3)).unwrap()
    }

    fn replica_is_away(&mut self, replica: usize, is_killed: bool, writes: u64) {
        self.end(replica, is_killed);
        self.load.wait_for_more(writes);
        self.start(replica);
    }

    fn primary_is_away(&mut self, is_killed: bool) {
        self.end(self.primary, is_killed);
        self.start_primary();
    }

    fn lose_logs(&mut self, replica: usize, writes: u64) {
        self.end(replica, false);
        self.load.wait_for_more(writes + 1);
        self.end(self.primary, false);
        self.remove_old_logs();
        self.start_primary();
        self.load.wait_for_more(1);
        self.remove_old_logs();
        self.start(replica);
    }

    fn remove_old_logs(&self) {
        let archive = self.data(self.primary).join("store/archive");
        for log in fs::read_dir(archive).into_iter().flatten() {
            fs::remove_file(log.unwrap().path()).unwrap();
        }
    }

    pub(super) fn begin_replica_anew(&mut self, replica: usize) {
        self.end(replica, true);
        fs::remove_dir_all(self.data(replica)).unwrap();
        self.start(replica);
    }
}
