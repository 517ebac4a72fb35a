//! What a run of scenarios measured, as the report is made of it and as it is written to disk.
//!
//! Owns the meaning of every figure. It must not know how one was measured, nor how it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::peers::Server;
use super::process::Skipped;
use super::say;
use crate::load::{self, Limit, Outcome};

/// Everything a report says.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// When it began, in UTC.
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) command: String,
    /// The minutes that all of it took.
    pub(crate) minutes: f64,
    pub(crate) machine: Machine,
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) shop: Shop,
    pub(crate) micro: Micro,
    pub(crate) comparison: Option<Comparison>,
    pub(crate) scenarios: Vec<Scenario>,
    /// Peers that were left out, each as a sentence.
    pub(crate) skipped: Vec<String>,
}

/// The machine of the measurement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) system: String,
    pub(crate) file_system: String,
    /// Writes of 600 bytes to the end of a file a second, each made durable before the next.
    pub(crate) syncs_per_second: f64,
}

/// The shop that was served.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shop {
    pub(crate) products: u64,
    pub(crate) csv_bytes: u64,
}

/// The limits of the servers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Micro {
    pub(crate) server_cpu: usize,
    pub(crate) load_cpus: Vec<usize>,
    /// Why the memory was not limited to 1 GiB, where it was not.
    pub(crate) unlimited: Option<String>,
    /// True if the page cache could be thrown out before each start.
    pub(crate) cold_starts: bool,
    /// The seconds for which each figure was measured.
    pub(crate) seconds: f64,
}

/// True if two servers answer alike.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Comparison {
    /// Answers that were compared, by what was asked for.
    pub(crate) compared: BTreeMap<String, u64>,
    pub(crate) different: u64,
    /// The first of those that differ.
    pub(crate) examples: Vec<String>,
}

/// One scenario with all its servers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) claim: String,
    pub(crate) stack: String,
    pub(crate) about: String,
    pub(crate) servers: Vec<Measured>,
}

/// One server in one scenario.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) server: Server,
    /// Why it was left out, where it was.
    pub(crate) skipped: Option<String>,
    /// The failure, if there was one.
    pub(crate) failed: Option<String>,
    /// From its start until it was ready, with nothing of it in the page cache.
    pub(crate) ready_seconds: Option<f64>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) imports: Vec<Import>,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) replicated: Option<Replicated>,
}

/// A stretch of load on a server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Phase {
    pub(crate) cache: Cache,
    pub(crate) figures: Figures,
    /// The same for each rate, where there were several in turn.
    pub(crate) steps: Vec<Figures>,
    pub(crate) usage: Usage,
}

/// The state of the server's caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cache {
    /// Nothing: it was just started, and the page cache was empty as far as it could be emptied.
    Cold,
    /// The caches hold what the same load brought there.
    Warm,
}

/// The load generator's figures, as the tables show them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// `None` where as much was asked for as was answered.
    pub(crate) planned_per_second: Option<f64>,
    pub(crate) right_per_second: f64,
    pub(crate) held: Option<bool>,
    pub(crate) sent: u64,
    pub(crate) errors: u64,
    pub(crate) not_sent: u64,
    pub(crate) wrong_bodies: u64,
    pub(crate) checked_bodies: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) limited_by_generator: bool,
    pub(crate) remarks: Vec<String>,
}

/// The resources of the server meanwhile, all its processes together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) requests_per_cpu_second: f64,
    /// Anonymous and shared memory, at its highest.
    pub(crate) resident_bytes: u64,
    pub(crate) page_cache_bytes: u64,
}

/// The CSV files into a store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) on: String,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) bytes: u64,
    /// When it was, where it was not in this run.
    pub(crate) earlier: Option<String>,
}

/// Reads alone and reads with writes beside them, one right after the other.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Pair {
    pub(crate) alone_per_second: f64,
    pub(crate) beside_per_second: f64,
    pub(crate) writes_per_second: f64,
    pub(crate) writes_p99_ms: f64,
    pub(crate) errors: u64,
}

