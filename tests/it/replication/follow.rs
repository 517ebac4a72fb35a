//! The behaviour of a replica while all is well, and when it is not for a while.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use reviewsd::cli::FILES;
use rustix::process::Signal;
use serde_json::Value;

use super::node::{Node, Setup, run};
use super::proxy::Fault;
use super::{Cluster, PATIENCE, STRICT, assert_same, catches_up, eventually};
use crate::crash::SmallDisk;
use crate::restarts::clients::Connection;
use crate::restarts::manager::Manager;
use crate::support::copy_tree;

/// Stops all servers and compares their content.
fn compare(cluster: &Cluster, primary: Node, replicas: Vec<(&str, Node)>) {
    let mut stores = vec![cluster.data("primary")];
    for (name, replica) in replicas {
        replica.stop();
        stores.push(cluster.data(name));
    }
    primary.stop();
    let stores: Vec<_> = stores.iter().map(std::path::PathBuf::as_path).collect();
    assert_same(&stores);
}

#[test]
fn a_copy_starts_from_nothing_and_shows_every_write() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    primary.fill(3);
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    let path = "/reviews?product_id=2&count=50&sort=newest";
    // Requested before and after, so that a stale cached answer would be noticed.
    for number in 0..10 {
        assert_eq!(replica.get(path), primary.get(path));
        primary.post(&format!("later {number}"));
        catches_up(&replica, &primary);
        assert_eq!(replica.get(path), primary.get(path));
        assert!(replica.get(path).1.contains(&format!("later {number}")));
    }
    assert_eq!(replica.get("/readyz").0, 200);
    let status = replica.status().unwrap();
    assert_eq!(
        (&status["role"], &status["lag_rows"]),
        (&"replica".into(), &0.into())
    );
    eventually("what it was fetched by has ended", || {
        primary.status().unwrap()["replicas"]
            .as_array()
            .unwrap()
            .len()
            == 1
    });
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn a_replica_gives_read_your_writes_or_says_it_cannot_yet() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&Setup {
        other: "[replica]\nwait_time_max = \"3s\"\n".to_owned(),
        ..cluster.replica("one")
    });
    catches_up(&replica, &primary);
    let agent = super::node::agent();
    let vote = || {
        let url = format!("http://{}/reviews/3/helpful", primary.api());
        let voted = agent.put(url).send_empty().unwrap();
        voted.headers()["x-seq"].to_str().unwrap().to_owned()
    };
    let read = |seq: &str| {
        let url = format!("http://{}/reviews/3", replica.api());
        let mut answer = agent.get(url).header("x-min-seq", seq).call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), text)
    };
    // It had five to begin with.
    for votes in 6..40 {
        let seq = vote();
        let shown = format!("\"helpfulness\":{votes},");
        // A replica that cannot in time returns an error, and is asked again.
        eventually("the copy shows the vote", || {
            let (status, text) = read(&seq);
            assert!(
                status == 503 || status == 200 && text.contains(&shown),
                "{status} {text}"
            );
            status == 200
        });
    }
    cluster.link.stall(true);
    let seq = vote();
    let (status, text) = read(&seq);
    assert!(status == 503 && text.contains(&seq), "{status} {text}");
    assert_eq!(replica.get("/reviews/3").0, 200);
    cluster.link.stall(false);
    eventually("the copy has it", || read(&seq).0 == 200);
    assert!(read(&seq).1.contains("\"helpfulness\":40,"));
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn a_copy_refuses_writes_and_names_the_primary() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    let (status, answer) = replica.post("refused");
    let named = format!("http://{}", cluster.link.address());
    assert_eq!(status, 405);
    assert!(
        answer.contains("read-only replica") && answer.contains(&named),
        "{answer}"
    );
    let agent = super::node::agent();
    for (path, allow) in [
        ("/reviews/1/helpful", "OPTIONS"),
        ("/reviews/1/report", "OPTIONS"),
    ] {
        let url = format!("http://{}{path}", replica.api());
        let answer = agent.put(url).send_empty().unwrap();
        assert_eq!(answer.status(), 405, "{path}");
        assert_eq!(answer.headers()["allow"], allow, "{path}");
    }
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn a_copy_that_is_restarted_goes_on_where_it_was() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let setup = cluster.replica("one");
    let mut replica = Node::start(&setup);
    catches_up(&replica, &primary);
    for is_killed in [false, true] {
        primary.fill(5);
        catches_up(&replica, &primary);
        if is_killed {
            replica.kill();
        } else {
            replica.stop();
        }
        primary.fill(5);
        replica = Node::start(&setup);
        catches_up(&replica, &primary);
        assert_eq!(
            replica.said("fetching the store at"),
            0,
            "{}",
            replica.log()
        );
    }
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn a_primary_that_is_restarted_is_followed_on_from_its_log() {
    let cluster = Cluster::new();
    let setup = cluster.primary("primary");
    let mut primary = cluster.start_primary(&setup);
    let replica = Node::start(&cluster.replica("one"));
    let away = cluster.replica("two");
    let second = Node::start(&away);
    catches_up(&second, &primary);
    second.stop();
    for is_killed in [false, true] {
        primary.fill(20);
        catches_up(&replica, &primary);
        if is_killed {
            primary.kill();
        } else {
            primary.stop();
        }
        primary = cluster.start_primary(&setup);
        catches_up(&replica, &primary);
    }
    assert_eq!(replica.said("cannot follow that"), 0);
    // A replica that was away all the time finds the commits it missed in the logs of three processes.
    let second = Node::start(&away);
    catches_up(&second, &primary);
    assert_eq!(second.said("fetching the store at"), 0, "{}", second.log());
    compare(&cluster, primary, vec![("one", replica), ("two", second)]);
}

