//! Health: whether the process lives, and whether it is ready for requests.
//!
//! Must not know the reason; the node that starts and stops the server sets it.

use std::borrow::Cow;
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::metrics::Exposition;

use super::error::ApiError;
use super::reply::Reply;

/// A check that runs at every probe: returns the reason why the server is not ready, if there is one.
type HealthCheck = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// The state that the probes of a load balancer see.
pub struct Health {
    /// The reason why the server is not ready, as far as it is worth reporting; `None` when it is ready.
    unready: RwLock<Option<Cow<'static, str>>>,
    check: OnceLock<HealthCheck>,
    /// The same of writes: why none are taken.
    fence: OnceLock<HealthCheck>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            unready: RwLock::new(Some(Cow::Borrowed(""))),
            check: OnceLock::new(),
            fence: OnceLock::new(),
        }
    }
}

impl Health {
    /// Marks the server as ready for requests, or as not ready.
    pub fn set_ready(&self, ready: bool) {
        self.set((!ready).then_some(Cow::Borrowed("")));
    }

    /// Marks the server as not ready, with the reason.
    pub fn set_unready(&self, why: impl Into<Cow<'static, str>>) {
        self.set(Some(why.into()));
    }

    /// Adds `check` to readiness: it returns the reason why the served data are too old. The first one counts.
    pub fn add_check(&self, check: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let _ = self.check.set(Box::new(check));
    }

    /// Adds `check` to readiness: it returns the reason why no writes are taken. The first one counts.
    pub fn add_fence(&self, check: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let _ = self.fence.set(Box::new(check));
    }

    fn set(&self, unready: Option<Cow<'static, str>>) {
        *self.unready.write().unwrap_or_else(PoisonError::into_inner) = unready;
    }

    /// Writes the metric of readiness.
    pub fn describe(&self, page: &mut Exposition) {
        page.gauge("reviewsd_ready", "Whether the server is ready: 1 or 0.")
            .value(self.unready().is_none());
    }

    /// Returns the reason why the server is not ready.
    fn unready(&self) -> Option<Cow<'static, str>> {
        let unready = self.unready.read().unwrap_or_else(PoisonError::into_inner);
        let told = unready.clone();
        let fenced = || (self.fence.get()?)();
        told.or_else(|| self.stale().or_else(fenced).map(Cow::Owned))
    }

    /// Returns the reason why the served data are too old, if they are.
    pub(super) fn stale(&self) -> Option<String> {
        (self.check.get()?)()
    }

    /// `GET /livez`: a server that can answer lives.
    #[expect(
        clippy::unused_self,
        reason = "the two probes are asked for in one way"
    )]
    pub(super) fn live(&self) -> Reply {
        Reply::text("live\n")
    }

    /// `GET /readyz`.
    pub(super) fn ready(&self) -> Result<Reply, ApiError> {
        match self.unready() {
            None => Ok(Reply::text("ready\n")),
            Some(why) => Err(ApiError::NotReady(why)),
        }
    }
}
