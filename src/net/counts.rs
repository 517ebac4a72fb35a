//! What is counted of a listener's connections.

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
    /// Connections that were closed to make room for another.
    pub(super) evicted: Counter,
    /// Connections that were closed because their customer had as many as it may.
    pub(super) refused: Counter,
    /// Connections that TLS did not come about on.
    pub(super) failed_handshakes: Counter,
    limit: AtomicUsize,
}

impl Counts {
    pub(super) fn limit(&self, connections_max: usize) {
        self.limit.store(connections_max, Relaxed);
    }
}

/// Tells of the connections of listeners, by their names.
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
        "Connections that are open.",
        false,
        |counts| counts.open.get(),
    );
    tell(
        "reviewsd_connections_max",
        "Connections that may be open; beyond that the one that idles for longest is closed.",
        false,
        |counts| counts.limit.load(Relaxed) as u64,
    );
    tell(
        "reviewsd_connections_accepted_total",
        "Connections that were accepted.",
        true,
        |counts| counts.open.came(),
    );
    tell(
        "reviewsd_connections_held_back_total",
        "Connections that had to wait, because no further one may be open and none idled.",
        true,
        |counts| counts.held_back.get(),
    );
    tell(
        "reviewsd_connections_evicted_total",
        "Connections that were closed to make room for others, because they idled for longest.",
        true,
        |counts| counts.evicted.get(),
    );
    tell(
        "reviewsd_connections_refused_total",
        "Connections that were closed at once, because their address has as many as it may.",
        true,
        |counts| counts.refused.get(),
    );
    tell(
        "reviewsd_connections_accept_errors_total",
        "Times that the system did not hand over a connection, mostly for want of descriptors.",
        true,
        |counts| counts.failed.get(),
    );
    tell(
        "reviewsd_connections_tls_errors_total",
        "Connections that were closed because TLS did not come about on them.",
        true,
        |counts| counts.failed_handshakes.get(),
    );
}
