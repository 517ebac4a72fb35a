//! The local store: what is kept, how it is read, and how a new one is built.
//!
//! Must not know HTTP, JSON or CSV. Invariant: a reader sees a store that is complete, of a format
//! this program knows, and that no other process works on.

pub mod bulk;
mod datadir;
mod error;
mod family_writer;
pub mod key;
mod read;
mod rocks;
mod value;

pub use error::Error;
pub use read::{Reader, Store};
pub use rocks::Reach;
pub use value::{Counters, Identity};
