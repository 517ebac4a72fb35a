//! How long a request takes on its way to its answer, piece by piece: `make micro`.
//!
//! Owns the list of the files whose private parts are measured, which are compiled here as they
//! stand, over the library's store: nothing is public only to be measured. Invariant: all that is
//! read is in memory.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "not all of the files is called, and nothing calls from outside"
)]

mod sample;
mod shop;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion};
use http_body_util::Full;
use hyper::Request;
use reviewsd::api::{
    AccessLogSettings, Acks, AnswerMemory, Api, Backend, CatalogueSettings, Dialect, Generations,
    Health, ModerationPolicy, ReviewRules, Role, Settings, WriteSettings,
};
use reviewsd::store::{IDEMPOTENCY_KEYS_MAX, ModerationSettings, Store, Writer, WriterOptions};

mod model {
    pub use reviewsd::model::*;
}

mod store {
    pub use reviewsd::store::*;
}

#[path = "../src/http/api"]
mod api {
    mod access_log;
    mod body;
    mod body_pieces;
    mod cors;
    mod endpoints;
    mod error;
    mod json;
    mod reply;
    mod request_id;
    mod route;
    mod session_token;
    mod validation;

    mod reads {
        pub(crate) mod campus;
        pub(crate) mod parameters;
        pub(crate) mod render;
    }

    mod writes {
        pub(crate) mod document;
        pub(crate) mod draft;
        pub(crate) mod fields;
        pub(crate) mod rules;
    }

    use std::hint::black_box;
    use std::ops::ControlFlow;

    use criterion::{Criterion, Throughput};
    use hyper::Method;
    use hyper::header::{HeaderMap, HeaderValue};

    use crate::model::{Order, ProductId, ReviewId};
    use crate::shop::{LARGE, SMALL};
    use crate::store::{ReadTier, Store};
    use endpoints::{Action, ReadQuery, Surface};
    use reads::parameters::PageWindow;
    use reads::render::dialect::Dialect;
    use reads::render::pieces::{AnswerBounds, RenderOutcome};
    use reads::render::spelling::Spelling;
    use route::RouteTarget;
    use session_token::SessionToken;
    use writes::draft::Draft;
    use writes::rules::ReviewRules;

    const BODY: &[u8] = br#"{"product_id":1,"rating":4,"recommend":true,
        "summary":"Warm, light, and it still fits after a year",
        "body":"I wore it for a whole winter, in the city and on the mountain, and washed it.",
        "name":"mountain_pine","email":"mountain.pine@example.org",
        "photos":["https://images.example.org/photo-1560570803-7474c0f9af99?w=975"],
        "characteristics":{"1":4,"2":5,"3":3,"4":4}}"#;

    /// Measures the parsing of requests.
    pub fn measure_requests(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("request");
        for path in ["/reviews", "/api/fec2/hr-rfp/reviews/71701/list"] {
            group.bench_function(format!("route {path}"), |run| {
                run.iter(|| endpoints::find(Surface::Public, &Method::GET, black_box(path)));
            });
        }
        let query = "product_id=71701&page=1&count=5&sort=newest";
        group.bench_function(format!("query {query}"), |run| {
            let found = endpoints::find(Surface::Public, &Method::GET, "/reviews");
            let Ok(RouteTarget::Endpoint(found)) = found else {
                panic!("reviews are not served");
            };
            let Action::Read(read) = &found.endpoint.action else {
                panic!("reviews are no read");
            };
            let path = found.arguments;
            run.iter(|| reads::parameters::understand(read, path, Some(black_box(query)), 5000));
        });
        let mut headers = HeaderMap::new();
        for name in [
            "host",
            "accept",
            "user-agent",
            "x-request-id",
            "x-forwarded-for",
        ] {
            headers.insert(name, HeaderValue::from_static("of some length"));
        }
        group.bench_function("without X-Min-Seq", |run| {
            run.iter(|| SessionToken::of(black_box(&headers)));
        });
        group.throughput(Throughput::Bytes(BODY.len() as u64));
        group.bench_function("body read and checked", |run| {
            run.iter(|| {
                let members = writes::document::parse(black_box(BODY)).unwrap();
                Draft::read(members, None, ReviewRules::HOSTED)
                    .finish()
                    .unwrap()
            });
        });
        group.finish();
    }

    /// Measures answers of the store, alone and as JSON.
    pub fn measure_answers(criterion: &mut Criterion, store: &Store) {
        let window = |count| PageWindow { page: 1, count };
        let list = |product, count| ReadQuery::Reviews {
            product,
            order: Order::Newest,
            window: window(count),
        };
        let mut group = criterion.benchmark_group("page");
        for (name, product) in [("small", SMALL), ("large", LARGE)] {
            let page = |reach| {
                let mut rows = 0;
                let reader = store.reader(reach);
                let read = reader.list(product, Order::Newest, window(5).rows(), |_, review| {
                    black_box(review);
                    rows += 1;
                    ControlFlow::Continue(())
                });
                read.map(|()| assert_eq!(rows, 5)).unwrap();
            };
            page(ReadTier::Disk);
            group.bench_function(format!("5 rows of a {name} product"), |run| {
                run.iter(|| page(ReadTier::Memory));
            });
        }
        group.finish();
        let mut group = criterion.benchmark_group("answer");
        for (name, question) in [
            ("5 of a small product's reviews", list(SMALL, 5)),
            ("5 of a large product's reviews", list(LARGE, 5)),
            ("100 of a large product's reviews", list(LARGE, 100)),
            ("a review", ReadQuery::Review(ReviewId(3))),
            ("meta", ReadQuery::Meta(LARGE)),
            ("5 products", ReadQuery::Products(window(5), None)),
            ("a product", ReadQuery::Product(ProductId(1), None)),
            ("styles", ReadQuery::Styles(ProductId(1))),
            ("related", ReadQuery::Related(ProductId(1))),
        ] {
            let answer = |reach| {
                let spelling = Spelling {
                    dialect: Dialect::Atelier,
                    price_decimals: false,
                    made_ms: 0,
                };
                let bounds = AnswerBounds {
                    bytes_max: usize::MAX,
                    grow: &mut |_| true,
                };
                let answer =
                    reads::render::answer(question, &store.reader(reach), spelling, bounds);
                let RenderOutcome::Done(rendered) = answer.unwrap() else {
                    panic!("there is no {question}");
                };
                rendered
            };
            group.throughput(Throughput::Bytes(answer(ReadTier::Disk).len() as u64));
            group.bench_function(name, |run| run.iter(|| answer(ReadTier::Memory)));
        }
        group.finish();
    }
}

