//! What happened when: latency and answers, second by second.

use crate::load::{Outcome, Second};
use crate::plot::axis::{self, Scale, Unit, to_x, to_y};
use crate::plot::legend::{Mark, legend};
use crate::plot::svg::{Anchor, LABEL, Svg};
use crate::plot::{AREA, HEIGHT, WIDTH, colour};

/// Right answers are drawn within this part of the height, from below.
const RATE_SHARE: f64 = 0.35;

/// Draws the seconds of one run: latencies on a logarithmic axis, and below them how many answers
/// there were.
pub(crate) fn seconds(title: &str, subtitle: &str, outcome: &Outcome) -> String {
    let seconds: Vec<&Second> = outcome
        .seconds
        .iter()
        .filter(|second| second.second >= 0)
        .collect();
    let x = Scale::Linear {
        max: outcome.total.seconds.max(1.0),
    };
    let y = Scale::log(
        seconds
            .iter()
            .flat_map(|second| [second.p50_us, second.max_us]),
    );
    let most = seconds.iter().map(|second| second.ok).max().unwrap_or(0);

    let mut svg = Svg::new(WIDTH, HEIGHT, title, subtitle);
    let width = to_x(x, 1.0) - to_x(x, 0.0);
    for second in &seconds {
        let share = float(second.ok) / float(most.max(1));
        let height = share * RATE_SHARE * (AREA.bottom - AREA.top);
        let at = (to_x(x, start(second)), AREA.bottom - height);
        svg.bar(at, (width - 1.0).max(0.5), height, PALE_BLUE);
    }
    axis::draw(
        &mut svg,
        (x, Unit::Seconds, "time"),
        (
            y,
            Unit::Microseconds,
            "latency, from when a request was due",
        ),
    );
    let most = format!("{} right answers", axis::written(float(most), Unit::Count));
    let top = AREA.bottom - RATE_SHARE * (AREA.bottom - AREA.top);
    svg.text((AREA.right, top - 6.0), Anchor::End, LABEL, &most);
    legend(
        &mut svg,
        &[
            ("max".to_owned(), Mark::Line(colour(1))),
            ("p99".to_owned(), Mark::Line(colour(2))),
            ("p50".to_owned(), Mark::Dashed(colour(0))),
            (
                "right answers of each second".to_owned(),
                Mark::Block(PALE_BLUE),
            ),
        ],
    );
    for (index, dashed, latency_us) in [
        (1, false, (|second| second.max_us) as fn(&Second) -> f64),
        (2, false, |second| second.p99_us),
        (0, true, |second| second.p50_us),
    ] {
        let points = seconds.iter().filter(|second| second.ok > 0);
        let points =
            points.map(|second| (to_x(x, start(second) + 0.5), to_y(y, latency_us(second))));
        svg.path(&points.collect::<Vec<_>>(), colour(index), dashed);
    }
    svg.finish()
}

const PALE_BLUE: &str = "#d6e6f2";

#[expect(clippy::cast_precision_loss, reason = "it is a place in a picture")]
fn start(second: &Second) -> f64 {
    second.second as f64
}

#[expect(clippy::cast_precision_loss, reason = "it is a place in a picture")]
fn float(number: u64) -> f64 {
    number as f64
}
