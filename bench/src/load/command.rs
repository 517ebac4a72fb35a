//! `reviewsd-bench load`: from arguments to a run, and from its outcome to files and a table.
//!
//! Owns the order of things for a person at a terminal. It must not measure anything.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::LoadArgs;
use crate::error::Error;
use crate::load::clock::{Clock, Wall};
use crate::load::live::Live;
use crate::load::table::Table;
use crate::load::time::Shown;
use crate::load::{self, Mode, Outcome, Overrides, Workload};
use crate::plot;

/// The exit code after a second Ctrl-C, as shells expect of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Runs the load, and writes what came of it to `out`.
pub(crate) fn run(args: &LoadArgs, out: &mut dyn Write) -> Result<ExitCode, Error> {
    run_on(&Wall::default(), args, out)
}

/// The same by another clock.
pub(super) fn run_on(
    clock: &dyn Clock,
    args: &LoadArgs,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    let workload = Workload::find(&args.workload)?.with(&overrides(args))?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset, the second one ends the program.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(Error::Engine)?;
    }
    let mut live = Live::new(args.quiet);
    let outcome = load::run_on(clock, &workload, &args.target, &stop, &mut live);
    live.end();
    let outcome = outcome?;
    report(args, &outcome, out)?;
    let failed = outcome.total.errors.sum() > 0 || outcome.total.held == Some(false);
    Ok(if args.fail_on_errors && failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn overrides(args: &LoadArgs) -> Overrides {
    Overrides {
        rate_per_second: args.rate,
        steps_per_second: args.steps.clone(),
        closed: args.closed,
        duration: args.duration,
        warm_up: args.warm_up,
        connections: args.connections,
        threads: args.threads,
        cpus: args.cpus.clone(),
        timeout: args.timeout,
        seed: args.seed,
        check_one_in: args.check_one_in,
        last_product: args.products,
        last_review: args.reviews,
    }
}

fn report(args: &LoadArgs, outcome: &Outcome, out: &mut dyn Write) -> Result<(), Error> {
    let json = args.json.as_deref();
    if json == Some(Path::new("-")) {
        let text = to_json(outcome);
        out.write_all(text.as_bytes()).map_err(Error::Output)?;
    } else {
        write!(out, "{}", Table(outcome)).map_err(Error::Output)?;
        if let Some(path) = json {
            fs::write(path, to_json(outcome)).map_err(Error::file("write", path))?;
        }
    }
    match &args.svg {
        Some(dir) => draw(dir, outcome),
        None => Ok(()),
    }
}

/// Draws what the outcome has: its steps only where there are several.
fn draw(dir: &Path, outcome: &Outcome) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    let about = format!(
        "{} connections, {:.0} s, {}",
        outcome.connections, outcome.total.seconds, outcome.target
    );
    let name = &outcome.workload;
    let total = &outcome.total;
    let mut distributions = vec![plot::Distribution {
        name: "latency, from when a request was due",
        latency: &total.latency,
    }];
    if outcome.mode == Mode::Open {
        distributions.push(plot::Distribution {
            name: "service, from when it was sent",
            latency: &total.service,
        });
    }
    let seconds = plot::seconds(&format!("{name}: second by second"), &about, outcome);
    let mut plots = vec![
        (
            "latency",
            plot::latency(&format!("{name}: latency"), &about, &distributions),
        ),
        ("seconds", seconds),
    ];
    if outcome.steps.len() > 1 {
        let title = format!("{name}: latency as the rate rises");
        let knee = plot::Knee { name: "", outcome };
        plots.push(("knee", plot::knee(&title, &about, &[knee])));
    }
    if outcome.kinds.len() > 1 {
        plots.push(("kinds", kinds(outcome, &about)));
    }
    for (plot, svg) in plots {
        let path = dir.join(format!("{name}-{plot}.svg"));
        fs::write(&path, svg).map_err(Error::file("write", &path))?;
    }
    Ok(())
}

/// The 99th percentile of each kind of request.
fn kinds(outcome: &Outcome, about: &str) -> String {
    let kinds = outcome.kinds.iter();
    let shown: Vec<String> = kinds
        .map(|kind| Shown(kind.latency.p99_us).to_string())
        .collect();
    let bars = outcome.kinds.iter().zip(&shown);
    let bars = bars.map(|(kind, shown)| plot::Bar {
        name: &kind.label,
        value: kind.latency.p99_us,
        shown,
        group: 0,
    });
    let title = format!("{}: p99 by kind of request", outcome.workload);
    plot::bars(&title, about, &[], false, &bars.collect::<Vec<_>>())
}

fn to_json(outcome: &Outcome) -> String {
    let text = serde_json::to_string_pretty(outcome);
    text.expect("every key is a text, and every value has a form in JSON") + "\n"
}
