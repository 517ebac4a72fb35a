//! Ownership: which store a target belongs to, and which backups it takes.
//!
//! A restore gets the store that the target belongs to. So a backup of another store, or of an epoch that
//! has ended, is refused until an operator accepts it by the store's id (`reviewsd backup --accept-store
//! ID`), and the snapshot records since when it is accepted. The snapshots that follow pass that on, so it
//! is known as long as there are any.
//!
//! Invariants: a snapshot of another store or of an earlier epoch is never written unless its store's id
//! was given; without an acceptance no store of several is taken for the target's.

use std::collections::BTreeSet;
use std::fmt;

use super::error::Error;
use super::inventory::Inventory;
use super::manifest::Snapshot;
use super::target::BackupTarget;
use crate::store::LogPosition;

/// The reason for which a target does not take a backup of a store, or does not give one back.
#[derive(Debug)]
pub enum Ownership {
    /// The target holds the backups of another store.
    Foreign {
        /// The store that was to be backed up.
        store: u128,
        /// The target of the backup.
        target: String,
        /// The store whose backups are there.
        holds: u128,
        /// The latest of those.
        latest: String,
    },
    /// The target has seen a later epoch of the store.
    Superseded {
        /// The store.
        store: u128,
        /// The target of the backup.
        target: String,
        /// Its epoch.
        epoch: u64,
        /// The epoch that the target has seen.
        seen: u64,
    },
    /// Another store was accepted than the one that was to be backed up.
    NotAccepted {
        /// The one that was accepted.
        named: u128,
        /// The one that was to be backed up.
        store: u128,
    },
    /// The target holds backups of several stores, and nothing says which is wanted.
    Unclear {
        /// The target.
        target: String,
        /// Their ids.
        stores: String,
    },
    /// The target holds no backup of this store.
    NoSuchStore {
        /// The store.
        store: u128,
        /// The target that was looked through.
        target: String,
    },
}

impl Ownership {
    /// An [`Ownership::Unclear`].
    pub(super) fn unclear(stores: &[u128], target: &BackupTarget) -> Self {
        let stores: Vec<String> = stores.iter().map(|store| format!("{store:032x}")).collect();
        Self::Unclear {
            target: target.shown().to_owned(),
            stores: stores.join(" and "),
        }
    }
}

impl fmt::Display for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign {
                store,
                target,
                holds,
                latest,
            } => write!(
                f,
                "{target} holds the backups of store {holds:032x} (the latest is {latest}), and \
                 this is store {store:032x}; back it up to another target, or, if it replaces that one, \
                 back it up once with --accept-store {store:032x}"
            ),
            Self::Superseded {
                store,
                target,
                epoch,
                seen,
            } => write!(
                f,
                "{target} has seen epoch {seen} of this store, and this server is in epoch {epoch}: \
                 another server replaced it; back up that one, or, if this one is the right one, back \
                 it up once with --accept-store {store:032x}"
            ),
            Self::NotAccepted { named, store } => write!(
                f,
                "--accept-store names {named:032x}, and this is store {store:032x}; check that this is \
                 the right server, and name its store"
            ),
            Self::Unclear { target, stores } => write!(
                f,
                "{target} holds backups of several stores, {stores}, and none was selected; select it \
                 with --store ID, or a backup with --backup ID (`reviewsd backups` \
                 lists them)"
            ),
            Self::NoSuchStore { store, target } => write!(
                f,
                "there is no backup of store {store:032x} in {target}; `reviewsd backups` lists the backups"
            ),
        }
    }
}

/// The ownership of the backups that a target holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TargetOwner {
    /// There are none.
    Nobody,
    /// One store, or the one that was accepted last.
    Store(u128),
    /// Several stores, none of which was accepted after the others.
    Unclear(Vec<u128>),
}

/// The order of the snapshots of one store, the best one last: what was accepted last, and of that the
/// latest of the highest epoch.
pub(super) fn rank(id: &str, snapshot: &Snapshot) -> (Option<i64>, u64, String) {
    let epoch = snapshot.position().epoch;
    (snapshot.accepted_ms, epoch, id.to_owned())
}

/// The latest snapshot of what was accepted last. Of a target that several stores shared before it was
/// guarded, this is the latest of any.
pub(super) fn latest(inventory: &Inventory) -> Option<(&str, &Snapshot)> {
    let order = |(id, snapshot): &(&str, &Snapshot)| (snapshot.accepted_ms, (*id).to_owned());
    inventory.usable().max_by_key(order)
}

/// Returns the store that the target of these snapshots belongs to.
pub(super) fn owner<'s>(snapshots: impl Iterator<Item = (&'s str, &'s Snapshot)>) -> TargetOwner {
    let mut latest = None;
    let mut stores = BTreeSet::new();
    for (_, snapshot) in snapshots {
        let accepted = Some(snapshot.accepted_ms);
        if latest < accepted {
            latest = accepted;
            stores.clear();
        }
        if latest == accepted {
            stores.insert(snapshot.store());
        }
    }
    let mut stores = stores.into_iter();
    match (stores.next(), stores.next()) {
        (None, _) => TargetOwner::Nobody,
        (Some(store), None) => TargetOwner::Store(store),
        (Some(first), Some(second)) => {
            TargetOwner::Unclear([first, second].into_iter().chain(stores).collect())
        }
    }
}

/// Refuses a backup that the target does not take; otherwise returns since when its store is accepted.
pub(super) fn admit(
    inventory: &Inventory,
    target: &BackupTarget,
    (store, position): (u128, LogPosition),
    accepted: Option<u128>,
    now_ms: i64,
) -> Result<Option<i64>, Error> {
    if let Some(named) = accepted.filter(|named| *named != store) {
        return Err(Ownership::NotAccepted { named, store }.into());
    }
    let Some((id, latest)) = latest(inventory) else {
        return Ok(None);
    };
    let is_accepted = accepted == Some(store);
    if latest.store() != store {
        if is_accepted {
            return Ok(Some(now_ms));
        }
        return Err(Ownership::Foreign {
            store,
            target: target.shown().to_owned(),
            holds: latest.store(),
            latest: id.to_owned(),
        }
        .into());
    }
    let since = latest.accepted_ms;
    let seen = epoch_seen(inventory, store, since);
    if position.epoch >= seen {
        return Ok(since);
    }
    if is_accepted {
        return Ok(Some(now_ms));
    }
    Err(Ownership::Superseded {
        store,
        target: target.shown().to_owned(),
        epoch: position.epoch,
        seen,
    }
    .into())
}

/// Returns the highest epoch of a store in a target since it was accepted.
fn epoch_seen(inventory: &Inventory, store: u128, since: Option<i64>) -> u64 {
    let snapshots = inventory.usable().map(|(_, snapshot)| snapshot);
    let snapshots = snapshots.filter(|one| one.store() == store && one.accepted_ms == since);
    let segments = inventory.segments_of(store).iter();
    let segments = segments.filter(|one| since.is_none_or(|since| one.time_ms > since));
    let of_snapshots = snapshots.map(|snapshot| snapshot.position().epoch);
    let epochs = of_snapshots.chain(segments.map(|segment| segment.to.epoch));
    epochs.max().unwrap_or_default()
}
