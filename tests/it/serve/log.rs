//! The content of the log, its form, and that no thread waits for it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use super::metrics::Metrics;
use super::{Client, Server, command};
use crate::support::no_forks;

impl Client {
    /// GET with one more header line.
    fn ask_with(&mut self, path: &str, header: &str) -> super::Answer {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: shop\r\n{header}\r\n\r\n"
        ));
        self.answer()
    }
}

fn id_of(answer: &super::Answer) -> Option<&str> {
    let mut lines = answer.head.lines();
    lines.find_map(|line| line.strip_prefix("x-request-id: "))
}

#[test]
fn an_answer_bears_the_name_that_its_request_bore() {
    let server = Server::with("");
    let mut client = server.connect();
    for path in [
        "/reviews/5",
        "/reviews/5",
        "/nothing",
        "/reviews?product_id=x",
    ] {
        let answer = client.ask_with(path, "X-Request-Id: 6f1ed002-ab55:1/a");
        assert_eq!(id_of(&answer), Some("6f1ed002-ab55:1/a"), "{path}");
        assert_eq!(id_of(&client.ask(path)), None, "{path}");
    }
    for wrong in ["a b", "ana@example.org", &"x".repeat(129)] {
        let answer = client.ask_with("/reviews/5", &format!("X-Request-Id: {wrong}"));
        assert_eq!((answer.status, id_of(&answer)), (200, None));
    }
    let mut operator = Client::to(server.admin);
    let answer = operator.ask_with("/metrics", "X-Request-Id: 7");
    assert_eq!(id_of(&answer), Some("7"));
}

