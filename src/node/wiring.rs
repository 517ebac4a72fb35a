//! What the configuration says, as each part wants to hear it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::api;
use crate::config::{self, Config};
use crate::net::{Dialer, Limits, PeerLimits, Tls, TlsFiles, Upstream};
use crate::replication::{PrimaryAddress, PrimaryOptions, Token, TokenError};
use crate::store::{Store, WriterOptions};

use super::Error;

/// A request line with all headers; what browsers and proxies send is well below.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Connections of the operator's port: two for each copy, probes, and a person or two.
const ADMIN_CONNECTIONS_MAX: usize = 128;
/// Connections of one address there, so that no machine keeps out the replicas and probes of others.
const ADMIN_CONNECTIONS_PER_ADDRESS_MAX: usize = 96;
/// The time for which the admin port outlives the API.
const ADMIN_DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// Returns the settings of the API.
pub(super) fn settings(config: &Config, answer_bytes_max: u64) -> api::Settings {
    api::Settings {
        dialect: match config.api.dialect {
            config::DialectConfig::Atelier => api::Dialect::Atelier,
            config::DialectConfig::Greenfield => api::Dialect::Greenfield,
        },
        catalogue: api::CatalogueSettings {
            hosted_fields: config.api.hosted_fields,
            price_decimals: config.api.price_decimals,
        },
        empty_neighbours: config.api.empty_neighbours,
        cors_origins: config.api.cors_origins.clone(),
        page_rows_max: config.api.page_rows_max,
        page_bytes_max: usize::try_from(config.api.page_bytes_max.0).unwrap_or(usize::MAX),
        wait_time_max: config.api.wait_time_max.into(),
        answer_bytes_max,
        serve_stale: config.replica.serve_stale,
        session_wait_max: config.replica.wait_time_max.into(),
        writes: write_settings(config),
        access_log: journal_settings(config),
    }
}

fn journal_settings(config: &Config) -> api::AccessLogSettings {
    let slow_time = Duration::from(config.log.slow_request_time);
    api::AccessLogSettings {
        access: config.log.access,
        slow_time: (!slow_time.is_zero()).then_some(slow_time),
    }
}

fn write_settings(config: &Config) -> api::WriteSettings {
    let writes = &config.writes;
    let window = Duration::from(writes.vote_window);
    let trusted = config.net.trusted_proxies.iter();
    api::WriteSettings {
        body_time_max: config.net.body_time_max.into(),
        body_rate_min: config.net.rate_min.0,
        rules: rules(writes),
        vote_window: (!window.is_zero()).then_some(window),
        rate_limit: (writes.rate_limit_per_second > 0).then_some(api::RateLimit {
            per_second: writes.rate_limit_per_second,
            burst: writes.rate_limit_burst,
        }),
        trusted_proxies: trusted.map(|network| network.0).collect(),
    }
}

fn rules(writes: &config::WritesConfig) -> api::ReviewRules {
    api::ReviewRules {
        profile: match writes.rules {
            config::RulesConfig::Hosted => api::Profile::Hosted,
            config::RulesConfig::Strict => api::Profile::Strict,
        },
        any_photo: writes.photos() == config::PhotoRule::Any,
        drop_unknown_characteristics: writes.unknown_characteristics()
            == config::UnknownCharacteristics::Ignore,
        take_unknown_products: writes.unknown_products() == config::UnknownProducts::Accept,
    }
}

/// The limits of connections, of all together and of each peer.
pub(super) type ConnectionLimits = (Limits, PeerLimits);

/// The limits of the API, with so many connections, and of the operator's port.
pub(super) fn limits(
    config: &Config,
    connections_max: usize,
) -> (ConnectionLimits, ConnectionLimits) {
    let limits = Limits {
        head_bytes_max: HEAD_BYTES_MAX,
        head_time_max: config.net.head_time_max.into(),
        idle_time_max: config.net.idle_time_max.into(),
        write_time_max: config.net.write_time_max.into(),
        rate_min: config.net.rate_min.0,
        connections_max,
        drain_time_max: config.net.drain_time_max.into(),
    };
    let admin_limits = Limits {
        connections_max: ADMIN_CONNECTIONS_MAX,
        // A replica's link may be slower, and what waits for it is bounded.
        rate_min: 0,
        drain_time_max: ADMIN_DRAIN_TIME_MAX.min(limits.drain_time_max),
        ..limits
    };
    let trusted = config.net.trusted_proxies.iter();
    let peer_limits = PeerLimits {
        connections_max: config.net.connections_per_address_max,
        trusted_proxies: trusted.map(|network| network.0).collect(),
    };
    let admin_peer_limits = PeerLimits {
        connections_max: ADMIN_CONNECTIONS_PER_ADDRESS_MAX,
        trusted_proxies: Vec::new(),
    };
    ((limits, peer_limits), (admin_limits, admin_peer_limits))
}

