//! Axes: from a value to a place in the picture, and the ticks that tell it back.
//!
//! Owns the scales and how their ticks are written. It must not know what is drawn between them.

use crate::plot::AREA;
use crate::plot::svg::{Anchor, FRAME, GRID, INK, LABEL, Style, Svg};

/// A scale over a range of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From 0.
    Linear { max: f64 },
    /// Decades, or parts of one.
    Log { min: f64, max: f64 },
    /// Quantiles: each nine takes as much room as the one before.
    Nines { nines: f64 },
}

/// The unit of a tick's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// 60,000 is `60k`.
    Count,
    /// 1500 µs are `1.5 ms`.
    Microseconds,
    /// 0.999 is `99.9%`.
    Quantile,
    Seconds,
}

impl Scale {
    /// A linear scale that ends at a round number.
    pub(super) fn linear(max: f64) -> Self {
        let max = if max > 0.0 { max } else { 1.0 };
        let step = step(max);
        Self::Linear {
            max: (max / step - 1e-9).ceil() * step,
        }
    }

    /// A logarithmic scale that begins and ends at 1, 2 or 5 of a decade.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Self {
        let positive = values.filter(|value| *value > 0.0 && value.is_finite());
        let (low, high) = positive.fold((f64::MAX, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if high <= 0.0 {
            return Self::Log {
                min: 1.0,
                max: 10.0,
            };
        }
        let (min, max) = (below(low), above(high));
        // Less than a decade shows noise as if it were news.
        let max = if max < min * 9.99 { min * 10.0 } else { max };
        Self::Log { min, max }
    }

    /// Returns the place of a value, from 0 to 1.
    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { max } => value / max,
            Self::Log { min, max } => (value.max(min) / min).log10() / (max / min).log10(),
            Self::Nines { nines } => -(1.0 - value).max(1e-12).log10() / nines,
        };
        place.clamp(0.0, 1.0)
    }

    /// Values with a line of their own, those with a number first.
    fn ticks(self) -> Vec<(f64, bool)> {
        match self {
            Self::Linear { max } => {
                let step = step(max);
                (0..=40_i32)
                    .map(|index| f64::from(index) * step)
                    .take_while(|value| *value <= max * 1.000_001)
                    .map(|value| (value, true))
                    .collect()
            }
            Self::Log { min, max } => {
                let decades = (max / min).log10();
                let mut ticks = Vec::new();
                let mut decade = 10_f64.powf(min.log10().floor());
                while decade <= max * 1.001 {
                    for part in 1..=9_i32 {
                        let value = decade * f64::from(part);
                        let numbered = part == 1 || (decades < 3.5 && matches!(part, 2 | 5));
                        if value >= min * 0.999
                            && value <= max * 1.001
                            && (numbered || decades < 4.0)
                        {
                            ticks.push((value, numbered));
                        }
                    }
                    decade *= 10.0;
                }
                ticks
            }
            Self::Nines { nines } => {
                let mut ticks = vec![(0.0, true), (0.5, true)];
                let mut left = 0.1;
                while left >= 10_f64.powf(-nines) * 0.999 {
                    ticks.push((1.0 - left, true));
                    left /= 10.0;
                }
                ticks
            }
        }
    }
}

/// Draws the grid, the frame's lower left corner, the numbers and the names of both axes.
pub(super) fn draw(svg: &mut Svg, x: (Scale, Unit, &str), y: (Scale, Unit, &str)) {
    let (x_scale, x_unit, x_name) = x;
    let (y_scale, y_unit, y_name) = y;
    for (value, numbered) in y_scale.ticks() {
        let at = to_y(y_scale, value);
        let width = if numbered { 1.0 } else { 0.5 };
        svg.line((AREA.left, at), (AREA.right, at), GRID, width);
        if numbered {
            let text = written(value, y_unit);
            svg.text((AREA.left - 10.0, at + 4.5), Anchor::End, LABEL, &text);
        }
    }
    for (value, numbered) in x_scale.ticks() {
        let at = to_x(x_scale, value);
        svg.line((at, AREA.top), (at, AREA.bottom), GRID, 1.0);
        if numbered {
            let text = written(value, x_unit);
            svg.text((at, AREA.bottom + 20.0), Anchor::Middle, LABEL, &text);
        }
    }
    svg.line(
        (AREA.left, AREA.bottom),
        (AREA.right, AREA.bottom),
        FRAME,
        1.2,
    );
    svg.line((AREA.left, AREA.top), (AREA.left, AREA.bottom), FRAME, 1.2);
    let name = Style {
        colour: INK,
        ..LABEL
    };
    let middle = f64::midpoint(AREA.left, AREA.right);
    svg.text((middle, AREA.bottom + 46.0), Anchor::Middle, name, x_name);
    let middle = f64::midpoint(AREA.top, AREA.bottom);
    svg.upright_text((22.0, middle), name, y_name);
}

