//! The progress of a replica, and its lag.
//!
//! Must not know sockets. Invariant: lag in seconds is counted from the last moment at which the
//! replica had all that the primary had, by the replica's own clock; without contact it grows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The state of a replica, and of its primary as far as it knows.
#[derive(Debug)]
pub struct ReplicaProgress {
    state: Mutex<ProgressState>,
    begun: Notify,
}

#[derive(Debug)]
struct ProgressState {
    /// The row up to which reads see.
    applied: u64,
    /// The row up to which the primary is; `None` until it said so.
    primary: Option<u64>,
    /// The time at which the two were last the same; `None` until they first were.
    current: Option<Instant>,
    since: Instant,
    is_connected: bool,
    /// The reason for which it does not follow, if it does not.
    trouble: Option<String>,
    /// The reason for which it does not follow until an operator intervenes, if so.
    held: Option<String>,
    streams: u64,
}

impl ReplicaProgress {
    /// Makes the state of a replica that begins now.
    #[must_use]
    pub fn new(applied: u64, now: Instant) -> Self {
        Self {
            state: Mutex::new(ProgressState {
                applied,
                primary: None,
                current: None,
                since: now,
                is_connected: false,
                trouble: None,
                held: None,
                streams: 0,
            }),
            begun: Notify::new(),
        }
    }

    /// Makes the state of a replica that does not follow for as long as its process lives, and says why.
    #[must_use]
    pub fn ended(applied: u64, now: Instant, why: String) -> Self {
        let progress = Self::new(applied, now);
        progress.disconnect(why);
        progress
    }

    /// Returns the rows that the primary has and the replica has not, as far as it knows.
    #[must_use]
    pub fn lag_rows(&self) -> u64 {
        self.state().lag_rows()
    }

    /// Returns the time since the replica had all that the primary had.
    #[must_use]
    pub fn lag_time(&self, now: Instant) -> Duration {
        self.state().lag_time(now)
    }

    /// Returns true if a stream is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state().is_connected
    }

    /// Returns the number of streams that were begun.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.state().streams
    }

    /// Returns the reason for which the replica does not follow until an operator intervenes, if so.
    #[must_use]
    pub fn held(&self) -> Option<String> {
        self.state().held.clone()
    }

    /// Returns the reason for which the replica should get no requests, if so: it is held, it has lagged
    /// behind for longer than `lag_max`, or was never known to be up to date.
    #[must_use]
    pub fn unready(&self, lag_max: Duration, now: Instant) -> Option<String> {
        let state = self.state();
        if let Some(held) = &state.held {
            return Some(format!("the replica does not follow: {held}"));
        }
        let lag = state.lag_time(now);
        // Between two heartbeats it cannot know better.
        if state.current.is_some() && lag <= lag_max {
            return None;
        }
        let rows = state.lag_rows();
        let seconds = lag.as_secs();
        let behind = if state.current.is_some() {
            format!("the replica was up to date {seconds} s ago, and is {rows} rows behind")
        } else {
            format!("the replica has not caught up since it started, {seconds} s ago")
        };
        Some(match &state.trouble {
            Some(trouble) => format!("{behind}: {trouble}"),
            None => behind,
        })
    }

    /// Waits until a stream was begun. Must be awaited by one task only.
    pub async fn begun(&self) {
        while self.streams() == 0 {
            self.begun.notified().await;
        }
    }

    pub(crate) fn connected(&self) {
        let mut state = self.state();
        state.is_connected = true;
        state.trouble = None;
        state.held = None;
        state.streams += 1;
        drop(state);
        self.begun.notify_one();
    }

    pub(crate) fn disconnect(&self, why: String) {
        let mut state = self.state();
        state.is_connected = false;
        state.trouble = Some(why);
    }

    /// Notes that it does not follow until an operator intervenes.
    pub(crate) fn hold(&self, why: String) {
        let mut state = self.state();
        state.is_connected = false;
        state.trouble = None;
        state.held = Some(why);
    }

    /// Notes the primary's reported position.
    pub(crate) fn heard(&self, primary: u64, now: Instant) {
        let mut state = self.state();
        state.primary = Some(primary);
        state.settle(now);
    }

    /// Notes that a batch was applied. Before the primary reported, that says nothing of how far it is.
    pub(crate) fn applied(&self, applied: u64, now: Instant) {
        let mut state = self.state();
        state.applied = applied;
        state.settle(now);
    }

    fn state(&self) -> MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProgressState {
    fn lag_rows(&self) -> u64 {
        let primary = self.primary.unwrap_or(self.applied);
        primary.saturating_sub(self.applied)
    }

    fn lag_time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.current.unwrap_or(self.since))
    }

    fn settle(&mut self, now: Instant) {
        if self.primary.is_some_and(|primary| self.applied >= primary) {
            self.current = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_grows_from_when_the_copy_was_last_up_to_date() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let max = Duration::from_secs(10);
        let progress = ReplicaProgress::new(90, start);
        // The commits spooled while the store was fetched say nothing of what came later.
        progress.applied(100, at(1));
        assert!(
            progress
                .unready(max, at(1))
                .unwrap()
                .contains("has not caught up")
        );
        progress.connected();
        progress.heard(100, at(1));
        assert_eq!(progress.unready(max, at(2)), None);
        // Behind, while the primary is heard.
        progress.heard(150, at(3));
        assert_eq!(
            (progress.lag_rows(), progress.lag_time(at(5))),
            (50, Duration::from_secs(4))
        );
        progress.applied(149, at(9));
        assert_eq!(progress.unready(max, at(11)), None);
        let unready = progress.unready(max, at(12)).unwrap();
        assert!(unready.contains("1 rows behind"), "{unready}");
        progress.applied(150, at(12));
        assert_eq!(progress.unready(max, at(22)), None);
        // Without contact.
        progress.disconnect("the primary is gone".to_owned());
        let unready = progress.unready(max, at(23)).unwrap();
        assert!(unready.ends_with("the primary is gone"), "{unready}");
    }
}
