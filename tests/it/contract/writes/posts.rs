//! A review that is added, and where it is seen then.

use serde_json::json;

use super::{good, server, with};
use crate::contract::{Server, settings};
use crate::support::empty_shop;

#[test]
fn a_new_review_is_created_and_told_where_it_is() {
    let server = server();
    let answer = server.post(&good());
    assert_eq!((answer.status, answer.body.as_str()), (201, "Created"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(answer.header("location"), Some("/reviews/6000"));
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("Location, X-Seq")
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        server.body("/reviews/6000"),
        r#"{"review_id":6000,"rating":4,"summary":"Good","recommend":true,"response":null,"body":"It is as it should be.","date":"2023-11-14T22:13:20.123Z","reviewer_name":"walker","helpfulness":0,"photos":[{"id":5,"url":"https://img.example/1.jpg"}]}"#
    );
}

#[test]
fn a_post_is_in_cached_lists_and_meta_at_once() {
    let server = server();
    let (list, meta) = (
        "/reviews?product_id=2&sort=newest",
        "/reviews/meta?product_id=2",
    );
    for count in 1..=3 {
        let (before, _) = (server.review_ids(list), server.body(meta));
        let answer = server.post(&good());
        let id = server.created(&answer)["review_id"].as_u64().unwrap();
        let mut expected = vec![id];
        expected.extend(before);
        expected.truncate(5);
        assert_eq!(server.review_ids(list), expected);
        assert_eq!(
            server.get(meta).json()["ratings"]["4"],
            (2 + count).to_string()
        );
    }
    assert_eq!(
        server.body(meta),
        r#"{"product_id":"2","ratings":{"2":"1","3":"1","4":"5","5":"1"},"recommended":{"false":"2","true":"6"},"characteristics":{"Quality":{"id":5,"value":"3.7500000000000000"}}}"#
    );
}

#[test]
fn every_spelling_of_the_path_takes_it() {
    let server = server();
    for uri in [
        "/reviews",
        "/reviews/",
        "/api/reviews",
        "/api/fec2/hr-rfp/reviews/",
        "/reviews/2",
        "/reviews/%32/",
        "/api/reviews/2",
    ] {
        let review = server.created(&server.post_to(uri, &good()));
        assert_eq!(review["summary"], "Good", "{uri}");
    }
    assert_eq!(server.reviews_of(2), 12);
}

#[test]
fn the_id_in_the_path_stands_for_one_that_the_body_lacks() {
    let server = server();
    for product_id in [json!(null), json!(2), json!("2")] {
        let body = with(&json!({"product_id": product_id}));
        assert_eq!(server.post_to("/reviews/2", &body).status, 201);
    }
    let mut body = good();
    body["product_id"] = json!(null);
    assert_eq!(server.post_to("/reviews/2", &body).status, 201);
    assert_eq!(server.reviews_of(2), 9);
    let other = server.post_to("/reviews/1", &good());
    let sentence = "Error: product_id differs from the one in the path";
    assert_eq!((other.status, other.body.as_str()), (422, sentence));
    let none = server.post_to("/reviews/two", &good());
    let sentence = "Error: invalid product_id provided";
    assert_eq!((none.status, none.body.as_str()), (422, sentence));
}

#[test]
fn what_is_optional_may_be_missing_or_null() {
    let server = server();
    let without = json!({"summary": null, "photos": null, "characteristics": null});
    let mut null = good();
    for name in ["summary", "photos", "characteristics"] {
        null[name] = json!(null);
    }
    for body in [with(&without), null] {
        let review = server.created(&server.post(&body));
        assert_eq!(review["summary"], "");
        assert_eq!(review["photos"], json!([]));
    }
}

#[test]
fn values_are_taken_generously() {
    let server = server();
    for (changes, recommend) in [
        (
            json!({"product_id": "2", "rating": "4", "recommend": "true"}),
            true,
        ),
        (json!({"rating": 4.0, "recommend": "false"}), false),
        (json!({"recommend": 1, "characteristics": {"5": "3"}}), true),
        (
            json!({"recommend": 0, "unknown": [{"a": {}}], "": null}),
            false,
        ),
        (
            json!({"name": null, "reviewer_name": "walker", "email": null, "reviewer_email": "a@b"}),
            false,
        ),
    ] {
        let recommend_given = changes.get("recommend").is_some();
        let review = server.created(&server.post(&with(&changes)));
        assert_eq!(
            review["recommend"],
            recommend || !recommend_given,
            "{changes}"
        );
        assert_eq!(review["rating"], 4, "{changes}");
        assert_eq!(review["reviewer_name"], "walker", "{changes}");
    }
}

#[test]
fn any_content_type_is_tried_as_json() {
    let server = server();
    for content_type in [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
    ] {
        let headers = [("Content-Type", content_type)];
        let answer = server.post_bytes("/reviews", &headers, good().to_string());
        assert_eq!(answer.status, 201, "{content_type}");
    }
}

#[test]
fn texts_come_back_as_they_were_sent() {
    let server = server();
    let text = "Line\n\ttab \"quoted\" \\ <b> \u{1} Größe 漢字 🦀 \u{2028}";
    let body = with(&json!({"summary": text, "body": text, "name": text}));
    let review = server.created(&server.post(&body));
    for name in ["summary", "body", "reviewer_name"] {
        assert_eq!(review[name], text);
    }
}

#[test]
fn a_store_without_a_catalogue_takes_reviews_of_any_product() {
    let server = Server::of(empty_shop(), &settings());
    let body = with(&json!({"product_id": 77, "characteristics": null}));
    let review = server.created(&server.post(&body));
    assert_eq!(review["review_id"], 1);
    assert_eq!(server.review_ids("/reviews?product_id=77"), [1]);
}
