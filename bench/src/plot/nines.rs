//! Latency against the share of requests that were faster, out to the last nine.

use crate::load::Latency;
use crate::plot::axis::{self, Scale, Unit, to_x, to_y};
use crate::plot::legend::{Mark, legend};
use crate::plot::svg::Svg;
use crate::plot::{HEIGHT, WIDTH, colour};

/// Points of a curve; more would fall on the same pixels.
const POINTS: u32 = 400;
const NINES_MIN: f64 = 2.0;
const NINES_MAX: f64 = 6.0;

/// The latencies of one run.
pub(crate) struct Distribution<'a> {
    pub(crate) name: &'a str,
    pub(crate) latency: &'a Latency,
}

/// Draws the distributions over one another.
pub(crate) fn latency(title: &str, subtitle: &str, distributions: &[Distribution<'_>]) -> String {
    let known = distributions
        .iter()
        .filter_map(|series| Some((series.name, series.latency.histogram()?)));
    let known: Vec<_> = known.collect();
    // As many nines as the largest number of requests tells of.
    let requests = known.iter().map(|(_, histogram)| histogram.len()).max();
    let nines = nines_of(requests.unwrap_or(0)).clamp(NINES_MIN, NINES_MAX);
    let x = Scale::Nines { nines };

    let mut curves = Vec::new();
    for (name, histogram) in &known {
        let last = nines_of(histogram.len()).min(nines);
        let at = |step: u32| {
            let quantile = 1.0 - 10_f64.powf(-last * f64::from(step) / f64::from(POINTS));
            let us = crate::load::us(histogram.value_at_quantile(quantile));
            (quantile, us)
        };
        curves.push((*name, (0..=POINTS).map(at).collect::<Vec<_>>()));
    }
    let values = curves
        .iter()
        .flat_map(|(_, curve)| curve)
        .map(|(_, us)| *us);
    let y = Scale::log(values);

    let mut svg = Svg::new(WIDTH, HEIGHT, title, subtitle);
    axis::draw(
        &mut svg,
        (x, Unit::Quantile, "share of requests"),
        (
            y,
            Unit::Microseconds,
            "latency, from when a request was due",
        ),
    );
    let names = curves.iter().enumerate();
    let names = names.map(|(index, (name, _))| ((*name).to_owned(), Mark::Line(colour(index))));
    legend(&mut svg, &names.collect::<Vec<_>>());
    for (index, (_, curve)) in curves.iter().enumerate() {
        let points = curve
            .iter()
            .map(|(quantile, us)| (to_x(x, *quantile), to_y(y, *us)));
        svg.path(&points.collect::<Vec<_>>(), colour(index), false);
    }
    svg.finish()
}

/// Returns the number of nines that so many requests can tell of.
#[expect(clippy::cast_precision_loss, reason = "it is a place in a picture")]
fn nines_of(requests: u64) -> f64 {
    (requests.max(1) as f64).log10()
}
