//! `[replication]` and `[replica]`: the settings of a primary and of a replica.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ByteSize, ConfigErrors, TIME_CEILING, Time};

/// A ring that is larger leaves a small machine no memory for anything else.
const RING_CEILING: ByteSize = ByteSize(1 << 30);

/// The longest wait of a read.
const WAIT_CEILING: Time = Time::from_secs(60);

/// `[replication]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplicationConfig {
    /// The file with the secret that replicas must know; without one there are no replicas.
    pub token_file: Option<PathBuf>,
    /// Replicas that must have a write on their disk before it is acknowledged: 0 or 1.
    pub acks: u8,
    /// The time after which the outcome counts as unknown.
    pub ack_time_max: Time,
    /// Memory for the latest commits.
    pub ring: ByteSize,
    /// The time for which commits are retained on the disk for replicas that were disconnected.
    pub wal_keep_time: Time,
    /// The disk space that those may take.
    pub wal_keep_size: ByteSize,
    /// Bytes a second that all bootstraps together are sent.
    pub bootstrap_rate: ByteSize,
}

/// `[replica]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplicaConfig {
    /// The admin API of the primary that is followed; without one this is a primary.
    pub follow: Option<String>,
    /// The file with the secret; the one of `[replication]` where there is none.
    pub token_file: Option<PathBuf>,
    /// The lag beyond which the replica is not ready.
    pub lag_max: Time,
    /// True if it answers reads while it lags.
    pub serve_stale: bool,
    /// The time for which a read waits for a commit that its client has seen elsewhere.
    pub wait_time_max: Time,
    /// Disk for commits that are made during a bootstrap.
    pub spool: ByteSize,
    /// The URL of the primary's API, for clients.
    pub primary: Option<String>,
    /// True if writes are passed on to the primary.
    pub forward_writes: bool,
    /// The time that such a write may take.
    pub forward_time_max: Time,
    /// The number of the latest diverged stores that are retained; 0 is all.
    pub diverged_keep: usize,
    /// The age up to which diverged stores are retained; 0s is all.
    pub diverged_keep_for: Time,
}

impl Default for ReplicationConfig {
    fn default() -> Self {
        Self {
            token_file: None,
            acks: 0,
            ack_time_max: Time::from_secs(5),
            ring: ByteSize(32 << 20),
            wal_keep_time: Time::from_secs(60 * 60),
            wal_keep_size: ByteSize(1 << 30),
            bootstrap_rate: ByteSize(64 << 20),
        }
    }
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            follow: None,
            token_file: None,
            lag_max: Time::from_secs(10),
            serve_stale: true,
            wait_time_max: Time::from_secs(1),
            spool: ByteSize(1 << 30),
            primary: None,
            forward_writes: false,
            forward_time_max: Time::from_secs(15),
            diverged_keep: 0,
            diverged_keep_for: Time::from_secs(0),
        }
    }
}

impl ReplicationConfig {
    /// Checks the values that are valid or invalid only together.
    pub(super) fn validate(&self, has_tokens: bool, faults: &mut ConfigErrors) {
        faults.check("replication.acks", self.acks <= 1, "0 or 1");
        faults.check(
            "replication.token_file",
            self.acks == 0 || self.token_file.is_some() || has_tokens,
            "set if replication.acks is 1: without it, or admin.tokens_file, there are no replicas",
        );
        faults.check(
            "replication.ack_time_max",
            Time::from_secs(0) < self.ack_time_max && self.ack_time_max <= TIME_CEILING,
            "longer than 0s and at most a day",
        );
        faults.check(
            "replication.ring",
            self.ring <= RING_CEILING,
            format!("at most {RING_CEILING}"),
        );
        faults.check(
            "replication.wal_keep_time",
            Time::from_secs(60) <= self.wal_keep_time,
            "at least 1m",
        );
        faults.check(
            "replication.bootstrap_rate",
            self.bootstrap_rate >= ByteSize(1 << 10),
            "at least 1KiB a second",
        );
    }
}

impl ReplicaConfig {
    /// Checks the values that are valid or invalid only together.
    pub(super) fn validate(&self, faults: &mut ConfigErrors) {
        let follow = self.follow.as_deref();
        faults.check(
            "replica.follow",
            follow.is_none_or(is_address),
            "the admin API of the primary, like http://10.0.0.1:8081, or https://…",
        );
        faults.check(
            "replica.primary",
            self.primary.as_deref().is_none_or(is_address),
            "the API of the primary, like http://10.0.0.1:8080, or https://…",
        );
        faults.check(
            "replica.primary",
            !self.forward_writes || self.primary.is_some(),
            "set if replica.forward_writes is true: writes are forwarded to it",
        );
        faults.check(
            "replica.forward_time_max",
            Time::from_secs(0) < self.forward_time_max && self.forward_time_max <= TIME_CEILING,
            "longer than 0s and at most a day",
        );
        faults.check(
            "replica.lag_max",
            Time::from_secs(0) < self.lag_max && self.lag_max <= TIME_CEILING,
            "longer than 0s and at most a day",
        );
        faults.check(
            "replica.wait_time_max",
            self.wait_time_max <= WAIT_CEILING,
            "at most 1m",
        );
    }
}

/// True for a scheme, a host and a port without a path.
fn is_address(text: &str) -> bool {
    let plain = text.strip_prefix("http://");
    let authority = plain.or_else(|| text.strip_prefix("https://"));
    let authority = authority.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    authority
        .and_then(|authority| authority.rsplit_once(':'))
        .is_some_and(|(host, port)| {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b"/?#@".contains(&b))
                && port.parse::<u16>().is_ok()
        })
}
