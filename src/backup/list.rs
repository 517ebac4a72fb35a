//! What there is in a target, for people and programs.
//!
//! Must not change anything.

use serde::Serialize;

use super::error::Error;
use super::inventory::{Inventory, Reaches};
use super::manifest::Unusable;
use super::names::told;
use super::target::Target;
use crate::store::Position;

/// All snapshots, the latest first, and what else there is.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// The snapshots.
    pub backups: Vec<Entry>,
    /// Segments of the log.
    pub segments: usize,
}

/// A snapshot.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its name.
    pub id: String,
    /// Why it cannot be used, if so; then there is nothing else.
    pub unusable: Option<String>,
    /// When it was taken.
    pub taken: Option<String>,
    /// The store.
    pub store: Option<String>,
    /// The position of the store.
    pub at: Option<Point>,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of those that no snapshot before it had.
    pub new_bytes: u64,
    /// Up to where it reaches with the log.
    pub reaches: Option<Point>,
    /// When that was.
    pub reaches_time: Option<String>,
}

/// A position.
#[derive(Debug, Serialize)]
pub struct Point {
    /// Its epoch.
    pub epoch: u64,
    /// Its sequence number.
    pub seq: u64,
    /// Its chain.
    pub chain: String,
}

impl From<Position> for Point {
    fn from(Position { epoch, seq, chain }: Position) -> Self {
        Self {
            epoch,
            seq,
            chain: format!("{chain:016x}"),
        }
    }
}

/// Lists a target.
pub async fn list(target: &Target) -> Result<Listing, Error> {
    let inventory = Inventory::of(target).await?;
    let reaches = Reaches::of(&inventory);
    let entries = inventory.snapshots.iter().rev().map(|(id, listed)| {
        let entry = Entry {
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
                Entry {
                    taken: Some(told(snapshot.taken_ms)),
                    store: Some(format!("{:032x}", snapshot.store())),
                    at: Some(snapshot.position().into()),
                    bytes: snapshot.bytes(),
                    new_bytes: snapshot.new_bytes,
                    reaches: Some(reaches.into()),
                    reaches_time: Some(told(time_ms)),
                    ..entry
                }
            }
            Err(Unusable::Damaged(why)) => Entry {
                unusable: Some((*why).to_owned()),
                ..entry
            },
            Err(Unusable::Newer(version)) => Entry {
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
