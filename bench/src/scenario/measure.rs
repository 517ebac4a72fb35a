//! Load on a server, with what the server used meanwhile.
//!
//! Owns the choice of connections and warm-up. It must not know which server it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::cage::Used;
use super::claims::Load;
use super::peers::Running;
use super::results::{Cache, Figures, Phase, Usage};
use super::setting::Setting;
use crate::load::{self, Outcome, Second, Target, Workload};

/// Enough that one slow answer holds up few; where thousands come a second, they wait for each other
/// less with more.
const CONNECTIONS: usize = 64;
const CONNECTIONS_FAST: usize = 256;
const FAST_PER_SECOND: f64 = 20_000.0;
/// Before what is measured warm, at most. The load warms itself up; this is for connections and the
/// CPU's clock.
const WARM_UP_MAX: Duration = Duration::from_secs(1);

/// The workload of a load at these rates in turn, each for so long; without rates as fast as it is
/// answered.
pub(crate) fn workload(
    setting: &Setting,
    name: &str,
    load: &Load,
    rates: &[f64],
    time: Duration,
    warm_up: Duration,
) -> Result<Workload> {
    // Every load asks for other products than those before it: the same ones once more would be in
    // every cache there is.
    static SEED: AtomicU64 = AtomicU64::new(1);
    let is_fast = rates.iter().any(|rate| *rate > FAST_PER_SECOND);
    let mut workload = load.workload(name, setting.products, time)?;
    workload.plan.rates_per_second = rates.to_vec();
    workload.warm_up = warm_up;
    workload.connections = if is_fast {
        CONNECTIONS_FAST
    } else {
        CONNECTIONS
    };
    workload.cpus.clone_from(&setting.load_cpus);
    workload.seed = SEED.fetch_add(1, Ordering::Relaxed);
    workload.checked()
}

/// Puts a load on a server at these rates in turn and says what came of it.
pub(crate) fn measure(
    setting: &Setting,
    running: &Running,
    (name, load): (&str, &Load),
    rates: &[f64],
    cache: Cache,
) -> Result<(Phase, Outcome)> {
    let warm_up = match cache {
        Cache::Cold => Duration::ZERO,
        Cache::Warm => warm_up_of(setting.time),
    };
    // Where there are many steps, each only has to show whether it is held.
    let time = if rates.len() > 1 {
        setting.time / 2
    } else {
        setting.time
    };
    let workload = workload(setting, name, load, rates, time, warm_up)?;
    let (mut before, mut most) = (running.used(), Used::default());
    let target = Target::from(running.address);
    let outcome = load::run(&workload, &target, &setting.stop, &mut |second: &Second| {
        let used = most.grow(running.used());
        if second.second < 0 {
            // Up to here it warmed up, and may have been asked what the load had to know.
            before = used;
        }
    })?;
    setting.stopped()?;
    let after = most.grow(running.used());
    let steps = outcome.steps.iter().filter(|_| outcome.steps.len() > 1);
    let phase = Phase {
        cache,
        figures: Figures::of(&outcome),
        steps: steps.map(Figures::of_step).collect(),
        usage: usage(
            after.cpu_us.saturating_sub(before.cpu_us),
            &most,
            outcome.total.ok,
        ),
    };
    Ok((phase, outcome))
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn usage(cpu_us: u64, most: &Used, right: u64) -> Usage {
    let cpu_seconds = cpu_us as f64 / 1e6;
    Usage {
        cpu_seconds,
        requests_per_cpu_second: right as f64 / cpu_seconds.max(1e-6),
        resident_bytes: most.resident_bytes,
        page_cache_bytes: most.page_cache_bytes,
    }
}

/// Returns the time that connections and the CPU's clock need before a figure is measured for `time`.
pub(crate) fn warm_up_of(time: Duration) -> Duration {
    WARM_UP_MAX.min(time / 2)
}

/// Asks as much as is answered for a while, so that what is asked for is in memory as far as it goes.
pub(crate) fn warm(setting: &Setting, running: &Running, load: &Load) -> Result<()> {
    let time = setting.time / 2;
    let workload = workload(setting, "warm-up", load, &[], time, Duration::ZERO)?;
    put(setting, &workload, &Target::from(running.address))?;
    Ok(())
}

/// Puts a load on a server, and nobody looks.
pub(crate) fn put(setting: &Setting, workload: &Workload, target: &Target) -> Result<Outcome> {
    let outcome = load::run(workload, target, &setting.stop, &mut |_| ())?;
    setting.stopped()?;
    Ok(outcome)
}
