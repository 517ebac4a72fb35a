//! Backups, as real processes: a restored store equals the backed up one, whatever happened on the way.
//!
//! Invariant: two stores are compared by the output of `reviewsd position --contents`, which is position,
//! history hash, and a hash of every family.

mod bucket;
mod follow;
mod merged;
mod noted;
mod owners;
mod retention;
mod snapshots;
mod sources;
mod vintages;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::replication::node::{Node, Setup, contents};
use crate::support::{no_forks, shop_dir};

/// The time after which a test gives up; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_mins(1);

/// A shop that is served, and directories beside it.
struct Yard {
    dir: TempDir,
    shop: TempDir,
    /// The target of backups.
    to: String,
    /// More variables of the environment.
    variables: Vec<(String, String)>,
}

impl Yard {
    /// One with a directory for backups.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("backups").to_str().unwrap().to_owned();
        Self {
            dir,
            shop: shop_dir(),
            to,
            variables: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn setup(&self) -> Setup {
        Setup {
            data: self.shop.path().to_owned(),
            other: format!(
                "[writes]\nfree_space_min = \"1B\"\n[backup]\nto = \"{}\"\n",
                self.to
            ),
            ..Setup::default()
        }
    }

    fn serve(&self) -> Node {
        Node::start(&self.setup())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
        command.args(args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    fn start(&self, args: &[&str]) -> Child {
        let _no_forks = no_forks();
        self.command(args).spawn().unwrap()
    }

    fn run(&self, args: &[&str]) -> Output {
        self.start(args).wait_with_output().unwrap()
    }

    /// Returns the output of a command that must succeed.
    fn said(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {why}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The sentence of a command that does not.
    fn refused(&self, args: &[&str]) -> String {
        self.ends_with(1, args)
    }

    /// The same, because the command line or the configuration is wrong.
    fn misconfigured(&self, args: &[&str]) -> String {
        self.ends_with(2, args)
    }

    fn ends_with(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {why}");
        // On a busy machine a server may take its time.
        let lines = why.lines().filter(|line| !line.starts_with("waiting for "));
        assert_eq!(lines.count(), 1, "{why}");
        why
    }

    fn backup(&self, server: &Node, more: &[&str]) -> String {
        let server = format!("http://{}", server.admin());
        let args = [&["backup", "--server", &server, "--to", &self.to], more].concat();
        self.said(&args)
    }

    /// Ships until it is ended, which this waits for to begin.
    fn follow(&self, server: &Node) -> Child {
        let streams = || {
            let status = server.status().unwrap();
            status["backups"].as_array().unwrap().len()
        };
        eventually("nobody follows any more", || streams() == 0);
        let child = self.start_to_follow(server);
        eventually("somebody follows", || streams() == 1);
        child
    }

    fn start_to_follow(&self, server: &Node) -> Child {
        let server = format!("http://{}", server.admin());
        let time = "backup.segment_time=100ms";
        self.start(&[
            "backup", "--server", &server, "--to", &self.to, "--follow", "--set", time,
        ])
    }

    fn listed(&self) -> Value {
        let text = self.said(&["backups", "--in", &self.to, "--json"]);
        serde_json::from_str(&text).unwrap()
    }

    fn ids(&self) -> Vec<String> {
        let listed = self.listed();
        let backups = listed["backups"].as_array().unwrap().iter();
        backups
            .map(|backup| backup["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Restores into a new directory.
    fn restore(&self, name: &str, more: &[&str]) -> PathBuf {
        let data = self.path(name);
        let data = data.to_str().unwrap();
        let args = [&["restore", "--from", &self.to, "--data", data], more].concat();
        self.said(&args);
        data.into()
    }

    /// Asserts that a restore gives the contents of the shop, which no process has open.
    fn assert_restores(&self, name: &str) {
        let restored = self.restore(name, &[]);
        assert_eq!(contents(&restored), contents(self.shop.path()));
    }

    fn restore_refused(&self, name: &str, more: &[&str]) -> String {
        let data = self.path(name);
        let data = data.to_str().unwrap();
        let args = [&["restore", "--from", &self.to, "--data", data], more].concat();
        let why = self.refused(&args);
        // The remains are not taken for a store.
        assert!(!Path::new(data).join("store").exists(), "{why}");
        why
    }

    /// Every file of a directory of backups, below a name.
    fn objects(&self, below: &str) -> Vec<PathBuf> {
        let mut dirs = vec![PathBuf::from(&self.to).join(below)];
        let mut files = vec![];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }
}

/// The position of a server: epoch, sequence number and chain.
fn position(server: &Node) -> Value {
    let status = server.status().unwrap();
    serde_json::json!([status["epoch"], status["seq"], status["chain"]])
}

/// Waits until something holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not happen that {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until all that a server has is shipped.
fn is_shipped(server: &Node) {
    eventually("everything is shipped", || {
        let status = server.status().unwrap();
        let backups = status["backups"].as_array().unwrap();
        let mut shipped = backups.iter().map(|backup| &backup["acked_seq"]);
        shipped.any(|seq| *seq == status["seq"])
    });
}

/// The standard error of a process, read while it runs.
struct Said {
    text: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Said {
    fn by(child: &mut Child) -> Self {
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let text = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&text);
        let reader = thread::spawn(move || {
            for line in lines {
                *kept.lock().unwrap() += &(line.unwrap() + "\n");
            }
        });
        Self { text, reader }
    }

    fn so_far(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn at_the_end(self) -> String {
        self.reader.join().unwrap();
        self.text.lock().unwrap().clone()
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Ends a process as an operator does; returns its standard error.
fn end(child: Child) -> String {
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
