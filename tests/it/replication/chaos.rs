//! A primary, three replicas, writes without a pause, and whatever can go wrong between them.
//!
//! In the end position, chain and contents of all four are equal, and every acknowledged write is
//! there. A failure names its seed: with the same `REVIEWSD_CHAOS_SEED` the same faults come in the
//! same order, while threads and the disk take the time they take. `REVIEWSD_CHAOS_ROUNDS` is the
//! number of faults.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::node::{Node, Setup, agent, post};
use super::proxy::{Fault, Proxy};
use super::{Cluster, assert_none_lost, assert_same, catches_up, eventually};
use crate::chance::{Random, number_from_environment, say};

/// Faults of the short run.
const ROUNDS: u64 = 12;
/// Faults between two comparisons.
const ROUNDS_OF_A_CLUSTER: u64 = 12;
const REPLICAS: [&str; 3] = ["one", "two", "three"];
const CLIENTS: usize = 4;
/// No fault comes before so many more writes were acknowledged.
const WRITES_MIN: u64 = 40;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    CutStream,
    FlipBit,
    Stall,
    KillReplica,
    StopReplica,
    KillPrimary,
    StopPrimary,
    LoseLogs,
    NewReplica,
}

const TROUBLES: [Trouble; 9] = [
    Trouble::CutStream,
    Trouble::FlipBit,
    Trouble::Stall,
    Trouble::KillReplica,
    Trouble::StopReplica,
    Trouble::KillPrimary,
    Trouble::StopPrimary,
    Trouble::LoseLogs,
    Trouble::NewReplica,
];

/// What the clients share.
struct Load {
    api: Mutex<SocketAddr>,
    ends: AtomicBool,
    acknowledged: Mutex<Vec<String>>,
}

