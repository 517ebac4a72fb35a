//! A full disk: reads go on, at run time and after a start, no write is accepted, no acknowledged write is
//! lost, and once there is space the server ends, to be started again.

use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;

use serde_json::Value;

use super::client::Client;
use super::power::Left;
use super::server::{Server, Start};
use super::{FSYNC, PATIENCE, Shim, SmallDisk, Trial, WRITES_MIN, say, seed};
use crate::replication::node::run_program;

/// The line by which an operator hears of it.
const NO_WRITES: &str = "writes are rejected, and reads go on: cannot ";

/// Asserts that a read-only server reports it in every place, and refuses every write.
fn assert_only_reads(server: &Server) {
    let mut api = server.client();
    assert_eq!(api.get("/reviews?product_id=2").unwrap().status, 200);
    assert_eq!(api.post(1).unwrap().status, 507);
    for path in ["helpful", "report"] {
        assert_eq!(api.put(&format!("/reviews/3/{path}")).unwrap().status, 507);
    }
    let mut admin = Client::to(server.admin, &server.tail).unwrap();
    assert_eq!(admin.put("/reviews/3/restore").unwrap().status, 507);
    assert_eq!(admin.delete("/reviews/3").unwrap().status, 507);
    assert_eq!(admin.get("/readyz").unwrap().status, 200);
    let status: Value = admin.read("/replication");
    let why = status["read_only"].as_str().unwrap();
    assert!(why.contains("No space left on device"), "{why}");
    let metrics = admin.get("/metrics").unwrap().body;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(
        metrics.contains("\nreviewsd_store_read_only 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("\nreviewsd_store_fenced 0\n"), "{metrics}");
}

/// Makes space, and waits for the end that follows.
fn end_with_space(mut server: Server, disk: &SmallDisk) {
    fs::remove_file(disk.ballast()).unwrap();
    let (status, log) = server.ended(PATIENCE);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("has space again"), "{log}");
}

#[test]
fn a_full_disk_ends_writes_and_not_reads() {
    let (Some(disk), Some(shim)) = (SmallDisk::mount(), Shim::compile()) else {
        return;
    };
    let mut trial = Trial::new(shim, disk.path().join("data"), seed(), 0);
    let server = trial.start(FSYNC);
    let ((), journals) = trial.load(server, true, |mut server, wait_for, _, _| {
        wait_for(WRITES_MIN / 10);
        disk.fill();
        server.says(NO_WRITES);
        assert_only_reads(&server);
        end_with_space(server, &disk);
    });
    let told = journals.iter().filter(|journal| journal.refused.is_some());
    let ready: Vec<bool> = told.map(|journal| journal.ready_afterwards).collect();
    assert!(!ready.is_empty(), "nobody was told");
    assert!(
        ready.iter().all(|ready| *ready),
        "it was not ready for reads: {ready:?}"
    );
    assert!(!journals.iter().any(|j| j.acknowledged_afterwards));
    trial.power_fails(Left::Nothing);
    trial.compare();
    // It takes reviews again.
    let server = trial.start(FSYNC);
    trial.send_again(&server);
    trial.kill_under_load(server, |_| ());
    trial.power_fails(Left::Nothing);
    trial.compare();
    trial.assert_clean();
    say(&format!(
        "crash: a full disk: {} acknowledged writes checked, 0 lost",
        trial.acknowledged
    ));
}

#[test]
fn a_start_on_a_full_disk_serves_reads_and_writes_nothing() {
    let (Some(disk), Some(shim)) = (SmallDisk::mount(), Shim::compile()) else {
        return;
    };
    let mut trial = Trial::new(shim, disk.path().join("data"), seed(), 0);
    let server = trial.start(FSYNC);
    trial.kill_under_load(server, |_| ());
    // The writes that were not synced are there, and would not outlive the power.
    trial.power_fails(Left::All);
    disk.fill();
    let before = contents(trial.disk.data());
    let mut server = trial.start(FSYNC);
    server.says(NO_WRITES);
    assert_only_reads(&server);
    let mut client = server.client();
    // Writes that are in the log alone are read, too.
    let compared = trial.ledger.compare(&mut client, &mut trial.random);
    trial.findings.add(compared);
    let data = trial.disk.data().to_str().unwrap();
    let second = run_program(&["verify", "--data", data]);
    let why = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && why.contains("in use"), "{why}");
    assert_eq!(contents(trial.disk.data()), before);
    server.kill();
    // All that it showed is durable.
    trial.power_fails(Left::Nothing);
    fs::remove_file(disk.ballast()).unwrap();
    trial.compare();
    disk.fill();
    let mut server = trial.start(FSYNC);
    server.says(NO_WRITES);
    end_with_space(server, &disk);
    trial.power_fails(Left::Nothing);
    let server = trial.start(FSYNC);
    trial.send_again(&server);
    trial.kill_under_load(server, |_| ());
    trial.power_fails(Left::Nothing);
    trial.compare();
    trial.assert_clean();
}

/// A start that is asked to begin anew has to write, and says what it lacks.
#[test]
fn a_start_that_must_write_is_refused_on_a_full_disk() {
    let (Some(disk), Some(shim)) = (SmallDisk::mount(), Shim::compile()) else {
        return;
    };
    let mut trial = Trial::new(shim, disk.path().join("data"), seed(), 0);
    let start = Start {
        writes: FSYNC,
        log_syncs: None,
    };
    trial.start(FSYNC).stop();
    trial.power_fails(Left::All);
    disk.fill();
    let mut server = Server::begin_with(&mut trial.disk, start, &["--new"]);
    let (status, log) = server.ended(PATIENCE);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("No space left on device; free space"), "{log}");
}

fn hash(bytes: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes)
}

/// Every file of a data directory with a hash of its bytes, but for its lock and RocksDB's own log.
fn contents(dir: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap().to_owned();
        if path.is_symlink() || name.ends_with("/LOCK") || name.contains("/LOG") {
            continue;
        }
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((name, hash(&fs::read(&path).unwrap())));
        }
    }
    found.sort();
    found
}
