//! From a query to the body that answers it: cached, rendered at once, or rendered in the blocking pool.
//!
//! Must not know HTTP. Invariants: a body rendered on the calling thread is read from memory and short, in rows
//! and in bytes; one larger than a small answer holds its part of the response budget, or is dropped while it
//! waits for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use tokio::time::Instant;

use crate::metrics::{Counter, Exposition};
use crate::store::{MemoryRead, Reader};

use super::super::body_pieces::BodyPieces;
use super::super::client::{ClientAddress, Proxies};
use super::super::endpoints::ReadQuery;
use super::super::error::ApiError;
use super::super::meters::ApiMeters;
use super::Reads;
use super::cache::{Answers, CacheKey, Cached};
use super::render;
use super::render::pieces::{AnswerBounds, RenderOutcome, Rendered};
use super::render::spelling::Spelling;
use crate::budget::{FREE_BYTES_MAX, MEDIUM_BYTES_MAX, Permit, ResponseBudget, SharedPermit};

/// Bytes that a row is taken to need before it has been read.
const ROW_BYTES: usize = 1 << 10;
/// Bytes that a list is taken to need at most before it has been read.
const FIRST_BYTES_MAX: usize = 256 << 10;

/// The cache, the response budget, and the reader of answers that are not cached.
pub(crate) struct Lookup {
    cached: Arc<Answers>,
    budget: ResponseBudget,
    spelling: Spelling,
    truncated: Counter,
}

/// A request for an answer: its client, and its limits.
pub(crate) struct AnswerRequest<'r> {
    pub(crate) peer: IpAddr,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) trusted_proxies: &'r Proxies,
    /// Bytes of a list at most.
    pub(crate) page_bytes_max: usize,
    /// The time for which it waits for its part of the response budget.
    pub(crate) wait_time_max: Duration,
}

impl AnswerRequest<'_> {
    fn client(&self) -> ClientAddress {
        ClientAddress::of(self.peer, self.headers, self.trusted_proxies)
    }
}

/// The body that answers a question.
pub(crate) struct AnswerBody {
    pub(crate) body: BodyPieces,
    /// The number of rows of a list that ended before it had all requested ones.
    pub(crate) truncated: Option<usize>,
}

impl From<Bytes> for AnswerBody {
    fn from(body: Bytes) -> Self {
        Self {
            body: body.into(),
            truncated: None,
        }
    }
}

/// An attempt to render an answer within the available bytes.
enum Attempt {
    Done(AnswerBody),
    /// The answer needs so many bytes of the response budget.
    Needs(usize),
}

impl Lookup {
    /// Answers from these, or rendered, with a response budget of so many bytes.
    pub(crate) fn new(cached: Arc<Answers>, budget_bytes: u64, spelling: Spelling) -> Self {
        Self {
            cached,
            budget: ResponseBudget::new(budget_bytes),
            spelling,
            truncated: Counter::default(),
        }
    }

    /// The body that answers `question`: one made before, or a new one.
    pub(crate) async fn answer(
        &self,
        read_query: ReadQuery,
        ask: AnswerRequest<'_>,
        reads: &Reads,
        meters: &ApiMeters,
    ) -> Result<AnswerBody, ApiError> {
        let key = self.cached.key(read_query);
        if let Some(key) = &key {
            let cached = self.cached.get(key);
            meters.looked_up(cached.is_some());
            match cached {
                Some(Cached { body, permit: None }) => return Ok(body.into()),
                // On the heap, so that a small answer does not carry their size.
                Some(Cached {
                    body,
                    permit: Some(permit),
                }) => return Box::pin(self.shared(&body, &permit, &ask)).await,
                None => {}
            }
        }
        let needed = match self.at_once(read_query, key, &ask, reads)? {
            Attempt::Done(answer) => return Ok(answer),
            Attempt::Needs(bytes) => bytes,
        };
        Box::pin(self.pool(read_query, key, needed, &ask, reads)).await
    }

    /// A cached answer for one more reader.
    async fn shared(
        &self,
        body: &Bytes,
        permit: &SharedPermit,
        ask: &AnswerRequest<'_>,
    ) -> Result<AnswerBody, ApiError> {
        if let Some(joined) = permit.join(body) {
            return Ok(joined.into());
        }
        let deadline = Instant::now() + ask.wait_time_max;
        let own = self.budget.take(ask.client(), body.len(), deadline).await?;
        Ok(permit.begin(body, own).into())
    }

