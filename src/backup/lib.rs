//! Backups: a store's snapshots and segments in a target, and their restore.
//!
//! A target, which is a directory or a bucket, holds snapshots (`take.rs`): the files of a store at one
//! instant, of which each is written once, however many snapshots it is of. And it may hold segments of the
//! commits since (`ship.rs`), as the stream for replicas has them. A snapshot and the segments behind it
//! give the store at any commit (`restore.rs`). Small segments become larger ones (`merge.rs`). Objects
//! that no snapshot needs are removed (`prune.rs`).
//!
//! ```text
//! snapshots/ID.json                    written last: with it a snapshot is there
//! pending/ID                           there while a snapshot is being taken, and renewed meanwhile
//! files/HASH-LENGTH-BY                 contents of files
//! log/STORE/FROM-TO-TIME.seg           commits
//! ```
//!
//! # Guarantees
//!
//! - A snapshot is a state that the store was in, durably, on its way from one commit to the next.
//! - A restored store is in that state, or in the one after a later commit, byte for byte: every file is
//!   verified against its hash, and every commit against the history hash of all before it. A missing or
//!   damaged object is named, and then nothing is restored.
//! - No object but a note below `pending/` is ever overwritten, and a target is never locked: any number of
//!   backups may be taken at once, and each may die at any instant.
//! - With shipping, a machine that is lost takes with it the commits of the last `segment_time`, and those
//!   that the target has not taken yet if it is unavailable.
//!
//! Must not know the API, configuration, or how a store keeps its rows.

mod backup_source;
mod check;
mod error;
mod inventory;
mod list;
mod manifest;
mod merge;
mod names;
mod pending;
mod plan;
mod prune;
mod restore;
mod runs;
mod segment;
mod ship;
mod source;
mod standing;
mod take;
mod target;

use {::model, ::replication, ::store};

pub use backup_source::BackupSource;
pub use check::{Checked, check};
pub use error::Error;
pub use inventory::{Until, Wanted};
pub use list::{ListedPosition, ListedSnapshot, Listing, list};
pub use merge::{Merged, Merger};
pub use prune::{PruneRules, Pruned, prune};
pub use restore::{Restored, restore};
pub use ship::{Event, ShipPace, follow};
pub use source::BackupOrigin;
pub use standing::Ownership;
pub use take::{NewSnapshot, take};
pub use target::BackupTarget;