/// A primary and its copies.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Replicated {
    pub(crate) copies: usize,
    /// While the lag was measured.
    pub(crate) writes_per_second: f64,
    /// From the answer to a write to the end of the first answer of a copy that shows it.
    pub(crate) lag_p50_ms: f64,
    pub(crate) lag_p99_ms: f64,
    pub(crate) lag_max_ms: f64,
    pub(crate) lag_samples: usize,
    /// The writes that a replica lacked after it was away.
    pub(crate) catch_up_writes: u64,
    pub(crate) catch_up_writes_per_second: f64,
    /// From the start of a copy that has nothing to its word that it is ready.
    pub(crate) bootstrap_seconds: f64,
    /// The same files by `cp`, made durable.
    pub(crate) plain_copy_seconds: f64,
    pub(crate) store_bytes: u64,
    /// The resident bytes of the replica that used most.
    pub(crate) resident_bytes: u64,
    pub(crate) page_cache_bytes: u64,
    /// Reads of the primary, alone and beside the writes.
    pub(crate) alone: Vec<Attached>,
    pub(crate) beside: Vec<Attached>,
}

/// Reads of a primary with copies and without, one right after the other.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Attached {
    pub(crate) with_per_second: f64,
    pub(crate) without_per_second: f64,
}

/// The value in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

impl Figures {
    /// Returns the figures of all steps of an outcome together.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        Self {
            checked_bodies: outcome.bodies_checked,
            remarks: outcome.remarks.clone(),
            ..Self::of_step(&outcome.total)
        }
    }

    /// Returns the figures of one step. Bodies are checked, and remarks are made, for all steps together.
    pub(crate) fn of_step(measured: &load::Measured) -> Self {
        Self {
            planned_per_second: measured.planned_per_second,
            right_per_second: measured.achieved_per_second,
            held: measured.held,
            sent: measured.sent,
            errors: measured.errors,
            not_sent: measured.not_sent,
            wrong_bodies: measured.wrong_bodies,
            checked_bodies: 0,
            p50_ms: measured.latency.p50_us / 1e3,
            p99_ms: measured.latency.p99_us / 1e3,
            max_ms: measured.latency.max_us / 1e3,
            limited_by_generator: measured.limit == Limit::Generator,
            remarks: Vec::new(),
        }
    }
}

impl Measured {
    /// Nothing yet.
    pub(crate) fn new(server: Server) -> Self {
        Self {
            server,
            skipped: None,
            failed: None,
            ready_seconds: None,
            phases: Vec::new(),
            imports: Vec::new(),
            pairs: Vec::new(),
            replicated: None,
        }
    }

    /// Notes why there is nothing: it cannot be had, or it failed.
    pub(crate) fn absent(&mut self, error: &anyhow::Error) {
        let label = self.server.label();
        if let Some(Skipped(why)) = error.downcast_ref() {
            say(&format!("  {label} is left out: {why}"));
            self.skipped = Some(why.clone());
        } else {
            say(&format!("  {label} failed: {error:#}"));
            self.failed = Some(format!("{error:#}"));
        }
    }

    /// The phase in which as much was asked for as was answered.
    pub(crate) fn highest(&self) -> Option<&Phase> {
        let mut phases = self.phases.iter();
        phases.find(|phase| phase.figures.planned_per_second.is_none())
    }
}

impl Report {
    /// True if every answer that was looked at was right, and every server that could be had did what
    /// it was to do. Says nothing of how fast anything was.
    pub(crate) fn is_sound(&self) -> bool {
        let differ = self
            .comparison
            .as_ref()
            .is_some_and(|both| both.different > 0);
        let mut servers = self.scenarios.iter().flat_map(|scenario| &scenario.servers);
        let is_sound = |server: &Measured| {
            let mut phases = server.phases.iter();
            server.failed.is_none() && phases.all(|phase| phase.figures.wrong_bodies == 0)
        };
        !differ && servers.all(is_sound)
    }
}
