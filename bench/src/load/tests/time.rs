//! Simulated time: it stands still while anything is being computed, and jumps when everybody waits. So
//! what a run measures is the same on every machine, however busy.
//!
//! Owns the agreement of the load's threads and the server on when everybody waits. Every request that
//! has no answer is either being computed, and then time stands still, or the server sits on it.

use std::collections::HashMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::load::clock::Clock;
use crate::load::poll::Poll;

/// The time that a thread looks at its sockets before it looks again at what the others do.
const LOOK: Duration = Duration::from_micros(200);
/// If nobody gets on for so long, a test has asked for something that this clock cannot do.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Default)]
pub(super) struct Simulated {
    state: Mutex<State>,
    advanced: Condvar,
}

#[derive(Default, Debug)]
struct State {
    now_ns: u64,
    /// Threads of the load that have not left.
    threads: usize,
    /// The waiting threads: until when each waits, and for how many answers.
    waiting: HashMap<ThreadId, (u64, usize)>,
    /// Requests that the server is computing an answer to.
    busy: usize,
    /// When each answer is due that the server sits on; `u64::MAX` for one that never comes.
    parked: Vec<u64>,
}

impl State {
    /// True if nothing happens any more unless time goes on.
    fn is_quiet(&self) -> bool {
        let unanswered: usize = self
            .waiting
            .values()
            .map(|(_, unanswered)| unanswered)
            .sum();
        self.waiting.len() == self.threads && self.busy == 0 && unanswered == self.parked.len()
    }

    /// Goes on to the next moment that somebody waits for. Answers that are due then are being computed.
    fn advance(&mut self) {
        let untils = self.waiting.values().map(|(until_ns, _)| *until_ns);
        let next_ns = untils.chain(self.parked.iter().copied()).min();
        self.now_ns = self.now_ns.max(next_ns.unwrap_or(0));
        let before = self.parked.len();
        self.parked.retain(|due_ns| *due_ns > self.now_ns);
        self.busy += before - self.parked.len();
    }
}

impl Simulated {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The server begins to compute an answer.
    pub(super) fn take(&self) {
        self.state().busy += 1;
    }

    /// The answer has been written, and the connection closed if it is to be.
    pub(super) fn give(&self) {
        self.state().busy -= 1;
    }

    /// The server sits on the answer for so long, which must be less than the load's time-out.
    pub(super) fn sleep(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let mut state = self.state();
        let due_ns = state.now_ns + u64::try_from(time.as_nanos()).unwrap();
        state.busy -= 1;
        state.parked.push(due_ns);
        while state.now_ns < due_ns {
            state = self.advanced.wait(state).unwrap();
        }
    }

    /// The answer never comes.
    pub(super) fn sleep_for_ever(&self) {
        let mut state = self.state();
        state.busy -= 1;
        state.parked.push(u64::MAX);
    }
}

impl Clock for Simulated {
    fn begin(&self, threads: usize) {
        let mut state = self.state();
        state.now_ns = 0;
        state.threads = threads;
    }

    fn now_ns(&self) -> u64 {
        self.state().now_ns
    }

    /// No machine computes in simulated time.
    fn cpu_ns(&self) -> u64 {
        0
    }

    fn wait(&self, poll: &mut Poll, until_ns: u64, unanswered: usize) -> io::Result<usize> {
        let me = thread::current().id();
        let begun = Instant::now();
        self.state().waiting.insert(me, (until_ns, unanswered));
        loop {
            // In this order: what was sent before it was quiet is there to be seen.
            let quiet = self.state().is_quiet();
            let events = poll.wait(if quiet { Duration::ZERO } else { LOOK })?;
            let mut state = self.state();
            if events == 0 && quiet && state.is_quiet() {
                state.advance();
                self.advanced.notify_all();
            }
            if events > 0 || state.now_ns >= until_ns {
                state.waiting.remove(&me);
                return Ok(events);
            }
            assert!(begun.elapsed() < PATIENCE, "nobody gets on: {state:?}");
        }
    }

    fn leave(&self) {
        self.state().threads -= 1;
    }
}
