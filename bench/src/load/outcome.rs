//! What a run measured: the types that are printed, plotted and written as JSON, from what was counted.
//!
//! Owns the meaning of every figure, the arithmetic, and the judgement: whether the rate was held, what
//! the limit was, and what a reader must know. Requests that were sent are right or one of the errors: the
//! sum always holds. Times are in microseconds, and say so in their names.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde::{Serialize, Serializer};

use crate::load::client::Target;
use crate::load::mix::Mix;
use crate::load::record::{Fault, Record, Tally};
use crate::load::schedule::{Phase, Schedule};
use crate::load::worker::Checked;
use crate::load::workload::Workload;

/// A rate of which so much was sent, and answered in time, was held.
const HELD_SHARE_MIN: f64 = 0.99;
/// Answers on their way at the end are no fault, but for no more than this share.
const UNDER_WAY_SHARE_MAX: f64 = 0.05;
/// A thread that has so much of a processor's time has no more to give.
const BUSY_SHARE_MIN: f64 = 0.9;
/// A generator that is later than this, and than a tenth of the latency, shows in the figures.
const LATENESS_P99_MAX_US: f64 = 1000.0;
const LATENESS_OF_LATENCY_MAX: f64 = 0.1;

/// Everything one run measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// The workload's name: that of its file, without `.toml`.
    pub(crate) workload: String,
    pub(crate) target: String,
    /// True if each connection asked again when it was answered, instead of on a schedule.
    pub(crate) closed: bool,
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    /// True if it was ended before its plan was.
    pub(crate) interrupted: bool,
    /// All steps together.
    pub(crate) total: Measured,
    /// The steps of the plan, in order; one where the plan has only one.
    pub(crate) steps: Vec<Measured>,
    /// The same requests by what they ask for, in the workload's order.
    pub(crate) kinds: Vec<Kind>,
    /// Bodies looked at in full, and passed over because too many were waiting.
    pub(crate) bodies_checked: u64,
    pub(crate) bodies_skipped: u64,
    pub(crate) generator: Generator,
    /// The first error of each kind, as a sentence.
    pub(crate) examples: BTreeMap<String, String>,
    /// The remarks for a reader of the figures, each a sentence; empty when all is as planned.
    pub(crate) remarks: Vec<String>,
}

/// The outcomes of the requests of a stretch of time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    /// Such as `5000/s` or `closed loop`.
    pub(crate) label: String,
    pub(crate) seconds: f64,
    /// Requests the schedule had; absent in a closed loop.
    pub(crate) planned: Option<u64>,
    pub(crate) planned_per_second: Option<f64>,
    pub(crate) sent: u64,
    /// Requests that the schedule had and that were never sent, for want of a free connection.
    pub(crate) not_sent: u64,
    /// Answers of the right status that no check found wrong.
    pub(crate) ok: u64,
    /// Requests without a right answer.
    pub(crate) errors: u64,
    /// The errors by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) wrong_bodies: u64,
    /// Right answers that came within these seconds, over these seconds.
    pub(crate) achieved_per_second: f64,
    /// From a request's intended start to the end of its answer. A request that timed out counts
    /// with the time it was given.
    pub(crate) latency: Latency,
    /// From when it was written to the end of its answer.
    pub(crate) service: Latency,
    /// From when it could have been written, being due and a connection free, to when it was:
    /// what the generator itself added.
    pub(crate) lateness: Latency,
    /// True if the planned rate was kept; absent in a closed loop.
    pub(crate) held: Option<bool>,
    pub(crate) limit: Limit,
}

/// The limit of a throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// The plan: the rate was held.
    Plan,
    /// The server, which answered no faster on the connections there were.
    Server,
    /// This program, so that the figures say little about the server.
    Generator,
}

/// Requests of one kind.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Kind {
    /// Such as `list, sort=newest`.
    pub(crate) label: String,
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    pub(crate) latency: Latency,
}

/// The generator's own effort.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Generator {
    /// CPU time of the thread that sends as a share of the measured time: 1 is one that never rested.
    pub(crate) cpu_share: f64,
    pub(crate) cpu_us_per_request: f64,
    /// Connections opened after the first ones.
    pub(crate) reconnects: u64,
}

/// A distribution of times over many requests.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) p9999_us: f64,
    pub(crate) max_us: f64,
    /// All of it, in nanoseconds: an `HdrHistogram`, version 2, compressed, in base64, as its other
    /// tools read it.
    #[serde(serialize_with = "as_text")]
    pub(crate) histogram: Histogram<u64>,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: us(histogram.max()),
            histogram: histogram.clone(),
        }
    }
}

