//! Which figures are drawn, and how each picture is introduced.
//!
//! Owns the choice. It must not know how a picture is drawn.

use super::table::count;
use crate::plot::{self, Bar, Distribution, Knee};
use crate::scenario::peers::Server;
use crate::scenario::results::Report;
use crate::scenario::run::Outcomes;

/// A picture beside the report.
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// Draws whatever there are figures for.
pub(crate) fn draw(report: &Report, outcomes: &[Outcomes]) -> Vec<Plot> {
    let of = |name: &str| {
        let mut scenarios = report.scenarios.iter().zip(outcomes);
        scenarios
            .find(|(scenario, _)| scenario.name == name)
            .map(|(_, outcomes)| outcomes)
    };
    let plots = [
        price(report),
        of("random-list").and_then(latencies),
        of("knee").and_then(knee),
        same_bytes(report),
    ];
    plots.into_iter().flatten().collect()
}

/// Answers a second of CPU time, scenario by scenario.
fn price(report: &Report) -> Option<Plot> {
    let title = "Answers for a second of CPU time";
    let groups = [Server::Reviewsd, Server::Express, Server::ExpressCached];
    let mut named = Vec::new();
    for scenario in report
        .scenarios
        .iter()
        .filter(|scenario| !scenario.claim.is_empty())
    {
        for (group, server) in groups.iter().enumerate() {
            let mut servers = scenario.servers.iter();
            let phase = servers
                .find(|one| one.server == *server)
                .and_then(|one| one.highest());
            if let Some(phase) = phase {
                let value = phase.usage.requests_per_cpu_second;
                // The first bar of a scenario has its name.
                let name = if group == 0 { &scenario.name } else { "" };
                named.push((name, value, count(value), group));
            }
        }
    }
    let bars: Vec<Bar<'_>> = named
        .iter()
        .map(|(name, value, shown, group)| Bar {
            name,
            value: *value,
            shown,
            group: *group,
        })
        .collect();
    let svg = plot::bars(
        title,
        "as fast as answered, on one core and 1 GiB; database included",
        &groups.map(Server::label),
        true,
        &bars,
    );
    (!bars.is_empty()).then(|| Plot {
        file: "price.svg",
        title: title.to_owned(),
        svg,
    })
}

/// Plots the time of a list at the published rate.
fn latencies(outcomes: &Outcomes) -> Option<Plot> {
    let title = "How long a list takes at 1000 a second";
    let warm: Vec<Distribution<'_>> = outcomes
        .iter()
        .filter(|(_, label, _)| label.ends_with("/s, warm"))
        .map(|(server, _, outcome)| Distribution {
            name: server.label(),
            latency: &outcome.total.latency,
        })
        .collect();
    let subtitle = "random-list, warm; from when a request was due to the end of its answer";
    (!warm.is_empty()).then(|| Plot {
        file: "latency.svg",
        title: title.to_owned(),
        svg: plot::latency(title, subtitle, &warm),
    })
}

/// Plots the rate at which answers begin to wait.
fn knee(outcomes: &Outcomes) -> Option<Plot> {
    let title = "Latency as more is asked for";
    let runs: Vec<Knee<'_>> = outcomes
        .iter()
        .map(|(server, _, outcome)| Knee {
            name: server.label(),
            outcome,
        })
        .collect();
    let subtitle = "lists of random products at rates that rise in steps";
    (!runs.is_empty()).then(|| Plot {
        file: "knee.svg",
        title: title.to_owned(),
        svg: plot::knee(title, subtitle, &runs),
    })
}

/// Plots the cost of HTTP alone.
fn same_bytes(report: &Report) -> Option<Plot> {
    let title = "The same answer again and again";
    let mut scenarios = report.scenarios.iter();
    let scenario = scenarios.find(|scenario| scenario.name == "same-bytes")?;
    let named: Vec<(&str, f64, String)> = scenario
        .servers
        .iter()
        .filter_map(|server| {
            let value = server.highest()?.usage.requests_per_cpu_second;
            Some((server.server.label(), value, count(value)))
        })
        .collect();
    let bars: Vec<Bar<'_>> = named
        .iter()
        .map(|(name, value, shown)| Bar {
            name,
            value: *value,
            shown,
            group: 0,
        })
        .collect();
    let svg = plot::bars(title, "answers for a second of CPU time", &[], false, &bars);
    (!bars.is_empty()).then(|| Plot {
        file: "same-bytes.svg",
        title: title.to_owned(),
        svg,
    })
}
