//! Writes that wait until a replica has them, too.
//!
//! Must not know the clients, nor how replicas are reached. Invariants: if acknowledgements are required, no
//! outcome is returned before a replica has the write on its disk; no write waits longer than its limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::metrics::{Counter, Exposition, Gauge};
use crate::store::{Rejected, WriteResult};

use super::super::error::ApiError;

/// The reply channel of a change.
pub(crate) type AckReply = oneshot::Receiver<Result<WriteResult, Rejected>>;

/// The position up to which replicas have the commits.
#[derive(Clone)]
pub struct Acks {
    /// The row up to which a replica is durable.
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
    /// most before its outcome counts as unknown; `None` waits for no replica.
    #[must_use]
    pub fn new(acked: watch::Receiver<u64>, time_max: Option<Duration>) -> Self {
        Self {
            acked,
            time_max,
            meters: Arc::default(),
        }
    }

    /// Returns the writer's reply, once a replica has the change if that is required.
    pub(crate) async fn settled(&self, told: AckReply) -> Result<WriteResult, ApiError> {
        let settled = settled(told).await?;
        self.wait(settled.at.seq).await?;
        Ok(settled)
    }

    /// Waits until a replica has everything up to a row, if that is required.
    pub(crate) async fn wait(&self, seq: u64) -> Result<(), ApiError> {
        let Some(time_max) = self.time_max else {
            return Ok(());
        };
        let _waiting = self.meters.waiting.present();
        let mut acked = self.acked.clone();
        let is_acked = acked.wait_for(|acked| *acked >= seq);
        // It is durable here; whether it outlives this machine is unknown.
        if matches!(timeout(time_max, is_acked).await, Ok(Ok(_))) {
            return Ok(());
        }
        self.meters.missed.count();
        Err(ApiError::Unacknowledged)
    }

    /// Writes the metrics of the writes that wait.
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
    // A writer that ended without a reply may have written.
    let settled = told.await.unwrap_or(Err(Rejected::Failed));
    settled.map_err(|refused| match refused {
        Rejected::Busy => ApiError::Busy,
        Rejected::DiskFull => ApiError::DiskFull,
        Rejected::Fenced(fence) => ApiError::Fenced(fence),
        Rejected::Failed => ApiError::Unknown,
        Rejected::Damaged(why) => ApiError::internal(std::io::Error::other(why)),
    })
}
