//! What is counted of replication, on either side, and how it is told.
//!
//! Must not know sockets or the store. Invariants: what a copy counts outlives the stores that it
//! has one after the other; every kind of refusal and of parting is told from the start, as 0.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::disconnect::Disconnect;
use super::primary::sessions::SessionStatus;
use super::replica::progress::ReplicaProgress;
use super::wire::protocol::StreamRefusal;
use crate::metrics::{Counter, Exposition, Gauge, Present};

/// Why streams are refused.
const REFUSALS: [&str; 7] = [
    "gap",
    "unknown_epoch",
    "diverged",
    "ahead",
    "other_store",
    "later",
    "version",
];
/// Why streams end, or do not begin.
const PARTINGS: [&str; 7] = [
    "network", "silent", "ended", "status", "refused", "damaged", "store",
];

/// Refusals, by why.
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
            "Positions that a primary does not stream from, by why: refused here, or to this copy.",
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
        "Streams that were begun: to copies, or from the primary.",
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

    /// Tells of the streams there are, too, where this store is durable up to row `durable`.
    pub(super) fn describe(&self, page: &mut Exposition, all: &[SessionStatus], durable: u64) {
        page.gauge(
            "reviewsd_replication_replicas",
            "Streams to copies that are open; a copy that is being fetched has one, too.",
        )
        .value(all.len() as u64);
        describe_streams(page, self.streams.get());
        self.refusals.describe(page);
        page.counter(
            "reviewsd_replication_refused_tokens_total",
            "Requests of copies that came with another token, or with none.",
        )
        .value(self.refused_tokens.get());
        page.counter(
            "reviewsd_replication_sent_bytes_total",
            "Bytes of checkpoints that were sent to new copies.",
        )
        .value(self.sent_bytes.get());
        let unacked = |status: &SessionStatus| durable.saturating_sub(status.acked);
        let mut rows = page.gauge(
            "reviewsd_replication_unacked_rows",
            "Rows that are durable here and not yet on the nearest, or the furthest, of the copies \
             that are attached.",
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
    partings: [Counter; PARTINGS.len()],
    bootstraps: Counter,
    failed_bootstraps: Counter,
    fetched_bytes: Counter,
    bootstrapping: Arc<Gauge>,
    /// The progress of the store that is served now, if one is.
    progress: Mutex<Option<Arc<ReplicaProgress>>>,
}

impl ReplicaMeters {
    /// From now on what is told of lag is this store's.
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
        count(&PARTINGS, &self.partings, why);
    }

    /// A store is being fetched until what is given is dropped.
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

    /// Tells how far the copy is, and how it came there.
    pub fn describe(&self, page: &mut Exposition) {
        let progress = self.progress().clone();
        let progress = progress.as_deref();
        page.gauge(
            "reviewsd_replication_connected",
            "Whether the copy has a stream from its primary: 1 or 0.",
        )
        .value(progress.is_some_and(ReplicaProgress::is_connected));
        page.gauge(
            "reviewsd_replication_held",
            "Whether the copy follows no more until the primary, or an operator, says otherwise: 1 or 0.",
        )
        .value(progress.is_some_and(|progress| progress.held().is_some()));
        if let Some(progress) = progress {
            page.gauge(
                "reviewsd_replication_lag_seconds",
                "How long ago the copy had all that its primary had.",
            )
            .value(progress.lag_time(Instant::now()).as_secs_f64());
            page.gauge(
                "reviewsd_replication_lag_rows",
                "Rows that the primary has and the copy has not, as far as it knows.",
            )
            .value(progress.lag_rows());
        }
        describe_streams(page, self.streams.get());
        self.refusals.describe(page);
        let mut partings = page.counter(
            "reviewsd_replication_partings_total",
            "Streams that ended or could not be begun, by why.",
        );
        for (why, counter) in PARTINGS.iter().zip(&self.partings) {
            partings.sample(&[("why", why)], counter.get());
        }
        page.gauge(
            "reviewsd_replication_bootstrapping",
            "Whether a whole store is being fetched: 1 or 0.",
        )
        .value(self.bootstrapping.get() > 0);
        let mut bootstraps = page.counter(
            "reviewsd_replication_bootstraps_total",
            "Whole stores that were fetched, and tries that failed.",
        );
        bootstraps.sample(&[("outcome", "fetched")], self.bootstraps.get());
        bootstraps.sample(&[("outcome", "failed")], self.failed_bootstraps.get());
        page.counter(
            "reviewsd_replication_fetched_bytes_total",
            "Bytes of whole stores that were fetched.",
        )
        .value(self.fetched_bytes.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Error;

    #[test]
    fn every_refusal_and_every_parting_has_a_counter_of_its_own() {
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
        let partings = [
            Disconnect::NoAnswer(super::super::client::NoAnswer::Long),
            Disconnect::Silent,
            Disconnect::Ended,
            Disconnect::Status(hyper::StatusCode::NOT_FOUND),
            Disconnect::Unasked("this"),
            Disconnect::Store(Error::NoStore { dir: "/".into() }),
        ];
        for parting in &partings {
            meters.disconnect(parting);
        }
        assert!(meters.partings.iter().all(|counter| counter.get() > 0));
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
