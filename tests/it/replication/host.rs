//! Machines that are none: network namespaces with addresses of their own, on one switch.
//!
//! The test that wants them runs once more, as a process in a namespace of its own, where the switch
//! is. Nothing of the machine's own network is touched, and everything is removed with the processes.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use super::eventually;
use super::front::program;
use crate::chance::say;
use crate::support::no_forks;

/// Marks a process as being inside, by the name of the namespace that is outside.
const INSIDE: &str = "REVIEWSD_INSIDE_NETNS";
/// The address that clients ask from.
const SWITCH: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);

/// Runs a test in a namespace of its own. If it returns, the test is over: it was run there, or it cannot be,
/// which is printed.
pub(super) fn within_namespace(test: &str, body: impl FnOnce(&Switch)) {
    let own = fs::read_link("/proc/self/ns/net");
    if let Some(outside) = env::var_os(INSIDE) {
        assert_ne!(own.unwrap(), outside, "it must not be the machine's own");
        body(&Switch::new());
        return;
    }
    if let Some(why) = missing() {
        say(&format!("skipped: {why}"));
        return;
    }
    let mut command = Command::new("unshare");
    command.arg("--net").arg(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, own.unwrap());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let started = {
        let _no_forks = no_forks();
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let done = started.wait_with_output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    let ran = out.contains("test result: ok. 1 passed");
    assert!(done.status.success() && ran, "{out}\n{err}");
    for line in err.lines().filter(|line| line.starts_with("cluster: ")) {
        say(line);
    }
}

/// The reason there can be no namespaces.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may make network namespaces".to_owned());
    }
    if program().is_none() {
        return Some("there is no nginx (apt-get install nginx-light)".to_owned());
    }
    for (tool, package) in [
        ("ip", "iproute2"),
        ("unshare", "util-linux"),
        ("nsenter", "util-linux"),
    ] {
        if !runs(tool, &["-V"]) {
            return Some(format!("there is no {tool} (apt-get install {package})"));
        }
    }
    (!runs("unshare", &["--net", "true"]))
        .then(|| "no network namespace can be made here".to_owned())
}

/// True if a command can be run, and succeeds.
pub(super) fn runs(tool: &str, args: &[&str]) -> bool {
    let mut command = Command::new(tool);
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = {
        let _no_forks = no_forks();
        command.spawn()
    };
    started.is_ok_and(|mut child| child.wait().is_ok_and(|status| status.success()))
}

/// Runs `ip` to a success.
fn ip(args: &str) {
    let args: Vec<&str> = args.split(' ').collect();
    assert!(runs("ip", &args), "ip {}", args.join(" "));
}

/// The switch that all hosts are plugged into.
pub(super) struct Switch;

impl Switch {
    fn new() -> Self {
        ip("link set lo up");
        ip("link add switch type bridge");
        // A machine that was plugged in is heard at once.
        ip("link set switch type bridge forward_delay 0 stp_state 0");
        ip(&format!("address add {SWITCH}/24 dev switch"));
        ip("link set switch up");
        Self
    }

    /// A machine that is plugged in.
    pub(super) fn host(&self, number: u8) -> Host {
        let Self = self;
        // It lives for as long as its standard input does.
        let mut command = Command::new("unshare");
        command.args(["--net", "cat"]).stdin(Stdio::piped());
        let holder = {
            let _no_forks = no_forks();
            command.stdout(Stdio::null()).spawn().unwrap()
        };
        let pid = holder.id();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        eventually("there is another namespace", || {
            fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|its| its != own)
        });
        let address = Ipv4Addr::new(10, 0, 0, number);
        let host = Host {
            holder,
            number,
            address,
        };
        ip(&format!(
            "link add port{number} type veth peer name eth0 netns {pid}"
        ));
        ip(&format!("link set port{number} master switch"));
        ip(&format!("link set port{number} up"));
        host.ip("link set lo up");
        host.ip(&format!("address add {address}/24 dev eth0"));
        host.ip("link set eth0 up");
        host
    }
}

/// A machine. It ends with the test, and so does every process on it.
pub(super) struct Host {
    holder: Child,
    number: u8,
    pub(super) address: Ipv4Addr,
}

impl Host {
    /// The beginning of a command that is to run there.
    pub(super) fn prefix(&self) -> Vec<String> {
        let pid = self.holder.id();
        vec![
            "nsenter".to_owned(),
            format!("--net=/proc/{pid}/ns/net"),
            "--".to_owned(),
        ]
    }

    fn ip(&self, args: &str) {
        let prefix = self.prefix();
        let mut all: Vec<&str> = prefix[1..].iter().map(String::as_str).collect();
        all.push("ip");
        all.extend(args.split(' '));
        assert!(runs("nsenter", &all), "ip {args} on {}", self.address);
    }

    /// Pulls its cable out, or puts it back. No peer is notified: packets sent to it are lost.
    pub(super) fn plug(&self, is_in: bool) {
        let state = if is_in { "up" } else { "down" };
        ip(&format!("link set port{} {state}", self.number));
    }

    /// Loses all that it sends to another machine, and to no other.
    pub(super) fn lose(&self, other: &Self) {
        let nobody = "lladdr 02:00:00:00:00:01 dev eth0 nud permanent";
        self.ip(&format!("neighbour replace {} {nobody}", other.address));
    }

    /// Ends that.
    pub(super) fn find(&self, other: &Self) {
        self.ip(&format!("neighbour delete {} dev eth0", other.address));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
