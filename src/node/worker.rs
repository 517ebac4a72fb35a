//! The one thread that writes to a store while it is served: the writer, or the one that follows a primary.
//!
//! Invariants: the writer commits the changes that it accepted before it ends; a server whose store is
//! read-only, because the disk had no space for a write, ends by itself only once there is space again, so that
//! no reads are lost to a start in vain.

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{Error, StopReason};
use crate::figures::bytes;
use crate::replication::{Replica, ReplicaExit};
use crate::store::{Store, Writer};

/// The period at which the free space is read.
const SPACE_PERIOD: Duration = Duration::from_secs(1);

/// The worker that writes to a store, while it is served.
pub(super) enum StoreWorker {
    /// A primary's writer.
    Writer {
        writer: Writer,
        /// True once a write failed, but for want of space.
        failed: watch::Receiver<bool>,
        /// The free space that the writer wants.
        free_space_min: u64,
    },
    /// A replica's thread.
    Follower {
        /// Follows until it is dropped.
        replica: Replica,
        exit: oneshot::Receiver<ReplicaExit>,
    },
    /// None: the store is not open yet, or the disk of a replica is full.
    None,
}

impl StoreWorker {
    /// Waits until the store can be served no longer, and gives the reason.
    pub(super) async fn stopped(&mut self, store: Store) -> StopReason {
        match self {
            Self::Writer {
                failed,
                free_space_min,
                ..
            } => tokio::select! {
                Ok(_) = failed.wait_for(|failed| *failed) => StopReason::WriteFailed,
                () = until_space_again(store, *free_space_min) => StopReason::SpaceAgain,
            },
            Self::Follower { exit, .. } => match exit.await.unwrap_or(ReplicaExit::Nothing) {
                ReplicaExit::Restart(_) if store.full().is_some() => {
                    until_space_again(store, 0).await;
                    StopReason::SpaceAgain
                }
                exit => StopReason::Replica(exit),
            },
            Self::None => {
                until_space_again(store, 0).await;
                StopReason::SpaceAgain
            }
        }
    }

    /// Lets the writer finish the changes that it accepted.
    pub(super) fn end(self) -> Result<(), Error> {
        match self {
            Self::Writer { writer, failed, .. } => {
                // The last handle: once it is dropped, the writer commits the waiting changes, and ends.
                drop(writer);
                if *failed.borrow() {
                    return Err(Error::WriteFailed);
                }
            }
            Self::Follower { replica, .. } => drop(replica),
            Self::None => {}
        }
        Ok(())
    }
}

/// Waits until the store takes no writes for want of space, logs it, and waits until there is space again, of
/// which its writer wants `free_space_min` bytes at least.
async fn until_space_again(store: Store, free_space_min: u64) {
    let full = store.until_full().await;
    let wanted = bytes(store.space_wanted(free_space_min));
    tracing::error!(
        "writes are rejected, and reads go on: {}; once {wanted} are free the server stops, so that it \
         is started again and opens the store",
        full.why
    );
    loop {
        sleep(SPACE_PERIOD).await;
        let asked = store.clone();
        let is_over = spawn_blocking(move || asked.has_space_again(free_space_min)).await;
        if is_over.unwrap_or(false) {
            break;
        }
    }
    tracing::warn!("there is space for writes again, so the server stops to open the store again");
}