#[test]
fn what_the_ring_no_longer_holds_comes_from_the_log() {
    let cluster = Cluster::new();
    let small = Setup {
        replication: "ring = \"4KiB\"\n".to_owned(),
        ..cluster.primary("primary")
    };
    let primary = cluster.start_primary(&small);
    let setup = cluster.replica("one");
    let replica = Node::start(&setup);
    catches_up(&replica, &primary);
    replica.stop();
    primary.fill(200);
    assert!(primary.status().unwrap()["ring_bytes"].as_u64().unwrap() <= 4 << 10);
    let replica = Node::start(&setup);
    catches_up(&replica, &primary);
    // While it stalls, the ring goes on without it.
    cluster.link.stall(true);
    primary.fill(200);
    cluster.link.stall(false);
    catches_up(&replica, &primary);
    assert_eq!(
        replica.said("fetching the store at"),
        0,
        "{}",
        replica.log()
    );
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn a_broken_stream_resumes_without_repeats_or_damage() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    let mut damaged = 0;
    for round in 0..16 {
        let at = 97 * round;
        let fault = if round % 2 == 0 {
            Fault::Cut(at)
        } else {
            Fault::Flip(at)
        };
        cluster.link.break_once(fault);
        primary.fill(8);
        catches_up(&replica, &primary);
        damaged += usize::from(round % 2 == 1);
    }
    assert_eq!(cluster.link.faults(), 16);
    eventually("it says what was damaged", || {
        let noticed = replica.said("a frame was damaged in transfer")
            + replica.said("bytes is announced")
            + replica.said("error");
        noticed >= damaged / 2
    });
    replica.says_times("fetching the store at", 1);
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn replica_beyond_wal_retention_rebootstraps_online() {
    let cluster = Cluster::new();
    let slow = Setup {
        replication: "ring = \"4KiB\"\nbootstrap_rate = \"64KiB\"\n".to_owned(),
        ..cluster.primary("primary")
    };
    let mut primary = cluster.start_primary(&cluster.primary("primary"));
    let setup = cluster.replica("one");
    let replica = Node::start(&setup);
    catches_up(&replica, &primary);
    replica.stop();
    primary.fill(20);
    primary.stop();
    primary = cluster.start_primary(&slow);
    primary.fill(100);
    let store = cluster.data("primary").join("store");
    let mut removed = 0;
    for entry in fs::read_dir(store.join("archive")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        removed += 1;
    }
    assert!(removed > 0, "there was no log to lose");
    let replica = Node::start(&setup);
    replica.says("it no longer has the commits after it; fetching the store again");
    // The old store answers while the new one is being fetched, and reports that it is old.
    assert_eq!(replica.get("/reviews?product_id=1").0, 200);
    let (ready, why) = replica.ask("/readyz").unwrap();
    assert!(ready == 503 && why.contains("is being fetched"), "{why}");
    replica.says("replaces the old one");
    catches_up(&replica, &primary);
    replica.says_times("fetching the store at", 1);
    assert_eq!(replica.said("the old store is in"), 0);
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn a_lagging_replica_is_not_ready_and_goes_on_serving() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let setup = Setup {
        other: "[replica]\nlag_max = \"1500ms\"\n".to_owned(),
        ..cluster.replica("one")
    };
    let replica = Node::start(&setup);
    catches_up(&replica, &primary);
    eventually("the copy is ready", || replica.get("/readyz").0 == 200);
    cluster.link.stall(true);
    eventually("the copy is not ready", || replica.get("/readyz").0 == 503);
    assert!(replica.get("/readyz").1.contains("was up to date"));
    assert_eq!(replica.get("/reviews?product_id=2").0, 200);
    cluster.link.stall(false);
    eventually("the copy is ready again", || {
        replica.get("/readyz").0 == 200
    });
    // Silence is noticed, not waited out.
    cluster.link.stall(true);
    replica.says("nothing was received for 5 s");
    cluster.link.stall(false);
    catches_up(&replica, &primary);
    assert!(PATIENCE > Duration::from_secs(10));
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn a_copy_that_is_told_so_answers_nothing_while_it_lags() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let setup = Setup {
        other: STRICT.to_owned(),
        ..cluster.replica("one")
    };
    let replica = Node::start(&setup);
    catches_up(&replica, &primary);
    let path = "/reviews?product_id=2";
    eventually("the copy answers", || replica.get(path).0 == 200);
    cluster.link.stall(true);
    eventually("the copy does not answer", || replica.get(path).0 == 504);
    let (_, text) = replica.get(path);
    assert!(
        text.starts_with("Error: this replica is too far behind its primary; "),
        "{text}"
    );
    replica.says("GET /reviews was rejected: the replica was up to date ");
    // It runs, and reports its state.
    assert_eq!(replica.get("/livez").0, 200);
    assert_eq!(replica.post("to a copy").0, 405);
    // An operator changes their mind, and changes it back.
    let file = setup.data.with_extension("toml");
    let strict = fs::read_to_string(&file).unwrap();
    fs::write(&file, strict.replace("serve_stale = false", "")).unwrap();
    replica.signal(Signal::HUP);
    eventually("the copy answers", || replica.get(path).0 == 200);
    assert_eq!(replica.get("/readyz").0, 503);
    fs::write(&file, strict).unwrap();
    replica.signal(Signal::HUP);
    eventually("the copy does not answer", || replica.get(path).0 == 504);
    cluster.link.stall(false);
    eventually("the copy answers again", || replica.get(path).0 == 200);
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn the_store_of_a_copy_is_not_served_as_a_primary_s() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    replica.stop();
    let alone = Setup {
        follow: None,
        ..cluster.replica("one")
    };
    let (code, log) = Node::begin(&alone).ended();
    assert_eq!(code, Some(1));
    let follows = format!("is a replica of http://{}", cluster.link.address());
    assert!(
        log.contains(&follows) && log.contains("reviewsd promote"),
        "{log}"
    );
    let told = run("position", &cluster.data("one"), &[]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.contains(&format!("follows   http://{}", cluster.link.address())),
        "{told}"
    );
}

/// Gives the primary another store, which has one product.
fn import_kettle(cluster: &Cluster, primary: Node) -> Node {
    primary.stop();
    let csv = tempfile::tempdir().unwrap();
    fs::write(
        csv.path().join("product.csv"),
        "id,name,slogan,description,category,default_price\n1,Kettle,S,D,C,10\n",
    )
    .unwrap();
    let mut args = vec![
        "--replace",
        "--quiet",
        "--csv",
        csv.path().to_str().unwrap(),
    ];
    for file in FILES.iter().filter(|file| **file != "product.csv") {
        args.extend(["--allow-empty", file]);
    }
    let import = run("import", &cluster.data("primary"), &args);
    assert!(import.status.success(), "{import:?}");
    cluster.start_primary(&cluster.primary("primary"))
}

#[test]
fn a_new_import_on_the_primary_is_a_new_store_for_its_copies() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    let primary = import_kettle(&cluster, primary);
    replica.says("it has another store");
    replica.says("replaces the old one");
    catches_up(&replica, &primary);
    // It closed its port while it had no store to serve.
    replica.says_times("(api)", 2);
    assert!(replica.get("/products/1").1.contains("Kettle"));
    // By itself, since the new store names the old one; the old store is retained all the same.
    replica.says("the old store is in");
    compare(&cluster, primary, vec![("one", replica)]);
}

