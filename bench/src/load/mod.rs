//! `load`: requests at a planned rate against any server of the API, and what came of them.
//!
//! Owns the run: connections, threads, and the way of their figures into one outcome. It must not know
//! whose server it is: reviewsd, a peer or a bare one.

mod accounts;
mod assemble;
mod check;
mod checker;
mod clock;
pub(crate) mod command;
mod connection;
mod draft;
mod ids;
mod latency;
mod learn;
mod live;
mod mix;
mod outcome;
mod poll;
mod record;
mod response;
mod schedule;
mod table;
mod target;
#[cfg(test)]
mod tests;
pub(crate) mod time;
mod verdict;
mod worker;
mod workload;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, bounded};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::Error;
use assemble::{Raw, assemble};
use checker::Desk;
use clock::{Clock, Wall};
pub(crate) use latency::us;
pub(crate) use learn::Client;
use mix::Mix;
pub(crate) use outcome::{Latency, Limit, Measured, Mode, Outcome, Second};
use record::{Record, SecondTally};
use schedule::Schedule;
pub(crate) use target::Target;
use worker::{Shared, Worker};
pub(crate) use workload::{Overrides, Workload};

/// Seconds that may wait to be shown, of all threads together.
const SECONDS_WAITING_MAX: usize = 1024;
/// Descriptors beside those of the connections.
const DESCRIPTORS_SPARE: u64 = 64;

/// An observer of a run.
pub(crate) trait Watch {
    /// A second is over.
    fn second(&mut self, second: &Second);
}

/// The workloads that are shipped, a line each.
pub(crate) fn shipped() -> String {
    let mut text = String::from("Workloads:\n");
    for name in workload::names() {
        let about =
            Workload::find(name).map_or_else(|error| error.to_string(), |found| found.about);
        // Writing into a text does not fail.
        let _ = writeln!(text, "  {name:<12}{about}");
    }
    text
}

/// Loads the server as the workload says, until its plan is over or `stop` is set, and says what
/// was measured until then.
pub(crate) fn run(
    workload: &Workload,
    target: &Target,
    stop: &AtomicBool,
    watch: &mut dyn Watch,
) -> Result<Outcome, Error> {
    run_on(&Wall::default(), workload, target, stop, watch)
}

/// The same by another clock.
fn run_on(
    clock: &dyn Clock,
    workload: &Workload,
    target: &Target,
    stop: &AtomicBool,
    watch: &mut dyn Watch,
) -> Result<Outcome, Error> {
    let schedule = Schedule::new(workload);
    let mut streams = connect(workload, target)?;
    let opened = streams.iter().flatten().count();
    let mut mix = Mix::new(workload, target);
    mix.teach(|draw, products| {
        learn::learn(target, draw, products, workload.seed, workload.timeout)
    })?;

    clock.begin(workload.threads);
    let shared = Shared {
        schedule: &schedule,
        mix: &mix,
        target,
        stop,
        clock,
        timeout: workload.timeout,
        check_one_in: workload.check_one_in,
        threads: workload.threads as u64,
    };
    let started = SystemTime::now() + workload.warm_up;
    let (desk, checker) = checker::open();
    let (departing, arriving) = bounded(SECONDS_WAITING_MAX);
    let phases = schedule.phases().len();
    thread::scope(|scope| {
        let (mix, shared) = (&mix, &shared);
        let checking = scope.spawn(move || {
            keep_to(&workload.cpus);
            checker.run(mix, phases)
        });
        let mut working = Vec::new();
        for thread in 0..workload.threads {
            // Of the connections that are left, the share of one of the threads that are left.
            let share = streams.len().div_ceil(workload.threads - thread);
            let own = streams.split_off(streams.len() - share);
            let (desk, seconds) = (desk.clone(), departing.clone());
            working.push(scope.spawn(move || {
                keep_to(&workload.cpus);
                Worker::new(shared, thread as u64, own, desk, seconds)?.run()
            }));
        }
        // Only the threads' ends stay open: when all threads are through, receiving ends.
        drop(departing);
        let seconds = watch_seconds(&arriving, workload.threads, &schedule, &desk, watch);
        // Leaving the desk is how the checker learns that nothing more will come.
        drop(desk);

        let mut record = Record::new(phases, mix.labels().count());
        let mut stopped_ns = None;
        for worker in working {
            let (its, its_stop_ns) = worker
                .join()
                .map_err(|_| Error::WorkersGone)?
                .map_err(Error::Engine)?;
            record.add(&its);
            stopped_ns = stopped_ns.max(its_stop_ns);
        }
        let findings = checking.join().map_err(|_| Error::WorkersGone)?;
        let started = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(assemble(Raw {
            workload,
            target,
            mix,
            schedule: &schedule,
            record,
            checked: findings,
            seconds,
            stopped_ns,
            opened,
            started_unix_seconds: started.as_secs(),
        }))
    })
}

/// Opens as many connections as the server takes. That the first one fails is an error; the others
/// are opened again when they are needed.
fn connect(workload: &Workload, target: &Target) -> Result<Vec<Option<TcpStream>>, Error> {
    allow_descriptors(workload.connections as u64 + DESCRIPTORS_SPARE);
    let first = learn::connect(target, workload.timeout).map_err(|source| Error::Unreachable {
        target: target.to_string(),
        source,
    })?;
    let mut streams = vec![Some(first)];
    let mut takes_more = true;
    while streams.len() < workload.connections {
        let stream = if takes_more {
            learn::connect(target, workload.timeout).ok()
        } else {
            None
        };
        takes_more = stream.is_some();
        streams.push(stream);
    }
    Ok(streams)
}

/// Raises the limit of open files as far as it goes; where that is too little, connections will fail,
/// and be counted.
fn allow_descriptors(wanted: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let current = Some(raised);
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    }
}

/// Keeps this thread to some processors; a machine that lacks them lets it run on any.
pub(crate) fn keep_to(cpus: &[usize]) {
    if cpus.is_empty() {
        return;
    }
    let mut set = CpuSet::new();
    for cpu in cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU) {
        set.set(*cpu);
    }
    let _ = sched_setaffinity(None, &set);
}

/// Puts the threads' seconds together and shows each as soon as all threads are through with it.
fn watch_seconds(
    arriving: &Receiver<SecondTally>,
    threads: usize,
    schedule: &Schedule,
    desk: &Desk,
    watch: &mut dyn Watch,
) -> Vec<Second> {
    let mut waiting: BTreeMap<i64, (usize, SecondTally)> = BTreeMap::new();
    let mut seconds = Vec::new();
    let mut wrong_before = 0;
    let mut show = |mut tally: SecondTally| {
        let wrong = desk.wrong();
        tally.errors += wrong - wrong_before;
        wrong_before = wrong;
        if let Some(second) = assemble::second(&tally, schedule) {
            watch.second(&second);
            seconds.push(second);
        }
    };
    for tally in arriving {
        let second = tally.second;
        match waiting.get_mut(&second) {
            None => {
                waiting.insert(second, (1, tally));
            }
            Some((times, sum)) => {
                *times += 1;
                sum.add(&tally);
            }
        }
        while let Some(first) = waiting.first_entry()
            && first.get().0 == threads
        {
            show(first.remove().1);
        }
    }
    for (_, tally) in waiting.into_values() {
        show(tally);
    }
    seconds
}
