//! A target that several stores are backed up into: the stores that it accepts, and the one that it restores.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::thread;

use super::{Yard, contents, end, is_shipped, position};
use crate::replication::node::Node;
use crate::support::shop_dir;

/// The id of the store of a server.
fn id(server: &Node) -> String {
    let status = server.status().unwrap();
    status["store"].as_str().unwrap().to_owned()
}

/// Another shop's store, served.
fn stranger(yard: &Yard, data: &Path) -> Node {
    Node::start(&super::Setup {
        data: data.to_owned(),
        ..yard.setup()
    })
}

fn refused(yard: &Yard, server: &Node, more: &[&str]) -> String {
    let server = format!("http://{}", server.admin());
    let args = [&["backup", "--server", &server, "--to", &yard.to], more].concat();
    yard.refused(&args)
}

#[test]
fn another_store_is_refused_until_it_is_accepted() {
    let yard = Yard::new();
    let (server, shop) = (yard.serve(), shop_dir());
    let other = stranger(&yard, shop.path());
    yard.backup(&server, &[]);
    let (own, theirs) = (id(&server), id(&other));
    let before = yard.ids();
    let why = refused(&yard, &other, &["--keep", "1"]);
    for word in [&own, &theirs, &before[0], "--accept-store"] {
        assert!(why.contains(word), "{why}");
    }
    // The id of another store accepts nothing.
    let why = refused(&yard, &other, &["--accept-store", &own]);
    assert!(why.contains("check that this is the right server"), "{why}");
    assert_eq!(yard.ids(), before);
    assert_eq!(yard.objects("pending"), Vec::<std::path::PathBuf>::new());

    let keep = ["--keep", "1"];
    yard.backup(&other, &[&["--accept-store", &theirs][..], &keep].concat());
    yard.backup(&other, &keep);
    assert_eq!(yard.ids().len(), 2, "one of each store");
    let why = refused(&yard, &server, &keep);
    assert!(why.contains(&theirs), "{why}");
    other.stop();
    server.stop();
    assert_eq!(
        contents(&yard.restore("latest", &[])),
        contents(shop.path())
    );
    let own = yard.restore("own", &["--store", &own]);
    assert_eq!(contents(&own), contents(yard.shop.path()));
    let table = yard.said(&["backups", "--in", &yard.to]);
    assert!(table.contains(&theirs), "{table}");
}

#[test]
fn old_primary_is_refused_after_a_failover() {
    let yard = Yard::new();
    let server = yard.serve();
    server.fill(2);
    yard.backup(&server, &[]);
    server.fill(2);
    let lost = position(&server);
    server.stop();
    // Another machine takes its place, in the next epoch.
    let restored = yard.restore("elsewhere", &[]);
    let successor = stranger(&yard, &restored);
    successor.fill(1);
    yard.backup(&successor, &[]);
    assert!(position(&successor)[0].as_u64() > lost[0].as_u64());
    let server = yard.serve();
    let why = refused(&yard, &server, &["--keep", "1"]);
    assert!(
        why.contains("has seen epoch") && why.contains("--accept-store"),
        "{why}"
    );
    assert_eq!(yard.ids().len(), 2);
    successor.stop();
    assert_eq!(contents(&yard.restore("latest", &[])), contents(&restored));
    // The operator decides for the old one.
    let own = id(&server);
    yard.backup(&server, &["--accept-store", &own]);
    yard.backup(&server, &[]);
    server.stop();
    yard.assert_restores("old");
}

#[test]
fn shipping_of_another_store_waits_for_its_acceptance() {
    let yard = Yard::new();
    let (server, shop) = (yard.serve(), shop_dir());
    yard.backup(&server, &[]);
    let other = stranger(&yard, shop.path());
    let mut follower = yard.start_to_follow(&other);
    let theirs = id(&other);
    let mut lines = BufReader::new(follower.stderr.take().unwrap()).lines();
    let why = lines.find(|line| line.as_ref().unwrap().contains("--accept-store"));
    assert!(why.unwrap().unwrap().contains(&theirs));
    // It must not stop at a pipe that is full.
    thread::spawn(move || lines.for_each(drop));
    assert_eq!(yard.ids().len(), 1);
    yard.backup(&other, &["--accept-store", &theirs]);
    other.fill(2);
    is_shipped(&other);
    end(follower);
    other.stop();
    server.stop();
    assert_eq!(
        contents(&yard.restore("latest", &[])),
        contents(shop.path())
    );
}

#[test]
fn bucket_or_host_that_is_misspelt_makes_no_directory() {
    let yard = Yard::new();
    let data = yard.shop.path().to_str().unwrap();
    for to in ["s3:/shop-backups/reviews", "minio:/backups"] {
        let why = yard.misconfigured(&["backup", "--data", data, "--to", to]);
        assert!(why.contains("is not a backup target"), "{why}");
        assert!(!Path::new(to).exists());
    }
}
