//! Every plot is well-formed, shows what it is given and survives what is odd.

use std::collections::BTreeSet;

use hdrhistogram::Histogram;

use super::*;
use crate::load::{Latency, Outcome};

/// The names of all elements, after a look at the form: each is closed by its own end, and every
/// attribute and text is free of what would have to be escaped.
fn elements(svg: &str) -> BTreeSet<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut names = BTreeSet::new();
    let mut rest = svg.trim();
    while let Some(start) = rest.find('<') {
        let text = &rest[..start];
        assert!(
            !text.contains('>')
                && !text
                    .replace("&amp;", "")
                    .replace("&lt;", "")
                    .replace("&gt;", "")
                    .replace("&quot;", "")
                    .contains('&'),
            "{text}"
        );
        let end = rest[start..].find('>').unwrap() + start;
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else {
            let name = tag.trim_end_matches('/').split(' ').next().unwrap();
            names.insert(name.to_owned());
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    names
}

/// Latencies about this many microseconds, with a long tail.
fn latency_about(us: u64) -> Latency {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    for index in 1..=10_000_u64 {
        let tail = if index.is_multiple_of(500) { 40 } else { 1 };
        histogram
            .record(us * 1000 * tail + index * us / 10)
            .unwrap();
    }
    Latency::of(&histogram)
}

fn outcome(steps: u32) -> Outcome {
    let measured = |index: u32| {
        let about = latency_about(u64::from(100 + 50 * index));
        serde_json::json!({
            "label": format!("{index}/s"),
            "measured": {
                "seconds": 5.0, "planned": 10, "planned_per_second": 2.0, "sent": 10, "not_sent": 0,
                "ok": 10, "errors": errors(), "achieved_per_second": f64::from(1000 * (index + 1)),
                "bytes_sent": 1, "bytes_received": 1, "latency": about, "service": about,
                "lateness": about, "held": index + 1 < steps, "limit": "plan",
            },
        })
    };
    let steps: Vec<_> = (0..steps).map(measured).collect();
    let second = |second: i64| {
        serde_json::json!({
            "second": second, "planned_per_second": 2.0, "ok": 1000 + 100 * second, "errors": 0,
            "p50_us": 100.0, "p99_us": 900.0, "max_us": 2500.0,
        })
    };
    let seconds: Vec<_> = (-2..10).map(second).collect();
    let total = measured(0)["measured"].clone();
    let outcome = serde_json::json!({
        "workload": "w", "target": "http://x", "mode": "open", "started_unix_seconds": 1, "seed": 1,
        "connections": 1, "threads": 1, "interrupted": false, "total": total, "steps": steps,
        "kinds": [], "checks": { "bodies": 0, "wrong": 0, "skipped": 0 },
        "generator": { "cpu_seconds": 0.0, "cpu_share": 0.0, "cpu_us_per_request": 0.0, "reconnects": 0 },
        "seconds": seconds, "remarks": [],
    });
    serde_json::from_value(outcome).unwrap()
}

fn errors() -> serde_json::Value {
    serde_json::json!({
        "status": 0, "timeout": 0, "refused": 0, "closed": 0, "malformed": 0, "wrong_body": 0,
        "statuses": {}, "examples": {},
    })
}

#[test]
fn latencies_of_several_runs_are_drawn_with_a_legend() {
    let (fast, slow) = (latency_about(100), latency_about(9000));
    let svg = latency(
        "Latency <of> \"all\" & each",
        "1000/s",
        &[
            Distribution {
                name: "reviewsd",
                latency: &fast,
            },
            Distribution {
                name: "Express & Postgres",
                latency: &slow,
            },
        ],
    );
    assert!(elements(&svg).contains("polyline"));
    for text in [
        "Latency &lt;of&gt; &quot;all&quot; &amp; each",
        ">reviewsd<",
        ">Express &amp; Postgres<",
        ">99.9%<",
        ">100 ms<",
    ] {
        assert!(svg.contains(text), "no {text}");
    }
    // A sample and a curve each.
    assert_eq!(svg.matches("<polyline").count(), 4);
}

#[test]
fn the_knee_has_a_point_for_each_step_and_hollow_ones_where_the_rate_was_not_held() {
    let outcome = outcome(6);
    let run = Knee {
        name: "reviewsd",
        outcome: &outcome,
    };
    let svg = knee("Knee", "steps of 5 s", &[run]);
    elements(&svg);
    let hollow = svg.matches("r=\"4\" fill=\"#ffffff\"").count();
    // p50 and p99 of each step; the last step is hollow, as is its sample in the legend.
    assert_eq!((svg.matches("<circle").count(), hollow), (13, 3));
    assert!(svg.contains("the planned rate was not held"));
}

#[test]
fn bars_show_their_values_on_either_axis() {
    let values = [
        ("claimed", 2000.0, "2000 ms", 1),
        ("measured", 0.3, "0.3 ms", 0),
    ];
    let rows = values.map(|(name, value, shown, group)| Bar {
        name,
        value,
        shown,
        group,
    });
    for log in [false, true] {
        let svg = bars("Bars", "p99", &["ours", "theirs"], log, &rows);
        elements(&svg);
        assert!(svg.contains(">2000 ms<") && svg.contains(">0.3 ms<") && svg.contains(">theirs<"));
        assert_eq!(svg.matches("rx=\"2\"").count(), 4);
    }
}

#[test]
fn seconds_of_the_warm_up_are_not_drawn() {
    let svg = seconds("Seconds", "w", &outcome(1));
    elements(&svg);
    // Ten seconds and one sample in the legend.
    assert_eq!(svg.matches("rx=\"2\"").count(), 11);
}

#[test]
fn nothing_measured_is_drawn_as_nothing() {
    let nothing = Latency::default();
    let empty = Distribution {
        name: "nothing",
        latency: &nothing,
    };
    elements(&latency("Empty", "", &[empty]));
    elements(&latency("Empty", "", &[]));
    elements(&knee("Empty", "", &[]));
    elements(&bars("Empty", "", &[], false, &[]));
    elements(&bars("Empty", "", &[], true, &[]));
    let mut outcome = outcome(1);
    outcome.seconds.clear();
    outcome.steps.clear();
    let run = Knee {
        name: "",
        outcome: &outcome,
    };
    elements(&knee("Empty", "", &[run]));
    elements(&seconds("Empty", "", &outcome));
}
