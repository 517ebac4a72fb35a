//! The counters of replication, on either side, and how they are reported.
//!
//! Must not know sockets or the store. Invariants: a replica's counters outlive the stores that it has one
//! after the other; every kind of refusal and of disconnect is reported from the start, as 0.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::disconnect::Disconnect;
use super::primary::sessions::SessionStatus;
use super::replica::progress::ReplicaProgress;
use super::wire::protocol::StreamRefusal;
use crate::metrics::{Counter, Exposition, Gauge, Present};

/// The reasons for which streams are refused.
const REFUSALS: [&str; 7] = [
    "gap",
    "unknown_epoch",
    "diverged",
    "ahead",
    "other_store",
    "later",
    "version",
];
/// The reasons for which streams end, or do not begin.
const DISCONNECTS: [&str; 7] = [
    "network", "silent", "ended", "status", "refused", "damaged", "store",
];

/// The counters of refusals, by reason.
#[derive(Debug, Default)]
struct Refusals([Counter; REFUSALS.len()]);

impl Refusals {
    fn count(&self, refusal: &StreamRefusal) {
        let name = match refusal {
            StreamRefusal::Gap => "gap",
            StreamRefusal::UnknownEpoch => "unknown_epoch",
            StreamRefusal::Diverged { .. } => "diverged",
            StreamRefusal::Ahead { .. } => "ahead",
            StreamRefusal::OtherStore { .. } => "other_store",
            StreamRefusal::Later { .. } => "later",
            StreamRefusal::Version { .. } => "version",
        };
        count(&REFUSALS, &self.0, name);
    }

    fn describe(&self, page: &mut Exposition) {
        let mut refusals = page.counter(
            "reviewsd_replication_refusals_total",
            "Positions that a primary rejects to stream from, by reason: rejected here, or received by \
             this replica.",
        );
        for (reason, counter) in REFUSALS.iter().zip(&self.0) {
            refusals.sample(&[("reason", reason)], counter.get());
        }
    }
}

fn count(names: &[&str], counters: &[Counter], name: &str) {
    let mut all = names.iter().zip(counters);
    if let Some((_, counter)) = all.find(|(known, _)| **known == name) {
        counter.count();
    }
}

fn describe_streams(page: &mut Exposition, streams: u64) {
    page.counter(
        "reviewsd_replication_streams_total",
        "Streams that began: to replicas, or from the primary.",
    )
    .value(streams);
}

/// The counters of a primary.
#[derive(Debug, Default)]
pub(super) struct PrimaryMeters {
    pub(super) streams: Counter,
    pub(super) refused_tokens: Counter,
    pub(super) sent_bytes: Counter,
    refusals: Refusals,
}

impl PrimaryMeters {
    pub(super) fn refused(&self, refusal: &StreamRefusal) {
        self.refusals.count(refusal);
    }

    /// Reports the streams there are, too, where this store is durable up to row `durable`.
    pub(super) fn describe(&self, page: &mut Exposition, all: &[SessionStatus], durable: u64) {
        page.gauge(
            "reviewsd_replication_replicas",
            "Open streams to replicas; a replica that is bootstrapping has one, too.",
        )
        .value(all.len() as u64);
        describe_streams(page, self.streams.get());
        self.refusals.describe(page);
        page.counter(
            "reviewsd_replication_refused_tokens_total",
            "Requests of replicas with a wrong token, or with none.",
        )
        .value(self.refused_tokens.get());
        page.counter(
            "reviewsd_replication_sent_bytes_total",
            "Bytes of checkpoints that were sent to new replicas.",
        )
        .value(self.sent_bytes.get());
        let unacked = |status: &SessionStatus| durable.saturating_sub(status.acked);
        let mut rows = page.gauge(
            "reviewsd_replication_unacked_rows",
            "Rows that are durable here and not yet on the first, or the last, of the connected replicas.",
        );
        let nearest = all.iter().map(unacked).min().unwrap_or(0);
        let furthest = all.iter().map(unacked).max().unwrap_or(0);
        rows.sample(&[("copy", "nearest")], nearest);
        rows.sample(&[("copy", "furthest")], furthest);
    }
}

/// The counters of a replica, whichever store it has.
#[derive(Debug, Default)]
pub struct ReplicaMeters {
    streams: Counter,
    refusals: Refusals,
    disconnects: [Counter; DISCONNECTS.len()],
    bootstraps: Counter,
    failed_bootstraps: Counter,
    fetched_bytes: Counter,
    bootstrapping: Arc<Gauge>,
    /// The progress of the store that is served now, if one is.
    progress: Mutex<Option<Arc<ReplicaProgress>>>,
}

impl ReplicaMeters {
    /// From now on the reported lag is this store's.
    pub fn follow(&self, progress: Arc<ReplicaProgress>) {
        *self.progress() = Some(progress);
    }

