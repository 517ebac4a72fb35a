//! Shows the progress of an import: a bar on a terminal, a line every few seconds elsewhere.
//!
//! Must not know what is imported. Invariant: it writes to standard error only, and nothing at all
//! with `--quiet`.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use reviewsd_import::{ImportProgress, Stage};

use crate::store::JoinOnDrop;

use super::super::bar::time_left;
use super::super::figures::{counted, grouped};

const BAR_PERIOD: Duration = Duration::from_millis(100);
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// Watches until it is dropped.
pub(super) struct Watch {
    /// The thread ends without it.
    _end: Option<Sender<()>>,
    _thread: Option<JoinOnDrop>,
}

impl Watch {
    /// Begins to watch.
    pub(super) fn start(progress: &Arc<ImportProgress>, quiet: bool) -> io::Result<Self> {
        if quiet {
            return Ok(Self {
                _end: None,
                _thread: None,
            });
        }
        let (end, ended) = channel::<()>();
        let progress = Arc::clone(progress);
        let thread = thread::Builder::new()
            .name("import-watch".to_owned())
            .spawn(move || {
                let terminal = io::stderr().is_terminal();
                let period = if terminal { BAR_PERIOD } else { LINE_PERIOD };
                let mut view = ProgressView::new(terminal);
                while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    view.show(&progress);
                }
                view.bar.finish_and_clear();
            })?;
        Ok(Self {
            _end: Some(end),
            _thread: Some(thread.into()),
        })
    }
}

/// The state of an import as it is shown.
struct ProgressView {
    bar: ProgressBar,
    terminal: bool,
    stage: Stage,
    since: Instant,
}

impl ProgressView {
    fn new(terminal: bool) -> Self {
        let bar = if terminal {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {prefix}") {
            bar.set_style(style);
        }
        Self {
            bar,
            terminal,
            stage: Stage::Reading,
            since: Instant::now(),
        }
    }

    fn show(&mut self, progress: &ImportProgress) {
        let stage = progress.stage();
        if stage != self.stage {
            self.stage = stage;
            self.since = Instant::now();
            self.bar.reset();
        }
        let (bytes, bytes_total) = progress.bytes();
        let (name, rows, done, total) = match stage {
            Stage::Reading => ("reading", progress.rows_read(), bytes, bytes_total),
            Stage::Writing => {
                let rows = progress.rows_written();
                ("writing", rows, rows, progress.rows_kept())
            }
        };
        let rate = rows * 1000
            / u64::try_from(self.since.elapsed().as_millis())
                .unwrap_or(1)
                .max(1);
        let message = format!(
            "{name}: {} of {} MB, {}, {} rows/s",
            grouped(bytes / 1_000_000),
            grouped(bytes_total / 1_000_000),
            counted(rows, "row"),
            grouped(rate)
        );
        let left = time_left(self.since.elapsed(), done, total);
        if self.terminal {
            self.bar.set_length(total);
            self.bar.set_position(done.min(total));
            self.bar.set_message(message);
            self.bar.set_prefix(left);
            return;
        }
        let percent = (done * 100).checked_div(total).unwrap_or(100).min(100);
        let comma = if left.is_empty() { "" } else { ", " };
        // The import goes on without a reader of its progress.
        let _ = writeln!(io::stderr(), "{message}, {percent}%{comma}{left}");
    }
}
