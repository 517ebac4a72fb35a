//! The servers that are compared, and how each is started.
//!
//! Owns which there are. It must not know what is measured with them.

pub(crate) mod express;
mod nginx;
pub(crate) mod postgres;
pub(crate) mod reviewsd;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::cage::{Cage, Room, Used};
use super::process::Process;
use super::setting::Setting;

/// One of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Server {
    Reviewsd,
    /// reviewsd behind nginx's cache.
    ReviewsdCached,
    /// Express and PostgreSQL.
    Express,
    /// The same behind nginx's cache.
    ExpressCached,
    /// Bare hyper, with one answer.
    Floor,
    /// The same behind nginx's cache.
    FloorCached,
    /// nginx, with one answer from a file.
    File,
}

/// The data that a server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Imported data, which stay as they are.
    Imported,
    /// A copy of that, for this run to write to.
    Written,
}

/// A server that runs, with all its processes.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// From its start to its word that it is ready.
    pub(crate) ready: Duration,
    // In this order: a server is ended before what it asks, and all before their cage.
    processes: Vec<Process>,
    cage: Cage,
}

impl Server {
    /// As tables have it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Reviewsd => "reviewsd",
            Self::ReviewsdCached => "nginx cache, reviewsd",
            Self::Express => "Express + PostgreSQL",
            Self::ExpressCached => "nginx cache, Express + PostgreSQL",
            Self::Floor => "bare hyper",
            Self::FloorCached => "nginx cache, bare hyper",
            Self::File => "nginx, static file",
        }
    }

    /// True if it is the peer, or stands before it.
    pub(crate) fn needs_express(self) -> bool {
        matches!(self, Self::Express | Self::ExpressCached)
    }

    /// True if it answers everything with the same bytes.
    pub(crate) fn has_one_answer(self) -> bool {
        matches!(self, Self::Floor | Self::FloorCached | Self::File)
    }

    /// Starts it; one that has a single answer gets it from the file `body`.
    pub(crate) fn start(
        self,
        setting: &Setting,
        room: &Room,
        data: Data,
        body: &Path,
    ) -> Result<Running> {
        let since = Instant::now();
        let mut starting = Starting {
            setting,
            cage: Cage::new(room),
            processes: Vec::new(),
        };
        let address = match self {
            Self::Reviewsd => starting.reviewsd(data)?,
            Self::ReviewsdCached => {
                let upstream = starting.reviewsd(data)?;
                starting.cache(upstream)?
            }
            Self::Express => starting.express(data)?,
            Self::ExpressCached => {
                let upstream = starting.express(data)?;
                starting.cache(upstream)?
            }
            Self::Floor => starting.floor(body)?,
            Self::FloorCached => {
                let upstream = starting.floor(body)?;
                starting.cache(upstream)?
            }
            Self::File => starting.file(body)?,
        };
        // The last one started asks those before it.
        starting.processes.reverse();
        Ok(Running {
            address,
            ready: since.elapsed(),
            processes: starting.processes,
            cage: starting.cage,
        })
    }
}

/// A server on its way; dropped halfway, what was started ends.
struct Starting<'a> {
    setting: &'a Setting,
    processes: Vec<Process>,
    cage: Cage,
}

impl Starting<'_> {
    /// Starts bare hyper with the bytes of a file.
    fn floor(&mut self, body: &Path) -> Result<SocketAddr> {
        let mut command = self
            .cage
            .command(self.setting.bench.as_os_str(), None, "KILL");
        command.args(["floor", "--listen", "127.0.0.1:0", "--threads", "1"]);
        command.arg("--body").arg(body);
        let log = self.setting.scratch.path("floor.log");
        let mut process = Process::start("reviewsd-bench floor", command, log, Signal::TERM)?;
        let address = process.wait_for(&self.setting.stop, |line| address_in(line, ""))?;
        self.processes.push(process);
        Ok(address)
    }
}

impl Running {
    /// Returns the resources that all its processes used.
    pub(crate) fn used(&self) -> Used {
        let pids: Vec<u32> = self.processes.iter().map(Process::id).collect();
        self.cage.used(&pids)
    }
}

/// The address in a line such as `listening on http://127.0.0.1:8080 (api)`.
fn address_in(line: &str, which: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once("listening on http://")?;
    let (address, rest) = after.split_once(' ').unwrap_or((after, ""));
    if rest != which {
        return None;
    }
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_listener_is_read_from_its_line() {
        let address = "127.0.0.1:39811".parse().ok();
        let line = "2026-11-21T09:40:39Z  INFO listening on http://127.0.0.1:39811 (api)";
        assert_eq!(address_in(line, "(api)"), address);
        assert_eq!(address_in(line, "(admin)"), None);
        assert_eq!(
            address_in("listening on http://127.0.0.1:39811", ""),
            address
        );
        assert_eq!(address_in("ended", ""), None);
    }
}
