//! reviewsd itself: its import, its store, and a copy of that to write to.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde::Deserialize;

use super::{Data, Starting, address_in};
use crate::scenario::cage::{Cage, Room, Used};
use crate::scenario::process::Process;
use crate::scenario::setting::{Setting, remove_dir};
use crate::text::cannot;

/// The data directory of what was imported.
pub(crate) fn data_dir(setting: &Setting) -> PathBuf {
    setting.shop().join("reviewsd")
}

/// The data directory of one of its read-only copies.
pub(crate) fn copied_dir(setting: &Setting, copy: usize) -> PathBuf {
    setting.shop().join(format!("reviewsd-copy-{copy}"))
}

/// The data directory of what is written to.
pub(crate) fn written_dir(setting: &Setting) -> PathBuf {
    setting.shop().join("reviewsd-written")
}

#[derive(Deserialize)]
struct ImportReport {
    store_bytes: u64,
}

impl Starting<'_> {
    /// Starts `reviewsd serve` as it is configured by default.
    pub(super) fn reviewsd(&mut self, data: Data) -> Result<SocketAddr> {
        let dir = match data {
            Data::Imported => data_dir(self.setting),
            Data::Written => written_dir(self.setting),
        };
        let command = serve(self.setting, &self.cage, &dir);
        let log = self.setting.scratch.path("reviewsd.log");
        let mut process = Process::start("reviewsd serve", command, log, Signal::TERM)?;
        let address = process.wait_for(&self.setting.stop, |line| address_in(line, "(api)"))?;
        self.processes.push(process);
        Ok(address)
    }
}

/// `reviewsd serve` as it is configured by default.
fn serve(setting: &Setting, cage: &Cage, dir: &Path) -> Command {
    let program = setting.reviewsd.as_os_str();
    let mut command = cage.command(program, None, "KILL");
    command.arg("serve").arg("--data").arg(dir);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    if cage.unlimited.is_some() {
        // As much as it would find in a micro instance.
        command.args(["--memory", "409MiB"]);
    }
    command
}

/// A primary or a copy, with its operator's port.
pub(crate) struct Node {
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// From its start to its word that it is ready.
    pub(crate) ready: Duration,
    // In this order: the server is ended before its cage.
    process: Process,
    cage: Cage,
}

impl Node {
    /// Starts `reviewsd serve` with a secret, and has it follow another where there is one.
    pub(crate) fn start(
        setting: &Setting,
        room: &Room,
        dir: &Path,
        follow: Option<SocketAddr>,
    ) -> Result<Self> {
        let token = setting.scratch.path("token");
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&token);
        made.and_then(|mut file| file.write_all(b"a-secret-of-this-run-alone\n"))
            .with_context(cannot("write", &token))?;
        let since = Instant::now();
        let cage = Cage::new(room);
        let mut command = serve(setting, &cage, dir);
        let token = format!("replication.token_file={}", token.display());
        // As fast as it goes; by default a primary keeps most of its disk for its own.
        let rate = "replication.bootstrap_rate=64GiB";
        command.args(["--set", &token, "--set", rate]);
        if let Some(primary) = follow {
            command.args(["--follow", &format!("http://{primary}")]);
        }
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let log = setting.scratch.path(&format!("{name}.log"));
        let mut process = Process::start("reviewsd serve", command, log, Signal::TERM)?;
        let api = process.wait_for(&setting.stop, |line| address_in(line, "(api)"))?;
        let ready = since.elapsed();
        let admin = process.wait_for(&setting.stop, |line| address_in(line, "(admin)"))?;
        Ok(Self {
            api,
            admin,
            ready,
            process,
            cage,
        })
    }

    /// Returns the resources that it used.
    pub(crate) fn used(&self) -> Used {
        self.cage.used(&[self.process.id()])
    }
}

/// Imports the CSV files into the data directory, in a cage, and says how large the store is.
pub(crate) fn import(setting: &Setting, cage: &Cage) -> Result<u64> {
    let dir = data_dir(setting);
    remove_dir(&dir)?;
    let program = setting.reviewsd.as_os_str();
    let mut command = cage.command(program, None, "KILL");
    command.arg("import").arg("--csv").arg(setting.csv());
    command.arg("--data").arg(&dir);
    command.args(["--quiet", "--report", "json"]);
    let log = setting.scratch.path("import.log");
    let mut process = Process::start("reviewsd import", command, log.clone(), Signal::TERM)?;
    process.wait(&setting.stop)?;
    let text = fs::read_to_string(&log).with_context(cannot("read", &log))?;
    let json = text.get(text.find('{').unwrap_or(0)..).unwrap_or_default();
    let report: ImportReport =
        serde_json::from_str(json).context("cannot read the report of reviewsd import")?;
    Ok(report.store_bytes)
}

/// Makes a copy of the store that a run may write to. RocksDB never changes a sorted file, so those
/// are linked; the rest is small.
pub(crate) fn copy(setting: &Setting) -> Result<()> {
    let (from, to) = (data_dir(setting), written_dir(setting));
    remove_dir(&to)?;
    copy_dir(&from, &to)
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(cannot("create", to))?;
    for entry in fs::read_dir(from).with_context(cannot("read", from))? {
        let entry = entry.with_context(cannot("read", from))?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(cannot("look at", &path))?;
        let done = if kind.is_dir() {
            copy_dir(&path, &copy)?;
            Ok(())
        } else if kind.is_symlink() {
            fs::read_link(&path).and_then(|target| std::os::unix::fs::symlink(target, &copy))
        } else if path.extension().is_some_and(|extension| extension == "sst") {
            fs::hard_link(&path, &copy)
        } else {
            fs::copy(&path, &copy).map(|_| ())
        };
        done.with_context(cannot("copy", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shares_the_sorted_files_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir_all(from.join("store-1")).unwrap();
        std::os::unix::fs::symlink("store-1", from.join("store")).unwrap();
        fs::write(from.join("store-1/000001.sst"), "rows").unwrap();
        fs::write(from.join("store-1/MANIFEST"), "old").unwrap();
        copy_dir(&from, &to).unwrap();

        fs::write(to.join("store/MANIFEST"), "new").unwrap();
        fs::remove_file(to.join("store/000001.sst")).unwrap();

        let text = |name: &str| fs::read_to_string(from.join("store").join(name)).unwrap();
        assert_eq!(
            (text("MANIFEST"), text("000001.sst")),
            ("old".into(), "rows".into())
        );
    }
}