    fn progress(&self) -> MutexGuard<'_, Option<Arc<ReplicaProgress>>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn began(&self) {
        self.streams.count();
    }

    pub(super) fn disconnect(&self, disconnect: &Disconnect) {
        let why = match disconnect {
            Disconnect::NoAnswer(_) => "network",
            Disconnect::Silent => "silent",
            Disconnect::Ended => "ended",
            Disconnect::Status(_) => "status",
            Disconnect::Refused(refusal) => {
                self.refusals.count(refusal);
                "refused"
            }
            Disconnect::Malformed(_) | Disconnect::Unasked(_) | Disconnect::Unfit(_) => "damaged",
            Disconnect::Store(_) => "store",
        };
        count(&DISCONNECTS, &self.disconnects, why);
    }

    /// Notes that a store is being fetched until the returned value is dropped.
    pub(super) fn bootstrapping(&self) -> Present {
        self.bootstrapping.present()
    }

    pub(super) fn fetched(&self, is_whole: bool) {
        if is_whole {
            &self.bootstraps
        } else {
            &self.failed_bootstraps
        }
        .count();
    }

    pub(super) fn fetched_bytes(&self, bytes: usize) {
        self.fetched_bytes.add(bytes as u64);
    }

    /// Reports how far the replica is, and how it came there.
    pub fn describe(&self, page: &mut Exposition) {
        let progress = self.progress().clone();
        let progress = progress.as_deref();
        page.gauge(
            "reviewsd_replication_connected",
            "Whether the replica has a stream from its primary: 1 or 0.",
        )
        .value(progress.is_some_and(ReplicaProgress::is_connected));
        page.gauge(
            "reviewsd_replication_held",
            "Whether the replica stopped following until the primary or an operator intervenes: 1 or 0.",
        )
        .value(progress.is_some_and(|progress| progress.held().is_some()));
        if let Some(progress) = progress {
            page.gauge(
                "reviewsd_replication_lag_seconds",
                "Time since the replica last had every row of its primary.",
            )
            .value(progress.lag_time(Instant::now()).as_secs_f64());
            page.gauge(
                "reviewsd_replication_lag_rows",
                "Rows of the primary that the replica lacks, as far as it knows.",
            )
            .value(progress.lag_rows());
        }
        describe_streams(page, self.streams.get());
        self.refusals.describe(page);
        for (name, help) in [
            (
                "reviewsd_replication_disconnects_total",
                "Streams that ended or failed to begin, by reason.",
            ),
            (
                "reviewsd_replication_partings_total",
                "The former name of reviewsd_replication_disconnects_total, for one release.",
            ),
        ] {
            let mut disconnects = page.counter(name, help);
            for (why, counter) in DISCONNECTS.iter().zip(&self.disconnects) {
                disconnects.sample(&[("why", why)], counter.get());
            }
        }
        page.gauge(
            "reviewsd_replication_bootstrapping",
            "Whether a bootstrap is running: 1 or 0.",
        )
        .value(self.bootstrapping.get() > 0);
        let mut bootstraps = page.counter(
            "reviewsd_replication_bootstraps_total",
            "Bootstraps that succeeded, and those that failed.",
        );
        bootstraps.sample(&[("outcome", "fetched")], self.bootstraps.get());
        bootstraps.sample(&[("outcome", "failed")], self.failed_bootstraps.get());
        page.counter(
            "reviewsd_replication_fetched_bytes_total",
            "Bytes that were fetched by bootstraps.",
        )
        .value(self.fetched_bytes.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Error;

    #[test]
    fn every_refusal_and_every_disconnect_has_its_own_counter() {
        let meters = ReplicaMeters::default();
        let refusals = [
            StreamRefusal::Gap,
            StreamRefusal::UnknownEpoch,
            StreamRefusal::Diverged { fork: None },
            StreamRefusal::Ahead {
                primary: String::new(),
            },
            StreamRefusal::OtherStore {
                store: String::new(),
                predecessors: Vec::new(),
            },
            StreamRefusal::Later { epoch: 1 },
            StreamRefusal::Version {
                protocol: 1,
                format: 1,
            },
        ];
        for refusal in refusals {
            meters.disconnect(&Disconnect::Refused(refusal));
        }
        assert!(meters.refusals.0.iter().all(|counter| counter.get() == 1));
        let disconnects = [
            Disconnect::NoAnswer(super::super::client::NoAnswer::Long),
            Disconnect::Silent,
            Disconnect::Ended,
            Disconnect::Status(hyper::StatusCode::NOT_FOUND),
            Disconnect::Unasked("this"),
            Disconnect::Store(Error::NoStore { dir: "/".into() }),
        ];
        for disconnect in &disconnects {
            meters.disconnect(disconnect);
        }
        assert!(meters.disconnects.iter().all(|counter| counter.get() > 0));
    }

    #[test]
    fn a_copy_tells_of_lag_once_it_has_a_store() {
        let meters = ReplicaMeters::default();
        let page = |meters: &ReplicaMeters| {
            let mut page = Exposition::default();
            meters.describe(&mut page);
            format!("{page:?}")
        };
        let fetching = meters.bootstrapping();
        assert!(page(&meters).contains(r"reviewsd_replication_bootstrapping 1\n"));
        assert!(!page(&meters).contains("lag_rows"));
        drop(fetching);
        let progress = Arc::new(ReplicaProgress::new(5, Instant::now()));
        meters.follow(Arc::clone(&progress));
        progress.connected();
        progress.heard(12, Instant::now());
        let told = page(&meters);
        for line in [
            r"reviewsd_replication_bootstrapping 0\n",
            r"reviewsd_replication_lag_rows 7\n",
            r"reviewsd_replication_connected 1\n",
        ] {
            assert!(told.contains(line), "{line} is not in {told}");
        }
    }
}
