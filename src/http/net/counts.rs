//! The counters of a listener's connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::metrics::{Counter, Exposition, Gauge};

/// Counters of one listener.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) open: Arc<Gauge>,
    /// Times that a connection could not be accepted.
    pub(super) failed: Counter,
    /// Times that a connection had to wait because there were as many as there may be.
    pub(super) held_back: Counter,
    /// Connections that were closed to free a slot for another one.
    pub(super) evicted: Counter,
    /// Connections that were closed because their customer had as many as it may.
    pub(super) refused: Counter,
    /// Connections whose TLS handshake failed.
    pub(super) failed_handshakes: Counter,
    limit: AtomicUsize,
}

impl Counts {
    pub(super) fn limit(&self, connections_max: usize) {
        self.limit.store(connections_max, Relaxed);
    }
}

/// Writes the metrics of the connections of listeners, by their names.
pub fn describe(page: &mut Exposition, listeners: &[(&str, Arc<Counts>)]) {
    let mut tell = |name, help, is_counter, value: fn(&Counts) -> u64| {
        let mut family = if is_counter {
            page.counter(name, help)
        } else {
            page.gauge(name, help)
        };
        for (listener, counts) in listeners {
            family.sample(&[("listener", listener)], value(counts));
        }
    };
    tell(
        "reviewsd_connections_open",
        "Open connections.",
        false,
        |counts| counts.open.get(),
    );
    tell(
        "reviewsd_connections_max",
        "Limit of open connections; one more takes the place of the longest idle one.",
        false,
        |counts| counts.limit.load(Relaxed) as u64,
    );
    tell(
        "reviewsd_connections_accepted_total",
        "Accepted connections.",
        true,
        |counts| counts.open.came(),
    );
    tell(
        "reviewsd_connections_held_back_total",
        "Connections that waited, because the limit was reached and none was idle.",
        true,
        |counts| counts.held_back.get(),
    );
    tell(
        "reviewsd_connections_evicted_total",
        "Connections that were closed for others, because they were idle for longest.",
        true,
        |counts| counts.evicted.get(),
    );
    tell(
        "reviewsd_connections_refused_total",
        "Connections that were closed at once, because their address had its limit of connections.",
        true,
        |counts| counts.refused.get(),
    );
    tell(
        "reviewsd_connections_accept_errors_total",
        "Failed accepts, mostly because of the limit of open files.",
        true,
        |counts| counts.failed.get(),
    );
    tell(
        "reviewsd_connections_tls_errors_total",
        "Connections whose TLS handshake failed.",
        true,
        |counts| counts.failed_handshakes.get(),
    );
}
