//! The listening socket, and the loop that takes connections from it.
//!
//! Invariant: at most one connection is accepted for which there is no slot; until there is one, those
//! behind it wait in the backlog of the kernel instead of in our memory.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::metrics::Present;

use super::clock::ConnectionClock;
use super::counts::Counts;
use super::secure::{certificate, greet};
use super::shutdown::ShutdownSignal;
use super::table::{ConnectionSlot, Table};
use super::tls::{ServerConfig, Tls};
use super::{Limits, ResponseBody, connection, options};

/// Connections that may wait to be accepted, as many as the unit of the socket has; the kernel cuts it to
/// `net.core.somaxconn`. Of a burst that is longer the rest waits a second for its next try, and nginx, which
/// waits half a second, counts the server as one that failed.
const BACKLOG: i32 = 4096;
/// The pause when no connection can be accepted, mostly for want of file descriptors.
const BACKOFF: Duration = Duration::from_millis(100);

/// The time to wait for a slot before another connection is evicted.
const RETRY_TIME: Duration = Duration::from_millis(100);

/// An address that is ours. Clients can connect, and wait until a [`Listener`] accepts them.
#[derive(Debug)]
pub struct BoundAddress {
    socket: TcpListener,
    bound: SocketAddr,
    counts: Arc<Counts>,
    /// Connections that were accepted from it before.
    inherited: Vec<TcpStream>,
}

impl BoundAddress {
    /// Binds to `address`.
    ///
    /// # Errors
    ///
    /// The system's error: mostly that the port is taken, or not ours to take.
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
        Self::inherit(socket.into(), Vec::new())
    }

    /// Continues with a socket that listens already, and with connections accepted from it that wait for a
    /// request.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn inherit(socket: TcpListener, connections: Vec<TcpStream>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            bound: socket.local_addr()?,
            socket,
            counts: Arc::default(),
            inherited: connections,
        })
    }

    /// Returns a listener, which takes over the inherited connections. Must be called within a runtime; there
    /// may be another one after it, in another runtime.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn listener(&mut self) -> io::Result<Listener> {
        let inherited = std::mem::take(&mut self.inherited).into_iter();
        let inherited = inherited.filter_map(|connection| {
            // A connection that cannot be continued is closed, as if it had not been inherited.
            connection.set_nonblocking(true).ok()?;
            tokio::net::TcpStream::from_std(connection).ok()
        });
        Ok(Listener {
            inherited: inherited.collect(),
            socket: tokio::net::TcpListener::from_std(self.socket.try_clone()?)?,
            counts: Arc::clone(&self.counts),
            tls: None,
        })
    }

    /// Returns the address that it listens on, with the real port if port 0 was requested.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.bound
    }

    /// Returns the counts of its connections.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }
}

/// Accepts connections at an [`BoundAddress`].
pub struct Listener {
    socket: tokio::net::TcpListener,
    counts: Arc<Counts>,
    /// Connections that were accepted from it before.
    inherited: Vec<tokio::net::TcpStream>,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// The same over TLS, if there is a certificate to show. Its connections cannot be kept open across a
    /// shutdown: the TLS session ends with the process.
    #[must_use]
    pub fn secured(self, tls: &Arc<Tls>) -> Self {
        let tls = tls.serves().then(|| Arc::clone(tls));
        Self { tls, ..self }
    }
}

/// The connections that are left after a shutdown.
#[derive(Debug, Default)]
pub struct OpenAtShutdown {
    /// Connections that were still open when `drain_time_max` was over.
    pub cut_off: usize,
    /// Connections that wait for a request, if the shutdown was to keep them open.
    pub kept: Vec<TcpStream>,
}

/// Connections that are handed over, until all are there.
type HeldConnections = Arc<Mutex<Vec<TcpStream>>>;

/// Serves connections until the shutdown, then waits for those under way. `handler` answers a request, given
/// its peer. Limits that change count for the connections that come from then on; how many there may be at once
/// does not change.
pub(super) async fn serve<H, F, B>(
    mut listener: Listener,
    limits: watch::Receiver<Limits>,
    table: Table,
    handler: H,
    draining: ShutdownSignal,
) -> OpenAtShutdown
where
    H: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send,
    B: ResponseBody,
{
    let connections_max = limits.borrow().connections_max;
    let slots = Arc::new(Semaphore::new(connections_max));
    listener.counts.limit(connections_max);
    let kept = HeldConnections::default();
    let (keeping, ending) = (Arc::clone(&kept), draining.clone());
    let (counts, present) = (Arc::clone(&listener.counts), limits.clone());
    let tls = listener.tls.clone();
    let begin = move |guest: AdmittedConnection, slot| {
        let handler = handler.clone();
        let peer = guest.peer;
        let is_near = guest.is_near();
        let handler = move |mut request: Request<Incoming>| {
            if is_near {
                request.extensions_mut().insert(SameMachine);
            }
            handler(request, peer)
        };
        options::set_accepted(&guest.socket);
        let accepted = Accepted {
            guest,
            held: (slot, counts.open.present()),
            limits: *present.borrow(),
            draining: ending.clone(),
            counts: Arc::clone(&counts),
        };
        match tls.as_ref().and_then(|tls| tls.server()) {
            None => accepted.start(handler, &keeping),
            Some(config) => accepted.start_secured(handler, config),
        }
    };
    for socket in std::mem::take(&mut listener.inherited) {
        // A connection whose client has closed it already, or that gets no slot, is closed.
        if let (Ok(peer), Ok(slot)) = (socket.peer_addr(), Arc::clone(&slots).try_acquire_owned())
            && let Some(guest) =
                AdmittedConnection::seated(socket, peer.ip(), ConnectionClock::used(), &table)
        {
            begin(guest, slot);
        }
    }
    tokio::select! {
        biased;
        _ = draining.begun() => {}
        () = accept(&listener, &slots, &table, begin) => {}
    }
    drop(listener);
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    let drain_time_max = limits.borrow().drain_time_max;
    let cut_off = match timeout(drain_time_max, slots.acquire_many(all)).await {
        Ok(_) => 0,
        Err(_) => connections_max - slots.available_permits(),
    };
    let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
    OpenAtShutdown { cut_off, kept }
}

