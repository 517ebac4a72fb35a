//! From a question to the body that answers it: cached, rendered at once, or rendered aside.
//!
//! Must not know HTTP. Invariants: what is rendered on the calling thread is read from memory and short,
//! in rows and in bytes; whatever is larger than a small answer holds its part of the response budget, or
//! is not kept while it waits for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use tokio::time::Instant;

use crate::metrics::{Counter, Exposition};
use crate::store;

use super::budget::{FREE_BYTES_MAX, MEDIUM_BYTES_MAX, Permit, ResponseBudget, SharedPermit};
use super::cache::{Answers, Cached, Key};
use super::client::{Client, Proxies};
use super::error::ApiError;
use super::generations::Generations;
use super::meters::Meters;
use super::pieces::Pieces;
use super::question::Question;
use super::reads::Reads;
use super::render;
use super::rendering::{Bounds, Outcome, Rendered};
use super::spelling::Spelling;

/// Bytes that a row is taken to need before it has been read.
const ROW_BYTES: usize = 1 << 10;
/// Bytes that a list is taken to need at most before it has been read.
const FIRST_BYTES_MAX: usize = 256 << 10;

/// The cache, the response budget, and the way to what is not cached.
pub(super) struct Lookup {
    cached: Answers,
    budget: ResponseBudget,
    spelling: Spelling,
    truncated: Counter,
}

/// A request for an answer: its sender, and what it may take.
pub(super) struct Ask<'r> {
    pub(super) peer: IpAddr,
    pub(super) headers: &'r HeaderMap,
    pub(super) trusted_proxies: &'r Proxies,
    /// Bytes of a list at most.
    pub(super) page_bytes_max: usize,
    /// The time for which it waits for its part of the response budget.
    pub(super) wait_time_max: Duration,
}

impl Ask<'_> {
    fn client(&self) -> Client {
        Client::of(self.peer, self.headers, self.trusted_proxies)
    }
}

/// The body that answers a question.
pub(super) struct Answer {
    pub(super) body: Pieces,
    /// The rows of a list that ended before it had all that were asked for.
    pub(super) truncated: Option<usize>,
}

impl From<Bytes> for Answer {
    fn from(body: Bytes) -> Self {
        Self {
            body: body.into(),
            truncated: None,
        }
    }
}

/// An attempt to render an answer within what there was.
enum Attempt {
    Done(Answer),
    /// It needs so many bytes of the response budget.
    Needs(usize),
}

impl Lookup {
    /// A cache and a response budget of so many bytes.
    pub(super) fn new(
        cache_bytes: u64,
        budget_bytes: u64,
        generations: Arc<Generations>,
        spelling: Spelling,
    ) -> Self {
        Self {
            cached: Answers::new(cache_bytes, generations),
            budget: ResponseBudget::new(budget_bytes),
            spelling,
            truncated: Counter::default(),
        }
    }

    /// The body that answers `question`: one made before, or a new one.
    pub(super) async fn answer(
        &self,
        question: Question,
        ask: Ask<'_>,
        reads: &Reads,
        meters: &Meters,
    ) -> Result<Answer, ApiError> {
        let key = self.cached.key(question);
        if let Some(key) = &key {
            let cached = self.cached.get(key);
            meters.looked_up(cached.is_some());
            match cached {
                Some(Cached { body, permit: None }) => return Ok(body.into()),
                // On the heap, so that a small answer does not carry what these take.
                Some(Cached {
                    body,
                    permit: Some(permit),
                }) => return Box::pin(self.shared(&body, &permit, &ask)).await,
                None => {}
            }
        }
        let needed = match self.at_once(question, key, &ask, reads)? {
            Attempt::Done(answer) => return Ok(answer),
            Attempt::Needs(bytes) => bytes,
        };
        Box::pin(self.aside(question, key, needed, &ask, reads)).await
    }

