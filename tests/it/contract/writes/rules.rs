//! The strict rules for reviews, and that every fault of one is named.

use reviewsd::api::ReviewRules;
use serde_json::{Value, json};

use super::{good, strict, with};
use crate::contract::{Server, settings};
use crate::support::own_shop;

/// The members of `errors`, each as its pointer and its sentence.
fn errors(server: &Server, body: &Value) -> Vec<(String, String)> {
    let accept = [("Accept", "application/json")];
    let answer = server.post_bytes("/reviews", &accept, body.to_string());
    assert_eq!(answer.status, 422, "{body}: {}", answer.body);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem = answer.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let errors: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (text(&error["pointer"]), text(&error["detail"])))
        .collect();
    let details: Vec<_> = errors.iter().map(|(_, detail)| detail.as_str()).collect();
    assert_eq!(problem["detail"], details.join("; "));
    assert_eq!(server.refused(body), details.join("; "));
    errors
}

/// Bodies with one fault each, at this pointer and with these words.
fn refuses(faults: &[(Value, &str, &str)]) {
    let server = strict();
    for (changes, pointer, detail) in faults {
        let expected = vec![((*pointer).to_owned(), (*detail).to_owned())];
        assert_eq!(errors(&server, &with(changes)), expected, "{changes}");
    }
    assert_eq!(server.reviews_of(2), 5);
}

