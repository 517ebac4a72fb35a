//! The answers of a primary, by client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use reviewsd::replication::{Primary, PrimaryOptions, RoleTokens};
use reviewsd::store::Store;

use super::node::{Node, Setup, agent};
use super::{Cluster, PATIENCE, catches_up, eventually};
use crate::support::{no_forks, shop_dir, write_secret};

const PATHS: [&str; 3] = [
    "/internal/repl/v1/checkpoint",
    "/internal/repl/v1/stream?protocol=3&format=2&store=1&epoch=1&seq=1&chain=0",
    "/internal/repl/v1/checkpoint/0/CURRENT",
];

fn status_with(url: &str, token: Option<&str>) -> u16 {
    let mut request = agent().get(url);
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    request.call().unwrap().status().as_u16()
}

#[test]
fn without_a_token_there_is_nothing_to_replicate_from() {
    let cluster = Cluster::new();
    let primary = Node::start(&Setup {
        token: None,
        ..cluster.primary("primary")
    });
    for path in PATHS {
        let url = format!("http://{}{path}", primary.admin());
        assert_eq!(status_with(&url, Some(&cluster.secret)), 404, "{path}");
    }
    assert_eq!(primary.status().unwrap()["replicas"], serde_json::json!([]));
}

#[test]
fn with_a_primary_goes_all_that_kept_the_store_open() {
    let dir = shop_dir();
    let options = PrimaryOptions {
        dial: None,
        token: None,
        roles: RoleTokens::None,
        ring_bytes: 0,
        wal_keep_size: 0,
        bootstrap_bytes_per_second: 0,
        is_replica: false,
        waits: false,
    };
    let _no_forks = no_forks();
    for _ in 0..10 {
        let store = Store::open(dir.path(), "a test", 64 << 20, 0).unwrap();
        drop(Primary::start(store, options.clone()).unwrap());
    }
}

#[test]
fn another_token_is_rejected_and_counted() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    for path in PATHS {
        for token in [None, Some("a-token-of-24-characterz"), Some("")] {
            let url = format!("http://{}{path}", primary.admin());
            assert_eq!(status_with(&url, token), 401, "{path}");
        }
        let public = format!("http://{}{path}", primary.api());
        assert_eq!(status_with(&public, Some(&cluster.secret)), 404, "{path}");
    }
    assert_eq!(primary.status().unwrap()["refused_tokens"], 9);
    write_secret(&cluster.dir.path().join("other"), &"b".repeat(20));
    let replica = Node::start(&Setup {
        token: Some(cluster.dir.path().join("other")),
        ..cluster.replica("one")
    });
    replica.says("the primary has another token");
    eventually("the copy says that it has no store", || {
        let (ready, why) = replica.ask("/readyz").unwrap();
        ready == 503 && why.contains("cannot be fetched")
    });
}

#[test]
fn whoever_asks_for_what_cannot_be_followed_is_told_why() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    primary.fill(3);
    let status = primary.status().unwrap();
    let (store, seq) = (
        status["store"].as_str().unwrap(),
        status["seq"].as_u64().unwrap(),
    );
    let chain = status["chain"].as_str().unwrap();
    let ask = |query: String| {
        let url = format!("http://{}/internal/repl/v1/stream?{query}", primary.admin());
        let request = agent()
            .get(url)
            .header("Authorization", format!("Bearer {}", cluster.secret));
        let mut answer = request.call().unwrap();
        (
            answer.status().as_u16(),
            answer.body_mut().read_to_string().unwrap(),
        )
    };
    let at = |epoch: u64, seq: u64, chain: &str| {
        format!("protocol=3&format=2&store={store}&epoch={epoch}&seq={seq}&chain={chain}")
    };
    for (query, status, reason) in [
        (at(1, seq + 1, chain), 409, "\"ahead\""),
        (at(1, seq, "1"), 409, "\"diverged\""),
        (at(1, seq - 1, chain), 409, "\"diverged\""),
        (at(1, 1, chain), 409, "\"gap\""),
        (at(2, seq, chain), 409, "\"later\""),
        (at(0, seq, chain), 409, "\"unknown_epoch\""),
        (
            at(1, seq, chain).replace(store, "1"),
            409,
            "\"other_store\"",
        ),
        (
            at(1, seq, chain).replace("protocol=3", "protocol=4"),
            426,
            "\"version\"",
        ),
        (
            at(1, seq, chain).replace("format=2", "format=3"),
            426,
            "\"version\"",
        ),
        ("protocol=3".to_owned(), 400, "a position is missing"),
        (at(1, seq, "nonsense"), 400, "a position is missing"),
    ] {
        let (found, text) = ask(query.clone());
        assert_eq!(found, status, "{query}: {text}");
        assert!(text.contains(reason), "{query}: {text}");
    }
}

