//! The floor: this program's own bare server.

use std::net::SocketAddr;
use std::path::Path;

use rustix::process::Signal;

use super::{Starting, address_in};
use crate::scenario::cage::OrphanSignal;
use crate::scenario::error::Error;
use crate::scenario::process::Process;

impl Starting<'_> {
    /// Starts bare hyper with the bytes of a file.
    pub(super) fn floor(&mut self, body: &Path) -> Result<SocketAddr, Error> {
        let program = self.setting.bench.as_os_str();
        let mut command = self.cage.command(program, None, OrphanSignal::Kill);
        command.args(["floor", "--listen", "127.0.0.1:0", "--threads", "1"]);
        command.arg("--body").arg(body);
        let log = self.setting.scratch.path("floor.log");
        let mut process = Process::start("reviewsd-bench floor", command, log, Signal::TERM)?;
        let address = process.wait_for(&self.setting.stop, |line| address_in(line, ""))?;
        self.processes.push(process);
        Ok(address)
    }
}
