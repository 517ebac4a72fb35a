//! Moderation of posted reviews: which are published, held and refused, and how many there may be.

mod asked;
mod earlier;
mod reported;
mod service;

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use reviewsd::api::{ModerationPolicy, Quota};
use reviewsd::metrics::Exposition;
use reviewsd::policy::{ContentRules, Verdict, WordList};
use serde_json::{Value, json};

use super::{good, server, with};
use crate::contract::{Answer, Server, settings};
use crate::support::own_shop;

const HOUR: Duration = Duration::from_hours(1);

/// A server over a shop of its own, with these settings of moderation.
fn moderated(moderation: ModerationPolicy) -> Server {
    let mut settings = settings();
    settings.writes.moderation = moderation;
    Server::of(own_shop(), &settings)
}

fn ruled(rules: ContentRules) -> Server {
    moderated(ModerationPolicy {
        rules: rules.into(),
        ..ModerationPolicy::default()
    })
}

fn words(entries: &[&str]) -> WordList {
    let mut words = WordList::default();
    for entry in entries {
        words.add(entry).unwrap();
    }
    words
}

/// Rules of every kind, each with this verdict.
fn rules(verdict: Verdict) -> ContentRules {
    ContentRules {
        words: words(&["casino", "buy now"]),
        words_verdict: verdict,
        links_max: Some(1),
        links_verdict: verdict,
        body_chars_min: 10,
        body_chars_max: Some(200),
        length_verdict: verdict,
        repeated_chars_max: 5,
        repeated_words_min: 4,
        repetition_verdict: verdict,
    }
}

/// For each rule a body that breaks it, the ground and the sentence.
fn broken() -> Vec<(Value, &'static str, &'static str)> {
    let word = "the review has a word that is not accepted";
    let links = "the review has too many links";
    let length = "the body of the review is too short or too long";
    let repetition = "the review repeats the same characters or words too often";
    vec![
        (
            json!({"body": "It beats any CASINO, really."}),
            "words",
            word,
        ),
        (json!({"summary": "Buy, now!"}), "words", word),
        (json!({"name": "Cásino"}), "words", word),
        (
            json!({"body": "https://a.example and b.com/c are fine"}),
            "links",
            links,
        ),
        (json!({"body": "too short"}), "length", length),
        (
            json!({"body": "long ".repeat(3) + &"word and ".repeat(30)}),
            "length",
            length,
        ),
        (
            json!({"body": "It is goooooood, is it not"}),
            "repetition",
            repetition,
        ),
        (
            json!({"body": "good good good good it is"}),
            "repetition",
            repetition,
        ),
    ]
}

/// The number of reviews of product 2 in its list.
fn listed(server: &Server) -> usize {
    server.review_ids("/reviews?product_id=2&count=100").len()
}

/// The answers of two servers but for what names the commit, which tells nothing of a review.
fn alike(one: &Answer, other: &Answer) {
    let plain = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("x-seq");
        (answer.status, headers, answer.body.clone())
    };
    assert_eq!(plain(one), plain(other));
}

/// True if the page of metrics has this line.
fn metric(server: &Server, line: &str) -> bool {
    page(server).lines().any(|of_page| of_page == line)
}