    /// The answer from memory, on this thread.
    fn at_once(
        &self,
        read_query: ReadQuery,
        key: Option<CacheKey>,
        ask: &AnswerRequest<'_>,
        reads: &Reads,
    ) -> Result<Attempt, ApiError> {
        let (spelling, bytes_max) = (self.spelling, self.bytes_max(ask));
        let render = |reader: &Reader<'_>| {
            // The store reads few bytes only, so that no more is held than some multiple of them.
            let bounds = AnswerBounds {
                bytes_max,
                grow: &mut |_| true,
            };
            render::answer(read_query, reader, spelling, bounds)
        };
        let rendered = match reads.now(render)? {
            // The store was not asked for its rows yet.
            MemoryRead::Incomplete => return Ok(Attempt::Needs(first_guess(read_query))),
            MemoryRead::Complete(RenderOutcome::Done(rendered)) => rendered,
            MemoryRead::Complete(RenderOutcome::NoSuch | RenderOutcome::TooLarge) => {
                return Err(ApiError::NoSuch(read_query));
            }
        };
        let bytes = rendered.len();
        if bytes <= FREE_BYTES_MAX {
            return Ok(Attempt::Done(self.finish(key, rendered, None)));
        }
        let mut permit = self.budget.none(ask.client());
        Ok(if permit.grow(bytes) {
            Attempt::Done(self.finish(key, rendered, Some(permit)))
        } else {
            // The body is dropped: only an answer that holds its bytes may wait.
            Attempt::Needs(bytes)
        })
    }

    /// The answer from the blocking pool, once there are so many bytes for it, and if that was too little,
    /// once there are as many as it may have.
    async fn pool(
        &self,
        read_query: ReadQuery,
        key: Option<CacheKey>,
        needed: usize,
        ask: &AnswerRequest<'_>,
        reads: &Reads,
    ) -> Result<AnswerBody, ApiError> {
        let (spelling, bytes_max) = (self.spelling, self.bytes_max(ask));
        let (client, mut needed) = (ask.client(), needed);
        let deadline = Instant::now() + ask.wait_time_max;
        loop {
            let mut permit = self.budget.take(client, needed, deadline).await?;
            let is_last = needed >= bytes_max;
            let render = move |reader: &Reader<'_>| {
                let bounds = AnswerBounds {
                    bytes_max,
                    // The one row that is larger than a list may be is given all the same.
                    grow: &mut |bytes| permit.grow(bytes) || is_last,
                };
                let outcome = render::answer(read_query, reader, spelling, bounds)?;
                Ok((outcome, permit))
            };
            let (outcome, permit) = reads.later(move |store| store.read(render)).await?;
            match outcome {
                RenderOutcome::Done(rendered) => {
                    return Ok(self.finish(key, rendered, Some(permit)));
                }
                RenderOutcome::NoSuch => return Err(ApiError::NoSuch(read_query)),
                RenderOutcome::TooLarge if needed < MEDIUM_BYTES_MAX => needed = MEDIUM_BYTES_MAX,
                RenderOutcome::TooLarge => needed = bytes_max,
            }
        }
    }

    /// Bytes of a list at most.
    fn bytes_max(&self, ask: &AnswerRequest<'_>) -> usize {
        ask.page_bytes_max.min(self.budget.list_bytes_max())
    }

    /// The answer on its way, and in the cache if it may be requested again.
    fn finish(
        &self,
        key: Option<CacheKey>,
        rendered: Rendered,
        permit: Option<Permit>,
    ) -> AnswerBody {
        let truncated = rendered.truncated;
        if truncated.is_some() {
            self.truncated.count();
        }
        let is_cached = rendered.is_whole() && rendered.len() <= MEDIUM_BYTES_MAX;
        let key = key.filter(|_| is_cached);
        let body = match (permit, key) {
            (Some(permit), Some(key)) if rendered.len() > FREE_BYTES_MAX => {
                let shared = SharedPermit::default();
                let body = rendered.first;
                let sent = shared.begin(&body, permit.shrunk(body.len()));
                let permit = Some(shared);
                self.cached.keep(key, Cached { body, permit });
                sent.into()
            }
            (permit, key) => {
                if let Some(key) = key {
                    let body = rendered.first.clone();
                    self.cached.keep(key, Cached { body, permit: None });
                }
                match permit {
                    Some(permit) => permit.hold(rendered),
                    None => rendered.into_pieces(|piece| piece),
                }
            }
        };
        AnswerBody { body, truncated }
    }

    /// Reports the cache, the response budget, and lists that were cut short.
    pub(crate) fn describe(&self, page: &mut Exposition) {
        self.cached.describe(page);
        self.budget.describe(page);
        page.counter(
            "reviewsd_truncated_lists_total",
            "Lists that ended before all requested rows, because of their bytes.",
        )
        .value(self.truncated.get());
    }
}

/// The bytes that an answer is assumed to need at first; more are requested while it is rendered.
fn first_guess(read_query: ReadQuery) -> usize {
    let bytes = read_query.rows_max().saturating_mul(ROW_BYTES);
    bytes.min(FIRST_BYTES_MAX)
}
