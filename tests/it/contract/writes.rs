//! Reviews, votes and reports, and all that a client can do wrong with them.

mod bodies;
mod hosted;
mod limits;
mod moderation;
mod posts;
mod retries;
mod rules;
mod votes;

use bytes::Bytes;
use http_body_util::Full;
use reviewsd::api::ReviewRules;
use serde_json::{Value, json};

use super::{Answer, PEER, Server, settings};
use crate::support::own_shop;

/// A server over a shop of its own.
fn server() -> Server {
    Server::of(own_shop(), &settings())
}

/// The same with the strict rules.
fn strict() -> Server {
    let mut settings = settings();
    settings.writes.rules = ReviewRules::STRICT;
    Server::of(own_shop(), &settings)
}

/// A valid body.
fn good() -> Value {
    json!({
        "product_id": 2,
        "rating": 4,
        "summary": "Good",
        "body": "It is as it should be.",
        "recommend": true,
        "name": "walker",
        "email": "walker@example.org",
        "photos": ["https://img.example/1.jpg"],
        "characteristics": {"5": 3},
    })
}

/// The same with other members; `null` in `changes` leaves a member out.
fn with(changes: &Value) -> Value {
    let mut body = good();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value.clone(),
        }
    }
    body
}

impl Server {
    fn post_bytes(&self, uri: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.ask(PEER, "POST", uri, headers, Full::new(body.into()))
    }

    fn post_to(&self, uri: &str, body: &Value) -> Answer {
        self.post_bytes(uri, &[], body.to_string())
    }

    fn post(&self, body: &Value) -> Answer {
        self.post_to("/reviews", body)
    }

    fn put(&self, uri: &str) -> Answer {
        self.send("PUT", uri, &[])
    }

    /// The review at the `Location` of an answer.
    fn created(&self, answer: &Answer) -> Value {
        assert_eq!(answer.status, 201, "{}", answer.body);
        self.get(answer.header("location").unwrap()).json()
    }

    /// The sentence of a body that must be refused.
    fn refused(&self, body: &Value) -> String {
        let answer = self.post(body);
        assert_eq!(answer.status, 422, "{body}: {}", answer.body);
        let sentence = answer.body.strip_prefix("Error: ").unwrap();
        sentence.to_owned()
    }

    /// The number of reviews of a product, reported ones included.
    fn reviews_of(&self, product: u64) -> u64 {
        let meta = self.get(&format!("/reviews/{product}/meta")).json();
        let counts = meta["ratings"].as_object().unwrap().values();
        counts
            .map(|count| count.as_str().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}
