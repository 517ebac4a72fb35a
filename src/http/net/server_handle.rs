//! The handle to a running listener, which changes its limits and shuts it down.
//!
//! Must not know the answers.

use std::net::IpAddr;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::accept::{Listener, OpenAtShutdown, serve};
use super::shutdown::{Idle, ShutdownTrigger, drain};
use super::table::{PeerLimits, Table};
use super::{Limits, ResponseBody};

/// A handle to a listener and its connections.
pub struct ServerHandle {
    limits: watch::Sender<Limits>,
    table: Table,
    drain: ShutdownTrigger,
    served: JoinHandle<OpenAtShutdown>,
}

impl ServerHandle {
    /// Serves the connections of `listener` with `handler`.
    pub fn open<H, F, B>(
        listener: Listener,
        (limits, peer_limits): (Limits, PeerLimits),
        handler: H,
    ) -> Self
    where
        H: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: ResponseBody,
    {
        let (limits, limited) = watch::channel(limits);
        let (drain, draining) = drain();
        let table = Table::default();
        table.limit(peer_limits);
        let served = serve(listener, limited, table.clone(), handler, draining);
        Self {
            limits,
            table,
            drain,
            served: tokio::spawn(served),
        }
    }

    /// Allows that much from now on.
    pub fn allow(&self, (limits, peer_limits): (Limits, PeerLimits)) {
        self.limits.send_replace(limits);
        self.table.limit(peer_limits);
    }

    /// Stops accepting, and waits until all connections are closed.
    pub async fn close(self, idle: Idle) -> OpenAtShutdown {
        self.drain.begin(idle);
        self.served.await.unwrap_or_default()
    }
}
