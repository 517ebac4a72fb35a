//! The figures of a histogram, and the histogram itself as text and back.
//!
//! Owns the two forms of a distribution; all in nanoseconds on one side, in microseconds on the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use crate::load::outcome::Latency;

impl Latency {
    /// The figures of a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(histogram, &mut bytes)
            .expect("memory takes whatever is written");
        Self {
            count: histogram.len(),
            min_us: us(histogram.min()),
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p75_us: at(0.75),
            p90_us: at(0.9),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: us(histogram.max()),
            histogram: STANDARD.encode(&bytes),
        }
    }

    /// The whole distribution, in nanoseconds; `None` where nothing was counted, or the text is no
    /// histogram.
    pub(crate) fn histogram(&self) -> Option<Histogram<u64>> {
        let bytes = STANDARD.decode(&self.histogram).ok()?;
        Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a histogram keeps three digits, a double fifteen"
)]
pub(crate) fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::record;

    #[test]
    fn the_figures_are_those_of_what_was_counted() {
        let mut histogram = record::histogram();
        for us in 1..=10_000 {
            histogram.saturating_record(us * 1000);
        }
        let latency = Latency::of(&histogram);
        assert_eq!(latency.count, 10_000);
        for (found, expected) in [
            (latency.min_us, 1.0),
            (latency.mean_us, 5000.5),
            (latency.p50_us, 5000.0),
            (latency.p75_us, 7500.0),
            (latency.p90_us, 9000.0),
            (latency.p95_us, 9500.0),
            (latency.p99_us, 9900.0),
            (latency.p999_us, 9990.0),
            (latency.p9999_us, 9999.0),
            (latency.max_us, 10_000.0),
        ] {
            let off = (found - expected).abs() / expected;
            assert!(
                off < 0.002 || found - expected < 0.128,
                "{found} for {expected}"
            );
        }
    }

    #[test]
    fn a_histogram_comes_back_from_its_text() {
        let mut histogram = record::histogram();
        for ns in [1_000, 23_456, 23_456, 999_999_999, 3_000_000_000] {
            histogram.saturating_record(ns);
        }
        assert_eq!(Latency::of(&histogram).histogram().unwrap(), histogram);
        assert_eq!(Latency::default().histogram(), None);
    }

    #[test]
    fn nothing_counted_has_no_figures() {
        assert_eq!(Latency::of(&record::histogram()), Latency::default());
    }
}
