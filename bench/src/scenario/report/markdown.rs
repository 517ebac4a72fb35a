//! `RESULTS.md`, for whoever wants to know what a free-tier machine gives, against what they have now.
//!
//! Owns its order and its words: first the comparison, then the price, then everything else, then what
//! to bear in mind. Invariant: it says nothing that does not follow from the [`Report`].

use std::fmt::Write;

use super::plots::Plot;
use super::table::{self, bytes, count, details, imports, markdown, pairs};
use crate::scenario::compare;
use crate::scenario::results::{Comparison, Replicated, Report, Scenario};
use crate::text::grouped;

/// The whole document.
pub(crate) fn render(report: &Report, plots: &[Plot]) -> String {
    let mut text = String::new();
    // Writing into memory does not fail.
    let _ = document(&mut text, report, plots);
    text
}

fn document(text: &mut String, report: &Report, plots: &[Plot]) -> std::fmt::Result {
    head(text, report)?;
    if report.scenarios.iter().any(|one| !one.claim.is_empty()) {
        comparison(text, report)?;
    }
    under_writes(text, report)?;
    for scenario in &report.scenarios {
        let mut servers = scenario.servers.iter();
        if servers.any(|server| !server.imports.is_empty()) {
            import(text, report, scenario)?;
        }
    }
    for server in report.scenarios.iter().flat_map(|one| &one.servers) {
        if let Some(replicated) = &server.replicated {
            copies(text, replicated)?;
        }
    }
    for plot in plots {
        writeln!(text, "![{}](results/{})\n", plot.title, plot.file)?;
    }
    writeln!(text, "## Every figure\n")?;
    for scenario in &report.scenarios {
        every_figure(text, scenario)?;
    }
    bear_in_mind(text, report)?;
    how(text, report)
}

/// The published figures beside those of here, and what they cost.
fn comparison(text: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(text, "{}", markdown(&table::main(report)))?;
    writeln!(
        text,
        "A rate is followed by the median and the 99th percentile of the time from when a request was \
         due to the end of its answer, and by the requests that got no right answer. \"At most\" is \
         what is answered when each of 64 connections asks again as soon as it has its answer. \
         \"Cold\" is from the server's start, with nothing of its data in memory; all else is after \
         a while of the same load.\n"
    )?;
    writeln!(text, "## What it costs\n")?;
    writeln!(
        text,
        "On a free-tier machine CPU time is the price. This is how many answers a second of it gives, \
         and the memory they take (anonymous and shared, without the page cache), with as much asked \
         for as is answered. All processes of a server count: PostgreSQL and nginx, too.\n"
    )?;
    writeln!(text, "{}", markdown(&table::price(report)))
}

/// Writes the section on reads while there are writes.
fn under_writes(text: &mut String, report: &Report) -> std::fmt::Result {
    let servers = report.scenarios.iter().flat_map(|one| &one.servers);
    let shares: Vec<String> = servers
        .filter_map(|one| Some((one.server.label(), one.share_under_writes()?)))
        .map(|(label, share)| format!("{label} {share:.2}"))
        .collect();
    if shares.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "Reads while 1,000 reviews a second are written, as a share of reads alone: {}.\n",
        shares.join(", ")
    )
}

fn head(text: &mut String, report: &Report) -> std::fmt::Result {
    let machine = &report.machine;
    writeln!(text, "# Results\n")?;
    writeln!(
        text,
        "What reviewsd does on one core and 1 GiB, beside what others published for the same API, and \
         beside Express and PostgreSQL in the same place and the same run.\n"
    )?;
    let memory = match &report.micro.unlimited {
        None => "1 GiB of memory by control group".to_owned(),
        Some(why) => format!("memory that could **not** be limited to 1 GiB ({why})"),
    };
    writeln!(
        text,
        "{} products, {} of CSV files. Each server alone on one processor ({}) with {memory}, \
         scheduled as batch, as the unit of reviewsd is; the load from another processor of the same machine. Made {} from commit {}, in {:.0} min.\n",
        grouped(report.shop.products),
        bytes(report.shop.csv_bytes),
        machine.processor,
        report.date,
        report.commit,
        report.minutes,
    )
}

fn import(text: &mut String, report: &Report, scenario: &Scenario) -> std::fmt::Result {
    writeln!(text, "## Import\n")?;
    writeln!(
        text,
        "{}",
        markdown(&imports(scenario, report.shop.csv_bytes))
    )?;
    writeln!(
        text,
        "PostgreSQL: COPY, cleaning and joining in SQL, indexes, statistics and a checkpoint, reviews \
         and catalogue at once. Its database keeps only what the API answers from.\n"
    )
}

fn copies(text: &mut String, replicated: &Replicated) -> std::fmt::Result {
    writeln!(text, "## Read-only copies\n")?;
    writeln!(text, "{}", markdown(&table::copies(replicated)))?;
    writeln!(
        text,
        "The lag is from the answer to a write on the primary to the end of the first answer of a copy \
         that shows it, so it includes a request to the copy; one copy after the other was asked. The \
         copies share the processor of the load, each with 1 GiB; the copy from nothing was not throttled, \
         and includes that the primary and the copy read all of it once to compare it.\n"
    )
}

fn every_figure(text: &mut String, scenario: &Scenario) -> std::fmt::Result {
    let has = |is: fn(&crate::scenario::results::Measured) -> bool| scenario.servers.iter().any(is);
    let (phases, written) = (
        has(|one| !one.phases.is_empty()),
        has(|one| !one.pairs.is_empty()),
    );
    if !phases && !written {
        return Ok(());
    }
    writeln!(text, "### {}\n", scenario.name)?;
    writeln!(text, "{}.", sentence(&scenario.about))?;
    if !scenario.claim.is_empty() {
        writeln!(text, "Published: {} ({}).", scenario.claim, scenario.stack)?;
    }
    writeln!(text)?;
    if phases {
        writeln!(text, "{}", markdown(&details(scenario)))?;
    }
    if written {
        writeln!(text, "{}", markdown(&pairs(scenario)))?;
    }
    remarks(text, scenario)
}