impl Load {
    fn run(&self, client: usize) {
        let agent = agent();
        for number in 0.. {
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            let api = *self.api.lock().unwrap();
            let text = format!("chaos {client}-{number}.");
            match post(&agent, api, &text) {
                Some((201, _)) => self.acknowledged.lock().unwrap().push(text),
                Some((503, _)) => {}
                Some(other) => panic!("{other:?}"),
                // It is gone for a moment; its outcome is unknown.
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn count(&self) -> u64 {
        self.acknowledged.lock().unwrap().len() as u64
    }

    fn wait_for_more(&self, writes: u64) {
        let enough = self.count() + writes;
        eventually("writes go on", || self.count() >= enough);
    }
}

/// One primary and three replicas, each behind a link of its own.
struct Chaos {
    cluster: Cluster,
    links: [Proxy; 3],
    primary: Option<Node>,
    replicas: [Option<Node>; 3],
    random: Random,
    done: BTreeMap<Trouble, u64>,
    bootstraps: usize,
    refetches: usize,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let cluster = Cluster::new();
        let mut chaos = Self {
            cluster,
            links: [0; 3].map(|_| Proxy::start()),
            primary: None,
            replicas: [None, None, None],
            random: Random::new(seed),
            done: BTreeMap::new(),
            bootstraps: 0,
            refetches: 0,
        };
        chaos.start_primary();
        for index in 0..3 {
            chaos.start_replica(index);
        }
        chaos
    }

    fn start_primary(&mut self) {
        let node = Node::start(&Setup {
            // Little, so that streams fall out of it.
            replication: "ring = \"32KiB\"\n".to_owned(),
            other: "[writes]\nfree_space_min = \"0\"\n".to_owned(),
            ..self.cluster.primary("primary")
        });
        for link in &self.links {
            link.lead_to(Some(node.admin()));
        }
        self.primary = Some(node);
    }

    fn start_replica(&mut self, index: usize) {
        let setup = Setup {
            follow: Some(self.links[index].address()),
            ..self.cluster.primary(REPLICAS[index])
        };
        self.replicas[index] = Some(Node::start(&setup));
    }

    /// Remembers what a replica said, when it goes.
    fn take_replica(&mut self, index: usize) -> Node {
        let node = self.replicas[index].take().unwrap();
        self.remember(&node);
        node
    }

    fn remember(&mut self, node: &Node) {
        self.bootstraps += node.said("fetching a copy at");
        self.refetches += node.said("takes the place of the store that was here");
    }

    fn strike(&mut self, load: &Load) {
        let trouble = TROUBLES[self.random.index(TROUBLES.len())];
        let index = self.random.index(3);
        let bytes = self.random.index(6000);
        let writes = self.random.below(WRITES_MIN);
        *self.done.entry(trouble).or_default() += 1;
        match trouble {
            Trouble::CutStream => self.links[index].break_once(Fault::Cut(bytes)),
            Trouble::FlipBit => self.links[index].break_once(Fault::Flip(bytes)),
            Trouble::Stall => {
                self.links[index].stall(true);
                load.wait_for_more(writes);
                self.links[index].stall(false);
            }
            Trouble::KillReplica => {
                self.take_replica(index).kill();
                load.wait_for_more(writes);
                self.start_replica(index);
            }
            Trouble::StopReplica => {
                self.take_replica(index).stop();
                load.wait_for_more(writes);
                self.start_replica(index);
            }
            Trouble::KillPrimary => {
                self.primary.take().unwrap().kill();
                self.restart_primary(load);
            }
            Trouble::StopPrimary => {
                self.primary.take().unwrap().stop();
                self.restart_primary(load);
            }
            Trouble::LoseLogs => {
                self.take_replica(index).stop();
                load.wait_for_more(writes + 1);
                self.primary.take().unwrap().stop();
                let archive = self.cluster.data("primary").join("store/archive");
                for log in fs::read_dir(archive).into_iter().flatten() {
                    fs::remove_file(log.unwrap().path()).unwrap();
                }
                self.restart_primary(load);
                load.wait_for_more(1);
                let archive = self.cluster.data("primary").join("store/archive");
                for log in fs::read_dir(archive).into_iter().flatten() {
                    fs::remove_file(log.unwrap().path()).unwrap();
                }
                self.start_replica(index);
            }
            Trouble::NewReplica => {
                self.take_replica(index).kill();
                fs::remove_dir_all(self.cluster.data(REPLICAS[index])).unwrap();
                self.start_replica(index);
            }
        }
    }

    fn restart_primary(&mut self, load: &Load) {
        self.start_primary();
        *load.api.lock().unwrap() = self.primary.as_ref().unwrap().api();
    }

    /// Heals everything, waits, and compares.
    fn settle(&mut self, acknowledged: &[String]) {
        let primary = self.primary.take().unwrap();
        for index in 0..3 {
            self.links[index].stall(false);
            let replica = self.take_replica(index);
            catches_up(&replica, &primary);
            self.remember(&replica);
            replica.stop();
        }
        assert_none_lost(&primary, acknowledged);
        primary.stop();
        let stores = ["primary", "one", "two", "three"].map(|name| self.cluster.data(name));
        assert_same(&stores.each_ref().map(std::path::PathBuf::as_path));
    }
}

#[test]
fn whatever_goes_wrong_all_hold_the_same_in_the_end() {
    let rounds = number_from_environment("REVIEWSD_CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let seed = number_from_environment("REVIEWSD_CHAOS_SEED");
    let seed = seed.unwrap_or_else(|| getrandom::u64().unwrap());
    say(&format!("REVIEWSD_CHAOS_SEED={seed}"));
    let (mut done, mut writes, mut bootstraps, mut refetches) = (0, 0, 0, 0);
    let mut troubles: BTreeMap<Trouble, u64> = BTreeMap::new();
    for generation in 0_u64.. {
        let of_this_cluster = ROUNDS_OF_A_CLUSTER.min(rounds - done);
        if of_this_cluster == 0 {
            break;
        }
        let mut chaos = Chaos::new(seed ^ generation.rotate_left(32));
        let load = Load {
            api: Mutex::new(chaos.primary.as_ref().unwrap().api()),
            ends: AtomicBool::new(false),
            acknowledged: Mutex::default(),
        };
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let load = &load;
                scope.spawn(move || load.run(client));
            }
            // A panic in here must not leave the clients behind.
            let _ends = Ends(&load.ends);
            for _ in 0..of_this_cluster {
                load.wait_for_more(WRITES_MIN);
                chaos.strike(&load);
            }
            load.wait_for_more(WRITES_MIN);
        });
        let acknowledged = load.acknowledged.into_inner().unwrap();
        chaos.settle(&acknowledged);
        done += of_this_cluster;
        writes += acknowledged.len();
        bootstraps += chaos.bootstraps;
        refetches += chaos.refetches;
        for (trouble, times) in chaos.done {
            *troubles.entry(trouble).or_default() += times;
        }
        if rounds > ROUNDS_OF_A_CLUSTER {
            say(&format!("{done} faults, {writes} acknowledged writes"));
        }
    }
    say(&format!(
        "chaos: {done} faults {troubles:?}, {writes} acknowledged writes, 0 lost; {bootstraps} copies \
         fetched, {refetches} taken over, 0 that differ"
    ));
}

/// Ends the clients when it goes.
pub(super) struct Ends<'a>(pub(super) &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
