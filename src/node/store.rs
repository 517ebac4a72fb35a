//! The store of a node: how it is opened, and the log lines about the data directory then.
//!
//! Invariants: a signal ends the opening, whose store is closed in order if there is time for it; diverged
//! stores never prevent a server from starting.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::{Error, Interruptible, Node, StopReason, end_at_once};
use crate::config::ReplicaConfig;
use crate::figures::bytes;
use crate::model::clock::now_ms;
use crate::signals::TerminationSignals;
use crate::store::{self, OpenOptions, RetentionRule, Store};

/// The time that the store may take to open before a line of the log reports it.
const QUICK_OPENING_TIME_MAX: Duration = Duration::from_secs(5);

impl Node {
    /// Opens the store, unless the process is asked to end meanwhile.
    pub(super) async fn open_store(
        &self,
        options: OpenOptions,
        ends: &mut TerminationSignals,
    ) -> Interruptible<Store> {
        self.supervisor.opening(&self.data);
        let data = self.data.clone();
        let begins_anew = self.begins_anew;
        // A primary of replicas without a store may only have lost its disk for a moment.
        let is_fenced = self.config().replication.token_file.is_some() && !begins_anew;
        let open = move || {
            let open = if is_fenced {
                Store::open_fenced
            } else {
                Store::open_as
            };
            let store = open(&data, "reviewsd serve", options, now_ms())?;
            if begins_anew {
                let at = store.begin_anew()?;
                tracing::warn!("--new: this store, at {at}, is the primary's from now on");
            }
            Ok(store)
        };
        let drain_time_max = self.config().net.drain_time_max.into();
        let opened = opened(open, ends, drain_time_max).await?;
        match &opened {
            Ok(store) => {
                if let Some(loss) = store.loss() {
                    tracing::warn!("the loss was accepted: {loss}");
                }
                prune_diverged(store, &self.config().replica);
                report_diverged(&self.data);
            }
            Err(_) => self.supervisor.ending(),
        }
        Ok(opened)
    }
}

/// Opens the store, unless a signal comes first. An opening that has begun is waited for, so that the store is
/// closed in order; cut off after `drain_time_max` it is a crash, which the store survives.
async fn opened(
    open: impl FnOnce() -> Result<Store, store::Error> + Send + 'static,
    ends: &mut TerminationSignals,
    drain_time_max: Duration,
) -> Interruptible<Store> {
    let mut opening = spawn_blocking(open);
    let slow = sleep(QUICK_OPENING_TIME_MAX);
    let mut slow = pin!(slow);
    let end = loop {
        tokio::select! {
            opened = &mut opening => {
                let store = opened.map_err(|panic| Error::Runtime(panic.into()))?;
                return store.map(Ok).map_err(Error::Store);
            }
            end = ends.next() => break end,
            () = &mut slow, if !slow.is_elapsed() => tracing::info!(
                "still opening the store: after a crash its log is read first, which takes as long as \
                 the log is large"
            ),
        }
    };
    tracing::info!("{}: stopping before the store is open", end.name());
    Ok(Err(tokio::select! {
        _ = timeout(drain_time_max, opening) => StopReason::Asked,
        second = ends.next() => end_at_once(second),
    }))
}

/// Removes the diverged stores that the configured rule does not retain.
fn prune_diverged(store: &Store, config: &ReplicaConfig) {
    let rule = RetentionRule {
        keep: config.diverged_keep,
        keep_for: config.diverged_keep_for.into(),
    };
    match store::prune_kept(store, rule, SystemTime::now()) {
        Ok(gone) => {
            for kept in gone {
                let (path, size) = (kept.path.display(), bytes(kept.bytes));
                tracing::warn!(
                    "deleted {path} ({size}): replica.diverged_keep and replica.diverged_keep_for do \
                     not retain it"
                );
            }
        }
        Err(error) => tracing::warn!("cannot delete diverged stores: {error}"),
    }
}

/// Reports the diverged stores that stay.
fn report_diverged(data: &Path) {
    match store::kept(data) {
        Ok(all) => {
            for kept in all {
                let (path, size) = (kept.path.display(), bytes(kept.bytes));
                tracing::warn!(
                    "a diverged store is in {path} ({size}); delete it once you need nothing of it: rm \
                     -r {path}"
                );
            }
        }
        Err(error) => tracing::warn!("{error}"),
    }
}
