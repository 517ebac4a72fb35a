//! Express, on the PostgreSQL beside it.
//!
//! Owns how the packages are installed, once, into the work directory, so that the sources stay clean.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::{Absent, Data, Starting, address_in};
use crate::scenario::cage::OrphanSignal;
use crate::scenario::error::{Error, Skipped};
use crate::scenario::process::Process;
use crate::scenario::setting::{Setting, remove_dir};
use crate::scenario::tools;

const LOCK: &str = "package-lock.json";

impl Starting<'_> {
    /// Starts PostgreSQL and Express.
    pub(super) fn express(&mut self, data: Data) -> Result<SocketAddr, Absent> {
        let node = tools::find("node", "nodejs")?;
        let home = installed(self.setting);
        if !home.join(LOCK).exists() {
            return Err(Skipped("its packages were not installed".to_owned()).into());
        }
        let environment = self.postgres(data)?;
        let mut command = self
            .cage
            .command(node.as_os_str(), None, OrphanSignal::Kill);
        command.arg("src/server.js").current_dir(home);
        command.envs(environment);
        command.env("NODE_ENV", "production").env("PORT", "0");
        let log = self.setting.scratch.path("express.log");
        let mut process = Process::start("node src/server.js", command, log, Signal::TERM)?;
        let address = process.wait_for(&self.setting.stop, |line| address_in(line, ""))?;
        self.processes.push(process);
        Ok(address)
    }
}

/// Installs the peer with the exact packages of its lock file; not again while that is the same.
pub(crate) fn install(setting: &Setting) -> Result<(), Absent> {
    tools::find("node", "nodejs")?;
    let npm = tools::find("npm", "npm")?;
    let (from, to) = (setting.peers.join("express-postgres"), installed(setting));
    let wanted = from.join(LOCK);
    let wanted = fs::read(&wanted).map_err(Error::file("read", &wanted))?;
    // npm writes a lock file of its own when all is installed.
    let is_whole = to.join("node_modules/.package-lock.json").exists();
    let is_there = is_whole && fs::read(to.join(LOCK)).is_ok_and(|there| there == wanted);
    if !is_there {
        remove_dir(&to)?;
        fs::create_dir_all(&to).map_err(Error::file("create", &to))?;
        copy(&from.join("package.json"), &to.join("package.json"))?;
        copy(&from.join(LOCK), &to.join(LOCK))?;
        let mut command = Command::new(npm);
        command.args([
            "ci",
            "--omit=dev",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]);
        command.current_dir(&to);
        let log = setting.scratch.path("npm.log");
        let installed = Process::start("npm ci", command, log, Signal::TERM)
            .and_then(|mut process| process.wait(&setting.stop));
        if let Err(error) = installed {
            remove_dir(&to)?;
            return Err(match error {
                // The registry may be out of reach, and the rest needs none.
                Error::Failed { said, .. } => {
                    Skipped(format!("npm ci failed; it said: {said}")).into()
                }
                error => error.into(),
            });
        }
    }
    let (from, to) = (from.join("src"), to.join("src"));
    fs::create_dir_all(&to).map_err(Error::file("create", &to))?;
    for entry in fs::read_dir(&from).map_err(Error::file("read", &from))? {
        let entry = entry.map_err(Error::file("read", &from))?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The version of a package that was installed.
pub(crate) fn package_version(setting: &Setting, package: &str) -> Option<String> {
    let path = installed(setting).join("node_modules").join(package);
    let text = fs::read_to_string(path.join("package.json")).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(json.get("version")?.as_str()?.to_owned())
}

fn installed(setting: &Setting) -> PathBuf {
    setting.work.join("express-postgres")
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(Error::file("copy", from))
}
