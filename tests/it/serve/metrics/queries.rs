//! The alerts and the dashboard query metrics that a running server has, by names, labels and values.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Metrics;
use super::replication::Pair;

/// The series that Prometheus itself makes of each target.
const OF_PROMETHEUS: &[&str] = &["up"];
/// Labels that Prometheus gives.
const TARGET_LABELS: &[&str] = &["job", "instance"];
const FUNCTIONS: &[&str] = &[
    "changes",
    "histogram_quantile",
    "increase",
    "max",
    "min",
    "rate",
    "sum",
    "time",
];
/// Words that stand before labels in parentheses.
const GROUPINGS: &[&str] = &["by", "without", "on", "ignoring"];
const OPERATORS: &[&str] = &["and", "or", "unless"];

/// A metric that a query names, and its conditions on labels: label, operator, value.
type Selector = (String, Vec<(String, String, String)>);

fn config(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(file);
    fs::read_to_string(path).unwrap()
}

fn alerts() -> Vec<String> {
    let text = config("alerts.yml");
    let lines = text.lines().map(str::trim_start);
    let exprs = lines.filter_map(|line| line.strip_prefix("expr: "));
    let exprs: Vec<String> = exprs.map(str::to_owned).collect();
    assert_eq!(
        exprs.len(),
        text.matches("expr").count(),
        "an expression is not on one line"
    );
    assert_eq!(exprs.len(), text.matches("- alert: ").count());
    exprs
}

fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&config("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let charts = panels.iter().filter(|panel| panel["type"] != "row");
    let targets = charts.flat_map(|panel| {
        assert!(
            panel["title"].is_string() && panel["description"].is_string(),
            "{panel}"
        );
        panel["targets"].as_array().unwrap().clone()
    });
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

/// The selectors of a query, in the part of its language that is used here.
fn selectors(query: &str) -> Vec<Selector> {
    let mut found: Vec<Selector> = Vec::new();
    let mut rest = query.trim_start();
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_alphabetic() || c == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after.trim_start();
            if GROUPINGS.contains(&word) {
                rest = rest.split_once(')').unwrap().1;
            } else if !FUNCTIONS.contains(&word) && !OPERATORS.contains(&word) {
                assert!(!rest.starts_with('('), "{word} in {query}");
                found.push((word.to_owned(), Vec::new()));
            }
        } else if let Some(inner) = rest.strip_prefix('{') {
            let (inner, after) = inner.split_once('}').unwrap();
            found.last_mut().unwrap().1 = inner.split(',').map(matcher).collect();
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            rest = inner.split_once(']').unwrap().1;
        } else {
            assert!("()+-*/<>=. 0123456789,".contains(c), "{c} in {query}");
            rest = &rest[1..];
        }
        rest = rest.trim_start();
    }
    found
}

fn matcher(text: &str) -> (String, String, String) {
    let end = text.find(['=', '!']).unwrap();
    let (label, rest) = text.split_at(end);
    let (operator, value) = rest.split_once('"').unwrap();
    let value = value.strip_suffix('"').unwrap();
    (label.to_owned(), operator.to_owned(), value.to_owned())
}

/// The names of a query that no page has.
fn missing(pages: &[&Metrics], query: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for (name, matchers) in selectors(query) {
        if OF_PROMETHEUS.contains(&name.as_str()) {
            continue;
        }
        let told = || pages.iter().flat_map(|page| page.labels(&name));
        if told().next().is_none() {
            missing.push(format!("there is no {name}, in {query}"));
            continue;
        }
        for (label, _, wanted) in matchers {
            if TARGET_LABELS.contains(&label.as_str()) {
                continue;
            }
            let known: BTreeSet<_> = told().filter_map(|all| all.get(&label)).collect();
            for value in wanted.split('|') {
                if !known.contains(&value.to_owned()) {
                    missing.push(format!("{name} has no {label}=\"{value}\", in {query}"));
                }
            }
        }
    }
    missing
}

#[test]
fn alerts_and_dashboard_ask_for_what_is_there() {
    let pair = Pair::start("");
    // Metrics that only a primary has, or only a replica, are looked up in both.
    let (primary, copy) = (Metrics::of(&pair.primary), Metrics::of(&pair.copy));
    let pages = [&primary, &copy];
    let (alerts, panels) = (alerts(), panels());
    assert!(alerts.len() > 10 && panels.len() > 30);
    let all = alerts.iter().chain(&panels);
    let missing: Vec<String> = all.flat_map(|query| missing(&pages, query)).collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_query_for_what_is_not_there_is_noticed() {
    let page =
        Metrics::read("# HELP a_total What came.\n# TYPE a_total counter\na_total{of=\"x\"} 1\n");
    for query in [
        r#"sum by (of) (rate(a_total{job=~"$job",of="x"}[5m])) > 0.5"#,
        "a_total or up{job=\"reviewsd\"} == 0",
    ] {
        assert_eq!(missing(&[&page], query), Vec::<String>::new(), "{query}");
    }
    for query in [
        "rate(b_total[5m])",
        "a_total + a",
        r#"a_total{of="y"}"#,
        r#"a_total{of=~"x|y"}"#,
        r#"a_total{for="x"}"#,
    ] {
        assert_eq!(missing(&[&page], query).len(), 1, "{query}");
    }
}