fn page(server: &Server) -> String {
    let mut page = Exposition::default();
    server.api.describe(&mut page);
    let page = format!("{page:?}");
    page.replace(r"\n", "\n").replace(r#"\""#, "\"")
}

#[test]
fn each_rule_refuses_with_a_sentence_and_stores_nothing() {
    let server = ruled(rules(Verdict::Refuse));
    let before = (listed(&server), server.reviews_of(2));
    for (changes, ground, sentence) in broken() {
        assert_eq!(server.refused(&with(&changes)), sentence, "{changes}");
        let counted = format!("{{verdict=\"refuse\",reason=\"{ground}\"}}");
        assert!(page(&server).contains(&counted), "{ground}");
    }
    assert_eq!((listed(&server), server.reviews_of(2)), before);
    assert_eq!(server.post(&good()).status, 201);
    assert_eq!(listed(&server), before.0 + 1);
}

#[test]
fn a_refusal_names_the_member_as_problem_details() {
    let server = ruled(rules(Verdict::Refuse));
    let body = with(&json!({"body": "short"})).to_string();
    let answer = server.post_bytes("/reviews", &[("Accept", "application/json")], body);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let detail = "the body of the review is too short or too long";
    let expected = json!({
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": detail,
        "errors": [{"detail": detail, "pointer": "/body"}],
    });
    assert_eq!(answer.json(), expected);
}

#[test]
fn what_each_rule_holds_is_answered_like_a_published_review() {
    let plain = server();
    let server = ruled(rules(Verdict::Hold));
    let before = (listed(&server), server.reviews_of(2));
    for (changes, ..) in broken() {
        let body = with(&changes);
        let held = server.post(&body);
        alike(&held, &plain.post(&body));
        let place = held.header("location").unwrap();
        assert_eq!(server.get(place).status, 404, "{changes}");
        assert_eq!(plain.get(place).status, 200, "{changes}");
    }
    assert_eq!((listed(&server), server.reviews_of(2)), before);
    assert_eq!(server.post(&good()).status, 201);
    assert_eq!(listed(&server), before.0 + 1);
}

#[test]
fn in_mode_before_every_review_is_held() {
    let server = moderated(ModerationPolicy {
        holds_all: true,
        ..ModerationPolicy::default()
    });
    let before = (listed(&server), server.reviews_of(2));
    for _ in 0..2 {
        assert_eq!(server.post(&good()).status, 201);
    }
    assert_eq!((listed(&server), server.reviews_of(2)), before);
    let line = "reviewsd_moderation_judgements_total{verdict=\"hold\",reason=\"held\"} 2";
    assert!(metric(&server, line));
}

#[test]
fn a_held_review_that_is_sent_again_is_stored_once() {
    let server = moderated(ModerationPolicy {
        holds_all: true,
        reviews_per_client: Some(Quota {
            count: 1,
            window: HOUR,
        }),
        ..ModerationPolicy::default()
    });
    let key = [("Idempotency-Key", "1")];
    let post = |body: String| server.post_bytes("/reviews", &key, body);
    let first = post(good().to_string());
    assert_eq!(first.status, 201);
    // The quota is spent, and the review was posted before it was.
    let again = post(good().to_string());
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.header("location"), first.header("location"));
    // Another review with the same key is not that one.
    let other = post(with(&json!({"rating": 1})).to_string());
    assert_eq!(other.status, 429);
}

#[test]
fn a_published_review_that_is_sent_again_is_not_judged_again() {
    let mut settings = settings();
    let shop = own_shop();
    let key = [("Idempotency-Key", "1")];
    let first = {
        let server = Server::of(shop.clone(), &settings);
        let first = server.post_bytes("/reviews", &key, good().to_string());
        // Rules that came since do not count for it.
        settings.writes.moderation.rules = ContentRules {
            words: words(&["good"]),
            words_verdict: Verdict::Refuse,
            ..ContentRules::default()
        }
        .into();
        server.api.reload(&settings);
        assert_eq!(server.refused(&good()), broken()[0].2);
        let again = server.post_bytes("/reviews", &key, good().to_string());
        assert_eq!(again.header("location"), first.header("location"));
        first
    };
    assert_eq!(first.status, 201);
}

fn post_from(server: &Server, peer: &str, body: &Value) -> Answer {
    let peer: IpAddr = peer.parse().unwrap();
    let body = Full::new(Bytes::from(body.to_string()));
    server.ask(peer, "POST", "/reviews", &[], body)
}

