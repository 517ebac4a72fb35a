//! The page of metrics, in the text format of Prometheus, version 0.0.4.
//! Must not know which metrics there are. Invariant: a family of metrics is written in one piece, with its
//! help
//! and type before its samples.

use std::fmt::{self, Write};

use super::Distribution;

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// A family of metrics that is being written.
#[derive(Debug)]
pub struct MetricFamily<'p> {
    text: &'p mut String,
    name: &'static str,
}

/// A value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// A measurement.
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Number {
    fn from(is: bool) -> Self {
        Self::Whole(u64::from(is))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
        }
    }
}

impl Exposition {
    /// Begins a family of numbers that only grow.
    pub fn counter(&mut self, name: &'static str, help: &str) -> MetricFamily<'_> {
        self.family(name, "counter", help)
    }

    /// Begins a family of numbers that rise and fall.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> MetricFamily<'_> {
        self.family(name, "gauge", help)
    }

    /// Begins a family of distributions.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> MetricFamily<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> MetricFamily<'_> {
        let text = &mut self.0;
        for part in [
            "# HELP ",
            name,
            " ",
            help,
            "\n# TYPE ",
            name,
            " ",
            kind,
            "\n",
        ] {
            text.push_str(part);
        }
        MetricFamily { text, name }
    }

    /// The page.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl MetricFamily<'_> {
    /// The family's only sample.
    pub fn value(&mut self, value: impl Into<Number>) {
        self.sample(&[], value);
    }

    /// The sample with these labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        self.line("", labels, None, value.into());
    }

    /// The distribution with these labels: its buckets, their sum and their count.
    pub fn distribution(&mut self, labels: &[(&str, &str)], of: &Distribution) {
        let units = f64::from(of.units.max(1));
        let mut count = 0;
        for (bound, more) in &of.buckets {
            count += more;
            let bound = Number::Real(real(u128::from(*bound)) / units);
            self.line("_bucket", labels, Some(bound), count.into());
        }
        count += of.beyond;
        let all = Number::Real(f64::INFINITY);
        self.line("_bucket", labels, Some(all), count.into());
        self.line("_sum", labels, None, Number::Real(real(of.sum) / units));
        self.line("_count", labels, None, count.into());
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        bound: Option<Number>,
        value: Number,
    ) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels {
            self.text.push(before);
            self.text.push_str(name);
            self.text.push_str("=\"");
            value.chars().for_each(|c| push_escaped(self.text, c));
            self.text.push('"');
            before = ',';
        }
        if let Some(bound) = bound {
            self.text.push(before);
            self.text.push_str("le=\"");
            push_number(self.text, bound);
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        self.text.push(' ');
        push_number(self.text, value);
        self.text.push('\n');
    }
}

/// Infinity is written otherwise than Rust does.
fn push_number(text: &mut String, number: Number) {
    if number == Number::Real(f64::INFINITY) {
        text.push_str("+Inf");
    } else {
        // Writing to a text does not fail.
        let _ = write!(text, "{number}");
    }
}

fn push_escaped(text: &mut String, c: char) {
    match c {
        '\\' => text.push_str("\\\\"),
        '"' => text.push_str("\\\""),
        '\n' => text.push_str("\\n"),
        c => text.push(c),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the format's numbers are floats; beyond 2^53 their last digits are nobody's concern"
)]
fn real(number: u128) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BucketBounds, Histogram};

    #[test]
    fn a_page_is_written_as_the_format_says() {
        let mut page = Exposition::default();
        page.counter("a_total", "What came.").value(3);
        let mut of_two = page.gauge("b_ratio", "What is.");
        of_two.sample(&[("of", "x\"\\\n")], 0.5);
        of_two.sample(&[("of", "y"), ("in", "z")], u64::MAX);
        let bounds = BucketBounds {
            bounds: &[20_000, 5_000_000_000],
            units: 1_000_000_000,
        };
        let histogram = Histogram::new(bounds);
        for number in [1_000, 20_000, 20_001, 6_000_000_000] {
            histogram.record(number);
        }
        let mut family = page.histogram("c_seconds", "How long.");
        family.distribution(&[("of", "x")], &histogram.get());
        assert_eq!(
            page.into_text(),
            r#"# HELP a_total What came.
# TYPE a_total counter
a_total 3
# HELP b_ratio What is.
# TYPE b_ratio gauge
b_ratio{of="x\"\\\n"} 0.5
b_ratio{of="y",in="z"} 18446744073709551615
# HELP c_seconds How long.
# TYPE c_seconds histogram
c_seconds_bucket{of="x",le="0.00002"} 2
c_seconds_bucket{of="x",le="5"} 3
c_seconds_bucket{of="x",le="+Inf"} 4
c_seconds_sum{of="x"} 6.000041001
c_seconds_count{of="x"} 4
"#
        );
    }
}
