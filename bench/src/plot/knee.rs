//! Latency against throughput over the steps of a plan: where answers begin to wait is the knee.

use crate::load::Outcome;
use crate::plot::axis::{self, Scale, Unit, to_x, to_y};
use crate::plot::legend::{Mark, legend};
use crate::plot::svg::{PALE, Svg};
use crate::plot::{HEIGHT, WIDTH, colour};

/// The steps of one run.
pub(crate) struct Knee<'a> {
    pub(crate) name: &'a str,
    pub(crate) outcome: &'a Outcome,
}

struct Point {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    held: bool,
}

/// Draws the steps of one run or several.
pub(crate) fn knee(title: &str, subtitle: &str, runs: &[Knee<'_>]) -> String {
    let runs: Vec<(&str, Vec<Point>)> = runs
        .iter()
        .map(|run| (run.name, points(run.outcome)))
        .collect();
    let all = || runs.iter().flat_map(|(_, points)| points);
    let most = all().map(|point| point.per_second).fold(0.0, f64::max);
    let x = Scale::linear(most);
    let y = Scale::log(all().flat_map(|point| [point.p50_us, point.p99_us]));

    let mut svg = Svg::new(WIDTH, HEIGHT, title, subtitle);
    axis::draw(
        &mut svg,
        (x, Unit::Count, "right answers a second"),
        (
            y,
            Unit::Microseconds,
            "latency, from when a request was due",
        ),
    );
    let mut names = Vec::new();
    for (index, (name, _)) in runs.iter().enumerate() {
        let before = if name.is_empty() {
            String::new()
        } else {
            format!("{name} ")
        };
        names.push((format!("{before}p99"), Mark::Line(colour(index))));
        names.push((format!("{before}p50"), Mark::Dashed(colour(index))));
    }
    if all().any(|point| !point.held) {
        names.push((
            "the planned rate was not held".to_owned(),
            Mark::Hollow(PALE),
        ));
    }
    legend(&mut svg, &names);
    for (index, (_, points)) in runs.iter().enumerate() {
        for (dashed, latency_us) in [
            (true, (|point| point.p50_us) as fn(&Point) -> f64),
            (false, |point| point.p99_us),
        ] {
            let place = |point: &Point| (to_x(x, point.per_second), to_y(y, latency_us(point)));
            let line: Vec<_> = points.iter().map(place).collect();
            svg.path(&line, colour(index), dashed);
            for point in points {
                svg.dot(place(point), colour(index), point.held);
            }
        }
    }
    svg.finish()
}

fn points(outcome: &Outcome) -> Vec<Point> {
    let measured = outcome.steps.iter().map(|step| &step.measured);
    let answered = measured.filter(|measured| measured.latency.count > 0);
    let point = answered.map(|measured| Point {
        per_second: measured.achieved_per_second,
        p50_us: measured.latency.p50_us,
        p99_us: measured.latency.p99_us,
        held: measured.held != Some(false),
    });
    point.collect()
}
