//! Limits for a client, and the treatment of one that exceeds them.

use std::io::{BufRead, Read, Write};
use std::time::{Duration, Instant};

use super::metrics::Metrics;
use super::{Client, Server};

impl Server {
    /// A client whose request is under way, as so many are together, until it sends one more byte.
    pub(super) fn busy(&self, count: u64) -> Client {
        let mut client = self.connect();
        client.send("POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\n{");
        while Metrics::of(self).count("reviewsd_http_requests_in_flight", &[]) != count {}
        client
    }
}

#[test]
fn a_head_above_the_limit_is_rejected_and_one_at_it_is_not() {
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
fn beyond_the_limit_an_idle_connection_gives_way() {
    let server = Server::with("[net]\nconnections_max = 2\n");
    let mut idle = [server.connect(), server.connect()];
    for client in &mut idle {
        assert_eq!(client.ask("/livez").status, 200);
    }
    let mut next = server.connect();
    assert_eq!(next.ask("/livez").status, 200);
    // A busy machine may take so long for the first that both have to be closed.
    let gone = idle
        .iter_mut()
        .filter_map(|client| (!client.is_waiting()).then_some(client));
    let mut gone: Vec<_> = gone.collect();
    assert!(!gone.is_empty());
    assert!(gone.iter_mut().all(|client| client.is_closed()));
}

#[test]
fn where_no_connection_idles_the_next_one_waits() {
    let server = Server::with("[net]\nconnections_max = 2\n");
    // Their bodies are waited for.
    let busy = [1, 2].map(|count| server.busy(count));
    let mut next = server.connect();
    next.send("GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(next.is_waiting());
    let [first, mut second] = busy;
    drop(first);
    assert_eq!(next.answer().status, 200);
    second.send("}");
    assert_eq!(second.answer().status, 422);
}

#[test]
fn silent_connections_keep_nobody_out_of_either_port() {
    let server = Server::with("[net]\nconnections_max = 50\n");
    let silent = |address| (0..150).map(move |_| Client::to(address));
    let mut held: Vec<Client> = silent(server.api).collect();
    let mut probe = server.connect();
    assert_eq!(probe.ask("/readyz").status, 200);
    held.extend(silent(server.admin));
    assert_eq!(Client::to(server.admin).ask("/readyz").status, 200);
    assert_eq!(server.connect().ask("/readyz").status, 200);
    drop(held);
}

#[test]
fn an_address_has_as_many_connections_as_it_may() {
    let server = Server::with("[net]\nconnections_per_address_max = 2\n");
    let busy = [1, 2].map(|count| server.busy(count));
    // One more is closed at once, until one of them idles, which gives way.
    assert!(server.connect().is_closed());
    let [mut first, _second] = busy;
    first.send("}");
    assert_eq!(first.answer().status, 422);
    let mut next = loop {
        let mut next = server.connect();
        next.send("GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n");
        if !next.socket.fill_buf().unwrap_or_default().is_empty() {
            break next;
        }
    };
    assert_eq!(next.answer().status, 200);
    assert!(first.is_closed());
    let proxied = "[net]\nconnections_per_address_max = 2\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let server = Server::with(proxied);
    let mut all: Vec<Client> = (0..5).map(|_| server.connect()).collect();
    assert!(
        all.iter_mut()
            .all(|client| client.ask("/livez").status == 200)
    );
    assert!(
        all.iter_mut()
            .all(|client| client.ask("/livez").status == 200)
    );
}

#[test]
fn a_connection_without_a_request_ends_in_the_time_of_a_head() {
    let server = Server::with("[net]\nhead_time_max = \"300ms\"\nidle_time_max = \"1h\"\n");
    assert!(server.connect().is_closed());
    assert!(Client::to(server.admin).is_closed());
    let mut used = server.connect();
    assert_eq!(used.ask("/livez").status, 200);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(used.ask("/livez").status, 200);
}

#[test]
fn a_client_that_does_not_take_its_answers_is_dropped() {
    let server = Server::with("[net]\nconnections_max = 1\nwrite_time_max = \"300ms\"\n");
    let mut greedy = Client::in_the_middle_of_an_answer(server.api);
    // There is one slot: the next answer to another client shows that the greedy one was closed.
    let mut next = Client::to(server.api);
    assert_eq!(next.ask("/livez").status, 200);
    let mut rest = Vec::new();
    let _ = greedy.socket.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"]}"));
}
