//! Lines on their way to the reader of the log, which may be slow or have exited.
//!
//! One thread writes, since a write to a pipe without a reader waits for ever. Invariants: a thread that logs
//! never waits; lines that wait are bounded in number; lost lines are counted, and the next line that is not
//! lost reports their number.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tracing_subscriber::fmt::MakeWriter;

use super::limit::LineLimit;
use crate::metrics::{Counter, Exposition};

/// Lines that wait at most. A line is a few hundred bytes.
const LINES_MAX: usize = 4096;
/// The time between two reports of lines that were left out.
const TELL_PERIOD: Duration = Duration::from_secs(1);
/// The time, at the end, for the lines that wait.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

enum LogItem {
    Line(Vec<u8>),
    /// Answered when all lines before it are written.
    Flush(Sender<()>),
}

/// The pipe for lines.
pub(super) struct LogPipe {
    items: Sender<LogItem>,
    lost: Arc<Counter>,
}

/// Writes waiting lines when it is dropped, within a time.
pub(super) struct Flush {
    items: Sender<LogItem>,
    lost: Arc<Counter>,
    limit: LineLimit,
}

impl LogPipe {
    /// A pipe to `to` for the lines that `limit` lets through, and the way to flush it.
    pub(super) fn to(
        to: impl Write + Send + 'static,
        limit: LineLimit,
    ) -> io::Result<(Self, Flush)> {
        let (items, waiting) = bounded(LINES_MAX);
        let lost = Arc::<Counter>::default();
        let counted = Arc::clone(&lost);
        let told = limit.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(to, &waiting, &counted, &told))?;
        let flush = Flush {
            items: items.clone(),
            lost: Arc::clone(&lost),
            limit,
        };
        Ok((Self { items, lost }, flush))
    }
}

fn write_all(mut to: impl Write, items: &Receiver<LogItem>, lost: &Counter, limit: &LineLimit) {
    let mut told = 0;
    let mut tell_at = Instant::now() + TELL_PERIOD;
    loop {
        let item = items.recv_deadline(tell_at);
        if Instant::now() >= tell_at {
            // Its lines come here, behind those that wait.
            limit.tell();
            tell_at = Instant::now() + TELL_PERIOD;
        }
        let item = match item {
            Ok(item) => item,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let lost = lost.get();
        if lost > told {
            let lines = lost - told;
            told = lost;
            // An error cannot be reported anywhere else.
            let _ = writeln!(
                to,
                "{lines} lines of the log were lost: they were written faster than they were read"
            );
        }
        match item {
            LogItem::Line(line) => {
                let _ = to.write_all(&line);
            }
            LogItem::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

impl<'p> MakeWriter<'p> for LogPipe {
    type Writer = &'p Self;

    fn make_writer(&'p self) -> &'p Self {
        self
    }
}

impl Write for &LogPipe {
    /// Takes one whole line: that is how lines are handed over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.items.try_send(LogItem::Line(line.to_vec())).is_err() {
            self.lost.count();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Flush {
    /// Returns a report of the lines that were lost.
    pub(super) fn describe(&self) -> impl Fn(&mut Exposition) + Send + Sync + 'static {
        let lost = Arc::clone(&self.lost);
        let limit = self.limit.clone();
        move |page| {
            limit.describe(page);
            page.counter(
                "reviewsd_log_lost_lines_total",
                "Lines of the log that were lost because they were not read in time.",
            )
            .value(lost.get());
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, all_written) = bounded(1);
        let asked = self
            .items
            .send_timeout(LogItem::Flush(done), FLUSH_TIME_MAX);
        if asked.is_ok() {
            // A reader that has not read by then is not reading.
            let _ = all_written.recv_timeout(FLUSH_TIME_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::unbounded;

    /// A reader that takes a line on request, and hands it over.
    struct SlowReader {
        allowed: Receiver<()>,
        hand_over: Sender<Vec<u8>>,
    }

    impl Write for SlowReader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.allowed.recv();
            let _ = self.hand_over.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn logging_never_blocks_and_lost_lines_are_reported() {
        let (go, allowed) = unbounded();
        let (hand_over, lines) = unbounded();
        let (pipe, flush) =
            LogPipe::to(SlowReader { allowed, hand_over }, LineLimit::new()).unwrap();
        let tell = |number: usize| (&pipe).write_all(format!("{number}\n").as_bytes());
        tell(0).unwrap();
        while !pipe.items.is_empty() {
            thread::yield_now();
        }
        // The first line is with the thread, which waits for the reader; these wait for the thread.
        for number in 1..=LINES_MAX + 10 {
            tell(number).unwrap();
        }
        assert_eq!(pipe.lost.get(), 10);
        drop(go);
        drop(flush);
        let read: Vec<u8> = lines.try_iter().flatten().collect();
        let read = String::from_utf8(read).unwrap();
        let told =
            "0\n10 lines of the log were lost: they were written faster than they were read\n1\n";
        assert!(read.starts_with(told), "{read}");
        assert!(read.ends_with(&format!("\n{LINES_MAX}\n")), "{read}");
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_who_never_reads() {
        let (_go, allowed) = unbounded();
        let (hand_over, _lines) = unbounded();
        let (pipe, flush) =
            LogPipe::to(SlowReader { allowed, hand_over }, LineLimit::new()).unwrap();
        (&pipe).write_all(b"a line\n").unwrap();
        drop(flush);
    }
}