#[test]
fn replica_serves_another_store_at_the_socket_of_systemd() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut replica = Manager::new(&cluster.data("one"), socket);
    let follow = format!("http://{}", cluster.link.address());
    let token = format!("replica.token_file={}", cluster.token.display());
    replica.words([
        "--follow",
        &follow,
        "--set",
        &token,
        "--listen",
        "127.0.0.1:0",
    ]);
    replica.start();
    let product = || {
        // A client waits in the backlog as long as no store is served.
        let answer = Connection::open(address).and_then(|mut client| client.get("/products/1"));
        answer.map_or(String::new(), |answer| {
            String::from_utf8(answer.body).unwrap()
        })
    };
    assert!(!product().contains("Kettle"));
    let primary = import_kettle(&cluster, primary);
    eventually("the other store is served", || product().contains("Kettle"));
    assert_eq!(replica.stop().code(), Some(0));
    primary.stop();
}

/// The list that a server is asked for while its disk is full.
const LIST: &str = "/reviews?product_id=2&count=5";

/// Asserts that a server that is read-only for want of space reports it, and answers reads.
fn assert_only_reads(server: &Node) {
    server.says("writes are rejected, and reads go on: cannot ");
    assert_eq!(server.get(LIST).0, 200);
    let status = server.status().unwrap();
    let why = status["read_only"].as_str().unwrap();
    assert!(why.contains("No space left on device"), "{status}");
}

