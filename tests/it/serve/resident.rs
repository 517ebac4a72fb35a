//! The answers of the whole shop in memory: that they are made unasked, are never older than the last write,
//! and are made first where they were requested most.

use std::fs;
use std::mem;
use std::time::Instant;

use reviewsd::model::moderation::ReviewState;
use reviewsd::model::{ProductId, Review, ReviewId};
use reviewsd::store::bulk::{Bulk, Replace};
use rustix::process::Signal;
use tempfile::TempDir;

use super::metrics::Metrics;
use super::{Client, PATIENCE, Server};

/// Products, which are enough for a dictionary, each with so many reviews.
const PRODUCTS: u64 = 300;
const REVIEWS: u64 = 3;

fn bodies() -> Vec<String> {
    let parts = [
        "It fits",
        "The sole came off",
        "Worn for a month",
        "As warm as described",
    ];
    let body = |n: usize| {
        let words = [n % 4, n / 4 % 4, n / 16 % 4].map(|part| parts[part]);
        format!("{}, after {n} washes", words.join(". "))
    };
    (0..usize::try_from(PRODUCTS * REVIEWS).unwrap())
        .map(body)
        .collect()
}

fn review(number: u64, body: &str) -> Review<'_> {
    Review {
        rating: u8::try_from(number % 5).unwrap() + 1,
        date_ms: 1_600_000_000_000 + i64::try_from(number).unwrap() * 86_400_000,
        recommend: number.is_multiple_of(2),
        state: ReviewState::Published,
        report: None,
        decision: None,
        helpfulness: 0,
        summary: "As it should be",
        body,
        reviewer_name: "walker",
        reviewer_email: "walker@example.org",
        response: None,
        photos: Vec::new(),
        ratings: Vec::new(),
    }
}

/// A data directory with a shop whose products all have reviews.
fn wide_shop() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bodies = bodies();
    let bulk = Bulk::begin(dir.path(), "a test", Replace::Always).unwrap();
    let mut reviews = bulk.reviews().unwrap();
    let numbered = (1..).zip(&bodies);
    let owner = |id: u64| ProductId((id - 1) / REVIEWS + 1);
    for (id, body) in numbered.clone() {
        if (id - 1) % REVIEWS == 0 {
            let none = std::iter::empty::<(u64, &str)>();
            reviews.product(owner(id), none).unwrap();
        }
        reviews
            .review(owner(id), ReviewId(id), &review(id, body))
            .unwrap();
    }
    for (id, _) in numbered {
        reviews.owner(ReviewId(id), owner(id)).unwrap();
    }
    let catalogue = bulk.catalogue().unwrap();
    let (reviews, catalogue) = (reviews.finish().unwrap(), catalogue.finish().unwrap());
    bulk.assemble(&reviews, &catalogue, 1_700_000_000_000)
        .unwrap();
    bulk.publish().unwrap();
    dir
}

/// Waits until so many answers are resident.
fn until_resident(server: &Server, answers: u64) {
    let deadline = Instant::now() + PATIENCE;
    while Metrics::of(server).count("reviewsd_resident_answers", &[]) < answers {
        assert!(Instant::now() < deadline, "answers do not become resident");
        std::thread::yield_now();
    }
}

/// Asserts that a product's list and summary are what the store has: another count, which is not resident, gives
/// the same rows.
fn assert_current(client: &mut Client, product: u64) -> String {
    let mut ask = |path: String| String::from_utf8(client.ask(&path).body).unwrap();
    let list = ask(format!("/reviews?product_id={product}"));
    let rendered = ask(format!("/reviews?product_id={product}&count=6"));
    assert_eq!(list, rendered.replacen(r#""count":6"#, r#""count":5"#, 1));
    list
}

#[test]
fn the_whole_shop_is_resident_and_never_stale() {
    let server = Server::of(wide_shop(), "");
    until_resident(&server, PRODUCTS * 2);
    let mut client = server.connect();
    for product in 1..=PRODUCTS {
        let list = assert_current(&mut client, product);
        assert_eq!(list.matches("review_id").count(), 3, "{list}");
    }
    let hits = Metrics::of(&server).count("reviewsd_resident_hits_total", &[]);
    assert!(hits >= PRODUCTS, "{hits}");
    for id in 1..=PRODUCTS * REVIEWS {
        let product = (id - 1) / REVIEWS + 1;
        match id % 3 {
            0 => assert_eq!(client.put(&format!("/reviews/{id}/report"), ""), 204),
            1 => assert_eq!(client.put(&format!("/reviews/{id}/helpful"), ""), 204),
            _ => {
                let body = format!(
                    r#"{{"product_id":{product},"rating":5,"summary":"s","body":"new","recommend":true,"name":"n","email":"a@b"}}"#
                );
                assert_eq!(client.post("", &body).0, 201);
            }
        }
        let list = assert_current(&mut client, product);
        assert_eq!(list.contains(r#""body":"new""#), id % 3 != 1, "{list}");
        assert!(list.contains(r#""helpfulness":1"#), "{list}");
    }
}

#[test]
fn what_was_requested_most_is_made_first_after_a_restart() {
    let mut server = Server::of(wide_shop(), "");
    until_resident(&server, PRODUCTS * 2);
    let mut client = server.connect();
    for _ in 0..40 {
        client.ask("/reviews?product_id=7");
    }
    let dir = mem::replace(&mut server.dir, tempfile::tempdir().unwrap());
    server.signal(Signal::TERM);
    assert_eq!(server.ended().0, Some(0));
    let note = fs::read_to_string(dir.path().join("HOT")).unwrap();
    assert!(note.lines().any(|line| line == "list 7"), "{note}");

    // Without dictionaries nothing is resident: the answer is there because it was hot.
    let mut server = Server::of(dir, "");
    let deadline = Instant::now() + PATIENCE;
    while Metrics::of(&server).count("reviewsd_answer_cache_answers", &[]) == 0 {
        assert!(Instant::now() < deadline, "no answer is made");
        std::thread::yield_now();
    }
    assert_current(&mut server.connect(), 7);
    let dir = mem::replace(&mut server.dir, tempfile::tempdir().unwrap());
    server.signal(Signal::TERM);
    assert_eq!(server.ended().0, Some(0));

    for damaged in [
        "",
        "hot answers 1\nlist 18446744073709551616\nlist 7",
        "\u{0}",
    ] {
        fs::write(dir.path().join("HOT"), damaged).unwrap();
    }
    fs::write(dir.path().join("HOT"), b"\xff\xfe").unwrap();
    let server = Server::of(dir, "");
    until_resident(&server, PRODUCTS * 2);
}
