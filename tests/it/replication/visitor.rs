//! Visitors of the shop, who notice when they do not see their own writes, or see less than before.
//!
//! Invariant: a visitor knows nothing but its answers, and hands on only the position in them: in a cookie, as
//! browsers do, or in a header.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Response;

use super::node::agent;

/// The way in which a visitor hands on the position that it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Cookie,
    Header,
}

/// The state that visitors share with the test.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) ends: AtomicBool,
    reads: AtomicU64,
    writes: AtomicU64,
    refused_writes: AtomicU64,
    cut: AtomicU64,
    slowest_read_ms: AtomicU64,
}

impl Watch {
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(SeqCst)
    }

    /// The number of reads that were repeated, because their connection ended when it was reused.
    pub(super) fn cut(&self) -> u64 {
        self.cut.load(SeqCst)
    }

    pub(super) fn say(&self) -> String {
        format!(
            "{} reads, none failed, {} were asked again, the slowest took {} ms; {} writes, and {} that were refused",
            self.reads.load(SeqCst),
            self.cut(),
            self.slowest_read_ms.load(SeqCst),
            self.writes(),
            self.refused_writes.load(SeqCst),
        )
    }
}

/// One client.
pub(super) struct Visitor<'w> {
    agent: Agent,
    front: SocketAddr,
    watch: &'w Watch,
    memory: Memory,
    /// The session token of its last answer.
    pub(super) seen: Option<String>,
    /// The product it writes about.
    product: u64,
    /// The review it votes for.
    review: u64,
    /// The least that it must see: the newest review's id, the number of reviews, the number of votes.
    newest: u64,
    reviews: u64,
    votes: u64,
}

impl<'w> Visitor<'w> {
    pub(super) fn new(front: SocketAddr, memory: Memory, number: usize, watch: &'w Watch) -> Self {
        // Each two of them share a product, and each three a review.
        Self {
            agent: agent(),
            front,
            watch,
            memory,
            seen: None,
            product: [1, 2, 3][number % 3],
            review: [1, 8][number % 2],
            newest: 0,
            reviews: 0,
            votes: 0,
        }
    }

    /// Writes and reads until it is to end.
    pub(super) fn live(&mut self) {
        for step in 0_u64.. {
            if self.watch.ends.load(SeqCst) {
                return;
            }
            if step.is_multiple_of(2) {
                self.post(step);
            } else {
                self.vote();
            }
            for _ in 0..3 {
                self.look();
            }
        }
    }

    /// Adds a review.
    pub(super) fn post(&mut self, step: u64) {
        let review = json!({
            "product_id": self.product, "rating": 4, "summary": "Visited", "body": format!("step {step}"),
            "recommend": true, "name": "pine", "email": "pine@example.org",
        });
        let (status, location) = self.write("POST", "/reviews", &review.to_string());
        if status == 201 {
            let (_, id) = location.rsplit_once('/').unwrap();
            self.newest = self.newest.max(id.parse().unwrap());
            self.reviews += 1;
        }
    }

    fn vote(&mut self) {
        let path = format!("/reviews/{}/helpful", self.review);
        if self.write("PUT", &path, "").0 == 204 {
            self.votes += 1;
        }
    }

    /// Reads each thing that it has seen, in turn from memory and from the store.
    fn look(&mut self) {
        let path = format!("/reviews?product_id={}&sort=newest&count=3", self.product);
        let newest = self.read(&path)["results"][0]["review_id"]
            .as_u64()
            .unwrap();
        assert!(
            newest >= self.newest,
            "{path} ends with {newest}, not {}",
            self.newest
        );
        let path = format!("/reviews/{}", self.review);
        let votes = self.read(&path)["helpfulness"].as_u64().unwrap();
        assert!(
            votes >= self.votes,
            "{path} has {votes} votes, not {}",
            self.votes
        );
        let path = format!("/reviews/meta?product_id={}", self.product);
        let meta = self.read(&path);
        let counts = meta["recommended"].as_object().unwrap().values();
        let reviews = counts
            .map(|count| count.as_str().unwrap().parse::<u64>().unwrap())
            .sum();
        assert!(
            reviews >= self.reviews,
            "{path} counts {reviews}, not {}",
            self.reviews
        );
        (self.newest, self.votes, self.reviews) = (newest, votes, reviews);
    }