/// A request for five reviews of the small product, from its head to its response.
fn measure_whole(criterion: &mut Criterion, store: &Store) {
    const URI: &str = "/reviews?product_id=1&page=1&count=5&sort=newest";
    let request = || {
        let request = Request::get(URI).header("host", "127.0.0.1:8080");
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut group = criterion.benchmark_group("whole");
    for (name, answer_bytes) in [("rendered", 0), ("kept", 1 << 20)] {
        let api = served(store, answer_bytes);
        group.bench_function(format!("list, {name}"), |run| {
            run.iter_batched(
                request,
                |request| {
                    let response = at_once(api.handle(black_box(request), peer));
                    assert_eq!(response.status(), 200);
                    response
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn served(store: &Store, answer_bytes: u64) -> Api {
    let options = WriterOptions {
        loss_time_max: None,
        queue_max: 1,
        free_space_min: 0,
        idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
        moderation: ModerationSettings::DEFAULT,
    };
    let writer = Writer::start(store, options, || 0, |_| {}, |_| {}).unwrap();
    let acks = Acks::new(store.feed().acked(), None);
    let backend = Backend {
        store: store.clone(),
        role: Role::Primary(writer, acks),
        generations: Arc::new(Generations::default()),
        health: Arc::new(Health::default()),
        clock: Arc::new(|| Duration::ZERO),
    };
    let settings = Settings {
        dialect: Dialect::Atelier,
        catalogue: CatalogueSettings::default(),
        empty_neighbours: false,
        cors_origins: vec!["*".to_owned()],
        page_rows_max: 5000,
        page_bytes_max: 8 << 20,
        wait_time_max: Duration::ZERO,
        memory: AnswerMemory::within(answer_bytes),
        serve_stale: true,
        session_wait_max: Duration::ZERO,
        writes: WriteSettings {
            body_rate_min: 1,
            body_time_max: Duration::from_secs(1),
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
    };
    Api::new(backend, &settings)
}

/// Returns the result of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let Poll::Ready(done) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("what was asked for is not in memory");
    };
    done
}

fn main() {
    let mut criterion = sample::criterion();
    api::measure_requests(&mut criterion);
    let (store, _dir) = shop::open();
    api::measure_answers(&mut criterion, &store);
    measure_whole(&mut criterion, &store);
    criterion.final_summary();
}
