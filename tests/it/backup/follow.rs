//! Commits, shipped as they come; and the store at any moment.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use reviewsd::model::calendar::timestamp;
use reviewsd::model::clock::now_ms;

use super::{Said, Yard, contents, end, eventually, is_shipped, kill, position};
use crate::replication::node::{self, Node};
use crate::support::write_secret;

/// Asserts that a restored store is at a position that a server reported.
fn is_at(data: &Path, place: &serde_json::Value) {
    let said = contents(data);
    let (epoch, seq, chain) = (&place[0], &place[1], place[2].as_str().unwrap());
    let expected = format!("epoch     {epoch}\nseq       {seq}\nchain     {chain}\n");
    assert!(said.contains(&expected), "{said} is not at {place}");
}

#[test]
fn what_is_shipped_under_load_is_all_there_is() {
    let yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| server.fill(200));
        }
        // A snapshot in the middle, which segments lead up to and on from.
        yard.backup(&server, &[]);
    });
    is_shipped(&server);
    end(follower);
    server.stop();
    let ids = yard.ids();
    assert_eq!(ids.len(), 2);
    for id in ids {
        let restored = yard.restore(&id, &["--backup", &id]);
        assert_eq!(contents(&restored), contents(yard.shop.path()));
    }
    let listed = yard.listed();
    for backup in listed["backups"].as_array().unwrap() {
        assert_eq!(backup["reaches"], listed["backups"][0]["reaches"]);
    }
}

#[test]
fn any_moment_can_be_gone_back_to() {
    let yard = Yard::new();
    let server = yard.serve();
    server.fill(1);
    let earlier = position(&server);
    let follower = yard.follow(&server);
    let mut moments = vec![];
    for _ in 0..4 {
        server.fill(2);
        let there = position(&server);
        // Behind the commit, and before the next one.
        thread::sleep(Duration::from_millis(3));
        let now = timestamp(now_ms());
        thread::sleep(Duration::from_millis(3));
        moments.push((there, now));
    }
    is_shipped(&server);
    end(follower);
    server.stop();
    for (number, (there, time)) in moments.iter().enumerate() {
        let seq = there[1].to_string();
        is_at(
            &yard.restore(&format!("seq {number}"), &["--at", &seq]),
            there,
        );
        is_at(
            &yard.restore(&format!("time {number}"), &["--at", time]),
            there,
        );
        // Within a commit is after the one before.
        let within = (there[1].as_u64().unwrap() + 1).to_string();
        if number < 3 {
            is_at(
                &yard.restore(&format!("in {number}"), &["--at", &within]),
                there,
            );
        }
    }
    let last = moments[3].0[1].as_u64().unwrap();
    let why = yard.restore_refused("none", &["--at", &(last + 1).to_string()]);
    assert!(
        why.contains("no backup has the state at sequence number"),
        "{why}"
    );
    for early in [earlier[1].as_u64().unwrap() - 1, 0] {
        let why = yard.restore_refused("none", &["--at", &early.to_string()]);
        assert!(why.contains("the earliest, "), "{why}");
    }
    let why = yard.restore_refused("none", &["--at", "2020-01-01T00:00:00Z"]);
    assert!(why.contains("of 2020-01-01T00:00:00.000Z"), "{why}");
}

#[test]
fn shipping_goes_on_where_it_stopped() {
    let yard = Yard::new();
    let server = yard.serve();
    for round in 0..3 {
        let follower = yard.follow(&server);
        server.fill(5);
        is_shipped(&server);
        if round == 1 {
            kill(follower);
        } else {
            end(follower);
        }
        server.fill(5);
    }
    // The server is stopped for a while as well.
    server.stop();
    let server = yard.serve();
    let follower = yard.follow(&server);
    is_shipped(&server);
    server.fill(1);
    is_shipped(&server);
    assert!(
        !end(follower).contains("backup 2"),
        "another backup was taken"
    );
    server.stop();
    assert_eq!(yard.ids().len(), 1);
    yard.assert_restores("restored");
}

#[test]
fn a_gap_is_closed_by_another_backup() {
    let yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    server.fill(1);
    is_shipped(&server);
    server.stop();
    // Another store takes the place of the one that was followed, while no backup runs.
    let exported = yard.path("csv");
    let data = yard.shop.path().to_str().unwrap();
    yard.said(&[
        "export",
        "--data",
        data,
        "--out",
        exported.to_str().unwrap(),
        "--quiet",
    ]);
    let csv = exported.to_str().unwrap();
    yard.said(&[
        "import",
        "--csv",
        csv,
        "--data",
        data,
        "--replace",
        "--quiet",
    ]);
    end(follower);
    let server = yard.serve();
    let store = server.status().unwrap()["store"].clone();
    yard.backup(&server, &["--accept-store", store.as_str().unwrap()]);
    let follower = yard.follow(&server);
    assert_eq!(yard.ids().len(), 2);
    server.fill(3);
    is_shipped(&server);
    end(follower);
    server.stop();
    yard.assert_restores("restored");
}

