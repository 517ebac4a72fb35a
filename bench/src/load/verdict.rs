//! What the figures mean: whether the rate was held, what the limit was, and what a reader must know.
//!
//! Owns the judgement and its words. It must not change a figure.

use crate::load::outcome::{Limit, Measured, Outcome, Step};
use crate::load::time::Shown;

/// A rate of which so much was sent, and answered in time, was held.
const HELD_SHARE_MIN: f64 = 0.99;
/// Answers on their way at the end are no fault, but for no more than this share.
const UNDER_WAY_SHARE_MAX: f64 = 0.05;
/// A thread that has so much of a processor's time has no more to give.
const BUSY_SHARE_MIN: f64 = 0.9;
/// A generator that is later than this, and than a tenth of the latency, shows in the figures.
const LATENESS_P99_MAX_US: f64 = 1000.0;
const LATENESS_OF_LATENCY_MAX: f64 = 0.1;

/// Judges a run: whether the plan was kept, which a closed loop has none of, and what limited its rate.
/// `answered` requests were over, rightly or not, while it was measured; `busy` is how much of its
/// threads' time the generator used.
pub(crate) fn judge(measured: &Measured, answered: u64, busy: f64) -> (Option<bool>, Limit) {
    let generator_is_busy = busy >= BUSY_SHARE_MIN;
    let Some(planned) = measured.planned else {
        let limit = if generator_is_busy {
            Limit::Generator
        } else {
            Limit::Server
        };
        return (None, limit);
    };
    let under_way = measured.latency.mean_us / 1e6 / measured.seconds;
    let answered = share(answered, planned) + under_way.min(UNDER_WAY_SHARE_MAX);
    let sent = share(measured.sent, planned);
    let held = planned == 0 || (sent >= HELD_SHARE_MIN && answered >= HELD_SHARE_MIN);
    let limit = if held {
        Limit::Plan
    } else if generator_is_busy || is_mostly_late(measured) {
        Limit::Generator
    } else {
        Limit::Server
    };
    (Some(held), limit)
}

/// True if requests that waited did so for the generator more than for a connection.
fn is_mostly_late(measured: &Measured) -> bool {
    let waited_us = measured.latency.mean_us - measured.service.mean_us;
    measured.lateness.mean_us > waited_us / 2.0
}

/// The limit of all steps together: that of the first step that was not held.
pub(crate) fn whole(steps: &[Step], otherwise: Limit) -> Limit {
    let mut limits = steps.iter().map(|step| step.measured.limit);
    limits
        .find(|limit| *limit != Limit::Plan)
        .unwrap_or(otherwise)
}

/// Returns the remarks for a reader of the figures. `warm_up` is the number of errors before the
/// measurement, and the first of them; `opened` how many connections there were at the beginning.
pub(crate) fn remarks(
    outcome: &Outcome,
    warm_up: (u64, Option<&str>),
    opened: usize,
) -> Vec<String> {
    let mut remarks = Vec::new();
    if outcome.interrupted {
        let seconds = outcome.total.seconds;
        remarks.push(format!(
            "It was ended early: the figures are of {seconds:.1} s."
        ));
    }
    for step in &outcome.steps {
        remarks.extend(not_held(step, outcome));
    }
    if outcome.total.held.is_none() && outcome.total.limit == Limit::Generator {
        remarks.push(format!(
            "The generator was the limit: its threads were busy {:.0} % of the time. The server may \
             be faster than this; give the load more --threads and processors.",
            outcome.generator.cpu_share * 100.0
        ));
    }
    let lateness = outcome.total.lateness.p99_us;
    let shows = lateness > LATENESS_OF_LATENCY_MAX * outcome.total.latency.p99_us;
    if lateness > LATENESS_P99_MAX_US && shows {
        remarks.push(format!(
            "The generator itself was late: one request of a hundred started {} or more after it \
             could have. The latencies include that.",
            Shown(lateness)
        ));
    }
    let (errors, example) = warm_up;
    if errors > 0 {
        remarks.push(format!(
            "There were {errors} errors while it warmed up, which are not in the figures; the first: {}.",
            example.unwrap_or("a wrong body")
        ));
    }
    if opened < outcome.connections {
        remarks.push(format!(
            "Of {} connections only {opened} could be opened before it began.",
            outcome.connections
        ));
    }
    if outcome.checks.skipped > 0 {
        remarks.push(format!(
            "{} bodies that were to be checked were not, because too many waited.",
            outcome.checks.skipped
        ));
    }
    remarks
}

fn not_held(step: &Step, outcome: &Outcome) -> Option<String> {
    let measured = &step.measured;
    if measured.held != Some(false) {
        return None;
    }
    let why = match measured.limit {
        Limit::Generator => format!(
            "the generator was the limit, at {:.0} % of its threads' time: give it more --threads \
             and processors",
            outcome.generator.cpu_share * 100.0
        ),
        Limit::Plan | Limit::Server => format!(
            "the server was the limit, with all {} connections waiting for it",
            outcome.connections
        ),
    };
    Some(format!(
        "{} was not held: {:.0}/s were answered rightly, {} requests were not sent; {why}.",
        step.label, measured.achieved_per_second, measured.not_sent
    ))
}

#[expect(clippy::cast_precision_loss, reason = "shares are rounded anyway")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
