//! Load on a server, with what the server used meanwhile.
//!
//! Owns the choice of connections and warm-up. It must not know which server it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::cgroup::Used;
use super::claims::Load;
use super::error::Error;
use super::peers::Running;
use super::results::{Cache, Figures, Phase, Usage};
use super::setting::Setting;
use crate::load::{self, Outcome, Overrides, Second, Target, Watch, Workload};

/// Enough that one slow answer holds up few; where thousands come a second, they wait for each other
/// less with more.
const CONNECTIONS: usize = 64;
const CONNECTIONS_FAST: usize = 256;
const FAST_PER_SECOND: f64 = 20_000.0;
/// Before what is measured warm, at most. The load warms itself up; this is for connections and the
/// CPU's clock.
const WARM_UP_MAX: Duration = Duration::from_secs(1);
const THREADS_MAX: usize = 4;

/// The pace of requests.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// As much as is answered.
    Closed,
    Rate(f64),
    Steps(Vec<f64>),
}

/// The workload of a load at a pace, for so long; each step, where there are steps.
pub(crate) fn workload(
    setting: &Setting,
    name: &str,
    load: &Load,
    pace: &Pace,
    time: Duration,
    warm_up: Duration,
) -> Result<Workload, Error> {
    // Every load asks for other products than those before it: the same ones once more would be in
    // every cache there is.
    static SEED: AtomicU64 = AtomicU64::new(1);
    let seed = SEED.fetch_add(1, Ordering::Relaxed);
    let text = load.workload(setting.products);
    let rates: &[f64] = match pace {
        Pace::Closed => &[],
        Pace::Rate(rate) => &[*rate],
        Pace::Steps(rates) => rates,
    };
    let is_fast = rates.iter().any(|rate| *rate > FAST_PER_SECOND);
    let overrides = Overrides {
        closed: rates.is_empty(),
        steps_per_second: (!rates.is_empty()).then(|| rates.to_vec()),
        duration: Some(time),
        warm_up: Some(warm_up),
        connections: Some(if is_fast {
            CONNECTIONS_FAST
        } else {
            CONNECTIONS
        }),
        threads: Some(setting.load_cpus.len().clamp(1, THREADS_MAX)),
        cpus: Some(setting.load_cpus.clone()),
        seed: Some(seed),
        ..Overrides::default()
    };
    Ok(Workload::parse(name, name, &text)?.with(&overrides)?)
}

/// Puts the load on the server and says what came of it.
pub(crate) fn measure(
    setting: &Setting,
    running: &Running,
    name: &str,
    load: &Load,
    pace: &Pace,
    cache: Cache,
) -> Result<(Phase, Outcome), Error> {
    let warm_up = match cache {
        Cache::Cold => Duration::ZERO,
        Cache::Warm => warm_up_of(setting.time),
    };
    let time = match pace {
        // There are many of them, and each only has to show whether it is held.
        Pace::Steps(_) => setting.time / 2,
        Pace::Closed | Pace::Rate(_) => setting.time,
    };
    let workload = workload(setting, name, load, pace, time, warm_up)?;
    let mut gauge = Gauge::new(running);
    let target = Target::from(running.address);
    let outcome = load::run(&workload, &target, &setting.stop, &mut gauge)?;
    setting.stopped()?;
    let phase = Phase {
        cache,
        figures: Figures::of(&outcome),
        steps: steps(&outcome),
        usage: gauge.read(outcome.total.ok),
    };
    Ok((phase, outcome))
}

/// The steps of a plan that has several.
fn steps(outcome: &Outcome) -> Vec<Figures> {
    let steps = outcome.steps.iter();
    let steps: Vec<Figures> = steps.map(|step| Figures::of_step(&step.measured)).collect();
    if steps.len() > 1 { steps } else { Vec::new() }
}

/// Returns the time that connections and the CPU's clock need before a figure is measured for `time`.
pub(crate) fn warm_up_of(time: Duration) -> Duration {
    WARM_UP_MAX.min(time / 2)
}

/// Asks as much as is answered for a while, so that what is asked for is in memory as far as it goes.
pub(crate) fn warm(setting: &Setting, running: &Running, load: &Load) -> Result<(), Error> {
    let time = setting.time / 2;
    let workload = workload(
        setting,
        "warm-up",
        load,
        &Pace::Closed,
        time,
        Duration::ZERO,
    )?;
    let target = Target::from(running.address);
    load::run(&workload, &target, &setting.stop, &mut Quiet)?;
    setting.stopped()
}

/// Looks at nothing.
pub(crate) struct Quiet;

impl Watch for Quiet {
    fn second(&mut self, _second: &Second) {}
}

/// Reads once a second what a server uses.
struct Gauge<'a> {
    running: &'a Running,
    first: Used,
    resident_bytes: u64,
    page_cache_bytes: u64,
}

impl<'a> Gauge<'a> {
    fn new(running: &'a Running) -> Self {
        Self {
            running,
            first: running.used(),
            resident_bytes: 0,
            page_cache_bytes: 0,
        }
    }

    fn look(&mut self) -> Used {
        let used = self.running.used();
        self.resident_bytes = self.resident_bytes.max(used.resident_bytes);
        self.page_cache_bytes = self.page_cache_bytes.max(used.page_cache_bytes);
        used
    }

    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    fn read(mut self, right: u64) -> Usage {
        let last = self.look();
        let cpu_seconds = last.cpu_us.saturating_sub(self.first.cpu_us) as f64 / 1e6;
        Usage {
            cpu_seconds,
            requests_per_cpu_second: right as f64 / cpu_seconds.max(1e-6),
            resident_bytes: self.resident_bytes,
            page_cache_bytes: self.page_cache_bytes,
        }
    }
}

impl Watch for Gauge<'_> {
    fn second(&mut self, second: &Second) {
        let used = self.look();
        if second.second < 0 {
            // Up to here it warmed up, and may have been asked what the load had to know.
            self.first = used;
        }
    }
}
