//! Plots as SVG: lines over two axes, and bars.
//!
//! Owns the scales and the places of things. How a picture looks is said by the templates in
//! `bench/templates/`; it must not know what is drawn. The colours (Okabe and Ito) can be told apart by
//! people who see fewer of them.

use anyhow::Result;
use minijinja::Environment;
use minijinja::value::Serde;
use serde_json::{Value, json};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = WIDTH - 38.0;
const TOP: f64 = 104.0;
const BOTTOM: f64 = HEIGHT - 62.0;
/// About the width of a letter of a label.
const LETTER_WIDTH: f64 = 7.2;
const BAR_ROW_HEIGHT: f64 = 36.0;

const COLOURS: [&str; 7] = [
    "#0072B2", "#D55E00", "#009E73", "#AA4499", "#E69F00", "#56B4E9", "#000000",
];

/// A scale over a range of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    /// From 0.
    Linear {
        max: f64,
    },
    Log {
        min: f64,
        max: f64,
    },
    /// Quantiles: each nine takes as much room as the one before.
    Nines(f64),
}

/// One side of a plot.
pub(crate) struct Axis {
    pub(crate) name: &'static str,
    pub(crate) scale: Scale,
    /// The text of a tick.
    pub(crate) label: fn(f64) -> String,
}

/// A line through points, with a dot on each where `dots` is set.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) colour: usize,
    pub(crate) dashed: bool,
    pub(crate) dots: bool,
    /// Each with whether its dot is filled.
    pub(crate) points: Vec<(f64, f64, bool)>,
}

/// A bar with the value that is written behind it.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) shown: String,
    pub(crate) colour: usize,
}

impl Scale {
    /// A linear scale that ends at a round number.
    pub(crate) fn linear(max: f64) -> Self {
        let max = if max > 0.0 { max } else { 1.0 };
        let step = step(max);
        Self::Linear {
            max: (max / step - 1e-9).ceil() * step,
        }
    }

    /// A logarithmic scale that begins and ends at 1, 2 or 5 of a decade, and is a decade at least.
    pub(crate) fn log(values: impl Iterator<Item = f64>) -> Self {
        let positive = values.filter(|value| *value > 0.0 && value.is_finite());
        let (low, high) = positive.fold((f64::MAX, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if high <= 0.0 {
            return Self::log([1.0, 10.0].into_iter());
        }
        let decade = |value: f64| 10_f64.powf(value.log10().floor());
        let parts = |value: f64| [1.0, 2.0, 5.0, 10.0].map(|part| part * decade(value));
        let below = parts(low).into_iter().rfind(|part| *part <= low);
        let above = parts(high)
            .into_iter()
            .find(|part| *part >= high * 0.999_999);
        let min = below.unwrap_or(low);
        Self::Log {
            min,
            max: above.unwrap_or(high).max(min * 10.0),
        }
    }

    /// Returns the place of a value, from 0 to 1.
    fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { max } => value / max,
            Self::Log { min, max } => (value.max(min) / min).log10() / (max / min).log10(),
            Self::Nines(nines) => -(1.0 - value).max(1e-12).log10() / nines,
        };
        place.clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { max } => {
                let step = step(max);
                let ticks = (0..=40_i32).map(|index| f64::from(index) * step);
                ticks
                    .take_while(|value| *value <= max * 1.000_001)
                    .collect()
            }
            Self::Log { min, max } => {
                let parts: &[f64] = if max / min < 3e3 {
                    &[1.0, 2.0, 5.0]
                } else {
                    &[1.0]
                };
                let decades = (-3..12).map(|decade| 10_f64.powi(decade));
                let ticks = decades.flat_map(|decade| parts.iter().map(move |part| part * decade));
                ticks
                    .filter(|value| (min * 0.999..=max * 1.001).contains(value))
                    .collect()
            }
            Self::Nines(nines) => {
                let nines = (1..=12_i32).filter(|nine| f64::from(*nine) <= nines * 1.001);
                let ticks = nines.map(|nine| 1.0 - 10_f64.powi(-nine));
                [0.0, 0.5].into_iter().chain(ticks).collect()
            }
        }
    }
}

/// The distance of ticks, at 1, 2 or 5 of a decade, that puts four to ten of them below `max`.
fn step(max: f64) -> f64 {
    let rough = max / 8.0;
    let decade = 10_f64.powf(rough.log10().floor());
    let parts = [1.0, 2.0, 5.0].into_iter();
    let part = parts.into_iter().find(|part| rough / decade <= *part);
    decade * part.unwrap_or(10.0)
}

