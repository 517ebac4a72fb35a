//! Writes: from a request to a change, and from its outcome to an answer.
//!
//! Must not know sockets or how the store is written. Invariants: a change is handed to the writer only after
//! all of it was checked; an answer of success means that the writer reported it as done; a client that
//! disconnects changes nothing.

pub(crate) mod acks;
pub(crate) mod document;
pub(crate) mod draft;
pub(crate) mod fields;
pub(crate) mod limits;
pub(crate) mod moderation;
pub(crate) mod rules;

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Body;
use hyper::header::{HeaderMap, HeaderName};
use hyper::http::request::Parts;
use ipnet::IpNet;
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use ::policy::{Judgement, Verdict};

use crate::metrics::Exposition;
use crate::model::moderation::ReasonCode;
use crate::model::{NewReview, ProductId, ReviewId};
use crate::store::{
    Change, ChangeOutcome, IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, ReadError, Reader, Rejected,
    WriteResult, Writer,
};

use super::body::{Bodies, BodyPace};
use super::client::ClientAddress;
use super::endpoints::{ReadQuery, WriteOperation};
use super::error::ApiError;
use super::reads::Reads;
use super::reads::parameters;
use super::reply::Reply;
use super::route::PathArguments;
use super::validation::{FaultLocation, ValidationErrors};
use acks::{AckReply, Acks};
use draft::{Draft, ProductFacts};
use limits::{RateLimit, Rates, RecentVotes, Vote};
use moderation::{Moderation, ModerationPolicy};
use rules::ReviewRules;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A monotonic time, from any origin.
pub type MonotonicClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The settings of writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteSettings {
    /// The time for which the body of a request is waited for at most.
    pub body_time_max: Duration,
    /// Bytes a second at which the body must be received beyond half of that time.
    pub body_rate_min: u64,
    /// The rules by which reviews are taken.
    pub rules: ReviewRules,
    /// The time in which a client's second vote for a review does not count; `None` counts every vote.
    pub vote_window: Option<Duration>,
    /// The rate limit of one client; `None` is none.
    pub rate_limit: Option<RateLimit>,
    /// The proxies whose X-Forwarded-For is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The settings of moderation.
    pub moderation: ModerationPolicy,
}

impl WriteSettings {
    /// The time that the body of a request may take.
    pub(super) fn pace(&self) -> BodyPace {
        BodyPace {
            time_max: self.body_time_max,
            rate_min: self.body_rate_min,
        }
    }
}

/// The way from requests to the writer.
pub(super) struct WriteService {
    writer: Writer,
    acks: Acks,
    settings: WriteSettings,
    rates: Option<Arc<Rates>>,
    voted: Option<Arc<RecentVotes>>,
    moderation: Moderation,
    clock: MonotonicClock,
}

impl WriteService {
    pub(super) fn new(
        writer: Writer,
        acks: Acks,
        settings: WriteSettings,
        clock: MonotonicClock,
    ) -> Self {
        Self {
            writer,
            acks,
            rates: rates(&settings),
            voted: voted(&settings),
            moderation: Moderation::new(settings.moderation.clone(), Arc::clone(&clock)),
            settings,
            clock,
        }
        .in_effect()
    }

    /// Has the writer keep to the settings of moderation, too.
    fn in_effect(self) -> Self {
        self.writer.set_moderation(self.moderation.of_writer());
        self
    }

    /// The same write mode with other settings. The state of clients stays, unless it was measured by a setting
    /// that has changed.
    pub(super) fn with(&self, settings: WriteSettings) -> Self {
        let same_rate = settings.rate_limit == self.settings.rate_limit;
        let same_window = settings.vote_window == self.settings.vote_window;
        Self {
            writer: self.writer.clone(),
            acks: self.acks.clone(),
            rates: if same_rate {
                self.rates.clone()
            } else {
                rates(&settings)
            },
            voted: if same_window {
                self.voted.clone()
            } else {
                voted(&settings)
            },
            moderation: self.moderation.with(settings.moderation.clone()),
            settings,
            clock: Arc::clone(&self.clock),
        }
        .in_effect()
    }

    /// Executes a write request, and answers with its outcome.
    pub(super) async fn answer<B>(
        &self,
        (operation, arguments): (WriteOperation, PathArguments<'_>),
        head: &Parts,
        (body, bodies): (B, &Bodies),
        peer: IpAddr,
        reads: &Reads,
    ) -> Result<Reply, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let named = arguments.first();
        match operation {
            WriteOperation::Add => {
                // The body first: were it left where it is, the connection could not go on.
                let body = bodies.read(body, self.settings.pace()).await?;
                self.admit(peer, &head.headers)?;
                // A store that takes no writes may lack the product, so it judges no review.
                if let Some(fence) = self.writer.fence() {
                    return Err(ApiError::Fenced(fence));
                }
                let sent = SentReview {
                    product_in_path: named,
                    headers: &head.headers,
                    bytes: body.as_ref(),
                    client: self.client(peer, &head.headers),
                };
                let posted = self.posted(&sent, reads).await?;
                drop(body);
                self.add(posted, reads).await
            }
            WriteOperation::Vote => {
                self.admit(peer, &head.headers)?;
                let review = parameters::review_id(named.unwrap_or_default())?;
                self.vote(review, peer, &head.headers, reads).await
            }
            WriteOperation::Report => {
                self.admit(peer, &head.headers)?;
                let review = parameters::review_id(named.unwrap_or_default())?;
                let client = self.client(peer, &head.headers);
                let change = Change::Report {
                    review,
                    client: client.address(),
                    reason: ReasonCode::Unstated,
                    hides: self.moderation.count_report(client),
                };
                let told = submit(&self.writer, change, |_| {});
                changed(review, self.acks.settled(told).await?)
            }
        }
    }

