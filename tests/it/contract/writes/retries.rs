//! Reviews that are sent again under the same name.

use serde_json::json;

use super::{good, server, with};

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
