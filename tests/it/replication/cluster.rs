//! A real cluster: a primary, three replicas and nginx, each on a machine of its own, with addresses of their
//! own and cables that are pulled out.
//!
//! Invariant: no read that a client sends to nginx ever fails, whatever is lost, as long as one server
//! is there; and in the end all stores are the same.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use super::chaos::Ends;
use super::front::Front;
use super::host::{Host, Switch, within_namespace};
use super::node::{Node, Place, Setup, agent, post, run};
use super::visitor::{Memory, Visitor, Watch, passer_by};
use super::{Cluster, assert_same, catches_up, eventually};
use crate::chance::say;

/// The machines: the first has the first primary.
const NAMES: [&str; 4] = ["primary", "one", "two", "three"];
const VISITORS: usize = 6;
/// The number of further acknowledged writes before the next event.
const WRITES_MIN: u64 = 60;
/// The readers while nginx is reloaded: a passer-by, and a visitor who comes late.
const READERS: u64 = 2;
/// Between two writes of a client.
const PACE: Duration = Duration::from_millis(5);

/// The machines, their servers, and the clients' requests.
struct Farm {
    cluster: Cluster,
    hosts: Vec<Host>,
    nodes: Vec<Option<Node>>,
    /// The index of the primary's host.
    primary: usize,
    replication: &'static str,
    front: Front,
    _edge: Host,
}

impl Farm {
    fn new(switch: &Switch, replication: &'static str) -> Self {
        let hosts: Vec<_> = (1..=4).map(|number| switch.host(number)).collect();
        let edge = switch.host(10);
        let [primary, copies @ ..] = [0, 1, 2, 3].map(|index| api(&hosts[index]));
        let front = Front::start_on(&edge, &copies, primary);
        let mut farm = Self {
            cluster: Cluster::new(),
            hosts,
            nodes: vec![None, None, None, None],
            primary: 0,
            replication,
            front,
            _edge: edge,
        };
        for index in 0..4 {
            farm.start(index);
        }
        for index in 1..4 {
            catches_up(farm.node(index), farm.node(0));
        }
        farm
    }

    /// Starts the server of a machine: as the primary, or following it.
    fn start(&mut self, index: usize) {
        let primary = (self.hosts[self.primary].address, 8081).into();
        let setup = Setup {
            follow: (index != self.primary).then_some(primary),
            replication: self.replication.to_owned(),
            other: "[writes]\nfree_space_min = \"0\"\n".to_owned(),
            place: Some(Place::on(&self.hosts[index])),
            ..self.cluster.primary(NAMES[index])
        };
        let node = Node::start(&setup);
        // Before that, it has no store to answer from.
        node.api();
        self.nodes[index] = Some(node);
    }

    fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().unwrap()
    }

    fn take(&mut self, index: usize) -> Node {
        self.nodes[index].take().unwrap()
    }

    fn has_caught_up(&self, index: usize) {
        catches_up(self.node(index), self.node(self.primary));
    }

    /// Ends all of them when they are where the primary is, and compares them.
    fn compare(mut self) -> Cluster {
        for index in (0..4).filter(|index| *index != self.primary) {
            self.has_caught_up(index);
        }
        for index in 0..4 {
            self.take(index).stop();
        }
        let stores = NAMES.map(|name| self.cluster.data(name));
        assert_same(&stores.each_ref().map(std::path::PathBuf::as_path));
        self.cluster
    }
}

fn api(host: &Host) -> SocketAddr {
    (host.address, 8080).into()
}

#[test]
fn visitors_read_their_writes_while_replicas_come_and_go() {
    let test = "visitors_read_their_writes_while_replicas_come_and_go";
    within_namespace(&format!("replication::cluster::{test}"), |switch| {
        let mut farm = Farm::new(switch, "");
        let (watch, begun) = (Watch::default(), Instant::now());
        let front = farm.front.address();
        thread::scope(|scope| {
            for number in 0..VISITORS {
                let memory = [Memory::Cookie, Memory::Header][number / 3];
                let watch = &watch;
                scope.spawn(move || Visitor::new(front, memory, number, watch).live());
            }
            scope.spawn(|| passer_by(front, &watch));
            // A panic in here must not leave them behind.
            let _ends = Ends(&watch.ends);
            let go_on = || {
                let enough = watch.writes() + WRITES_MIN;
                eventually("visitors write on", || watch.writes() >= enough);
            };
            go_on();
            come_and_go(&mut farm, &go_on);
            go_on();
        });
        // nginx was not reloaded.
        assert_eq!(watch.cut(), 0);
        let requests = farm.front.requests(VISITORS);
        for host in &farm.hosts[1..] {
            let asked = format!("200 {} 200", api(host));
            assert!(
                requests.iter().any(|line| line.ends_with(&asked)),
                "{asked}"
            );
        }
        farm.compare();
        say(&format!(
            "cluster: {} in {:?}",
            watch.say(),
            begun.elapsed()
        ));
    });
}