    /// A cached answer for one more reader.
    async fn shared(
        &self,
        body: &Bytes,
        permit: &SharedPermit,
        ask: &Ask<'_>,
    ) -> Result<Answer, ApiError> {
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
        question: Question,
        key: Option<Key>,
        ask: &Ask<'_>,
        reads: &Reads,
    ) -> Result<Attempt, ApiError> {
        let (spelling, bytes_max) = (self.spelling, self.bytes_max(ask));
        let render = |reader: &store::Reader<'_>| {
            // The store reads few bytes only, so that no more is held than some multiple of them.
            let bounds = Bounds {
                bytes_max,
                grow: &mut |_| true,
            };
            render::answer(question, reader, spelling, bounds)
        };
        let rendered = match reads.now(render)? {
            // The store was not asked for its rows yet.
            None => return Ok(Attempt::Needs(first_guess(question))),
            Some(Outcome::Done(rendered)) => rendered,
            Some(Outcome::NoSuch | Outcome::TooLarge) => return Err(ApiError::NoSuch(question)),
        };
        let bytes = rendered.len();
        if bytes <= FREE_BYTES_MAX {
            return Ok(Attempt::Done(self.finish(key, rendered, None)));
        }
        let mut permit = self.budget.none(ask.client());
        Ok(if permit.grow(bytes) {
            Attempt::Done(self.finish(key, rendered, Some(permit)))
        } else {
            // It is dropped: only what has its bytes may wait.
            Attempt::Needs(bytes)
        })
    }

    /// The answer from the blocking pool, once there are so many bytes for it, and if that was too little,
    /// once there are as many as it may have.
    async fn aside(
        &self,
        question: Question,
        key: Option<Key>,
        needed: usize,
        ask: &Ask<'_>,
        reads: &Reads,
    ) -> Result<Answer, ApiError> {
        let (spelling, bytes_max) = (self.spelling, self.bytes_max(ask));
        let (client, mut needed) = (ask.client(), needed);
        let deadline = Instant::now() + ask.wait_time_max;
        loop {
            let mut permit = self.budget.take(client, needed, deadline).await?;
            let is_last = needed >= bytes_max;
            let render = move |reader: &store::Reader<'_>| {
                let bounds = Bounds {
                    bytes_max,
                    // The one row that is larger than a list may be is given all the same.
                    grow: &mut |bytes| permit.grow(bytes) || is_last,
                };
                let outcome = render::answer(question, reader, spelling, bounds)?;
                Ok((outcome, permit))
            };
            let (outcome, permit) = reads.later(render).await?;
            match outcome {
                Outcome::Done(rendered) => return Ok(self.finish(key, rendered, Some(permit))),
                Outcome::NoSuch => return Err(ApiError::NoSuch(question)),
                Outcome::TooLarge if needed < MEDIUM_BYTES_MAX => needed = MEDIUM_BYTES_MAX,
                Outcome::TooLarge => needed = bytes_max,
            }
        }
    }

    /// Bytes of a list at most.
    fn bytes_max(&self, ask: &Ask<'_>) -> usize {
        ask.page_bytes_max.min(self.budget.list_bytes_max())
    }

    /// The answer on its way, and in the cache where it may be asked for again.
    fn finish(&self, key: Option<Key>, rendered: Rendered, permit: Option<Permit>) -> Answer {
        let truncated = rendered.truncated;
        if truncated.is_some() {
            self.truncated.count();
        }
        let is_cached =
            rendered.rest.is_empty() && rendered.len() <= MEDIUM_BYTES_MAX && truncated.is_none();
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
        Answer { body, truncated }
    }

    /// Reports the cache, the response budget, and lists that were cut short.
    pub(super) fn describe(&self, page: &mut Exposition) {
        self.cached.describe(page);
        self.budget.describe(page);
        page.counter(
            "reviewsd_truncated_lists_total",
            "Lists that ended before they had all rows that were asked for, because of their bytes.",
        )
        .value(self.truncated.get());
    }
}

/// The bytes that an answer is taken to need at first; more are asked for while it is rendered.
fn first_guess(question: Question) -> usize {
    let bytes = question.rows_max().saturating_mul(ROW_BYTES);
    bytes.min(FIRST_BYTES_MAX)
}