/// The names under which the operator's port answers: those that are listed, and the machine's own.
pub(super) fn host_names(config: &Config, over_tls: bool) -> api::HostNames {
    let mut listed = config.net.admin_hosts.clone();
    if let Ok(own) = fs::read_to_string("/proc/sys/kernel/hostname") {
        listed.push(own.trim_end().to_owned());
    }
    api::HostNames { listed, over_tls }
}

/// Returns the options of serving replicas and backups.
pub(super) fn primary_options(config: &Config) -> Result<PrimaryOptions, TokenError> {
    let replication = &config.replication;
    let token_file = replication.token_file.as_ref();
    Ok(PrimaryOptions {
        dial: None,
        token: token_file.map(|file| Token::read(file)).transpose()?,
        ring_bytes: usize::try_from(replication.ring.0).unwrap_or(usize::MAX),
        wal_keep_size: replication.wal_keep_size.0,
        bootstrap_bytes_per_second: replication.bootstrap_rate.0,
        waits: replication.acks > 0,
        is_replica: false,
    })
}

/// Returns how a replica serves backups: with its own token, or the one that it follows with.
pub(super) fn backup_options(config: &Config, followed: &Token) -> Result<PrimaryOptions, Error> {
    let options = primary_options(config).map_err(Error::Token)?;
    Ok(PrimaryOptions {
        token: options.token.or_else(|| Some(followed.clone())),
        waits: false,
        is_replica: true,
        ..options
    })
}

/// Returns the acknowledgements that writes to `store` wait for.
pub(super) fn acks(config: &Config, store: &Store) -> api::Acks {
    let replication = &config.replication;
    let time_max = (replication.acks > 0).then(|| replication.ack_time_max.into());
    api::Acks::new(store.feed().acked(), time_max)
}

/// Returns the primary that a replica follows.
pub(super) fn source(
    config: &Config,
    primary: &str,
    tls: &Arc<Tls>,
) -> Result<PrimaryAddress, Error> {
    let token_file = config.replica.token_file.as_ref();
    let token_file = token_file.or(config.replication.token_file.as_ref());
    let token_file = token_file.ok_or(Error::NoToken)?;
    Ok(PrimaryAddress {
        primary: primary.to_owned(),
        dialer: dialer(primary, tls)?,
        token: Token::read(token_file).map_err(Error::Token)?,
    })
}

fn dialer(url: &str, tls: &Arc<Tls>) -> Result<Dialer, Error> {
    Dialer::new(url, tls).ok_or_else(|| Error::Address(url.to_owned()))
}

/// Returns the role of a replica.
pub(super) fn copy_role(
    config: &Config,
    followed: &str,
    tls: &Arc<Tls>,
) -> Result<api::Role, Error> {
    let replica = &config.replica;
    let primary = replica.primary.as_deref().unwrap_or(followed);
    if !replica.forward_writes {
        return Ok(api::Role::Replica(primary.into()));
    }
    let upstream = Upstream::new(dialer(primary, tls)?, replica.forward_time_max.into());
    Ok(api::Role::Forwarding(api::Forward::to(upstream)))
}

/// The files of TLS between nodes.
pub(crate) fn tls_files(config: &Config) -> TlsFiles {
    let tls = &config.tls;
    TlsFiles {
        own: tls.cert_file.clone().zip(tls.key_file.clone()),
        authority: tls.ca_file.clone(),
        asks_clients: tls.ask_clients,
    }
}

/// Returns the options of the writer.
pub(super) fn writer_options(config: &Config) -> WriterOptions {
    let writes = &config.writes;
    WriterOptions {
        loss_time_max: match writes.durability {
            config::DurabilityConfig::Fsync => None,
            config::DurabilityConfig::Interval => Some(writes.interval.into()),
        },
        queue_max: writes.queue_max,
        free_space_min: writes.free_space_min.0,
        idempotency_keys_per_client_max: writes.idempotency_keys_per_client_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::IDEMPOTENCY_KEYS_MAX;

    #[test]
    fn one_client_may_have_all_idempotency_keys_and_no_more() {
        let is_valid = |keys| {
            let mut config = Config::default();
            config.store.data = Some("data".into());
            config.writes.idempotency_keys_per_client_max = keys;
            config.validate().is_ok()
        };
        assert!(is_valid(IDEMPOTENCY_KEYS_MAX));
        assert!(!is_valid(IDEMPOTENCY_KEYS_MAX + 1));
    }

    #[test]
    fn systemd_keeps_as_many_connections_as_there_are() {
        let unit = include_str!("../../systemd/reviewsd.service");
        let line = |line: &str| line.strip_prefix("FileDescriptorStoreMax=")?.parse().ok();
        let kept: Option<usize> = unit.lines().find_map(line);
        let both = Config::default().net.connections_max + ADMIN_CONNECTIONS_MAX;
        assert_eq!(kept, Some(both));
    }
}
