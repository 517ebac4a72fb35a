//! What a thread enters into its record, at which moment, and the seconds it reports on the way.
//!
//! Owns the sense of time of the record: which phase and which second a thing belongs to. It must not
//! know sockets.

use crossbeam::channel::Sender;

use crate::load::clock::Clock;
use crate::load::connection::Flight;
use crate::load::record::{Fault, Record, SecondTally, Tally};
use crate::load::schedule::Schedule;

const SECOND_NS: u64 = 1_000_000_000;

pub(crate) struct Accounts<'a> {
    schedule: &'a Schedule,
    clock: &'a dyn Clock,
    record: Record,
    /// The phase there is now, and until when; `None` before the first and after the last.
    phase: Option<usize>,
    phase_ends_ns: u64,
    /// CPU time of the thread when the phase began.
    cpu_at_phase_ns: u64,
    second: SecondTally,
    second_ends_ns: u64,
    seconds: Sender<SecondTally>,
    stopped: bool,
}

impl<'a> Accounts<'a> {
    pub(crate) fn new(
        schedule: &'a Schedule,
        clock: &'a dyn Clock,
        kinds: usize,
        seconds: Sender<SecondTally>,
    ) -> Self {
        let measured_from_ns = schedule.measured_from_ns();
        // Seconds are those of the measurement; the first one may be short.
        let second = -i64::try_from(measured_from_ns.div_ceil(SECOND_NS)).unwrap_or(0);
        Self {
            record: Record::new(schedule.phases().len(), kinds),
            schedule,
            clock,
            phase: None,
            phase_ends_ns: 0,
            cpu_at_phase_ns: clock.cpu_ns(),
            second: SecondTally::new(second),
            second_ends_ns: match measured_from_ns % SECOND_NS {
                0 => SECOND_NS,
                first => first,
            },
            seconds,
            stopped: false,
        }
    }

    fn tally(&mut self, phase: usize) -> Option<&mut Tally> {
        self.record.phases.get_mut(phase)
    }

    fn is_measured(&self, phase: usize) -> bool {
        let phases = self.schedule.phases();
        phases.get(phase).is_some_and(|phase| phase.measured)
    }

    /// A request is being sent, or a connection for it opened.
    pub(crate) fn started(&mut self, flight: &Flight, bytes: usize, connects: bool) {
        if let Some(tally) = self.tally(flight.phase) {
            tally.started(&flight.times, bytes);
        }
        self.record.reconnects += u64::from(connects);
    }

    pub(crate) fn received(&mut self, flight: &Flight, bytes: usize) {
        if let Some(tally) = self.tally(flight.phase) {
            tally.bytes_received += bytes as u64;
        }
    }

    /// The answer was right.
    pub(crate) fn right(&mut self, flight: &Flight, now_ns: u64) {
        if let Some(tally) = self.tally(flight.phase) {
            tally.ok += 1;
            tally.took(&flight.times, now_ns);
        }
        let latency_ns = now_ns.saturating_sub(flight.times.intended_ns);
        self.second.ok += 1;
        self.second.latency.saturating_record(latency_ns);
        if self.is_measured(flight.phase)
            && let Some(kind) = self.record.kinds.get_mut(flight.asked.part)
        {
            kind.ok += 1;
            kind.sent += 1;
            kind.latency.saturating_record(latency_ns);
        }
        self.over_within(1, now_ns);
    }

    /// There is no right answer.
    pub(crate) fn wrong(
        &mut self,
        flight: &Flight,
        fault: Fault,
        now_ns: u64,
        example: impl FnOnce() -> String,
    ) {
        if let Some(tally) = self.tally(flight.phase) {
            *tally.faults.entry(fault).or_default() += 1;
            if fault == Fault::Timeout {
                tally.took(&flight.times, now_ns);
            }
        }
        if self.is_measured(flight.phase) {
            let known = self.record.examples.entry(fault.name());
            known.or_insert_with(example);
            if let Some(kind) = self.record.kinds.get_mut(flight.asked.part) {
                kind.sent += 1;
            }
        } else {
            self.record.warm_up_example.get_or_insert_with(example);
        }
        self.second.errors += 1;
        self.over_within(0, now_ns);
    }

    /// A request was over while the phase there is now lasted, `ok` times rightly.
    fn over_within(&mut self, ok: u64, now_ns: u64) {
        self.enter(now_ns);
        if let Some(tally) = self.phase.and_then(|phase| self.tally(phase)) {
            tally.over_within += 1;
            tally.ok_within += ok;
        }
    }

    /// A body that was to be checked was not.
    pub(crate) fn passed_over(&mut self) {
        self.record.checks_skipped += 1;
    }

    /// Takes back a request whose answer is not waited for.
    pub(crate) fn abandoned(&mut self, flight: &Flight) {
        if let Some(tally) = self.tally(flight.phase) {
            tally.sent -= 1;
        }
    }

    /// No phase goes on after this.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.phase_ends_ns = 0;
    }

    /// Reports the seconds that are over.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        self.enter(now_ns);
        while now_ns >= self.second_ends_ns {
            let next = SecondTally::new(self.second.second + 1);
            let over = std::mem::replace(&mut self.second, next);
            // Whoever shows the seconds may be gone or slow; the load goes on.
            let _ = self.seconds.try_send(over);
            self.second_ends_ns += SECOND_NS;
        }
    }

    /// Notices that a phase is over, and accounts for its CPU time.
    fn enter(&mut self, now_ns: u64) {
        if now_ns < self.phase_ends_ns {
            return;
        }
        let next = if self.stopped {
            None
        } else {
            self.schedule.phase_at(now_ns)
        };
        let cpu_ns = self.clock.cpu_ns();
        let used_ns = cpu_ns.saturating_sub(self.cpu_at_phase_ns);
        if let Some(tally) = self.phase.and_then(|phase| self.tally(phase)) {
            tally.cpu_ns += used_ns;
        }
        self.cpu_at_phase_ns = cpu_ns;
        let phase = next.and_then(|next| self.schedule.phases().get(next));
        self.phase_ends_ns = phase.map_or(u64::MAX, |phase| phase.end_ns);
        self.phase = next;
    }

    /// Closes the books.
    pub(crate) fn finish(mut self, now_ns: u64) -> Record {
        self.tick(now_ns);
        let _ = self.seconds.try_send(self.second);
        self.record
    }
}
