//! The report: `RESULTS.md`, plots and raw figures, from what was measured.
//!
//! Owns the files, which figures are drawn, and how a figure is written; the words stand in
//! `bench/templates/RESULTS.md.jinja`. It must not measure: `RESULTS.md` follows from [`Report`] alone.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error};
use serde::Serialize;
use serde_json::json;

use super::peers::Server;
use super::plot::{self, Axis, Bar, Line, Scale};
use super::results::{Measured, Report, median};
use super::run::Outcomes;
use crate::load;
use crate::text::{cannot, grouped};

/// Points of a curve; more would fall on the same pixels.
const CURVE_POINTS: u32 = 400;
const NINES_MIN: f64 = 2.0;
const NINES_MAX: f64 = 6.0;
const LATENCY: &str = "latency, from when a request was due";

/// A picture beside the report.
pub(crate) struct Plot {
    file: &'static str,
    title: &'static str,
    svg: String,
}

/// The report as text, which the pictures' names stand in.
pub(crate) fn text(report: &impl Serialize, plots: &[Plot]) -> Result<String> {
    let mut context = serde_json::to_value(report)?;
    let names = plots.iter();
    let names = names.map(|plot| json!({"file": plot.file, "title": plot.title}));
    if let Some(context) = context.as_object_mut() {
        context.insert("plots".to_owned(), names.collect());
    }
    let mut environment = Environment::new();
    environment.add_filter("bytes", bytes);
    environment.add_filter("count", count);
    environment.add_filter("fixed", |number: f64, digits: usize| {
        format!("{number:.digits$}")
    });
    environment.add_filter("grouped", grouped);
    environment.add_filter("label", label);
    environment.add_filter("median_share", median_share);
    environment.add_filter("ms", |ms: f64| format!("{} ms", number(ms)));
    environment.add_filter("percent", percent);
    environment.add_filter("rate", |per_second: f64| format!("{}/s", count(per_second)));
    let template = include_str!("../../templates/RESULTS.md.jinja");
    Ok(environment.render_named_str("RESULTS.md", template, Serde(context))? + "\n")
}

/// Writes all of it below a directory.
pub(crate) fn write(dir: &Path, report: &Report, outcomes: &[Outcomes]) -> Result<()> {
    let results = dir.join("results");
    fs::create_dir_all(&results).with_context(cannot("create", &results))?;
    let put = |path: &Path, text: &str| fs::write(path, text).with_context(cannot("write", path));
    put(&results.join("report.json"), &json_text(report)?)?;
    for (scenario, outcomes) in report.scenarios.iter().zip(outcomes) {
        if !outcomes.is_empty() {
            let name = format!("{}.json", scenario.name);
            put(&results.join(name), &json_text(outcomes)?)?;
        }
    }
    let plots = draw(report, outcomes)?;
    for plot in &plots {
        put(&results.join(plot.file), &plot.svg)?;
    }
    put(&dir.join("RESULTS.md"), &text(report, &plots)?)
}

