//! Sockets that do not block, and the wait for what happens on them: Linux's epoll.
//!
//! Owns the system calls and must not know what the bytes mean. Events come on edges: once for what
//! is new, so whoever is told of bytes reads all there are.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::time::Timespec;

/// Events that one wait can bring; more come with the next.
const EVENTS_MAX: usize = 256;

pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// An event of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The other side sends nothing more, or all is over.
    pub(crate) ended: bool,
}

impl Ready {
    /// The lower half of a token, which is the connection's index.
    pub(crate) fn index(&self) -> u32 {
        let [.., a, b, c, d] = self.token.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Tells of the socket by this token, until it is closed.
    pub(crate) fn add(&self, stream: &TcpStream, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, stream, EventData::new_u64(token), flags)?;
        Ok(())
    }

    /// Waits until something happens or the time is over. How many events there are.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let timeout = Timespec::try_from(timeout).map_err(|_| Errno::INVAL)?;
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timeout),
        ) {
            Ok(_) => Ok(self.events.len()),
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// One of the events of the last wait.
    pub(crate) fn event(&self, index: usize) -> Option<Ready> {
        let Event { flags, data } = *self.events.get(index)?;
        let over = EventFlags::ERR | EventFlags::HUP;
        Some(Ready {
            token: data.u64(),
            readable: flags.intersects(EventFlags::IN | EventFlags::RDHUP | over),
            writable: flags.intersects(EventFlags::OUT | over),
            ended: flags.intersects(EventFlags::RDHUP | over),
        })
    }
}

/// Begins to connect; the socket becomes writable when that succeeds or fails.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    // Without it a request that does not fit into one packet waits for an acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}
