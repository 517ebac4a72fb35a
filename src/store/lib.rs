//! The local store: what it holds, how it is read, and how a new one is built.
//!
//! Must not know HTTP, JSON or CSV. Invariant: a reader sees a store that is complete, of a format
//! this program knows, and that no other process works on.

pub mod bulk;
mod checkpoint;
mod clients;
mod committed_change;
mod content;
#[cfg(test)]
#[path = "../corpus.rs"]
mod corpus;
mod counters;
mod datadir;
mod decoding;
pub mod erase;
mod error;
mod fence;
mod gap;
mod heartbeat;
mod join_on_drop;
pub mod key;
mod large_products;
mod log;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod moderation;
#[cfg(test)]
mod properties;
mod ranks;
mod reader;
pub mod reported;
mod rocks;
pub mod rows;
pub mod scan;
mod skus;
mod state;
mod stats;
mod store;
mod stored_product;
mod value;
pub mod verify;
mod writer;

use {::metrics, ::model};

pub use checkpoint::{Checkpoint, CheckpointFile, hash_rest};
pub use committed_change::CommittedChange;
pub use content::{Content, contents};
pub use counters::Counters;
pub use datadir::adopt::{
    FetchedStore, OldStore, accept, accepted, adopt, bootstrap_dir, follow, has_store, promote,
    sync_all,
};
pub use datadir::diverged::{DivergedStore, RetentionRule, kept, prune_kept};
pub use datadir::fetched::{NoSpace, is_file_name, keep_beginnings, missing_space, total_bytes};
pub use datadir::last_backup::BackedUp;
pub use datadir::on_disk::{StoreOnDisk, id_in, last_backup, look};
pub use datadir::restore::Restoring;
pub use datadir::taken_writes::{ChangedReviews, TakenWrites};
pub use datadir::user::become_owner;
pub use error::{Error, ReadError};
pub use fence::Fence;
pub use gap::{Gap, LostReviews, row as describe_row};
pub use heartbeat::Heartbeat;
pub use join_on_drop::JoinOnDrop;
pub use log::apply::{Applier, Inspected, inspect};
pub use log::commit_feed::{Backlog, CommitFeed};
pub use log::commit_log::Committed;
pub use log::history::{History, HistoryLookup, Lineage, has_had, lineage, trim_kept_logs};
pub use log::position::LogPosition;
pub use moderation::audit::{AuditEntry, ReviewStanding};
pub use moderation::queue::{QUEUE_ROWS_MAX, QueueFilter, QueueItem, QueueList, QueuePage};
pub use moderation::record::{AuditRecord, StandingRecord};
pub use moderation::rows::OpenReport;
pub use moderation::settings::{ModerationSettings, REPORTS_MAX};
pub use reader::{MemoryRead, ProductListing, Reader};
pub use rocks::{MEMTABLE_BYTES_MAX, ReadTier};
pub use stats::{DivergedStats, FamilyStats, Stats};
pub use store::{Fallback, OpenOptions, Store};
pub use stored_product::{etag_of, product_etag};
pub use value::{Identity, Predecessor};
pub use writer::catalogue::{ExpectedProduct, ProductOutcome, SkuUpdate};
pub use writer::change::{
    Change, ChangeOutcome, IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, ModerationOutcome, Rejected,
    UndoRefusal,
};
pub use writer::disk_space::DiskFull;
pub use writer::idempotency::IDEMPOTENCY_KEYS_MAX;
pub use writer::meters::StoreMeters;
pub use writer::queue::{WriteResult, Writer, WriterOptions};