fn json_text(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Draws whatever there are figures for.
fn draw(report: &Report, outcomes: &[Outcomes]) -> Result<Vec<Plot>> {
    let of = |name: &str| {
        let mut scenarios = report.scenarios.iter().zip(outcomes);
        let found = scenarios.find(|(scenario, _)| scenario.name == name);
        found
            .map(|(_, outcomes)| outcomes)
            .filter(|outcomes| !outcomes.is_empty())
    };
    let plots = [
        price(report),
        of("random-list").map(latencies),
        of("knee").map(knee),
        same_bytes(report),
    ];
    plots.into_iter().flatten().collect()
}

/// Answers a second of CPU time, scenario by scenario.
fn price(report: &Report) -> Option<Result<Plot>> {
    let groups = [Server::Reviewsd, Server::Express, Server::ExpressCached];
    let mut bars = Vec::new();
    for scenario in report.scenarios.iter().filter(|one| !one.claim.is_empty()) {
        for (colour, group) in groups.iter().enumerate() {
            let mut servers = scenario.servers.iter();
            let server = servers.find(|one| one.server == *group);
            if let Some(phase) = server.and_then(Measured::highest) {
                let value = phase.usage.requests_per_cpu_second;
                // The first bar of a scenario has its name.
                let name = if colour == 0 {
                    scenario.name.clone()
                } else {
                    String::new()
                };
                bars.push(Bar {
                    name,
                    value,
                    shown: count(value),
                    colour,
                });
            }
        }
    }
    let title = "Answers for a second of CPU time";
    let subtitle = "as fast as answered, on one core and 1 GiB; database included";
    let svg = || plot::bars(title, subtitle, &groups.map(Server::label), true, &bars);
    (!bars.is_empty()).then(|| {
        Ok(Plot {
            file: "price.svg",
            title,
            svg: svg()?,
        })
    })
}

/// The cost of HTTP alone.
fn same_bytes(report: &Report) -> Option<Result<Plot>> {
    let mut scenarios = report.scenarios.iter();
    let scenario = scenarios.find(|scenario| scenario.name == "same-bytes")?;
    let bars = scenario.servers.iter().filter_map(|server| {
        let value = server.highest()?.usage.requests_per_cpu_second;
        let name = server.server.label().to_owned();
        Some(Bar {
            name,
            value,
            shown: count(value),
            colour: 0,
        })
    });
    let bars: Vec<Bar> = bars.collect();
    let title = "The same answer again and again";
    let svg = || plot::bars(title, "answers for a second of CPU time", &[], false, &bars);
    (!bars.is_empty()).then(|| {
        Ok(Plot {
            file: "same-bytes.svg",
            title,
            svg: svg()?,
        })
    })
}

/// The time of a list at the published rate, against the share of requests that were faster.
fn latencies(outcomes: &Outcomes) -> Result<Plot> {
    let warm = outcomes
        .iter()
        .filter(|(_, label, _)| label.ends_with("/s, warm"));
    let warm = warm.map(|(server, _, outcome)| (server, &outcome.total.latency.histogram));
    let warm: Vec<_> = warm.collect();
    // As many nines as the largest number of requests tells of.
    let nines_of = |requests: u64| load::us(requests.max(1) * 1000).log10();
    let most = warm.iter().map(|(_, histogram)| histogram.len()).max();
    let nines = nines_of(most.unwrap_or(0)).clamp(NINES_MIN, NINES_MAX);
    let lines = warm
        .iter()
        .enumerate()
        .map(|(colour, (server, histogram))| {
            let last = nines_of(histogram.len()).min(nines);
            let points = (0..=CURVE_POINTS).map(|step| {
                let quantile = 1.0 - 10_f64.powf(-last * f64::from(step) / f64::from(CURVE_POINTS));
                (
                    quantile,
                    load::us(histogram.value_at_quantile(quantile)),
                    true,
                )
            });
            let (name, points) = (server.label().to_owned(), points.collect());
            Line {
                name,
                colour,
                dashed: false,
                dots: false,
                points,
            }
        });
    let lines: Vec<Line> = lines.collect();
    let x = Axis {
        name: "share of requests",
        scale: Scale::Nines(nines),
        label: plot::quantile_label,
    };
    let title = "How long a list takes at 1000 a second";
    let subtitle = "random-list, warm; from when a request was due to the end of its answer";
    let svg = plot::lines(title, subtitle, &x, &latency_axis(&lines), &lines)?;
    Ok(Plot {
        file: "latency.svg",
        title,
        svg,
    })
}

/// The rate at which answers begin to wait: latency against throughput over the steps of a plan.
fn knee(outcomes: &Outcomes) -> Result<Plot> {
    let mut lines = Vec::new();
    for (colour, (server, _, outcome)) in outcomes.iter().enumerate() {
        for (name, dashed) in [("p99", false), ("p50", true)] {
            let answered = outcome.steps.iter().filter(|step| step.latency.count > 0);
            let points = answered.map(|step| {
                let latency = &step.latency;
                let us = if dashed {
                    latency.p50_us
                } else {
                    latency.p99_us
                };
                (step.achieved_per_second, us, step.held != Some(false))
            });
            let (name, points) = (format!("{} {name}", server.label()), points.collect());
            lines.push(Line {
                name,
                colour,
                dashed,
                dots: true,
                points,
            });
        }
    }
    let points = lines.iter().flat_map(|line| &line.points);
    let x = Axis {
        name: "right answers a second; hollow where the planned rate was not held",
        scale: Scale::linear(points.map(|(rate, _, _)| *rate).fold(0.0, f64::max)),
        label: plot::count_label,
    };
    let title = "Latency as more is asked for";
    let subtitle = "lists of random products at rates that rise in steps";
    let svg = plot::lines(title, subtitle, &x, &latency_axis(&lines), &lines)?;
    Ok(Plot {
        file: "knee.svg",
        title,
        svg,
    })
}

fn latency_axis(lines: &[Line]) -> Axis {
    let points = lines.iter().flat_map(|line| &line.points);
    Axis {
        name: LATENCY,
        scale: Scale::log(points.map(|(_, us, _)| *us)),
        label: plot::us_label,
    }
}

/// The name of a server in tables.
fn label(name: &str) -> Result<&'static str, Error> {
    let server = serde_json::from_value::<Server>(name.into());
    server
        .map(Server::label)
        .map_err(|error| Error::new(minijinja::ErrorKind::InvalidOperation, error.to_string()))
}

