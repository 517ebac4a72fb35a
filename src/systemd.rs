//! The protocol between the server and systemd: that it serves, that it lives, and which sockets go from one
//! process of the server to the next.
//!
//! The protocols are those of `sd_notify(3)`, `sd_watchdog_enabled(3)` and `sd_listen_fds(3)`: lines
//! of text in datagrams, and environment variables. Must not know HTTP, the store or the reactor.
//! Invariant: without systemd every function here does nothing.

mod passed;

use std::env;
use std::ffi::OsStr;
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::process;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::time::{ClockId, clock_gettime};

pub use passed::{Error, PassedSockets};

/// The time for which a message waits for space in systemd's queue, which process 1 reads quickly.
const SEND_TIME_MAX: Duration = Duration::from_secs(1);
/// The time for systemd to read everything that it was sent.
const READ_TIME_MAX: Duration = Duration::from_secs(5);
/// File descriptors in one message: the maximum of the kernel (`SCM_MAX_FD`).
const MESSAGE_FDS_MAX: usize = 253;

/// A sender of messages to systemd.
#[derive(Debug)]
pub struct Notifier {
    /// `None` if there is no supervisor.
    socket: Option<UnixDatagram>,
}

impl Notifier {
    /// A notifier of the supervisor that started the process; of none, if `NOTIFY_SOCKET` is not set.
    ///
    /// # Errors
    ///
    /// When it is set and there is no listener.
    pub fn from_env() -> io::Result<Self> {
        match env::var_os("NOTIFY_SOCKET") {
            Some(address) => Self::to(&address),
            None => Ok(Self::to_nobody()),
        }
    }

    /// A notifier of the listener at `address`: a path, or `@` and a name without one.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn to(address: &OsStr) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        match address.as_bytes().strip_prefix(b"@") {
            Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            None => socket.connect(Path::new(address))?,
        }
        socket.set_write_timeout(Some(SEND_TIME_MAX))?;
        Ok(Self {
            socket: Some(socket),
        })
    }

    /// A notifier without a supervisor.
    #[must_use]
    pub fn to_nobody() -> Self {
        Self { socket: None }
    }

    /// True if systemd listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// Reports that the process serves now; `status` is for people.
    ///
    /// # Errors
    ///
    /// When systemd does not take the message; so do all that follow.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\nSTATUS={status}"), &[])
    }

    /// Reports that the process reads its configuration anew; [`Notifier::ready`] is to follow, whatever the
    /// outcome.
    ///
    /// # Errors
    ///
    /// When systemd does not take the message.
    pub fn reloading(&self) -> io::Result<()> {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"), &[])
    }

    /// Reports that the process is about to end.
    ///
    /// # Errors
    ///
    /// When systemd does not take the message.
    pub fn stopping(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STOPPING=1\nSTATUS={status}"), &[])
    }

    /// Reports what the process is doing, for people.
    ///
    /// # Errors
    ///
    /// When systemd does not take the message.
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STATUS={status}"), &[])
    }

    /// Reports that the process lives. To be sent once in each [`watchdog_time`].
    ///
    /// # Errors
    ///
    /// When systemd does not take the message.
    pub fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1", &[])
    }

    /// Gives systemd sockets to store for the next process, which gets them by this name; as many as the unit's
    /// `FileDescriptorStoreMax=` allows. They are stored when this returns.
    ///
    /// # Errors
    ///
    /// When systemd does not take them.
    pub fn keep<'a>(
        &self,
        name: &str,
        sockets: impl Iterator<Item = BorrowedFd<'a>>,
    ) -> io::Result<()> {
        let sockets: Vec<_> = sockets.collect();
        let message = format!("FDSTORE=1\nFDNAME={name}");
        for some in sockets.chunks(MESSAGE_FDS_MAX) {
            self.send(&message, some)?;
        }
        if sockets.is_empty() {
            return Ok(());
        }
        self.wait_until_read()
    }

    /// Has systemd close its descriptors of the sockets of this name: such a descriptor keeps a connection
    /// open.
    ///
    /// # Errors
    ///
    /// When systemd does not take the message.
    pub fn take_back(&self, name: &str) -> io::Result<()> {
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[])
    }

    /// Systemd closes the descriptor that comes with this message once it has read all messages before it.
    fn wait_until_read(&self) -> io::Result<()> {
        let (mut ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(READ_TIME_MAX))?;
        self.send("BARRIER=1", &[theirs.as_fd()])?;
        drop(theirs);
        ours.read(&mut [0]).map(|_| ())
    }

    fn send(&self, message: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_FDS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut room);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let message = [IoSlice::new(message.as_bytes())];
        sendmsg(socket, &message, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// Returns the time within which systemd wants to hear that the process lives; `None` if it does not ask.
#[must_use]
pub fn watchdog_time() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse().ok();
    if number("WATCHDOG_PID").is_some_and(|pid: u64| pid != u64::from(process::id())) {
        return None;
    }
    let time = number("WATCHDOG_USEC").map(Duration::from_micros)?;
    (!time.is_zero()).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 1024];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Returns the messages to `address`, with their sender.
    fn told(address: &OsStr, listens: &UnixDatagram) {
        let notifier = Notifier::to(address).unwrap();
        assert!(notifier.is_heard());
        notifier.ready("serving").unwrap();
        assert_eq!(text(listens), "READY=1\nSTATUS=serving");
        notifier.alive().unwrap();
        assert_eq!(text(listens), "WATCHDOG=1");
        notifier.stopping("draining").unwrap();
        assert_eq!(text(listens), "STOPPING=1\nSTATUS=draining");
        notifier.take_back("api").unwrap();
        assert_eq!(text(listens), "FDSTOREREMOVE=1\nFDNAME=api");
        notifier.reloading().unwrap();
        let reloading = text(listens);
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(since.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
    }

    #[test]
    fn messages_reach_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listens = UnixDatagram::bind(&path).unwrap();
        told(path.as_os_str(), &listens);
    }

    #[test]
    fn messages_reach_an_abstract_name() {
        let name = format!("reviewsd-test-{}", process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listens = UnixDatagram::bind_addr(&address).unwrap();
        told(OsStr::new(&format!("@{name}")), &listens);
    }

    #[test]
    fn without_anybody_to_tell_telling_succeeds() {
        let nobody = Notifier::to_nobody();
        assert!(!nobody.is_heard());
        nobody.ready("serving").unwrap();
        nobody
            .keep("api", std::iter::once(io::stdin().as_fd()))
            .unwrap();
    }

    #[test]
    fn whoever_does_not_listen_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        Notifier::to(dir.path().join("none").as_os_str()).unwrap_err();
        Notifier::to(OsStr::new("")).unwrap_err();
    }
}
