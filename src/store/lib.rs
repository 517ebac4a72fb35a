//! The local store: what is kept, how it is read, and how a new one is built.
//!
//! Must not know HTTP, JSON or CSV. Invariant: a reader sees a store that is complete, of a format
//! this program knows, and that no other process works on.

mod adopt;
mod apply;
mod backed_up;
mod batch;
mod behind;
pub mod bulk;
mod bursts;
pub mod check;
mod checkpoint;
mod clients;
mod commit;
mod content;
#[cfg(test)]
#[path = "../corpus.rs"]
mod corpus;
mod datadir;
mod dates;
mod durability;
pub mod erase;
mod error;
mod family_writer;
mod feed;
mod fence;
mod fetched;
mod files;
mod full;
mod group;
mod history;
mod joined;
mod journal;
mod kept;
pub mod key;
mod look;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod meters;
mod position;
mod predecessors;
#[cfg(test)]
mod properties;
mod pulse;
mod read;
mod recovery;
pub mod reported;
mod restore;
mod retries;
mod rocks;
pub mod rows;
pub mod sift;
mod stats;
mod user;
mod value;
mod wal;
mod watermark;
mod write;
mod written;

use {::metrics, ::model};

pub use adopt::{
    Arrival, Before, accept, accepted, adopt, bootstrap_dir, follow, has_store, promote, sync_all,
};
pub use apply::{Applier, Inspected, inspect};
pub use backed_up::BackedUp;
pub use behind::{Gap, Lost, row as describe_row};
pub use checkpoint::{Checkpoint, CheckpointFile, hash_rest};
pub use content::{Content, contents};
pub use error::Error;
pub use feed::{Behind, Feed};
pub use fence::Fence;
pub use fetched::{NoSpace, is_file_name, keep_beginnings, missing_space, total_bytes};
pub use full::Full;
pub use history::{Found, History, Lineage, has_had, lineage, trim_kept_logs};
pub use joined::Joined;
pub use journal::Committed;
pub use kept::{Kept, KeptRule, kept, prune_kept};
pub use look::{Sight, id_in, last_backup, look};
pub use meters::Meters;
pub use position::Position;
pub use pulse::Pulse;
pub use read::{Fallback, Opening, Reader, Store};
pub use restore::Restoring;
pub use retries::RETRIES_MAX;
pub use rocks::{MEMTABLE_BYTES_MAX, Reach};
pub use stats::{FamilyStats, KeptStats, Stats};
pub use user::become_owner;
pub use value::{Counters, Identity, Predecessor};
pub use write::{
    Change, Outcome, RETRY_KEY_BYTES_MAX, Refused, Retry, Settled, Writer, WriterOptions,
};
pub use written::{Changed, Written};
