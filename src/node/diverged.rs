//! The stores that were moved aside in a data directory: which of them stay, and that they are there.
//!
//! Invariant: nothing here keeps a server from starting.

use std::path::Path;
use std::time::SystemTime;

use crate::config::ReplicaConfig;
use crate::figures::bytes;
use crate::store::{self, RetentionRule, Store};

/// Removes those that the configured rule does not keep.
pub(super) fn prune(store: &Store, config: &ReplicaConfig) {
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

/// Reports those that stay.
pub(super) fn report(data: &Path) {
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
