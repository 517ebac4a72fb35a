//! Whether the process lives and whether it wants requests.
//!
//! Must not know why; who starts and stops the server says so.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::ApiError;
use super::reply::Reply;

/// What the probes of a load balancer are told.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
}

impl Health {
    /// Asks for requests, or asks for no more.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// `GET /livez`: whoever can answer lives.
    #[expect(
        clippy::unused_self,
        reason = "the two probes are asked for in one way"
    )]
    pub(super) fn live(&self) -> Reply {
        Reply::text("live\n")
    }

    /// `GET /readyz`.
    pub(super) fn ready(&self) -> Result<Reply, ApiError> {
        if self.is_ready() {
            Ok(Reply::text("ready\n"))
        } else {
            Err(ApiError::NotReady)
        }
    }
}
