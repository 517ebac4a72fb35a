//! Writes that the hosted service accepts, and that are accepted unless an operator decides otherwise.

use reviewsd::api::ReviewRules;
use serde_json::{Value, json};

use super::{good, server, strict, with};
use crate::contract::{Server, settings};
use crate::support::own_shop;

/// A server with the strict rules but for one.
fn strict_but(change: impl FnOnce(&mut ReviewRules)) -> Server {
    let mut settings = settings();
    settings.writes.rules = ReviewRules::STRICT;
    change(&mut settings.writes.rules);
    Server::of(own_shop(), &settings)
}

/// Photos as clients send them, of which only the last is the URL of one.
fn photos() -> [String; 5] {
    [
        "blob:http://localhost:3000/5e7d1b0c-8c62".to_owned(),
        "IMG_0042.jpg".to_owned(),
        String::new(),
        "\u{e9} ".repeat(1000),
        "https://img.example/1.jpg".to_owned(),
    ]
}

fn urls(review: &Value) -> Vec<&str> {
    let photos = review["photos"].as_array().unwrap().iter();
    photos.map(|photo| photo["url"].as_str().unwrap()).collect()
}

#[test]
fn a_photo_is_any_text_and_served_as_it_is() {
    let server = server();
    let review = server.created(&server.post(&with(&json!({"photos": photos()}))));
    assert_eq!(urls(&review), photos());
    let listed = server
        .get("/reviews?product_id=2&sort=newest&count=1")
        .json();
    assert_eq!(listed["results"][0], review);
}

#[test]
fn texts_may_be_empty_or_missing() {
    let server = server();
    let names = ["summary", "body", "name", "email"];
    let (mut empty, mut missing, mut null) = (good(), good(), good());
    for name in names {
        empty[name] = json!("");
        missing.as_object_mut().unwrap().remove(name);
        null[name] = json!(null);
    }
    for body in [empty, missing, null] {
        let review = server.created(&server.post(&body));
        for name in ["summary", "body", "reviewer_name"] {
            assert_eq!(review[name], "", "{body}");
        }
    }
    let strict = strict();
    let sentence = strict.refused(&with(&json!({"body": "", "name": "", "email": ""})));
    let expected = "body must not be empty; name must not be empty; email must not be empty";
    assert_eq!(sentence, expected);
}

#[test]
fn a_missing_recommendation_is_false() {
    let server = server();
    let mut null = good();
    null["recommend"] = json!(null);
    for body in [with(&json!({"recommend": null})), null] {
        let review = server.created(&server.post(&body));
        assert_eq!(review["recommend"], false, "{body}");
    }
    let meta = server.get("/reviews/2/meta").json();
    assert_eq!(meta["recommended"], json!({"false": "4", "true": "3"}));
}

#[test]
fn an_email_address_is_any_text() {
    let server = server();
    for email in ["a", "@", " a@b\n", "a@b@c"] {
        let body = with(&json!({"email": email}));
        assert_eq!(server.post(&body).status, 201, "{email}");
    }
}

#[test]
fn characteristics_of_other_products_are_left_out() {
    let server = server();
    let given = json!({"5": 1, "17": 3, "Quality": 2, "undefined": 5, "": 4});
    server.created(&server.post(&with(&json!({"characteristics": given}))));
    assert_eq!(
        server.get("/reviews/2/meta").json()["characteristics"],
        json!({"Quality": {"id": 5, "value": "3.6666666666666667"}})
    );
}

#[test]
fn a_product_that_is_in_no_catalogue_is_taken() {
    let server = server();
    let review = server.created(&server.post(&with(&json!({"product_id": 99}))));
    assert_eq!(
        server.review_ids("/reviews?product_id=99"),
        [review["review_id"].as_u64().unwrap()]
    );
    assert_eq!(
        server.get("/reviews/99/meta").json()["characteristics"],
        json!({})
    );
    let strict = strict();
    assert_eq!(
        strict.refused(&with(&json!({"product_id": 99}))),
        "there is no product 99"
    );
}

#[test]
fn bounds_hold_all_the_same_and_every_fault_is_named() {
    let server = server();
    let long = |chars| "\u{1f980}".repeat(chars);
    for (changes, sentence) in [
        (
            json!({"rating": 6}),
            "rating must be a whole number from 1 to 5",
        ),
        (json!({"rating": null}), "rating is missing"),
        (json!({"product_id": null}), "product_id is missing"),
        (
            json!({"product_id": "two"}),
            "product_id must be a positive whole number",
        ),
        (
            json!({"summary": long(256)}),
            "summary must have at most 255 characters",
        ),
        (
            json!({"body": long(10_001)}),
            "body must have at most 10000 characters",
        ),
        (
            json!({"name": long(61)}),
            "name must have at most 60 characters",
        ),
        (
            json!({"email": long(61)}),
            "email must have at most 60 characters",
        ),
        (json!({"photos": vec!["x"; 6]}), "photos must be at most 5"),
        (
            json!({"photos": [long(2001)]}),
            "photos[0] must be a text of at most 2000 characters",
        ),
        (
            json!({"photos": [1]}),
            "photos[0] must be a text of at most 2000 characters",
        ),
        (
            json!({"characteristics": {"17": 6}}),
            "the value of characteristic 17 must be a whole number from 1 to 5",
        ),
        (
            json!({"characteristics": {"Quality": 0}}),
            "the value of a characteristic must be a whole number from 1 to 5",
        ),
        (
            json!({"recommend": "maybe"}),
            "recommend must be true or false",
        ),
        (
            json!({"rating": 0, "name": long(61), "photos": "x"}),
            "rating must be a whole number from 1 to 5; name must have at most 60 characters; \
             photos must be a list",
        ),
    ] {
        assert_eq!(server.refused(&with(&changes)), sentence, "{changes}");
    }
    assert_eq!(server.reviews_of(2), 5);
}

#[test]
fn a_single_rule_counts_more_than_the_profile() {
    let server = strict_but(|rules| rules.any_photo = true);
    let review = server.created(&server.post(&with(&json!({"photos": photos()}))));
    assert_eq!(urls(&review), photos());
    assert_eq!(
        server.refused(&with(&json!({"name": null}))),
        "name is missing"
    );
    let mut settings = settings();
    settings.writes.rules.drop_unknown_characteristics = false;
    settings.writes.rules.take_unknown_products = false;
    let server = Server::of(own_shop(), &settings);
    let rated = with(&json!({"characteristics": {"17": 3}, "name": null}));
    assert_eq!(server.refused(&rated), "product 2 has no characteristic 17");
    assert_eq!(
        server.refused(&with(&json!({"product_id": 99}))),
        "there is no product 99"
    );
}