    /// The status of a write, and where its review is.
    fn write(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.ask(method, path, body);
        let status = answer.status().as_u16();
        match status {
            201 | 204 => self.watch.writes.fetch_add(1, SeqCst),
            // The outcome is unknown.
            503 => self.watch.refused_writes.fetch_add(1, SeqCst),
            _ => panic!("{method} {path}: {answer:?}"),
        };
        let location = answer.headers().get("location");
        let location = location.map_or("", |location| location.to_str().unwrap());
        (status, location.to_owned())
    }

    /// Returns the answer to a read that must not fail.
    pub(super) fn read(&mut self, path: &str) -> Value {
        let begun = Instant::now();
        let (status, text) = self.try_to_read(path);
        assert_eq!(status, 200, "{path}, after {:?}: {text}", begun.elapsed());
        self.watch.reads.fetch_add(1, SeqCst);
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap();
        self.watch.slowest_read_ms.fetch_max(took_ms, SeqCst);
        serde_json::from_str(&text).unwrap()
    }

    /// The same visitor with another way to hand on its position.
    pub(super) fn who_uses(&self, memory: Memory) -> Self {
        let mut other = Self::new(self.front, memory, 0, self.watch);
        other.seen.clone_from(&self.seen);
        other
    }

    /// Returns the answer to a read that may fail.
    pub(super) fn try_to_read(&mut self, path: &str) -> (u16, String) {
        let mut answer = self.ask("GET", path, "");
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), text)
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Response<ureq::Body> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.front));
        if let Some(seen) = &self.seen {
            let (name, value) = match self.memory {
                Memory::Cookie => ("cookie", format!("theme=dark; reviewsd_seq={seen}")),
                Memory::Header => ("x-min-seq", seen.clone()),
            };
            request = request.header(name, value);
        }
        let request = request.body(body.to_owned()).unwrap();
        let mut outcome = self.agent.run(request.clone());
        // nginx that is reloaded closes connections that idle, whatever is on its way to it. Every
        // browser asks again then, once, what may be asked twice.
        if method == "GET" && outcome.as_ref().is_err_and(is_cut) {
            self.watch.cut.fetch_add(1, SeqCst);
            outcome = self.agent.run(request);
        }
        let answer = outcome.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let told = match self.memory {
            Memory::Cookie => answer.headers().get("set-cookie").map(|cookie| {
                let cookie = cookie.to_str().unwrap();
                let (value, _) = cookie
                    .strip_prefix("reviewsd_seq=")
                    .unwrap()
                    .split_once(';')
                    .unwrap();
                value.to_owned()
            }),
            Memory::Header => {
                let seq = answer.headers().get("x-seq");
                seq.map(|seq| seq.to_str().unwrap().to_owned())
            }
        };
        self.seen = told.or(self.seen.take());
        answer
    }
}

/// True if the connection ended before there was an answer.
fn is_cut(error: &ureq::Error) -> bool {
    let kinds = [
        ErrorKind::ConnectionReset,
        ErrorKind::BrokenPipe,
        ErrorKind::UnexpectedEof,
    ];
    matches!(error, ureq::Error::Io(error) if kinds.contains(&error.kind()))
}

/// Reads without a pause, and without a memory, until it is to end.
pub(super) fn passer_by(front: SocketAddr, watch: &Watch) {
    let mut visitor = Visitor::new(front, Memory::Header, 0, watch);
    while !watch.ends.load(SeqCst) {
        for path in [
            "/reviews?product_id=2&sort=newest",
            "/reviews/8",
            "/products/1/styles",
        ] {
            visitor.seen = None;
            visitor.read(path);
        }
        // Other threads need the processor, too.
        std::thread::sleep(Duration::from_millis(1));
    }
}
