//! Reviews that are judged by those before them: of one e-mail address, and of one product.

use reviewsd::api::ModerationPolicy;
use reviewsd::policy::Verdict;
use serde_json::{Value, json};

use super::{good, listed, metric, moderated, with};
use crate::contract::{Server, settings};
use crate::support::own_shop;

fn by(email: &str) -> Value {
    with(&json!({"email": email}))
}

fn with_duplicates(duplicates: Verdict) -> Server {
    moderated(ModerationPolicy {
        duplicates,
        ..ModerationPolicy::default()
    })
}

#[test]
fn in_mode_before_known_addresses_publish_at_once() {
    let mut settings = settings();
    let server = Server::of(own_shop(), &settings);
    assert_eq!(server.post(&by("ana@example.org")).status, 201);
    settings.writes.moderation.holds_all = true;
    settings.writes.moderation.publishes_known = true;
    server.api.reload(&settings);
    let before = listed(&server);
    for (email, more) in [
        ("ana@example.org", 1),
        ("Ana@Example.org", 2),
        ("bob@example.org", 2),
        // Held, and so not known.
        ("bob@example.org", 2),
        ("", 2),
        ("", 2),
    ] {
        assert_eq!(server.post(&by(email)).status, 201, "{email}");
        assert_eq!(listed(&server), before + more, "{email}");
    }
}

#[test]
fn a_second_review_of_a_product_by_one_address_is_refused() {
    let server = with_duplicates(Verdict::Refuse);
    assert_eq!(server.post(&by("ana@example.org")).status, 201);
    let before = server.reviews_of(2);
    let sentence = "there is a review of this product with this e-mail address already";
    assert_eq!(server.refused(&by("ANA@example.org")), sentence);
    assert_eq!(server.reviews_of(2), before);
    assert_eq!(server.post(&by("bob@example.org")).status, 201);
    let other = with(&json!({"email": "ana@example.org", "product_id": 1}));
    assert_eq!(server.post(&other).status, 201);
    // No address is nobody's.
    for _ in 0..2 {
        assert_eq!(server.post(&by("")).status, 201);
    }
    let line = "reviewsd_moderation_judgements_total{verdict=\"refuse\",reason=\"duplicate\"} 1";
    assert!(metric(&server, line));
}

#[test]
fn a_second_review_of_a_product_by_one_address_is_held() {
    let server = with_duplicates(Verdict::Hold);
    assert_eq!(server.post(&by("ana@example.org")).status, 201);
    let before = listed(&server);
    let key = [("Idempotency-Key", "1")];
    let body = by("ana@example.org").to_string();
    let held = server.post_bytes("/reviews", &key, body.clone());
    assert_eq!(held.status, 201);
    assert_eq!(listed(&server), before);
    let again = server.post_bytes("/reviews", &key, body);
    assert_eq!(again.header("location"), held.header("location"));
    assert_eq!(server.post(&by("bob@example.org")).status, 201);
    assert_eq!(listed(&server), before + 1);
    let line = "reviewsd_moderation_judgements_total{verdict=\"hold\",reason=\"duplicate\"} 1";
    assert!(metric(&server, line));
}

#[test]
fn by_default_one_address_may_review_a_product_again() {
    let server = super::server();
    let before = listed(&server);
    for _ in 0..3 {
        assert_eq!(server.post(&good()).status, 201);
    }
    assert_eq!(listed(&server), before + 3);
}