#[test]
fn reviews_of_one_client_are_limited_and_of_others_not() {
    let server = moderated(ModerationPolicy {
        reviews_per_client: Some(Quota {
            count: 2,
            window: HOUR,
        }),
        rules: rules(Verdict::Refuse).into(),
        ..ModerationPolicy::default()
    });
    let first = "2001:db8:1:2:3:4:5:6";
    assert_eq!(post_from(&server, first, &good()).status, 201);
    // What a rule refuses does not count.
    let refused = with(&json!({"body": "short"}));
    assert_eq!(post_from(&server, first, &refused).status, 422);
    assert_eq!(post_from(&server, first, &good()).status, 201);
    // The same /64.
    let limited = post_from(&server, "2001:db8:1:2::9", &good());
    let sentence = "Error: too many writes from this address";
    assert_eq!((limited.status, limited.body.as_str()), (429, sentence));
    assert_eq!(limited.header("retry-after"), Some("1800"));
    assert_eq!(post_from(&server, "2001:db8:1:3::9", &good()).status, 201);
    server.time_ms.store(1_800_000, Ordering::Relaxed);
    assert_eq!(post_from(&server, first, &good()).status, 201);
    assert_eq!(post_from(&server, first, &good()).status, 429);
    let line = "reviewsd_moderation_limited_total{limit=\"reviews_per_client\"} 2";
    assert!(metric(&server, line));
}

#[test]
fn reviews_of_one_product_are_limited_whoever_posts_them() {
    let server = moderated(ModerationPolicy {
        reviews_per_product: Some(Quota {
            count: 1,
            window: HOUR,
        }),
        ..ModerationPolicy::default()
    });
    assert_eq!(post_from(&server, "192.0.2.1", &good()).status, 201);
    let limited = post_from(&server, "192.0.2.2", &good());
    let sentence = "Error: too many reviews of this product; please try again later";
    assert_eq!((limited.status, limited.body.as_str()), (429, sentence));
    assert_eq!(limited.header("retry-after"), Some("3600"));
    let other = with(&json!({"product_id": 1}));
    assert_eq!(post_from(&server, "192.0.2.2", &other).status, 201);
}

#[test]
fn votes_of_a_client_are_limited_but_for_repeated_ones() {
    let mut settings = settings();
    settings.writes.vote_window = Some(HOUR);
    settings.writes.moderation.votes_per_client = Some(Quota {
        count: 2,
        window: HOUR,
    });
    let server = Server::of(own_shop(), &settings);
    for _ in 0..5 {
        assert_eq!(server.put("/reviews/5/helpful").status, 204);
    }
    assert_eq!(server.put("/reviews/3/helpful").status, 204);
    let limited = server.put("/reviews/4/helpful");
    assert_eq!(limited.status, 429);
    assert_eq!(limited.header("retry-after"), Some("1800"));
    // It was not noted as this client's vote.
    server.time_ms.store(1_800_000, Ordering::Relaxed);
    let before = server.get("/reviews/4").json()["helpfulness"].as_u64();
    assert_eq!(server.put("/reviews/4/helpful").status, 204);
    let after = server.get("/reviews/4").json()["helpfulness"].as_u64();
    assert_eq!(after, before.map(|votes| votes + 1));
}

#[test]
fn quotas_that_stay_keep_their_counts_over_a_reload() {
    let mut settings = settings();
    let quota = |count| {
        Some(Quota {
            count,
            window: HOUR,
        })
    };
    settings.writes.moderation.reviews_per_client = quota(1);
    let server = Server::of(own_shop(), &settings);
    assert_eq!(server.post(&good()).status, 201);
    settings.writes.moderation.votes_per_client = quota(1);
    server.api.reload(&settings);
    assert_eq!(server.post(&good()).status, 429);
    settings.writes.moderation.reviews_per_client = quota(2);
    server.api.reload(&settings);
    assert_eq!(server.post(&good()).status, 201);
}

#[test]
fn without_settings_nothing_is_judged_or_counted() {
    let server = server();
    for (changes, ..) in broken() {
        assert_eq!(server.post(&with(&changes)).status, 201);
    }
    let line = "reviewsd_moderation_judgements_total{verdict=\"publish\",reason=\"unstated\"} 0";
    assert!(metric(&server, line));
}
