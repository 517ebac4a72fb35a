//! Limits on the writes of a client, and its answer when the writer is busy or has failed.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use tokio::task::yield_now;

use super::{good, server};
use crate::contract::{Answer, PEER, RateLimit, Server, request, settings, wait, writer_options};
use crate::support::own_shop;

fn put_from(server: &Server, peer: &str, uri: &str, forwarded: Option<&str>) -> Answer {
    let peer: IpAddr = peer.parse().unwrap();
    let headers: Vec<_> = forwarded
        .map(|list| ("X-Forwarded-For", list))
        .into_iter()
        .collect();
    server.ask(peer, "PUT", uri, &headers, Full::<Bytes>::default())
}

fn helpfulness(server: &Server, id: u64) -> u64 {
    let review = server.get(&format!("/reviews/{id}")).json();
    review["helpfulness"].as_u64().unwrap()
}

#[test]
fn every_vote_counts_unless_a_window_is_set() {
    let server = server();
    for _ in 0..10 {
        assert_eq!(
            put_from(&server, "192.0.2.1", "/reviews/5/helpful", None).status,
            204
        );
    }
    assert_eq!(helpfulness(&server, 5), 15);
}

#[test]
fn within_the_window_a_client_votes_once_for_a_review() {
    let mut settings = settings();
    settings.writes.vote_window = Some(Duration::from_hours(1));
    let server = Server::of(own_shop(), &settings);
    for (peer, id, expected) in [
        ("192.0.2.1", 5, 6),
        ("192.0.2.1", 5, 6),
        ("192.0.2.2", 5, 7),
        ("192.0.2.1", 3, 6),
        ("192.0.2.1", 5, 7),
    ] {
        let answer = put_from(&server, peer, &format!("/reviews/{id}/helpful"), None);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(helpfulness(&server, id), expected);
    }
    server.time_ms.store(3_600_000, Ordering::Relaxed);
    assert_eq!(
        put_from(&server, "192.0.2.1", "/reviews/5/helpful", None).status,
        204
    );
    assert_eq!(helpfulness(&server, 5), 8);
}

#[test]
fn a_vote_for_no_review_is_not_found_however_often() {
    let mut settings = settings();
    settings.writes.vote_window = Some(Duration::from_hours(1));
    let server = Server::of(own_shop(), &settings);
    for _ in 0..3 {
        assert_eq!(server.put("/reviews/999/helpful").status, 404);
    }
}

#[test]
fn only_trusted_proxies_say_whom_they_ask_for() {
    let mut settings = settings();
    settings.writes.vote_window = Some(Duration::from_hours(1));
    settings.writes.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let server = Server::of(own_shop(), &settings);
    let vote = |peer, forwarded| {
        put_from(&server, peer, "/reviews/5/helpful", Some(forwarded));
        helpfulness(&server, 5)
    };
    assert_eq!(vote("10.0.0.1", "192.0.2.1"), 6);
    assert_eq!(vote("10.0.0.2", "192.0.2.1, 10.0.0.1"), 6);
    assert_eq!(vote("10.0.0.1", "192.0.2.9, 192.0.2.1"), 6);
    assert_eq!(vote("10.0.0.1", "192.0.2.2"), 7);
    // Not a trusted proxy, despite its header.
    assert_eq!(vote("192.0.2.3", "192.0.2.4"), 8);
    assert_eq!(vote("192.0.2.3", "192.0.2.5"), 8);
}

