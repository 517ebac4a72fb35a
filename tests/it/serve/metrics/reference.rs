//! The page of the documents that lists every metric has those of a primary and its replica.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use super::replication::Pair;
use super::{Client, Server};

const HEAD: &str = "# Metrics

For operators who write an alert or a dashboard: every metric that a running server tells.

This page is generated from a primary and a replica that run; `make reference` writes it.
[Metrics, alerts and the log](../operating/metrics.md) says which metric answers which question.

A counter only grows since the start; a gauge rises and falls; a histogram has `_bucket`, `_sum` and `_count`. Metrics
of one role are missing on the other.
";

/// The description of one family.
#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
    roles: Vec<&'static str>,
}

/// Adds the families of a server's page.
fn add(families: &mut BTreeMap<String, Family>, role: &'static str, server: &Server) {
    let answer = Client::to(server.admin).ask("/metrics");
    let page = String::from_utf8(answer.body).unwrap();
    let mut name = String::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (of, help) = help.split_once(' ').unwrap();
            of.clone_into(&mut name);
            let family = families.entry(name.clone()).or_default();
            help.clone_into(&mut family.help);
            family.roles.push(role);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (_, kind) = kind.split_once(' ').unwrap();
            kind.clone_into(&mut families.get_mut(&name).unwrap().kind);
        } else if let Some((_, labels)) = line.split_once('{') {
            let (labels, _) = labels.rsplit_once('}').unwrap();
            let names = labels
                .split("\",")
                .map(|label| label.split_once('=').unwrap().0);
            let names = names.filter(|label| *label != "le").map(str::to_owned);
            families.get_mut(&name).unwrap().labels.extend(names);
        }
    }
}

#[test]
fn the_reference_of_the_metrics_is_generated() {
    let pair = Pair::start("");
    let mut families = BTreeMap::new();
    add(&mut families, "primary", &pair.primary);
    add(&mut families, "replica", &pair.copy);
    let mut page = format!("{HEAD}\n| metric | kind | labels | on | |\n|---|---|---|---|---|\n");
    for (name, family) in &families {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let roles = if family.roles.len() == 2 {
            "both"
        } else {
            family.roles[0]
        };
        let (kind, labels, help) = (&family.kind, labels.join(", "), &family.help);
        writeln!(page, "| `{name}` | {kind} | {labels} | {roles} | {help} |").unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/metrics.md");
    if std::env::var_os("REVIEWSD_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(path, &page).unwrap();
    }
    let written = fs::read_to_string(path).unwrap();
    assert!(page == written, "`make reference` writes {path} anew");
}
