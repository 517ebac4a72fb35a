//! The time since the writer's thread began its current step.
//!
//! Must not know the step, nor how long is too long. Invariant: a reader of it never waits for the thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The heartbeat of one thread. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    start: Instant,
    /// Nanoseconds from `start`; 0 while it has nothing to do.
    busy_since_ns: Arc<AtomicU64>,
}

impl Heartbeat {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            busy_since_ns: Arc::default(),
        }
    }

    /// Makes a heartbeat without an owner; it never reports a stall.
    #[must_use]
    pub fn resting() -> Self {
        Self::new()
    }

    /// Notes that the thread turns to the next step.
    pub(super) fn begin(&self) {
        self.busy_since_ns.store(self.now_ns().max(1), Relaxed);
    }

    /// Notes that the thread waits for something to do.
    pub(super) fn rest(&self) {
        self.busy_since_ns.store(0, Relaxed);
    }

    /// Returns how long the thread has been at one step; nothing while it has nothing to do.
    #[must_use]
    pub fn busy_time(&self) -> Duration {
        match self.busy_since_ns.load(Relaxed) {
            0 => Duration::ZERO,
            since_ns => Duration::from_nanos(self.now_ns().saturating_sub(since_ns)),
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_it_is_at_counts() {
        let heartbeat = Heartbeat::new();
        assert_eq!(heartbeat.busy_time(), Duration::ZERO);
        heartbeat.begin();
        while heartbeat.busy_time() == Duration::ZERO {}
        heartbeat.rest();
        assert_eq!(heartbeat.busy_time(), Duration::ZERO);
        let other = heartbeat.clone();
        let before = Instant::now();
        heartbeat.begin();
        assert!(other.busy_time() <= before.elapsed());
    }
}
