//! `reviewsd doctor` as an operator runs it, and the warnings that `serve` and `check-config` share with it.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use reviewsd::store::Store;
use serde_json::Value;

use super::{Running, Server, line_with, started};
use crate::support::no_forks;

fn run(command: &mut Command) -> Output {
    let child = {
        let _no_forks = no_forks();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    child.wait_with_output().unwrap()
}

/// A machine without a fault, unless more arguments make one.
fn doctor(data: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(["doctor", "--json", "--config", "/dev/null", "--data"]);
    command.arg(data);
    // Flags of their own count more.
    for set in [
        "writes.free_space_min=65MiB",
        "replication.wal_keep_size=1B",
        "net.listen=127.0.0.1:0",
        "net.admin=127.0.0.1:0",
    ] {
        command.args(["--set", set]);
    }
    command.args(more);
    let ended = run(&mut command);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(said, "", "{more:?}");
    let report = serde_json::from_slice(&ended.stdout).unwrap();
    (ended.status.code(), report)
}

/// The checks with findings, and their findings.
fn found(data: &Path, more: &[&str]) -> Vec<(String, String)> {
    let (code, report) = doctor(data, more);
    let findings = report["findings"].as_array().unwrap();
    let findings: Vec<_> = findings
        .iter()
        .map(|one| {
            assert!(one["remedy"].as_str().unwrap().len() > 10, "{one}");
            let text = |key: &str| one[key].as_str().unwrap().to_owned();
            (text("check"), text("what"))
        })
        .collect();
    let expected = i32::from(!findings.is_empty());
    assert_eq!(code, Some(expected), "{report}");
    findings
}

/// The only finding.
fn only(check: &str, data: &Path, more: &[&str]) -> String {
    let mut findings = found(data, more);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let (by, what) = findings.remove(0);
    assert_eq!(by, check, "{what}");
    what
}

/// Another server, which answers every request with this body and this date.
fn stranger(body: &'static str, date: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let _ = write!(
                &stream,
                "HTTP/1.1 200 OK\r\nconnection: close\r\ndate: {date}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

#[test]
fn machine_on_which_nothing_is_wrong_ends_with_0() {
    let server = Server::with("");
    fs::set_permissions(server.dir.path(), Permissions::from_mode(0o700)).unwrap();
    let (api, admin) = (server.api.to_string(), server.admin.to_string());
    let ports = ["--listen", &api, "--admin", &admin];
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(["doctor", "--config", "/dev/null", "--data"]);
    command.arg(server.dir.path()).args(ports);
    command.args(["--set", "writes.free_space_min=64MiB"]);
    let ended = run(&mut command);
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(
        (ended.status.code(), said.as_str()),
        (Some(0), "nothing is wrong\n")
    );
    assert_eq!(found(server.dir.path(), &[]), []);
}

#[test]
fn each_fault_of_a_machine_is_found_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    assert_eq!(found(&data, &[]), []);
    only("memory", &data, &["--memory", "900000GiB"]);
    only(
        "space",
        &data,
        &["--set", "writes.free_space_min=900000GiB"],
    );
    only("admin", &data, &["--admin", "0.0.0.0:0"]);
    only(
        "descriptors",
        &data,
        &["--set", "net.connections_max=1000000"],
    );
    let address = only("port", &data, &["--listen", "192.0.2.1:80"]);
    assert!(address.contains("no such address"), "{address}");
    let token = format!(
        "replication.token_file={}",
        dir.path().join("none").display()
    );
    only("token", &data, &["--set", &token]);
    let to = dir.path().join("backups");
    fs::create_dir(&to).unwrap();
    let backups = format!("backup.to={}", to.display());
    only("backup", &data, &["--set", &backups]);
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    only("mode", &data, &[]);
}

#[test]
fn store_that_is_not_what_the_configuration_says_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    drop(Store::open(&data, "a test", 32 << 20, 1).unwrap());
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    assert_eq!(found(&data, &[]), []);
    fs::write(data.join("store/FOLLOWS"), "http://192.0.2.1:8081").unwrap();
    let what = only("role", &data, &[]);
    assert!(
        what.contains("a replica of http://192.0.2.1:8081"),
        "{what}"
    );
    fs::remove_file(data.join("store/FOLLOWS")).unwrap();
    fs::write(data.join("store/FENCED"), "superseded 4").unwrap();
    let what = only("fence", &data, &[]);
    assert!(what.contains("since epoch 4"), "{what}");
    // A process that works on it knows better.
    let store = Store::open(&data, "a test", 32 << 20, 1).unwrap();
    assert_eq!(found(&data, &[]), []);
    let (code, report) = doctor(&data, &[]);
    assert_eq!(
        (code, &report["unchecked"]),
        (Some(0), &serde_json::json!([]))
    );
    let id = store.identity().store_id;
    drop(store);
    fs::remove_file(data.join("store/FENCED")).unwrap();
    let note = format!(r#"{{"store":"{id:032x}","time_ms":1000,"seq":0}}"#);
    fs::write(data.join("BACKUP"), note).unwrap();
    only("backup", &data, &[]);
    fs::remove_file(data.join("store/CURRENT")).unwrap();
    let what = only("store", &data, &[]);
    assert!(what.contains("cannot open the store in "), "{what}");
}

#[test]
fn port_that_another_program_has_is_found() {
    let data = tempfile::tempdir().unwrap();
    fs::set_permissions(data.path(), Permissions::from_mode(0o700)).unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let what = only("port", data.path(), &["--listen", &address]);
    assert!(what.contains("another program listens there"), "{what}");
    let stranger = stranger("hello", "Thu, 01 Jan 1970 00:00:00 GMT").to_string();
    let what = only("port", data.path(), &["--admin", &stranger]);
    assert!(what.contains(&stranger), "{what}");
}

#[test]
fn primary_that_is_away_or_none_or_in_another_time_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "a-token-of-24-characters\n").unwrap();
    fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    let token = format!("replica.token_file={}", token.display());
    let data = dir.path().join("data");
    let follows = |primary: SocketAddr| {
        let primary = format!("http://{primary}");
        let arguments = ["--follow", &primary, "--set", &token];
        found(&data, &arguments)
    };
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let away = follows(nobody);
    assert!(away.len() == 1 && away[0].0 == "primary", "{away:?}");
    let replica = r#"{"role":"replica","primary":"http://10.0.0.9:8081"}"#;
    let none = follows(stranger(replica, "Thu, 01 Jan 1970 00:00:00 GMT"));
    assert!(
        none.len() == 1 && none[0].1.contains("10.0.0.9"),
        "{none:?}"
    );
    let primary = r#"{"role":"primary","store":"a","epoch":1}"#;
    let late = follows(stranger(primary, "Thu, 01 Jan 1970 00:00:00 GMT"));
    assert!(late.len() == 1 && late[0].0 == "clock", "{late:?}");
    assert!(late[0].1.contains("behind this one"), "{late:?}");
}

#[test]
fn wrong_configuration_of_a_doctor_ends_with_2() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(["doctor", "--config", "/dev/null", "--set", "net.x=1"]);
    assert_eq!(run(&mut command).status.code(), Some(2));
}

#[test]
fn what_a_machine_lacks_is_a_warning_of_check_config_and_serve() {
    let wrong = ["--memory", "900000GiB", "--admin", "0.0.0.0:0"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command.args(["check-config", "--config", "/dev/null", "--data", "x"]);
    command
        .args(["--set", "writes.free_space_min=900000GiB"])
        .args(wrong);
    let ended = run(&mut command);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    let starts = [
        "warning: store.memory is ",
        "warning: ",
        "warning: the admin port listens at 0.0.0.0:0",
    ];
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), starts.len(), "{said}");
    for (line, start) in lines.into_iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut command = super::command(dir.path());
    command.args(["--listen", "127.0.0.1:0", "--config", "/dev/null"]);
    command.args(["--set", "writes.free_space_min=900000GiB"]);
    let mut server = Running(started(&mut command));
    let mut log = BufReader::new(server.0.stderr.take().unwrap());
    let warning = line_with(&mut log, "less than writes.free_space_min");
    assert!(warning.contains("WARN"), "{warning}");
}
