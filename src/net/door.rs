//! A listener at work, and the ways to change what clients may take there, and to end it.
//!
//! Must not know what is answered.

use std::net::IpAddr;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::accept::{Drained, Listener, serve};
use super::drain::{Drain, Idle, drain};
use super::{Answer, Limits};

/// Where clients come in.
pub struct Door {
    limits: watch::Sender<Limits>,
    drain: Drain,
    served: JoinHandle<Drained>,
}

impl Door {
    /// Answers whoever comes to `listener` with what `handler` says.
    pub fn open<H, F, B>(listener: Listener, limits: Limits, handler: H) -> Self
    where
        H: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Answer,
    {
        let (limits, limited) = watch::channel(limits);
        let (drain, draining) = drain();
        Self {
            limits,
            drain,
            served: tokio::spawn(serve(listener, limited, handler, draining)),
        }
    }

    /// Allows that much from now on.
    pub fn allow(&self, limits: Limits) {
        self.limits.send_replace(limits);
    }

    /// Lets nobody in any more, and waits until all have left.
    pub async fn close(self, idle: Idle) -> Drained {
        self.drain.begin(idle);
        self.served.await.unwrap_or_default()
    }
}