    /// Admits a client that keeps to its rate.
    fn admit(&self, peer: IpAddr, request: &HeaderMap) -> Result<(), ApiError> {
        let Some(rates) = &self.rates else {
            return Ok(());
        };
        let taken = rates.take(&self.client(peer, request), (self.clock)());
        taken.map_err(|wait| ApiError::TooMany { wait })
    }

    fn client(&self, peer: IpAddr, request: &HeaderMap) -> ClientAddress {
        ClientAddress::of(peer, request, &self.settings.trusted_proxies)
    }

    /// Returns the review of a request, checked against the store and judged.
    async fn posted(&self, sent: &SentReview<'_>, reads: &Reads) -> Result<Posted, ApiError> {
        let members = document::parse(sent.bytes).map_err(ApiError::Unreadable)?;
        let rules = self.settings.rules;
        let mut draft = Draft::read(members, sent.product_in_path, rules);
        let key = retry_key(sent.headers, &mut draft.faults);
        if let Some(product) = draft.product() {
            let known = self.known(product, draft.has_ratings(), reads).await?;
            draft.check(&known, rules.drop_unknown_characteristics);
        }
        let review = draft.finish().map_err(ApiError::Unfit)?;
        let retry = key.map(|key| retry(key, &review, sent.bytes, sent.client));
        if self.moderation.judges()
            && let Some(retry) = &retry
            && let Some(earlier) = earlier(retry, reads).await?
        {
            // It was judged when it came first.
            return Ok(Posted::Again(earlier));
        }
        let judgement = self.moderation.judge(&review, sent, reads).await?;
        Ok(Posted::New(Box::new(JudgedReview {
            review,
            retry,
            judgement,
        })))
    }

    /// Returns the facts of a product that a review depends on.
    async fn known(
        &self,
        product: ProductId,
        has_ratings: bool,
        reads: &Reads,
    ) -> Result<ProductFacts, ApiError> {
        let is_checked = !self.settings.rules.take_unknown_products;
        if !is_checked && !has_ratings {
            return Ok(ProductFacts {
                product: true,
                characteristics: Vec::new(),
            });
        }
        let look = move |reader: &Reader<'_>| look(reader, product, is_checked, has_ratings);
        reads.read(look).await
    }

    async fn add(&self, posted: Posted, reads: &Reads) -> Result<Reply, ApiError> {
        let posted = match posted {
            Posted::New(posted) => *posted,
            Posted::Again(id) => {
                // It is done; a replica must have it as well, if that is configured.
                let at = reads.position();
                self.acks.wait(at.seq).await?;
                return Ok(Reply::created(id).at(at.into()));
            }
        };
        let JudgedReview {
            review,
            retry,
            mut judgement,
        } = posted;
        let holds_duplicates = self.moderation.duplicates() == Verdict::Hold;
        let copy = holds_duplicates.then(|| (review.clone(), retry.clone()));
        let mut settled = self.store(review, retry, judgement).await?;
        // Only the writer can tell, since it takes one review after the other.
        if matches!(settled.outcome, ChangeOutcome::AlreadyReviewed(_)) {
            judgement = self.moderation.on_duplicate()?;
            if let Some((review, retry)) = copy {
                settled = self.store(review, retry, judgement).await?;
            }
        }
        match settled.outcome {
            ChangeOutcome::Created(id) => {
                self.moderation.note(judgement);
                Ok(Reply::created(id).at(settled.at.into()))
            }
            ChangeOutcome::OtherBody => Err(ApiError::OtherBody),
            other => unexpected(&other),
        }
    }

    /// Hands a review to the writer, and waits for its outcome.
    async fn store(
        &self,
        review: NewReview,
        retry: Option<IdempotencyKey>,
        judgement: Judgement,
    ) -> Result<WriteResult, ApiError> {
        let change = Change::Post {
            review,
            retry,
            held: (judgement.verdict == Verdict::Hold).then_some(judgement.reason),
        };
        let told = submit(&self.writer, change, |_| {});
        self.acks.settled(told).await
    }

