//! The commit log: batches, their positions in the history of a store, and how both are read again
//! after a restart and by replicas.
//!
//! Must not know reviews: a commit is bytes with a header. Invariant: the position of a store is the one
//! that its last commit names.

pub(crate) mod apply;
pub(crate) mod batch;
pub(crate) mod commit;
pub(crate) mod commit_feed;
pub(crate) mod commit_log;
pub(crate) mod durability;
pub(crate) mod history;
pub(crate) mod position;
pub(crate) mod recovery;
pub(crate) mod wal;
pub(crate) mod watermark;
