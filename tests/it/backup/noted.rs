//! A server's report of its last backup.

use std::fs;

use super::{Yard, end, eventually, position};
use crate::replication::node::{self, Node};

/// Time in seconds, last row, and rows that are in no backup.
fn told(server: &Node) -> (u64, u64, u64) {
    let (_, page) = server.ask("/metrics").unwrap();
    let value = |name: &str| {
        let of_it = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        page.lines().find_map(of_it).unwrap()
    };
    (
        value("reviewsd_backup_last_success_timestamp_seconds"),
        value("reviewsd_backup_last_seq"),
        value("reviewsd_backup_lag_rows"),
    )
}

fn seq(server: &Node) -> u64 {
    position(server)[1].as_u64().unwrap()
}

#[test]
fn a_server_tells_of_its_last_backup_and_after_a_restart_too() {
    let yard = Yard::new();
    let server = yard.serve();
    server.fill(3);
    let rows = seq(&server);
    assert_eq!(told(&server), (0, 0, rows));
    let before = now();
    yard.backup(&server, &[]);
    let (time, last, lag) = told(&server);
    assert!((before..=now()).contains(&time), "{time}");
    assert_eq!((last, lag), (rows, 0));
    server.fill(2);
    let after = (time, rows, seq(&server) - rows);
    assert!(after.2 > 0);
    assert_eq!(told(&server), after);
    server.stop();
    let server = yard.serve();
    assert_eq!(told(&server), (time, rows, seq(&server) - rows));
    server.stop();
    // An unreadable file means no backup, and does not prevent a server from starting.
    fs::write(yard.shop.path().join("BACKUP"), b"\xffgarbage").unwrap();
    let server = yard.serve();
    assert_eq!(told(&server), (0, 0, seq(&server)));
    yard.backup(&server, &[]);
    assert_eq!(told(&server).1, seq(&server));
    server.stop();
}

#[test]
fn a_backup_that_fails_is_not_told_of() {
    let mut yard = Yard::new();
    let server = yard.serve();
    server.fill(3);
    // The target has backups of another store, which shows only after one was made.
    let mut other = Yard::new();
    let others = other.serve();
    other.backup(&others, &[]);
    std::mem::swap(&mut other.to, &mut yard.to);
    let address = format!("http://{}", server.admin());
    let why = yard.refused(&["backup", "--server", &address, "--to", &yard.to]);
    assert!(why.contains("holds the backups of store"), "{why}");
    assert_eq!(told(&server), (0, 0, seq(&server)));
    std::mem::swap(&mut other.to, &mut yard.to);
    yard.backup(&server, &[]);
    assert_eq!(told(&server).1, seq(&server));
    server.stop();
    others.stop();
}

#[test]
fn what_is_shipped_is_told_of_as_it_is() {
    let yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    server.fill(3);
    eventually("all is told to be in a backup", || {
        let (time, last, lag) = told(&server);
        time > 0 && last == seq(&server) && lag == 0
    });
    end(follower);
    server.stop();
}

#[test]
fn a_backup_of_a_store_that_nobody_serves_is_told_of_later() {
    let yard = Yard::new();
    let data = yard.shop.path().to_str().unwrap();
    yard.said(&["backup", "--data", data, "--to", &yard.to]);
    let server = yard.serve();
    let (time, last, _) = told(&server);
    assert!(time > 0);
    assert_eq!(last, seq(&server));
    server.stop();
}

#[test]
fn a_note_of_what_the_server_does_not_have_is_refused() {
    let yard = Yard::new();
    let server = yard.serve();
    let (admin, rows) = (server.admin(), seq(&server));
    let status = server.status().unwrap();
    let store = status["store"].as_str().unwrap();
    for (query, expected) in [
        (format!("store={store}&seq={}", rows + 1), 409),
        ("store=1&seq=0".to_owned(), 409),
        (format!("store={store}"), 400),
        ("store=x&seq=1".to_owned(), 400),
    ] {
        let url = format!("http://{admin}/internal/repl/v1/backed-up?{query}");
        let answer = node::agent().post(&url).send_empty().unwrap();
        assert_eq!(answer.status(), expected, "{query}");
    }
    assert_eq!(told(&server), (0, 0, rows));
    server.stop();
}

fn now() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap().as_secs()
}
