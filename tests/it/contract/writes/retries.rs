//! Reviews that are sent again under the same name.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;

use super::{good, server, with};
use crate::contract::{Server, settings, writer_options};
use crate::support::own_shop;

#[test]
fn the_same_key_and_body_is_one_review() {
    let server = server();
    let body = good().to_string();
    let key = [("Idempotency-Key", "0b6d5f0e-9a1d-4a35-8f6e-2f1f0a9d6f10")];
    let first = server.post_bytes("/reviews", &key, body.clone());
    assert_eq!(first.status, 201);
    for _ in 0..3 {
        assert_eq!(
            server.post_bytes("/api/reviews/", &key, body.clone()),
            first
        );
    }
    assert_eq!(server.reviews_of(2), 6);
}

#[test]
fn without_a_key_or_with_others_they_are_several() {
    let server = server();
    let body = good().to_string();
    let longest = "~".repeat(255);
    for headers in [
        &[][..],
        &[],
        &[("Idempotency-Key", "1")],
        &[("Idempotency-Key", "2")],
        &[("Idempotency-Key", longest.as_str())],
    ] {
        assert_eq!(
            server.post_bytes("/reviews", headers, body.clone()).status,
            201
        );
    }
    assert_eq!(server.reviews_of(2), 10);
}

#[test]
fn the_same_key_with_another_body_or_product_is_refused() {
    let server = server();
    let key = [("Idempotency-Key", "1")];
    let without = with(&json!({"product_id": null, "characteristics": null})).to_string();
    let first = server.post_bytes("/reviews/2", &key, without.clone());
    assert_eq!(first.status, 201);
    let other_body = server.post_bytes("/reviews", &key, good().to_string());
    let other_product = server.post_bytes("/reviews/1", &key, without.clone());
    for answer in [other_body, other_product] {
        let sentence = "Error: this Idempotency-Key was used with another body";
        assert_eq!((answer.status, answer.body.as_str()), (422, sentence));
    }
    assert_eq!(server.post_bytes("/reviews/2", &key, without), first);
    assert_eq!(server.reviews_of(2) + server.reviews_of(1), 6 + 2);
}

#[test]
fn a_client_with_many_keys_evicts_no_key_of_another() {
    let mut settings = settings();
    settings.writes.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let mut options = writer_options();
    options.idempotency_keys_per_client_max = 3;
    let server = Server::start(own_shop(), &settings, options, |_| {});
    let post = |client: &str, key: &str| {
        let headers = [("Idempotency-Key", key), ("X-Forwarded-For", client)];
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let body = Full::new(Bytes::from(good().to_string()));
        let answer = server.ask(proxy, "POST", "/reviews", &headers, body);
        answer.header("location").unwrap().to_owned()
    };
    let first = post("192.0.2.1", "a");
    let made: Vec<_> = (0..20)
        .map(|number| post(&format!("2001:db8::{number}"), &format!("b{number}")))
        .collect();
    assert_eq!(post("192.0.2.1", "a"), first);
    assert_eq!(post("2001:db8::1", "b19"), made[19]);
    assert_ne!(post("2001:db8::1", "b16"), made[16], "it had three");
    assert_eq!(server.reviews_of(2), 5 + 1 + 20 + 1);
}

#[test]
fn a_body_with_faults_uses_no_key_up() {
    let server = server();
    let key = [("Idempotency-Key", "1")];
    let bad = with(&json!({"rating": 6})).to_string();
    assert_eq!(server.post_bytes("/reviews", &key, bad).status, 422);
    let good = good().to_string();
    assert_eq!(server.post_bytes("/reviews", &key, good).status, 201);
}

#[test]
fn a_key_is_up_to_255_visible_characters() {
    let server = server();
    let long = "k".repeat(256);
    let detail = "Idempotency-Key must be one, of 1 to 255 visible ASCII characters";
    for headers in [
        &[("Idempotency-Key", "")][..],
        &[("Idempotency-Key", "a b")],
        &[("Idempotency-Key", "é")],
        &[("Idempotency-Key", &long)],
        &[("Idempotency-Key", "1"), ("Idempotency-Key", "2")],
    ] {
        let answer = server.post_bytes("/reviews", headers, good().to_string());
        let sentence = format!("Error: {detail}");
        assert_eq!((answer.status, answer.body), (422, sentence), "{headers:?}");
    }
    let headers = [("Idempotency-Key", ""), ("Accept", "application/json")];
    let body = with(&json!({"rating": 6})).to_string();
    let problem = server.post_bytes("/reviews", &headers, body).json();
    assert_eq!(
        problem["errors"],
        json!([
            {"detail": "rating must be a whole number from 1 to 5", "pointer": "/rating"},
            {"detail": detail, "header": "Idempotency-Key"},
        ])
    );
    assert_eq!(server.reviews_of(2), 5);
}
