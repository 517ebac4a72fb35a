//! One scenario after the other, each on its servers.
//!
//! Owns the order in which a server is started, warmed, loaded and ended. Invariant: a peer that fails
//! or cannot be had costs its own figures, and nobody else's.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::claims::{Ids, Load, Scenario, WRITES_BESIDE, What};
use super::compare;
use super::error::Error;
use super::measure::{Pace, Quiet, measure, warm, workload};
use super::peers::postgres::Cluster;
use super::peers::{Absent, Data, Running, Server, reviewsd};
use super::results::{self, Cache, Comparison, Measured, Pair, Phase};
use super::say;
use super::setting::Setting;
use crate::load::{self, Outcome, Target};

/// Pairs of slices with and without writes, and how long a slice is at most.
const PAIRS: usize = 8;
const SLICE_MAX: Duration = Duration::from_secs(3);
const SLICE_WARM_UP_MAX: Duration = Duration::from_millis(500);

/// All outcomes of a scenario, whole, by server and phase.
pub(crate) type Outcomes = Vec<(Server, String, Outcome)>;

/// A run over some scenarios.
pub(crate) struct Run<'a> {
    pub(crate) setting: &'a Setting,
    /// The measurements of each store.
    pub(crate) stores: &'a [Measured],
    /// True if there is a copy to write to.
    copied: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(setting: &'a Setting, stores: &'a [Measured]) -> Self {
        Self {
            setting,
            stores,
            copied: false,
        }
    }

    /// Runs a scenario on each of its servers.
    pub(crate) fn scenario(
        &mut self,
        scenario: &Scenario,
    ) -> Result<(results::Scenario, Outcomes), Error> {
        say(&format!("{}: {}", scenario.name, scenario.about));
        if scenario.writes() && !self.copied {
            self.copy()?;
        }
        let mut servers = Vec::new();
        let mut outcomes = Vec::new();
        for server in scenario.servers {
            self.setting.stopped()?;
            let mut measured = Measured::new(*server);
            match self.server(scenario, &mut measured, &mut outcomes) {
                Ok(()) => {}
                Err(Absent::Skipped(skipped)) => measured.skipped = Some(skipped.0),
                Err(Absent::Failed(Error::Interrupted)) => return Err(Error::Interrupted),
                Err(Absent::Failed(error)) => {
                    say(&format!("  {} failed: {error}", server.label()));
                    measured.failed = Some(error.to_string());
                }
            }
            servers.push(measured);
        }
        let result = results::Scenario {
            name: scenario.name.to_owned(),
            claim: scenario.claim.to_owned(),
            stack: scenario.stack.to_owned(),
            about: scenario.about.to_owned(),
            servers,
        };
        Ok((result, outcomes))
    }

    /// Holds the answers of two servers against each other, where both are to be had.
    pub(crate) fn compare(&self) -> Result<Option<Comparison>, Error> {
        let start = |server| self.start_with(server, Data::Imported);
        let (ours, theirs) = match (start(Server::Reviewsd), start(Server::Express)) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(Absent::Failed(error)), _) | (_, Err(Absent::Failed(error))) => return Err(error),
            _ => return Ok(None),
        };
        let (ours, theirs) = (Target::from(ours.address), Target::from(theirs.address));
        Ok(Some(compare::compare(
            &ours,
            &theirs,
            self.setting.products,
        )?))
    }

    /// Removes what was made to be written to.
    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.copied {
            reviewsd::remove_copy(self.setting)?;
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
    ) -> Result<(), Absent> {
        let server = measured.server;
        if let What::Import = scenario.what {
            let store = self.stores.iter().find(|store| store.server == server);
            if let Some(store) = store {
                measured.clone_from(store);
            }
            return Ok(());
        }
        let data = if scenario.writes() {
            Data::Written
        } else {
            Data::Imported
        };
        if let What::Replicas {
            load,
            posts_per_second,
        } = &scenario.what
        {
            measured.replicated = Some(self.replicas(load, *posts_per_second)?);
            return Ok(());
        }
        let running = self.start_with(server, data)?;
        measured.ready_seconds = Some(running.ready.as_secs_f64());
        let mut keep = |label: String, (phase, outcome): (Phase, Outcome)| {
            tell(server, &phase);
            measured.phases.push(phase);
            outcomes.push((server, label, outcome));
        };
        let put = |load: &Load, pace: Pace, cache: Cache| {
            measure(self.setting, &running, scenario.name, load, &pace, cache)
        };
        match &scenario.what {
            What::Import | What::Replicas { .. } => {}
            What::Rates {
                load,
                per_second,
                cold,
            } => {
                if let (true, Some(rate)) = (cold, per_second.first()) {
                    let done = put(load, Pace::Rate(*rate), Cache::Cold)?;
                    keep(format!("{rate}/s, cold"), done);
                }
                warm(self.setting, &running, load)?;
                for rate in *per_second {
                    let done = put(load, Pace::Rate(*rate), Cache::Warm)?;
                    keep(format!("{rate}/s, warm"), done);
                }
                keep("closed".to_owned(), put(load, Pace::Closed, Cache::Warm)?);
            }
            What::Knee { load, per_second } => {
                warm(self.setting, &running, load)?;
                let done = put(load, Pace::Steps(per_second.to_vec()), Cache::Warm)?;
                keep("steps".to_owned(), done);
            }
            What::UnderWrites {
                load,
                posts_per_second,
            } => {
                warm(self.setting, &running, load)?;
                for number in 0..PAIRS {
                    let pair = self.pair(&running, load, *posts_per_second, number % 2 == 1)?;
                    measured.pairs.push(pair);
                }
                if let Some(share) = measured.share_under_writes() {
                    say(&format!("  {}: {share:.2} of reads alone", server.label()));
                }
            }
        }
        Ok(())
    }

    /// Reads alone and with writes beside them, one right after the other, so that whatever else the
    /// machine does meets both.
    fn pair(
        &self,
        running: &Running,
        reads: &Load,
        posts_per_second: f64,
        beside_first: bool,
    ) -> Result<Pair, Error> {
        let mut pair = Pair::default();
        for beside in [beside_first, !beside_first] {
            let posts = beside.then_some(posts_per_second);
            let time = self.setting.time.min(SLICE_MAX);
            let (read, written) = self.slice(running.address, reads, posts, time)?;
            pair.errors += read.total.errors.sum();
            if let Some(written) = written {
                pair.beside_per_second = read.total.achieved_per_second;
                pair.writes_per_second = written.total.achieved_per_second;
                pair.writes_p99_ms = written.total.latency.p99_us / 1e3;
                pair.errors += written.total.errors.sum();
            } else {
                pair.alone_per_second = read.total.achieved_per_second;
            }
        }
        Ok(pair)
    }

    /// Reads as fast as they are answered, alone or with writes beside them, for so long.
    pub(super) fn slice(
        &self,
        address: SocketAddr,
        reads: &Load,
        posts_per_second: Option<f64>,
        time: Duration,
    ) -> Result<(Outcome, Option<Outcome>), Error> {
        let setting = self.setting;
        let target = Target::from(address);
        let warm_up = SLICE_WARM_UP_MAX.min(time / 2);
        let reading = workload(setting, "reads", reads, &Pace::Closed, time, warm_up)?;
        let put = |workload| load::run(workload, &target, &setting.stop, &mut Quiet);
        let slice = match posts_per_second {
            None => (put(&reading)?, None),
            Some(rate) => {
                let pace = Pace::Rate(rate);
                let writing = workload(setting, "writes", &WRITES_BESIDE, &pace, time, warm_up)?;
                thread::scope(|scope| {
                    let writing = scope.spawn(|| put(&writing));
                    let read = put(&reading)?;
                    let written = writing
                        .join()
                        .map_err(|_| crate::error::Error::WorkersGone)??;
                    Ok::<_, Error>((read, Some(written)))
                })?
            }
        };
        setting.stopped()?;
        Ok(slice)
    }

    fn start_with(&self, server: Server, data: Data) -> Result<Running, Absent> {
        if server.needs_express() && !self.has(Server::Express) {
            let store = self
                .stores
                .iter()
                .find(|store| store.server == Server::Express);
            let why = store.and_then(|store| store.skipped.clone().or(store.failed.clone()));
            let why = why.unwrap_or_else(|| "its data were not loaded".to_owned());
            return Err(super::error::Skipped(why).into());
        }
        let body = self.body(server)?;
        Setting::drop_page_cache();
        server.start(self.setting, &self.setting.micro(), data, &body)
    }

    /// The file with the single answer of servers that have no other: what reviewsd answers.
    fn body(&self, server: Server) -> Result<PathBuf, Absent> {
        let path = self.setting.scratch.path("body");
        if server.has_one_answer() && !path.exists() {
            let (id, _) = Ids::Few {
                first: 100_000,
                last: 100_000,
            }
            .within(self.setting.products);
            let ours = self.start_with(Server::Reviewsd, Data::Imported)?;
            let target = Target::from(ours.address);
            let body = compare::fetch(&target, &format!("/reviews?product_id={id}"))?;
            fs::write(&path, body).map_err(Error::file("write", &path))?;
        }
        Ok(path)
    }

    /// True if there is a store of it.
    fn has(&self, server: Server) -> bool {
        let mut stores = self.stores.iter();
        stores.any(|store| store.server == server && !store.imports.is_empty())
    }

    fn copy(&mut self) -> Result<(), Error> {
        say("copying the stores, for what writes");
        self.copied = true;
        reviewsd::copy(self.setting)?;
        if self.has(Server::Express) {
            match Cluster::find(self.setting) {
                Ok(cluster) => cluster.copy(self.setting)?,
                Err(Absent::Failed(error)) => return Err(error),
                Err(Absent::Skipped(_)) => {}
            }
        }
        Ok(())
    }
}

/// A line for whoever waits.
fn tell(server: Server, phase: &Phase) {
    let figures = &phase.figures;
    let planned = figures.planned_per_second.map_or_else(
        || "as fast as answered".to_owned(),
        |rate| format!("{rate:.0}/s"),
    );
    let cache = match phase.cache {
        Cache::Cold => "cold",
        Cache::Warm => "warm",
    };
    say(&format!(
        "  {:<34} {planned:<20} {cache}  {:>8.0}/s right, {} errors, p50 {:.2} ms, p99 {:.2} ms, \
         {:.0} a CPU second",
        server.label(),
        figures.right_per_second,
        figures.errors + figures.not_sent,
        figures.p50_ms,
        figures.p99_ms,
        phase.usage.requests_per_cpu_second,
    ));
}
