//! Restarts under load: with systemd's sockets no request of any client fails.

pub(crate) mod clients;
pub(crate) mod manager;

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use crate::support::shop_dir;
use clients::{Clients, Tally, reviews_of};
use manager::Manager;

/// Restarts under load.
const RESTARTS: u32 = 50;
/// Answers between two restarts, so that the load is there when the next one comes.
const ANSWERS_BETWEEN: u64 = 300;
/// The product that reviews are posted to.
const PRODUCT: u64 = 2;

/// Asserts that no request failed, and that every acknowledged write is there, once.
fn check(tally: &Tally, reviews_before: u64, reviews_after: u64) {
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
    assert!(tally.written > 0 && tally.read > 0, "{tally}");
    assert_eq!(reviews_before + tally.written, reviews_after, "{tally}");
}

#[test]
fn fifty_restarts_under_load_fail_no_request() {
    let dir = shop_dir();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut manager = Manager::new(dir.path(), listener);
    manager.start();
    let before = reviews_of(address, PRODUCT);
    let clients = Clients::start(address, PRODUCT);
    let mut kept = 0;
    for _ in 0..RESTARTS {
        clients.wait_for_answers(ANSWERS_BETWEEN);
        kept += manager.restart();
    }
    clients.wait_for_answers(ANSWERS_BETWEEN);
    let tally = clients.stop();
    check(&tally, before, reviews_of(address, PRODUCT));
    // Otherwise the clients were lucky.
    assert!(kept > 0, "no connection was ever kept");
    assert_eq!(manager.stop().code(), Some(0));
}

#[test]
fn a_connection_outlives_the_process_and_its_end_is_seen() {
    let dir = shop_dir();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = clients::Connection::open(listener.local_addr().unwrap()).unwrap();
    let mut manager = Manager::new(dir.path(), listener);
    manager.start();
    assert_eq!(client.get("/readyz").unwrap().status, 200);
    assert_eq!(manager.restart(), 1);
    assert_eq!(client.get("/readyz").unwrap().status, 200);
    // No process has a duplicate of it that would keep it open.
    assert_eq!(client.get_last("/readyz").unwrap().status, 200);
    assert!(client.is_closed());
    assert_eq!(manager.stop().code(), Some(0));
}

#[test]
fn the_manager_is_told_of_every_step() {
    let dir = shop_dir();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut manager = Manager::new(dir.path(), listener);
    manager.watchdog(Duration::from_millis(300));
    manager.start();
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");
    manager.reload();
    assert_eq!(manager.stop().code(), Some(0));
    manager.wait_for("STOPPING=1");
    let told = manager.told();
    let at = |start: &str| {
        let found = told.iter().position(|message| message.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start} in {told:#?}"))
    };
    let opening = format!("STATUS=Opening the store in {}", dir.path().display());
    let serving = format!("READY=1\nSTATUS=Serving http://{address} (api), http://127.0.0.1:");
    assert!(at(&opening) < at(&serving));
    assert!(at(&serving) < at("WATCHDOG=1"));
    assert!(at("WATCHDOG=1") < at("RELOADING=1\nMONOTONIC_USEC="));
    assert!(at("RELOADING=1") < at("STOPPING=1\nSTATUS="));
    let ready = told
        .iter()
        .filter(|message| **message == told[at(&serving)]);
    assert_eq!(ready.count(), 2, "when it began, and when it had reloaded");
}

#[test]
fn sockets_that_nobody_would_serve_are_refused_by_name() {
    let dir = shop_dir();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut manager = Manager::new(dir.path(), listener);
    manager.name("reviewsd.socket");
    let (status, said) = manager.refused();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("FileDescriptorName=public"), "{said}");
}

/// The load for a server that another process starts and restarts, as `systemd/tests/booted.sh` does: at
/// `REVIEWSD_LOAD_AT`, until there is a file `REVIEWSD_LOAD_UNTIL`.
#[test]
#[ignore = "needs a server that somebody else restarts meanwhile"]
fn a_server_elsewhere_fails_no_request() {
    let address: SocketAddr = env::var("REVIEWSD_LOAD_AT").unwrap().parse().unwrap();
    let until = env::var("REVIEWSD_LOAD_UNTIL").unwrap();
    let until = Path::new(&until);
    let before = reviews_of(address, PRODUCT);
    let clients = Clients::start(address, PRODUCT);
    fs::write(until.with_extension("begun"), "").unwrap();
    while !until.exists() {
        clients.wait_for_answers(1);
    }
    let tally = clients.stop();
    clients::report(&tally);
    check(&tally, before, reviews_of(address, PRODUCT));
}
