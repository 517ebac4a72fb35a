//! The configuration of `reviewsd serve`: every key, its default and what is valid.
//!
//! Must not know what the values are used for. Invariant: a [`Config`] that was validated can be
//! served from without a further check.

mod address;
mod admin;
mod backup;
mod errors;
mod file;
mod keys;
mod log;
mod memory;
mod moderation;
mod network;
mod origin;
#[cfg(test)]
mod reference;
mod replication;
mod resolve;
mod size;
mod time;
mod tls;
mod writes;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use address::{InvalidAddress, address};
pub use admin::AdminConfig;
pub use backup::BackupConfig;
use errors::ConfigErrors;
pub use log::{InvalidLevels, Level, Levels, LogConfig, LogFormat};
pub use memory::{machine_memory, share_of_machine};
pub(crate) use moderation::BODY_CHARS_CEILING;
pub use moderation::{ModeConfig, ModerationConfig, VerdictConfig};
pub use network::{InvalidNetwork, NetworkRange};
pub use origin::Origin;
pub use replication::{ReplicaConfig, ReplicationConfig};
pub use resolve::{FlagValue, Reload, ResolvedConfig, Sources};
pub use size::{ByteSize, InvalidSize};
pub use time::{InvalidTime, Time};
pub use tls::TlsConfig;
pub use writes::{
    DurabilityConfig, PhotoRule, RulesConfig, UnknownCharacteristics, UnknownProducts, WritesConfig,
};

/// The memory below which the store has no space for the blocks that one request touches.
const MEMORY_MIN: ByteSize = ByteSize(32 << 20);
/// Rows beyond which one answer is so large that it is surely not meant.
const PAGE_ROWS_CEILING: usize = 100_000;
/// A usual page fits in this.
const PAGE_BYTES_FLOOR: ByteSize = ByteSize(64 << 10);
/// Bytes beyond which one answer is so large that it is surely not meant.
const PAGE_BYTES_CEILING: ByteSize = ByteSize(64 << 20);
/// Proxies have given up by then.
const WAIT_CEILING: Time = Time::from_secs(60);
/// Connections beyond which no process may have so many file descriptors.
const CONNECTIONS_CEILING: usize = 1_000_000;
/// Bytes a second beyond which connections of usual clients would be closed.
const RATE_CEILING: ByteSize = ByteSize(1 << 20);
/// No limit is longer than this: a time that means "never" is not offered.
const TIME_CEILING: Time = Time::from_secs(24 * 60 * 60);

/// Everything that may be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[store]`: the local store.
    pub store: StoreConfig,
    /// `[api]`: the form of the answers.
    pub api: ApiConfig,
    /// `[net]`: sockets and limits.
    pub net: NetConfig,
    /// `[admin]`: the clients of the admin port.
    pub admin: AdminConfig,
    /// `[writes]`: the writes that are accepted, and their durability.
    pub writes: WritesConfig,
    /// `[moderation]`: when reviews are published, and the limits of clients.
    pub moderation: ModerationConfig,
    /// `[replication]`: the settings of a primary.
    pub replication: ReplicationConfig,
    /// `[replica]`: the settings of a replica.
    pub replica: ReplicaConfig,
    /// `[tls]`: the certificate of a node, and the CA that it trusts.
    pub tls: TlsConfig,
    /// `[backup]`: where backups go, and which of them stay.
    pub backup: BackupConfig,
    /// `[log]`: the log on standard error.
    pub log: LogConfig,
}

/// `[store]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The data directory; has no default.
    pub data: Option<PathBuf>,
    /// The memory of the store; `None` is a share of the machine's.
    pub memory: Option<ByteSize>,
}

/// `[api]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// The dialect of the answers.
    pub dialect: DialectConfig,
    /// True if products have the additional members of the hosted service.
    pub hosted_fields: bool,
    /// True if prices have two decimals at least.
    pub price_decimals: bool,
    /// True if the services beside the reviews are answered as empty.
    pub empty_neighbours: bool,
    /// The origins whose pages may read the answers.
    pub cors_origins: Vec<String>,
    /// Rows in one page at most.
    pub page_rows_max: usize,
    /// Bytes of one page, unless one row has more.
    pub page_bytes_max: ByteSize,
    /// The time for which an answer that is not small waits for its part of the response budget.
    pub wait_time_max: Time,
}

