//! A primary whose replicas prove a role by a token of the admin API.

use std::path::Path;

use super::node::{Node, Setup, run_program};
use super::{Cluster, assert_same, catches_up, eventually};
use crate::support::write_secret;

/// Adds a token to a file; returns it.
fn add(file: &Path, name: &str, role: &str) -> String {
    let args = ["token", "add", "--name", name, "--role", role, "--file"];
    let done = run_program(&[&args[..], &[file.to_str().unwrap()]].concat());
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_replica_follows_with_a_token_of_its_role() {
    let cluster = Cluster::new();
    let tokens = cluster.dir.path().join("tokens");
    let (right, wrong) = (
        add(&tokens, "one", "replica"),
        add(&tokens, "two", "moderator"),
    );
    let admin = format!("[admin]\ntokens_file = \"{}\"\n", tokens.display());
    let primary = cluster.start_primary(&Setup {
        token: None,
        other: admin,
        ..cluster.primary("primary")
    });
    let replica = |name: &str, token: &str| {
        let file = cluster.dir.path().join(format!("{name}.token"));
        write_secret(&file, token);
        Node::start(&Setup {
            token: Some(file),
            ..cluster.replica(name)
        })
    };
    let refused = replica("two", &wrong);
    refused.says("the primary has another token");
    let replica = replica("one", &right);
    primary.fill(5);
    catches_up(&replica, &primary);
    // The primary remembers it, as one that knows the secret.
    let file = cluster.data("primary").join("REPLICAS");
    eventually("the replica is remembered", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains(&replica.admin().to_string()))
    });
    replica.stop();
    refused.stop();
    primary.stop();
    assert_same(&[&cluster.data("primary"), &cluster.data("one")]);
}

#[test]
fn the_secret_of_replicas_works_beside_tokens() {
    let cluster = Cluster::new();
    let tokens = cluster.dir.path().join("tokens");
    add(&tokens, "ana", "moderator");
    let setup = cluster.primary("primary");
    let primary = cluster.start_primary(&Setup {
        other: format!("[admin]\ntokens_file = \"{}\"\n", tokens.display()),
        ..setup
    });
    let replica = Node::start(&cluster.replica("one"));
    primary.fill(5);
    catches_up(&replica, &primary);
    replica.stop();
    primary.stop();
}
