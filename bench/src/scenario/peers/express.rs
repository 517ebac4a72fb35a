//! Express, on the PostgreSQL beside it.
//!
//! Owns how the packages are installed, once, into the work directory, so that the sources stay clean.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::{Data, Starting, address_in};
use crate::scenario::process::{Process, Skipped, find};
use crate::scenario::setting::{Setting, remove_dir};
use crate::text::cannot;

const LOCK: &str = "package-lock.json";

impl Starting<'_> {
    /// Starts PostgreSQL and Express.
    pub(super) fn express(&mut self, data: Data) -> Result<SocketAddr> {
        let node = find("node", "nodejs")?;
        let home = installed(self.setting);
        if !home.join(LOCK).exists() {
            bail!(Skipped("its packages were not installed".to_owned()));
        }
        let environment = self.postgres(data)?;
        let mut command = self.cage.command(node.as_os_str(), None, "KILL");
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
pub(crate) fn install(setting: &Setting) -> Result<()> {
    find("node", "nodejs")?;
    let npm = find("npm", "npm")?;
    let (from, to) = (setting.peers.join("express-postgres"), installed(setting));
    let wanted = from.join(LOCK);
    let wanted = fs::read(&wanted).with_context(cannot("read", &wanted))?;
    // npm writes a lock file of its own when all is installed.
    let is_whole = to.join("node_modules/.package-lock.json").exists();
    let is_there = is_whole && fs::read(to.join(LOCK)).is_ok_and(|there| there == wanted);
    if !is_there {
        remove_dir(&to)?;
        fs::create_dir_all(&to).with_context(cannot("create", &to))?;
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
        let mut npm = Process::start("npm ci", command, log, Signal::TERM)?;
        if let Err(error) = npm.wait(&setting.stop) {
            remove_dir(&to)?;
            // The registry may be out of reach, and the rest needs none.
            bail!(Skipped(error.to_string()));
        }
    }
    let (from, to) = (from.join("src"), to.join("src"));
    fs::create_dir_all(&to).with_context(cannot("create", &to))?;
    for entry in fs::read_dir(&from).with_context(cannot("read", &from))? {
        let entry = entry.with_context(cannot("read", &from))?;
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

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(|_| ())
        .with_context(cannot("copy", from))
}
