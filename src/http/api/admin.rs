//! The admin port: probes, the version, the metrics, and the operator's access to the store.
//!
//! Must not know how the store is read or written. Invariants: operations and data that are for operators alone
//! are here and nowhere else, behind [`guard`]; the page of metrics, which reads the store, is made in the
//! blocking pool, one at a time.
//!
//! A folder of this crate and no crate of its own: it answers by the same replies, errors, bodies, reads and
//! writes as the public API, so its interface would be as large as half of this crate.

mod access;
mod catalogue;
mod endpoints;
mod filed;
mod guard;
mod moderation;
mod operator;
mod privacy;
mod reported;
mod tokens;

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Body;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::metrics::Registry;
use crate::model::moderation::Actor;

use super::body_pieces::BodyPieces;
use super::cors;
use super::error::ApiError;
use super::health::Health;
use super::http1;
use super::json::JsonWriter;
use super::reply::Reply;
use super::request_id::RequestId;
use super::route::RouteTarget;

use endpoints::{AdminAction, ROUTES};

/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The members of the position in a replication status.
const POSITION: [&str; 6] = ["store", "epoch", "seq", "chain", "durable_seq", "role"];

/// Returns a server's replication status.
type ReplicationStatus = Box<dyn Fn() -> Value + Send + Sync>;

/// The routes of the admin port.
pub struct Admin {
    health: Arc<Health>,
    names: HostNames,
    access: Arc<AccessControl>,
    /// Locked while a page is made.
    metrics: Mutex<Arc<Registry>>,
    operator: Option<Operator>,
    replication: Option<ReplicationStatus>,
}

pub use access::{AccessControl, ReplicaProof};
pub use guard::HostNames;
pub use operator::Operator;
pub use tokens::{TOKEN_RANDOM_BYTES, TokenRecord, TokenTable, TokenTableError, expiry};

impl Admin {
    /// An admin port under `names`, for the clients of `access`, that reports `health`, and all metrics of
    /// `metrics`.
    #[must_use]
    pub fn new(
        health: Arc<Health>,
        names: HostNames,
        access: Arc<AccessControl>,
        metrics: Registry,
    ) -> Self {
        Self {
            health,
            names,
            access,
            metrics: Mutex::new(Arc::new(metrics)),
            operator: None,
            replication: None,
        }
    }

    /// The same with the operator's access to the store.
    #[must_use]
    pub fn with(self, operator: Operator) -> Self {
        let operator = Some(operator);
        Self { operator, ..self }
    }

    /// The same with `status`, which returns the replication status of a store.
    #[must_use]
    pub fn with_replication(self, status: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self {
            replication: Some(Box::new(status)),
            ..self
        }
    }

    /// True if no page in a browser can have sent a request.
    fn is_asked_by_program(&self, head: &Parts) -> bool {
        guard::admit(head).is_ok() && self.names.admit(head).is_ok()
    }

    /// Returns the proof by which a request from `peer` may fetch the store.
    #[must_use]
    pub fn replica_proof(&self, head: &Parts, peer: IpAddr) -> ReplicaProof {
        match self.access.replica_proof(head, peer) {
            ReplicaProof::Local if !self.is_asked_by_program(head) => ReplicaProof::Missing,
            proof => proof,
        }
    }

    /// Counts a wrong secret from `peer` that was refused elsewhere. Returns the answer if there were too many.
    #[must_use]
    pub fn too_many_failures(&self, peer: IpAddr) -> Option<Response<BodyPieces>> {
        let error = self.access.count_failure(peer).err()?;
        let (mut head, ()) = Request::new(()).into_parts();
        let mut id = RequestId::default();
        let reply = error.report(&head, &mut id);
        Some(reply.into_response(&mut head, cors::CorsHeaders::Closed, id))
    }

    /// The answer to a request that is no proper one of HTTP/1.1.
    #[must_use]
    pub fn malformed(head: &mut Parts) -> Option<Response<BodyPieces>> {
        let error = http1::admit(head).err()?;
        let mut id = RequestId::of(&head.headers);
        let reply = error.report(head, &mut id);
        Some(reply.into_response(head, cors::CorsHeaders::Closed, id))
    }

