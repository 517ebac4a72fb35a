//! The metrics of moderation: judgements by verdict and ground, limited writes, and the check.
//!
//! Must not know the rules. Invariant: what a rule or a limit decides is counted once.

use std::time::Duration;

use ::policy::{Judgement, Verdict};

use crate::metrics::{Counter, Exposition, Histogram, TIMES, TIMES_NS};
use crate::model::moderation::ReasonCode;

/// The grounds that have a series from the start, so that their first occurrence is an increase.
const TOLD: [(Verdict, ReasonCode); 1] = [(Verdict::Publish, ReasonCode::Unstated)];
const REASONS: usize = ReasonCode::ALL.len();
const VERDICTS: usize = Verdict::ALL.len();
/// The outcomes of the check: a verdict, or no answer.
const OUTCOMES: [&str; VERDICTS + 1] = ["publish", "hold", "refuse", "unanswered"];

/// Writes that are limited by client or by product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitedWrites {
    ReviewsOfClient,
    ReviewsOfProduct,
    VotesOfClient,
    ReportsOfClient,
}

impl LimitedWrites {
    const ALL: [Self; 4] = [
        Self::ReviewsOfClient,
        Self::ReviewsOfProduct,
        Self::VotesOfClient,
        Self::ReportsOfClient,
    ];

    /// The key of the limit.
    fn word(self) -> &'static str {
        match self {
            Self::ReviewsOfClient => "reviews_per_client",
            Self::ReviewsOfProduct => "reviews_per_product",
            Self::VotesOfClient => "votes_per_client",
            Self::ReportsOfClient => "reports_per_client",
        }
    }
}

/// The counters of moderation.
#[derive(Debug, Default)]
pub(super) struct ModerationMeters {
    /// By verdict and ground.
    judged: [[Counter; REASONS]; VERDICTS],
    limited: [Counter; LimitedWrites::ALL.len()],
    pub(super) check: CheckMeters,
}

/// The counters of the check.
#[derive(Debug)]
pub(super) struct CheckMeters {
    outcomes: [Counter; OUTCOMES.len()],
    times: Histogram<TIMES>,
}

impl Default for CheckMeters {
    fn default() -> Self {
        Self {
            outcomes: Default::default(),
            times: Histogram::new(TIMES_NS),
        }
    }
}

impl CheckMeters {
    /// Counts a request to the service; `None` is no answer.
    pub(super) fn asked(&self, verdict: Option<Verdict>, time: Duration) {
        let outcome = verdict.map_or(VERDICTS, index);
        if let Some(count) = self.outcomes.get(outcome) {
            count.count();
        }
        self.times.record_time(time);
    }
}

impl ModerationMeters {
    /// Counts a final judgement.
    pub(super) fn judged(&self, judgement: Judgement) {
        let of_verdict = self.judged.get(index(judgement.verdict));
        let reason = position(judgement.reason);
        if let Some(count) = of_verdict.and_then(|reasons| reasons.get(reason)) {
            count.count();
        }
    }

    /// Counts a write beyond a limit.
    pub(super) fn limited(&self, writes: LimitedWrites) {
        let place = LimitedWrites::ALL.iter().position(|one| *one == writes);
        if let Some(count) = place.and_then(|place| self.limited.get(place)) {
            count.count();
        }
    }

    /// Writes the metrics.
    pub(super) fn describe(&self, page: &mut Exposition) {
        let mut judged = page.counter(
            "reviewsd_moderation_judgements_total",
            "Posted reviews that moderation judged, by verdict and ground.",
        );
        for (verdict, of_verdict) in Verdict::ALL.into_iter().zip(&self.judged) {
            for (reason, count) in ReasonCode::ALL.iter().zip(of_verdict) {
                let count = count.get();
                if count > 0 || TOLD.contains(&(verdict, *reason)) {
                    let labels = [("verdict", verdict.word()), ("reason", reason.word())];
                    judged.sample(&labels, count);
                }
            }
        }
        let mut limited = page.counter(
            "reviewsd_moderation_limited_total",
            "Writes beyond a limit of [moderation]: reports that hide nothing, and reviews and votes that were answered 429.",
        );
        for (writes, count) in LimitedWrites::ALL.into_iter().zip(&self.limited) {
            limited.sample(&[("limit", writes.word())], count.get());
        }
        let mut outcomes = page.counter(
            "reviewsd_moderation_checks_total",
            "Reviews that the service of moderation.check_url was asked about, by its answer.",
        );
        for (outcome, count) in OUTCOMES.into_iter().zip(&self.check.outcomes) {
            outcomes.sample(&[("outcome", outcome)], count.get());
        }
        page.histogram(
            "reviewsd_moderation_check_duration_seconds",
            "Time for which a review waited for that answer.",
        )
        .distribution(&[], &Histogram::sum([&self.check.times].into_iter()));
    }
}

fn index(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Publish => 0,
        Verdict::Hold => 1,
        Verdict::Refuse => 2,
    }
}

fn position(reason: ReasonCode) -> usize {
    let place = ReasonCode::ALL.iter().position(|one| *one == reason);
    place.unwrap_or_default()
}