    async fn vote(
        &self,
        review: ReviewId,
        peer: IpAddr,
        request: &HeaderMap,
        reads: &Reads,
    ) -> Result<Reply, ApiError> {
        let change = Change::Vote {
            review,
            client: self.client(peer, request).address(),
        };
        let told = if let Some(voted) = &self.voted {
            let client = self.client(peer, request);
            if voted.settled(client, review, (self.clock)()).await == Vote::Repeated {
                // It is done; a replica must have it as well, if that is configured.
                let at = reads.position();
                self.acks.wait(at.seq).await?;
                return Ok(Reply::empty().at(at.into()));
            }
            self.moderation.count_vote(client).inspect_err(|_| {
                voted.forget(client, review);
            })?;
            let voted = Arc::clone(voted);
            // From the writer's thread, because the client may have disconnected by then.
            submit(&self.writer, change, move |outcome| {
                let outcome = outcome.as_ref().map(|settled| &settled.outcome);
                if outcome == Ok(&ChangeOutcome::Changed) {
                    voted.confirm(client, review);
                } else {
                    voted.forget(client, review);
                }
            })
        } else {
            self.moderation.count_vote(self.client(peer, request))?;
            submit(&self.writer, change, |_| {})
        };
        changed(review, self.acks.settled(told).await?)
    }

    /// Writes the metrics of moderation, and of the writes that wait for a replica.
    pub(super) fn describe(&self, page: &mut Exposition) {
        self.acks.describe(page);
        self.moderation.describe(page);
    }
}

/// A request to add a review, as it came.
struct SentReview<'a> {
    product_in_path: Option<&'a str>,
    headers: &'a HeaderMap,
    bytes: &'a [u8],
    client: ClientAddress,
}

/// A review that is to be added.
enum Posted {
    /// One that is to be stored.
    New(Box<JudgedReview>),
    /// One that was stored when it was sent first.
    Again(ReviewId),
}

/// A review that was not refused.
struct JudgedReview {
    review: NewReview,
    retry: Option<IdempotencyKey>,
    judgement: Judgement,
}

/// Returns the review that an earlier request with the same key and body stored.
async fn earlier(retry: &IdempotencyKey, reads: &Reads) -> Result<Option<ReviewId>, ApiError> {
    let (key, body) = (retry.key.clone(), retry.body);
    reads.read(move |reader| reader.retried(&key, body)).await
}

/// Hands a change to the writer; `then` gets the outcome before the caller does.
pub(super) fn submit(
    writer: &Writer,
    change: Change,
    then: impl FnOnce(&Result<WriteResult, Rejected>) + Send + 'static,
) -> AckReply {
    let (tell, told) = oneshot::channel();
    writer.submit(change, move |outcome| {
        then(&outcome);
        // A client that hung up does not hear it.
        let _ = tell.send(outcome);
    });
    told
}

fn rates(settings: &WriteSettings) -> Option<Arc<Rates>> {
    let limit = settings.rate_limit?;
    Some(Arc::new(Rates::new(limit)))
}

fn voted(settings: &WriteSettings) -> Option<Arc<RecentVotes>> {
    let window = settings.vote_window?;
    Some(Arc::new(RecentVotes::new(window)))
}

/// The answer to a vote or a report.
pub(super) fn changed(review: ReviewId, settled: WriteResult) -> Result<Reply, ApiError> {
    match settled.outcome {
        ChangeOutcome::Changed => Ok(Reply::empty().at(settled.at.into())),
        ChangeOutcome::NoSuchReview => Err(ApiError::NoSuch(ReadQuery::Review(review))),
        other => unexpected(&other),
    }
}

/// The error for an outcome of another change than the requested one.
fn unexpected(outcome: &ChangeOutcome) -> Result<Reply, ApiError> {
    let what = format!("the writer answered {outcome:?}");
    Err(ApiError::internal(std::io::Error::other(what)))
}

fn look(
    reader: &Reader<'_>,
    product: ProductId,
    is_checked: bool,
    has_ratings: bool,
) -> Result<ProductFacts, ReadError> {
    // Without a catalogue there is nothing that a product could be unknown to.
    let is_known =
        !is_checked || reader.product(product, |_| ())?.is_some() || !reader.has_catalogue()?;
    let characteristics = if is_known && has_ratings {
        reader.summary(product, |summary| {
            let all = summary.characteristics.iter();
            all.map(|characteristic| characteristic.id).collect()
        })?
    } else {
        None
    };
    Ok(ProductFacts {
        product: is_known,
        characteristics: characteristics.unwrap_or_default(),
    })
}

/// The client's idempotency key for a request that it may send again.
fn retry_key(request: &HeaderMap, faults: &mut ValidationErrors) -> Option<Vec<u8>> {
    let mut keys = request.get_all(IDEMPOTENCY_KEY).iter();
    let key = keys.next()?.as_bytes();
    let is_valid = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
        && key.iter().all(u8::is_ascii_graphic)
        && keys.next().is_none();
    if !is_valid {
        let detail = format!(
            "Idempotency-Key must be one, of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"
        );
        faults.add(FaultLocation::Header("Idempotency-Key"), detail);
    }
    is_valid.then(|| key.to_vec())
}

/// The same body is about another product where the path names another.
fn retry(key: Vec<u8>, review: &NewReview, bytes: &[u8], client: ClientAddress) -> IdempotencyKey {
    IdempotencyKey {
        key,
        body: xxh3_128_with_seed(bytes, review.product.0),
        client: client.address(),
    }
}
