//! The listening socket, and the loop that takes connections from it.
//!
//! Invariant: a connection is accepted only when there is a slot for it, so that whoever comes
//! beyond the limit waits in the backlog of the kernel instead of in our memory.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::clock::Clock;
use super::{Answer, Draining, Limits, connection};

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 1024;
/// How long to wait when no connection can be accepted, mostly for want of file descriptors.
const BACKOFF: Duration = Duration::from_millis(100);

/// An address that is ours. Clients can connect, and wait until a [`Listener`] accepts them.
#[derive(Debug)]
pub struct Address {
    socket: Socket,
    address: SocketAddr,
}

impl Address {
    /// Takes `address`.
    ///
    /// # Errors
    ///
    /// What the system says: mostly that the port is taken, or not ours to take.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // A restart must not wait for the connections of the process before it to time out.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let bound = socket.local_addr()?.as_socket();
        let address = bound.ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { socket, address })
    }

    /// A way to accept connections. Must be called within a runtime; there may be another one
    /// after it, in another runtime.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn listener(&self) -> io::Result<Listener> {
        Ok(Listener {
            socket: TcpListener::from_std(self.socket.try_clone()?.into())?,
        })
    }

    /// Where it listens; the port is the real one where port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Accepts connections at an [`Address`].
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
}

/// Serves connections until the drain, then waits for those under way. `handler` answers a request,
/// given who sent it.
///
/// Returns how many were still open when `drain_time_max` was over.
pub async fn serve<H, F, B>(
    listener: Listener,
    limits: Limits,
    handler: H,
    draining: Draining,
) -> usize
where
    H: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send,
    B: Answer,
{
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    tokio::select! {
        biased;
        () = draining.clone().begun() => {}
        () = accept(&listener, limits, &slots, handler, &draining) => {}
    }
    drop(listener);
    let all = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
    match timeout(limits.drain_time_max, slots.acquire_many(all)).await {
        Ok(_) => 0,
        Err(_) => limits.connections_max - slots.available_permits(),
    }
}

async fn accept<H, F, B>(
    listener: &Listener,
    limits: Limits,
    slots: &Arc<Semaphore>,
    handler: H,
    draining: &Draining,
) where
    H: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send,
    B: Answer,
{
    let mut failing = false;
    // The semaphore is never closed, so this ends with the future only.
    while let Ok(slot) = Arc::clone(slots).acquire_owned().await {
        let (socket, peer) = loop {
            match listener.socket.accept().await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    // One line a burst: the next comes when it has worked in between.
                    if !failing {
                        tracing::warn!("cannot accept connections for now: {error}");
                    }
                    failing = true;
                    sleep(BACKOFF).await;
                }
            }
        };
        failing = false;
        let handler = handler.clone();
        let handler = move |request| handler(request, peer.ip());
        start(socket, slot, limits, handler, draining.clone());
    }
}

fn start<H, F, B>(
    socket: TcpStream,
    slot: OwnedSemaphorePermit,
    limits: Limits,
    handler: H,
    draining: Draining,
) where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<B>> + Send,
    B: Answer,
{
    // Answers are written whole, so nothing is won by waiting for more; a client that is gone
    // already is noticed by the first read.
    let _ = socket.set_nodelay(true);
    tokio::spawn(async move {
        let clock = Arc::new(Clock::new());
        connection::run(socket, &clock, limits, handler, draining).await;
        drop(slot);
    });
}
