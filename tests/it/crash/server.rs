//! A server as a process that may die at any instant.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;
use super::client::Client;
use super::power::Disk;
use super::tail::Tail;
use crate::serve::listening;
use crate::support::no_forks;

/// Little, so that memtables fill up and logs are left behind within a round.
const MEMORY: &str = "32MiB";

/// A shutdown timeout that no server reaches that ends in time.
const DRAIN: &str = "drain_time_max = \"1m\"";

/// The setup of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    /// The `[writes]` of its configuration.
    pub(super) writes: &'a str,
    /// The number of syncs of a log that succeed before one fails.
    pub(super) log_syncs: Option<u64>,
}

/// One that was started; it is killed when it is dropped.
pub(super) struct Server {
    child: Child,
    lines: Receiver<String>,
    /// Its log so far.
    log: String,
    /// The end of that, as it is written.
    pub(super) tail: Tail,
    pub(super) api: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Server {
    /// Starts one and waits until it listens.
    pub(super) fn start(disk: &mut Disk, start: Start) -> Self {
        let mut server = Self::begin(disk, start);
        assert!(server.listens(), "it does not start: {}", server.log);
        server
    }

    /// Waits until it listens; `false` if it ended before.
    pub(super) fn listens(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while self.admin.port() == 0 {
            if !self.read_line(deadline) {
                return false;
            }
        }
        true
    }

    /// Starts one.
    pub(super) fn begin(disk: &mut Disk, start: Start) -> Self {
        Self::begin_with(disk, start, &[])
    }

    /// Starts one with more flags.
    pub(super) fn begin_with(disk: &mut Disk, start: Start, more: &[&str]) -> Self {
        let config = disk.data().with_extension("toml");
        let text = format!("[net]\n{DRAIN}\n[writes]\n{}", start.writes);
        // It is as before on a disk that is full.
        if !fs::read_to_string(&config).is_ok_and(|there| there == text) {
            fs::write(&config, text).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
        command.arg("serve").arg("--data").arg(disk.data());
        command.args(["--memory", MEMORY]);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--config").arg(&config).args(more);
        disk.watch(&mut command);
        if let Some(syncs) = start.log_syncs {
            command.env("POWERLOSS_FAIL_AFTER", syncs.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = {
            let _no_forks = no_forks();
            command.stderr(Stdio::piped()).spawn().unwrap()
        };
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        let tail = Tail::default();
        let kept = tail.clone();
        thread::spawn(move || {
            // Read to the end even without a listener: a full pipe would stop the server.
            for line in stderr.lines().map_while(Result::ok) {
                kept.push(line.clone());
                let _ = send.send(line);
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            child,
            lines,
            log: String::new(),
            tail,
            api: nowhere,
            admin: nowhere,
        }
    }

    /// A connection to the API.
    pub(super) fn client(&self) -> Client {
        Client::to(self.api, &self.tail).unwrap()
    }

    /// Reads the log until a moment; whether the server is still there then.
    pub(super) fn lives_until(&mut self, deadline: Instant) -> bool {
        while Instant::now() < deadline {
            if !self.read_line(deadline) {
                return Instant::now() >= deadline;
            }
        }
        true
    }

    /// Waits until its log has this text.
    pub(super) fn says(&mut self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log.contains(what) {
            assert!(self.read_line(deadline), "no {what:?}: {}", self.log);
        }
    }

    /// Waits for the server to end by itself.
    pub(super) fn ended(&mut self, within: Duration) -> (ExitStatus, &str) {
        let deadline = Instant::now() + within;
        while self.read_line(deadline) {}
        assert!(
            Instant::now() < deadline,
            "it does not end within {within:?}: {}",
            self.log
        );
        (self.child.wait().unwrap(), &self.log)
    }

    /// Ends it without giving it a chance.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the process.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
        // It is stopped a moment later.
        let stat = format!("/proc/{}/stat", self.child.id());
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(&stat).unwrap().contains(") T ") {
            assert!(Instant::now() < deadline, "it does not stop");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets it go on.
    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it as an operator does.
    pub(super) fn stop(mut self) {
        self.signal(Signal::TERM);
        let (status, log) = self.ended(PATIENCE);
        assert!(status.success(), "{status}: {log}");
    }

    /// Reads a line of the log; `false` when it ended or the time is over.
    fn read_line(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = match self.lines.recv_timeout(left) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
        };
        if let Some((address, of)) = listening(&line) {
            match of {
                "(api)" => self.api = address,
                "(admin)" => self.admin = address,
                _ => panic!("it listens as {of}"),
            }
        }
        self.log.push_str(&line);
        self.log.push('\n');
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
