//! The protocol alone: a primary and its replicas in simulated time, with stores in memory, and whatever
//! can go wrong between them, thousands of times.
//!
//! Their decisions are made by the code that serves: `handshake`, `stream_writer`, `sessions`,
//! `stream_reader`, `state`, `progress` and `backoff` of this crate, and in the store the feed, the log's
//! reader and the reader of commits. The stores, the network and the clock are made up. A seed determines a
//! run down to the last byte: `REVIEWSD_SIM_SEED=n` runs that one and prints what happens, and
//! `REVIEWSD_SIM_SEEDS=n` runs as many as one has time for (`make simulate`).
//!
//! After every step it holds that
//! - a replica's position is one that the primary of that epoch was at, durably, with the same rows;
//! - a primary sends the commits behind a position exactly when it has been there and still has them;
//! - a position that a replica acknowledges is on its disk; its memory is bounded, and so are its waits;
//! - a store whose commits may be nowhere else is retained, whatever store its primary comes back with; an
//!   earlier primary is reported once;
//! - a primary that lost what a replica has, or was replaced, writes nothing once a replica said so;
//! - a replica that reports to be ready has what its primary had a while ago.
//!
//! When the replica that is furthest is promoted it has all that was acknowledged. In the end all hold the
//! same, and where nothing took logs or primaries away for good each replica was fetched once.
//!
//! It is a test of this crate and no crate beside it: what it drives (the handshake, the stream's writer and
//! reader, the replica's state, the sessions) is the inside of replication, and only a test within may see that
//! without making it public.

mod copying;
mod disk;
mod faults;
mod ledger;
mod network;
mod primary;
mod random;
mod world;

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use world::{EventCounts, World};

/// Runs of the short test.
const SEEDS: u64 = 2000;

fn number_from_environment(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not {value}")))
}

#[expect(
    clippy::print_stderr,
    reason = "what a test found out, for who runs it"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Runs one seed again, and prints all that led to its end.
fn replay(seed: u64) -> String {
    let mut world = World::new(seed, true);
    let done = world.run();
    let trace = world.trace();
    match done {
        Ok((tally, digest)) => format!("{trace}\n{tally:?}\nall is well: {digest:016x}"),
        Err(wrong) => format!("{trace}\nREVIEWSD_SIM_SEED={seed}: {wrong}"),
    }
}

fn add(sum: &mut EventCounts, tally: EventCounts) {
    sum.writes += tally.writes;
    sum.acknowledged += tally.acknowledged;
    sum.applied += tally.applied;
    sum.copies += tally.copies;
    sum.faults += tally.faults;
    sum.promotions += tally.promotions;
    sum.imports += tally.imports;
    sum.refusals += tally.refusals;
    sum.late += tally.late;
    sum.promises += tally.promises;
    sum.kept += tally.kept;
    sum.readies += tally.readies;
    sum.held += tally.held;
    sum.fenced += tally.fenced;
    sum.emptied += tally.emptied;
    sum.aged += tally.aged;
}

#[test]
fn replicas_only_show_primary_states_and_converge() {
    if let Some(seed) = number_from_environment("REVIEWSD_SIM_SEED") {
        let said = replay(seed);
        say(&said);
        assert!(said.contains("all is well"), "{seed}");
        return;
    }
    let seeds = number_from_environment("REVIEWSD_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, sum, broken) = (
        AtomicU64::new(0),
        Mutex::new(EventCounts::default()),
        AtomicU64::new(u64::MAX),
    );
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.min(broken.load(Ordering::Relaxed)) {
                        return;
                    }
                    match World::new(seed, false).run() {
                        Ok((tally, _)) => add(&mut sum.lock().unwrap(), tally),
                        Err(_) => {
                            broken.fetch_min(seed, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let broken = broken.into_inner();
    assert!(broken == u64::MAX, "{}", replay(broken));
    let sum = sum.into_inner().unwrap();
    say(&format!("simulation: {seeds} seeds, {sum:?}"));
    // Nothing is printed where nothing happened.
    for (what, times) in [
        ("writes", sum.writes),
        ("acknowledged", sum.acknowledged),
        ("applied", sum.applied),
        ("promotions", sum.promotions),
        ("imports", sum.imports),
        ("refusals", sum.refusals),
        ("late", sum.late),
        ("promises", sum.promises),
        ("kept", sum.kept),
        ("readies", sum.readies),
        ("held", sum.held),
        ("fenced", sum.fenced),
        ("emptied", sum.emptied),
        ("aged", sum.aged),
    ] {
        assert!(times > seeds / 100, "{what}: {times} in {seeds} seeds");
    }
}

#[test]
fn a_seed_determines_a_run() {
    for seed in 0..50 {
        let run = |_| World::new(seed, false).run().map(|(_, digest)| digest);
        let (one, other) = (run(1), run(2));
        assert_eq!(one, other, "{seed}");
    }
}
