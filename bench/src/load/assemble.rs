//! From what the threads counted to what is reported.
//!
//! Owns the arithmetic between the two. Requests that were sent are right or one of the errors: the
//! sum always holds.

use crate::load::checker::Checked;
use crate::load::latency::us;
use crate::load::mix::Mix;
use crate::load::outcome::{
    Checks, Errors, Generator, Kind, Latency, Limit, Measured, Mode, Outcome, Second, Step,
};
use crate::load::record::{Fault, Record, SecondTally, Tally};
use crate::load::schedule::{Phase, Schedule};
use crate::load::target::Target;
use crate::load::verdict;
use crate::load::workload::Workload;

/// All that a run leaves behind.
pub(crate) struct Raw<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) target: &'a Target,
    pub(crate) mix: &'a Mix,
    pub(crate) schedule: &'a Schedule,
    pub(crate) record: Record,
    pub(crate) checked: Checked,
    pub(crate) seconds: Vec<Second>,
    pub(crate) stopped_ns: Option<u64>,
    /// Connections that were open when it began.
    pub(crate) opened: usize,
    pub(crate) started_unix_seconds: u64,
}

/// Puts the outcome together.
pub(crate) fn assemble(raw: Raw<'_>) -> Outcome {
    let workload = raw.workload;
    let end_ns = raw.stopped_ns.unwrap_or(u64::MAX);
    let phases = raw.schedule.phases().iter();
    let mut sum = Stretch::default();
    let mut steps = Vec::new();
    let mut checks = Checks {
        skipped: raw.record.checks_skipped,
        ..Checks::default()
    };
    let mut kinds_wrong = vec![0; raw.record.kinds.len()];
    for (index, phase) in phases.enumerate() {
        let begun = phase.measured && phase.start_ns < end_ns;
        let (true, Some(tally)) = (begun, raw.record.phases.get(index)) else {
            continue;
        };
        let (bodies, wrong) = raw.checked.phases.get(index).copied().unwrap_or_default();
        checks.bodies += bodies;
        checks.wrong += wrong;
        let stretch = Stretch::new(phase, tally, wrong, end_ns);
        sum.add(&stretch);
        steps.push(Step {
            label: phase.label.clone(),
            measured: stretch.measured(workload),
        });
        let of_phase = raw.checked.wrong_by_kind.get(index);
        for (sum, wrong) in kinds_wrong.iter_mut().zip(of_phase.into_iter().flatten()) {
            *sum += wrong;
        }
    }
    let mut total = sum.measured(workload);
    let examples = raw.record.examples.iter();
    total.errors.examples = examples
        .map(|(name, example)| ((*name).to_owned(), example.clone()))
        .collect();
    if let Some(example) = &raw.checked.example {
        let name = Fault::WrongBody.name().to_owned();
        total.errors.examples.insert(name, example.clone());
    }
    total.limit = verdict::whole(&steps, total.limit);
    let kinds = raw.mix.labels().zip(&raw.record.kinds).zip(&kinds_wrong);
    let mut outcome = Outcome {
        workload: workload.name.clone(),
        target: raw.target.to_string(),
        mode: if raw.schedule.is_closed() {
            Mode::Closed
        } else {
            Mode::Open
        },
        started_unix_seconds: raw.started_unix_seconds,
        seed: workload.seed,
        connections: workload.connections,
        threads: workload.threads,
        interrupted: raw.stopped_ns.is_some(),
        kinds: kinds
            .map(|((label, tally), wrong)| Kind {
                label: label.to_owned(),
                sent: tally.sent,
                ok: tally.ok - wrong,
                latency: Latency::of(&tally.latency),
            })
            .collect(),
        checks,
        generator: sum.generator(raw.record.reconnects, workload.threads),
        total,
        steps,
        seconds: raw.seconds,
        remarks: Vec::new(),
    };
    let warm_up = raw.record.phases.first().zip(raw.checked.phases.first());
    let warm_up_errors = warm_up.map_or(0, |(tally, (_, wrong))| {
        tally.faults.values().sum::<u64>() + wrong
    });
    let example = raw.record.warm_up_example.as_deref();
    outcome.remarks = verdict::remarks(&outcome, (warm_up_errors, example), raw.opened);
    outcome
}

/// The sums that are divided at the end.
struct Stretch {
    seconds: f64,
    planned: Option<u64>,
    tally: Tally,
    wrong: u64,
}

