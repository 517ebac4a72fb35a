//! One number against the other: bars from the left, each with its name before it and its value after.

use crate::plot::axis::{Scale, Unit, written};
use crate::plot::legend::{Mark, legend};
use crate::plot::svg::{Anchor, FRAME, GRID, INK, LABEL, Style, Svg, width_of};
use crate::plot::{AREA, WIDTH, colour};

const BAR_HEIGHT: f64 = 24.0;
const ROW_HEIGHT: f64 = 36.0;
/// A longer name begins left of the picture.
const NAME_WIDTH_MAX: f64 = 320.0;
const MARGIN: f64 = 28.0;

/// One bar.
pub(crate) struct Bar<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: f64,
    /// The value as it is written behind the bar, with its unit.
    pub(crate) shown: &'a str,
    /// Its group; each has a colour.
    pub(crate) group: usize,
}

/// Draws the bars from the first down, from 0 on a linear axis; where `log` is set on a logarithmic
/// one, for values of which the smallest would be no more than a line. `groups` names the colours,
/// and may be empty where there is one.
pub(crate) fn bars(
    title: &str,
    subtitle: &str,
    groups: &[&str],
    log: bool,
    bars: &[Bar<'_>],
) -> String {
    let values = bars.iter().map(|bar| bar.value);
    let scale = if log {
        Scale::log(values.flat_map(|value| [value, value / 2.0]))
    } else {
        Scale::Linear {
            max: values.fold(0.0, f64::max).max(f64::MIN_POSITIVE),
        }
    };
    let name = Style {
        colour: INK,
        ..LABEL
    };
    let value = Style { bold: true, ..name };
    let widest = |texts: &mut dyn Iterator<Item = (&str, Style)>| {
        texts
            .map(|(text, style)| width_of(text, style))
            .fold(0.0, f64::max)
    };
    let left =
        MARGIN + 10.0 + widest(&mut bars.iter().map(|bar| (bar.name, name))).min(NAME_WIDTH_MAX);
    let right = WIDTH - MARGIN - 10.0 - widest(&mut bars.iter().map(|bar| (bar.shown, value)));
    let top = if groups.is_empty() { 80.0 } else { AREA.top };
    let rows = f64::from(u16::try_from(bars.len()).unwrap_or(u16::MAX));
    let bottom = top + rows * ROW_HEIGHT;
    let axis = if log { 24.0 } else { 0.0 };

    let mut svg = Svg::new(WIDTH, bottom + axis + 20.0, title, subtitle);
    let marks = groups.iter().enumerate();
    let marks = marks.map(|(index, group)| ((*group).to_owned(), Mark::Block(colour(index))));
    legend(&mut svg, &marks.collect::<Vec<_>>());
    if log {
        for decade in decades(scale) {
            let x = left + scale.place(decade) * (right - left);
            svg.line((x, top), (x, bottom), GRID, 1.0);
            svg.text(
                (x, bottom + 18.0),
                Anchor::Middle,
                LABEL,
                &written(decade, Unit::Count),
            );
        }
    }
    let mut y = top;
    for bar in bars {
        let width = (scale.place(bar.value) * (right - left)).max(1.0);
        let middle = y + ROW_HEIGHT / 2.0;
        svg.text((left - 10.0, middle + 4.5), Anchor::End, name, bar.name);
        svg.bar(
            (left, middle - BAR_HEIGHT / 2.0),
            width,
            BAR_HEIGHT,
            colour(bar.group),
        );
        svg.text(
            (left + width + 8.0, middle + 4.5),
            Anchor::Start,
            value,
            bar.shown,
        );
        y += ROW_HEIGHT;
    }
    svg.line((left, top), (left, bottom), FRAME, 1.2);
    svg.finish()
}

fn decades(scale: Scale) -> Vec<f64> {
    let Scale::Log { min, max } = scale else {
        return Vec::new();
    };
    let mut decade = 10_f64.powf(min.log10().ceil());
    let mut decades = Vec::new();
    while decade <= max * 1.001 {
        decades.push(decade);
        decade *= 10.0;
    }
    decades
}