    /// Answers one request, that came from `peer`. Its body is read only if the path takes one.
    pub async fn handle<B>(&self, request: Request<B>, peer: IpAddr) -> Response<BodyPieces>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let (mut head, body) = request.into_parts();
        let mut id = RequestId::of(&head.headers);
        let reply = match self.answer(&head, body, peer).await {
            Ok(reply) => reply,
            Err(error) => error.report(&head, &mut id),
        };
        reply.into_response(&mut head, cors::CorsHeaders::Closed, id)
    }

    async fn answer<B>(&self, head: &Parts, body: B, peer: IpAddr) -> Result<Reply, ApiError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        http1::admit(head)?;
        self.names.admit(head)?;
        let target = ROUTES.find(&head.method, head.uri.path());
        let access = match &target {
            Ok(RouteTarget::Endpoint(found)) => found.endpoint.action.access,
            // Only a client that may ask learns which paths there are.
            Ok(RouteTarget::Options { .. }) | Err(_) => endpoints::ANY,
        };
        let actor = self.access.admit(access, head, peer)?;
        let found = match target? {
            RouteTarget::Options { allow } => return Ok(cors::options(allow, &head.headers)),
            RouteTarget::Endpoint(found) => found,
        };
        match &found.endpoint.action.action {
            AdminAction::Livez => Ok(self.health.live()),
            AdminAction::Readyz => self.health.ready(),
            AdminAction::Version => Ok(version()),
            AdminAction::Metrics => self.metrics().await,
            AdminAction::Replication => match &self.replication {
                Some(status) => {
                    let status = status();
                    let shown = if actor.is_some() {
                        status
                    } else {
                        position(status)
                    };
                    Ok(Reply::json(format!("{shown}\n").into_bytes()))
                }
                None => self.without_store(),
            },
            AdminAction::Task(task) => {
                let Some(operator) = &self.operator else {
                    return self.without_store();
                };
                let (arguments, actor) = (found.arguments, self.known(actor)?);
                operator.answer(task, arguments, head, body, actor).await
            }
            AdminAction::MergeReviews => {
                let Some(operator) = &self.operator else {
                    return self.without_store();
                };
                let actor = self.known(actor)?;
                Box::pin(operator.merge_reviews(head, body, actor)).await
            }
            AdminAction::Catalogue(task) => {
                let Some(operator) = &self.operator else {
                    return self.without_store();
                };
                let named = found.arguments.first().unwrap_or_default();
                let actor = self.known(actor)?;
                // On the heap, so that no other request carries the space that it takes.
                Box::pin(operator.catalogue(*task, named, head, body, actor)).await
            }
        }
    }

    /// The client of a request that nobody may send without being known.
    fn known(&self, actor: Option<Actor>) -> Result<Actor, ApiError> {
        actor.ok_or_else(|| ApiError::NoToken {
            has_tokens: self.access.has_tokens(),
        })
    }

    /// A replica that has no store yet reports that.
    fn without_store(&self) -> Result<Reply, ApiError> {
        drop(self.health.ready()?);
        Err(ApiError::NoSuchPath)
    }

    async fn metrics(&self) -> Result<Reply, ApiError> {
        let registry = self.metrics.lock().await;
        let shared = Arc::clone(&registry);
        let page = tokio::task::spawn_blocking(move || shared.page());
        let page = page.await.map_err(ApiError::internal)?;
        Ok(Reply::new(StatusCode::OK, METRICS, page))
    }
}

/// The part of a replication status that is shown to everybody: with it, a primary that was replaced learns so from
/// its replicas, to which it sends no secret.
fn position(mut status: Value) -> Value {
    if let Value::Object(status) = &mut status {
        status.retain(|name, _| POSITION.contains(&name.as_str()));
    }
    status
}

fn version() -> Reply {
    let mut json = JsonWriter::with_capacity(64);
    json.raw(r#"{"name":"#)
        .text("reviewsd")
        .raw(r#","version":"#)
        .text(env!("CARGO_PKG_VERSION"))
        .raw("}");
    Reply::json(json.into_bytes())
}
