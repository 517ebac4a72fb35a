//! The metrics of a primary and its replica about each other.

use std::time::Instant;

use tempfile::TempDir;

use super::{Metrics, REVIEW, Server, send};
use crate::serve::{Client, PATIENCE};
use crate::support::write_secret;

/// A primary with a replica that follows it.
pub(super) struct Pair {
    pub(super) primary: Server,
    pub(super) copy: Server,
    _secrets: TempDir,
}

impl Pair {
    /// Both, with more of `[replication]` for the primary.
    pub(super) fn start(replication: &str) -> Self {
        let secrets = tempfile::tempdir().unwrap();
        let token = secrets.path().join("token");
        write_secret(&token, "a-token-of-24-characters\n");
        let token = format!("[replication]\ntoken_file = \"{}\"\n", token.display());
        let primary = Server::with(&format!("{token}{replication}"));
        let follow = format!(
            "[replica]\nfollow = \"http://{}\"\nprimary = \"http://{}\"\nforward_writes = true\n",
            primary.admin, primary.api
        );
        let copy = Server::of(tempfile::tempdir().unwrap(), &format!("{token}{follow}"));
        Self {
            primary,
            copy,
            _secrets: secrets,
        }
    }
}

/// Polls until the page is as it should be.
fn becomes(server: &Server, what: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
    let begun = Instant::now();
    loop {
        let page = Metrics::of(server);
        if holds(&page) {
            return page;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not become {what}");
    }
}

fn connected(page: &Metrics) -> u64 {
    page.count("reviewsd_replication_connected", &[])
}

#[test]
fn a_copy_and_its_primary_tell_of_each_other() {
    let pair = Pair::start("");
    becomes(&pair.copy, "connected", |page| connected(page) == 1);
    let mut client = pair.primary.connect();
    assert_eq!(send(&mut client, "POST", "/reviews", REVIEW), 201);
    let seen = |page: &Metrics| page.count("reviewsd_replication_lag_rows", &[]) == 0;
    let copy = becomes(&pair.copy, "up to date", seen);
    assert!(copy.value("reviewsd_replication_lag_seconds", &[]) < PATIENCE.as_secs_f64());
    assert_eq!(copy.count("reviewsd_replication_bootstrapping", &[]), 0);
    let fetched = [("outcome", "fetched")];
    assert_eq!(
        copy.count("reviewsd_replication_bootstraps_total", &fetched),
        1
    );
    let bytes = copy.count("reviewsd_replication_fetched_bytes_total", &[]);
    assert!(bytes > 1000, "{bytes}");
    assert_eq!(copy.count("reviewsd_replication_streams_total", &[]), 1);
    let acked = |page: &Metrics| {
        ["nearest", "furthest"]
            .iter()
            .all(|copy| page.count("reviewsd_replication_unacked_rows", &[("copy", copy)]) == 0)
    };
    let primary = becomes(&pair.primary, "acknowledged", acked);
    assert_eq!(primary.count("reviewsd_replication_replicas", &[]), 1);
    // The commits written while it was fetched came by a stream of their own.
    let streams = primary.count("reviewsd_replication_streams_total", &[]);
    assert!((1..=2).contains(&streams), "{streams}");
    let sent = primary.count("reviewsd_replication_sent_bytes_total", &[]);
    assert_eq!(sent, bytes);
    let ring = primary.count("reviewsd_replication_ring_bytes", &[]);
    assert!(0 < ring && ring < primary.count("reviewsd_replication_ring_max_bytes", &[]));
}

#[test]
fn refusals_and_disconnects_are_counted_by_reason() {
    let mut pair = Pair::start("");
    becomes(&pair.copy, "connected", |page| connected(page) == 1);
    let mut client = Client::to(pair.primary.admin);
    let path = "/internal/repl/v1/stream?protocol=3&format=2&store=0&epoch=1&seq=1&chain=0";
    let mut ask = |token: &str| {
        client.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        client.answer().status
    };
    assert_eq!(ask("another-token-of-some-size"), 401);
    assert_eq!(ask("a-token-of-24-characters"), 409);
    let page = Metrics::of(&pair.primary);
    assert_eq!(
        page.count("reviewsd_replication_refused_tokens_total", &[]),
        1
    );
    let refusals = "reviewsd_replication_refusals_total";
    assert_eq!(page.count(refusals, &[("reason", "other_store")]), 1);
    assert_eq!(page.counts(refusals).sum::<u64>(), 1);
    pair.primary.child.kill().unwrap();
    let page = becomes(&pair.copy, "parted", |page| connected(page) == 0);
    let disconnects = |name| page.counts(name).sum::<u64>();
    let now = disconnects("reviewsd_replication_disconnects_total");
    assert!(now > 0);
    // The former name, which is written behind it.
    assert!(disconnects("reviewsd_replication_partings_total") >= now);
    let behind = page.value("reviewsd_replication_lag_seconds", &[]);
    becomes(&pair.copy, "older", |page| {
        page.value("reviewsd_replication_lag_seconds", &[]) > behind
    });
}

#[test]
fn a_server_alone_tells_nothing_of_copies() {
    let page = Metrics::of(&Server::with(""));
    for name in ["replicas", "connected", "lag_seconds", "streams_total"] {
        let name = format!("reviewsd_replication_{name}");
        assert!(page.labels(&name).next().is_none(), "{name}");
    }
}
