//! Reviews that are held for moderators, by a server beside a long queue of them.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::metrics::Metrics;
use super::{Client, Server};
use crate::chance::say;
use crate::support::shop_dir;

const BODY: &str = r#"{"product_id":2,"rating":5,"summary":"s","body":"It is as it should be.","recommend":true,"name":"n","email":"a@b"}"#;
const BEFORE: &str = "[moderation]\nmode = \"before\"\n";
/// Clients at once.
const CLIENTS: u32 = 32;

impl Client {
    /// The status of the answer to a review.
    fn review(&mut self) -> u16 {
        let length = BODY.len();
        self.send(&format!(
            "POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n{BODY}"
        ));
        self.answer().status
    }
}

/// The reviews of product 2 that its list has.
fn listed(server: &Server) -> usize {
    let answer = server.connect().ask("/reviews?product_id=2&count=5000");
    let list: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    list["results"].as_array().unwrap().len()
}

/// Posts so many reviews, one every `pause` from all clients together, and returns the times from when each was
/// due to its answer, the shortest first.
fn post(server: &Server, reviews: u32, pause: Duration) -> Vec<Duration> {
    let begun = Instant::now();
    let of_client = |first: u32| {
        let mut client = server.connect();
        let mut times = Vec::new();
        for number in (first..reviews).step_by(CLIENTS as usize) {
            let due = begun + pause * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            assert_eq!(client.review(), 201);
            times.push(due.elapsed());
        }
        times
    };
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|first| scope.spawn(move || of_client(first)))
            .collect();
        let times = clients.into_iter().map(|client| client.join().unwrap());
        times.flatten().collect()
    });
    times.sort_unstable();
    times
}

/// Holds `queue` reviews, and then `reviews` more at a rate.
fn hold(queue: u32, reviews: u32, pause: Duration) -> Vec<Duration> {
    let server = Server::with(BEFORE);
    let before = listed(&server);
    post(&server, queue, Duration::ZERO);
    let times = post(&server, reviews, pause);
    assert_eq!(listed(&server), before);
    let held = [("verdict", "hold"), ("reason", "held")];
    let counted = Metrics::of(&server).count("reviewsd_moderation_judgements_total", &held);
    assert_eq!(counted, u64::from(queue + reviews));
    times
}

#[test]
fn reviews_are_held_beside_those_that_wait() {
    hold(500, 500, Duration::ZERO);
}

/// The time below which so many of a thousand are.
fn quantile(times: &[Duration], of_thousand: usize) -> Duration {
    times[times.len() * of_thousand / 1000]
}

#[test]
#[ignore = "measures for a minute, on a machine that does nothing else"]
fn a_thousand_reviews_a_second_beside_100_000_that_wait() {
    let times = hold(100_000, 20_000, Duration::from_millis(1));
    let [median, p99] = [500, 990].map(|of_thousand| quantile(&times, of_thousand));
    say(&format!(
        "1,000 POST/s with mode = \"before\" and 100,000 pending: p50 {median:?}, p99 {p99:?}"
    ));
    assert!(p99 < Duration::from_millis(250), "{p99:?}");
}

#[test]
fn moderation_and_its_words_are_reloaded() {
    let dir = tempfile::tempdir().unwrap();
    let (file, words) = (dir.path().join("r.toml"), dir.path().join("words.txt"));
    fs::write(&words, "# none yet\n").unwrap();
    let config = format!(
        "[moderation]\nwords_file = \"{}\"\nwords_verdict = \"refuse\"\n",
        words.display()
    );
    fs::write(&file, &config).unwrap();
    let mut server = Server::reading(&file, shop_dir());
    let mut client = server.connect();
    assert_eq!(client.review(), 201);
    let reload = |server: &mut Server| {
        server.signal(Signal::HUP);
        server.told(&["SIGHUP: "])
    };
    fs::write(&words, "should\n").unwrap();
    let said = reload(&mut server);
    assert!(said.contains("moderation.words_file: in effect"), "{said}");
    assert_eq!(client.review(), 422);
    assert!(reload(&mut server).contains("no setting changed"));
    fs::write(&words, "--\n").unwrap();
    let said = reload(&mut server);
    let why = "words.txt, line 1, moderation.words_file: a word must have a letter or a digit";
    assert!(
        said.contains("nothing changes") && said.contains(why),
        "{said}"
    );
    assert_eq!(client.review(), 422);
    fs::write(&file, BEFORE).unwrap();
    let said = reload(&mut server);
    assert!(said.contains("moderation.mode"), "{said}");
    let before = listed(&server);
    assert_eq!(client.review(), 201);
    assert_eq!(listed(&server), before);
}