/// Makes space, and waits for the end that follows.
fn end_with_space(server: Node, disk: &SmallDisk) {
    fs::remove_file(disk.ballast()).unwrap();
    let (code, said) = server.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("has space again"), "{said}");
}

#[test]
fn a_copy_on_a_full_disk_serves_reads_until_there_is_space() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let setup = Setup {
        data: disk.path().join("one"),
        ..cluster.replica("one")
    };
    let replica = Node::start(&setup);
    catches_up(&replica, &primary);
    disk.fill();
    let (api, text) = (primary.api(), "x".repeat(900));
    let begun = Instant::now();
    // What its log has reserved is used up first.
    while replica.said("writes are rejected, and reads go on") == 0 {
        assert!(begun.elapsed() < PATIENCE, "it goes on: {}", replica.log());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let agent = super::node::agent();
                    for _ in 0..50 {
                        assert_eq!(super::node::post(&agent, api, &text).unwrap().0, 201);
                    }
                });
            }
        });
    }
    assert_only_reads(&replica);
    let seq = |server: &Node| server.status().unwrap()["seq"].as_u64().unwrap();
    let at = seq(&replica);
    assert!(at < seq(&primary));
    replica.kill();
    // Space that only the process's open files held is free now.
    disk.fill();

    // It has its data, and reports why it follows no primary.
    let replica = Node::start(&setup);
    assert_only_reads(&replica);
    assert!(seq(&replica) >= at);
    assert_eq!(replica.status().unwrap()["connected"], false);
    let (status, why) = replica.ask("/readyz").unwrap();
    assert!(status == 503 && why.contains("No space left"), "{why}");
    end_with_space(replica, &disk);

    let replica = Node::start(&setup);
    catches_up(&replica, &primary);
    assert_eq!(
        replica.said("fetching the store at"),
        0,
        "{}",
        replica.log()
    );
    replica.stop();
    primary.stop();
    assert_same(&[&cluster.data("primary"), &setup.data]);
}

#[test]
fn a_primary_that_starts_on_a_full_disk_feeds_no_copy() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let cluster = Cluster::new();
    let setup = Setup {
        data: disk.path().join("primary"),
        other: "[writes]\nfree_space_min = \"1B\"\n".to_owned(),
        ..cluster.primary("primary")
    };
    copy_tree(&cluster.data("primary"), &setup.data);
    let primary = cluster.start_primary(&setup);
    let replica = Node::start(&cluster.replica("one"));
    catches_up(&replica, &primary);
    primary.fill(3);
    catches_up(&replica, &primary);
    primary.kill();

    disk.fill();
    let primary = cluster.start_primary(&setup);
    assert_only_reads(&primary);
    assert_eq!(primary.get(LIST), replica.get(LIST));
    assert_eq!(primary.post("refused").0, 507);
    replica.says("503");
    let status = primary.status().unwrap();
    assert!(status["fenced"].is_null(), "{status}");
    assert_eq!(status["replicas"], Value::Array(Vec::new()));
    end_with_space(primary, &disk);

    let primary = cluster.start_primary(&setup);
    assert_eq!(primary.post("taken").0, 201);
    catches_up(&replica, &primary);
    assert_eq!(
        replica.said("fetching the store at"),
        1,
        "{}",
        replica.log()
    );
    replica.stop();
    primary.stop();
    assert_same(&[&setup.data, &cluster.data("one")]);
}
