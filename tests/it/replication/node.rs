//! A server as a process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use ureq::Agent;

use super::PATIENCE;
use super::host::Host;
use crate::support::no_forks;

/// The setup of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    pub(crate) data: PathBuf,
    pub(crate) token: Option<PathBuf>,
    pub(crate) follow: Option<SocketAddr>,
    /// True if the content of its store is declared to count.
    pub(crate) new: bool,
    /// True if a store is opened that lacks acknowledged writes.
    pub(crate) accept_loss: bool,
    /// More of `[replication]`.
    pub(crate) replication: String,
    /// Other sections.
    pub(crate) other: String,
    /// The configuration, if it is not to be made from the fields above: it has the addresses of the server.
    pub(crate) file: Option<PathBuf>,
    /// The machine that it runs on, if not this one.
    pub(crate) place: Option<Place>,
}

/// A machine, as a server that runs there sees it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The beginning of its command.
    prefix: Vec<String>,
    api: SocketAddr,
    admin: SocketAddr,
}

impl Place {
    pub(super) fn on(host: &Host) -> Self {
        Self {
            prefix: host.prefix(),
            api: (host.address, 8080).into(),
            admin: (host.address, 8081).into(),
        }
    }

    /// On this machine, on any port.
    fn here() -> Self {
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        Self {
            prefix: Vec::new(),
            api: any,
            admin: any,
        }
    }
}

/// The log of a server so far.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    more: Condvar,
}

/// One that was started; it is killed when it is dropped.
pub(crate) struct Node {
    child: Child,
    log: Arc<Log>,
    agent: Agent,
}

pub(crate) fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE));
    config.build().new_agent()
}

impl Node {
    /// Starts one and waits until its admin port listens.
    pub(crate) fn start(setup: &Setup) -> Self {
        let node = Self::begin(setup);
        node.admin();
        node
    }

