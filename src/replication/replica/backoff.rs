//! The backoff: how long to wait before trying again.
//!
//! Invariant: the first waits are short, none is longer than [`WAIT_MAX`], and replicas that began at the
//! same time do not try again at the same time.

use std::time::Duration;

const WAIT_MIN: Duration = Duration::from_millis(100);
/// The number of failures beyond which the wait does not grow.
const FAILURES_MAX: u32 = 16;
pub(crate) const WAIT_MAX: Duration = Duration::from_mins(1);

/// A counter of the failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Notes a failure, and returns how long to wait. `random` is any number.
    pub(crate) fn wait(&mut self, random: u32) -> Duration {
        let wait = WAIT_MIN.saturating_mul(1 << self.failures.min(FAILURES_MAX));
        self.failures = self.failures.saturating_add(1);
        // Between half of it and all of it.
        let half = wait.min(WAIT_MAX) / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// Returns the wait after so many failures in a row; none after no failure.
    pub(crate) fn after(failures: u32, random: u32) -> Option<Duration> {
        let failures = failures.checked_sub(1)?.min(FAILURES_MAX);
        Some(Self { failures }.wait(random))
    }
}

/// Any number.
pub(crate) fn random() -> u32 {
    // Without randomness replicas that began together try again together, and that is all.
    getrandom::u32().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_begin_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..2 {
            assert_eq!(backoff.wait(0), WAIT_MIN / 2);
            assert_eq!(backoff.wait(u32::MAX), WAIT_MIN * 2);
            for _ in 0..100 {
                let wait = backoff.wait(u32::MAX / 2);
                assert!(wait <= WAIT_MAX && wait > WAIT_MIN);
            }
            assert_eq!(backoff.wait(u32::MAX), WAIT_MAX);
            backoff.reset();
        }
    }
}
