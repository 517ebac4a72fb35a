//! A primary, three replicas, writes without a pause, and whatever can go wrong between them.
//!
//! After each fault it is checked at once that the right thing happened, the steps of an operator are done, and
//! the next one comes. In the end position, history hash and contents of all four are equal, and every
//! acknowledged write is there. In every second cluster a write waits for a replica (`replication.acks = 1`),
//! and clients write even while their primary is replaced. In the others a primary that is replaced may have
//! acknowledged writes that no replica has yet: there the clients pause until the replicas have everything, and
//! are led to a server that may not be the primary once it says that it is not.
//!
//! A failure names its seed: with the same `REVIEWSD_CHAOS_SEED` the same faults come in the same order,
//! while threads and the disk take the time they take. `REVIEWSD_CHAOS_ROUNDS` is the number of faults.
//! If it runs as root, the servers' directories belong to another user, as those of a package do.

mod faults;
mod impostors;
mod load;
mod logs;
mod upkeep;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustix::process::geteuid;
use serde_json::Value;

use self::faults::Trouble;
pub(super) use self::load::Ends;
use self::load::Load;
use super::node::{Node, Setup};
use super::proxy::Proxy;
use super::{Cluster, assert_none_lost, assert_same, catches_up, eventually};
use crate::chance::{Random, number_from_environment, say, seed};
use crate::permissions::{assert_all_is_the_owners, give_to_owner};

/// Faults of the short run.
const ROUNDS: u64 = 4;
/// Faults between two comparisons.
const ROUNDS_OF_A_CLUSTER: u64 = 12;
const MACHINES: [&str; 4] = ["primary", "one", "two", "three"];
const CLIENTS: usize = 4;
/// No fault comes before so many more writes were acknowledged.
const WRITES_MIN: u64 = 40;
/// The lines of each log that a failure shows.
const LINES_SHOWN: usize = 25;

