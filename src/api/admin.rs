//! The operator's port: probes and the version.
//!
//! Must not know the store, and answers nothing that the public API does.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::http::request::Parts;
use hyper::{Request, Response};

use super::cors;
use super::error::ApiError;
use super::health::Health;
use super::json::Writer;
use super::reply::Reply;
use super::route::{self, Route, Surface, Target};

/// What answers on the operator's port.
pub struct Admin {
    health: Arc<Health>,
}

impl Admin {
    /// An operator's port that tells of `health`.
    #[must_use]
    pub fn new(health: Arc<Health>) -> Self {
        Self { health }
    }

    /// Answers one request. Its body is not read.
    #[expect(clippy::unused_async, reason = "what answers a request is a future")]
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let (mut head, _unread) = request.into_parts();
        let reply = self
            .answer(&head)
            .unwrap_or_else(|error| error.report(&head));
        reply.into_response(&mut head, cors::Opening::Closed)
    }

    fn answer(&self, head: &Parts) -> Result<Reply, ApiError> {
        match route::find(Surface::Admin, &head.method, head.uri.path())? {
            Target::Options { allow } => Ok(cors::options(allow, &head.headers)),
            Target::Read(Route::Livez) => Ok(self.health.live()),
            Target::Read(Route::Readyz) => self.health.ready(),
            Target::Read(Route::Version) => Ok(version()),
            Target::Read(_) | Target::Write(_) => Err(ApiError::NoSuchPath),
        }
    }
}

fn version() -> Reply {
    let mut json = Writer::with_capacity(64);
    json.raw(r#"{"name":"#)
        .text(env!("CARGO_PKG_NAME"))
        .raw(r#","version":"#)
        .text(env!("CARGO_PKG_VERSION"))
        .raw("}");
    Reply::json(json.into_bytes().into())
}
