//! Read-your-writes: all a client wrote or saw is in its next answer, or that answer is refused: `X-Seq`,
//! `X-Min-Seq`.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use reviewsd::api::{Api, Backend, Generations, Health, Role};
use reviewsd::metrics::Registry;
use reviewsd::store::promote;
use serde_json::json;

use super::{Answer, PEER, Server, request, settings, wait, writer_options};
use crate::support::{Shop, once_let_go, open_store, own_shop, shop_dir};

/// The time for a read that must succeed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Reads of one replica that may wait at once.
const WAITING_MAX: usize = 256;

/// A primary and a replica. They have one store, so the replica is as quick as can be.
struct Pair {
    primary: Server,
    copy: Arc<Api>,
    metrics: Registry,
}

impl Pair {
    /// Reads of the replica wait so long.
    fn new(session_wait_max: Duration) -> Self {
        Self::of(own_shop(), session_wait_max)
    }

    fn of(shop: Arc<Shop>, session_wait_max: Duration) -> Self {
        let generations = Arc::new(Generations::default());
        let begun = Arc::clone(&generations);
        let backend = Backend {
            store: shop.store.clone(),
            role: Role::Replica("http://10.0.0.1:8081".into()),
            generations,
            health: Arc::new(Health::default()),
            clock: Arc::new(|| Duration::ZERO),
        };
        let mut settings = settings();
        settings.session_wait_max = session_wait_max;
        let copy = Arc::new(Api::new(backend, &settings));
        let mut metrics = Registry::default();
        let described = Arc::clone(&copy);
        metrics.add(move |page| described.describe(page));
        let changed = move |product| begun.begin(product);
        Self {
            primary: Server::start(shop, &settings, writer_options(), changed),
            copy,
            metrics,
        }
    }

    fn ask_copy(&self, path: &str, seen: &str) -> Answer {
        ask(&self.copy, path, seen)
    }

    /// Waits until so many reads of the replica wait.
    fn waiting(&self, reads: usize) {
        let line = format!("\nreviewsd_session_waits_in_flight {reads}\n");
        let begun = Instant::now();
        while !self.metrics.page().contains(&line) {
            assert!(begun.elapsed() < PATIENCE, "{}", self.metrics.page());
            thread::yield_now();
        }
    }

    /// The store's epoch and sequence number.
    fn at(&self) -> (u64, u64) {
        place(
            &self
                .primary
                .send("GET", "/products/1", &[("x-min-seq", "0.0")]),
        )
    }
}

fn ask(api: &Api, path: &str, seen: &str) -> Answer {
    let request = request(
        "GET",
        path,
        &[("x-min-seq", seen)],
        Full::<Bytes>::default(),
    );
    wait(api.handle(request, PEER))
}

/// The epoch and the row of an answer.
fn place(answer: &Answer) -> (u64, u64) {
    let (epoch, seq) = answer.header("x-seq").unwrap().split_once('.').unwrap();
    (epoch.parse().unwrap(), seq.parse().unwrap())
}

#[test]
fn a_write_returns_a_session_token_that_cors_exposes() {
    let server = Pair::new(Duration::ZERO).primary;
    let body = json!({
        "product_id": 2, "rating": 4, "summary": "Good", "body": "As it should be.",
        "recommend": true, "name": "walker", "email": "walker@example.org",
    });
    let mut last = (1, 0);
    for (method, path, body) in [
        ("POST", "/reviews", body.to_string()),
        ("PUT", "/reviews/5/helpful", String::new()),
        ("PUT", "/reviews/5/report", String::new()),
    ] {
        let answer = server.ask(PEER, method, path, &[], Full::new(Bytes::from(body)));
        assert!(answer.status < 300, "{}", answer.body);
        let at = place(&answer);
        assert!(at > last, "{path}: {at:?} after {last:?}");
        last = at;
        let exposed = answer.header("access-control-expose-headers");
        assert_eq!(exposed, Some("Location, X-Seq"));
    }
    let refused = server.send("PUT", "/reviews/999999/helpful", &[]);
    assert_eq!((refused.status, refused.header("x-seq")), (404, None));
}

#[test]
fn a_read_tells_its_place_only_to_who_asks() {
    let pair = Pair::new(Duration::ZERO);
    assert_eq!(
        pair.primary
            .get("/reviews/meta?product_id=2")
            .header("x-seq"),
        None
    );
    let (epoch, seq) = pair.at();
    assert!(epoch == 1 && seq > 0);
    for path in [
        "/reviews?product_id=2",
        "/reviews/3",
        "/products",
        "/products/1/styles",
    ] {
        let plain = pair.primary.get(path);
        for seen in ["0.0", &format!("1.{seq}")] {
            let told = pair.ask_copy(path, seen);
            assert_eq!(
                (place(&told), &told.body),
                ((1, seq), &plain.body),
                "{path}"
            );
            assert_eq!(
                told.header("access-control-expose-headers"),
                Some("Location, X-Seq")
            );
        }
    }
    // A probe is about a server, not about the position of a client.
    assert_eq!(pair.ask_copy("/livez", "1.999999").status, 200);
}