fn as_text<S: Serializer>(histogram: &Histogram<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::new();
    let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    written.map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&STANDARD.encode(&bytes))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a histogram keeps three digits, a double fifteen"
)]
pub(crate) fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// All that a run leaves behind.
pub(crate) struct Raw<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) target: &'a Target,
    pub(crate) mix: &'a Mix,
    pub(crate) schedule: &'a Schedule,
    pub(crate) record: Record<'a>,
    pub(crate) checked: Checked,
    pub(crate) stopped_ns: Option<u64>,
    /// Connections that were open when it began.
    pub(crate) opened: usize,
}

impl Outcome {
    pub(crate) fn of(raw: Raw<'_>) -> Self {
        let (mut record, workload) = (raw.record, raw.workload);
        for ((phase, kind), wrong) in &raw.checked.wrong {
            if let Some(tally) = record.phases.get_mut(*phase) {
                tally.ok -= wrong;
                tally.ok_within = tally.ok_within.saturating_sub(*wrong);
                *tally.faults.entry(Fault::WrongBody).or_default() += wrong;
            }
            if let Some(kind) = record.kinds.get_mut(*kind).filter(|_| *phase > 0) {
                kind.ok -= wrong;
            }
        }
        let end_ns = raw.stopped_ns.unwrap_or(u64::MAX);
        let phases = raw.schedule.phases.iter().zip(&record.phases).skip(1);
        let mut steps = Vec::new();
        let (mut sum, mut seconds, mut planned) = (Tally::new(), 0.0, None);
        for (phase, tally) in phases.filter(|(phase, _)| phase.start_ns < end_ns) {
            let until_ns = phase.end_ns.min(end_ns);
            let step = Measured::of(
                label(phase),
                us(until_ns - phase.start_ns) / 1e6,
                phase.requests_until(until_ns),
                tally,
            );
            seconds += step.seconds;
            planned = step.planned.map(|more| planned.unwrap_or(0) + more);
            sum.add(tally);
            steps.push(step);
        }
        let mut total = Measured::of("all steps".to_owned(), seconds, planned, &sum);
        let limits = steps.iter().map(|step| step.limit);
        // The limit of all is that of the first step that was not held.
        let first = limits.into_iter().find(|limit| *limit != Limit::Plan);
        total.limit = first.unwrap_or(total.limit);
        let mut examples = record.examples;
        examples.extend(
            raw.checked
                .example
                .map(|example| (Fault::WrongBody.name(), example)),
        );
        let kinds = raw
            .mix
            .labels()
            .zip(&record.kinds)
            .map(|(label, tally)| Kind {
                label: label.to_owned(),
                sent: tally.sent,
                ok: tally.ok,
                latency: Latency::of(&tally.latency),
            });
        let mut outcome = Self {
            workload: workload.name.clone(),
            target: raw.target.to_string(),
            closed: raw.schedule.is_closed(),
            seed: workload.seed,
            connections: workload.connections,
            interrupted: raw.stopped_ns.is_some(),
            kinds: kinds.collect(),
            bodies_checked: raw.checked.bodies.iter().skip(1).sum(),
            bodies_skipped: record.checks_skipped,
            generator: Generator {
                cpu_share: busy_share(&sum, seconds),
                cpu_us_per_request: us(sum.cpu_ns) / float(sum.sent.max(1)),
                reconnects: record.reconnects,
            },
            total,
            steps,
            examples,
            remarks: Vec::new(),
        };
        let warm_up = record.phases.first();
        let warm_up_errors = warm_up.map_or(0, |tally| tally.faults.values().sum());
        let example = record.warm_up_example.as_deref();
        outcome.remarks = remarks(&outcome, (warm_up_errors, example), raw.opened);
        outcome
    }
}

impl Measured {
    fn of(label: String, seconds: f64, planned: Option<u64>, tally: &Tally) -> Self {
        let rate = |times: u64| float(times) / seconds.max(1e-9);
        let faults = tally.faults.iter();
        let mut measured = Self {
            label,
            seconds,
            planned,
            planned_per_second: planned.map(rate),
            sent: tally.sent,
            not_sent: planned.unwrap_or(0).saturating_sub(tally.sent),
            ok: tally.ok,
            errors: tally.faults.values().sum(),
            faults: faults
                .map(|(fault, times)| (fault.name(), *times))
                .collect(),
            wrong_bodies: tally.faults.get(&Fault::WrongBody).copied().unwrap_or(0),
            achieved_per_second: rate(tally.ok_within),
            latency: Latency::of(&tally.latency),
            service: Latency::of(&tally.service),
            lateness: Latency::of(&tally.lateness),
            held: None,
            limit: Limit::Plan,
        };
        (measured.held, measured.limit) = judge(&measured, tally);
        measured
    }
}

