//! The messages of the server to systemd, and the sockets that it gets from it.
//!
//! Invariants: a message that systemd does not take is a line in the log and stops nothing; the watchdog is fed
//! only as long as the reactor turns and the writer makes progress.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::net::Idle;
use crate::store::Heartbeat;
use crate::systemd::{self, Notifier, PassedSockets};

/// The name of the API's socket (`FileDescriptorName=` in reviewsd.socket).
pub(super) const PUBLIC: &str = "public";
/// The name of the admin port's socket.
pub(super) const ADMIN: &str = "admin";
/// The watchdog is fed so often in the time that it waits, so that one late tick is no alarm.
const TICKS: u32 = 3;
/// The time after which the watchdog is not fed for a writer that is at one batch. A slow disk is no
/// reason to be killed, and killing does not make it faster: this is as long as the kernel waits
/// until it calls a task hung.
const BATCH_TIME_MAX: Duration = Duration::from_mins(2);

/// Systemd, or no supervisor.
pub(super) struct Supervisor {
    notifier: Arc<Notifier>,
    passed: PassedSockets,
    /// The sockets that came from systemd, which has its own descriptors of them.
    lasting: Vec<&'static str>,
}

impl Supervisor {
    /// Takes over the sockets that were passed. To be called before any other file is opened.
    pub(super) fn meet() -> Result<Self, systemd::Error> {
        let passed = PassedSockets::take()?;
        passed.check_names(&[PUBLIC, ADMIN])?;
        let notifier = Notifier::from_env().unwrap_or_else(|error| {
            tracing::warn!("cannot connect to NOTIFY_SOCKET: {error}");
            Notifier::to_nobody()
        });
        Ok(Self {
            notifier: Arc::new(notifier),
            passed,
            lasting: Vec::new(),
        })
    }

    /// Reports that the store is about to be opened, which takes a while after a crash.
    pub(super) fn opening(&self, data: &Path) {
        let status = format!("Opening the store in {}", data.display());
        log_failure(self.notifier.status(&status));
    }

    /// The socket of this name, if systemd passed one, with the connections that were stored with it. `address`
    /// is where there would be one otherwise.
    pub(super) fn listener(
        &mut self,
        name: &'static str,
        address: SocketAddr,
    ) -> Result<Option<(TcpListener, Vec<TcpStream>)>, systemd::Error> {
        let kept = kept(name);
        log_failure(self.notifier.take_back(&kept));
        let kept = self.passed.connections(&kept);
        let Some(socket) = self.passed.listener(name)? else {
            return Ok(None);
        };
        let passed = socket.local_addr().ok();
        if let Some(passed) = passed.filter(|passed| *passed != address) {
            tracing::warn!(
                "{name} listens at {passed}, as its socket unit says, and not at {address} of the \
                 configuration"
            );
        }
        self.lasting.push(name);
        Ok(Some((socket, kept)))
    }

    /// True if the socket of this name is systemd's, which keeps it open when the server closes it.
    pub(super) fn lasts(&self, name: &str) -> bool {
        self.lasting.contains(&name)
    }

    /// The store is not here yet, and that is no reason to call the start a failure.
    pub(super) fn waiting(&self, admin: &str) {
        let status = format!("Waiting for the primary; see {admin}/readyz");
        log_failure(self.notifier.ready(&status));
    }

    /// Requests are answered from now on.
    pub(super) fn serving(&self, public: SocketAddr, admin: &str) {
        let status = format!("Serving http://{public} (api), {admin} (admin)");
        log_failure(self.notifier.ready(&status));
    }

    /// The configuration is read again; [`Self::serving`] is to follow.
    pub(super) fn reloading(&self) {
        log_failure(self.notifier.reloading());
    }

    /// Returns a future that feeds the watchdog as long as it runs, if there is a watchdog.
    pub(super) fn watch(
        &self,
        heartbeat: Heartbeat,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let period = systemd::watchdog_time()? / TICKS;
        self.notifier.is_heard().then(|| {
            let notifier = Arc::clone(&self.notifier);
            async move {
                loop {
                    tick(&notifier, heartbeat.busy_time());
                    sleep(period).await;
                }
            }
        })
    }

    /// Returns the treatment of idle connections at the end. The next process continues with those whose
    /// listening socket is systemd's; systemd closes connections that it does not know of.
    pub(super) fn idle(&self, name: &str) -> Idle {
        if self.notifier.is_heard() && self.lasts(name) {
            Idle::Keep
        } else {
            Idle::End
        }
    }

    /// No further request is taken.
    pub(super) fn ending(&self) {
        log_failure(self.notifier.stopping("Finishing the requests in flight"));
    }

    /// Leaves connections to the next process.
    pub(super) fn keep(&self, name: &str, connections: &[TcpStream]) {
        let sockets = connections.iter().map(AsFd::as_fd);
        log_failure(self.notifier.keep(&kept(name), sockets));
    }
}

/// Returns the name of the connections stored for a listening socket.
fn kept(name: &str) -> String {
    format!("{name}-kept")
}

/// Feeds the watchdog: that this runs shows that the reactor turns; `busy_time`, whether the writer gets on.
fn tick(notifier: &Notifier, busy_time: Duration) {
    if busy_time < BATCH_TIME_MAX {
        log_failure(notifier.alive());
    } else {
        let status = format!("The writer has not finished a batch for {busy_time:.0?}");
        tracing::error!("{status}: the watchdog is no longer notified");
        log_failure(notifier.status(&status));
    }
}

fn log_failure(sent: io::Result<()>) {
    if let Err(error) = sent {
        tracing::warn!("cannot notify systemd: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_slow_writer_feeds_the_watchdog_a_stalled_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        let told = |busy_time| {
            tick(&notifier, busy_time);
            let mut bytes = [0; 1024];
            let length = systemd.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        };
        assert_eq!(told(Duration::ZERO), "WATCHDOG=1");
        assert_eq!(told(Duration::from_secs(119)), "WATCHDOG=1");
        let hangs = "STATUS=The writer has not finished a batch for 120s";
        assert_eq!(told(Duration::from_mins(2)), hangs);
    }
}