impl Default for Stretch {
    fn default() -> Self {
        Self {
            seconds: 0.0,
            planned: None,
            tally: Tally::new(),
            wrong: 0,
        }
    }
}

impl Stretch {
    fn new(phase: &Phase, tally: &Tally, wrong: u64, end_ns: u64) -> Self {
        let until_ns = phase.end_ns.min(end_ns);
        let open = phase.rate_at(phase.start_ns).is_some();
        Self {
            seconds: seconds(until_ns - phase.start_ns),
            planned: open.then(|| phase.requests_until(until_ns)),
            tally: tally.clone(),
            wrong,
        }
    }

    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.planned = other
            .planned
            .map(|planned| self.planned.unwrap_or(0) + planned);
        self.tally.add(&other.tally);
        self.wrong += other.wrong;
    }

    fn measured(&self, workload: &Workload) -> Measured {
        let tally = &self.tally;
        let mut measured = Measured {
            seconds: self.seconds,
            planned: self.planned,
            planned_per_second: self.planned.map(|planned| rate(planned, self.seconds)),
            sent: tally.sent,
            not_sent: self.planned.unwrap_or(0).saturating_sub(tally.sent),
            ok: tally.ok - self.wrong,
            errors: errors(tally, self.wrong),
            achieved_per_second: rate(tally.ok_within.saturating_sub(self.wrong), self.seconds),
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            latency: Latency::of(&tally.latency),
            service: Latency::of(&tally.service),
            lateness: Latency::of(&tally.lateness),
            held: None,
            limit: Limit::Plan,
        };
        let share = share(tally.cpu_ns, self.seconds, workload.threads);
        (measured.held, measured.limit) = verdict::judge(&measured, tally.over_within, share);
        measured
    }

    fn generator(&self, reconnects: u64, threads: usize) -> Generator {
        let cpu_seconds = seconds(self.tally.cpu_ns);
        Generator {
            cpu_seconds,
            cpu_share: share(self.tally.cpu_ns, self.seconds, threads),
            cpu_us_per_request: cpu_seconds * 1e6 / float(self.tally.sent.max(1)),
            reconnects,
        }
    }
}

/// One second, unless it is after the end.
pub(crate) fn second(tally: &SecondTally, schedule: &Schedule) -> Option<Second> {
    let measured_from_ns = schedule.measured_from_ns();
    let offset_ns = tally.second.unsigned_abs() * 1_000_000_000;
    let start_ns = match tally.second {
        0.. => measured_from_ns + offset_ns,
        // The first second of a warm-up may be a short one.
        _ => measured_from_ns.saturating_sub(offset_ns),
    };
    let phase = schedule.phase_at(start_ns)?;
    let middle_ns = start_ns + 500_000_000;
    let rate = |phase: &Phase| phase.rate_at(middle_ns);
    let at = |quantile| us(tally.latency.value_at_quantile(quantile));
    Some(Second {
        second: tally.second,
        planned_per_second: schedule.phases().get(phase).and_then(rate),
        ok: tally.ok,
        errors: tally.errors,
        p50_us: at(0.5),
        p99_us: at(0.99),
        max_us: us(tally.latency.max()),
    })
}

fn errors(tally: &Tally, wrong: u64) -> Errors {
    let mut errors = Errors {
        wrong_body: wrong,
        ..Errors::default()
    };
    for (fault, times) in &tally.faults {
        match fault {
            Fault::Status(status) => {
                errors.status += times;
                errors.statuses.insert(*status, *times);
            }
            Fault::Timeout => errors.timeout += times,
            Fault::Refused => errors.refused += times,
            Fault::Closed => errors.closed += times,
            Fault::Malformed => errors.malformed += times,
            Fault::WrongBody => errors.wrong_body += times,
        }
    }
    errors
}

/// CPU time over all the time there was; 1 is a thread that never rested.
fn share(cpu_ns: u64, seconds: f64, threads: usize) -> f64 {
    let whole = seconds * float(threads as u64);
    if whole > 0.0 {
        self::seconds(cpu_ns) / whole
    } else {
        0.0
    }
}

fn rate(times: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        float(times) / seconds
    } else {
        0.0
    }
}

fn seconds(ns: u64) -> f64 {
    float(ns) / 1e9
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures to be read have fewer digits than that"
)]
fn float(number: u64) -> f64 {
    number as f64
}
