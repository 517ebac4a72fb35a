//! The ports of this machine, and the other servers that hold the same store: whether they answer, which of
//! them is the primary, and what their clocks say.
//!
//! Must not start a server: a port that systemd holds open is not asked.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::super::backup::reachable;
use super::super::remote::{self, Remote};
use crate::cli::TrustArgs;
use crate::config::Config;
use crate::model::calendar::parse_http_date;
use crate::model::clock::now_ms;

use super::finding::DoctorReport;

/// Clocks that differ by more make times of reviews, and of backups, misleading. The header that tells
/// the time has whole seconds.
const CLOCK_SECONDS_MAX: i64 = 5;
/// The metric with the time of the last backup.
const BACKED_UP: &str = "reviewsd_backup_last_success_timestamp_seconds ";

/// A server's status, as it reports it at `/replication`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    pub(super) store: String,
    pub(super) epoch: u64,
    pub(super) role: String,
    /// The reason why it takes no writes, if it takes none.
    pub(super) fenced: Option<String>,
    /// The primary that a replica follows.
    pub(super) primary: String,
    /// The replicas of a primary.
    pub(super) replicas: Vec<Peer>,
    /// Only shown to a client that is admitted, with everything but the position.
    pub(super) kept_aside: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Peer {
    peer: SocketAddr,
}

/// Checks the ports, and asks the other servers. Returns the status of this server, if it runs.
pub(super) fn check(config: &Config, report: &mut DoctorReport) -> Option<NodeStatus> {
    let admin = reachable(config.net.admin);
    let own = match taken(config.net.admin) {
        PortState::No => None,
        PortState::Cannot(why) => {
            report_port(config.net.admin, "--admin", &why, report);
            None
        }
        PortState::Yes if is_held_by_systemd() => None,
        PortState::Yes => {
            let own = ask(&url(config, admin), config).ok();
            if own.is_none() {
                let why = "another program listens there";
                report_port(config.net.admin, "--admin", why, report);
            }
            own
        }
    };
    check_public(config.net.listen, own.is_some(), report);
    if let Some(primary) = &config.replica.follow {
        check_primary(primary, config, report);
    } else if let Some(own) = &own {
        check_replicas(own, config, report);
    }
    if own.as_ref().is_some_and(|own| own.kept_aside.is_none()) {
        let why = "its admin API needs a token; set REVIEWSD_TOKEN to one of the role reader";
        report.unchecked(format!("the state of the server and its replicas: {why}"));
    }
    own
}

/// The state of a port: free, in use, or impossible to listen at.
enum PortState {
    No,
    Yes,
    /// The port cannot be listened at, for this reason.
    Cannot(String),
}

fn taken(address: SocketAddr) -> PortState {
    match TcpListener::bind(address) {
        Ok(_) => PortState::No,
        Err(error) => match error.kind() {
            ErrorKind::AddrInUse => PortState::Yes,
            ErrorKind::AddrNotAvailable => {
                PortState::Cannot("this machine has no such address".into())
            }
            _ => PortState::Cannot(error.to_string()),
        },
    }
}

fn check_public(listen: SocketAddr, is_served: bool, report: &mut DoctorReport) {
    match taken(listen) {
        PortState::Yes if !is_served && !is_held_by_systemd() => {
            report_port(listen, "--listen", "another program listens there", report);
        }
        PortState::Cannot(why) => report_port(listen, "--listen", &why, report),
        PortState::Yes | PortState::No => {}
    }
}

fn report_port(address: SocketAddr, flag: &str, why: &str, report: &mut DoctorReport) {
    report.add(
        "port",
        format!("the server cannot listen at {address}: {why}"),
        format!("end what listens there, or give another address with {flag}"),
    );
}

/// True if systemd holds the ports open, so that a request would start the server.
fn is_held_by_systemd() -> bool {
    let mut asked = Command::new("systemctl");
    asked.args(["is-active", "--quiet", "reviewsd.socket"]);
    asked.stdin(Stdio::null()).stdout(Stdio::null());
    let held = asked.stderr(Stdio::null()).status();
    let mut served = Command::new("systemctl");
    served.args(["is-active", "--quiet", "reviewsd.service"]);
    served.stdin(Stdio::null()).stdout(Stdio::null());
    let served = served.stderr(Stdio::null()).status();
    held.is_ok_and(|held| held.success()) && !served.is_ok_and(|served| served.success())
}