async fn accept(
    listener: &Listener,
    slots: &Arc<Semaphore>,
    table: &Table,
    begin: impl Fn(AdmittedConnection, OwnedSemaphorePermit),
) {
    let mut failing = false;
    loop {
        let (socket, peer) = match listener.socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // One line a burst: the next comes when it has worked in between.
                if !failing {
                    tracing::warn!("cannot accept connections, retrying: {error}");
                }
                failing = true;
                listener.counts.failed.count();
                sleep(BACKOFF).await;
                continue;
            }
        };
        failing = false;
        let Some(guest) =
            AdmittedConnection::seated(socket, peer.ip(), ConnectionClock::new(), table)
        else {
            listener.counts.refused.count();
            continue;
        };
        let slot = free_slot(slots, table, &guest.seat, &listener.counts).await;
        begin(guest, slot);
    }
}

/// A slot for the connection with this seat: one that is free, or that of a connection which gives way.
async fn free_slot(
    slots: &Arc<Semaphore>,
    table: &Table,
    seat: &ConnectionSlot,
    counts: &Counts,
) -> OwnedSemaphorePermit {
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return slot;
    }
    let mut is_held_back = false;
    loop {
        table.evict_for(seat);
        let slot = Arc::clone(slots).acquire_owned();
        // The semaphore is never closed.
        if let Ok(Ok(slot)) = timeout(RETRY_TIME, slot).await {
            return slot;
        }
        if !is_held_back {
            is_held_back = true;
            counts.held_back.count();
        }
    }
}

/// An extension of the requests of a client on this machine that connected by an address of the machine other than
/// loopback. The system takes no packet from another machine that has such an address as its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SameMachine;

/// A connection with its slot in the table.
struct AdmittedConnection {
    socket: tokio::net::TcpStream,
    peer: IpAddr,
    clock: Arc<ConnectionClock>,
    seat: ConnectionSlot,
}

impl AdmittedConnection {
    /// `None` if the table has no slot for it.
    fn seated(
        socket: tokio::net::TcpStream,
        peer: IpAddr,
        clock: ConnectionClock,
        table: &Table,
    ) -> Option<Self> {
        let clock = Arc::new(clock);
        let seat = table.enter(peer, &clock)?;
        Some(Self {
            socket,
            peer,
            clock,
            seat,
        })
    }

    /// True if its client is on this machine, and did not come by loopback.
    fn is_near(&self) -> bool {
        let own = self.socket.local_addr();
        !self.peer.is_loopback() && own.is_ok_and(|own| own.ip() == self.peer)
    }
}

/// A connection that has a slot.
struct Accepted {
    guest: AdmittedConnection,
    held: (OwnedSemaphorePermit, Present),
    limits: Limits,
    draining: ShutdownSignal,
    counts: Arc<Counts>,
}

impl Accepted {
    fn start<H, F, B>(self, handler: H, kept: &HeldConnections)
    where
        H: Fn(Request<Incoming>) -> F + Send + 'static,
        F: Future<Output = Response<B>> + Send,
        B: ResponseBody,
    {
        let kept = Arc::clone(kept);
        tokio::spawn(async move {
            let (limits, draining) = (self.limits, self.draining);
            let AdmittedConnection {
                socket,
                clock,
                seat,
                ..
            } = self.guest;
            let left = connection::run(socket, &clock, limits, handler, draining).await;
            if let Some(Ok(left)) = left.map(tokio::net::TcpStream::into_std) {
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(left);
            } else if clock.is_evicted() {
                self.counts.evicted.count();
            }
            drop((self.held, seat));
        });
    }

    /// The same once both sides have verified each other.
    fn start_secured<H, F, B>(self, handler: H, config: Arc<ServerConfig>)
    where
        H: Fn(Request<Incoming>) -> F + Send + 'static,
        F: Future<Output = Response<B>> + Send,
        B: ResponseBody,
    {
        tokio::spawn(async move {
            let (limits, draining) = (self.limits, self.draining);
            let AdmittedConnection {
                socket,
                peer,
                clock,
                seat,
            } = self.guest;
            let greeted = tokio::select! {
                greeted = greet(socket, config, limits.head_time_max) => Some(greeted),
                _ = draining.clone().begun() => None,
                () = clock.evicted() => None,
            };
            match greeted {
                Some(Ok(stream)) => {
                    let shown = certificate(&stream);
                    let handler = move |mut request: Request<Incoming>| {
                        if let Some(shown) = &shown {
                            request.extensions_mut().insert(shown.clone());
                        }
                        handler(request)
                    };
                    connection::run(stream, &clock, limits, handler, draining).await;
                }
                Some(Err(why)) => {
                    self.counts.failed_handshakes.count();
                    if let Some(why) = why {
                        tracing::warn!("the TLS handshake with {peer} failed: {why}");
                    }
                }
                None => {}
            }
            if clock.is_evicted() {
                self.counts.evicted.count();
            }
            drop((self.held, seat));
        });
    }
}
