//! A primary that comes back with another store, or with less: its replicas retain their data.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::node::{Node, Setup, run};
use super::{Cluster, assert_same, catches_up, eventually, is_fenced, is_held};
use crate::support::{copy_tree, shop_dir};

/// The names of the diverged stores.
fn aside(data: &Path) -> Vec<String> {
    let names = fs::read_dir(data).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("diverged-")).collect()
}

#[test]
fn a_replica_outlives_a_primary_that_comes_back_empty() {
    let cluster = Cluster::new();
    let setup = cluster.primary("primary");
    let primary = cluster.start_primary(&setup);
    let replica = Node::start(&cluster.replica("one"));
    primary.fill(5);
    catches_up(&replica, &primary);
    let shown = replica.get("/reviews?product_id=2&count=50");
    primary.stop();

    // Its volume is not mounted.
    let empty = cluster.primary("empty");
    for _ in 0..2 {
        let primary = cluster.start_primary(&empty);
        is_fenced(&primary, "the data directory was empty");
        is_held(&replica, "--accept-store");
        assert_eq!(replica.get("/reviews?product_id=2&count=50"), shown);
        primary.stop();
    }
    // Now it is.
    let primary = cluster.start_primary(&setup);
    primary.fill(2);
    catches_up(&replica, &primary);
    eventually("the replica is ready", || replica.get("/readyz").0 == 200);
    replica.says_times("fetching the store at", 1);
    assert_eq!(aside(&cluster.data("one")), [""; 0]);
    replica.stop();
    primary.stop();
    assert_same(&[&cluster.data("primary"), &cluster.data("one")]);
}

#[test]
fn an_empty_primary_that_is_fenced_judges_no_review() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&Setup {
        other: "[writes]\nunknown_characteristics = \"refuse\"\n".to_owned(),
        ..cluster.primary("empty")
    });
    // Its store has no such product and characteristic, and the right one may.
    let (status, answer) = primary.post("for the right store");
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("writes are fenced"), "{answer}");
}

#[test]
fn a_strangers_store_is_taken_at_an_operators_word_alone() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let setup = cluster.replica("one");
    let replica = Node::start(&setup);
    primary.fill(5);
    catches_up(&replica, &primary);
    let at = replica.status().unwrap();
    primary.kill();
    let shop = shop_dir();
    let stranger = cluster.start_primary(&Setup {
        data: shop.path().to_owned(),
        ..cluster.primary("stranger")
    });
    stranger.fill(1);
    is_held(&replica, "--accept-store");
    // A restart forgets nothing.
    replica.kill();
    let replica = Node::start(&setup);
    is_held(&replica, "--accept-store");
    let id = stranger.status().unwrap()["store"].clone();
    let word = ["--accept-store", id.as_str().unwrap()];
    let said = run("follow", &cluster.data("one"), &word);
    assert!(said.status.success(), "{said:?}");
    catches_up(&replica, &stranger);
    let kept = aside(&cluster.data("one"));
    let name = format!(
        "diverged-{}-{}-{}-{}",
        at["epoch"],
        at["seq"],
        at["chain"].as_str().unwrap(),
        at["store"].as_str().unwrap()
    );
    assert_eq!(kept, [name]);
    assert_eq!(replica.status().unwrap()["kept_aside"], Value::from(kept));
    assert!(!cluster.data("one").join("ACCEPT").exists());
    replica.stop();
    stranger.stop();
    assert_same(&[shop.path(), &cluster.data("one")]);
}

