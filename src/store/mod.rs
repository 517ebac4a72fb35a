//! The local store: what is kept, how it is read, and how a new one is built.
//!
//! Must not know HTTP, JSON or CSV. Invariant: a reader sees a store that is complete, of a format
//! this program knows, and that no other process works on.

pub mod bulk;
pub mod check;
mod datadir;
pub mod erase;
mod error;
mod family_writer;
mod group;
pub mod key;
mod meters;
mod pulse;
mod read;
mod retries;
mod rocks;
pub mod rows;
pub mod sift;
mod stats;
mod value;
mod write;

pub use error::Error;
pub use meters::Meters;
pub use pulse::Pulse;
pub use read::{Reader, Store};
pub use rocks::Reach;
pub use stats::{FamilyStats, Stats};
pub use value::{Counters, Identity};
pub use write::{Change, Outcome, RETRY_KEY_BYTES_MAX, Refused, Retry, Writer, WriterOptions};
