//! Lengths of time, as people write them: `500ms`, `10s`, `5m`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A length of time as a file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

/// Reads a whole number and its unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let split = text.find(|symbol: char| !symbol.is_ascii_digit());
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let unit_ms: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let number = number.parse::<u64>().ok();
    match number.and_then(|number| number.checked_mul(unit_ms)) {
        Some(ms) if unit_ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err(format!(
            "a time is a whole number with a unit, like 500ms, 10s or 5m, not \"{text}\""
        )),
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).map_err(de::Error::custom)
    }
}

/// Shows a length of time with the unit that suits its size.
pub(crate) struct Shown(pub(crate) f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0;
        let (number, unit) = if us < 1000.0 {
            (us, "µs")
        } else if us < 1_000_000.0 {
            (us / 1000.0, "ms")
        } else {
            (us / 1_000_000.0, "s")
        };
        // Three figures say all that a latency is good for.
        let decimals = if number < 10.0 {
            2
        } else {
            usize::from(number < 100.0)
        };
        f.pad(&format!("{number:.decimals$} {unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5 m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10sec",
            "18446744073709551615h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn latencies_are_shown_with_three_figures() {
        for (us, shown) in [
            (0.0, "0.00 µs"),
            (23.456, "23.5 µs"),
            (999.4, "999 µs"),
            (1234.0, "1.23 ms"),
            (98_765.0, "98.8 ms"),
            (2_000_000.0, "2.00 s"),
        ] {
            assert_eq!(Shown(us).to_string(), shown);
        }
    }
}