pub(super) fn to_x(scale: Scale, value: f64) -> f64 {
    AREA.left + scale.place(value) * (AREA.right - AREA.left)
}

pub(super) fn to_y(scale: Scale, value: f64) -> f64 {
    AREA.bottom - scale.place(value) * (AREA.bottom - AREA.top)
}

/// The distance of ticks, at 1, 2 or 5 of a decade, that puts four to ten of them below `max`.
pub(super) fn step(max: f64) -> f64 {
    let rough = max / 8.0;
    let decade = 10_f64.powf(rough.log10().floor());
    let part = rough / decade;
    decade
        * if part <= 1.0 {
            1.0
        } else if part <= 2.0 {
            2.0
        } else if part <= 5.0 {
            5.0
        } else {
            10.0
        }
}

fn below(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let parts = [5.0, 2.0, 1.0].map(|part| part * decade);
    parts
        .into_iter()
        .find(|part| *part <= value)
        .unwrap_or(decade)
}

fn above(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let parts = [1.0, 2.0, 5.0, 10.0].map(|part| part * decade);
    let found = parts.into_iter().find(|part| *part >= value * 0.999_999);
    found.unwrap_or(decade * 10.0)
}

/// A number without more digits than it needs.
pub(super) fn written(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Quantile => {
            let percent = value * 100.0;
            // As many digits as there are nines.
            let nines = -(1.0 - value).max(1e-9).log10();
            let digits = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]
                .iter()
                .filter(|limit| nines > **limit)
                .count();
            format!("{percent:.*}%", digits.saturating_sub(1))
        }
        Unit::Count => match value {
            1_000_000.0.. => format!("{}M", short(value / 1e6)),
            1_000.0.. => format!("{}k", short(value / 1e3)),
            _ => short(value),
        },
        Unit::Microseconds => match value {
            1_000_000.0.. => format!("{} s", short(value / 1e6)),
            1_000.0.. => format!("{} ms", short(value / 1e3)),
            _ => format!("{} µs", short(value)),
        },
        Unit::Seconds => format!("{} s", short(value)),
    }
}

fn short(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_enough() {
        for (max, end) in [(7.0, 7.0), (80_000.0, 80_000.0), (123.0, 140.0), (0.0, 1.0)] {
            let scale = Scale::linear(max);
            assert_eq!(scale, Scale::Linear { max: end });
            let ticks = scale.ticks().len();
            assert!((4..=12).contains(&ticks), "{max}: {ticks}");
        }
    }

    #[test]
    fn a_log_scale_spans_its_values_and_a_decade_at_least() {
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
    fn each_nine_takes_the_same_room() {
        let scale = Scale::Nines { nines: 4.0 };
        for (quantile, place) in [
            (0.0, 0.0),
            (0.9, 0.25),
            (0.99, 0.5),
            (0.999, 0.75),
            (1.0, 1.0),
        ] {
            assert!((scale.place(quantile) - place).abs() < 1e-9);
        }
    }

    #[test]
    fn numbers_are_written_shortly() {
        for (value, unit, text) in [
            (0.0, Unit::Quantile, "0%"),
            (0.5, Unit::Quantile, "50%"),
            (0.9, Unit::Quantile, "90%"),
            (0.99, Unit::Quantile, "99%"),
            (0.999, Unit::Quantile, "99.9%"),
            (0.9999, Unit::Quantile, "99.99%"),
            (0.99999, Unit::Quantile, "99.999%"),
            (60_000.0, Unit::Count, "60k"),
            (2_500_000.0, Unit::Count, "2.5M"),
            (0.5, Unit::Count, "0.5"),
            (50.0, Unit::Microseconds, "50 µs"),
            (1500.0, Unit::Microseconds, "1.5 ms"),
            (2e6, Unit::Microseconds, "2 s"),
        ] {
            assert_eq!(written(value, unit), text);
        }
    }
}
