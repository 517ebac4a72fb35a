//! `reviewsd-bench load`: from arguments to a run, and from its outcome to a table and a file.
//!
//! Owns the order of things for a person at a terminal. It must not measure anything, nor judge: what a
//! reader must know stands in the remarks.

use std::fmt::{self, Write as _};
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::LoadArgs;
use crate::load::clock::{Clock, Wall};
use crate::load::outcome::Latency;
use crate::load::{self, Limit, Outcome, Workload};
use crate::text::{cannot, grouped};

/// The exit code after a second Ctrl-C, as shells expect of a program that was interrupted.
const INTERRUPTED: i32 = 130;
const LABEL_WIDTH: usize = 28;

/// A flag that the first SIGINT or SIGTERM sets; the second one ends the program.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .context("cannot handle signals")?;
    }
    Ok(stop)
}

/// Runs the load, and writes what came of it to `out`.
pub(crate) fn run(args: &LoadArgs, out: &mut dyn Write) -> Result<ExitCode> {
    run_on(&Wall::new(), args, out)
}

/// The same by another clock.
pub(super) fn run_on(clock: &dyn Clock, args: &LoadArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let workload = workload(args)?;
    let stop = stop_flag()?;
    let terminal = io::stderr().is_terminal();
    let mut errors = 0;
    let outcome = load::run_on(clock, &workload, &args.target, &stop, &mut |second| {
        errors += second.errors;
        if terminal {
            let planned = second.planned_per_second;
            let planned = planned.map_or(String::new(), |rate| format!(" of {rate}"));
            let (second, ok) = (second.second, second.ok);
            // A line that cannot be shown is not worth ending the run for.
            let _ = write!(
                io::stderr(),
                "\r\x1b[2K{second:>5} s  {ok}{planned} right  {errors} errors"
            );
        }
    })?;
    if terminal {
        let _ = write!(io::stderr(), "\r\x1b[2K");
    }
    let table = table(&outcome)?;
    out.write_all(table.as_bytes())
        .context("cannot write to standard output")?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&outcome)? + "\n";
        fs::write(path, text).with_context(cannot("write", path))?;
    }
    let failed = outcome.total.errors > 0 || outcome.total.held == Some(false);
    Ok(if args.fail_on_errors && failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The workload with what the arguments say in place of what its file says.
fn workload(args: &LoadArgs) -> Result<Workload> {
    let mut workload = Workload::find(&args.workload)?;
    if args.closed || args.rate.is_some() {
        workload.plan.rates_per_second = args.rate.clone().unwrap_or_default();
    }
    workload.plan.step = args.duration.unwrap_or(workload.plan.step);
    workload.warm_up = args.warm_up.unwrap_or(workload.warm_up);
    workload.connections = args.connections.unwrap_or(workload.connections);
    workload.seed = args.seed.unwrap_or(workload.seed);
    if let Some(last) = args.products {
        workload.products.end_at(last);
    }
    if let Some(last) = args.reviews {
        workload.reviews.end_at(last);
    }
    workload.checked()
}

/// The outcome for a person to read.
fn table(outcome: &Outcome) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let mode = if outcome.closed {
        "each connection asks again when it is answered"
    } else {
        "requests start on a schedule"
    };
    writeln!(text, "{} on {}: {mode}", outcome.workload, outcome.target)?;
    let total = &outcome.total;
    let (connections, seed) = (outcome.connections, outcome.seed);
    writeln!(
        text,
        "{connections} connections, {:.1} s, seed {seed}\n",
        total.seconds
    )?;

    row(
        &mut text,
        "",
        &[
            "right/s", "errors", "not sent", "p50", "p99", "p99.9", "max",
        ],
        "limit",
    )?;
    let all = (outcome.steps.len() > 1).then_some(total);
    for step in outcome.steps.iter().chain(all) {
        let latency = &step.latency;
        let limit = match step.limit {
            Limit::Plan => "",
            Limit::Server => "server",
            Limit::Generator => "generator",
        };
        let rate = format!("{:.0}", step.achieved_per_second);
        let counts = [rate, grouped(step.errors), grouped(step.not_sent)];
        let times = [
            latency.p50_us,
            latency.p99_us,
            latency.p999_us,
            latency.max_us,
        ];
        let cells: Vec<String> = counts.into_iter().chain(times.map(time)).collect();
        row(&mut text, &step.label, &cells, limit)?;
    }
    writeln!(text)?;

    row(
        &mut text,
        "",
        &["mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"],
        "",
    )?;
    times(&mut text, "latency, from being due", &total.latency)?;
    // Without a schedule the first two are the same, and nothing is ever due.
    if !outcome.closed {
        times(&mut text, "service, from being sent", &total.service)?;
        times(&mut text, "the generator's lateness", &total.lateness)?;
    }
    for kind in outcome.kinds.iter().filter(|_| outcome.kinds.len() > 1) {
        times(&mut text, &kind.label, &kind.latency)?;
    }
    writeln!(text)?;

    let (sent, ok) = (grouped(total.sent), grouped(total.ok));
    writeln!(text, "requests   {sent} sent, {ok} right")?;
    let faults = total.faults.iter();
    let faults: Vec<String> = faults
        .map(|(fault, times)| format!("{} {fault}", grouped(*times)))
        .collect();
    let none = if faults.is_empty() { "none" } else { "" };
    writeln!(text, "errors     {none}{}", faults.join(", "))?;
    for (fault, example) in &outcome.examples {
        writeln!(text, "           the first {fault}: {example}")?;
    }
    let (checked, wrong) = (grouped(outcome.bodies_checked), grouped(total.wrong_bodies));
    writeln!(text, "bodies     {checked} checked, {wrong} wrong")?;
    let generator = &outcome.generator;
    writeln!(
        text,
        "generator  busy {:.0} % of its time, {:.1} µs of CPU a request, {} reconnects",
        generator.cpu_share * 100.0,
        generator.cpu_us_per_request,
        grouped(generator.reconnects),
    )?;
    for remark in &outcome.remarks {
        writeln!(text, "! {remark}")?;
    }
    Ok(text)
}

fn row(text: &mut String, label: &str, cells: &[impl fmt::Display], last: &str) -> fmt::Result {
    write!(text, "{label:<LABEL_WIDTH$}")?;
    for cell in cells {
        write!(text, "{cell:>10}")?;
    }
    writeln!(text, "  {last}")
}

fn times(text: &mut String, label: &str, latency: &Latency) -> fmt::Result {
    let cells = [
        latency.mean_us,
        latency.p50_us,
        latency.p90_us,
        latency.p99_us,
        latency.p999_us,
        latency.p9999_us,
        latency.max_us,
    ];
    row(text, label, &cells.map(time), "")
}

/// A time with the unit that suits its size.
fn time(us: f64) -> String {
    format!("{:.2?}", Duration::from_secs_f64(us / 1e6))
}
