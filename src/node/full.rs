//! A server whose store is only read, because the disk had no space for a write: its words, and its end.
//!
//! Must not know what the store is of. Invariant: such a server ends by itself only once there is space
//! again, so that no reads are lost to a start in vain.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{FAILED_DRAIN_TIME_MAX, UnexpectedEnd};
use crate::figures::bytes;
use crate::store::Store;

/// The period at which the free space is asked for.
const SPACE_PERIOD: Duration = Duration::from_secs(1);

/// Waits until the store takes no writes for want of space, says so, and waits until there is space again,
/// of which its writer wants `free_space_min` bytes at least.
pub(super) async fn over(store: Store, free_space_min: u64) -> UnexpectedEnd {
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
    UnexpectedEnd {
        drain_time_max: FAILED_DRAIN_TIME_MAX,
        keeps_public: false,
    }
}