#[test]
fn every_fault_of_a_body_is_named_at_once() {
    let server = strict();
    let body = json!({
        "product_id": 0,
        "rating": 6,
        "summary": "x".repeat(256),
        "body": "",
        "recommend": "yes",
        "reviewer_name": "x".repeat(61),
        "email": "nobody",
        "photos": ["https://a.example", 1, "ftp://a.example"],
        "characteristics": {"5": 0, "x/y": 1},
    });
    let found = errors(&server, &body);
    let expected = [
        ("/product_id", "product_id must be a positive whole number"),
        ("/rating", "rating must be a whole number from 1 to 5"),
        ("/summary", "summary must have at most 255 characters"),
        ("/body", "body must not be empty"),
        ("/recommend", "recommend must be true or false"),
        (
            "/reviewer_name",
            "reviewer_name must have at most 60 characters",
        ),
        ("/email", "email must be an e-mail address"),
        (
            "/photos/1",
            "photos[1] must be an http or https URL of at most 2000 characters",
        ),
        (
            "/photos/2",
            "photos[2] must be an http or https URL of at most 2000 characters",
        ),
        (
            "/characteristics/5",
            "the value of characteristic 5 must be a whole number from 1 to 5",
        ),
        (
            "/characteristics/x~1y",
            "the key of a characteristic must be its id",
        ),
    ];
    let expected = expected.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn what_is_required_is_named_when_it_is_missing() {
    let server = strict();
    assert_eq!(
        server.refused(&json!({})),
        "product_id is missing; rating is missing; body is missing; recommend is missing; \
         name is missing; email is missing"
    );
    let mut null = good();
    for name in ["product_id", "rating", "body", "recommend", "name", "email"] {
        null[name] = json!(null);
    }
    assert_eq!(server.refused(&null), server.refused(&json!({})));
}

#[test]
fn numbers_are_held_to_their_ranges() {
    let rating = "rating must be a whole number from 1 to 5";
    let product = "product_id must be a positive whole number";
    let mut faults = Vec::new();
    for value in [
        json!(0),
        json!(6),
        json!(-1),
        json!(4.5),
        json!(1e300),
        json!("five"),
        json!("4.5"),
        json!(" 4"),
        json!(""),
        json!(true),
        json!([4]),
        json!(u64::MAX),
    ] {
        faults.push((json!({"rating": value}), "/rating", rating));
    }
    for value in [
        json!(0),
        json!(-2),
        json!(2.5),
        json!("two"),
        json!("18446744073709551616"),
        json!(1.9e19),
        json!({}),
        json!(false),
    ] {
        faults.push((json!({"product_id": value}), "/product_id", product));
    }
    for value in [
        json!(2),
        json!("yes"),
        json!("1"),
        json!(""),
        json!([]),
        json!(0.5),
    ] {
        let recommend = "recommend must be true or false";
        faults.push((json!({"recommend": value}), "/recommend", recommend));
    }
    refuses(&faults);
}

#[test]
fn texts_are_counted_in_characters() {
    let server = strict();
    let longest = with(&json!({
        "summary": "🦀".repeat(255),
        "body": "é".repeat(10_000),
        "name": "漢".repeat(60),
        "email": format!("{}@b", "ß".repeat(58)),
    }));
    assert_eq!(server.post(&longest).status, 201);
    let long = |name: &str, chars: usize| json!({name: "🦀".repeat(chars)});
    refuses(&[
        (
            long("summary", 256),
            "/summary",
            "summary must have at most 255 characters",
        ),
        (
            long("body", 10_001),
            "/body",
            "body must have at most 10000 characters",
        ),
        (
            long("name", 61),
            "/name",
            "name must have at most 60 characters",
        ),
        (
            long("email", 61),
            "/email",
            "email must have at most 60 characters",
        ),
        (json!({"body": ""}), "/body", "body must not be empty"),
        (json!({"name": ""}), "/name", "name must not be empty"),
        (json!({"email": ""}), "/email", "email must not be empty"),
        (json!({"summary": 1}), "/summary", "summary must be a text"),
        (json!({"body": ["x"]}), "/body", "body must be a text"),
        (json!({"name": {}}), "/name", "name must be a text"),
        (json!({"email": true}), "/email", "email must be a text"),
    ]);
}

#[test]
fn an_email_is_something_at_something() {
    let server = strict();
    for email in ["a@b", "a.b+c@mail.example.org", "ü@ü.example"] {
        assert_eq!(
            server.post(&with(&json!({"email": email}))).status,
            201,
            "{email}"
        );
    }
    let faults = [
        "a", "@", "a@", "@b", "a b@c", "a@b c", "a@b@c", "a@b\n", " a@b",
    ];
    let detail = "email must be an e-mail address";
    refuses(&faults.map(|email| (json!({"email": email}), "/email", detail)));
}

#[test]
fn photos_are_at_most_five_urls() {
    let server = strict();
    let longest = format!("https://img.example/{}", "x".repeat(1980));
    let five = [
        "http://a",
        "HTTPS://a.example",
        "https://a/?b#c",
        "http://[::1]:80/",
        &longest,
    ];
    let review = server.created(&server.post(&with(&json!({"photos": five}))));
    let urls = review["photos"].as_array().unwrap().iter();
    assert_eq!(urls.map(|photo| &photo["url"]).collect::<Vec<_>>(), five);
    let not_a_url = "photos[0] must be an http or https URL of at most 2000 characters";
    let mut faults = vec![
        (
            json!({"photos": "https://a"}),
            "/photos",
            "photos must be a list",
        ),
        (
            json!({"photos": vec!["https://a"; 6]}),
            "/photos",
            "photos must be at most 5",
        ),
    ];
    let too_long = format!("{longest}x");
    for url in [
        json!(""),
        json!("a.jpg"),
        json!("https://"),
        json!("https:///a"),
        json!("ftp://a"),
        json!("data:image/png;base64,AAAA"),
        json!("javascript://a"),
        json!("blob:https://a/1"),
        json!("https://a b"),
        json!("https://a\n"),
        json!(too_long),
        json!(1),
        json!(null),
    ] {
        faults.push((json!({"photos": [url]}), "/photos/0", not_a_url));
    }
    refuses(&faults);
}

#[test]
fn characteristics_are_the_products_own() {
    refuses(&[
        (
            json!({"characteristics": [5]}),
            "/characteristics",
            "characteristics must be an object of ids and values",
        ),
        (
            json!({"characteristics": {"5": 6}}),
            "/characteristics/5",
            "the value of characteristic 5 must be a whole number from 1 to 5",
        ),
        (
            json!({"characteristics": {"Quality": 3}}),
            "/characteristics/Quality",
            "the key of a characteristic must be its id",
        ),
        (
            json!({"characteristics": {"5": 3, "05": 4}}),
            "/characteristics/5",
            "characteristic 5 has two values",
        ),
        (
            json!({"characteristics": {"5": 3, "17": 3}}),
            "/characteristics/17",
            "product 2 has no characteristic 17",
        ),
    ]);
    let server = strict();
    // In the catalogue, without characteristics.
    let body = with(&json!({"product_id": 7}));
    assert_eq!(server.refused(&body), "product 7 has no characteristic 5");
}

#[test]
fn foreign_characteristics_are_dropped_if_configured_so() {
    let mut settings = settings();
    settings.writes.rules = ReviewRules::STRICT;
    settings.writes.rules.drop_unknown_characteristics = true;
    let server = Server::of(own_shop(), &settings);
    let body = with(&json!({"characteristics": {"5": 1, "17": 3}}));
    server.created(&server.post(&body));
    assert_eq!(
        server.get("/reviews/2/meta").json()["characteristics"],
        json!({"Quality": {"id": 5, "value": "3.6666666666666667"}})
    );
    let wrong = with(&json!({"characteristics": {"17": 6}}));
    let sentence = "the value of characteristic 17 must be a whole number from 1 to 5";
    assert_eq!(server.refused(&wrong), sentence);
}

#[test]
fn a_product_must_be_in_the_catalogue() {
    let unknown = json!({"product_id": 99, "rating": 0, "characteristics": {"17": 3}});
    let server = strict();
    let found = errors(&server, &with(&unknown));
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/rating", "/product_id"]);
    assert_eq!(found[1].1, "there is no product 99");
}

#[test]
fn products_outside_the_catalogue_are_taken_if_configured_so() {
    let mut settings = settings();
    settings.writes.rules = ReviewRules::STRICT;
    settings.writes.rules.take_unknown_products = true;
    let server = Server::of(own_shop(), &settings);
    let body = with(&json!({"product_id": 99, "characteristics": null}));
    server.created(&server.post(&body));
    assert_eq!(server.reviews_of(99), 1);
    let rated = with(&json!({"product_id": 99}));
    assert_eq!(server.refused(&rated), "product 99 has no characteristic 5");
}
