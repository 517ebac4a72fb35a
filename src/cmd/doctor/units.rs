//! The units that systemd starts with this machine, compared with the role of this server.
//!
//! Must not ask systemd: links below `etc/systemd/system` say what is enabled. Must not write.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;

use crate::config::Config;
use crate::model::clock::now_ms;
use crate::store;

use super::super::remote::base_of;
use super::super::sources;
use super::backups::{HOUR_MS, is_recent};
use super::finding::DoctorReport;
use super::nodes;

const UNITS: &str = "etc/systemd/system";
const TIMER: &str = "reviewsd-backup.timer";
const FOLLOW: &str = "reviewsd-backup-follow.service";
const SERVE: [&str; 2] = ["reviewsd.service", "reviewsd.socket"];
/// The data directory and the configuration of reviewsd.service.
const SERVED: &str = "var/lib/reviewsd";
const SERVED_BY: &str = "etc/reviewsd/reviewsd.toml";

/// Looks at the units of the machine whose files are below `root`.
pub(super) fn check(root: &Path, config: &Config, report: &mut DoctorReport) {
    let enabled = enabled(root);
    let every = std::time::Duration::from(config.backup.snapshot_every);
    let has = |unit: &str| enabled.contains(unit);
    if has(TIMER) && has(FOLLOW) && !every.is_zero() {
        report.add(
            "units",
            format!(
                "{TIMER} and {FOLLOW} are both enabled, and the latter takes a backup every \
                 backup.snapshot_every itself"
            ),
            format!("systemctl disable --now {TIMER}"),
        );
    }
    let Some(primary) = &config.replica.follow else {
        return;
    };
    if let Some(unit) = [TIMER, FOLLOW].into_iter().find(|unit| has(unit)) {
        match nodes::backed_up_ms(primary, config) {
            Ok(backed_up_ms) => check_backups(unit, primary, backed_up_ms, now_ms(), report),
            Err(error) => report.unchecked(format!("the backups of {primary}: {error}")),
        }
    }
    if SERVE.into_iter().any(has) && !is_here(primary) && !serves_a_replica(root) {
        check_old_primary(root, config, report);
    }
}

/// The units of ours that are started with the machine.
fn enabled(root: &Path) -> BTreeSet<String> {
    let units = root.join(UNITS);
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let is_masked = |name: &str| {
        let link = fs::read_link(units.join(name));
        link.is_ok_and(|to| to == Path::new("/dev/null"))
    };
    let wants = entries(&units).filter(|entry| {
        let name = entry.file_name();
        let extension = Path::new(&name).extension();
        extension.is_some_and(|end| end == "wants" || end == "requires")
    });
    let names = wants.flat_map(|dir| entries(&dir.path()));
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with("reviewsd") && !is_masked(name))
        .collect()
}

/// One store is backed up by one machine: with two it is written twice, and each removes those backups of both
/// that `keep` does not retain.
fn check_backups(
    unit: &str,
    primary: &str,
    backed_up_ms: i64,
    now_ms: i64,
    report: &mut DoctorReport,
) {
    if !is_recent(backed_up_ms, now_ms) {
        return;
    }
    let hours = (now_ms - backed_up_ms) / HOUR_MS;
    report.add(
        "units",
        format!(
            "{unit} is enabled on this replica, and its primary {primary} was backed up {hours} hours \
             ago, so two machines back up the same store"
        ),
        format!("let one of them do it: here systemctl disable --now {TIMER} {FOLLOW}"),
    );
}

/// True if an address is one of this machine, or cannot be resolved.
fn is_here(address: &str) -> bool {
    let base = base_of(address).unwrap_or_default();
    let place = base.split_once("://").map_or("", |(_, place)| place);
    let Ok(addresses) = place.to_socket_addrs() else {
        return true;
    };
    let mut ips = addresses.map(|address| address.ip());
    ips.any(|ip| ip.is_loopback() || TcpListener::bind((ip, 0)).is_ok())
}

/// True if reviewsd.service is a replica itself, or its configuration cannot be read.
fn serves_a_replica(root: &Path) -> bool {
    let sources = sources::of_some(Some(&root.join(SERVED_BY)), &[]);
    let settled = sources.settle_but_data();
    settled.map_or(true, |settled| settled.config.replica.follow.is_some())
}

