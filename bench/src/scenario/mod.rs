//! `scenario`: what others published, measured again here, beside their stack on the same machine.
//!
//! Owns the order of a run: what takes long is made first, then the answers of two servers are held
//! against each other, then each scenario is measured, and then all of it is written down.

mod cage;
mod cgroup;
mod claims;
mod compare;
mod machine;
mod measure;
mod peers;
mod plot;
mod prepare;
mod process;
mod proctree;
mod replicas;
mod report;
mod results;
mod run;
mod setting;

use std::env;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cli::ScenarioArgs;
use crate::load::command::stop_flag;
use crate::text::cannot;
use claims::{Scenario, scenarios};
use results::{Micro, Report, Shop};
use run::{Outcomes, Run};
use setting::{Scratch, Setting};

/// A directory that every user may enter, whose files last.
const OPEN_WORK: &str = "/var/tmp/reviewsd-bench";

/// Names all scenarios.
const ALL: &str = "all";

/// Runs the scenarios asked for; fails where an answer was wrong, never for how fast one was.
pub(crate) fn run(args: &ScenarioArgs) -> Result<ExitCode> {
    let since = Instant::now();
    let scenarios = scenarios()?;
    if args.list {
        list(&scenarios.scenario)?;
        return Ok(ExitCode::SUCCESS);
    }
    let commit = machine::commit();
    let name = args.name.as_deref().unwrap_or(ALL);
    let chosen = scenarios.scenario.iter();
    let chosen: Vec<&Scenario> = chosen
        .filter(|one| name == ALL || one.name == name)
        .collect();
    ensure!(
        !chosen.is_empty(),
        "there is no scenario {name}; reviewsd-bench scenario --list names all there are"
    );
    let setting = setting(args)?;
    cgroup::sweep();
    prepare::csv(&setting)?;
    let stores = prepare::stores(&setting)?;
    let mut run = Run {
        setting: &setting,
        scenarios: &scenarios,
        stores: &stores,
        copied: false,
    };
    let done = all(&mut run, &chosen);
    let ended = run.end();
    let (comparison, scenarios) = done?;
    ended?;

    let (scenarios, outcomes): (Vec<_>, Vec<_>) = scenarios.into_iter().unzip();
    let report = Report {
        date: machine::now(),
        commit,
        command: command_line(),
        minutes: since.elapsed().as_secs_f64() / 60.0,
        machine: machine::look(&setting.work)?,
        versions: machine::versions(&setting),
        shop: Shop {
            products: setting.products,
            csv_bytes: machine::size_of(&setting.csv()),
        },
        micro: Micro {
            server_cpu: setting.server_cpu,
            load_cpus: setting.load_cpus.clone(),
            unlimited: cage::Cage::new(&setting.micro()).unlimited,
            cold_starts: Setting::drop_page_cache(),
            seconds: setting.time.as_secs_f64(),
        },
        comparison,
        skipped: skipped(&scenarios),
        scenarios,
    };
    if let Some(dir) = &args.out {
        report::write(dir, &report, &outcomes)?;
        say(&format!("written: {}", dir.join("RESULTS.md").display()));
    } else {
        write!(io::stdout(), "{}", report::text(&report, &[])?)?;
    }
    Ok(if report.is_sound() {
        ExitCode::SUCCESS
    } else {
        say("An answer was wrong or a server failed; the report says which.");
        ExitCode::FAILURE
    })
}

type Done = (
    Option<results::Comparison>,
    Vec<(results::Scenario, Outcomes)>,
);

fn all(run: &mut Run<'_>, chosen: &[&Scenario]) -> Result<Done> {
    say("comparing the answers of reviewsd with those of Express + PostgreSQL");
    let comparison = run.compare()?;
    let mut done = Vec::new();
    for scenario in chosen {
        done.push(run.scenario(scenario)?);
    }
    Ok((comparison, done))
}

fn setting(args: &ScenarioArgs) -> Result<Setting> {
    let bench = env::current_exe()?;
    let reviewsd = match &args.reviewsd {
        Some(path) => std::path::absolute(path)?,
        None => bench.with_file_name("reviewsd"),
    };
    let missing = cannot("find", &reviewsd)();
    ensure!(reviewsd.exists(), "{missing}; run make build first");
    let work = match &args.work {
        Some(path) => std::path::absolute(path)?,
        None => default_work(&bench),
    };
    std::fs::create_dir_all(&work).with_context(cannot("create", &work))?;
    let (server_cpu, load_cpus) = setting::share_processors(&setting::allowed_processors());
    Ok(Setting {
        products: args.products,
        time: args.seconds,
        fresh: args.fresh,
        work,
        scratch: Scratch::create()?,
        peers: std::path::absolute(&args.peers)?,
        reviewsd,
        bench,
        server_cpu,
        load_cpus,
        stop: stop_flag()?,
    })
}

fn list(scenarios: &[Scenario]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for scenario in scenarios {
        writeln!(stdout, "{:<18}{}", scenario.name, scenario.about)?;
        if !scenario.claim.is_empty() {
            writeln!(stdout, "{:<18}published: {}", "", scenario.claim)?;
        }
    }
    Ok(())
}

/// Beside the programs, where there is room and nobody looks for anything else; but not where only root
/// may enter, since PostgreSQL never runs as root.
fn default_work(bench: &Path) -> PathBuf {
    let beside = bench.with_file_name("bench");
    let mut above = beside.ancestors().skip(1);
    let may_enter = |dir: &Path| dir.metadata().is_ok_and(|found| found.mode() & 1 != 0);
    if !rustix::process::geteuid().is_root() || above.all(may_enter) {
        beside
    } else {
        PathBuf::from(OPEN_WORK)
    }
}

fn skipped(scenarios: &[results::Scenario]) -> Vec<String> {
    let servers = scenarios.iter().flat_map(|scenario| &scenario.servers);
    let mut all: Vec<String> = servers
        .filter_map(|server| {
            Some(format!(
                "{}: {}",
                server.server.label(),
                server.skipped.as_ref()?
            ))
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

fn command_line() -> String {
    let args: Vec<String> = env::args().skip(1).collect();
    format!("reviewsd-bench {}", args.join(" "))
}

/// Tells the person who waits what is being done.
fn say(what: &str) {
    // Nobody may be listening, and the figures are worth as much.
    let _ = writeln!(io::stderr().lock(), "{what}");
}
