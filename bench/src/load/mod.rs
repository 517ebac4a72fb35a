//! `load`: requests at a planned rate against any server of the API, and what came of them.
//!
//! Owns the run: connections, threads, and the way of their figures into one outcome. It must not know
//! whose server it is: reviewsd, a peer or a bare one.

mod check;
mod client;
mod clock;
pub(crate) mod command;
mod draft;
mod ids;
mod mix;
mod outcome;
mod poll;
mod record;
mod response;
mod schedule;
#[cfg(test)]
mod tests;
mod worker;
mod workload;

use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

pub(crate) use client::{Client, Target};
use clock::{Clock, Wall};
use mix::Mix;
use outcome::Raw;
pub(crate) use outcome::{Limit, Measured, Outcome, us};
use record::Record;
use schedule::Schedule;
use worker::{Shared, Worker, check_all};
pub(crate) use workload::{Ids, Plan, Request, Workload, shipped};

/// Bodies that may wait to be checked.
const SAMPLES_WAITING_MAX: usize = 1024;
/// Descriptors beside those of the connections.
const DESCRIPTORS_SPARE: u64 = 64;

/// One second of a run, warm-up included.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_field_names,
    reason = "one field is the second, and another is of each second"
)]
pub(crate) struct Second {
    /// Counted from the start of the measurement; negative while it warms up.
    pub(crate) second: i64,
    pub(crate) planned_per_second: Option<f64>,
    pub(crate) ok: u64,
    pub(crate) errors: u64,
}

/// Loads the server as the workload says, until its plan is over or `stop` is set, and says what was
/// measured until then. `watch` sees each second when it is over.
pub(crate) fn run(
    workload: &Workload,
    target: &Target,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(&Second),
) -> Result<Outcome> {
    run_on(&Wall::new(), workload, target, stop, watch)
}

/// The same by another clock.
fn run_on(
    clock: &dyn Clock,
    workload: &Workload,
    target: &Target,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(&Second),
) -> Result<Outcome> {
    let schedule = Schedule::new(workload);
    let streams = connect(workload, target)?;
    let opened = streams.iter().flatten().count();
    let mut mix = Mix::new(workload, target);
    mix.teach(|draw, products| {
        let mut client = Client::open(target, workload.timeout)?;
        client::learn(&mut client, draw, products, workload.seed)
    })?;
    let (mix, phases) = (&mix, schedule.phases.len());
    let (take_sample, samples) = mpsc::sync_channel(SAMPLES_WAITING_MAX);
    let (tell_second, seconds) = mpsc::channel();
    let shared = Shared {
        schedule: &schedule,
        mix,
        target,
        stop,
        clock,
        timeout: workload.timeout,
        check_one_in: workload.check_one_in,
    };
    thread::scope(|scope| {
        let checking = scope.spawn(move || {
            keep_to(&workload.cpus);
            check_all(mix, phases, samples)
        });
        let schedule = &schedule;
        let working = scope.spawn(move || {
            keep_to(&workload.cpus);
            let record = Record::new(schedule, clock, mix.labels().count(), tell_second);
            Worker::new(shared, streams, take_sample, record)?.run()
        });
        for second in seconds {
            watch(&second);
        }
        let ended = || anyhow!("a thread of the load ended early");
        let worked = working.join().map_err(|_| ended())?;
        let (record, stopped_ns) = worked.context("cannot send requests")?;
        Ok(Outcome::of(Raw {
            workload,
            target,
            mix,
            schedule,
            record,
            checked: checking.join().map_err(|_| ended())?,
            stopped_ns,
            opened,
        }))
    })
}

/// Opens as many connections as the server takes. That the first one fails is an error; the others
/// are opened again when they are needed.
fn connect(workload: &Workload, target: &Target) -> Result<Vec<Option<TcpStream>>> {
    allow_descriptors(workload.connections as u64 + DESCRIPTORS_SPARE);
    let first = target.connect(workload.timeout);
    let first = first.with_context(|| format!("cannot reach {target}; is the server running?"))?;
    let mut streams = vec![Some(first)];
    while streams.len() < workload.connections
        && let Ok(stream) = target.connect(workload.timeout)
    {
        streams.push(Some(stream));
    }
    streams.resize_with(workload.connections, || None);
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
