//! Whether the process lives and whether it wants requests.
//!
//! Must not know why; who starts and stops the server says so.

use std::borrow::Cow;
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::metrics::Exposition;

use super::error::ApiError;
use super::reply::Reply;

/// Asked at every probe: why no requests are wanted, if so.
type HealthCheck = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// The state that the probes of a load balancer see.
pub struct Health {
    /// Why no requests are wanted, as far as it is worth telling; `None` when they are.
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
    /// Asks for requests, or asks for no more.
    pub fn set_ready(&self, ready: bool) {
        self.set((!ready).then_some(Cow::Borrowed("")));
    }

    /// Asks for no more requests, and says why.
    pub fn set_unready(&self, why: impl Into<Cow<'static, str>>) {
        self.set(Some(why.into()));
    }

    /// Lets `check` be asked, too, whenever requests would be wanted: why what is served is too old.
    /// The first one counts.
    pub fn add_check(&self, check: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let _ = self.check.set(Box::new(check));
    }

    /// Lets `check` be asked, too, whenever requests would be wanted: why no writes are taken. The first one
    /// counts.
    pub fn add_fence(&self, check: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let _ = self.fence.set(Box::new(check));
    }

    fn set(&self, unready: Option<Cow<'static, str>>) {
        *self.unready.write().unwrap_or_else(PoisonError::into_inner) = unready;
    }

    /// Tells whether requests are wanted.
    pub fn describe(&self, page: &mut Exposition) {
        page.gauge("reviewsd_ready", "Whether the server is ready: 1 or 0.")
            .value(self.unready().is_none());
    }

    /// Why no requests are wanted.
    fn unready(&self) -> Option<Cow<'static, str>> {
        let unready = self.unready.read().unwrap_or_else(PoisonError::into_inner);
        let told = unready.clone();
        let fenced = || (self.fence.get()?)();
        told.or_else(|| self.stale().or_else(fenced).map(Cow::Owned))
    }

    /// Why what is served is too old, if it is.
    pub(super) fn stale(&self) -> Option<String> {
        (self.check.get()?)()
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
        match self.unready() {
            None => Ok(Reply::text("ready\n")),
            Some(why) => Err(ApiError::NotReady(why)),
        }
    }
}
