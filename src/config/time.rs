//! Lengths of time, as people write them: `500ms`, `10s`, `5m`, `30d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::size::number_and_unit;

/// Units with their milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// A length of time in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    ms: u64,
}

impl Time {
    /// Returns a number of seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_millis(seconds.saturating_mul(1000))
    }

    /// Returns a number of milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self { ms }
    }
}

impl From<Time> for Duration {
    fn from(time: Time) -> Self {
        Self::from_millis(time.ms)
    }
}

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTime;

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time is a whole number with a unit, like 500ms, 10s, 5m or 30d")
    }
}

impl std::error::Error for InvalidTime {}

impl FromStr for Time {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let (number, unit) = number_and_unit(text).ok_or(InvalidTime)?;
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, unit_ms) = known.ok_or(InvalidTime)?;
        let ms = number.checked_mul(*unit_ms).ok_or(InvalidTime)?;
        Ok(Self { ms })
    }
}

impl fmt::Display for Time {
    /// In the largest unit that it is a whole number of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |unit_ms: u64| self.ms > 0 && self.ms.is_multiple_of(unit_ms);
        let unit = UNITS.iter().find(|(_, unit_ms)| fits(*unit_ms));
        match unit {
            Some((name, unit_ms)) => write!(f, "{}{name}", self.ms / unit_ms),
            None => write!(f, "{}s", self.ms),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, ms) in [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("5 m", 300_000),
            ("1h", 3_600_000),
            ("30d", 2_592_000_000),
        ] {
            let time: Time = text.parse().unwrap();
            assert_eq!(Duration::from(time), Duration::from_millis(ms), "{text}");
        }
    }

    #[test]
    fn a_time_is_shown_as_it_can_be_read() {
        for text in ["0s", "1ms", "1500ms", "75s", "2m", "36h", "30d"] {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10sec",
            "18446744073709551615h",
        ] {
            assert_eq!(text.parse::<Time>(), Err(InvalidTime), "{text}");
        }
    }
}
