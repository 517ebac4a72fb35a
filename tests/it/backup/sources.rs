//! Servers that a backup is taken of: a replica, and one that cannot give any.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;

use super::{Yard, contents, end, eventually, is_shipped, position};
use crate::replication::node::{self, Node, Setup};
use crate::support::write_secret;

const TOKEN: &str = "a-token-of-24-characters";

#[test]
fn backup_and_shipping_of_a_replica_are_those_of_its_primary() {
    let yard = Yard::new();
    let token = yard.path("token");
    write_secret(&token, &format!("{TOKEN}\n"));
    let primary = Node::start(&Setup {
        token: Some(token.clone()),
        ..yard.setup()
    });
    primary.fill(3);
    let data = yard.path("replica");
    let replica = Node::start(&Setup {
        data: data.clone(),
        token: Some(token.clone()),
        follow: Some(primary.admin()),
        ..yard.setup()
    });
    // It has no position before it has fetched a store.
    let is_level = || {
        let status = replica.status();
        status.is_some_and(|status| status["seq"] == position(&primary)[1])
    };
    eventually("the replica has everything", is_level);
    let given = format!("replication.token_file={}", token.display());
    yard.backup(&replica, &["--set", &given]);

    let address = format!("http://{}", replica.admin());
    let follower = yard.start(&[
        "backup",
        "--server",
        &address,
        "--to",
        &yard.to,
        "--follow",
        "--set",
        &given,
        "--set",
        "backup.segment_time=100ms",
    ]);
    primary.fill(5);
    eventually("the replica has everything", is_level);
    is_shipped(&replica);
    end(follower);
    // Requests that it refuses: any request without a token, and a stream for a replica.
    let why = yard.refused(&["backup", "--server", &address, "--to", &yard.to]);
    assert!(why.contains("the server has another token"), "{why}");
    let url = format!("{address}/internal/repl/v1/checkpoint");
    let asked = node::agent()
        .get(&url)
        .header("authorization", format!("Bearer {TOKEN}"));
    assert_eq!(asked.call().unwrap().status(), 404);
    replica.stop();
    primary.stop();
    assert_eq!(contents(&data), contents(yard.shop.path()));
    yard.assert_restores("restored");
}

#[test]
fn failed_checkpoint_says_its_cause() {
    let yard = Yard::new();
    let server = yard.serve();
    let checkpoints = yard.shop.path().join("checkpoint");
    let _ = fs::remove_dir_all(&checkpoints);
    fs::write(&checkpoints, "no directory").unwrap();
    let address = format!("http://{}", server.admin());
    let why = yard.refused(&["backup", "--server", &address, "--to", &yard.to]);
    assert!(why.contains(checkpoints.to_str().unwrap()), "{why}");
    assert!(!why.contains("as many"), "{why}");
    fs::remove_file(&checkpoints).unwrap();
    yard.backup(&server, &[]);
    server.stop();
}

#[test]
fn server_with_as_many_backups_as_it_may_have_says_so() {
    let yard = Yard::new();
    let server = yard.serve();
    let url = format!(
        "http://{}/internal/repl/v1/checkpoint?for=backup",
        server.admin()
    );
    let agent = node::agent();
    for _ in 0..2 {
        assert_eq!(agent.get(&url).call().unwrap().status(), 200);
    }
    let address = format!("http://{}", server.admin());
    let why = yard.refused(&["backup", "--server", &address, "--to", &yard.to]);
    assert!(why.contains("the maximum number of backups"), "{why}");
    server.stop();
}

#[test]
fn server_that_takes_its_time_is_waited_for_with_a_word() {
    let yard = Yard::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let mut asking = yard.start(&["backup", "--server", &address, "--to", &yard.to]);
    let (connection, _) = silent.accept().unwrap();
    let mut lines = BufReader::new(asking.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert_eq!(
        line,
        format!("waiting for the server at {address} to make a checkpoint")
    );
    drop((connection, silent));
    assert_eq!(asking.wait().unwrap().code(), Some(1));
    let why = lines.next().unwrap().unwrap();
    assert!(why.contains("does not answer"), "{why}");
}