/// The median of one figure of each pair as a share of the other.
fn median_share(pairs: &Value, part: &str, whole: &str) -> Result<String, Error> {
    let mut shares = Vec::new();
    for pair in pairs.try_iter()? {
        let figure = |name| f64::try_from(pair.get_attr(name)?);
        shares.push(figure(part)? / figure(whole)?);
    }
    Ok(format!("{:.2}", median(shares)))
}

/// A share as published ones are written; a small one does not look like none.
fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        share if share < 0.001 => "< 0.001 %".to_owned(),
        share if share < 0.1 => format!("{share:.3} %"),
        share if share < 10.0 => format!("{share:.1} %"),
        share => format!("{share:.0} %"),
    }
}

/// A number, with the three digits that mean something.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rounded number that is not negative"
)]
pub(crate) fn count(number: f64) -> String {
    let digits = number.max(1.0).log10().floor();
    let unit = 10_f64.powf((digits - 2.0).max(0.0));
    grouped(((number / unit).round() * unit) as u64)
}

fn number(number: f64) -> String {
    if number < 1.0 {
        format!("{number:.2}")
    } else if number < 10.0 {
        format!("{number:.1}")
    } else {
        count(number)
    }
}

fn bytes(bytes: f64) -> String {
    if bytes < 1e9 {
        format!("{} MB", number(bytes / 1e6))
    } else {
        format!("{:.2} GB", bytes / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = include_str!("../../templates/golden.json");

    /// The report of the file, with something changed.
    fn golden(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut report = serde_json::from_str(REPORT).unwrap();
        change(&mut report);
        let plot = Plot {
            file: "price.svg",
            title: "Price",
            svg: String::new(),
        };
        text(&report, &[plot]).unwrap()
    }

    #[test]
    fn a_report_reads_as_it_did() {
        assert_eq!(golden(|_| ()), include_str!("../../templates/golden.md"));
    }

    #[test]
    fn limits_of_the_measurement_are_stated() {
        let text = golden(|report| {
            report["micro"]["unlimited"] = "no permission".into();
            report["micro"]["cold_starts"] = false.into();
            report["comparison"] = serde_json::Value::Null;
            // The cached peer was not measured at all.
            report["scenarios"][1]["servers"]
                .as_array_mut()
                .unwrap()
                .pop();
        });
        assert!(text.contains("could **not** be limited to 1 GiB (no permission)"));
        assert!(text.contains("could **not** be thrown out"));
        assert!(text.contains("Answers were not compared"));
        assert!(text.contains("at most 4,410/s | – |"));
        assert!(text.contains("4,460 in 360 MB | – |"));
    }

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        let counts = [0.4, 12.0, 999.6, 41_349.0].map(count);
        assert_eq!(counts, ["0", "12", "1,000", "41,300"]);
        let numbers = [0.254, 1.26, 12.6, 3326.0].map(number);
        assert_eq!(numbers, ["0.25", "1.3", "13", "3,330"]);
        assert_eq!([280.4e6, 2.17e9].map(bytes), ["280 MB", "2.17 GB"]);
        let shares = [0.0, 0.000_001, 0.000_03, 0.013, 0.084, 0.5].map(percent);
        assert_eq!(
            shares,
            ["0 %", "< 0.001 %", "0.003 %", "1.3 %", "8.4 %", "50 %"]
        );
    }
}
