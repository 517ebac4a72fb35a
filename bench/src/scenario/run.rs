//! One scenario after the other, each on its servers.
//!
//! Owns the order in which a server is started, warmed, loaded and ended. Invariant: a peer that fails
//! or cannot be had costs its own figures, and nobody else's.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::claims::{Load, Scenario, Scenarios, WRITES_PER_SECOND, What, within};
use super::compare;
use super::measure::{measure, put, warm, workload};
use super::peers::postgres::Cluster;
use super::peers::{Data, Running, Server, reviewsd};
use super::process::Skipped;
use super::results::{self, Cache, Comparison, Measured, Pair, Phase, median};
use super::say;
use super::setting::{Setting, remove_dir};
use crate::load::{Outcome, Target};
use crate::text::cannot;

/// Pairs of slices with and without writes, and how long a slice is at most.
const PAIRS: usize = 8;
const SLICE_MAX: Duration = Duration::from_secs(3);
const SLICE_WARM_UP_MAX: Duration = Duration::from_millis(500);

/// All outcomes of a scenario, whole, by server and phase.
pub(crate) type Outcomes = Vec<(Server, String, Outcome)>;

/// A run over some scenarios.
pub(crate) struct Run<'a> {
    pub(crate) setting: &'a Setting,
    pub(crate) scenarios: &'a Scenarios,
    /// The measurements of each store.
    pub(crate) stores: &'a [Measured],
    /// True if there is a copy to write to.
    pub(crate) copied: bool,
}