#[test]
fn a_read_waits_for_its_clients_write_despite_a_cached_answer() {
    let pair = Pair::new(PATIENCE);
    let meta = "/reviews/meta?product_id=2";
    let kept = pair.ask_copy(meta, "0.0");
    assert_eq!(pair.ask_copy(meta, "0.0"), kept);
    let (_, seq) = place(&kept);
    let path = "/reviews/3";
    let before = pair.ask_copy(path, "0.0").json()["helpfulness"]
        .as_u64()
        .unwrap();
    let copy = Arc::clone(&pair.copy);
    let reads = thread::spawn(move || ask(&copy, path, &format!("1.{}", seq + 1)));
    pair.waiting(1);
    let wrote = pair.primary.send("PUT", "/reviews/3/helpful", &[]);
    let read = reads.join().unwrap();
    assert_eq!(read.status, 200, "{}", read.body);
    assert_eq!(read.json()["helpfulness"], before + 1);
    assert!(place(&read) >= place(&wrote));
    pair.waiting(0);
}

#[test]
fn what_does_not_come_in_time_is_refused_with_when_to_try_again() {
    let pair = Pair::new(Duration::from_millis(20));
    let (_, seq) = pair.at();
    let ahead = format!("1.{}", seq + 1);
    for (name, answer) in [
        ("copy", pair.ask_copy("/reviews/3", &ahead)),
        ("copy, an epoch ahead", pair.ask_copy("/reviews/3", "2.1")),
        (
            "primary, an epoch ahead",
            ask(&pair.primary.api, "/reviews/3", "2.1"),
        ),
    ] {
        assert_eq!(answer.status, 503, "{name}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{name}");
        let sentence = format!("Error: this server is at 1.{seq}, and has not reached ");
        assert!(answer.body.starts_with(&sentence), "{}", answer.body);
    }
    let page = pair.metrics.page();
    assert!(
        page.contains("\nreviewsd_session_waits_total 2\n"),
        "{page}"
    );
    assert!(
        page.contains("\nreviewsd_session_refusals_total 2\n"),
        "{page}"
    );
}

#[test]
fn what_no_server_ever_said_is_refused() {
    let pair = Pair::new(Duration::ZERO);
    for wrong in ["", "7", "1.", "1.2.3", "1.-2", "one.two"] {
        let answer = pair.ask_copy("/reviews/3", wrong);
        let sentence = "Error: X-Min-Seq must be the value of an X-Seq, like 1.345";
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, sentence),
            "{wrong}"
        );
    }
}

#[test]
fn a_token_beyond_a_primarys_head_is_400_and_not_logged() {
    let pair = Pair::new(Duration::ZERO);
    let (_, seq) = pair.at();
    for beyond in [seq + 1, u64::MAX] {
        let seen = format!("1.{beyond}");
        let answer = ask(&pair.primary.api, "/reviews/3", &seen);
        let sentence = "Error: X-Min-Seq must be the value of an X-Seq, like 1.345";
        assert_eq!((answer.status, answer.body.as_str()), (400, sentence));
        // An answer that the log has a line about says which.
        assert_eq!(answer.header("x-request-id"), None);
        assert_eq!(pair.ask_copy("/reviews/3", &seen).status, 503);
    }
    assert_eq!(
        ask(&pair.primary.api, "/reviews/3", &format!("1.{seq}")).status,
        200
    );
}

#[test]
fn only_so_many_reads_wait_and_others_are_not_held_up() {
    let pair = Pair::new(PATIENCE);
    let (_, seq) = pair.at();
    let ahead = format!("1.{}", seq + 1);
    thread::scope(|scope| {
        let wait_for_it = || scope.spawn(|| pair.ask_copy("/reviews/3", &ahead).status);
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| wait_for_it()).collect();
        pair.waiting(WAITING_MAX);
        let begun = Instant::now();
        assert_eq!(pair.ask_copy("/reviews/3", &ahead).status, 503);
        assert_eq!(pair.ask_copy("/reviews/3", "0.0").status, 200);
        assert!(begun.elapsed() < PATIENCE);
        pair.primary.send("PUT", "/reviews/3/helpful", &[]);
        for read in waiting {
            assert_eq!(read.join().unwrap(), 200);
        }
    });
}

#[test]
fn a_token_of_writes_lost_in_a_failover_is_reported() {
    let dir = shop_dir();
    let (before, after) = once_let_go(|| promote(dir.path(), 64 << 20, false));
    assert_eq!((before.epoch, after.epoch), (1, 2));
    let store = open_store(dir.path());
    let pair = Pair::of(Shop::of(store, dir), Duration::ZERO);
    // Rows that the old primary had numbers for, and in whose place other rows were written.
    while pair.at().1 < before.seq + 10 {
        assert_eq!(
            pair.primary.send("PUT", "/reviews/3/helpful", &[]).status,
            204
        );
    }
    for (seen, status) in [
        (before.seq - 1, 200),
        (before.seq, 200),
        (before.seq + 1, 412),
        (before.seq + 9, 412),
    ] {
        for api in [&*pair.copy, &pair.primary.api] {
            let answer = ask(api, "/reviews/3", &format!("1.{seen}"));
            assert_eq!(answer.status, status, "1.{seen}: {}", answer.body);
            if status == 412 {
                let sentence = format!(
                    "Error: 1.{seen} of X-Min-Seq was lost when another server became \
                     the primary; leave X-Min-Seq out"
                );
                assert_eq!(answer.body, sentence);
            }
        }
    }
    assert_eq!(
        pair.ask_copy("/reviews/3", &format!("2.{}", after.seq))
            .status,
        200
    );
}
