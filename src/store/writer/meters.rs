//! The counters of writes, and how they are reported.
//!
//! Invariant: every change that was handed to the writer is counted once, by its outcome.

use std::time::Duration;

use crate::metrics::{BucketBounds, Counter, Exposition, Gauge, Histogram, TIMES, TIMES_NS};
use crate::model::filed::FiledOutcome;

use super::catalogue::ProductOutcome;
use super::change::{ChangeOutcome, Rejected};

/// Changes of a group, up to as many as one takes.
const GROUP_SIZES: BucketBounds<GROUPS> = BucketBounds {
    bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096],
    units: 1,
};
const GROUPS: usize = 13;

/// The counters of a writer.
#[derive(Debug)]
pub struct StoreMeters {
    pub(crate) queued: Gauge,
    queue_max: u64,
    free_space_min: u64,
    group_changes: Histogram<GROUPS>,
    commits: Histogram<TIMES>,
    syncs: Histogram<TIMES>,
    outcomes: [Counter; OUTCOMES.len()],
    /// Reports that hid a review.
    pub(crate) reports: Counter,
    /// Damaged rows that were to be removed.
    pub(crate) passed_over: Counter,
}

/// The outcomes of a change.
const OUTCOMES: [&str; 13] = [
    "created",
    "changed",
    "refused",
    "no_such_product",
    "no_such_review",
    "other_body",
    "already_reviewed",
    "not_undone",
    "busy",
    "disk_full",
    "fenced",
    "damaged",
    "failed",
];

fn name_of(outcome: Result<&ChangeOutcome, &Rejected>) -> &'static str {
    match outcome {
        Ok(ChangeOutcome::Created(_)) => "created",
        Ok(
            ChangeOutcome::Changed
            | ChangeOutcome::Restored(_)
            | ChangeOutcome::Moderated(_)
            | ChangeOutcome::Undone(_),
        ) => "changed",
        Ok(ChangeOutcome::NoSuchReview) => "no_such_review",
        Ok(ChangeOutcome::OtherBody) => "other_body",
        Ok(ChangeOutcome::Product(outcome)) => name_of_product(*outcome),
        Ok(ChangeOutcome::Filed(outcome)) => name_of_filed(*outcome),
        Ok(ChangeOutcome::AlreadyReviewed(_)) => "already_reviewed",
        Ok(ChangeOutcome::NotUndone(_)) => "not_undone",
        Err(Rejected::Busy) => "busy",
        Err(Rejected::DiskFull) => "disk_full",
        Err(Rejected::Fenced(_)) => "fenced",
        Err(Rejected::Damaged(_)) => "damaged",
        Err(Rejected::Failed) => "failed",
    }
}

fn name_of_filed(outcome: FiledOutcome) -> &'static str {
    match outcome {
        FiledOutcome::Inserted
        | FiledOutcome::Changed
        | FiledOutcome::Unchanged
        | FiledOutcome::Removed => "changed",
        FiledOutcome::NoSuchReview => "no_such_review",
        FiledOutcome::Customers | FiledOutcome::Erased => "refused",
    }
}

fn name_of_product(outcome: ProductOutcome) -> &'static str {
    match outcome {
        ProductOutcome::Created(_)
        | ProductOutcome::Updated(..)
        | ProductOutcome::Unchanged(..)
        | ProductOutcome::Removed
        | ProductOutcome::SkusEntered { .. } => "changed",
        ProductOutcome::NoSuchProduct | ProductOutcome::NoSuchSku => "no_such_product",
        ProductOutcome::Differs(_)
        | ProductOutcome::SkuTaken { .. }
        | ProductOutcome::TooLarge
        | ProductOutcome::SkusNotEntered => "refused",
    }
}

impl StoreMeters {
    pub(crate) fn new(queue_max: usize, free_space_min: u64) -> Self {
        Self {
            queued: Gauge::default(),
            queue_max: queue_max as u64,
            free_space_min,
            group_changes: Histogram::new(GROUP_SIZES),
            commits: Histogram::new(TIMES_NS),
            syncs: Histogram::new(TIMES_NS),
            outcomes: Default::default(),
            reports: Counter::default(),
            passed_over: Counter::default(),
        }
    }

    pub(crate) fn committed(&self, changes: usize, time: Duration) {
        self.group_changes.record(changes as u64);
        self.commits.record_time(time);
    }

    pub(crate) fn synced(&self, time: Duration) {
        self.syncs.record_time(time);
    }

    pub(crate) fn told(&self, outcome: Result<&ChangeOutcome, &Rejected>) {
        let name = name_of(outcome);
        let mut outcomes = OUTCOMES.iter().zip(&self.outcomes);
        if let Some((_, counter)) = outcomes.find(|(known, _)| **known == name) {
            counter.count();
        }
    }

    /// Reports the counters of writes.
    pub fn describe(&self, page: &mut Exposition) {
        let mut writes = page.counter(
            "reviewsd_writes_total",
            "Changes that were submitted to the writer, by outcome.",
        );
        for (outcome, count) in OUTCOMES.iter().zip(&self.outcomes) {
            writes.sample(&[("outcome", outcome)], count.get());
        }
        page.counter(
            "reviewsd_write_rows_passed_over_total",
            "Damaged idempotency records that could not be deleted; reviewsd verify finds them.",
        )
        .value(self.passed_over.get());
        page.counter(
            "reviewsd_reports_total",
            "Reports that hid a review; those of a hidden review do not count.",
        )
        .value(self.reports.get());
        page.gauge(
            "reviewsd_write_queue_changes",
            "Changes in the writer's queue.",
        )
        .value(self.queued.get());
        page.gauge(
            "reviewsd_write_queue_max_changes",
            "Limit of the writer's queue.",
        )
        .value(self.queue_max);
        page.histogram(
            "reviewsd_write_group_changes",
            "Changes that were committed together.",
        )
        .distribution(&[], &self.group_changes.get());
        page.histogram(
            "reviewsd_write_commit_duration_seconds",
            "Time to commit a group, including its fsync if durability is fsync.",
        )
        .distribution(&[], &self.commits.get());
        page.histogram(
            "reviewsd_write_sync_duration_seconds",
            "Time of the fsync of an interval, if durability is interval.",
        )
        .distribution(&[], &self.syncs.get());
        page.gauge(
            "reviewsd_store_free_min_bytes",
            "Free space below which writes are rejected.",
        )
        .value(self.free_space_min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fence;
    use crate::model::ReviewId;
    use crate::writer::change::UndoRefusal;

    #[test]
    fn every_outcome_is_counted_under_a_name_of_its_own() {
        let meters = StoreMeters::new(1, 0);
        let outcomes = [
            Ok(ChangeOutcome::Created(ReviewId(1))),
            Ok(ChangeOutcome::Changed),
            Ok(ChangeOutcome::NoSuchReview),
            Ok(ChangeOutcome::OtherBody),
            Ok(ProductOutcome::NoSuchSku.into()),
            Ok(ProductOutcome::TooLarge.into()),
            Ok(ChangeOutcome::AlreadyReviewed(ReviewId(1))),
            Ok(ChangeOutcome::NotUndone(UndoRefusal::Final)),
            Err(Rejected::Busy),
            Err(Rejected::DiskFull),
            Err(Rejected::Fenced(Fence::Empty)),
            Err(Rejected::Damaged(String::new())),
            Err(Rejected::Failed),
        ];
        for outcome in &outcomes {
            meters.told(outcome.as_ref());
        }
        assert!(meters.outcomes.iter().all(|counter| counter.get() == 1));
    }
}