fn label(phase: &Phase) -> String {
    phase
        .per_second
        .map_or("closed loop".to_owned(), |rate| format!("{rate}/s"))
}

/// Judges whether the plan was kept, which a closed loop has none of, and what limited the rate.
fn judge(measured: &Measured, tally: &Tally) -> (Option<bool>, Limit) {
    let generator_is_busy = busy_share(tally, measured.seconds) >= BUSY_SHARE_MIN;
    let Some(planned) = measured.planned else {
        let limit = if generator_is_busy {
            Limit::Generator
        } else {
            Limit::Server
        };
        return (None, limit);
    };
    let share = |part: u64| float(part) / float(planned.max(1));
    let under_way = measured.latency.mean_us / 1e6 / measured.seconds;
    let answered = share(tally.over_within) + under_way.min(UNDER_WAY_SHARE_MAX);
    let held = share(measured.sent) >= HELD_SHARE_MIN && answered >= HELD_SHARE_MIN;
    // Requests that waited did so for the generator more than for a connection.
    let waited_us = measured.latency.mean_us - measured.service.mean_us;
    let is_mostly_late = measured.lateness.mean_us > waited_us / 2.0;
    let limit = if held || planned == 0 {
        Limit::Plan
    } else if generator_is_busy || is_mostly_late {
        Limit::Generator
    } else {
        Limit::Server
    };
    (Some(limit == Limit::Plan), limit)
}

/// Returns the remarks for a reader of the figures. `warm_up` is the number of errors before the
/// measurement, and the first of them; `opened` how many connections there were at the beginning.
fn remarks(outcome: &Outcome, warm_up: (u64, Option<&str>), opened: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    let busy_percent = outcome.generator.cpu_share * 100.0;
    if outcome.interrupted {
        let seconds = outcome.total.seconds;
        remarks.push(format!(
            "It was ended early: the figures are of {seconds:.1} s."
        ));
    }
    for step in outcome.steps.iter().filter(|step| step.held == Some(false)) {
        let why = match step.limit {
            Limit::Generator => {
                format!("the generator was the limit, at {busy_percent:.0} % of its thread's time")
            }
            Limit::Plan | Limit::Server => {
                let connections = outcome.connections;
                format!(
                    "the server was the limit, with all {connections} connections waiting for it"
                )
            }
        };
        remarks.push(format!(
            "{} was not held: {:.0}/s were answered rightly, {} requests were not sent; {why}.",
            step.label, step.achieved_per_second, step.not_sent
        ));
    }
    if outcome.closed && outcome.total.limit == Limit::Generator {
        remarks.push(format!(
            "The generator was the limit: its thread was busy {busy_percent:.0} % of the time. The \
             server may be faster than this."
        ));
    }
    let lateness_us = outcome.total.lateness.p99_us;
    let shows = lateness_us > LATENESS_OF_LATENCY_MAX * outcome.total.latency.p99_us;
    if lateness_us > LATENESS_P99_MAX_US && shows {
        let late_ms = lateness_us / 1e3;
        remarks.push(format!(
            "The generator itself was late: one request of a hundred started {late_ms:.1} ms or \
             more after it could have. The latencies include that."
        ));
    }
    let (errors, example) = warm_up;
    if errors > 0 {
        let example = example.unwrap_or("a wrong body");
        remarks.push(format!(
            "There were {errors} errors while it warmed up, which are not in the figures; the first: {example}."
        ));
    }
    if opened < outcome.connections {
        let wanted = outcome.connections;
        remarks.push(format!(
            "Of {wanted} connections only {opened} could be opened before it began."
        ));
    }
    if outcome.bodies_skipped > 0 {
        remarks.push(format!(
            "{} bodies that were to be checked were not, because too many waited.",
            outcome.bodies_skipped
        ));
    }
    remarks
}

/// CPU time as a share of all the time there was.
fn busy_share(tally: &Tally, seconds: f64) -> f64 {
    us(tally.cpu_ns) / 1e6 / seconds.max(1e-9)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures to be read have fewer digits than that"
)]
fn float(number: u64) -> f64 {
    number as f64
}
