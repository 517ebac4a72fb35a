//! The time of a run: what time it is, and how to wait for sockets until a moment.
//!
//! Owns every look at a clock that a figure depends on, so that tests run on a time of their own. It must
//! not know the schedule.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::load::poll::Poll;

const SECOND_NS: u64 = 1_000_000_000;

/// The clock that all threads of a run share. Its times are nanoseconds since the run began.
pub(crate) trait Clock: Sync {
    /// Begins a run with this number of threads.
    fn begin(&self, threads: usize);

    fn now_ns(&self) -> u64;

    /// CPU time that the calling thread has taken so far.
    fn cpu_ns(&self) -> u64;

    /// Waits until something happens on a socket or the time has come, and returns the number of events.
    /// `unanswered` is the number of the thread's requests that have had no answer, whether or not they
    /// are still waited for.
    fn wait(&self, poll: &mut Poll, until_ns: u64, unanswered: usize) -> io::Result<usize>;

    /// Ends the calling thread's part: it does not wait any more.
    fn leave(&self);
}

/// The machine's clock.
#[derive(Default)]
pub(crate) struct Wall {
    origin: OnceLock<Instant>,
}

impl Clock for Wall {
    fn begin(&self, _: usize) {
        self.origin.get_or_init(Instant::now);
    }

    fn now_ns(&self) -> u64 {
        let origin = self.origin.get_or_init(Instant::now);
        u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn cpu_ns(&self) -> u64 {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        seconds * SECOND_NS + u64::try_from(time.tv_nsec).unwrap_or(0)
    }

    fn wait(&self, poll: &mut Poll, until_ns: u64, _: usize) -> io::Result<usize> {
        poll.wait(Duration::from_nanos(until_ns.saturating_sub(self.now_ns())))
    }

    fn leave(&self) {}
}
