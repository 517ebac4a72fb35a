//! How far a command is, for whoever sits before a terminal.
//!
//! Must not know what is done. Invariant: nothing is shown elsewhere, and nothing on standard output.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar, gone when it is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar for so many rows, of which something is done with each.
    pub(super) fn start(doing: &'static str, rows: u64, quiet: bool) -> Self {
        let template =
            "{msg}: {human_pos} of about {human_len} rows {wide_bar} {percent}% {eta} left";
        Self::new(doing, rows, quiet, template)
    }

    /// A bar for so many bytes.
    pub(super) fn bytes(doing: &'static str, bytes: u64, quiet: bool) -> Self {
        let template = "{msg}: {decimal_bytes} of {decimal_total_bytes} {wide_bar} {eta} left";
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
        Self(bar)
    }

    /// So many rows, or bytes, are done.
    pub(super) fn at(&self, rows: u64) {
        self.0.set_position(rows);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
