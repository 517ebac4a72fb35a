//! Moderation of writes: what becomes of a posted review, and how many writes a client or a product may have.
//!
//! Must not know requests, nor how a review is stored. Invariants: a review is judged once, before it is handed
//! to the writer; without settings for it nothing is judged, looked up or counted; every table is of a fixed size.

pub(crate) mod check;
mod meters;

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use ::policy::{ContentRules, Judgement, ReviewTexts, Verdict};
use hyper::header;

use crate::metrics::Exposition;
use crate::model::moderation::ReasonCode;
use crate::model::{NewReview, ProductId};

use super::super::client::ClientAddress;
use super::super::error::ApiError;
use super::super::reads::Reads;
use super::super::validation::{FaultLocation, ValidationError};
use super::limits::{Quota, Rates};
use super::{MonotonicClock, SentReview};
use check::{CheckedReview, ReviewCheck};
use meters::{LimitedWrites, ModerationMeters};

/// The settings of moderation. The default publishes everything and limits nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModerationPolicy {
    /// True if a review is held until a moderator publishes it.
    pub holds_all: bool,
    /// True if it is published all the same if its e-mail address has a published one.
    pub publishes_known: bool,
    /// The rules for its texts.
    pub rules: Arc<ContentRules>,
    /// The verdict on a second review of a product with the same e-mail address.
    pub duplicates: Verdict,
    /// The service that is asked about each review.
    pub check: Option<Arc<ReviewCheck>>,
    /// Reports of one client that may hide a review.
    pub reports_per_client: Option<Quota>,
    /// Reviews of one client.
    pub reviews_per_client: Option<Quota>,
    /// Votes of one client.
    pub votes_per_client: Option<Quota>,
    /// Reviews of one product.
    pub reviews_per_product: Option<Quota>,
    /// The settings that the writer keeps to.
    pub writer: store::ModerationSettings,
}

impl ModerationPolicy {
    /// True if a review may become anything but published.
    fn judges(&self) -> bool {
        self.holds_all
            || !self.rules.is_empty()
            || self.duplicates != Verdict::Publish
            || self.check.is_some()
            || self.reviews_per_client.is_some()
            || self.reviews_per_product.is_some()
    }
}

/// The judge of reviews, and the writes that clients and products have had.
pub(super) struct Moderation {
    settings: ModerationPolicy,
    judges: bool,
    reports_per_client: WriteLimit,
    reviews_per_client: WriteLimit,
    votes_per_client: WriteLimit,
    reviews_per_product: WriteLimit,
    clock: MonotonicClock,
    meters: Arc<ModerationMeters>,
}

impl Moderation {
    pub(super) fn new(settings: ModerationPolicy, clock: MonotonicClock) -> Self {
        Self {
            judges: settings.judges(),
            reports_per_client: WriteLimit::new(settings.reports_per_client),
            reviews_per_client: WriteLimit::new(settings.reviews_per_client),
            votes_per_client: WriteLimit::new(settings.votes_per_client),
            reviews_per_product: WriteLimit::new(settings.reviews_per_product),
            settings,
            clock,
            meters: Arc::default(),
        }
    }

    /// The same with other settings. The writes of clients and products stay, unless they were counted by a
    /// quota that has changed.
    pub(super) fn with(&self, settings: ModerationPolicy) -> Self {
        Self {
            judges: settings.judges(),
            reports_per_client: self.reports_per_client.with(settings.reports_per_client),
            reviews_per_client: self.reviews_per_client.with(settings.reviews_per_client),
            votes_per_client: self.votes_per_client.with(settings.votes_per_client),
            reviews_per_product: self.reviews_per_product.with(settings.reviews_per_product),
            settings,
            clock: Arc::clone(&self.clock),
            meters: Arc::clone(&self.meters),
        }
    }

    /// True if a review may become anything but published, so that one that is sent again is to be known before
    /// it is judged.
    pub(super) fn judges(&self) -> bool {
        self.judges
    }

    /// The verdict on a second review of a product with the same e-mail address.
    pub(super) fn duplicates(&self) -> Verdict {
        self.settings.duplicates
    }

    /// The judgement on such a review; one to refuse is an error.
    pub(super) fn on_duplicate(&self) -> Result<Judgement, ApiError> {
        let verdict = self.settings.duplicates;
        self.not_refused(Judgement::new(verdict, ReasonCode::Duplicate))
    }

    /// The settings that the writer keeps to.
    pub(super) fn of_writer(&self) -> store::ModerationSettings {
        store::ModerationSettings {
            one_review_per_email: self.settings.duplicates != Verdict::Publish,
            ..self.settings.writer
        }
    }

    /// Judges a review by everything but the other reviews of its product, and counts it where reviews are
    /// limited. One that is refused is an error.
    pub(super) async fn judge(
        &self,
        review: &NewReview,
        sent: &SentReview<'_>,
        reads: &Reads,
    ) -> Result<Judgement, ApiError> {
        if !self.judges {
            return Ok(Judgement::PUBLISH);
        }
        let texts = ReviewTexts {
            summary: &review.summary,
            body: &review.body,
            name: &review.reviewer_name,
        };
        let by_rules = self.not_refused(self.settings.rules.judge(&texts))?;
        self.count_review(sent.client, review.product)?;
        let by_check = self.not_refused(self.checked(review, sent).await)?;
        let judgement = by_rules.or_stricter(by_check);
        if judgement == Judgement::PUBLISH && self.holds(review, reads).await? {
            return Ok(Judgement::new(Verdict::Hold, ReasonCode::Held));
        }
        Ok(judgement)
    }

