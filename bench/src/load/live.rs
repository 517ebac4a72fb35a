//! Shows a run while it runs: one line that changes on a terminal, a line every ten seconds elsewhere.
//!
//! Owns standard error during a run, and must not know how anything is measured.

use std::io::{self, IsTerminal, Write};

use crate::load::Watch;
use crate::load::outcome::Second;
use crate::load::time::Shown;

const SECONDS_PER_LINE: i64 = 10;
/// Back to the start of the line, and clear it.
const CLEAR: &str = "\r\x1b[2K";

/// Shows each second on standard error.
pub(crate) struct Live {
    how: How,
    errors: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Quiet,
    Lines,
    Terminal,
}

impl Live {
    pub(crate) fn new(quiet: bool) -> Self {
        let how = match (quiet, io::stderr().is_terminal()) {
            (true, _) => How::Quiet,
            (false, true) => How::Terminal,
            (false, false) => How::Lines,
        };
        Self { how, errors: 0 }
    }

    /// Leaves an empty line for what is written next.
    pub(crate) fn end(&self) {
        if self.how == How::Terminal {
            say(CLEAR);
        }
    }
}

impl Watch for Live {
    fn second(&mut self, second: &Second) {
        self.errors += second.errors;
        let line = line(second, self.errors);
        match self.how {
            How::Terminal => say(&format!("{CLEAR}{line}")),
            How::Lines if second.second.rem_euclid(SECONDS_PER_LINE) == SECONDS_PER_LINE - 1 => {
                say(&format!("{line}\n"));
            }
            How::Quiet | How::Lines => {}
        }
    }
}

fn line(second: &Second, errors: u64) -> String {
    let when = match second.second {
        measured @ 0.. => format!("{:>5} s", measured + 1),
        _ => "warm-up".to_owned(),
    };
    let planned = second.planned_per_second;
    let planned = planned.map_or(String::new(), |planned| format!(" of {planned:.0}"));
    format!(
        "{when}  {}{planned} right answers a second  p50 {}  p99 {}  errors {errors}",
        second.ok,
        Shown(second.p50_us),
        Shown(second.p99_us),
    )
}

/// A line that cannot be shown is not worth ending the run for.
fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_rate_latencies_and_errors() {
        let mut second = Second {
            second: 11,
            planned_per_second: Some(1000.0),
            ok: 998,
            errors: 2,
            p50_us: 123.0,
            p99_us: 4567.0,
            max_us: 5000.0,
        };
        let expected =
            "   12 s  998 of 1000 right answers a second  p50 123 µs  p99 4.57 ms  errors 2";
        assert_eq!(line(&second, 2), expected);
        second.second = -1;
        second.planned_per_second = None;
        assert!(line(&second, 0).starts_with("warm-up  998 right answers a second"));
    }
}