#[test]
fn a_backup_tells_a_diverged_store_from_its_former_self() {
    let yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    server.fill(4);
    let fork = position(&server);
    server.fill(4);
    is_shipped(&server);
    let lost = position(&server);
    end(follower);
    server.kill();
    let data = yard.restore("back", &["--at", &fork[1].to_string()]);
    let setup = super::Setup {
        data: data.clone(),
        ..yard.setup()
    };
    let server = Node::start(&setup);
    let follower = yard.follow(&server);
    assert_eq!(yard.ids().len(), 2);
    server.fill(9);
    is_shipped(&server);
    let said = end(follower);
    assert!(said.contains("diverged after"), "{said}");
    server.stop();
    assert_eq!(contents(&yard.restore("restored", &[])), contents(&data));
    // The lost commits are still in the first backup.
    let first = yard.ids().pop().unwrap();
    let seq = lost[1].to_string();
    let mut variants = vec![];
    for name in ["1", "2"] {
        let restored = yard.restore(name, &["--backup", &first, "--at", &seq]);
        variants.push(contents(&restored));
    }
    assert_eq!(variants[0], variants[1]);
}

#[test]
fn a_target_that_is_away_is_waited_for() {
    let yard = Yard::new();
    let server = yard.serve();
    let mut follower = yard.follow(&server);
    let said = Said::by(&mut follower);
    server.fill(2);
    is_shipped(&server);
    let (to, away) = (yard.path("backups"), yard.path("away"));
    fs::rename(&to, &away).unwrap();
    fs::write(&to, "no directory").unwrap();
    server.fill(40);
    eventually("it has tried", || said.so_far().contains("trying again"));
    fs::remove_file(&to).unwrap();
    fs::rename(&away, &to).unwrap();
    server.fill(2);
    is_shipped(&server);
    end(follower);
    let said = said.at_the_end();
    assert!(said.contains("shipped the backlog"), "{said}");
    server.stop();
    assert_eq!(yard.ids().len(), 1);
    yard.assert_restores("restored");
}

#[test]
fn shipping_takes_snapshots_and_prunes_as_it_goes() {
    let yard = Yard::new();
    let server = yard.serve();
    let address = format!("http://{}", server.admin());
    let follower = yard.start(&[
        "backup",
        "--server",
        &address,
        "--to",
        &yard.to,
        "--follow",
        "--keep",
        "2",
        "--set",
        "backup.segment_time=100ms",
        "--set",
        "backup.snapshot_every=1s",
    ]);
    eventually("a first one is there", || {
        !yard.objects("snapshots").is_empty()
    });
    let mut seen = std::collections::BTreeSet::new();
    eventually("snapshots come and go", || {
        server.fill(1);
        let ids = yard.ids();
        seen.extend(ids.iter().cloned());
        seen.len() >= 5 && ids.len() <= 3
    });
    is_shipped(&server);
    let said = end(follower);
    assert!(said.contains("as old as backup.snapshot_every"), "{said}");
    assert!(said.contains("removed 1 backup"), "{said}");
    server.stop();
    yard.assert_restores("restored");
    // Segments before the earliest that is left were removed with the others.
    let earliest =
        yard.listed()["backups"].as_array().unwrap().last().unwrap()["at"]["seq"].clone();
    let why = yard.restore_refused("none", &["--at", "1"]);
    assert!(why.contains(&earliest.to_string()), "{why}");
}

#[test]
fn a_damaged_segment_is_named() {
    let yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    for _ in 0..3 {
        server.fill(1);
        is_shipped(&server);
    }
    end(follower);
    server.stop();
    let segments = yard.objects("log");
    assert!(segments.len() >= 3);
    let segment = &segments[1];
    let name = segment.file_name().unwrap().to_str().unwrap();
    let whole = fs::read(segment).unwrap();
    for at in [20, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(segment, damaged).unwrap();
        let why = yard.restore_refused("none", &[]);
        assert!(why.contains(name) && why.contains("is damaged"), "{why}");
    }
    // Without it there is a gap, and that is as far as one gets.
    fs::remove_file(segment).unwrap();
    let last = node::run("position", yard.shop.path(), &[]);
    let last = String::from_utf8(last.stdout).unwrap();
    let seq = last
        .lines()
        .find_map(|line| line.strip_prefix("seq       "));
    let why = yard.restore_refused("none", &["--at", seq.unwrap()]);
    assert!(why.contains("no backup has the state"), "{why}");
    // A restore that was refused half way is finished with the commits there are, and reports that it is
    // incomplete.
    let data = yard.path("none");
    let said = yard.said(&[
        "restore",
        "--from",
        &yard.to,
        "--data",
        data.to_str().unwrap(),
    ]);
    assert!(said.contains("of the log cannot be reached"), "{said}");
    assert_ne!(contents(&data), contents(yard.shop.path()));
}

#[test]
fn a_backup_is_no_copy_that_writes_wait_for() {
    let yard = Yard::new();
    let token = yard.path("token");
    write_secret(&token, "a-token-of-24-characters\n");
    let setup = super::Setup {
        token: Some(token.clone()),
        replication: "acks = 1\nack_time_max = \"300ms\"\n".to_owned(),
        ..yard.setup()
    };
    let server = Node::start(&setup);
    let address = format!("http://{}", server.admin());
    let follower = yard.start(&[
        "backup",
        "--follow",
        "--server",
        &address,
        "--to",
        &yard.to,
        "--set",
        "backup.segment_time=100ms",
        "--set",
        &format!("replication.token_file={}", token.display()),
    ]);
    eventually("there is a backup", || yard.objects("snapshots").len() == 1);
    let (status, _) = server.post("nobody else has it");
    assert_eq!(status, 503);
    is_shipped(&server);
    let status = server.status().unwrap();
    assert_eq!(status["replicas"], serde_json::json!([]));
    let (status, _) = server.post("a backup has it, and no copy");
    assert_eq!(status, 503);
    end(follower);
    server.stop();
}