/// Events of replicas, one after the other.
fn come_and_go(farm: &mut Farm, go_on: &dyn Fn()) {
    farm.take(1).stop();
    go_on();
    farm.start(1);
    farm.take(2).kill();
    go_on();
    farm.start(2);
    // A replica that no machine reaches.
    farm.hosts[3].plug(false);
    go_on();
    farm.hosts[3].plug(true);
    farm.has_caught_up(1);
    farm.has_caught_up(2);
    // One that clients reach, and the primary does not.
    farm.hosts[1].lose(&farm.hosts[0]);
    go_on();
    farm.hosts[1].find(&farm.hosts[0]);
    // None at all: then there is the primary.
    for index in 1..4 {
        farm.take(index).kill();
    }
    go_on();
    for index in 1..4 {
        farm.start(index);
    }
}

/// Writes through nginx until it is to end, and the acknowledged ones of its writes.
struct Writers {
    ends: AtomicBool,
    acknowledged: Mutex<Vec<String>>,
}

impl Writers {
    fn run(&self, front: SocketAddr, client: usize) {
        let agent = agent();
        for number in 0.. {
            if self.ends.load(SeqCst) {
                return;
            }
            let text = format!("cluster {client}-{number}.");
            match post(&agent, front, &text) {
                Some((201, _)) => self.acknowledged.lock().unwrap().push(text),
                // There is no primary, or nginx reloaded its configuration and closed idle connections.
                Some((503, _)) | None => {}
                Some(other) => panic!("{other:?}"),
            }
            // Other threads need the processor, too.
            thread::sleep(PACE);
        }
    }

    fn count(&self) -> u64 {
        self.acknowledged.lock().unwrap().len() as u64
    }

    fn go_on(&self) {
        let enough = self.count() + WRITES_MIN;
        eventually("writes go on", || self.count() >= enough);
    }
}

/// The texts of all that were written.
fn texts(node: &Node) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    for page in 1.. {
        let path = format!("/reviews?product_id=2&sort=newest&count=5000&page={page}");
        let list: serde_json::Value = serde_json::from_str(&node.get(&path).1).unwrap();
        let results = list["results"].as_array().unwrap();
        let bodies = results
            .iter()
            .map(|review| review["body"].as_str().unwrap().to_owned());
        texts.extend(bodies);
        if results.len() < 5000 {
            break;
        }
    }
    texts
}

/// The outcome of a drill.
struct Drilled {
    acknowledged: usize,
    /// The acknowledged reviews that are not there any more.
    lost: Vec<String>,
    cluster: Cluster,
}

/// The drill: the primary dies, the replica that is furthest takes its place, and the old one returns. All the
/// while, clients read. With `is_cut` the primary is cut off from its replicas, and not from clients, for a
/// while before it dies.
fn drill(switch: &Switch, replication: &'static str, is_cut: bool) -> Drilled {
    let mut farm = Farm::new(switch, replication);
    let writers = Writers {
        ends: AtomicBool::new(false),
        acknowledged: Mutex::default(),
    };
    let watch = Watch::default();
    let front = farm.front.address();
    thread::scope(|scope| {
        for client in 0..4 {
            let writers = &writers;
            scope.spawn(move || writers.run(front, client));
        }
        scope.spawn(|| passer_by(front, &watch));
        let (_ends, _readers_end) = (Ends(&writers.ends), Ends(&watch.ends));
        writers.go_on();
        let mut late = Visitor::new(front, Memory::Cookie, 1, &watch);
        if is_cut {
            for index in 1..4 {
                farm.hosts[0].lose(&farm.hosts[index]);
            }
            writers.go_on();
            late.post(0);
        }
        farm.take(0).kill();
        let copies = replace(&mut farm);
        writers.go_on();
        if is_cut {
            loses_what_was_lost(late);
            for index in 1..4 {
                farm.hosts[0].find(&farm.hosts[index]);
            }
        }
        farm.start(0);
        farm.has_caught_up(0);
        let copies = [copies, vec![api(&farm.hosts[0])]].concat();
        farm.front.repoint(&copies, api(&farm.hosts[farm.primary]));
        writers.go_on();
    });
    let written = texts(farm.node(farm.primary));
    let acknowledged = writers.acknowledged.into_inner().unwrap();
    let lost = acknowledged.iter().filter(|text| !written.contains(*text));
    say(&format!("cluster: {}", watch.say()));
    // A reload cuts a connection of a reader's once at most.
    assert!(watch.cut() <= READERS * farm.front.reloads());
    Drilled {
        lost: lost.cloned().collect(),
        acknowledged: acknowledged.len(),
        cluster: farm.compare(),
    }
}

