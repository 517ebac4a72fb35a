//! Many clients that read, send or hold as much as they may: their cost to the server, and the clients that
//! bear it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};

use socket2::{Domain, Socket, Type};

use super::{Client, PATIENCE, Server};

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
    // A thirty-second part of 64 MiB has space for 32 bodies.
    let server = Server::with("[net]\nbody_time_max = \"1h\"\n");
    let mut stuck: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    for client in &mut stuck {
        post(client, 60_000, 59_999);
    }
    // The server does not report when those have been read, so another one asks until it is refused.
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
    // Those that wait are dropped as soon as the server sees that their clients have disconnected.
    while {
        let mut client = server.connect();
        post(&mut client, 60_000, 60_000);
        client.answer().status != 201
    } {}
}

/// A server with a product, 2, of so many reviews with bodies of 10,000 characters and photos to match:
/// each has 55,000 bytes as JSON.
fn with_large_reviews(reviews: usize, config: &str) -> Server {
    let server = Server::with(config);
    let url = format!("https://img.example/{}", "x".repeat(1900));
    let photos = vec![format!("\"{url}\""); 5].join(",");
    // Three bytes a character, and four where they are escaped.
    let text = "\u{6f22}".repeat(10_000);
    let body = format!(
        r#"{{"product_id":9,"rating":5,"summary":"s","body":"{text}","recommend":true,"name":"n","email":"a@b","photos":[{photos}]}}"#
    );
    let mut client = server.connect();
    for _ in 0..reviews {
        client.send(&format!(
            "POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(client.answer().status, 201);
    }
    server
}

/// A client that does not read the answer to this request. `of` is the client of a trusted proxy.
fn silent(server: &Server, path: &str, of: &str) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.api.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client {
        socket: BufReader::with_capacity(1, socket.into()),
    };
    client.send(&format!(
        "GET {path} HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: {of}\r\n\r\n"
    ));
    client
}

/// The status of the answer to a request for a client, which is read to its end.
fn status(server: &Server, path: &str, of: &str) -> u16 {
    let mut client = server.connect();
    client.send(&format!(
        "GET {path} HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: {of}\r\n\r\n"
    ));
    client.answer().status
}

const PROXIED: &str = "[net]\ntrusted_proxies = [\"127.0.0.1\"]\nwrite_time_max = \"1h\"\n";
const LARGE_PAGE: &str = "/reviews?product_id=9&count=64";

#[test]
fn silent_readers_of_large_pages_hold_no_more_than_the_budget() {
    let config = format!("{PROXIED}[api]\nwait_time_max = \"10ms\"\n");
    let server = with_large_reviews(64, &config);
    assert_eq!(status(&server, LARGE_PAGE, "192.0.2.0"), 200);
    let before = server.resident_bytes();
    let readers: Vec<_> = (0..200)
        .map(|n| silent(&server, LARGE_PAGE, &format!("192.0.2.{n}")))
        .collect();
    // Each has its answer, or is refused one, before the next is asked.
    let mut refused = 0;
    for mut reader in readers.iter().map(|reader| reader.socket.get_ref()) {
        let mut line = [0; "HTTP/1.1 200".len()];
        reader.read_exact(&mut line).unwrap();
        refused += usize::from(&line == b"HTTP/1.1 503");
    }
    assert!((190..200).contains(&refused), "{refused}");
    // The budget is 8 MiB; pages are rendered besides.
    let more = server.resident_bytes().saturating_sub(before);
    assert!(more < 64 << 20, "{more}");
    assert_eq!(
        status(&server, "/reviews?product_id=2", "198.51.100.1"),
        200
    );
    drop(readers);
    while status(&server, LARGE_PAGE, "198.51.100.1") != 200 {}
}

#[test]
fn a_client_holds_half_of_the_budget_and_others_the_rest() {
    let config = format!("{PROXIED}[api]\nwait_time_max = \"10ms\"\n");
    let server = with_large_reviews(64, &config);
    let mut held = vec![silent(&server, LARGE_PAGE, "192.0.2.1")];
    assert_ne!(held[0].socket.fill_buf().unwrap(), b"");
    // A page has 2.5 MB, and half of the budget is 4 MiB.
    let mut second = server.connect();
    let ask = "HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    second.send(&format!("GET {LARGE_PAGE} {ask}"));
    let refused = second.answer();
    assert_eq!(refused.status, 429);
    assert!(
        refused.head.contains("retry-after: 1\r\n"),
        "{}",
        refused.head
    );
    // Its small pages are answered, and so are those of other clients, until those hold the rest.
    assert_eq!(status(&server, "/reviews?product_id=2", "192.0.2.1"), 200);
    held.push(silent(&server, LARGE_PAGE, "192.0.2.2"));
    assert_ne!(held[1].socket.fill_buf().unwrap(), b"");
    assert_eq!(status(&server, LARGE_PAGE, "192.0.2.3"), 503);
    held.remove(0);
    while status(&server, LARGE_PAGE, "192.0.2.3") != 200 {}
}

#[test]
fn an_answer_waits_for_its_part_of_the_budget() {
    let server = with_large_reviews(64, &format!("{PROXIED}[api]\nwait_time_max = \"1m\"\n"));
    let mut held = silent(&server, LARGE_PAGE, "192.0.2.1");
    assert_ne!(held.socket.fill_buf().unwrap(), b"");
    let mut waiting = silent(&server, LARGE_PAGE, "192.0.2.1");
    assert!(waiting.is_waiting());
    drop(held);
    assert_eq!(waiting.answer().status, 200);
}

#[test]
fn a_page_of_large_rows_ends_early_and_says_so() {
    let server = with_large_reviews(8, "[api]\npage_bytes_max = \"128KiB\"\n");
    let mut client = server.connect();
    let answer = client.ask(LARGE_PAGE);
    assert!(
        answer.head.contains("x-truncated: 3\r\n"),
        "{}",
        answer.head
    );
    let list: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(list["count"], 64);
    assert_eq!(list["results"].as_array().unwrap().len(), 3);
    let answer = client.ask("/reviews?product_id=9&count=3&page=3");
    assert!(!answer.head.contains("x-truncated"), "{}", answer.head);
    let list: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(list["results"].as_array().unwrap().len(), 2);
}
