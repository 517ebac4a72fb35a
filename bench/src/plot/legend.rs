//! Which series is which: a row of names above the data.

use crate::plot::AREA;
use crate::plot::svg::{Anchor, INK, LABEL, Style, Svg, width_of};

const MARK_WIDTH: f64 = 22.0;
const GAP: f64 = 22.0;
const LINE_HEIGHT: f64 = 18.0;

/// The mark of a series.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Line(&'static str),
    Dashed(&'static str),
    Hollow(&'static str),
    Block(&'static str),
}

/// Names of series, in rows from left to right.
pub(super) fn legend(svg: &mut Svg, names: &[(String, Mark)]) {
    let style = Style {
        colour: INK,
        ..LABEL
    };
    let (mut x, mut y) = (AREA.left, 82.0);
    for (name, mark) in names {
        let width = MARK_WIDTH + 8.0 + width_of(name, style);
        if x + width > AREA.right && x > AREA.left {
            (x, y) = (AREA.left, y + LINE_HEIGHT);
        }
        let (left, right) = ((x, y - 4.5), (x + MARK_WIDTH, y - 4.5));
        match *mark {
            Mark::Line(colour) => svg.path(&[left, right], colour, false),
            Mark::Dashed(colour) => svg.path(&[left, right], colour, true),
            Mark::Hollow(colour) => svg.dot((x + MARK_WIDTH / 2.0, y - 4.5), colour, false),
            Mark::Block(colour) => svg.bar((x, y - 10.0), MARK_WIDTH, 11.0, colour),
        }
        svg.text((x + MARK_WIDTH + 8.0, y), Anchor::Start, style, name);
        x += width + GAP;
    }
}
