//! Resources that the configuration needs and the machine does not have: memory, free space, file descriptors;
//! and an admin port that the world can reach.
//!
//! `serve` warns of these at its start, and `check-config` too. Must not ask the network.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::super::figures::bytes;
use crate::config::{ByteSize, Config, machine_memory};
use crate::store::MEMTABLE_BYTES_MAX;

use super::finding::Finding;

/// Descriptors beside those of the API's connections: the store's files, the admin port and what a
/// replica forwards.
const DESCRIPTORS_BESIDE: u64 = 1024;

/// Returns the faults of the configuration on this machine, although it is valid.
pub(crate) fn warnings(config: &Config) -> Vec<Finding> {
    [
        memory(config),
        space(config),
        reserve(config),
        admin(config),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn memory(config: &Config) -> Option<Finding> {
    let wanted = config.store.memory?.0;
    let there = machine_memory()?;
    (wanted > there).then(|| {
        Finding::new(
            "memory",
            format!(
                "store.memory is {}, and the machine or the cgroup has {}",
                bytes(wanted),
                bytes(there)
            ),
            format!(
                "leave store.memory out, or give at most 65 % of that: {}",
                bytes(there / 20 * 13)
            ),
        )
    })
}

fn space(config: &Config) -> Option<Finding> {
    let data = std::path::absolute(config.store.data.as_deref()?).ok()?;
    // A directory that is not there yet will be made on the disk of the first one above it that is.
    let there = data.ancestors().find(|dir| dir.is_dir())?;
    let free = free_bytes(there)?;
    let wanted = config.writes.free_space_min.0;
    (free < wanted).then(|| {
        Finding::new(
            "space",
            format!(
                "{} has {} of free space, less than writes.free_space_min ({}), so reviews, votes and \
                 reports are rejected with 507",
                there.display(),
                bytes(free),
                bytes(wanted)
            ),
            "make room on that disk, move the data directory to a larger one, or lower \
             writes.free_space_min",
        )
    })
}

/// A watermark below which the store cannot write the changes that it has already accepted.
fn reserve(config: &Config) -> Option<Finding> {
    let is_followed = config.replication.token_file.is_some() || config.backup.to.is_some();
    let logs = config.replication.wal_keep_size.0;
    let needed = MEMTABLE_BYTES_MAX as u64 + if is_followed { logs } else { 0 };
    let given = config.writes.free_space_min.0;
    (given < needed).then(|| {
        Finding::new(
            "reserve",
            format!(
                "writes.free_space_min is {}, and the store may still write {} below that: its memory, \
                 and the log that is retained for replicas and backups",
                ByteSize(given),
                ByteSize(needed)
            ),
            format!("set writes.free_space_min to {} or more", ByteSize(needed)),
        )
    })
}

fn free_bytes(dir: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(dir).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

fn admin(config: &Config) -> Option<Finding> {
    let admin = config.net.admin;
    let files = [
        &config.replication.token_file,
        &config.replica.token_file,
        &config.admin.tokens_file,
    ];
    let has_token = files.iter().any(|file| file.is_some());
    let risk = if has_token {
        "where strangers can try secrets, and read those that are sent without TLS"
    } else {
        "where other machines reach it, and has neither tokens nor certificates to admit them by"
    };
    is_open(admin, has_token, config.tls.ask_clients).then(|| {
        Finding::new(
            "admin",
            format!("the admin port listens at {admin}, {risk}"),
            "set net.admin to a loopback address, or to one of a private network with admin.tokens_file or, \
             for replicas, replication.token_file; or ask for certificates (tls.ask_clients)",
        )
    })
}

/// True if strangers may reach an admin port: on a private network a token says that it is meant to be
/// reached by replicas; on a public one only certificates keep strangers out.
fn is_open(admin: SocketAddr, has_token: bool, asks_clients: bool) -> bool {
    let is_private = match admin.ip() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    let is_guarded = asks_clients || is_private && has_token;
    !(admin.ip().is_loopback() || is_guarded)
}

/// Returns a finding if the process may not open enough files for the configured connections.
pub(super) fn descriptors(config: &Config) -> Option<Finding> {
    let wanted = (config.net.connections_max as u64).saturating_add(DESCRIPTORS_BESIDE);
    let limit = getrlimit(Resource::Nofile).maximum?;
    (limit < wanted).then(|| {
        Finding::new(
            "descriptors",
            format!(
                "a process of this shell may open {limit} files, and net.connections_max = {} needs {wanted}",
                config.net.connections_max
            ),
            "raise the limit (`ulimit -n`, or LimitNOFILE= in the unit), or lower net.connections_max",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(change: impl FnOnce(&mut Config)) -> Vec<&'static str> {
        let mut config = Config::default();
        config.store.data = Some(std::env::temp_dir());
        config.writes.free_space_min = ByteSize(MEMTABLE_BYTES_MAX as u64);
        change(&mut config);
        let mut found = warnings(&config);
        found.extend(descriptors(&config));
        found.into_iter().map(|finding| finding.check).collect()
    }

    #[test]
    fn each_lack_of_the_machine_is_a_finding_of_its_own() {
        assert!(found(|_| ()).is_empty());
        assert_eq!(
            found(|config| config.store.memory = Some(ByteSize(1 << 60))),
            ["memory"]
        );
        assert_eq!(
            found(|config| config.writes.free_space_min = ByteSize(1 << 60)),
            ["space"]
        );
        assert_eq!(
            found(|config| config.writes.free_space_min.0 -= 1),
            ["reserve"]
        );
        assert_eq!(
            found(|config| config.backup.to = Some("backups".into())),
            ["reserve"]
        );
        assert_eq!(
            found(|config| config.net.admin = ([0, 0, 0, 0], 8081).into()),
            ["admin"]
        );
        // Without a limit there is nothing to find.
        if getrlimit(Resource::Nofile).maximum.is_some() {
            let all = usize::try_from(u64::MAX / 2).unwrap_or(usize::MAX);
            assert_eq!(
                found(|config| config.net.connections_max = all),
                ["descriptors"]
            );
        }
    }

    #[test]
    fn data_directory_that_is_not_there_has_the_space_above_it() {
        let missing = |config: &mut Config| {
            config.store.data = Some(std::env::temp_dir().join("no/such/dir"));
            config.writes.free_space_min = ByteSize(1 << 60);
        };
        assert_eq!(found(missing), ["space"]);
    }

    #[test]
    fn admin_port_is_open_unless_loopback_or_guarded() {
        for (address, has_token, asks_clients, open) in [
            ("127.0.0.1:8081", false, false, false),
            ("[::1]:8081", false, false, false),
            ("10.0.0.1:8081", false, false, true),
            ("10.0.0.1:8081", true, false, false),
            ("[fd00::1]:8081", true, false, false),
            ("192.0.2.1:8081", true, false, true),
            ("192.0.2.1:8081", false, true, false),
            ("0.0.0.0:8081", true, false, true),
            ("[::]:8081", true, true, false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(is_open(address, has_token, asks_clients), open, "{address}");
        }
    }
}
