//! Writes over real sockets: the failures that they survive, and the treatment of a body that is refused.

use std::io::Write;
use std::mem;

use rustix::process::Signal;
use serde_json::Value;

use super::{Client, Server};

const BODY: &str = r#"{"product_id":2,"rating":5,"summary":"s","body":"b","recommend":true,"name":"n","email":"a@b"}"#;

impl Client {
    pub(super) fn post(&mut self, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        self.send(&format!(
            "POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ));
        self.said()
    }

    pub(super) fn put(&mut self, path: &str, headers: &str) -> u16 {
        self.send(&format!(
            "PUT {path} HTTP/1.1\r\nHost: shop\r\n{headers}\r\n"
        ));
        self.said().0
    }

    fn said(&mut self) -> (u16, String) {
        let answer = self.answer();
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    fn json(&mut self, path: &str) -> Value {
        serde_json::from_slice(&self.ask(path).body).unwrap()
    }
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    for durability in ["fsync", "interval"] {
        let config = format!("[writes]\ndurability = \"{durability}\"\ninterval = \"1h\"\n");
        let mut server = Server::with(&config);
        let mut client = server.connect();
        let key = "Idempotency-Key: 1\r\n";
        for _ in 0..2 {
            assert_eq!(client.post(key, BODY), (201, "Created".to_owned()));
        }
        assert_eq!(client.put("/reviews/6000/helpful", ""), 204);
        assert_eq!(client.put("/reviews/5/report", ""), 204);
        assert_eq!(
            client.put("/reviews/5/report", "Content-Length: 2\r\n\r\n{}"),
            204
        );
        let review = client.json("/reviews/6000");
        assert_eq!(review["helpfulness"], 1);
        let meta = client.json("/reviews/2/meta");
        let dir = mem::replace(&mut server.dir, tempfile::tempdir().unwrap());
        server.signal(Signal::TERM);
        let (code, log) = server.ended();
        assert_eq!(code, Some(0), "{log}");
        let server = Server::of(dir, &config);
        let mut client = server.connect();
        assert_eq!(client.json("/reviews/6000"), review);
        assert_eq!(client.json("/reviews/2/meta"), meta);
        assert_eq!(client.ask("/reviews/5").status, 404);
        assert_eq!(client.post(key, BODY).0, 201);
        assert_eq!(client.json("/reviews/2/meta"), meta);
    }
}

#[test]
fn a_connection_goes_on_after_a_write_that_is_refused() {
    let server = Server::with("");
    let mut client = server.connect();
    assert_eq!(client.post("", "{}").0, 422);
    assert_eq!(client.post("", "{").0, 400);
    assert_eq!(client.put("/reviews/999999/helpful", ""), 404);
    client.send("POST /reviews HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in BODY.as_bytes().chunks(40) {
        let piece = str::from_utf8(piece).unwrap();
        client.send(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.said().0, 201);
}

#[test]
fn a_client_that_sends_too_much_reads_the_error() {
    let server = Server::with("");
    let body = " ".repeat(300_000);
    for _ in 0..20 {
        let mut told = server.connect();
        assert_eq!(told.post("", &body).0, 413);
        assert!(told.is_closed());
        let mut streaming = server.connect();
        let head = "POST /reviews HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n";
        streaming.send(head);
        streaming.send(&format!("{:x}\r\n{body}\r\n", body.len()));
        assert_eq!(streaming.said().0, 413);
        assert!(streaming.is_closed());
    }
}

#[test]
fn a_client_that_never_stops_sending_is_cut_off() {
    let server = Server::with("");
    let mut client = server.connect();
    let head = "POST /reviews HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head);
    client.send("ffffffff\r\n");
    let mut socket = client.socket.get_ref().try_clone().unwrap();
    while socket.write_all(&[b' '; 4096]).is_ok() {}
}

#[test]
fn a_slow_body_ends_the_connection_however_it_trickles() {
    let server = Server::with("[net]\nbody_time_max = \"300ms\"\n");
    let mut client = server.connect();
    client.send("POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\n{");
    let mut socket = client.socket.get_ref().try_clone().unwrap();
    while client.is_waiting() {
        if socket.write_all(b" ").is_err() {
            break;
        }
    }
    let (status, sentence) = client.said();
    assert_eq!(
        (status, sentence.as_str()),
        (408, "Error: the body did not arrive in time")
    );
    assert!(client.is_closed());
}

#[test]
fn a_body_below_the_rate_ends_before_its_time() {
    let server = Server::with("[net]\nbody_time_max = \"2s\"\nrate_min = \"1MiB\"\n");
    let mut client = server.connect();
    client.send("POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\n{");
    let begun = std::time::Instant::now();
    assert_eq!(client.said().0, 408);
    // A busy machine makes it later, and hides a fault then.
    assert!(begun.elapsed() >= std::time::Duration::from_millis(900));
    assert!(client.is_closed());
    let server = Server::with("[net]\nbody_time_max = \"1d\"\nrate_min = \"1MiB\"\n");
    let mut client = server.connect();
    client.send("POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\n{");
    assert!(client.is_waiting());
}

#[test]
fn clients_behind_a_trusted_proxy_are_told_apart() {
    let server =
        Server::with("[net]\ntrusted_proxies = [\"127.0.0.1\"]\n[writes]\nvote_window = \"1h\"\n");
    let mut proxy = server.connect();
    for (client, helpfulness) in [("192.0.2.1", 6), ("192.0.2.1", 6), ("192.0.2.2", 7)] {
        let headers = format!("X-Forwarded-For: 192.0.2.9, {client}\r\n");
        assert_eq!(proxy.put("/reviews/5/helpful", &headers), 204);
        assert_eq!(proxy.json("/reviews/5")["helpfulness"], helpfulness);
    }
}

#[test]
fn a_rate_limit_is_told_with_its_time() {
    let server = Server::with("[writes]\nrate_limit_per_second = 1\nrate_limit_burst = 1\n");
    let mut client = server.connect();
    assert_eq!(client.post("", BODY).0, 201);
    // One a second, and the machine may take longer than that for one.
    let mut more = (0..50).map(|_| client.post("", BODY));
    let refused = more.find(|(status, _)| *status != 201);
    let text = "Error: too many writes from this address".to_owned();
    assert_eq!(refused, Some((429, text)));
    assert_eq!(client.ask("/reviews/5").status, 200);
}

#[test]
fn below_the_free_space_clients_do_not_write_and_reads_go_on() {
    let server = Server::with("[writes]\nfree_space_min = \"8000000TiB\"\n");
    let mut client = server.connect();
    assert_eq!(client.post("", BODY).0, 507);
    assert_eq!(client.put("/reviews/5/helpful", ""), 507);
    assert_eq!(client.put("/reviews/5/report", ""), 507);
    assert_eq!(client.ask("/reviews/5").status, 200);
}