impl Run<'_> {
    /// Runs a scenario on each of its servers.
    pub(crate) fn scenario(
        &mut self,
        scenario: &Scenario,
    ) -> Result<(results::Scenario, Outcomes)> {
        say(&format!("{}: {}", scenario.name, scenario.about));
        if scenario.writes() && !self.copied {
            self.copy()?;
        }
        let mut servers = Vec::new();
        let mut outcomes = Vec::new();
        for server in &scenario.servers {
            let mut measured = Measured::new(*server);
            let done = self.server(scenario, &mut measured, &mut outcomes);
            self.setting.stopped()?;
            if let Err(error) = done {
                measured.absent(&error);
            }
            servers.push(measured);
        }
        let result = results::Scenario {
            name: scenario.name.clone(),
            claim: scenario.claim.clone(),
            stack: scenario.stack.clone(),
            about: scenario.about.clone(),
            servers,
        };
        Ok((result, outcomes))
    }

    /// Holds the answers of two servers against each other, where both are to be had.
    pub(crate) fn compare(&self) -> Result<Option<Comparison>> {
        let mut started = Vec::new();
        for server in [Server::Reviewsd, Server::Express] {
            match self.start_with(server, Data::Imported) {
                Ok(running) => started.push(running),
                Err(error) if error.is::<Skipped>() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let targets: Vec<Target> = started.iter().map(|one| one.address.into()).collect();
        let [ours, theirs] = targets.as_slice() else {
            return Ok(None);
        };
        compare::compare(ours, theirs, self.setting.products).map(Some)
    }

    /// Removes what was made to be written to.
    pub(crate) fn end(&self) -> Result<()> {
        if self.copied {
            remove_dir(&reviewsd::written_dir(self.setting))?;
            if self.has(Server::Express)
                && let Ok(cluster) = Cluster::find(self.setting)
            {
                cluster.remove_copy(self.setting)?;
            }
        }
        Ok(())
    }

    fn server(
        &self,
        scenario: &Scenario,
        measured: &mut Measured,
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let (server, load) = (measured.server, &scenario.load);
        match scenario.what {
            What::Import => {
                if let Some(store) = self.stores.iter().find(|store| store.server == server) {
                    measured.clone_from(store);
                }
                return Ok(());
            }
            What::Replicas => {
                measured.replicated = Some(self.replicas(load, WRITES_PER_SECOND)?);
                return Ok(());
            }
            What::Rates | What::Knee | What::UnderWrites => {}
        }
        let data = if scenario.writes() {
            Data::Written
        } else {
            Data::Imported
        };
        let running = self.start_with(server, data)?;
        measured.ready_seconds = Some(running.ready.as_secs_f64());
        let mut phase = |label: String, rates: &[f64], cache: Cache| -> Result<()> {
            let load = (scenario.name.as_str(), load);
            let (phase, outcome) = measure(self.setting, &running, load, rates, cache)?;
            tell(server, &phase);
            measured.phases.push(phase);
            outcomes.push((server, label, outcome));
            Ok(())
        };
        if let (true, Some(rate)) = (scenario.cold, scenario.per_second.first()) {
            phase(format!("{rate}/s, cold"), &[*rate], Cache::Cold)?;
        }
        warm(self.setting, &running, load)?;
        match scenario.what {
            What::Import | What::Replicas => {}
            What::Rates => {
                for rate in &scenario.per_second {
                    phase(format!("{rate}/s, warm"), &[*rate], Cache::Warm)?;
                }
                phase("closed".to_owned(), &[], Cache::Warm)?;
            }
            What::Knee => phase("steps".to_owned(), &scenario.per_second, Cache::Warm)?,
            What::UnderWrites => {
                for number in 0..PAIRS {
                    let pair = self.pair(&running, load, number % 2 == 1)?;
                    measured.pairs.push(pair);
                }
                let shares = measured.pairs.iter();
                let shares = shares.map(|pair| pair.beside_per_second / pair.alone_per_second);
                let share = median(shares.collect());
                say(&format!("  {}: {share:.2} of reads alone", server.label()));
            }
        }
        Ok(())
    }

    /// Reads alone and with writes beside them, one right after the other, so that whatever else the
    /// machine does meets both.
    fn pair(&self, running: &Running, reads: &Load, beside_first: bool) -> Result<Pair> {
        let mut pair = Pair::default();
        for beside in [beside_first, !beside_first] {
            let writes = beside.then_some(WRITES_PER_SECOND);
            let (read, written) = self.slice(running.address, reads, writes)?;
            pair.errors += read.total.errors;
            if let Some(written) = written {
                pair.beside_per_second = read.total.achieved_per_second;
                pair.writes_per_second = written.total.achieved_per_second;
                pair.writes_p99_ms = written.total.latency.p99_us / 1e3;
                pair.errors += written.total.errors;
            } else {
                pair.alone_per_second = read.total.achieved_per_second;
            }
        }
        Ok(pair)
    }

    /// Reads as fast as they are answered, alone or with so many writes a second beside them.
    pub(super) fn slice(
        &self,
        address: SocketAddr,
        reads: &Load,
        writes_per_second: Option<f64>,
    ) -> Result<(Outcome, Option<Outcome>)> {
        let setting = self.setting;
        let target = Target::from(address);
        let time = setting.time.min(SLICE_MAX);
        let warm_up = SLICE_WARM_UP_MAX.min(time / 2);
        let reading = workload(setting, "reads", reads, &[], time, warm_up)?;
        let Some(rate) = writes_per_second else {
            return Ok((put(setting, &reading, &target)?, None));
        };
        let writes = &self.scenarios.writes;
        let writing = workload(setting, "writes", writes, &[rate], time, warm_up)?;
        thread::scope(|scope| {
            let writing = scope.spawn(|| put(setting, &writing, &target));
            let read = put(setting, &reading, &target)?;
            Ok((read, Some(joined(writing)??)))
        })
    }

    fn start_with(&self, server: Server, data: Data) -> Result<Running> {
        if server.needs_express() && !self.has(Server::Express) {
            let mut stores = self.stores.iter();
            let store = stores.find(|store| store.server == Server::Express);
            let why = store.and_then(|store| store.skipped.clone().or(store.failed.clone()));
            bail!(Skipped(
                why.unwrap_or_else(|| "its data were not loaded".to_owned())
            ));
        }
        let body = self.body(server)?;
        Setting::drop_page_cache();
        server.start(self.setting, &self.setting.micro(), data, &body)
    }

    /// The file with the single answer of servers that have no other: what reviewsd answers.
    fn body(&self, server: Server) -> Result<PathBuf> {
        let path = self.setting.scratch.path("body");
        if server.has_one_answer() && !path.exists() {
            let id = within((100_000, 100_000), self.setting.products).next();
            let ours = self.start_with(Server::Reviewsd, Data::Imported)?;
            let target = Target::from(ours.address);
            let list = format!("/reviews?product_id={}", id.unwrap_or(1));
            let body = compare::fetch(&target, &list)?;
            fs::write(&path, body).with_context(cannot("write", &path))?;
        }
        Ok(path)
    }

    /// True if there is a store of it.
    fn has(&self, server: Server) -> bool {
        let mut stores = self.stores.iter();
        stores.any(|store| store.server == server && !store.imports.is_empty())
    }

    fn copy(&mut self) -> Result<()> {
        say("copying the stores, for what writes");
        self.copied = true;
        reviewsd::copy(self.setting)?;
        if self.has(Server::Express) {
            Cluster::find(self.setting)?.copy(self.setting)?;
        }
        Ok(())
    }
}

/// The result of a thread, which did not panic.
pub(super) fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> Result<T> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of the load ended early"))
}

/// A line for the person who waits.
fn tell(server: Server, phase: &Phase) {
    let figures = &phase.figures;
    let planned = figures.planned_per_second;
    let planned = planned.map_or("as fast as answered".to_owned(), |rate| {
        format!("{rate:.0}/s")
    });
    say(&format!(
        "  {:<34} {planned:<20} {:?}  {:>8.0}/s right, {} errors, p50 {:.2} ms, p99 {:.2} ms, {:.0} a CPU second",
        server.label(),
        phase.cache,
        figures.right_per_second,
        figures.errors + figures.not_sent,
        figures.p50_ms,
        figures.p99_ms,
        phase.usage.requests_per_cpu_second,
    ));
}