/// `[net]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetConfig {
    /// The address of the API.
    #[serde(deserialize_with = "address::read")]
    pub listen: SocketAddr,
    /// The address of the admin port.
    #[serde(deserialize_with = "address::read")]
    pub admin: SocketAddr,
    /// The host names that the admin port serves.
    pub admin_hosts: Vec<String>,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections of one address at once; 0 is no limit.
    pub connections_per_address_max: usize,
    /// From the first byte of a request to the end of its headers.
    pub head_time_max: Time,
    /// From the end of a request's headers to the end of its body.
    pub body_time_max: Time,
    /// From an answer to the next request.
    pub idle_time_max: Time,
    /// The time without progress after which a response is given up and its connection closed.
    pub write_time_max: Time,
    /// Bytes a second at which a client must send a body or read an answer.
    pub rate_min: ByteSize,
    /// The time for which requests under way are waited for at the end.
    pub drain_time_max: Time,
    /// The proxies whose X-Forwarded-For is trusted.
    pub trusted_proxies: Vec<NetworkRange>,
}

/// The dialect of the answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DialectConfig {
    /// As since 2021: booleans, null, counts as strings, means with 16 decimals.
    #[default]
    Atelier,
    /// As in 2019 and 2020: 1 and 0, empty strings, counts as numbers, means with 4 decimals.
    Greenfield,
}

impl fmt::Display for DialectConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Atelier => "atelier",
            Self::Greenfield => "greenfield",
        })
    }
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            dialect: DialectConfig::Atelier,
            hosted_fields: false,
            price_decimals: false,
            empty_neighbours: false,
            cors_origins: vec!["*".to_owned()],
            page_rows_max: 5000,
            page_bytes_max: ByteSize(8 << 20),
            wait_time_max: Time::from_secs(2),
        }
    }
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 8081)),
            admin_hosts: Vec::new(),
            connections_max: 4096,
            connections_per_address_max: 1024,
            head_time_max: Time::from_secs(10),
            body_time_max: Time::from_secs(10),
            idle_time_max: Time::from_secs(75),
            write_time_max: Time::from_secs(30),
            rate_min: ByteSize(16 << 10),
            drain_time_max: Time::from_secs(10),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the text of a file that is yet to be written to `path`. Such a file is complete: neither flags nor
    /// the environment are read.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub(crate) fn of_text(path: &Path, text: &str) -> Result<Self, Error> {
        let config = file::config_of(path, text)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks the values that are valid or invalid only together.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        let mut faults = self.faults();
        if self.store.data.is_none() {
            faults.add(Error::NoData);
        }
        faults.into_result()
    }

    /// Checks the same, but for values that depend on where the store is.
    pub(crate) fn validate_but_data(&self) -> Result<(), Error> {
        self.faults().into_result()
    }

    /// Returns the effective value of a key without one, as a file would have it, and the reason.
    fn implied(&self, key: &str) -> Option<String> {
        let by_rules = |value: serde_json::Result<String>| {
            value.ok().map(|value| format!("{value}, by writes.rules"))
        };
        let writes = &self.writes;
        match key {
            "store.memory" => share_of_machine()
                .map(|share| format!("\"{share}\", 65 % of the machine's or the cgroup's memory")),
            "writes.unknown_characteristics" => {
                by_rules(serde_json::to_string(&writes.unknown_characteristics()))
            }
            "writes.unknown_products" => {
                by_rules(serde_json::to_string(&writes.unknown_products()))
            }
            "writes.photos" => by_rules(serde_json::to_string(&writes.photos())),
            _ => None,
        }
    }

    fn faults(&self) -> ConfigErrors {
        let mut faults = ConfigErrors::default();
        if let Some(memory) = self.store.memory.filter(|memory| *memory < MEMORY_MIN) {
            faults.add(Error::LittleMemory(memory));
        }
        faults.check(
            "api.page_rows_max",
            (1..=PAGE_ROWS_CEILING).contains(&self.api.page_rows_max),
            format!("from 1 to {PAGE_ROWS_CEILING}"),
        );
        faults.check(
            "api.page_bytes_max",
            (PAGE_BYTES_FLOOR..=PAGE_BYTES_CEILING).contains(&self.api.page_bytes_max),
            format!("from {PAGE_BYTES_FLOOR} to {PAGE_BYTES_CEILING}"),
        );
        faults.check(
            "api.wait_time_max",
            self.api.wait_time_max <= WAIT_CEILING,
            format!("at most {WAIT_CEILING}"),
        );
        faults.check(
            "api.cors_origins",
            self.api.cors_origins.iter().all(|origin| is_origin(origin)),
            r#"a list of origins like "https://shop.example", or ["*"]"#,
        );
        faults.check(
            "net.connections_max",
            (1..=CONNECTIONS_CEILING).contains(&self.net.connections_max),
            format!("from 1 to {CONNECTIONS_CEILING}"),
        );
        faults.check(
            "net.connections_per_address_max",
            self.net.connections_per_address_max <= CONNECTIONS_CEILING,
            format!("at most {CONNECTIONS_CEILING}"),
        );
        faults.check(
            "net.rate_min",
            (ByteSize(1)..=RATE_CEILING).contains(&self.net.rate_min),
            format!("from 1B to {RATE_CEILING}"),
        );
        faults.check(
            "net.admin_hosts",
            self.net.admin_hosts.iter().all(|name| is_host_name(name)),
            r#"a list of host names like "db.shop.example", without ports"#,
        );
        let times = [
            ("net.head_time_max", self.net.head_time_max),
            ("net.body_time_max", self.net.body_time_max),
            ("net.idle_time_max", self.net.idle_time_max),
            ("net.write_time_max", self.net.write_time_max),
            ("net.drain_time_max", self.net.drain_time_max),
        ];
        for (key, time) in times {
            let valid = Time::from_secs(0) < time && time <= TIME_CEILING;
            faults.check(key, valid, "longer than 0s and at most a day");
        }
        self.writes.validate(&mut faults);
        self.moderation.validate(&mut faults);
        self.log.validate(&mut faults);
        self.replication
            .validate(self.admin.tokens_file.is_some(), &mut faults);
        self.backup.validate(&mut faults);
        self.replica.validate(&mut faults);
        let ReplicaConfig {
            follow, primary, ..
        } = &self.replica;
        let check = self.moderation.check_url.as_deref();
        let addresses = [follow.as_deref(), primary.as_deref(), check];
        self.tls.validate(addresses, &mut faults);
        faults
    }
}

