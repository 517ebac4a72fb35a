//! The sockets that systemd passed to the process: those it listens with, and connections that the
//! process before it left.
//!
//! Invariants: each is owned once; none is inherited by a child.

use std::env;
use std::fmt;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::socket_acceptconn;

/// The number of the first file descriptor that is passed, by the protocol.
const FIRST: RawFd = 3;
/// More than any unit's `FileDescriptorStoreMax=` makes sense for.
const PASSED_MAX: RawFd = 1 << 16;

/// The sockets that systemd passed, each with its name, that are not taken yet.
#[derive(Debug, Default)]
pub struct PassedSockets {
    sockets: Vec<(String, OwnedFd)>,
}

impl PassedSockets {
    /// Takes over what `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` announce. To be called while
    /// the process has no other thread that opens files; a second time there is nothing left.
    ///
    /// # Errors
    ///
    /// When what is announced is not there.
    pub fn take() -> Result<Self, Error> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let number = |name| env::var(name).ok()?.parse::<RawFd>().ok();
        let ours = number("LISTEN_PID").is_some_and(|pid| u32::try_from(pid) == Ok(process::id()));
        if !ours || TAKEN.swap(true, Ordering::Relaxed) {
            return Ok(Self::default());
        }
        let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, PASSED_MAX);
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').chain(std::iter::repeat("unknown"));
        let sockets = (FIRST..FIRST + count).zip(names).map(|(number, name)| {
            let socket = own(number).ok_or(Error::Absent(number))?;
            fcntl_setfd(&socket, FdFlags::CLOEXEC).map_err(|_| Error::Absent(number))?;
            Ok((name.to_owned(), socket))
        });
        Ok(Self {
            sockets: sockets.collect::<Result<_, _>>()?,
        })
    }

    /// The socket of this name that listens, if one was passed.
    ///
    /// # Errors
    ///
    /// When there are several, or it does not listen for TCP connections.
    pub fn listener(&mut self, name: &'static str) -> Result<Option<TcpListener>, Error> {
        let mut named = self.named(name);
        let Some(socket) = named.pop() else {
            return Ok(None);
        };
        if !named.is_empty() {
            return Err(Error::Several(name));
        }
        let listener = TcpListener::from(socket);
        let listens = socket_acceptconn(&listener).unwrap_or(false);
        if !listens || listener.local_addr().is_err() {
            return Err(Error::NotListening(name));
        }
        Ok(Some(listener))
    }

    /// The connections of this name.
    pub fn connections(&mut self, name: &str) -> Vec<TcpStream> {
        self.named(name).into_iter().map(TcpStream::from).collect()
    }

    /// Checks that every listening socket has one of these names.
    ///
    /// # Errors
    ///
    /// When something has not: nobody would serve it, and its clients would wait forever.
    pub fn check_names(&self, known: &[&str]) -> Result<(), Error> {
        let mut others = self.sockets.iter().filter(|(name, socket)| {
            !known.contains(&name.as_str()) && socket_acceptconn(socket).unwrap_or(false)
        });
        match others.next() {
            None => Ok(()),
            Some((name, _)) => Err(Error::UnknownName(name.clone())),
        }
    }

    fn named(&mut self, name: &str) -> Vec<OwnedFd> {
        let named = self.sockets.extract_if(.., |(found, _)| found == name);
        named.map(|(_, socket)| socket).collect()
    }
}

/// The file descriptor with this number, if it is open.
#[expect(
    unsafe_code,
    reason = "the protocol passes sockets as numbers, and only this makes one of a number"
)]
fn own(number: RawFd) -> Option<OwnedFd> {
    // Whoever set the variables may have been wrong: a number that is not open now may be given to a
    // file that is opened later, which then would have two owners.
    fs::symlink_metadata(format!("/proc/self/fd/{number}")).ok()?;
    // SAFETY: it is open, as just seen, and nobody else owns it: `LISTEN_PID` says that it was passed
    // to this process for this purpose, and `TAKEN` that it is asked for once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Why what was passed is not taken.
#[derive(Debug)]
pub enum Error {
    /// A file descriptor was announced and is not open.
    Absent(RawFd),
    /// More than one socket of this name listens.
    Several(&'static str),
    /// The socket of this name is none that listens for TCP connections.
    NotListening(&'static str),
    /// Nothing takes a socket of this name.
    UnknownName(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(number) => write!(
                f,
                "LISTEN_FDS announces file descriptor {number}, which is not open; \
                 unset LISTEN_FDS and LISTEN_PID to start without systemd's sockets"
            ),
            Self::Several(name) => write!(
                f,
                "systemd passed several sockets named {name:?}; \
                 keep one ListenStream= in the socket unit of that FileDescriptorName="
            ),
            Self::NotListening(name) => write!(
                f,
                "the socket named {name:?} that systemd passed does not listen for TCP connections; \
                 give its unit a ListenStream= with an address and a port"
            ),
            Self::UnknownName(name) => write!(
                f,
                "systemd passed a socket named {name:?}; \
                 give its unit FileDescriptorName=public or FileDescriptorName=admin"
            ),
        }
    }
}

impl std::error::Error for Error {}
