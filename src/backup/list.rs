//! The contents of a target, for people and programs.
//!
//! Must not change anything.

use serde::Serialize;

use super::error::Error;
use super::inventory::{Inventory, SnapshotReach};
use super::manifest::Unusable;
use super::target::BackupTarget;
use crate::model::calendar::timestamp;
use crate::store::LogPosition;

/// All snapshots, the latest first, and the other objects.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// The snapshots.
    pub backups: Vec<ListedSnapshot>,
    /// Segments of the log.
    pub segments: usize,
}

/// A snapshot.
#[derive(Debug, Serialize)]
pub struct ListedSnapshot {
    /// Its name.
    pub id: String,
    /// The reason for which it cannot be used, if so; then there is nothing else.
    pub unusable: Option<String>,
    /// When it was taken.
    pub taken: Option<String>,
    /// The store.
    pub store: Option<String>,
    /// The position of the store.
    pub at: Option<ListedPosition>,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of those that no snapshot before it had.
    pub new_bytes: u64,
    /// The row up to which it reaches with the log.
    pub reaches: Option<ListedPosition>,
    /// The time of that row.
    pub reaches_time: Option<String>,
}

/// A position.
#[derive(Debug, Serialize)]
pub struct ListedPosition {
    /// Its epoch.
    pub epoch: u64,
    /// Its sequence number.
    pub seq: u64,
    /// Its history hash.
    pub chain: String,
}

impl From<LogPosition> for ListedPosition {
    fn from(LogPosition { epoch, seq, chain }: LogPosition) -> Self {
        Self {
            epoch,
            seq,
            chain: format!("{chain:016x}"),
        }
    }
}

/// Lists a target.
pub async fn list(target: &BackupTarget) -> Result<Listing, Error> {
    let inventory = Inventory::of(target).await?;
    let reaches = SnapshotReach::of(&inventory);
    let entries = inventory.snapshots.iter().rev().map(|(id, listed)| {
        let entry = ListedSnapshot {
            id: id.clone(),
            unusable: None,
            taken: None,
            store: None,
            at: None,
            bytes: 0,
            new_bytes: 0,
            reaches: None,
            reaches_time: None,
        };
        match listed {
            Ok(snapshot) => {
                let (reaches, time_ms) = reaches.reach(snapshot);
                ListedSnapshot {
                    taken: Some(timestamp(snapshot.taken_ms)),
                    store: Some(format!("{:032x}", snapshot.store())),
                    at: Some(snapshot.position().into()),
                    bytes: snapshot.bytes(),
                    new_bytes: snapshot.new_bytes,
                    reaches: Some(reaches.into()),
                    reaches_time: Some(timestamp(time_ms)),
                    ..entry
                }
            }
            Err(Unusable::Damaged(why)) => ListedSnapshot {
                unusable: Some((*why).to_owned()),
                ..entry
            },
            Err(Unusable::Newer(version)) => ListedSnapshot {
                unusable: Some(format!("a newer reviewsd wrote it, in version {version}")),
                ..entry
            },
        }
    });
    Ok(Listing {
        backups: entries.collect(),
        segments: inventory.segments().count(),
    })
}
