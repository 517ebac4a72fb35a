//! The HTTP contract, byte for byte, without a socket.

mod access;
mod catalogue;
mod dialect;
mod errors;
mod meta;
mod methods;
mod neighbours;
mod reviews;
mod sessions;
mod writes;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper::{HeaderMap, Request, Response};
use reviewsd::api::{
    AccessControl, AccessLogSettings, Acks, Admin, AnswerMemory, Api, Backend, CatalogueSettings,
    Dialect, Generations, Health, HostNames, ModerationPolicy, RateLimit, ReviewRules, Role,
    Settings, WriteSettings,
};
use reviewsd::metrics::Registry;
use reviewsd::store::{
    CommittedChange, IDEMPOTENCY_KEYS_MAX, ModerationSettings, Writer, WriterOptions,
};

use crate::support::{Shop, shop};

/// The time at which everything is written.
const NOW_MS: i64 = 1_700_000_000_123;
/// The client's address, unless a test says otherwise.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An API over a shop.
struct Server {
    api: Api,
    health: Arc<Health>,
    /// Milliseconds on the clock that limits are measured by.
    time_ms: Arc<AtomicU64>,
    _shop: Arc<Shop>,
}

/// An answer.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn settings() -> Settings {
    Settings {
        dialect: Dialect::Atelier,
        catalogue: CatalogueSettings::default(),
        empty_neighbours: false,
        cors_origins: vec!["*".to_owned()],
        page_rows_max: 5000,
        page_bytes_max: 8 << 20,
        wait_time_max: Duration::ZERO,
        memory: AnswerMemory::within(64 << 20),
        serve_stale: true,
        session_wait_max: Duration::ZERO,
        writes: WriteSettings {
            body_time_max: Duration::from_mins(1),
            body_rate_min: 1,
            rules: ReviewRules::HOSTED,
            vote_window: None,
            rate_limit: None,
            trusted_proxies: Vec::new(),
            moderation: ModerationPolicy::default(),
        },
        access_log: AccessLogSettings {
            access: false,
            slow_time: None,
        },
    }
}

fn writer_options() -> WriterOptions {
    WriterOptions {
        loss_time_max: None,
        queue_max: 1024,
        free_space_min: 0,
        idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
        moderation: ModerationSettings::DEFAULT,
    }
}

impl Server {
    fn new() -> Self {
        Self::with(&settings())
    }

    fn with(settings: &Settings) -> Self {
        Self::of(shop(), settings)
    }

    fn of(shop: Arc<Shop>, settings: &Settings) -> Self {
        Self::start(shop, settings, writer_options(), |_| {})
    }

    /// `committed` is called before the outcome of a write is returned.
    fn start(
        shop: Arc<Shop>,
        settings: &Settings,
        options: WriterOptions,
        committed: impl Fn(CommittedChange) + Send + 'static,
    ) -> Self {
        let health = Arc::new(Health::default());
        health.set_ready(true);
        let generations = Arc::new(Generations::default());
        let begun = Arc::clone(&generations);
        let changed = move |product| {
            begun.begin(product);
            committed(product);
        };
        let failed = |error| panic!("a write failed: {error}");
        let writer = Writer::start(&shop.store, options, || NOW_MS, changed, failed).unwrap();
        let acks = Acks::new(shop.store.feed().acked(), None);
        let time_ms = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&time_ms);
        let backend = Backend {
            store: shop.store.clone(),
            role: Role::Primary(writer, acks),
            generations,
            health: Arc::clone(&health),
            clock: Arc::new(move || Duration::from_millis(clock.load(Ordering::Relaxed))),
        };
        Self {
            api: Api::new(backend, settings),
            health,
            time_ms,
            _shop: shop,
        }
    }

    fn send(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(PEER, method, uri, headers, Full::<Bytes>::default())
    }

    fn ask<B>(
        &self,
        peer: IpAddr,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: B,
    ) -> Answer
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let request = request(method, uri, headers, body);
        wait(self.api.handle(request, peer))
    }

    fn get(&self, uri: &str) -> Answer {
        self.send("GET", uri, &[])
    }

    /// The body of an answer that must be 200 and JSON.
    fn body(&self, uri: &str) -> String {
        let answer = self.get(uri);
        assert_eq!(answer.status, 200, "{uri}: {}", answer.body);
        let content_type = answer.header("content-type");
        assert_eq!(content_type, Some("application/json; charset=utf-8"));
        answer.body
    }

    /// The ids of a list of reviews, in its order.
    fn review_ids(&self, uri: &str) -> Vec<u64> {
        let list: serde_json::Value = serde_json::from_str(&self.body(uri)).unwrap();
        let results = list["results"].as_array().unwrap();
        let id = |review: &serde_json::Value| review["review_id"].as_u64().unwrap();
        results.iter().map(id).collect()
    }
}

fn admin(health: &Arc<Health>, method: &str, uri: &str) -> Answer {
    admin_under("127.0.0.1:8081", health, method, uri)
}

/// The same, under another host name.
fn admin_under(host: &str, health: &Arc<Health>, method: &str, uri: &str) -> Answer {
    let request = request(method, uri, &[("Host", host)], Full::<Bytes>::default());
    let names = HostNames {
        listed: vec!["db.shop.example".to_owned()],
        over_tls: false,
    };
    let start = std::time::Instant::now();
    let clock = Arc::new(move || start.elapsed());
    let access = AccessControl::new(None, false, clock, || 0);
    let admin = Admin::new(
        Arc::clone(health),
        names,
        Arc::new(access),
        Registry::default(),
    );
    wait(admin.handle(request, Ipv4Addr::LOCALHOST.into()))
}

fn request<B>(method: &str, uri: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request = request.header("Host", "reviews.example");
    }
    request.body(body).unwrap()
}

fn wait<B>(answer: impl Future<Output = Response<B>>) -> Answer
where
    B: hyper::body::Body<Data: std::fmt::Debug, Error: std::fmt::Debug>,
{
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let (head, body) = answer.await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    })
}