#[test]
fn writes_beyond_the_rate_are_told_when_to_try_again() {
    let mut settings = settings();
    settings.writes.rate_limit = Some(RateLimit {
        per_second: 1,
        burst: 2,
    });
    let server = Server::of(own_shop(), &settings);
    assert_eq!(server.post(&good()).status, 201);
    assert_eq!(server.put("/reviews/5/report").status, 204);
    for answer in [
        server.post(&good()),
        server.put("/reviews/3/helpful"),
        server.put("/reviews/3/report"),
    ] {
        let sentence = "Error: too many writes from this address";
        assert_eq!((answer.status, answer.body.as_str()), (429, sentence));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(server.get("/reviews/3").status, 200);
    assert_eq!(
        put_from(&server, "192.0.2.2", "/reviews/3/helpful", None).status,
        204
    );
    server.time_ms.store(1000, Ordering::Relaxed);
    assert_eq!(server.put("/reviews/3/helpful").status, 204);
    assert_eq!(server.put("/reviews/3/helpful").status, 429);
}

#[test]
fn on_a_full_disk_clients_do_not_write_and_reads_go_on() {
    let mut options = writer_options();
    options.free_space_min = u64::MAX;
    let server = Server::start(own_shop(), &settings(), options, |_| {});
    let before = server.get("/reviews/5");
    for answer in [
        server.post(&good()),
        server.put("/reviews/5/helpful"),
        server.put("/reviews/5/report"),
    ] {
        let id = answer.header("x-request-id").unwrap();
        let sentence = format!(
            "Error: the disk is almost full, so writes are rejected; nothing was changed \
             (request {id})"
        );
        assert_eq!((answer.status, &answer.body), (507, &sentence));
    }
    assert_eq!(server.reviews_of(2), 5);
    assert_eq!(server.get("/reviews/5"), before);
}

#[test]
fn when_too_many_writes_wait_the_next_is_told_to_try_again() {
    let (enter, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let left = Mutex::new(left);
    let mut options = writer_options();
    options.queue_max = 1;
    let committed = move |_| {
        let _ = enter.send(());
        let _ = left.lock().unwrap().recv();
    };
    let server = Server::start(own_shop(), &settings(), options, committed);
    let vote = || {
        let request = request("PUT", "/reviews/5/helpful", &[], Full::<Bytes>::default());
        server.api.handle(request, PEER)
    };
    let third = wait(async {
        let (mut first, mut second) = (Box::pin(vote()), Box::pin(vote()));
        // Handed over, and not answered.
        tokio::select! { biased; _ = &mut first => panic!(), () = yield_now() => {} }
        entered.recv().unwrap();
        tokio::select! { biased; _ = &mut second => panic!(), () = yield_now() => {} }
        let third = vote().await;
        drop(leave);
        assert_eq!(first.await.status(), 204);
        assert_eq!(second.await.status(), 204);
        third
    });
    let id = third.header("x-request-id").unwrap();
    let sentence = format!("Error: too many writes are waiting; please try again (request {id})");
    assert_eq!((third.status, &third.body), (503, &sentence));
    assert_eq!(third.header("retry-after"), Some("1"));
    assert_eq!(helpfulness(&server, 5), 7);
}

#[test]
fn a_client_that_hangs_up_has_written_all_the_same() {
    let server = server();
    wait(async {
        let request = request("PUT", "/reviews/5/helpful", &[], Full::<Bytes>::default());
        let mut gone = Box::pin(server.api.handle(request, PEER));
        tokio::select! { biased; _ = &mut gone => {}, () = yield_now() => {} }
        drop(gone);
        // Behind it in the queue.
        let request = request_to_vote();
        server.api.handle(request, PEER).await
    });
    assert_eq!(helpfulness(&server, 5), 7);
}

fn request_to_vote() -> hyper::Request<Full<Bytes>> {
    request("PUT", "/reviews/5/helpful", &[], Full::default())
}

#[test]
fn a_writer_that_is_gone_leaves_the_outcome_unknown() {
    let broken = |_| panic!("the writer ends here, as a test wants it");
    let server = Server::start(own_shop(), &settings(), writer_options(), broken);
    let answer = server.post(&good());
    let id = answer.header("x-request-id").unwrap();
    let sentence = format!(
        "Error: the write failed and its outcome is unknown; sending it again is safe with the \
         same Idempotency-Key (request {id})"
    );
    assert_eq!((answer.status, &answer.body), (503, &sentence));
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(server.get("/reviews/5").status, 200);
}
