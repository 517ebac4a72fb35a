//! The settings in force: their values for the API and for the ports, and their reload.
//!
//! Must not know its callers. Invariant: a configuration that is wrong changes nothing, and the log reports
//! which keys change and which wait for the next start.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{self, HostNames, ReviewCheck};
use crate::config::{self, Config, Error, ModerationConfig, Reload, ResolvedConfig, Sources, Time};
use crate::figures::sentence;
use crate::net::{Dialer, Limits, PeerLimits, Tls, TlsFiles};
use crate::policy::{ContentRules, WordList};
use crate::store;

/// The size of a request line with all headers; those that browsers and proxies send are well below.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Connections of the admin port: two for each replica, probes, and a person or two.
const ADMIN_CONNECTIONS_MAX: usize = 128;
/// Connections of one address there, so that no machine locks out the replicas and probes of another.
const ADMIN_CONNECTIONS_PER_ADDRESS_MAX: usize = 96;
/// The time for which the admin port outlives the API.
const ADMIN_DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// The settings in force, and their sources.
pub(super) struct SettingsInForce {
    sources: Sources,
    settled: ResolvedConfig,
    /// The certificates for the service that is asked about reviews.
    tls: Arc<Tls>,
    /// The blocked words, as they were read last.
    words: WordList,
    /// The service that is asked about reviews.
    check: Option<Arc<ReviewCheck>>,
    /// The part of the memory that is not the store's.
    answer_memory: api::AnswerMemory,
    /// Connections that there are descriptors for.
    pub(super) connections_max: usize,
}

impl SettingsInForce {
    /// The settings that a node begins with.
    pub(super) fn new(
        sources: Sources,
        settled: ResolvedConfig,
        tls: Arc<Tls>,
        answer_memory: api::AnswerMemory,
    ) -> Result<Self, Error> {
        let moderation = &settled.config.moderation;
        Ok(Self {
            words: moderation.word_list()?,
            check: check(moderation, &tls),
            connections_max: settled.config.net.connections_max,
            sources,
            settled,
            tls,
            answer_memory,
        })
    }

    /// The configuration in force.
    pub(super) fn config(&self) -> &Config {
        &self.settled.config
    }

    /// Returns the settings of the API.
    pub(super) fn of_api(&self) -> api::Settings {
        let moderation = moderation(&self.config().moderation, &self.words, self.check.clone());
        api_settings(self.config(), self.answer_memory, moderation)
    }

    /// Returns the limits of the API, and of the admin port.
    pub(super) fn limits(&self) -> (ConnectionLimits, ConnectionLimits) {
        limits(self.config(), self.connections_max)
    }

    /// Returns the names under which the admin port answers: those that are listed, and the machine's own.
    pub(super) fn host_names(&self, over_tls: bool) -> HostNames {
        let mut listed = self.config().net.admin_hosts.clone();
        if let Ok(own) = fs::read_to_string("/proc/sys/kernel/hostname") {
            listed.push(own.trim_end().to_owned());
        }
        HostNames { listed, over_tls }
    }

    /// Reads the sources again, lets `apply` put in effect the reloadable settings, and then logs the outcome.
    pub(super) fn reload(&mut self, apply: impl FnOnce(&Self)) {
        let (reload, words) = match self.asked_again() {
            Ok(asked) => asked,
            Err(error) => {
                let what = sentence(&error);
                tracing::error!(
                    "SIGHUP: nothing changes, because the configuration is invalid: {what}"
                );
                return;
            }
        };
        let Reload {
            settled,
            mut changed,
            waiting,
        } = reload;
        let file = "moderation.words_file";
        if words != self.words
            && !changed
                .iter()
                .any(|key| key.starts_with("moderation.words"))
        {
            changed.push(file.to_owned());
        }
        self.settled = settled;
        self.words = words;
        let check = check(&self.config().moderation, &self.tls);
        // The connections of the same service stay.
        if check != self.check {
            self.check = check;
        }
        if changed.is_empty() {
            tracing::info!("SIGHUP: no setting changed");
        } else {
            apply(self);
            let changed = changed.join(", ");
            tracing::info!("SIGHUP: {changed}: in effect from now on");
        }
        if !waiting.is_empty() {
            let waiting = waiting.join(", ");
            tracing::warn!("SIGHUP: {waiting}: in effect after a restart");
        }
    }

    fn asked_again(&self) -> Result<(Reload, WordList), Error> {
        let reload = self.settled.reload(&self.sources.settle()?)?;
        let words = reload.settled.config.moderation.word_list()?;
        Ok((reload, words))
    }
}