/// `*`, or a scheme and a host without a path: what a browser sends as `Origin`.
fn is_origin(origin: &str) -> bool {
    let host = origin.split_once("://").map(|(_, host)| host);
    let is_host =
        |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    origin == "*" || host.is_some_and(is_host)
}

/// A name that a client requests, without a port.
fn is_host_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && !name.ends_with('.') && name.bytes().all(is_plain)
}

/// The reason there is no configuration.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The text of the file is not a configuration.
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where one is to blame.
        line: Option<usize>,
        /// The key, where one is to blame.
        key: Option<String>,
        /// The fault.
        what: String,
    },
    /// A value of the environment or of a flag that is no configuration.
    Given {
        /// The variable or flag.
        origin: Origin,
        /// The fault.
        what: String,
    },
    /// A value is not one that can be served with.
    OutOfRange {
        /// The key.
        key: &'static str,
        /// The expected value.
        expected: String,
        /// The origin of the value.
        origin: Origin,
    },
    /// No source says where the store is.
    NoData,
    /// The store cannot work with so little.
    LittleMemory(ByteSize),
    /// More than one of the above.
    Several(Vec<Error>),
}

impl Error {
    /// Each fault by itself.
    fn into_parts(self) -> Vec<Self> {
        match self {
            Self::Several(faults) => faults,
            only => vec![only],
        }
    }

