//! The HTTP contract, byte for byte, without a socket.

mod catalogue;
mod dialect;
mod errors;
mod meta;
mod methods;
mod reviews;

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::{HeaderMap, Request, Response};
use reviewsd::api::{Admin, Api, Dialect, Health, Settings};

use crate::support::{Shop, shop};

/// An API over the shop.
struct Server {
    api: Api,
    health: Arc<Health>,
    _shop: Arc<Shop>,
}

/// What came back.
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
        cors_origins: vec!["*".to_owned()],
        page_rows_max: 5000,
        answer_bytes_max: 1 << 20,
    }
}

impl Server {
    fn new() -> Self {
        Self::with(&settings())
    }

    fn with(settings: &Settings) -> Self {
        let shop = shop();
        let health = Arc::new(Health::default());
        health.set_ready(true);
        Self {
            api: Api::new(shop.store.clone(), settings, Arc::clone(&health)),
            health,
            _shop: shop,
        }
    }

    fn send(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        wait(self.api.handle(request.body(()).unwrap()))
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
    let request = Request::builder().method(method).uri(uri);
    let admin = Admin::new(Arc::clone(health));
    wait(admin.handle(request.body(()).unwrap()))
}

fn wait<B>(answer: impl Future<Output = Response<B>>) -> Answer
where
    B: hyper::body::Body<Data: std::fmt::Debug, Error: std::fmt::Debug>,
{
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
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