/// Writes the load generator's remarks on its own figures.
fn remarks(text: &mut String, scenario: &Scenario) -> std::fmt::Result {
    let mut any = false;
    for server in &scenario.servers {
        for phase in &server.phases {
            for remark in &phase.figures.remarks {
                writeln!(text, "- {}: {remark}", server.server.label())?;
                any = true;
            }
        }
    }
    if any { writeln!(text) } else { Ok(()) }
}

fn bear_in_mind(text: &mut String, report: &Report) -> std::fmt::Result {
    let micro = &report.micro;
    writeln!(text, "## What to bear in mind\n")?;
    writeln!(
        text,
        "- The published figures are of other machines, over networks, with other data; what their \
         stacks do here is what the columns of Express and PostgreSQL say. That peer is written to \
         win: [peers/express-postgres](peers/express-postgres/README.md) says how.\n\
         - Servers and load share one machine: {} processors, of a virtual machine that shares its \
         host with others. Figures of the same thing may differ by a tenth and more from run to run. The processor \
         of the load is not the server's, but memory bandwidth and disk are the same.",
        report.machine.processors
    )?;
    if micro.load_cpus.contains(&micro.server_cpu) {
        writeln!(
            text,
            "- **There was only one processor**: server and load took it from each other, and the \
             figures are lower than they would be."
        )?;
    }
    writeln!(
        text,
        "- Rates marked \\* were limited by the load generator, not by the server, which may be \
         faster; answers a CPU second are right all the same."
    )?;
    let cold = if micro.cold_starts {
        "Before each start of a server the page cache of the machine was thrown out, so that what it \
         reads is charged to its own 1 GiB."
    } else {
        "The page cache could **not** be thrown out before servers were started, which takes root: \
         what is called cold may have been in memory, and more of it than 1 GiB."
    };
    writeln!(text, "- {cold}")?;
    writeln!(
        text,
        "- Each figure was measured for {:.0} s. The disk makes {} small writes a second durable, one \
         after the other.",
        micro.seconds,
        count(report.machine.syncs_per_second)
    )?;
    match &report.comparison {
        Some(comparison) => compared(text, comparison)?,
        None => writeln!(
            text,
            "- Answers were not compared, since there was only one server."
        )?,
    }
    for skipped in &report.skipped {
        writeln!(text, "- Left out: {skipped}.")?;
    }
    writeln!(text)
}

fn compared(text: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let kinds: Vec<String> = comparison
        .compared
        .iter()
        .map(|(kind, times)| format!("{} of {kind}", grouped(*times)))
        .collect();
    let found = if comparison.different == 0 {
        "all were alike, byte for byte (of errors, the status)".to_owned()
    } else {
        format!("**different were {}**", grouped(comparison.different))
    };
    writeln!(
        text,
        "- Before anything was measured, {} answers of reviewsd and of Express were compared ({}): {found}. \
         While it was measured, one answer of 256 was checked.",
        grouped(compare::count(&comparison.compared)),
        kinds.join(", "),
    )?;
    for example in &comparison.examples {
        writeln!(text, "  - `{}`", example.replace('`', "'"))?;
    }
    Ok(())
}

fn how(text: &mut String, report: &Report) -> std::fmt::Result {
    let machine = &report.machine;
    writeln!(text, "## How it was made\n")?;
    writeln!(text, "```sh\n{}\n```\n", report.command)?;
    writeln!(text, "| | |\n| --- | --- |")?;
    let memory = bytes(machine.memory_bytes);
    let rows = [
        (
            "processor",
            format!("{}, {} of them", machine.processor, machine.processors),
        ),
        ("memory", memory),
        (
            "system",
            format!("{}, Linux {}", machine.system, machine.kernel),
        ),
        ("file system", machine.file_system.clone()),
    ];
    let versions = report
        .versions
        .iter()
        .map(|(name, version)| (name.as_str(), version.clone()));
    for (name, value) in rows.into_iter().chain(versions) {
        writeln!(text, "| {name} | {value} |")?;
    }
    writeln!(
        text,
        "\nAll figures, with their histograms, are in [results/](results/): `report.json` has what is \
         above, and a file for each scenario what the load generator measured."
    )
}

/// With a capital.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report, and its rendering, which `REVIEWSD_GOLDEN=write` writes anew.
    const REPORT: &str = include_str!("golden/report.json");
    const GOLDEN: &str = include_str!("golden/RESULTS.md");

    fn report() -> Report {
        serde_json::from_str(REPORT).unwrap()
    }

    #[test]
    fn a_report_reads_as_it_did() {
        let plot = Plot {
            file: "price.svg",
            title: "Price".to_owned(),
            svg: String::new(),
        };
        let text = render(&report(), &[plot]);
        if std::env::var_os("REVIEWSD_GOLDEN").is_some_and(|value| value == "write") {
            let path = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/src/scenario/report/golden/RESULTS.md"
            );
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, GOLDEN);
    }

    #[test]
    fn what_could_not_be_done_is_said() {
        let mut report = report();
        report.micro.unlimited = Some("no permission".to_owned());
        report.micro.cold_starts = false;
        report.comparison = None;
        let text = render(&report, &[]);
        assert!(text.contains("could **not** be limited to 1 GiB (no permission)"));
        assert!(text.contains("could **not** be thrown out"));
        assert!(text.contains("Answers were not compared"));
    }
}