/// Reports a store of the same id that reviewsd.service would serve as a primary.
fn check_old_primary(root: &Path, config: &Config, report: &mut DoctorReport) {
    let served = root.join(SERVED);
    let Some(own) = config.store.data.as_ref().filter(|own| **own != served) else {
        return;
    };
    let ids = [store::id_in(&served), store::id_in(own)];
    match ids {
        [Ok(Some(served_id)), Ok(Some(own))] if served_id == own => report.add(
            "units",
            format!(
                "reviewsd.service is enabled, and would serve {} as a primary of the store that this \
                 replica has from another machine",
                served.display()
            ),
            "systemctl disable --now reviewsd.socket reviewsd-admin.socket reviewsd",
        ),
        [Err(error), _] | [_, Err(error)] => report.unchecked(error.to_string()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;
    use crate::config::Time;
    use crate::store::Store;

    fn machine(units: &[&str]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let wants = root.path().join(UNITS).join("multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        for unit in units {
            symlink(format!("/usr/lib/systemd/system/{unit}"), wants.join(unit)).unwrap();
        }
        root
    }

    fn found(root: &Path, config: &Config) -> Vec<String> {
        let mut report = DoctorReport::default();
        check(root, config, &mut report);
        assert_eq!(report.unchecked, Vec::<String>::new());
        let found = report.findings.into_iter();
        found
            .map(|one| {
                assert_eq!(one.check, "units");
                one.what
            })
            .collect()
    }

    #[test]
    fn backups_by_timer_and_by_shipping_are_found() {
        let mut config = Config::default();
        assert_eq!(found(machine(&[TIMER]).path(), &config).len(), 0);
        assert_eq!(
            found(machine(&[FOLLOW, "sshd.service"]).path(), &config).len(),
            0
        );
        let both = machine(&[TIMER, FOLLOW]);
        assert_eq!(found(both.path(), &config).len(), 1);
        // Shipping without backups of its own needs them.
        config.backup.snapshot_every = Time::from_secs(0);
        assert_eq!(found(both.path(), &config).len(), 0);
        config = Config::default();
        let units = both.path().join(UNITS);
        symlink("/dev/null", units.join(TIMER)).unwrap();
        assert_eq!(found(both.path(), &config).len(), 0, "it is masked");
        assert_eq!(found(&units.join("none"), &config).len(), 0);
    }

    #[test]
    fn replica_that_backs_up_as_its_primary_does_is_found() {
        let now = 100 * HOUR_MS;
        for (backed_up_ms, findings) in [(0, 0), (now - 27 * HOUR_MS, 0), (now - HOUR_MS, 1)] {
            let mut report = DoctorReport::default();
            check_backups(
                TIMER,
                "http://10.0.0.1:8081",
                backed_up_ms,
                now,
                &mut report,
            );
            assert_eq!(report.findings.len(), findings, "{backed_up_ms}");
        }
    }

    #[test]
    fn old_primary_that_would_start_beside_its_replica_is_found() {
        let root = machine(&["reviewsd.socket"]);
        let (served, own) = (root.path().join(SERVED), root.path().join("replica"));
        fs::create_dir_all(&served).unwrap();
        drop(Store::open(&served, "a test", 32 << 20, 1).unwrap());
        let copied = Command::new("cp").arg("-r").args([&served, &own]).status();
        assert!(copied.unwrap().success());
        let file = root.path().join(SERVED_BY);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let mut config = Config::default();
        config.store.data = Some(own.clone());
        // An address of documentation, which no machine has.
        config.replica.follow = Some("http://192.0.2.1:8081".to_owned());
        assert_eq!(found(root.path(), &config).len(), 1);
        let local = Config {
            replica: crate::config::ReplicaConfig {
                follow: Some("http://127.0.0.1:8081".to_owned()),
                ..config.replica.clone()
            },
            ..config.clone()
        };
        assert_eq!(found(root.path(), &local).len(), 0);
        fs::write(&file, "[replica]\nfollow = \"http://192.0.2.1:8081\"\n").unwrap();
        assert_eq!(found(root.path(), &config).len(), 0);
        fs::write(&file, "").unwrap();
        fs::remove_dir_all(&own).unwrap();
        drop(Store::open(&own, "a test", 32 << 20, 1).unwrap());
        assert_eq!(found(root.path(), &config).len(), 0, "it is another store");
    }
}
