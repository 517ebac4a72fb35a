//! Many clients that take, send or hold as much as they may: what they cost the server, and whom.

use std::fs;
use std::io::Write;

use super::{Client, Server};

impl Server {
    /// Bytes of memory that the process has.
    fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib << 10
    }
}

const REVIEW: &str = r#"{"product_id":2,"rating":5,"summary":"s","body":"b","recommend":true,"name":"n","email":"a@b"}"#;

/// Sends a review that is padded to `length` bytes, as many of them as `sent` says.
fn post(client: &mut Client, length: usize, sent: usize) {
    let body = format!("{REVIEW}{}", " ".repeat(length - REVIEW.len()));
    client.send(&format!(
        "POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n{}",
        &body[..sent]
    ));
}

#[test]
fn bodies_that_come_byte_by_byte_hold_one_buffer_each() {
    let server = Server::with("[net]\nbody_time_max = \"1h\"\n");
    assert_eq!(server.connect().ask("/livez").status, 200);
    let mut clients: Vec<Client> = (0..80).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.socket.get_ref().set_nodelay(true).unwrap();
        post(client, 60_000, 1);
    }
    let before = server.resident_bytes();
    for _ in 0..500 {
        for client in &mut clients {
            client.socket.get_mut().write_all(b" ").unwrap();
        }
    }
    // All that was sent before has been read once another client is answered.
    assert_eq!(server.connect().ask("/livez").status, 200);
    let more = server.resident_bytes().saturating_sub(before);
    assert!(more < 16 << 20, "{more} bytes for 40,000 bytes of bodies");
}

#[test]
fn bodies_beyond_their_budget_are_refused_and_reads_go_on() {
    // A thirty-second part of 64 MiB is room for 32 bodies.
    let server = Server::with("[net]\nbody_time_max = \"1h\"\n");
    let mut stuck: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    for client in &mut stuck {
        post(client, 60_000, 59_999);
    }
    // Nobody says when those have been read, so another asks until it is refused.
    let refused = loop {
        let mut client = server.connect();
        post(&mut client, 1000, 1000);
        let answer = client.answer();
        if answer.status != 201 {
            assert!(client.is_closed());
            break answer;
        }
    };
    assert_eq!(refused.status, 503);
    assert!(
        refused.head.contains("retry-after: 1\r\n"),
        "{}",
        refused.head
    );
    assert_eq!(server.connect().ask("/reviews?product_id=2").status, 200);
    drop(stuck);
    // Those that wait are let go as soon as the server sees that they are gone.
    while {
        let mut client = server.connect();
        post(&mut client, 60_000, 60_000);
        client.answer().status != 201
    } {}
}
