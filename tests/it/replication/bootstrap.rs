//! The bootstrap of a replica: under load, interrupted, damaged.

use std::fs::{self, Metadata};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::node::{Node, Setup, agent, post};
use super::proxy::Fault;
use super::{Cluster, assert_same, catches_up, eventually};

fn compare(cluster: &Cluster, primary: Node, replica: Node) {
    replica.stop();
    primary.stop();
    assert_same(&[&cluster.data("primary"), &cluster.data("one")]);
}

#[test]
fn a_bootstrap_under_load_includes_writes_made_meanwhile() {
    let cluster = Cluster::new();
    // So slow that much is written while it is fetched, and there is no ring that would hold it.
    let primary = cluster.start_primary(&Setup {
        replication: "bootstrap_rate = \"128KiB\"\nring = \"64KiB\"\n".to_owned(),
        ..cluster.primary("primary")
    });
    let (api, ends) = (primary.api(), AtomicBool::new(false));
    let replica = thread::scope(|scope| {
        scope.spawn(|| {
            let agent = agent();
            while !ends.load(Ordering::SeqCst) {
                assert_eq!(post(&agent, api, "meanwhile").unwrap().0, 201);
            }
        });
        let replica = Node::start(&cluster.replica("one"));
        eventually("the copy says that it is being fetched", || {
            ["/readyz", "/replication"].iter().all(|path| {
                let (ready, why) = replica.ask(path).unwrap();
                ready == 503 && why.contains("is being fetched")
            })
        });
        replica.says("applied the commits made during the bootstrap");
        replica.api();
        // A repeated request in good order is no warning.
        assert_eq!(replica.said("was rejected"), 0, "{}", replica.log());
        ends.store(true, Ordering::SeqCst);
        replica
    });
    catches_up(&replica, &primary);
    assert!(!cluster.data("one").join("bootstrap").exists());
    compare(&cluster, primary, replica);
}

/// Bytes of the files that make up a store.
fn bytes_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let sizes = entries.map(|entry| entry.and_then(|entry| entry.metadata()));
    // A file may be renamed while it is looked at.
    sizes
        .filter_map(Result::ok)
        .filter(Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

#[test]
fn a_copy_that_is_interrupted_is_fetched_on_from_where_it_was() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&Setup {
        replication: "bootstrap_rate = \"64KiB\"\n".to_owned(),
        ..cluster.primary("primary")
    });
    let all = bytes_of(&cluster.data("primary").join("store"));
    let setup = cluster.replica("one");
    let files = cluster.data("one").join("bootstrap/files");
    let replica = Node::start(&setup);
    eventually("some of it is there", || bytes_of(&files) > all / 4);
    // By the network first, then by the process, which shares nothing with the next but the disk.
    cluster.link.cut();
    replica.says("cannot be fetched");
    eventually("more of it is there", || bytes_of(&files) > all / 2);
    replica.kill();
    let there = bytes_of(&files);
    let sent = cluster.link.bytes();
    let replica = Node::start(&setup);
    catches_up(&replica, &primary);
    let again = cluster.link.bytes() - sent;
    assert!(
        again < all - there / 2,
        "{again} of {all} were sent again, {there} were there"
    );
    compare(&cluster, primary, replica);
}

#[test]
fn a_file_that_is_damaged_on_the_way_is_fetched_again() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let all = bytes_of(&cluster.data("primary").join("store"));
    // Far into the files, behind the list of them.
    let at = usize::try_from(all / 2).unwrap();
    cluster.link.break_once(Fault::FlipInFile(at));
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    assert_eq!(cluster.link.faults(), 1);
    replica.says_times("was damaged in transfer, and is fetched again", 1);
    compare(&cluster, primary, replica);
}

#[test]
fn concurrent_bootstraps_share_one_temporary_checkpoint() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let names = ["one", "two", "three"];
    let replicas = names.map(|name| Node::begin(&cluster.replica(name)));
    for replica in &replicas {
        catches_up(replica, &primary);
    }
    primary.says_times("a checkpoint at", 1);
    let checkpoints = cluster.data("primary").join("checkpoint");
    assert_eq!(fs::read_dir(&checkpoints).unwrap().count(), 1);
    for replica in replicas {
        replica.stop();
    }
    primary.stop();
    let left = fs::read_dir(&checkpoints).map_or(0, Iterator::count);
    assert_eq!(left, 0, "a checkpoint outlives its primary");
}
