//! The HTTP contract: what a request asks, what the store answers, and how that reads on the wire.
//!
//! Must not know sockets, configuration files or how the store keeps its rows. Invariant: a
//! request is answered on the calling thread only from memory; whatever may wait for the disk, or
//! is long, runs in the blocking pool, a bounded number at a time.

mod admin;
mod cache;
mod cors;
mod date;
mod dialect;
mod error;
mod health;
mod json;
mod mean;
mod meta;
mod products;
mod query;
mod question;
mod reply;
mod reviews;
mod route;
mod styles;

use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use http_body_util::Full;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use tokio::sync::Semaphore;

use crate::store::{self, Reach, Store};

pub use admin::Admin;
pub use dialect::Dialect;
pub use health::Health;

use cache::Answers;
use cors::Cors;
use error::ApiError;
use question::Question;
use reply::Reply;
use route::{Route, Surface, Target};

/// Reads that may block under way at once, for every core. Enough to keep a disk's queue filled;
/// few, since each is a thread: on one core thirty-two of them took a third more time to answer
/// the same requests from the operating system's cache than four did.
pub const BLOCKING_READS_PER_CORE: usize = 4;

/// What an operator may choose about the answers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which spelling of the values clients expect.
    pub dialect: Dialect,
    /// The origins whose pages may read the answers; `*` is any.
    pub cors_origins: Vec<String>,
    /// Rows in one page at most.
    pub page_rows_max: usize,
    /// Bytes of rendered answers that are kept.
    pub answer_bytes_max: u64,
}

/// The public API over one store.
pub struct Api {
    store: Store,
    dialect: Dialect,
    page_rows_max: usize,
    cors: Cors,
    health: Arc<Health>,
    answers: Answers,
    blocking_reads: Arc<Semaphore>,
}

impl Api {
    /// An API that answers from `store`.
    #[must_use]
    pub fn new(store: Store, settings: &Settings, health: Arc<Health>) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            store,
            dialect: settings.dialect,
            page_rows_max: settings.page_rows_max,
            cors: Cors::new(&settings.cors_origins),
            health,
            answers: Answers::new(settings.answer_bytes_max),
            blocking_reads: Arc::new(Semaphore::new(BLOCKING_READS_PER_CORE * cores)),
        }
    }

    /// Answers one request. Its body is not read: no route that is served takes one.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let (mut head, _unread) = request.into_parts();
        let reply = match self.answer(&head).await {
            Ok(reply) => reply,
            Err(error) => error.report(&head),
        };
        let opening = self.cors.open(&head.headers);
        reply.into_response(&mut head, opening)
    }

    async fn answer(&self, head: &Parts) -> Result<Reply, ApiError> {
        match route::find(Surface::Public, &head.method, head.uri.path())? {
            Target::Options { allow } => Ok(cors::options(allow, &head.headers)),
            Target::Read(Route::Livez) => Ok(self.health.live()),
            Target::Read(Route::Readyz) => self.health.ready(),
            Target::Read(route) => {
                let question = query::understand(&route, head.uri.query(), self.page_rows_max)?;
                Ok(Reply::json(self.body(question).await?))
            }
        }
    }

    /// The body that answers `question`: one made before, or a new one.
    async fn body(&self, question: Question) -> Result<Bytes, ApiError> {
        if let Some(body) = self.answers.get(&question) {
            return Ok(body);
        }
        let body = self.render(question).await?;
        let body = body.ok_or(ApiError::NoSuch(question))?;
        // Exactly as long as it is: a body with room to grow would be kept with that room.
        let body = Bytes::from(body.into_boxed_slice());
        if !question.is_long() {
            self.answers.keep(question, &body);
        }
        Ok(body)
    }

    /// Renders the answer, from memory where that is all it takes.
    async fn render(&self, question: Question) -> Result<Option<Vec<u8>>, ApiError> {
        if !question.is_long() {
            match question.render(&self.store.reader(Reach::Memory), self.dialect) {
                Err(store::Error::NotInMemory) => {}
                rendered => return rendered.map_err(ApiError::internal),
            }
        }
        // The permit is waited for here, where a client that hangs up leaves the queue, and held
        // until the read is over, which a client that hangs up does not end.
        let permit = Arc::clone(&self.blocking_reads)
            .acquire_owned()
            .await
            .map_err(ApiError::internal)?;
        let (store, dialect) = (self.store.clone(), self.dialect);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            question.render(&store.reader(Reach::Disk), dialect)
        });
        let rendered = read.await.map_err(ApiError::internal)?;
        rendered.map_err(ApiError::internal)
    }
}