#[test]
fn a_primary_with_less_than_its_replica_takes_no_writes() {
    let cluster = Cluster::new();
    let setup = cluster.primary("primary");
    let primary = cluster.start_primary(&setup);
    let replica = Node::start(&cluster.replica("one"));
    primary.fill(3);
    catches_up(&replica, &primary);
    primary.stop();
    let (data, older) = (cluster.data("primary"), cluster.dir.path().join("older"));
    copy_tree(&data, &older);
    let primary = cluster.start_primary(&setup);
    primary.fill(5);
    catches_up(&replica, &primary);
    let at = replica.status().unwrap();
    primary.stop();
    // It comes back from a snapshot of its disk.
    fs::remove_dir_all(&data).unwrap();
    copy_tree(&older, &data);
    for _ in 0..2 {
        let primary = cluster.start_primary(&setup);
        is_held(&replica, "so it lost writes or is an older one");
        is_fenced(&primary, "so this store lost writes or is an older one");
        assert_eq!(replica.status().unwrap()["chain"], at["chain"]);
        primary.kill();
    }
    // The operator accepts its data.
    let primary = cluster.start_primary(&Setup {
        new: true,
        ..setup.clone()
    });
    primary.fill(1);
    catches_up(&replica, &primary);
    assert_eq!(primary.status().unwrap()["epoch"], Value::from(2));
    let kept = aside(&cluster.data("one"));
    let name = format!("diverged-1-{}-{}", at["seq"], at["chain"].as_str().unwrap());
    assert!(kept.len() == 1 && kept[0].starts_with(&name), "{kept:?}");
    // The flag was for one start.
    primary.stop();
    let primary = cluster.start_primary(&setup);
    primary.fill(1);
    catches_up(&replica, &primary);
    assert_eq!(primary.status().unwrap()["epoch"], Value::from(2));
    replica.stop();
    primary.stop();
    assert_same(&[&cluster.data("primary"), &cluster.data("one")]);
}

#[test]
fn an_old_primary_started_as_it_was_asks_and_takes_no_writes() {
    let cluster = Cluster::new();
    let setup = cluster.primary("primary");
    let primary = cluster.start_primary(&setup);
    let one = cluster.replica("one");
    let first = Node::start(&one);
    let second = Node::start(&cluster.replica("two"));
    primary.fill(5);
    catches_up(&first, &primary);
    catches_up(&second, &primary);
    primary.kill();
    first.stop();
    assert!(run("promote", &cluster.data("one"), &[]).status.success());
    let new = cluster.start_primary(&Setup {
        follow: None,
        ..one
    });
    new.fill(1);
    catches_up(&second, &new);
    // No replica follows it; but one of those that did knows better.
    for is_asked in [true, false] {
        let old = Node::start(&setup);
        is_fenced(&old, "another server is the primary since epoch 2");
        old.kill();
        if is_asked {
            second.signal(rustix::process::Signal::STOP);
        }
    }
    second.signal(rustix::process::Signal::CONT);
    // As a replica of the new one it is as good as any.
    let old = Node::start(&cluster.replica("primary"));
    catches_up(&old, &new);
    old.stop();
    second.stop();
    new.stop();
    let stores = ["primary", "one", "two"].map(|name| cluster.data(name));
    assert_same(&stores.each_ref().map(std::path::PathBuf::as_path));
}

#[test]
fn a_primary_that_was_paused_while_it_was_replaced_is_fenced() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let one = cluster.replica("one");
    let first = Node::start(&one);
    let second = Node::start(&cluster.replica("two"));
    primary.fill(5);
    catches_up(&first, &primary);
    catches_up(&second, &primary);
    primary.signal(rustix::process::Signal::STOP);
    first.stop();
    assert!(run("promote", &cluster.data("one"), &[]).status.success());
    let new = cluster.start_primary(&Setup {
        follow: None,
        ..one
    });
    new.fill(1);
    catches_up(&second, &new);
    primary.signal(rustix::process::Signal::CONT);
    is_fenced(&primary, "another server is the primary since epoch 2");
}

#[test]
fn a_replica_is_not_started_with_new() {
    let cluster = Cluster::new();
    let (code, said) = Node::begin(&Setup {
        other: format!(
            "[replica]\nfollow = \"http://{}\"\n",
            cluster.link.address()
        ),
        new: true,
        ..cluster.primary("one")
    })
    .ended();
    assert_eq!(code, Some(2));
    assert!(said.contains("promote it first"), "{said}");
}