    pub(crate) fn begin(setup: &Setup) -> Self {
        let file = setup.data.with_extension("toml");
        let token = setup.token.as_ref();
        let token = token.map_or(String::new(), |file| {
            format!("token_file = \"{}\"\n", file.display())
        });
        let (replication, other) = (&setup.replication, &setup.other);
        let text = format!("[replication]\n{token}{replication}\n{other}");
        // It is as before on a disk that is full.
        if !fs::read_to_string(&file).is_ok_and(|there| there == text) {
            fs::write(&file, text).unwrap();
        }
        let Place { prefix, api, admin } = setup.place.clone().unwrap_or_else(Place::here);
        let mut words = prefix;
        words.push(env!("CARGO_BIN_EXE_reviewsd").to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.arg("serve").arg("--data").arg(&setup.data);
        command.args(["--memory", "64MiB", "--config"]);
        if let Some(file) = &setup.file {
            command.arg(file);
            if let Some(token) = &setup.token {
                let token = format!("replication.token_file={}", token.display());
                command.args(["--set", &token]);
            }
        } else {
            command.arg(&file).args(["--listen", &api.to_string()]);
            command.args(["--admin", &admin.to_string()]);
        }
        if let Some(primary) = setup.follow {
            command.args(["--follow", &format!("http://{primary}")]);
        }
        if setup.new {
            command.arg("--new");
        }
        if setup.accept_loss {
            command.arg("--accept-loss");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = {
            let _no_forks = no_forks();
            command.stderr(Stdio::piped()).spawn().unwrap()
        };
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Log::default());
        let read = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut text = read.text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
                drop(text);
                read.more.notify_all();
            }
            let mut text = read.text.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str("(end of log)\n");
            read.more.notify_all();
        });
        Self {
            child,
            log,
            agent: agent(),
        }
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        self.log.text.lock().unwrap().clone()
    }

    /// Waits until its log gives something.
    fn find<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut text = self.log.text.lock().unwrap();
        loop {
            if let Some(found) = find(&text) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !text.ends_with("(end of log)\n"),
                "it does not say {what}: {text}"
            );
            text = self.log.more.wait_timeout(text, left).unwrap().0;
        }
    }

    /// Waits until its log has this text.
    pub(crate) fn says(&self, what: &str) {
        self.find(what, |log| log.contains(what).then_some(()));
    }

    /// Waits until its log has this text so many times; the log is written after the answers that it is about.
    pub(crate) fn says_times(&self, what: &str, times: usize) {
        self.find(what, |log| {
            (log.matches(what).count() >= times).then_some(())
        });
        assert_eq!(self.said(what), times, "{what}: {}", self.log());
    }

    /// True if it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.log().ends_with("(end of log)\n")
    }

    /// The number of times that its log has this text.
    pub(crate) fn said(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// The address that it listens on, from the last such line of its log.
    fn url(&self, of: &str) -> String {
        self.find(of, |log| {
            let mut lines = log.lines().rev().filter(|line| line.ends_with(of));
            let (_, rest) = lines.next()?.split_once("listening on ")?;
            Some(rest.split(' ').next()?.to_owned())
        })
    }

    fn address(&self, of: &str) -> SocketAddr {
        let url = self.url(of);
        url.split_once("://").unwrap().1.parse().unwrap()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.address("(admin)")
    }

    pub(crate) fn api(&self) -> SocketAddr {
        self.address("(api)")
    }

    /// Uses another agent from now on.
    pub(super) fn asked_by(mut self, agent: Agent) -> Self {
        self.agent = agent;
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn get_from(&self, url: &str, path: &str) -> Option<(u16, String)> {
        let mut answer = self.agent.get(format!("{url}{path}")).call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), text))
    }

    /// Asks the API.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.get_from(&self.url("(api)"), path).unwrap()
    }

    /// Requests a path from the admin port.
    pub(crate) fn ask(&self, path: &str) -> Option<(u16, String)> {
        self.get_from(&self.url("(admin)"), path)
    }

    /// Its replication status; `None` while it cannot be had.
    pub(crate) fn status(&self) -> Option<Value> {
        let (status, text) = self.ask("/replication")?;
        (status == 200).then(|| serde_json::from_str(&text).unwrap())
    }

    /// Adds a review; gives the status and the answer.
    pub(crate) fn post(&self, text: &str) -> (u16, String) {
        post(&self.agent, self.api(), text).unwrap()
    }

    /// Adds so many reviews, each of which must be taken.
    pub(crate) fn fill(&self, reviews: usize) {
        for number in 0..reviews {
            let (status, answer) = self.post(&format!("review {number}"));
            assert_eq!(status, 201, "{answer}");
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it without giving it a chance.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", self.log());
                return self.log();
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for it to end by itself.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        self.find("(end of log)", |log| {
            log.ends_with("(end of log)\n").then_some(())
        });
        (self.child.wait().unwrap().code(), self.log())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Adds a review with a text; the status and the answer, if there is one.
pub(crate) fn post(agent: &Agent, api: SocketAddr, text: &str) -> Option<(u16, String)> {
    let review = json!({
        "product_id": 2, "rating": 4, "summary": "Copied", "body": text, "recommend": true,
        "name": "pine", "email": "pine@example.org", "photos": [], "characteristics": {"5": 3},
    });
    let request = agent.post(format!("http://{api}/reviews"));
    let mut answer = request.send(review.to_string()).ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    Some((answer.status().as_u16(), text))
}

/// Runs a command on a data directory to its end.
pub(crate) fn run(command: &str, data: &Path, more: &[&str]) -> Output {
    let mut args = vec![command, "--data", data.to_str().unwrap()];
    args.extend(more);
    run_program(&args)
}

/// Runs a command to its end.
pub(crate) fn run_program(args: &[&str]) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    process.args(args);
    process.stdin(Stdio::null()).stdout(Stdio::piped());
    let started = {
        let _no_forks = no_forks();
        process.stderr(Stdio::piped()).spawn().unwrap()
    };
    started.wait_with_output().unwrap()
}

/// The contents of a store, but for the primary that it follows.
pub(crate) fn contents(data: &Path) -> String {
    let output = run("position", data, &["--contents"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("reviews"), "{why}");
    said.lines()
        .filter(|line| !line.starts_with("follows"))
        .collect::<Vec<_>>()
        .join("\n")
}