/// The server that this replica follows.
fn check_primary(primary: &str, config: &Config, report: &mut DoctorReport) {
    match ask(primary, config) {
        Err(error) => report.add(
            "primary",
            format!("the primary does not answer: {error}"),
            "start it, or promote a replica (/usr/share/doc/reviewsd/docs/runbooks/primary-lost.md)",
        ),
        Ok(status) if status.role == "replica" => report.add(
            "primary",
            format!("{primary} is a replica, and follows {}", status.primary),
            format!("set replica.follow to {}", status.primary),
        ),
        Ok(_) => check_clock(primary, config, report),
    }
}

/// Returns the time of a server's last complete backup, from its metrics; 0 if it knows of none.
pub(super) fn backed_up_ms(address: &str, config: &Config) -> Result<i64, remote::Error> {
    let page = quick(address, config)?.get("/metrics")?;
    let page = String::from_utf8_lossy(&page);
    let mut lines = page.lines();
    let seconds = lines.find_map(|line| line.strip_prefix(BACKED_UP)?.trim().parse().ok());
    Ok(seconds.map_or(0, |seconds: i64| seconds.saturating_mul(1000)))
}

/// The replicas that follow this primary, where their admin ports are as this one's.
fn check_replicas(own: &NodeStatus, config: &Config, report: &mut DoctorReport) {
    let mut ips: Vec<IpAddr> = own.replicas.iter().map(|peer| peer.peer.ip()).collect();
    ips.sort();
    ips.dedup();
    for ip in ips.into_iter().filter(|ip| !ip.is_loopback()) {
        let address = url(config, (ip, config.net.admin.port()).into());
        match ask(&address, config) {
            Ok(status) => {
                check_rival(own, &address, &status, report);
                check_clock(&address, config, report);
            }
            Err(error) => report.unchecked(format!("the replica at {ip}: {error}")),
        }
    }
}

/// Two primaries of one store take writes that the other never has.
fn check_rival(own: &NodeStatus, address: &str, other: &NodeStatus, report: &mut DoctorReport) {
    if other.role == "primary" && other.store == own.store {
        let (here, there) = (own.epoch, other.epoch);
        report.add(
            "primaries",
            format!(
                "{address} is a primary of the same store (epoch {there}), as this server is (epoch {here})"
            ),
            "end the one of the lower epoch (systemctl disable --now reviewsd.socket \
             reviewsd-admin.socket reviewsd), and start it with --follow and the other's address",
        );
    }
}

fn check_clock(address: &str, config: &Config, report: &mut DoctorReport) {
    let told = quick(address, config).and_then(|remote| remote.date());
    let date = told.ok().flatten();
    let Some(time_ms) = date.and_then(|date| parse_http_date(&date)) else {
        return report.unchecked(format!("{address} returns no date"));
    };
    let ahead = (time_ms - now_ms()) / 1000;
    if ahead.abs() > CLOCK_SECONDS_MAX {
        let how = if ahead > 0 { "ahead of" } else { "behind" };
        report.add(
            "clock",
            format!("the clock of {address} is {} s {how} this one", ahead.abs()),
            "synchronize the clocks of both machines: systemctl enable --now systemd-timesyncd, or chrony",
        );
    }
}

fn url(config: &Config, address: SocketAddr) -> String {
    let is_secured = config.tls.cert_file.is_some();
    format!("{}://{address}", if is_secured { "https" } else { "http" })
}

fn quick(address: &str, config: &Config) -> Result<Remote, remote::Error> {
    let trust = TrustArgs {
        token_file: None,
        ca: config.tls.ca_file.clone(),
        cert: config.tls.cert_file.clone(),
        key: config.tls.key_file.clone(),
    };
    Remote::impatient(address, &trust)
}

fn ask(address: &str, config: &Config) -> Result<NodeStatus, remote::Error> {
    quick(address, config)?.get_json("/replication")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_primaries_of_one_store_are_a_finding() {
        let status = |role: &str, store: &str, epoch| NodeStatus {
            role: role.to_owned(),
            store: store.to_owned(),
            epoch,
            ..NodeStatus::default()
        };
        let own = status("primary", "a", 1);
        let mut report = DoctorReport::default();
        for fine in [status("replica", "a", 1), status("primary", "b", 9)] {
            check_rival(&own, "http://10.0.0.2:8081", &fine, &mut report);
        }
        assert_eq!(report.findings, []);
        let rival = status("primary", "a", 2);
        check_rival(&own, "http://10.0.0.2:8081", &rival, &mut report);
        assert_eq!(report.findings.len(), 1);
        assert!(report.findings[0].what.contains("(epoch 2)"));
    }
}