/// A count: 60,000 is `60k`.
pub(crate) fn count_label(value: f64) -> String {
    match value {
        1_000_000.0.. => format!("{}M", short(value / 1e6)),
        1_000.0.. => format!("{}k", short(value / 1e3)),
        _ => short(value),
    }
}

/// A time: 1500 µs are `1.5 ms`.
pub(crate) fn us_label(us: f64) -> String {
    match us {
        1_000_000.0.. => format!("{} s", short(us / 1e6)),
        1_000.0.. => format!("{} ms", short(us / 1e3)),
        _ => format!("{} µs", short(us)),
    }
}

/// A quantile: 0.999 is `99.9%`.
pub(crate) fn quantile_label(quantile: f64) -> String {
    format!("{}%", (quantile * 1e9).round() / 1e7)
}

fn short(value: f64) -> String {
    format!("{}", (value * 100.0).round() / 100.0)
}

/// Draws the lines over both axes.
pub(crate) fn lines(
    title: &str,
    subtitle: &str,
    x: &Axis,
    y: &Axis,
    lines: &[Line],
) -> Result<String> {
    let to_x = |value| tenth(LEFT + x.scale.place(value) * (RIGHT - LEFT));
    let to_y = |value| tenth(BOTTOM - y.scale.place(value) * (BOTTOM - TOP));
    let legends = legend(lines.iter().map(|line| line.name.as_str()));
    let drawn = lines.iter().zip(legends).map(|(line, legend)| {
        let points = line.points.iter();
        let points = points.map(|(x, y, filled)| json!({"x": to_x(*x), "y": to_y(*y), "filled": filled}));
        json!({
            "name": line.name, "colour": colour(line.colour), "dashed": line.dashed, "dots": line.dots,
            "legend": legend, "points": points.collect::<Vec<_>>(),
        })
    });
    let axis = |axis: &Axis, to: &dyn Fn(f64) -> f64| {
        let ticks = axis.scale.ticks().into_iter();
        let ticks = ticks.map(|value| json!({"at": to(value), "label": (axis.label)(value)}));
        json!({"name": axis.name, "ticks": ticks.collect::<Vec<_>>()})
    };
    let picture = json!({
        "title": title, "subtitle": subtitle, "width": WIDTH, "height": HEIGHT, "left": LEFT,
        "right": RIGHT, "top": TOP, "bottom": BOTTOM, "x": axis(x, &to_x), "y": axis(y, &to_y),
        "lines": drawn.collect::<Vec<_>>(),
    });
    rendered(
        "lines.xml",
        include_str!("../../templates/lines.xml.jinja"),
        picture,
    )
}

/// Draws the bars from the first down, on a logarithmic axis where `log` is set. `groups` names the
/// colours, and may be empty where there is one.
pub(crate) fn bars(
    title: &str,
    subtitle: &str,
    groups: &[&str],
    log: bool,
    bars: &[Bar],
) -> Result<String> {
    let values = bars.iter().map(|bar| bar.value);
    let scale = if log {
        Scale::log(values.flat_map(|value| [value, value / 2.0]))
    } else {
        Scale::Linear {
            max: values.fold(f64::MIN_POSITIVE, f64::max),
        }
    };
    let widest = bars
        .iter()
        .map(|bar| width_of(&bar.name))
        .fold(0.0, f64::max);
    let (left, right) = (38.0 + widest, WIDTH - 110.0);
    let top = if groups.is_empty() { 80.0 } else { TOP };
    let place = |value| tenth(scale.place(value) * (right - left));
    let rows = (0_u16..).zip(bars).map(|(row, bar)| {
        json!({
            "name": bar.name, "shown": bar.shown, "colour": colour(bar.colour),
            "y": top + f64::from(row) * BAR_ROW_HEIGHT + 6.0, "width": place(bar.value).max(1.0),
        })
    });
    let rows: Vec<Value> = rows.collect();
    let decades = scale
        .ticks()
        .into_iter()
        .filter(|value| log && value.log10().fract().abs() < 1e-6);
    let ticks =
        decades.map(|value| json!({"at": left + place(value), "label": count_label(value)}));
    let groups = groups
        .iter()
        .enumerate()
        .zip(legend(groups.iter().copied()));
    let groups = groups.map(
        |((index, name), legend)| json!({"name": name, "colour": colour(index), "legend": legend}),
    );
    let bottom = bars.iter().fold(top, |bottom, _| bottom + BAR_ROW_HEIGHT);
    let picture = json!({
        "title": title, "subtitle": subtitle, "width": WIDTH, "height": bottom + if log { 44.0 } else { 20.0 },
        "left": left, "top": top, "bottom": bottom, "bars": rows,
        "ticks": ticks.collect::<Vec<_>>(), "groups": groups.collect::<Vec<_>>(),
    });
    rendered(
        "bars.xml",
        include_str!("../../templates/bars.xml.jinja"),
        picture,
    )
}

