//! The report: `RESULTS.md`, plots and raw figures, from what was measured.
//!
//! Owns the files. It must not measure, and `RESULTS.md` follows from [`Report`] alone.

pub(crate) mod machine;
mod markdown;
mod plots;
mod table;

use std::fs;
use std::path::Path;

use super::error::Error;
use super::results::Report;
use super::run::Outcomes;

/// The report as text for a terminal: claims and measurements side by side.
pub(crate) fn text(report: &Report) -> String {
    table::terminal(&table::main(report))
}

/// Writes all of it below a directory.
pub(crate) fn write(dir: &Path, report: &Report, outcomes: &[Outcomes]) -> Result<(), Error> {
    let results = dir.join("results");
    fs::create_dir_all(&results).map_err(Error::file("create", &results))?;
    let put = |path: &Path, text: &str| fs::write(path, text).map_err(Error::file("write", path));
    put(&results.join("report.json"), &json(report))?;
    for (scenario, outcomes) in report.scenarios.iter().zip(outcomes) {
        if !outcomes.is_empty() {
            let name = format!("{}.json", scenario.name);
            put(&results.join(name), &json(outcomes))?;
        }
    }
    let plots = plots::draw(report, outcomes);
    for plot in &plots {
        put(&results.join(plot.file), &plot.svg)?;
    }
    put(&dir.join("RESULTS.md"), &markdown::render(report, &plots))
}

fn json(value: &impl serde::Serialize) -> String {
    // These types have no keys that JSON could not write.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
