//! The time of a run: what time it is, and how to wait for sockets until a moment.
//!
//! Owns every look at a clock that a figure depends on, so that tests run on a time of their own. It must
//! not know the schedule.

use std::io;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::load::poll::Poll;

/// A clock. Its times are nanoseconds since some moment.
pub(crate) trait Clock: Sync {
    fn now_ns(&self) -> u64;

    /// CPU time that the calling thread has taken so far.
    fn cpu_ns(&self) -> u64;

    /// Waits until something happens on a socket or the time has come, and returns the number of events.
    /// `unanswered` requests have had no answer, whether or not they are still waited for.
    fn wait(&self, poll: &mut Poll, until_ns: u64, unanswered: usize) -> io::Result<usize>;
}

/// The machine's clock.
pub(crate) struct Wall(Instant);

impl Wall {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Wall {
    fn now_ns(&self) -> u64 {
        nanoseconds(self.0.elapsed())
    }

    fn cpu_ns(&self) -> u64 {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
    }

    fn wait(&self, poll: &mut Poll, until_ns: u64, _: usize) -> io::Result<usize> {
        poll.wait(Duration::from_nanos(until_ns.saturating_sub(self.now_ns())))
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