/// Four machines, one of which has the primary, each behind a link of its own.
struct Chaos {
    cluster: Cluster,
    /// The way of each machine to the primary.
    links: [Proxy; 4],
    nodes: [Option<Node>; 4],
    /// The machine that the primary is on.
    primary: usize,
    /// True if a write waits until a replica has it.
    waits: bool,
    /// True if the directories belong to another user than the one who runs commands.
    is_root: bool,
    load: Arc<Load>,
    random: Random,
    /// The seed of a run that begins with this cluster.
    seed: u64,
    faults: Vec<Trouble>,
    bootstraps: usize,
    refetches: usize,
    /// Damaged logs that were refused.
    refused_logs: usize,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut chaos = Self {
            cluster: Cluster::new(),
            links: [0; 4].map(|_| Proxy::start()),
            nodes: [None, None, None, None],
            primary: 0,
            waits: random.one_in(2),
            is_root: geteuid().is_root(),
            load: Arc::default(),
            random,
            seed,
            faults: Vec::new(),
            bootstraps: 0,
            refetches: 0,
            refused_logs: 0,
        };
        let dir = chaos.cluster.dir.path();
        fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
        for path in [dir.to_owned(), chaos.data(0)] {
            chaos.give(&path);
        }
        chaos.make_dir(&chaos.place("backups"));
        for machine in 0..4 {
            chaos.start(machine);
        }
        chaos.resume();
        chaos
    }

    fn data(&self, machine: usize) -> PathBuf {
        self.cluster.data(MACHINES[machine])
    }

    /// A directory beside the data directories.
    fn place(&self, name: &str) -> PathBuf {
        self.cluster.dir.path().join(name)
    }

    /// Gives a directory and all in it to the user that the servers work as.
    fn give(&self, dir: &Path) {
        if self.is_root {
            give_to_owner(dir);
        }
    }

    /// Makes an empty directory of that user.
    fn make_dir(&self, dir: &Path) {
        fs::create_dir(dir).unwrap();
        self.give(dir);
    }

    /// Checks that nothing in a directory, which no process works in, belongs to root.
    fn assert_owned(&self, dir: &Path) {
        if self.is_root {
            assert_all_is_the_owners(dir);
        }
    }

    /// The setup of the server of a machine: as the primary, or as a replica of it.
    fn setup(&self, machine: usize) -> Setup {
        let acks = u8::from(self.waits);
        Setup {
            follow: (machine != self.primary).then(|| self.links[machine].address()),
            // The ring is small, so that streams fall out of it.
            replication: format!("ring = \"32KiB\"\nacks = {acks}\nack_time_max = \"1s\"\n"),
            other: "[writes]\nfree_space_min = \"0\"\n".to_owned(),
            ..self.cluster.primary(MACHINES[machine])
        }
    }

    /// Starts the server of a machine, in a new directory if it has none. Replicas find the primary from
    /// then on; clients do not.
    fn start(&mut self, machine: usize) {
        let data = self.data(machine);
        if !data.exists() {
            self.make_dir(&data);
        }
        let node = Node::start(&self.setup(machine));
        self.put(machine, node);
    }

    fn put(&mut self, machine: usize, node: Node) {
        for replica in self.replicas().filter(|_| machine == self.primary) {
            self.links[replica].lead_to(Some(node.admin()));
        }
        self.nodes[machine] = Some(node);
    }

    /// Ends the server of a machine, by a kill or as an operator does.
    fn end(&mut self, machine: usize, is_killed: bool) {
        let node = self.nodes[machine].take().unwrap();
        self.remember(&node);
        if is_killed {
            node.kill();
        } else {
            node.stop();
        }
        if machine == self.primary {
            self.load.lead_nowhere();
        }
    }

    /// Records the log of a server, when it ends.
    fn remember(&mut self, node: &Node) {
        self.bootstraps += node.said("fetching the store at");
        self.refetches += node.said("replaces the old one");
    }

    fn node(&self, machine: usize) -> &Node {
        self.nodes[machine].as_ref().unwrap()
    }

    /// The machines with replicas.
    fn replicas(&self) -> impl Iterator<Item = usize> + use<> {
        let primary = self.primary;
        (0..4).filter(move |machine| *machine != primary)
    }

    /// Leads clients to the primary.
    fn resume(&self) {
        self.load.lead_to(self.node(self.primary));
    }

    fn start_primary(&mut self) {
        self.start(self.primary);
        self.resume();
    }

    /// Waits until every replica follows and has, durably, all that the primary has by now.
    fn all_follow(&self) {
        let primary = self.place_of(self.primary);
        for machine in self.replicas() {
            let replica = self.node(machine);
            eventually("a replica follows", || {
                replica.status().is_some_and(|own| {
                    own["connected"] == true
                        && own["store"] == primary["store"]
                        && own["epoch"] == primary["epoch"]
                        && own["durable_seq"].as_u64() >= primary["seq"].as_u64()
                })
            });
        }
    }

    /// The store of a machine, and how far it is.
    fn place_of(&self, machine: usize) -> Value {
        let mut status = None;
        eventually("a server has a store", || {
            status = self.node(machine).status();
            status.is_some()
        });
        status.unwrap()
    }

    /// Checks that all is well again: writes are accepted, replicas follow, and no write is lost.
    fn goes_on(&self) {
        self.load.wait_for_more(1);
        self.all_follow();
        let acknowledged = self.load.acknowledged();
        assert_none_lost(self.node(self.primary), &acknowledged);
    }

    /// Waits until all have the same, ends all, and compares. No client may write.
    fn settle(&mut self) {
        for machine in self.replicas() {
            catches_up(self.node(machine), self.node(self.primary));
        }
        let acknowledged = self.load.acknowledged();
        assert_none_lost(self.node(self.primary), &acknowledged);
        let stores = [0, 1, 2, 3].map(|machine| self.data(machine));
        for (machine, data) in stores.iter().enumerate() {
            self.end(machine, false);
            self.assert_owned(data);
        }
        assert_same(&stores.each_ref().map(PathBuf::as_path));
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for (name, node) in MACHINES.iter().zip(&self.nodes) {
            let log = node.as_ref().map_or("(not running)".to_owned(), Node::log);
            let lines: Vec<_> = log.lines().collect();
            let last = lines.len().saturating_sub(LINES_SHOWN);
            say(&format!("{name}:\n{}", lines[last..].join("\n")));
        }
        say(&format!(
            "primary on {}, acks {}, {:?}; REVIEWSD_CHAOS_SEED={} begins with this cluster",
            MACHINES[self.primary],
            u8::from(self.waits),
            self.faults,
            self.seed
        ));
    }
}

#[test]
fn whatever_goes_wrong_all_hold_the_same_in_the_end() {
    let rounds = number_from_environment("REVIEWSD_CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let seed = seed("REVIEWSD_CHAOS_SEED");
    let (mut done, mut writes, mut bootstraps, mut refetches) = (0, 0, 0, 0);
    let mut refused_logs = 0;
    let mut troubles: BTreeMap<Trouble, u64> = BTreeMap::new();
    for generation in 0_u64.. {
        let of_this_cluster = ROUNDS_OF_A_CLUSTER.min(rounds - done);
        if of_this_cluster == 0 {
            break;
        }
        let mut chaos = Chaos::new(seed ^ generation.rotate_left(32));
        let load = Arc::clone(&chaos.load);
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let load = &load;
                scope.spawn(move || load.run(client));
            }
            let _ends = load.ends();
            for _ in 0..of_this_cluster {
                load.wait_for_more(WRITES_MIN);
                chaos.strike();
            }
            load.wait_for_more(WRITES_MIN);
        });
        chaos.settle();
        done += of_this_cluster;
        writes += load.acknowledged().len();
        bootstraps += chaos.bootstraps;
        refetches += chaos.refetches;
        refused_logs += chaos.refused_logs;
        for trouble in &chaos.faults {
            *troubles.entry(*trouble).or_default() += 1;
        }
        if rounds > ROUNDS_OF_A_CLUSTER {
            say(&format!("{done} faults, {writes} acknowledged writes"));
        }
    }
    say(&format!(
        "chaos: {done} faults {troubles:?}, {writes} acknowledged writes, 0 lost; {refused_logs} damaged \
         logs refused; {bootstraps} copies fetched, {refetches} taken over, 0 that differ"
    ));
}
