//! The log: which lines there are, how they look, and how they leave.
//!
//! Must not know the lines. Invariant: a thread that logs never waits for the reader of the log.

mod limit;
mod pipe;

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};

use rustix::fs::fstat;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::fmt::format::{self, Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt as lines, reload};

use crate::config::{Level, Levels, LogConfig, LogFormat};
use crate::metrics::Exposition;

use limit::LineLimit;
use pipe::{Flush, LogPipe};

/// The look of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineStyle {
    /// With times and colours.
    Terminal,
    /// With priorities; systemd's journal has times of its own.
    Journal,
    /// With times.
    Plain,
    /// As a JSON object.
    Json,
}

/// The log of the process. Lines that wait are written when it is dropped, within a time.
pub(crate) struct Log {
    flush: Flush,
    levels: reload::Handle<Targets, Registry>,
}

impl Log {
    /// Begins to write log lines to standard error.
    ///
    /// # Errors
    ///
    /// When the system refuses the thread that writes.
    pub(crate) fn start(log: &LogConfig) -> io::Result<Self> {
        let limit = LineLimit::new();
        let (pipe, flush) = LogPipe::to(io::stderr(), limit.clone())?;
        let lines = lines::layer().with_writer(pipe).with_ansi(false);
        let lines = match look(log.format) {
            LineStyle::Terminal => lines.with_target(false).with_ansi(true).boxed(),
            LineStyle::Plain => lines.with_target(false).boxed(),
            LineStyle::Journal => lines.event_format(JournalFormat::new()).boxed(),
            LineStyle::Json => lines.json().flatten_event(true).boxed(),
        };
        let (filter, levels) = reload::Layer::new(filter(&log.level));
        // It fails only if there is a subscriber already, which then is as good.
        let _ = tracing_subscriber::registry()
            .with(lines.with_filter(filter.and(limit)))
            .try_init();
        Ok(Self { flush, levels })
    }

    /// Sets the levels from now on.
    pub(super) fn set_levels(&self, levels: &Levels) {
        // It fails only if there is no log any more.
        let _ = self.levels.reload(filter(levels));
    }

    /// Returns a report of the lines that are not in the log.
    pub(super) fn describe(&self) -> impl Fn(&mut Exposition) + Send + Sync + 'static {
        self.flush.describe()
    }
}

fn look(format: LogFormat) -> LineStyle {
    match format {
        LogFormat::Json => LineStyle::Json,
        LogFormat::Auto if io::stderr().is_terminal() => LineStyle::Terminal,
        LogFormat::Auto if is_journal() => LineStyle::Journal,
        LogFormat::Auto | LogFormat::Text => LineStyle::Plain,
    }
}

/// True if standard error leads to systemd's journal, as the environment claims. A shell that was started by a
/// service has inherited the claim, but not the file.
fn is_journal() -> bool {
    let (Ok(claimed), Ok(file)) = (env::var("JOURNAL_STREAM"), fstat(io::stderr())) else {
        return false;
    };
    claimed == format!("{}:{}", file.st_dev, file.st_ino)
}

fn filter(levels: &Levels) -> Targets {
    let mut targets = Targets::new();
    for (module, level) in levels.directives() {
        let level = match level {
            Level::Off => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        };
        targets = match module {
            // A layer is a crate of its own, and named as a part of the program.
            Some(module) => targets
                .with_target(module, level)
                .with_target(module.replacen("reviewsd::", "reviewsd_", 1), level),
            None => targets.with_default(level),
        };
    }
    targets
}

/// Lines for systemd's journal, as sd-daemon(3) describes them.
struct JournalFormat(Format<Full, ()>);

impl JournalFormat {
    fn new() -> Self {
        let format = format::format().without_time();
        Self(format.with_level(false).with_target(false))
    }
}

impl<S, N> FormatEvent<S, N> for JournalFormat
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            tracing::Level::ERROR => 3,
            tracing::Level::WARN => 4,
            tracing::Level::INFO => 6,
            _ => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}