#[test]
fn every_request_has_a_line_where_that_is_asked_for() {
    let mut server = Server::with("[log]\naccess = true\nslow_request_time = \"1h\"\n");
    let mut client = server.connect();
    let answer = client.ask("/reviews?product_id=2&note=ana%40example.org");
    let id = id_of(&answer).unwrap().to_owned();
    let bytes = format!("body_bytes={}", answer.body.len());
    let line = server.told(&[
        " INFO ",
        "request_id=",
        "method=GET",
        "path=/reviews ",
        "status=200",
    ]);
    assert!(line.contains(&id) && line.contains(&bytes), "{line}");
    assert!(
        line.contains("peer=127.0.0.1") && line.contains("time_ms="),
        "{line}"
    );
    client.ask_with(
        "/reviews/ana@example.org/meta?e=ana@example.org",
        "X-Request-Id: mine",
    );
    client.send("PUT /reviews/5/helpful?ana@example.org HTTP/1.1\r\nHost: shop\r\nX-Mail: ana@example.org\r\n\r\n");
    assert_eq!(client.answer().status, 204);
    let body = r#"{"product_id":2,"rating":5,"summary":"s","body":"b","recommend":true,"name":"n","email":"ana@example.org"}"#;
    client.send(&format!(
        "POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.answer().status, 201);
    server.signal(Signal::TERM);
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    for words in [
        ["path=/reviews/…/meta ", "status=422", "request_id=\"mine\""],
        ["path=/reviews/5/helpful ", "method=PUT", "status=204"],
        ["path=/reviews ", "method=POST", "status=201"],
    ] {
        let mut lines = log.lines();
        assert!(
            lines.any(|line| words.iter().all(|word| line.contains(word))),
            "{words:?}: {log}"
        );
    }
    for private in ["ana", "example", "note", '?'.to_string().as_str()] {
        assert!(!log.contains(private), "{private}: {log}");
    }
}

#[test]
fn no_request_has_a_line_unless_that_is_asked_for() {
    let server = Server::with("[log]\nslow_request_time = \"1h\"\n");
    assert_eq!(server.connect().ask("/reviews/5").status, 200);
    server.signal(Signal::TERM);
    let log = server.ended().1;
    assert!(!log.contains(" request "), "{log}");
}

#[test]
fn a_slow_request_has_a_line_in_any_case() {
    let mut server = Server::with("[log]\nslow_request_time = \"1ms\"\n");
    let mut client = server.connect();
    client.send("POST /reviews?secret HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\n{");
    // The rest of the body is late by as long as this takes.
    assert!(client.is_waiting());
    client.send("}");
    let answer = client.answer();
    assert_eq!(answer.status, 422);
    let line = server.told(&[
        " WARN slow request ",
        "method=POST",
        "path=/reviews ",
        "status=422",
    ]);
    assert!(line.contains(id_of(&answer).unwrap()), "{line}");
    assert!(!line.contains("secret"), "{line}");
    let (_, time) = line.split_once("time_ms=").unwrap();
    let time: f64 = time.split(' ').next().unwrap().parse().unwrap();
    assert!(time >= 1.0, "{line}");
}

#[test]
fn lines_are_json_where_that_is_asked_for() {
    let server =
        Server::with("[log]\nformat = \"json\"\naccess = true\nslow_request_time = \"1h\"\n");
    let mut client = server.connect();
    client.ask_with("/reviews/5", "X-Request-Id: a1");
    server.signal(Signal::TERM);
    let log = server.ended().1;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let request = lines
        .iter()
        .find(|line| line["message"] == "request")
        .unwrap();
    assert_eq!(request["level"], "INFO");
    assert_eq!(request["target"], "reviewsd_api::access_log");
    assert_eq!(request["request_id"], "a1");
    assert_eq!(request["path"], "/reviews/5");
    assert_eq!(request["status"], 200);
    assert!(request["time_ms"].is_f64() && request["body_bytes"].is_u64());
    assert!(request["timestamp"].is_string());
    assert!(lines.iter().any(|line| line["message"] == "ended"));
}

#[test]
fn the_journal_gets_priorities_instead_of_times() {
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("said");
    // systemd's journal states which file it passed; another file is not the journal, whatever is inherited.
    for (more, first) in [(0, '<'), (1, '2')] {
        let file = File::create(&said).unwrap();
        let of = file.metadata().unwrap();
        let stream = format!("{}:{}", of.dev(), of.ino() + more);
        let mut command = command(&dir.path().join("data"));
        command.args(["--listen", "127.0.0.1:0"]);
        command.env("JOURNAL_STREAM", stream);
        command.stderr(Stdio::from(file));
        let mut child = {
            let _no_forks = no_forks();
            command.spawn().unwrap()
        };
        let log = loop {
            let log = fs::read_to_string(&said).unwrap();
            if log.contains("(admin)") || child.try_wait().unwrap().is_some() {
                break log;
            }
        };
        let _ = child.kill();
        let _ = child.wait();
        let line = log.lines().find(|line| line.contains("(admin)"));
        let line = line.unwrap_or_else(|| panic!("{log}"));
        assert!(line.starts_with(first), "{line}");
        assert_eq!(line.starts_with("<6>listening on"), more == 0, "{line}");
    }
}

#[test]
fn a_module_has_a_level_of_its_own() {
    let idle = "[net]\nidle_time_max = \"50ms\"\n[log]\n";
    for (level, is_told) in [("info,reviewsd::net=debug", true), ("info", false)] {
        let server = Server::with(&format!("{idle}level = \"{level}\"\n"));
        assert!(server.connect().is_closed());
        server.signal(Signal::TERM);
        let log = server.ended().1;
        assert_eq!(
            log.contains("DEBUG a client was too slow"),
            is_told,
            "{log}"
        );
        assert!(log.contains("INFO ended"), "{log}");
    }
}

#[test]
fn nobody_waits_for_a_log_that_is_not_read() {
    let mut server = Server::with("[log]\naccess = true\nslow_request_time = \"1h\"\n");
    let mut client = server.connect();
    let request = "GET /products/1/related HTTP/1.1\r\nHost: shop\r\n\r\n".repeat(100);
    let mut asked = 0;
    // More than a pipe and the queue before it hold.
    while Metrics::of(&server).count("reviewsd_log_lost_lines_total", &[]) == 0 {
        client.send(&request);
        for _ in 0..100 {
            assert_eq!(client.answer().status, 200);
        }
        asked += 100;
        assert!(asked < 1_000_000, "no line was lost");
    }
    server.signal(Signal::TERM);
    let mut log = String::new();
    server.log.read_to_string(&mut log).unwrap();
    assert!(log.contains("lines of the log were lost"), "{}", log.len());
    let lines = log
        .lines()
        .filter(|line| line.contains("path=/products/1/related"))
        .count();
    assert!(lines > 1000 && lines < asked, "{lines} of {asked}");
}