    /// The judgement of the service that is asked about reviews, if there is one.
    async fn checked(&self, review: &NewReview, sent: &SentReview<'_>) -> Judgement {
        let Some(check) = &self.settings.check else {
            return Judgement::PUBLISH;
        };
        let user_agent = sent.headers.get(header::USER_AGENT);
        let checked = CheckedReview {
            review,
            client: sent.client.address(),
            user_agent: user_agent.and_then(|value| value.to_str().ok()),
            request: sent.bytes,
        };
        check.ask(&checked, &self.meters.check).await
    }

    /// True if a review is held that nothing else has anything against.
    async fn holds(&self, review: &NewReview, reads: &Reads) -> Result<bool, ApiError> {
        if !self.settings.holds_all || !self.settings.publishes_known {
            return Ok(self.settings.holds_all);
        }
        let email = review.reviewer_email.clone();
        let is_known = reads
            .read(move |reader| reader.has_published(&email))
            .await?;
        Ok(!is_known)
    }

    /// Counts the judgement on a review that is stored.
    pub(super) fn note(&self, judgement: Judgement) {
        if self.judges {
            self.meters.judged(judgement);
        }
    }

    /// Counts a judgement to refuse, and makes it an error; any other is returned.
    fn not_refused(&self, judgement: Judgement) -> Result<Judgement, ApiError> {
        match judgement.verdict {
            Verdict::Publish | Verdict::Hold => Ok(judgement),
            Verdict::Refuse => {
                self.meters.judged(judgement);
                Err(refusal(judgement.reason))
            }
        }
    }

    fn count_review(&self, client: ClientAddress, product: ProductId) -> Result<(), ApiError> {
        let writes = LimitedWrites::ReviewsOfClient;
        self.count(writes, &self.reviews_per_client, &client)
            .map_err(|wait| ApiError::TooMany { wait })?;
        let writes = LimitedWrites::ReviewsOfProduct;
        self.count(writes, &self.reviews_per_product, &product)
            .map_err(|wait| ApiError::ManyReviews { wait })
    }

    /// Counts a vote of a client, which may have too many.
    pub(super) fn count_vote(&self, client: ClientAddress) -> Result<(), ApiError> {
        let writes = LimitedWrites::VotesOfClient;
        self.count(writes, &self.votes_per_client, &client)
            .map_err(|wait| ApiError::TooMany { wait })
    }

    /// Counts a report of a client, and returns whether it may hide a review.
    pub(super) fn count_report(&self, client: ClientAddress) -> bool {
        let writes = LimitedWrites::ReportsOfClient;
        self.count(writes, &self.reports_per_client, &client)
            .is_ok()
    }

    /// Counts one of these writes for `key`; beyond the limit, returns the time to wait.
    fn count(
        &self,
        writes: LimitedWrites,
        limit: &WriteLimit,
        key: &impl Hash,
    ) -> Result<(), Duration> {
        let Some(rates) = &limit.rates else {
            return Ok(());
        };
        rates
            .take(key, (self.clock)())
            .inspect_err(|_| self.meters.limited(writes))
    }

    /// Writes the metrics of judgements, of limited writes and of the check.
    pub(super) fn describe(&self, page: &mut Exposition) {
        self.meters.describe(page);
    }
}

/// A quota, and the writes that count against it; no quota is no limit.
struct WriteLimit {
    quota: Option<Quota>,
    rates: Option<Arc<Rates>>,
}

impl WriteLimit {
    fn new(quota: Option<Quota>) -> Self {
        Self {
            quota,
            rates: quota.map(|quota| Arc::new(Rates::of(quota))),
        }
    }

    fn with(&self, quota: Option<Quota>) -> Self {
        if quota == self.quota {
            let rates = self.rates.clone();
            return Self { quota, rates };
        }
        Self::new(quota)
    }
}

/// The error for a review that is refused on this ground.
fn refusal(reason: ReasonCode) -> ApiError {
    let (member, detail) = match reason {
        ReasonCode::CheckFailed => return ApiError::Unchecked,
        ReasonCode::Words => ("/body", "the review has a word that is not accepted"),
        ReasonCode::Links => ("/body", "the review has too many links"),
        ReasonCode::Length => ("/body", "the body of the review is too short or too long"),
        ReasonCode::Repetition => (
            "/body",
            "the review repeats the same characters or words too often",
        ),
        ReasonCode::Duplicate => (
            "/email",
            "there is a review of this product with this e-mail address already",
        ),
        _ => ("", "the review is not accepted"),
    };
    let place = FaultLocation::Pointer(member.to_owned());
    ApiError::Unfit(vec![ValidationError::new(place, detail)])
}
