//! The limit of rejected rows of an import, and the files of which every row may be rejected.
//!
//! Must not know why rows are rejected.

use std::fmt;
use std::str::FromStr;

/// A share is counted in so many parts.
const WHOLE: u32 = 1_000_000;
/// Digits of a percentage behind its point at most.
const DECIMALS: usize = 4;

/// A value of `--max-rejects`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxRejects {
    /// A number of rows, of all files together.
    Rows(u64),
    /// Millionths of the rows of each file.
    Share(u32),
}

impl FromStr for MaxRejects {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a number of rows is written 1000, and a share of a file 1% or 0.5%";
        let text = text.trim();
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Self::Rows).map_err(|_| wrong);
        };
        let (whole, decimals) = percent.split_once('.').unwrap_or((percent, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > DECIMALS {
            return Err(wrong);
        }
        let parts = format!("{whole}{decimals:0<DECIMALS$}").parse();
        match parts {
            Ok(parts) if parts <= WHOLE => Ok(Self::Share(parts)),
            _ => Err("a share is 100% at most"),
        }
    }
}

impl fmt::Display for MaxRejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => rows.fmt(f),
            Self::Share(parts) => {
                let (percent, rest) = (parts / 10_000, parts % 10_000);
                let decimals = format!("{rest:04}");
                match decimals.trim_end_matches('0') {
                    "" => write!(f, "{percent}%"),
                    decimals => write!(f, "{percent}.{decimals}%"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_limited_by_rows_or_by_a_share() {
        for (text, limit) in [
            ("0", MaxRejects::Rows(0)),
            ("1000", MaxRejects::Rows(1000)),
            ("1%", MaxRejects::Share(10_000)),
            ("0.5%", MaxRejects::Share(5000)),
            ("12.25%", MaxRejects::Share(122_500)),
            ("100%", MaxRejects::Share(1_000_000)),
        ] {
            assert_eq!(text.parse(), Ok(limit));
            assert_eq!(limit.to_string(), text);
        }
        for text in [
            "", "%", "-1", "1.%", ".5%", "100.1%", "101%", "1.00001%", "ten", "+1%", "1 000",
        ] {
            assert!(text.parse::<MaxRejects>().is_err(), "{text}");
        }
    }
}
