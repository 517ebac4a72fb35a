//! Lines of one kind, which are limited to so many a second.
//!
//! Lines that strangers can bring about must not fill the disk, nor hide other lines. Must not know the lines.
//! Invariants: a thread that logs never waits; only warnings and errors are left out; those that are left out
//! are counted, and reported as one line once their second is over.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

use crate::figures::grouped;
use crate::metrics::{Counter, Exposition};

/// Lines of one kind in one window at most.
const LINES_MAX: u64 = 20;
const WINDOW: Duration = Duration::from_secs(1);
/// Characters of a line that stands for those that were left out.
const SAMPLE_CHARS_MAX: usize = 200;
/// The target of the lines about lines, which are never left out.
const OWN: &str = module_path!();

/// Admits so many lines of a kind, a kind being a place in the code that logs.
#[derive(Clone)]
pub(super) struct LineLimit {
    shared: Arc<LimitState>,
}

struct LimitState {
    now: Box<dyn Fn() -> Instant + Send + Sync>,
    kinds: Mutex<HashMap<Identifier, LineKind>>,
    left_out: Counter,
}

/// The lines of one kind in the window that began last.
struct LineKind {
    since: Instant,
    lines: u64,
    /// One of those that were left out.
    sample: String,
}

impl LineLimit {
    /// A limit by the clock of the machine.
    pub(super) fn new() -> Self {
        Self::by(Instant::now)
    }

    fn by(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(LimitState {
                now: Box::new(now),
                kinds: Mutex::default(),
                left_out: Counter::default(),
            }),
        }
    }

    fn admits(&self, event: &Event<'_>) -> bool {
        let now = (self.shared.now)();
        // A line that would have to wait for another one is written.
        let Ok(mut kinds) = self.shared.kinds.try_lock() else {
            return true;
        };
        let kind = kinds
            .entry(event.metadata().callsite())
            .or_insert(LineKind {
                since: now,
                lines: 0,
                sample: String::new(),
            });
        // A window with lines left out ends when they are reported.
        if kind.left_out() == 0 && now.duration_since(kind.since) >= WINDOW {
            kind.since = now;
            kind.lines = 0;
        }
        kind.lines += 1;
        if kind.left_out() == 0 {
            return true;
        }
        self.shared.left_out.count();
        if kind.left_out() == 1 {
            kind.sample = message(event);
        }
        false
    }

    /// Logs the number of lines that were left out in windows that are over.
    pub(super) fn tell(&self) {
        let now = (self.shared.now)();
        let over = match self.shared.kinds.try_lock() {
            Ok(mut kinds) => take_over(&mut kinds, now),
            Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => return,
        };
        for (left_out, sample) in over {
            tracing::warn!(target: OWN, "and {} more like it: {sample}", grouped(left_out));
        }
    }

    /// Reports the lines that were left out.
    pub(super) fn describe(&self, page: &mut Exposition) {
        page.counter(
            "reviewsd_log_left_out_lines_total",
            "Lines of the log that were left out because there were many of their kind.",
        )
        .value(self.shared.left_out.get());
    }
}

impl LineKind {
    fn left_out(&self) -> u64 {
        self.lines.saturating_sub(LINES_MAX)
    }
}

/// Ends the windows that are over, and returns the lines left out in each.
fn take_over(kinds: &mut HashMap<Identifier, LineKind>, now: Instant) -> Vec<(u64, String)> {
    let mut over = Vec::new();
    for kind in kinds.values_mut() {
        if kind.left_out() > 0 && now.duration_since(kind.since) >= WINDOW {
            over.push((kind.left_out(), std::mem::take(&mut kind.sample)));
            kind.since = now;
            kind.lines = 0;
        }
    }
    over
}

impl<S> Filter<S> for LineLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_limited = *metadata.level() <= Level::WARN && metadata.target() != OWN;
        !is_limited || self.admits(event)
    }
}

fn message(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }
    let mut message = Message(String::new());
    event.record(&mut message);
    message.0.chars().take(SAMPLE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, fmt::MakeWriter};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        fn with(&self, what: &str) -> usize {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().filter(|line| line.contains(what)).count()
        }
    }

    #[test]
    fn a_flood_of_one_kind_is_a_few_lines_and_a_count() {
        let time = Arc::new(Mutex::new(Instant::now()));
        let clock = Arc::clone(&time);
        let limit = LineLimit::by(move || *clock.lock().unwrap());
        let lines = Lines::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone());
        let layer = layer.with_ansi(false).with_filter(limit.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        let pass = |time: &Mutex<Instant>| *time.lock().unwrap() += WINDOW;
        tracing::subscriber::with_default(subscriber, || {
            let flood = |number| tracing::warn!("flood {number}");
            (0..1254).for_each(flood);
            for number in 0..100 {
                tracing::info!("access {number}");
            }
            tracing::error!("other");
            limit.tell();
            assert_eq!((lines.with(" flood "), lines.with("more")), (20, 0));
            assert_eq!((lines.with(" access "), lines.with(" other")), (100, 1));
            pass(&time);
            limit.tell();
            assert_eq!(lines.with("and 1,234 more like it: flood 20"), 1);
            assert_eq!(limit.shared.left_out.get(), 1234);
            // The next window begins anew, and no line is reported twice.
            (0..20).for_each(flood);
            pass(&time);
            limit.tell();
            (0..20).for_each(flood);
            assert_eq!((lines.with("WARN"), lines.with("more")), (61, 1));
        });
    }
}
