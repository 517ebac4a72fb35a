//! The HTTP check: a service that answers, refuses, is slow, dead or makes no sense.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reviewsd::api::{ModerationPolicy, ReviewCheck};
use reviewsd::net::{Dialer, Tls, TlsFiles};
use reviewsd::policy::Verdict;
use serde_json::json;

use super::service::CheckService;
use super::{broken, good, listed, metric, moderated, rules, with};
use crate::contract::Server;

/// Longer than a service takes that answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that asks the service at this URL.
fn asking(url: &str, time_max: Duration, unanswered: Verdict) -> Server {
    moderated(ModerationPolicy {
        check: Some(check(url, time_max, unanswered)),
        ..ModerationPolicy::default()
    })
}

fn check(url: &str, time_max: Duration, unanswered: Verdict) -> Arc<ReviewCheck> {
    let tls = Arc::new(Tls::load(TlsFiles::default()).unwrap());
    let dialer = Dialer::new(url, &tls).unwrap();
    Arc::new(ReviewCheck::new(dialer, "/check?k=1", time_max, unanswered).unwrap())
}

fn counted(server: &Server, outcome: &str, count: u64) -> bool {
    let line = format!("reviewsd_moderation_checks_total{{outcome=\"{outcome}\"}} {count}");
    metric(server, &line)
}

#[test]
fn a_review_that_the_service_publishes_is_published() {
    let service = CheckService::answering("200 OK", r#"{"verdict":"publish"}"#);
    let server = asking(&service.url(), PATIENCE, Verdict::Refuse);
    let before = listed(&server);
    let body = with(&json!({"captcha": {"token": "x"}}));
    let headers = [("User-Agent", "a browser")];
    let answer = server.post_bytes("/reviews", &headers, body.to_string());
    assert_eq!(answer.status, 201);
    assert_eq!(listed(&server), before + 1);
    assert!(counted(&server, "publish", 1));
    let asked = service.asked();
    let [(head, sent)] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    assert!(head.starts_with("post /check?k=1 http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    let expected = json!({
        "client": "127.0.0.1",
        "user_agent": "a browser",
        "review": {
            "product_id": 2,
            "rating": 4,
            "summary": "Good",
            "body": "It is as it should be.",
            "recommend": true,
            "name": "walker",
            "email": "walker@example.org",
            "photos": ["https://img.example/1.jpg"],
        },
        "request": body,
    });
    assert_eq!(*sent, expected);
}

#[test]
fn a_review_that_the_service_holds_is_in_no_list() {
    let service = CheckService::answering("200 OK", r#"{"verdict":"hold","reason":"spam"}"#);
    let server = asking(&service.url(), PATIENCE, Verdict::Publish);
    let before = listed(&server);
    assert_eq!(server.post(&good()).status, 201);
    assert_eq!(listed(&server), before);
    assert!(counted(&server, "hold", 1));
    let line = "reviewsd_moderation_judgements_total{verdict=\"hold\",reason=\"spam\"} 1";
    assert!(metric(&server, line));
}

#[test]
fn a_review_that_the_service_refuses_is_not_stored() {
    let service = CheckService::answering("200 OK", r#"{"verdict":"refuse","reason":"fake"}"#);
    let server = asking(&service.url(), PATIENCE, Verdict::Publish);
    let before = server.reviews_of(2);
    assert_eq!(server.refused(&good()), "the review is not accepted");
    assert_eq!(server.reviews_of(2), before);
    assert!(counted(&server, "refuse", 1));
}

#[test]
fn a_service_is_not_asked_about_what_a_rule_refuses() {
    let service = CheckService::answering("200 OK", r#"{"verdict":"publish"}"#);
    let server = moderated(ModerationPolicy {
        rules: rules(Verdict::Refuse).into(),
        check: Some(check(&service.url(), PATIENCE, Verdict::Hold)),
        ..ModerationPolicy::default()
    });
    for (changes, _, sentence) in broken() {
        assert_eq!(server.refused(&with(&changes)), sentence);
    }
    assert!(service.asked().is_empty());
}

#[test]
fn the_service_cannot_publish_what_a_rule_holds() {
    let service = CheckService::answering("200 OK", r#"{"verdict":"publish"}"#);
    let server = moderated(ModerationPolicy {
        rules: rules(Verdict::Hold).into(),
        check: Some(check(&service.url(), PATIENCE, Verdict::Hold)),
        ..ModerationPolicy::default()
    });
    let before = listed(&server);
    assert_eq!(server.post(&with(&broken()[0].0)).status, 201);
    assert_eq!(listed(&server), before);
}

/// What becomes of a review where the service at this URL gives no answer.
fn holds_unanswered(url: &str, time_max: Duration) {
    for (unanswered, status, more) in [
        (Verdict::Publish, 201, 1),
        (Verdict::Hold, 201, 0),
        (Verdict::Refuse, 503, 0),
    ] {
        let server = asking(url, time_max, unanswered);
        let before = listed(&server);
        let answer = server.post(&good());
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(listed(&server), before + more);
        assert!(counted(&server, "unanswered", 1));
        if status == 503 {
            let sentence = "Error: the review cannot be checked at the moment; nothing was changed, \
                            please try again (request ";
            assert!(answer.body.starts_with(sentence), "{}", answer.body);
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
}

#[test]
fn a_service_that_does_not_answer_in_time_is_given_up() {
    let service = CheckService::silent();
    let begun = Instant::now();
    holds_unanswered(&service.url(), Duration::from_millis(200));
    assert!(begun.elapsed() >= Duration::from_millis(600));
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_service_that_is_dead_is_no_answer() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    holds_unanswered(&format!("http://{port}"), PATIENCE);
}

#[test]
fn a_service_that_makes_no_sense_is_no_answer() {
    for (status, body) in [
        ("500 Oops", r#"{"verdict":"publish"}"#),
        ("200 OK", r#"{"verdict":"perhaps"}"#),
        ("200 OK", "publish"),
        ("204 No Content", ""),
    ] {
        let service = CheckService::answering(status, body);
        holds_unanswered(&service.url(), PATIENCE);
    }
    let long = format!(r#"{{"verdict":"publish","x":"{}"}}"#, "x".repeat(20_000));
    let service = CheckService::answering("200 OK", &long);
    holds_unanswered(&service.url(), PATIENCE);
}
