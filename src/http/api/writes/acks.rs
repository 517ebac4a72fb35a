//! Writes that wait until a copy has them, too.
//!
//! Must not know who wrote, nor how copies are reached. Invariants: where copies are asked for, no
//! outcome is told before one has the write on its disk; nobody waits for longer than may be.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::metrics::{Counter, Exposition, Gauge};
use crate::store::{Rejected, WriteResult};

use super::super::error::ApiError;

/// The reply channel of a change.
pub(crate) type AckReply = oneshot::Receiver<Result<WriteResult, Rejected>>;

/// Up to where copies have what was written.
#[derive(Clone)]
pub struct Acks {
    /// Up to which row a copy is durable.
    acked: watch::Receiver<u64>,
    time_max: Option<Duration>,
    meters: Arc<AckMeters>,
}

#[derive(Debug, Default)]
struct AckMeters {
    waiting: Arc<Gauge>,
    missed: Counter,
}

impl Acks {
    /// Waits for replicas that are durable up to the row in `acked`. A write waits for `time_max` at
    /// most before its outcome counts as unknown; `None` asks no copy.
    #[must_use]
    pub fn new(acked: watch::Receiver<u64>, time_max: Option<Duration>) -> Self {
        Self {
            acked,
            time_max,
            meters: Arc::default(),
        }
    }

    /// Returns the writer's reply, once a replica has the change where that is asked for.
    pub(crate) async fn settled(&self, told: AckReply) -> Result<WriteResult, ApiError> {
        let settled = settled(told).await?;
        self.wait(settled.at.seq).await?;
        Ok(settled)
    }

    /// Waits until a copy has everything up to a row, where that is asked for.
    pub(crate) async fn wait(&self, seq: u64) -> Result<(), ApiError> {
        let Some(time_max) = self.time_max else {
            return Ok(());
        };
        let _waiting = self.meters.waiting.present();
        let mut acked = self.acked.clone();
        let is_acked = acked.wait_for(|acked| *acked >= seq);
        // Here it is durable; whether it outlives this machine nobody knows.
        if matches!(timeout(time_max, is_acked).await, Ok(Ok(_))) {
            return Ok(());
        }
        self.meters.missed.count();
        Err(ApiError::Unacknowledged)
    }

    /// Tells of the writes that wait.
    pub(crate) fn describe(&self, page: &mut Exposition) {
        page.gauge(
            "reviewsd_write_acks_waiting",
            "Writes that are committed here and wait for a replica to confirm them.",
        )
        .value(self.meters.waiting.get());
        page.counter(
            "reviewsd_write_acks_missed_total",
            "Writes that no replica confirmed in time, so that the response said that their outcome is \
             unknown.",
        )
        .value(self.meters.missed.get());
    }
}

/// Returns the writer's reply.
pub(crate) async fn settled(told: AckReply) -> Result<WriteResult, ApiError> {
    // A writer that ended without a word may have written.
    let settled = told.await.unwrap_or(Err(Rejected::Failed));
    settled.map_err(|refused| match refused {
        Rejected::Busy => ApiError::Busy,
        Rejected::DiskFull => ApiError::DiskFull,
        Rejected::Fenced(fence) => ApiError::Fenced(fence),
        Rejected::Failed => ApiError::Unknown,
        Rejected::Damaged(why) => ApiError::internal(std::io::Error::other(why)),
    })
}
