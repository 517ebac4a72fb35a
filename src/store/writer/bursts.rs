//! Clients that report many reviews in a short time.
//!
//! Invariants: memory is bounded, however many clients report; a client is named by its hash, and by one
//! line for many reports.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::ClientHash;

/// The time in which a client's reports are counted together.
const WINDOW: Duration = Duration::from_mins(1);
/// Reports of a client within that time from which on the log has a line of it.
const MANY: u64 = 100;
/// Clients that are counted at once at most; there is no line of those beyond.
const CLIENTS_MAX: usize = 4096;

/// The reports of each client in a window of time.
#[derive(Debug, Default)]
pub(crate) struct Bursts {
    since: Option<Instant>,
    counts: HashMap<ClientHash, u64>,
}

impl Bursts {
    /// Counts the reports of these clients, one for each.
    pub(crate) fn reported(&mut self, clients: &[ClientHash], now: Instant) {
        for client in clients {
            if let Some(reports) = self.count(*client, now) {
                tracing::warn!(
                    "client {client} reported {reports} reviews within {} s, which hides them; see \
                     `reviewsd restore-reported`",
                    WINDOW.as_secs()
                );
            }
        }
    }

    /// Counts a report. Returns the number of those of its client in this window where a line is due: at
    /// 100, and at each tenfold of that.
    fn count(&mut self, reporter: ClientHash, now: Instant) -> Option<u64> {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) >= WINDOW)
        {
            self.since = Some(now);
            self.counts.clear();
        }
        if self.counts.len() >= CLIENTS_MAX && !self.counts.contains_key(&reporter) {
            return None;
        }
        let count = self.counts.entry(reporter).or_default();
        *count += 1;
        let mut due = MANY;
        while due < *count {
            due = due.saturating_mul(10);
        }
        (*count == due).then_some(*count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_a_client_at_each_tenfold_of_its_reports() {
        let (mut bursts, begun) = (Bursts::default(), Instant::now());
        let mut lines = |reporter, now, reports: u64| -> Vec<u64> {
            let count = |_| bursts.count(ClientHash(reporter), now);
            (0..reports).filter_map(count).collect()
        };
        assert_eq!(lines(1, begun, 99), Vec::<u64>::new());
        assert_eq!(lines(2, begun, 5), Vec::<u64>::new());
        assert_eq!(lines(1, begun, 2000), [100, 1000]);
        let later = begun + WINDOW;
        assert_eq!(lines(1, later, 99), Vec::<u64>::new());
        assert_eq!(lines(1, later, 1), [100]);
    }

    #[test]
    fn clients_beyond_a_number_take_no_memory() {
        let (mut bursts, now) = (Bursts::default(), Instant::now());
        for reporter in 0..2 * CLIENTS_MAX as u64 {
            assert_eq!(bursts.count(ClientHash(reporter), now), None);
        }
        assert_eq!(bursts.counts.len(), CLIENTS_MAX);
    }
}
