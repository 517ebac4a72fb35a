//! `[writes]`: the writes that are accepted, from which clients, and their durability.

use serde::{Deserialize, Serialize};

use super::{ByteSize, ConfigErrors, TIME_CEILING, Time};

/// The number of waiting writes, of 64 KiB each at most, beyond which they take a small machine's memory.
const QUEUE_CEILING: usize = 8192;
/// Idempotency keys that the store remembers of all clients together.
const IDEMPOTENCY_KEYS_CEILING: u64 = 1_000_000;
/// Fewer are not enough for the clients of one network that have one address.
const IDEMPOTENCY_KEYS_FLOOR: u64 = 100;
/// Writes a second beyond which a limit has no effect.
const RATE_CEILING: u32 = 1_000_000;

/// `[writes]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WritesConfig {
    /// The point at which a write is answered.
    pub durability: DurabilityConfig,
    /// The time whose acknowledged writes a failure may lose, if durability is an interval.
    pub interval: Time,
    /// Writes that wait at most.
    pub queue_max: usize,
    /// Free space below which writes of clients are refused.
    pub free_space_min: ByteSize,
    /// Idempotency keys that are remembered of one client at most.
    pub idempotency_keys_per_client_max: u64,
    /// The rules by which reviews are accepted, unless one of the three keys below overrides them.
    pub rules: RulesConfig,
    /// The treatment of values of characteristics that a product does not have; `None` follows `rules`.
    pub unknown_characteristics: Option<UnknownCharacteristics>,
    /// The treatment of reviews of products that are not in the catalogue; `None` follows `rules`.
    pub unknown_products: Option<UnknownProducts>,
    /// The texts that a photo may be; `None` follows `rules`.
    pub photos: Option<PhotoRule>,
    /// The time in which a client's second vote for a review does not count; zero is off.
    pub vote_window: Time,
    /// Writes that a client gains every second; 0 is off.
    pub rate_limit_per_second: u32,
    /// Writes that a client may save up.
    pub rate_limit_burst: u32,
}

/// The point at which a write is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DurabilityConfig {
    /// After it is on the disk.
    Fsync,
    /// After it is written; it is on the disk an interval later.
    Interval,
}

/// The rules by which reviews are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RulesConfig {
    /// Reviews that the hosted service was seen to accept.
    Hosted,
    /// Reviews that are complete and about what the catalogue has.
    Strict,
}

/// The treatment of values of characteristics that a product does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownCharacteristics {
    /// The review is refused.
    Refuse,
    /// They are left out of it.
    Ignore,
}

/// The treatment of reviews of products that are not in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownProducts {
    /// They are refused.
    Refuse,
    /// They are taken.
    Accept,
}

/// The texts that a photo of a review may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhotoRule {
    /// Any text.
    Any,
    /// An http or https URL.
    Url,
}

impl Default for WritesConfig {
    fn default() -> Self {
        Self {
            durability: DurabilityConfig::Fsync,
            interval: Time::from_secs(1),
            queue_max: 1024,
            free_space_min: ByteSize(2 << 30),
            idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_CEILING / 8,
            rules: RulesConfig::Hosted,
            unknown_characteristics: None,
            unknown_products: None,
            photos: None,
            vote_window: Time::from_secs(0),
            rate_limit_per_second: 0,
            rate_limit_burst: 10,
        }
    }
}

impl WritesConfig {
    /// Returns the treatment of values of characteristics that a product does not have.
    #[must_use]
    pub fn unknown_characteristics(&self) -> UnknownCharacteristics {
        self.unknown_characteristics.unwrap_or(match self.rules {
            RulesConfig::Hosted => UnknownCharacteristics::Ignore,
            RulesConfig::Strict => UnknownCharacteristics::Refuse,
        })
    }

    /// Returns the treatment of reviews of products that are not in the catalogue.
    #[must_use]
    pub fn unknown_products(&self) -> UnknownProducts {
        self.unknown_products.unwrap_or(match self.rules {
            RulesConfig::Hosted => UnknownProducts::Accept,
            RulesConfig::Strict => UnknownProducts::Refuse,
        })
    }

    /// Returns the texts that a photo may be.
    #[must_use]
    pub fn photos(&self) -> PhotoRule {
        self.photos.unwrap_or(match self.rules {
            RulesConfig::Hosted => PhotoRule::Any,
            RulesConfig::Strict => PhotoRule::Url,
        })
    }

    /// Checks the values that are valid or invalid only together.
    pub(super) fn validate(&self, faults: &mut ConfigErrors) {
        faults.check(
            "writes.interval",
            Time::from_secs(0) < self.interval && self.interval <= TIME_CEILING,
            "longer than 0s and at most a day",
        );
        faults.check(
            "writes.queue_max",
            (1..=QUEUE_CEILING).contains(&self.queue_max),
            format!("from 1 to {QUEUE_CEILING}"),
        );
        let keys = IDEMPOTENCY_KEYS_FLOOR..=IDEMPOTENCY_KEYS_CEILING;
        faults.check(
            "writes.idempotency_keys_per_client_max",
            keys.contains(&self.idempotency_keys_per_client_max),
            format!("from {IDEMPOTENCY_KEYS_FLOOR} to {IDEMPOTENCY_KEYS_CEILING}"),
        );
        faults.check(
            "writes.vote_window",
            self.vote_window <= TIME_CEILING,
            "at most a day; 0s is off",
        );
        faults.check(
            "writes.rate_limit_per_second",
            self.rate_limit_per_second <= RATE_CEILING,
            format!("at most {RATE_CEILING}; 0 is off"),
        );
        faults.check(
            "writes.rate_limit_burst",
            (1..=RATE_CEILING).contains(&self.rate_limit_burst),
            format!("from 1 to {RATE_CEILING}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idempotency_keys_of_a_client_are_within_bounds() {
        for (keys, is_valid) in [
            (99, false),
            (100, true),
            (1_000_000, true),
            (1_000_001, false),
        ] {
            let writes = WritesConfig {
                idempotency_keys_per_client_max: keys,
                ..WritesConfig::default()
            };
            let mut faults = ConfigErrors::default();
            writes.validate(&mut faults);
            let refused = faults.into_result().err().map(|fault| fault.to_string());
            let names = |told: &String| told.contains("writes.idempotency_keys_per_client_max");
            assert_eq!(refused.is_none(), is_valid, "{keys}");
            assert!(refused.as_ref().is_none_or(names), "{refused:?}");
        }
    }
}