/// Returns the settings of the API.
fn api_settings(
    config: &Config,
    memory: api::AnswerMemory,
    moderation: api::ModerationPolicy,
) -> api::Settings {
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
        memory,
        serve_stale: config.replica.serve_stale,
        session_wait_max: config.replica.wait_time_max.into(),
        writes: write_settings(config, moderation),
        access_log: access_log_settings(config),
    }
}

fn access_log_settings(config: &Config) -> api::AccessLogSettings {
    let slow_time = Duration::from(config.log.slow_request_time);
    api::AccessLogSettings {
        access: config.log.access,
        slow_time: (!slow_time.is_zero()).then_some(slow_time),
    }
}

fn write_settings(config: &Config, moderation: api::ModerationPolicy) -> api::WriteSettings {
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
        moderation,
    }
}

fn moderation(
    moderation: &ModerationConfig,
    words: &WordList,
    check: Option<Arc<ReviewCheck>>,
) -> api::ModerationPolicy {
    let quota = |count: u32, window: Time| {
        let window = window.into();
        (count > 0).then_some(api::Quota { count, window })
    };
    let chars_max = moderation.body_chars_max;
    api::ModerationPolicy {
        holds_all: moderation.mode == config::ModeConfig::Before,
        publishes_known: moderation.publish_known,
        rules: Arc::new(ContentRules {
            words: words.clone(),
            words_verdict: moderation.words_verdict.into(),
            links_max: moderation.links_max,
            links_verdict: moderation.links_verdict.into(),
            body_chars_min: moderation.body_chars_min,
            body_chars_max: Some(chars_max).filter(|max| *max < config::BODY_CHARS_CEILING),
            length_verdict: moderation.length_verdict.into(),
            repeated_chars_max: moderation.repeated_chars_max,
            repeated_words_min: moderation.repeated_words_min,
            repetition_verdict: moderation.repetition_verdict.into(),
        }),
        duplicates: moderation.duplicate_verdict.into(),
        check,
        reports_per_client: quota(
            moderation.reports_per_client,
            moderation.reports_per_client_window,
        ),
        reviews_per_client: quota(
            moderation.reviews_per_client,
            moderation.reviews_per_client_window,
        ),
        votes_per_client: quota(
            moderation.votes_per_client,
            moderation.votes_per_client_window,
        ),
        reviews_per_product: quota(
            moderation.reviews_per_product,
            moderation.reviews_per_product_window,
        ),
        writer: writer_moderation(moderation),
    }
}

/// The settings of moderation that the writer keeps to.
fn writer_moderation(moderation: &ModerationConfig) -> store::ModerationSettings {
    let audit_time = Duration::from(moderation.audit_time);
    store::ModerationSettings {
        reports_to_hide: usize::try_from(moderation.reports_to_hide).unwrap_or(usize::MAX),
        undo_time: moderation.undo_time.into(),
        audit_time: (!audit_time.is_zero()).then_some(audit_time),
        ..store::ModerationSettings::DEFAULT
    }
}

/// The service that is asked about reviews, if one is configured.
fn check(moderation: &ModerationConfig, tls: &Arc<Tls>) -> Option<Arc<ReviewCheck>> {
    let (server, path) = moderation.check_address()?;
    let server = Dialer::new(&server, tls)?;
    let time_max = moderation.check_time_max.into();
    let unanswered = moderation.check_unanswered.into();
    ReviewCheck::new(server, &path, time_max, unanswered).map(Arc::new)
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

/// The limits of the API, with so many connections, and of the admin port.
fn limits(config: &Config, connections_max: usize) -> (ConnectionLimits, ConnectionLimits) {
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
        // A replica's link may be slower, and the answers that wait for it are bounded.
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

/// The files of TLS between nodes.
pub(crate) fn tls_files(config: &Config) -> TlsFiles {
    let tls = &config.tls;
    TlsFiles {
        own: tls.cert_file.clone().zip(tls.key_file.clone()),
        authority: tls.ca_file.clone(),
        asks_clients: tls.ask_clients,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_keeps_as_many_connections_as_there_are() {
        let unit = include_str!("../../systemd/reviewsd.service");
        let line = |line: &str| line.strip_prefix("FileDescriptorStoreMax=")?.parse().ok();
        let kept: Option<usize> = unit.lines().find_map(line);
        let both = Config::default().net.connections_max + ADMIN_CONNECTIONS_MAX;
        assert_eq!(kept, Some(both));
    }
}
