//! The scenarios of `bench/scenarios.toml`.
//!
//! Owns how that file is read. It must not know how anything is started or measured.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::peers::Server;
use crate::load::{Ids, Plan, Request, Workload};

/// The rate of the writes beside reads.
pub(crate) const WRITES_PER_SECOND: f64 = 1000.0;
const SCENARIOS: &str = include_str!("../../scenarios.toml");

/// All scenarios, in the order in which they are run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenarios {
    /// The writes beside reads.
    pub(crate) writes: Load,
    pub(crate) scenario: Vec<Scenario>,
}

/// One row of the comparison.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// The published claim and its stack; empty where nothing was published.
    #[serde(default)]
    pub(crate) claim: String,
    #[serde(default)]
    pub(crate) stack: String,
    /// The measurement here, as a sentence.
    pub(crate) about: String,
    pub(crate) what: What,
    #[serde(default)]
    pub(crate) per_second: Vec<f64>,
    /// True if the first rate is also kept from a start with nothing in any cache.
    #[serde(default)]
    pub(crate) cold: bool,
    #[serde(default)]
    pub(crate) load: Load,
    pub(crate) servers: Vec<Server>,
}

/// The measurement of each of the servers.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    Rates,
    Knee,
    UnderWrites,
    Replicas,
    Import,
}

/// The requests: of all products, of those up to one, or of a few.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Load {
    last: Option<u64>,
    few: Option<(u64, u64)>,
    request: Vec<Request>,
}

/// Reads the file.
pub(crate) fn scenarios() -> Result<Scenarios> {
    toml::from_str(SCENARIOS).context("cannot read bench/scenarios.toml")
}

impl Scenario {
    /// True if its servers are written to.
    pub(crate) fn writes(&self) -> bool {
        let mut requests = self.load.request.iter();
        matches!(self.what, What::UnderWrites | What::Replicas)
            || requests.any(|one| one.success() == 201)
    }
}

impl Load {
    /// A workload that asks for this in a shop of so many products, as fast as it is answered until told
    /// otherwise.
    pub(crate) fn workload(&self, name: &str, products: u64, time: Duration) -> Result<Workload> {
        let ids = match self.few {
            Some(few) => Ids {
                set: within(few, products).collect(),
                ..Ids::default()
            },
            None => Ids {
                last: Some(self.last.unwrap_or(products).min(products)),
                ..Ids::default()
            },
        };
        let workload = Workload {
            name: name.to_owned(),
            about: "a scenario".to_owned(),
            plan: Plan {
                rates_per_second: Vec::new(),
                step: time,
            },
            products: ids,
            requests: self.request.clone(),
            ..Workload::default()
        };
        workload.checked()
    }
}

/// The products of a range, or in a smaller shop as many of the last ones.
pub(crate) fn within((first, last): (u64, u64), products: u64) -> impl Iterator<Item = u64> {
    let missing = last.saturating_sub(products);
    first.saturating_sub(missing).max(1)..=last - missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_a_workload_at_any_size_of_the_shop() {
        let all = scenarios().unwrap();
        for scenario in all.scenario.iter().filter(|one| one.what != What::Import) {
            let fit =
                |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
            assert!(
                scenario.name.chars().all(fit),
                "{} is no name of a file",
                scenario.name
            );
            assert_eq!(scenario.claim.is_empty(), scenario.stack.is_empty());
            for products in [1, 9, 2000, 100_005, 1_000_011] {
                let load = &scenario.load;
                load.workload(&scenario.name, products, Duration::from_secs(1))
                    .unwrap();
            }
        }
    }

    #[test]
    fn a_smaller_shop_repeats_its_last_products() {
        let ends = |products| {
            let ids: Vec<u64> = within((100_000, 100_010), products).collect();
            (ids[0], ids[ids.len() - 1])
        };
        assert_eq!(ends(1_000_011), (100_000, 100_010));
        assert_eq!((ends(2000), ends(3)), ((1990, 2000), (1, 3)));
    }
}
