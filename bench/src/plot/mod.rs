//! Plots of outcomes as SVG: one text each, which needs nothing beside itself.
//!
//! Owns what is drawn: which figures, against what, in which colours. The colours (Okabe and Ito) are
//! told apart by whoever sees fewer of them, too; series differ in more than colour where they meet.

mod axis;
mod bars;
mod knee;
mod legend;
mod nines;
mod seconds;
mod svg;
#[cfg(test)]
mod tests;

pub(crate) use bars::{Bar, bars};
pub(crate) use knee::{Knee, knee};
pub(crate) use nines::{Distribution, latency};
pub(crate) use seconds::seconds;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 480.0;

/// Blue, vermillion, green, purple, orange, sky, black.
const COLOURS: [&str; 7] = [
    "#0072B2", "#D55E00", "#009E73", "#AA4499", "#E69F00", "#56B4E9", "#000000",
];

/// The colour of the n-th series; after the last one they begin again.
fn colour(index: usize) -> &'static str {
    let [first, ..] = COLOURS;
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or(first)
}

/// The area of the data within the picture.
#[derive(Clone, Copy)]
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

const AREA: Area = Area {
    left: 84.0,
    right: WIDTH - 38.0,
    top: 104.0,
    bottom: HEIGHT - 62.0,
};
