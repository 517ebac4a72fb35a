//! The progress of a command, on a terminal.
//!
//! Must not know what is done. Invariant: it writes to a terminal only, and never to standard output.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar, which is cleared when it is dropped.
pub(super) struct Bar {
    shown: ProgressBar,
    begun: Instant,
    length: u64,
}

/// The time before which, as the part below, the remaining time cannot be estimated.
const GUESS_TIME_MIN: Duration = Duration::from_secs(1);
const GUESS_PARTS_MAX: u64 = 200;

/// Returns the remaining time at the pace so far; `None` if it is unknown.
pub(super) fn time_left(passed: Duration, done: u64, length: u64) -> String {
    let rest = u128::from(length.saturating_sub(done));
    if passed < GUESS_TIME_MIN || done == 0 || done < length / GUESS_PARTS_MAX {
        return String::new();
    }
    let seconds = (passed.as_millis() * rest).div_ceil(u128::from(done) * 1000);
    match seconds {
        0 => String::new(),
        1..120 => format!("about {seconds} s left"),
        120..7200 => format!("about {} min left", seconds.div_ceil(60)),
        _ => format!("about {} h left", seconds.div_ceil(3600)),
    }
}

impl Bar {
    /// A bar for so many rows, of which something is done with each.
    pub(super) fn start(doing: &'static str, rows: u64, quiet: bool) -> Self {
        let template =
            "{msg}: {human_pos} of about {human_len} rows {wide_bar} {percent}% {prefix}";
        Self::new(doing, rows, quiet, template)
    }

    /// A bar for so many bytes.
    pub(super) fn bytes(doing: &'static str, bytes: u64, quiet: bool) -> Self {
        let template = "{msg}: {decimal_bytes} of {decimal_total_bytes} {wide_bar} {prefix}";
        Self::new(doing, bytes, quiet, template)
    }

    fn new(doing: &'static str, length: u64, quiet: bool, template: &str) -> Self {
        let bar = if quiet || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(length)
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(doing);
        Self {
            shown: bar,
            begun: Instant::now(),
            length,
        }
    }

    /// Reports that this many rows, or bytes, are done.
    pub(super) fn at(&self, rows: u64) {
        self.shown.set_position(rows);
        let left = time_left(self.begun.elapsed(), rows, self.length);
        self.shown.set_prefix(left);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.shown.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_never_0_before_the_end() {
        let left = |ms, done| time_left(Duration::from_millis(ms), done, 1000);
        assert_eq!(left(100, 200), "");
        assert_eq!(left(5000, 0), "");
        assert_eq!(left(5000, 4), "");
        assert_eq!(left(1000, 200), "about 4 s left");
        assert_eq!(left(1000, 999), "about 1 s left");
        assert_eq!(left(60_000, 200), "about 4 min left");
        assert_eq!(left(3_600_000, 200), "about 4 h left");
        assert_eq!(left(5000, 1000), "");
    }
}
