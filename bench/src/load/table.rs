//! The closing table: an outcome for a person to read.
//!
//! Owns the layout, and must not judge: what a reader must know stands in the remarks.

use std::fmt::{self, Display, Formatter};

use crate::load::outcome::{Errors, Latency, Limit, Mode, Outcome};
use crate::load::time::Shown;
use crate::text::grouped;

/// Shows an outcome as a table.
pub(crate) struct Table<'a>(pub(crate) &'a Outcome);

const LABEL_WIDTH: usize = 28;

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let outcome = self.0;
        head(f, outcome)?;
        steps(f, outcome)?;
        latencies(f, outcome)?;
        kinds(f, outcome)?;
        rest(f, outcome)?;
        for remark in &outcome.remarks {
            writeln!(f, "! {remark}")?;
        }
        Ok(())
    }
}

fn head(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let mode = match outcome.mode {
        Mode::Open => "requests start on a schedule",
        Mode::Closed => "each connection asks again when it is answered",
    };
    writeln!(f, "{} on {}: {mode}", outcome.workload, outcome.target)?;
    let threads = outcome.threads;
    writeln!(
        f,
        "{} connections, {threads} thread{}, {:.1} s, seed {}\n",
        outcome.connections,
        if threads == 1 { "" } else { "s" },
        outcome.total.seconds,
        outcome.seed,
    )
}

fn steps(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    write!(f, "{:<LABEL_WIDTH$}", "")?;
    for column in [
        "right/s", "errors", "not sent", "p50", "p99", "p99.9", "max",
    ] {
        write!(f, "{column:>10}")?;
    }
    writeln!(f, "  limit")?;
    let total = ("all steps".to_owned(), &outcome.total);
    let lines = outcome
        .steps
        .iter()
        .map(|step| (step.label.clone(), &step.measured));
    let total = (outcome.steps.len() > 1).then_some(total);
    for (label, measured) in lines.chain(total) {
        let rate = format!("{:.0}", measured.achieved_per_second);
        let (errors, not_sent) = (measured.errors.sum(), measured.not_sent);
        write!(f, "{label:<LABEL_WIDTH$}{rate:>10}")?;
        write!(f, "{:>10}{:>10}", grouped(errors), grouped(not_sent))?;
        let Latency {
            p50_us,
            p99_us,
            p999_us,
            max_us,
            ..
        } = measured.latency;
        for time_us in [p50_us, p99_us, p999_us, max_us] {
            write!(f, "{:>10}", Shown(time_us))?;
        }
        let limit = match measured.limit {
            Limit::Plan => "",
            Limit::Server => "server",
            Limit::Generator => "generator",
        };
        writeln!(f, "  {limit}")?;
    }
    writeln!(f)
}

fn latencies(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    write!(f, "{:<LABEL_WIDTH$}", "")?;
    for column in ["mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"] {
        write!(f, "{column:>10}")?;
    }
    writeln!(f)?;
    let total = &outcome.total;
    for (label, latency) in [
        ("latency, from being due", &total.latency),
        ("service, from being sent", &total.service),
        ("the generator's lateness", &total.lateness),
    ] {
        // Without a schedule the first two are the same, and nothing is ever due.
        if outcome.mode == Mode::Open || std::ptr::eq(latency, &raw const total.latency) {
            line(f, label, latency)?;
        }
    }
    writeln!(f)
}

fn line(f: &mut Formatter<'_>, label: &str, latency: &Latency) -> fmt::Result {
    write!(f, "{label:<LABEL_WIDTH$}")?;
    for time_us in [
        latency.mean_us,
        latency.p50_us,
        latency.p90_us,
        latency.p99_us,
        latency.p999_us,
        latency.p9999_us,
        latency.max_us,
    ] {
        write!(f, "{:>10}", Shown(time_us))?;
    }
    writeln!(f)
}

fn kinds(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    if outcome.kinds.len() < 2 {
        return Ok(());
    }
    write!(f, "{:<LABEL_WIDTH$}", "")?;
    for column in ["sent", "wrong", "mean", "p50", "p99", "p99.9", "max"] {
        write!(f, "{column:>10}")?;
    }
    writeln!(f)?;
    for kind in &outcome.kinds {
        let label: String = kind.label.chars().take(LABEL_WIDTH - 1).collect();
        let wrong = kind.sent.saturating_sub(kind.ok);
        write!(
            f,
            "{label:<LABEL_WIDTH$}{:>10}{:>10}",
            grouped(kind.sent),
            grouped(wrong)
        )?;
        let Latency {
            mean_us,
            p50_us,
            p99_us,
            p999_us,
            max_us,
            ..
        } = kind.latency;
        for time_us in [mean_us, p50_us, p99_us, p999_us, max_us] {
            write!(f, "{:>10}", Shown(time_us))?;
        }
        writeln!(f)?;
    }
    writeln!(f)
}

fn rest(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let (total, generator) = (&outcome.total, &outcome.generator);
    writeln!(
        f,
        "requests   {} sent, {} right; {} received, {} sent",
        grouped(total.sent),
        grouped(total.ok),
        bytes(total.bytes_received),
        bytes(total.bytes_sent),
    )?;
    writeln!(f, "errors     {}", Faults(&total.errors))?;
    for (kind, example) in &total.errors.examples {
        writeln!(
            f,
            "           the first {}: {example}",
            kind.replace('_', " ")
        )?;
    }
    writeln!(
        f,
        "bodies     {} checked, {} wrong",
        grouped(outcome.checks.bodies),
        grouped(outcome.checks.wrong)
    )?;
    writeln!(
        f,
        "generator  busy {:.0} % of its time, {:.1} µs of CPU a request, {} reconnects",
        generator.cpu_share * 100.0,
        generator.cpu_us_per_request,
        grouped(generator.reconnects),
    )
}

/// Errors by kind, those there are.
struct Faults<'a>(&'a Errors);

impl Display for Faults<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let errors = self.0;
        if errors.sum() == 0 {
            return f.write_str("none");
        }
        let statuses = errors.statuses.iter();
        let kinds = [
            ("timed out".to_owned(), errors.timeout),
            ("refused".to_owned(), errors.refused),
            ("closed early".to_owned(), errors.closed),
            ("malformed".to_owned(), errors.malformed),
            ("wrong bodies".to_owned(), errors.wrong_body),
        ];
        let shown: Vec<String> = statuses
            .map(|(status, times)| (format!("answered with {status}"), *times))
            .chain(kinds)
            .filter(|(_, times)| *times > 0)
            .map(|(kind, times)| format!("{} {kind}", grouped(times)))
            .collect();
        f.write_str(&shown.join(", "))
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn bytes(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes < 1e6 {
        format!("{:.1} kB", bytes / 1e3)
    } else if bytes < 1e9 {
        format!("{:.1} MB", bytes / 1e6)
    } else {
        format!("{:.2} GB", bytes / 1e9)
    }
}