#[test]
fn a_copy_that_takes_nothing_holds_nobody_up_and_is_let_go() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&Setup {
        replication: "ring = \"64KiB\"\n".to_owned(),
        other: "[net]\nwrite_time_max = \"5s\"\n".to_owned(),
        ..cluster.primary("primary")
    });
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    let replicas = || {
        primary.status().unwrap()["replicas"]
            .as_array()
            .unwrap()
            .len()
    };
    // The spooled commits came by a stream of their own.
    eventually("there is one stream", || replicas() == 1);
    let status = primary.status().unwrap();
    let mut stuck = BufReader::new(TcpStream::connect(primary.admin()).unwrap());
    stuck.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let query = format!(
        "protocol=3&format=2&store={}&epoch=1&seq={}&chain={}",
        status["store"].as_str().unwrap(),
        status["seq"],
        status["chain"].as_str().unwrap(),
    );
    write!(
        stuck.get_mut(),
        "GET /internal/repl/v1/stream?{query} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {}\r\n\r\n",
        cluster.secret
    )
    .unwrap();
    let mut line = String::new();
    stuck.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    eventually("there are two streams", || replicas() == 2);
    let memory_before = memory_kib(&primary);
    // More than sockets take: until it is disconnected, every write is answered at once.
    let long = "x".repeat(900);
    // The distance between the writes and the last commit sent to the stuck one: one that waited for it would
    // be no further than those that are under way.
    let (mut ahead, mut writes) = (0, 0);
    let agents: Vec<_> = (0..8).map(|_| agent()).collect();
    let begun = Instant::now();
    while replicas() == 2 {
        assert!(begun.elapsed() < PATIENCE, "it is never let go");
        std::thread::scope(|scope| {
            let api = primary.api();
            let long = &long;
            let posts: Vec<_> = agents
                .iter()
                .map(|agent| {
                    scope.spawn(move || {
                        for _ in 0..5 {
                            let answer = super::node::post(agent, api, long).unwrap();
                            assert_eq!(answer.0, 201);
                        }
                    })
                })
                .collect();
            for post in posts {
                post.join().unwrap();
                writes += 5;
            }
        });
        let status = primary.status().unwrap();
        let sent = status["replicas"].as_array().unwrap().iter();
        let furthest_back = sent
            .map(|replica| replica["sent_seq"].as_u64().unwrap())
            .min();
        let beyond = status["seq"].as_u64().unwrap() - furthest_back.unwrap();
        ahead = ahead.max(beyond);
    }
    assert!(writes > 1000, "{writes}");
    assert!(ahead > 40, "{ahead} rows");
    let grown = memory_kib(&primary).saturating_sub(memory_before);
    assert!(grown < 64 << 10, "{grown} KiB more");
    // The bytes sent before are still there, and then the end.
    let mut rest = Vec::new();
    let _ = stuck.read_to_end(&mut rest);
    catches_up(&replica, &primary);
}

fn memory_kib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