/// The places of a legend's entries, in rows from left to right.
fn legend<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Value> {
    let (mut x, mut y) = (LEFT, 82.0);
    let places = names.map(|name| {
        let width = 30.0 + width_of(name);
        if x + width > RIGHT && x > LEFT {
            (x, y) = (LEFT, y + 18.0);
        }
        let place = json!({"x": tenth(x), "y": y});
        x += width + 22.0;
        place
    });
    places.collect()
}

fn width_of(text: &str) -> f64 {
    text.chars().map(|_| LETTER_WIDTH).sum()
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The colour of the n-th series; after the last one they begin again.
fn colour(index: usize) -> &'static str {
    COLOURS
        .iter()
        .cycle()
        .nth(index)
        .copied()
        .unwrap_or("#000000")
}

/// Fills a template in; what ends in `.xml` is escaped.
fn rendered(name: &str, template: &str, picture: Value) -> Result<String> {
    Ok(Environment::new().render_named_str(name, template, Serde(picture))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_scales_end_at_round_numbers() {
        for (max, end) in [(7.0, 7.0), (80_000.0, 80_000.0), (123.0, 140.0), (0.0, 1.0)] {
            assert_eq!(Scale::linear(max), Scale::Linear { max: end });
            let ticks = Scale::linear(max).ticks().len();
            assert!((4..=12).contains(&ticks), "{max}: {ticks}");
        }
    }

    #[test]
    fn log_scales_span_their_values_and_a_decade_at_least() {
        for (values, min, max) in [
            (vec![23.0, 4500.0], 20.0, 5000.0),
            (vec![100.0, 120.0], 100.0, 1000.0),
            (vec![0.0, 7.0, 10.0], 5.0, 50.0),
            (vec![], 1.0, 10.0),
        ] {
            assert_eq!(Scale::log(values.into_iter()), Scale::Log { min, max });
        }
    }

    #[test]
    fn ticks_are_labelled_without_more_digits_than_they_need() {
        let nines: Vec<String> = Scale::Nines(4.0)
            .ticks()
            .into_iter()
            .map(quantile_label)
            .collect();
        assert_eq!(nines, ["0%", "50%", "90%", "99%", "99.9%", "99.99%"]);
        assert_eq!(
            [60_000.0, 2.5e6, 0.5].map(count_label),
            ["60k", "2.5M", "0.5"]
        );
        assert_eq!(
            [50.0, 1500.0, 2e6].map(us_label),
            ["50 µs", "1.5 ms", "2 s"]
        );
    }

    #[test]
    fn lines_have_a_legend_and_hollow_dots_and_escaped_names() {
        let line = Line {
            name: "Express & <Postgres>".to_owned(),
            colour: 1,
            dashed: false,
            dots: true,
            points: vec![(10.0, 100.0, true), (20.0, 900.0, false)],
        };
        let axis = |name, scale| Axis {
            name,
            scale,
            label: count_label,
        };
        let (x, y) = (
            axis("rate", Scale::linear(20.0)),
            axis("time", Scale::log([100.0, 900.0].into_iter())),
        );
        let svg = lines("A title", "below it", &x, &y, &[line]).unwrap();
        assert!(
            svg.contains(">Express &amp; &lt;Postgres&gt;</text>"),
            "{svg}"
        );
        // The first value lies in the middle at the bottom; the picture's edges are those of the axes.
        assert!(
            svg.contains(r##"<circle cx="453.0" cy="418.0" r="4" fill="#D55E00""##),
            "{svg}"
        );
        assert_eq!(svg.matches("fill=\"#ffffff\" stroke=").count(), 1);
        assert_eq!(svg.matches("<polyline").count(), 1);
    }

    #[test]
    fn bars_are_as_long_as_their_values_on_a_linear_axis() {
        let bar = |value: f64| Bar {
            name: "x".to_owned(),
            value,
            shown: value.to_string(),
            colour: 0,
        };
        let svg = bars("Bars", "", &["ours"], false, &[bar(10.0), bar(5.0)]).unwrap();
        let width = |y: &str| -> f64 {
            let (_, after) = svg.split_once(&format!("y=\"{y}\" width=\"")).unwrap();
            after.split_once('"').unwrap().0.parse().unwrap()
        };
        assert!((width("110.0") - 2.0 * width("146.0")).abs() < 0.2, "{svg}");
        assert!(svg.contains(">ours</text>"));
        bars("None", "", &[], true, &[]).unwrap();
    }
}