/// Does the steps of an operator when the primary is lost, and returns the replicas that are left.
fn replace(farm: &mut Farm) -> Vec<SocketAddr> {
    // They report their positions themselves, and go on serving.
    let seq = |index: &usize| farm.node(*index).status().unwrap()["seq"].as_u64();
    let furthest = (1..4).max_by_key(seq).unwrap();
    farm.take(furthest).stop();
    let promoted = run("promote", &farm.cluster.data(NAMES[furthest]), &[]);
    assert!(promoted.status.success(), "{promoted:?}");
    farm.primary = furthest;
    farm.start(furthest);
    // First of all there are writes again, and a server to read from while the others are restarted.
    let others: Vec<_> = (1..4).filter(|index| *index != furthest).collect();
    let copies: Vec<_> = others
        .iter()
        .map(|index| api(&farm.hosts[*index]))
        .collect();
    farm.front.repoint(&copies, api(&farm.hosts[furthest]));
    for index in others {
        farm.take(index).stop();
        farm.start(index);
    }
    copies
}

/// A client that saw lost writes gets an error, and a browser goes on.
fn loses_what_was_lost(mut browser: Visitor<'_>) {
    let mut program = browser.who_uses(Memory::Header);
    let seen = program.seen.clone().unwrap();
    let (status, text) = program.try_to_read("/products/1");
    assert_eq!(status, 412, "{text}");
    assert!(
        text.contains(&format!(
            "{seen} of X-Min-Seq was lost when another server became"
        )),
        "{text}"
    );
    assert!(seen.starts_with("1."), "{seen}");
    browser.read("/products/1");
    let seen = browser.seen.unwrap();
    assert!(seen.starts_with("2."), "{seen}");
}

/// The text of the store that an old primary moved aside.
fn kept_aside(cluster: &Cluster) -> BTreeSet<String> {
    let entries = fs::read_dir(cluster.data("primary")).unwrap();
    let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept = names.find(|name| name.starts_with("diverged-")).unwrap();
    let rescued = cluster.data("rescued");
    fs::create_dir(&rescued).unwrap();
    fs::rename(cluster.data("primary").join(kept), rescued.join("store-1")).unwrap();
    symlink("store-1", rescued.join("store")).unwrap();
    texts(&Node::start(&cluster.primary("rescued")))
}

#[test]
fn a_failover_loses_only_unreplicated_writes_and_keeps_them() {
    let test = "a_failover_loses_only_unreplicated_writes_and_keeps_them";
    within_namespace(&format!("replication::cluster::{test}"), |switch| {
        let Drilled {
            acknowledged,
            lost,
            cluster,
        } = drill(switch, "", true);
        // It was cut off for as long as it took to write so much.
        let parted = usize::try_from(WRITES_MIN).unwrap();
        assert!(
            lost.len() >= parted / 2 && lost.len() < acknowledged,
            "{} lost",
            lost.len()
        );
        let kept = kept_aside(&cluster);
        assert!(lost.iter().all(|text| kept.contains(text)), "{lost:?}");
        say(&format!(
            "cluster: {acknowledged} writes, {} lost and kept aside",
            lost.len()
        ));
    });
}

#[test]
fn with_acks_a_primary_that_dies_loses_nothing() {
    let test = "with_acks_a_primary_that_dies_loses_nothing";
    within_namespace(&format!("replication::cluster::{test}"), |switch| {
        let drilled = drill(switch, "acks = 1\n", false);
        assert_eq!(drilled.lost, [""; 0], "of {}", drilled.acknowledged);
        say(&format!(
            "cluster: {} writes, none lost",
            drilled.acknowledged
        ));
    });
}
