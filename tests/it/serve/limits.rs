//! What a client may take, and what becomes of one that takes more.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::{Client, Server};

#[test]
fn a_head_that_is_too_large_is_refused_and_one_just_below_is_not() {
    let server = Server::with("");
    let request = |bytes: usize| {
        let start = "GET /products/7/related HTTP/1.1\r\nHost: shop\r\nX-Long: ";
        let filling = "x".repeat(bytes - start.len() - 4);
        format!("{start}{filling}\r\n\r\n")
    };
    let mut client = server.connect();
    client.send(&request(16 << 10));
    assert_eq!(client.answer().body, b"[7]");
    client.send(&request((16 << 10) + 1));
    assert_eq!(client.answer().status, 431);
    assert!(client.is_closed());
}

#[test]
fn a_head_with_too_many_headers_is_refused() {
    let server = Server::with("");
    let mut client = server.connect();
    let headers = "X: y\r\n".repeat(200);
    client.send(&format!("GET /livez HTTP/1.1\r\n{headers}\r\n"));
    assert_eq!(client.answer().status, 431);
}

#[test]
fn what_is_not_http_is_refused() {
    let server = Server::with("");
    let mut client = server.connect();
    client.send("\u{1}\u{2}\u{3}\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    assert!(client.is_closed());
}

#[test]
fn a_slow_head_ends_the_connection_however_it_trickles() {
    let server = Server::with("[net]\nhead_time_max = \"300ms\"\n");
    let mut client = server.connect();
    assert_eq!(client.ask("/livez").status, 200);
    client.send("GET /livez HTTP/1.1\r\nX: ");
    let mut socket = client.socket.get_ref().try_clone().unwrap();
    // As long as the connection lasts, a byte now and then.
    while client.is_waiting() {
        if socket.write_all(b"x").is_err() {
            break;
        }
    }
    assert!(client.is_closed());
}

#[test]
fn a_connection_that_idles_ends() {
    let server = Server::with("[net]\nidle_time_max = \"2s\"\n");
    let mut used = server.connect();
    assert_eq!(used.ask("/livez").status, 200);
    let mut silent = server.connect();
    assert!(used.is_closed());
    assert!(silent.is_closed());
}

#[test]
fn a_connection_that_is_used_outlives_the_idle_time() {
    let server = Server::with("[net]\nidle_time_max = \"3s\"\n");
    let idle_time_max = Duration::from_secs(3);
    let mut client = server.connect();
    let (mut begun, mut used) = (Instant::now(), Instant::now());
    while begun.elapsed() < idle_time_max * 3 / 2 {
        if client.is_waiting() {
            assert_eq!(client.ask("/livez").status, 200);
        } else {
            // This machine made it idle for too long; once more.
            assert!(used.elapsed() >= idle_time_max);
            client = server.connect();
            begun = Instant::now();
        }
        used = Instant::now();
    }
    assert!(client.is_closed());
}

#[test]
fn beyond_the_limit_of_connections_clients_wait() {
    let server = Server::with("[net]\nconnections_max = 2\n");
    let mut first = server.connect();
    let mut second = server.connect();
    assert_eq!(first.ask("/livez").status, 200);
    assert_eq!(second.ask("/livez").status, 200);
    let mut third = server.connect();
    third.send("GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(third.is_waiting());
    assert_eq!(first.ask("/livez").status, 200);
    drop(second);
    assert_eq!(third.answer().status, 200);
}

#[test]
fn a_client_that_does_not_take_its_answers_is_dropped() {
    let server = Server::with("[net]\nconnections_max = 1\nwrite_time_max = \"300ms\"\n");
    let mut greedy = Client::in_the_middle_of_an_answer(server.api);
    // There is one slot: whoever is answered next tells that the greedy one is gone.
    let mut next = Client::to(server.api);
    assert_eq!(next.ask("/livez").status, 200);
    let mut rest = Vec::new();
    let _ = greedy.socket.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"]}"));
}