    /// The same with the origin of each value that is out of its range.
    fn given_by(self, origins: &BTreeMap<String, Origin>) -> Self {
        match self {
            Self::OutOfRange { key, expected, .. } => Self::OutOfRange {
                key,
                expected,
                origin: origins.get(key).cloned().unwrap_or(Origin::Default),
            },
            Self::Several(faults) => {
                let faults = faults.into_iter().map(|fault| fault.given_by(origins));
                Self::Several(faults.collect())
            }
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::Parse {
                path,
                line,
                key,
                what,
            } => {
                write!(f, "{}", path.display())?;
                if let Some(line) = line {
                    write!(f, ", line {line}")?;
                }
                if let Some(key) = key {
                    write!(f, ", {key}")?;
                }
                write!(f, ": {what}")
            }
            Self::Given { origin, what } => write!(f, "{origin}: {what}"),
            Self::OutOfRange {
                key,
                expected,
                origin,
            } => {
                write!(f, "{key} must be {expected}")?;
                match origin {
                    Origin::Default => Ok(()),
                    origin => write!(f, " ({origin})"),
                }
            }
            Self::NoData => f.write_str(
                "no data directory is configured; give --data DIR, REVIEWSD_STORE_DATA, or data in \
                 [store] of the configuration file",
            ),
            Self::LittleMemory(memory) => write!(
                f,
                "{memory} of memory is too little for the store; give --memory {MEMORY_MIN} or more"
            ),
            Self::Several(faults) => {
                write!(f, "the configuration has {} faults:", faults.len())?;
                faults.iter().try_for_each(|fault| {
                    write!(f, "\n  {fault}")?;
                    let cause = std::error::Error::source(fault);
                    cause.map_or(Ok(()), |cause| write!(f, ": {cause}"))
                })
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> Config {
        let mut config = Config::default();
        config.store.data = Some("data".into());
        config
    }

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = valid();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_want_a_data_directory_only() {
        valid().validate().unwrap();
        let refused = Config::default().validate().unwrap_err();
        assert!(refused.to_string().contains("--data DIR"), "{refused}");
    }

    #[test]
    fn what_cannot_be_served_with_is_refused_by_name() {
        let names = |change: fn(&mut Config), name| {
            let sentence = refused(change);
            assert!(sentence.contains(name), "{sentence}");
        };
        names(
            |c| c.store.memory = Some(ByteSize(1 << 20)),
            "--memory 32MiB",
        );
        names(|c| c.api.page_rows_max = 0, "api.page_rows_max");
        names(|c| c.api.page_rows_max = 1 << 30, "api.page_rows_max");
        names(
            |c| c.api.page_bytes_max = ByteSize(1 << 10),
            "api.page_bytes_max",
        );
        names(
            |c| c.api.wait_time_max = Time::from_secs(61),
            "api.wait_time_max",
        );
        names(|c| c.net.connections_max = 0, "net.connections_max");
        for name in ["", "db.example:8081", "http://db", "*.example", "db."] {
            let sentence = refused(|c| c.net.admin_hosts = vec![name.to_owned()]);
            assert!(sentence.starts_with("net.admin_hosts "), "{sentence}");
        }
        names(
            |c| c.net.idle_time_max = Time::from_secs(0),
            "net.idle_time_max",
        );
        names(
            |c| c.net.drain_time_max = Time::from_secs(u64::MAX),
            "net.drain_time_max",
        );
        names(|c| c.net.rate_min = ByteSize(0), "net.rate_min");
        names(
            |c| c.net.connections_per_address_max = usize::MAX,
            "net.connections_per_address_max",
        );
        names(
            |c| c.net.body_time_max = Time::from_secs(0),
            "net.body_time_max",
        );
        names(
            |c| c.writes.interval = Time::from_secs(0),
            "writes.interval",
        );
        names(|c| c.writes.queue_max = 0, "writes.queue_max");
        names(|c| c.writes.queue_max = 1 << 20, "writes.queue_max");
        names(
            |c| c.writes.vote_window = Time::from_secs(1 << 30),
            "writes.vote_window",
        );
        names(
            |c| c.writes.rate_limit_per_second = u32::MAX,
            "writes.rate_limit_per_second",
        );
        names(|c| c.writes.rate_limit_burst = 0, "writes.rate_limit_burst");
        names(|c| c.replication.acks = 2, "replication.acks");
        names(|c| c.replication.acks = 1, "replication.token_file");
        names(
            |c| c.replication.wal_keep_time = Time::from_secs(59),
            "replication.wal_keep_time",
        );
        names(
            |c| c.replication.bootstrap_rate = ByteSize(0),
            "replication.bootstrap_rate",
        );
        names(
            |c| c.replication.ring = ByteSize(1 << 40),
            "replication.ring",
        );
        for address in [
            "10.0.0.1:8081",
            "ftp://10.0.0.1:8081",
            "http://10.0.0.1",
            "http://:1",
            "http://a:8081/x",
        ] {
            let sentence = refused(|c| c.replica.follow = Some(address.to_owned()));
            assert!(sentence.contains("replica.follow"), "{address}: {sentence}");
        }
        names(|c| c.replica.forward_writes = true, "replica.primary");
        names(
            |c| c.replica.primary = Some("shop.example".to_owned()),
            "replica.primary",
        );
        names(
            |c| c.replica.forward_time_max = Time::from_secs(0),
            "replica.forward_time_max",
        );
        names(|c| c.tls.cert_file = Some("c".into()), "tls.key_file");
        names(|c| c.tls.key_file = Some("k".into()), "tls.key_file");
        names(|c| c.tls.ask_clients = true, "tls.ask_clients");
        names(
            |c| c.replica.follow = Some("https://a:1".to_owned()),
            "tls.ca_file",
        );
        names(
            |c| c.log.slow_request_time = Time::from_secs(1 << 30),
            "log.slow_request_time",
        );
    }

    #[test]
    fn origins_have_a_scheme_and_no_path() {
        for origin in [
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://a b",
        ] {
            let sentence = refused(|c| c.api.cors_origins = vec![origin.to_owned()]);
            assert!(sentence.contains("api.cors_origins"), "{sentence}");
        }
        let mut config = valid();
        config.api.cors_origins = vec!["http://localhost:3000".to_owned()];
        config.validate().unwrap();
        config.api.cors_origins.clear();
        config.validate().unwrap();
    }
}
