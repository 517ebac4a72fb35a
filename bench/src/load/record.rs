//! What is counted while a run lasts: requests and their times, phase by phase.
//!
//! Owns what is counted as what, and which phase and which second a thing belongs to. It must not know
//! sockets. Nothing here grows with the number of requests.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use hdrhistogram::Histogram;

use crate::load::Second;
use crate::load::clock::Clock;
use crate::load::mix::Asked;
use crate::load::schedule::Schedule;

const SECOND_NS: u64 = 1_000_000_000;
/// Histograms tell times apart by this many nanoseconds, and by a thousandth of the time.
const RESOLUTION_NS: u64 = 128;
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;

/// Why a request has no right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Another status than the request's right one.
    Status(u16),
    /// No whole answer in time.
    Timeout,
    /// No connection could be made.
    Refused,
    /// The connection was closed or reset before the answer was whole.
    Closed,
    /// Not HTTP, or not of the length that was announced.
    Malformed,
    /// Found wrong by a check of the body.
    WrongBody,
}

impl Fault {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Status(status) => format!("answered with {status}"),
            Self::Timeout => "timed out".to_owned(),
            Self::Refused => "refused".to_owned(),
            Self::Closed => "closed early".to_owned(),
            Self::Malformed => "malformed".to_owned(),
            Self::WrongBody => "wrong body".to_owned(),
        }
    }
}

/// A request on its way, and its times in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flight {
    pub(crate) asked: Asked,
    pub(crate) phase: usize,
    /// When it was to start.
    pub(crate) intended_ns: u64,
    /// When it could have: it was due, and its connection free.
    pub(crate) ready_ns: u64,
    /// When it did.
    pub(crate) started_ns: u64,
}

/// The requests of one phase.
#[derive(Clone)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    /// Right answers that came while the phase lasted, of its own requests or of those before.
    pub(crate) ok_within: u64,
    /// All that were over while it lasted, rightly or not.
    pub(crate) over_within: u64,
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// CPU time of the thread that sends while the phase lasted.
    pub(crate) cpu_ns: u64,
    pub(crate) latency: Histogram<u64>,
    pub(crate) service: Histogram<u64>,
    pub(crate) lateness: Histogram<u64>,
}

/// The measured requests of one kind.
#[derive(Clone)]
pub(crate) struct KindTally {
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    pub(crate) latency: Histogram<u64>,
}

/// All that was counted.
pub(crate) struct Record<'a> {
    schedule: &'a Schedule,
    clock: &'a dyn Clock,
    /// The warm-up first.
    pub(crate) phases: Vec<Tally>,
    pub(crate) kinds: Vec<KindTally>,
    /// The first fault of each kind that was measured, and of the warm-up, as a sentence.
    pub(crate) examples: BTreeMap<String, String>,
    pub(crate) warm_up_example: Option<String>,
    pub(crate) reconnects: u64,
    pub(crate) checks_skipped: u64,
    /// The phase there is now, and until when; `None` before the first and after the last.
    phase: Option<usize>,
    phase_ends_ns: u64,
    /// CPU time of the thread when the phase began.
    cpu_at_phase_ns: u64,
    second: Second,
    second_ends_ns: u64,
    /// None when all is over, so that the other end learns of it.
    seconds: Option<Sender<Second>>,
}

/// An empty histogram, as all that are added to each other must be.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(RESOLUTION_NS, LATENCY_MAX_NS, DIGITS)
        .expect("the bounds are constants, and far enough apart")
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            sent: 0,
            ok: 0,
            ok_within: 0,
            over_within: 0,
            faults: BTreeMap::new(),
            cpu_ns: 0,
            latency: histogram(),
            service: histogram(),
            lateness: histogram(),
        }
    }

    /// Enters the time of a request that was answered rightly, or took all the time it had.
    fn took(&mut self, flight: &Flight, now_ns: u64) {
        let since = |then_ns| now_ns.saturating_sub(then_ns);
        self.latency.saturating_record(since(flight.intended_ns));
        self.service.saturating_record(since(flight.started_ns));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.ok += other.ok;
        self.ok_within += other.ok_within;
        self.over_within += other.over_within;
        for (fault, times) in &other.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
        self.cpu_ns += other.cpu_ns;
        let merge = |ours: &mut Histogram<u64>, theirs| {
            ours.add(theirs).expect("both have the same bounds");
        };
        merge(&mut self.latency, &other.latency);
        merge(&mut self.service, &other.service);
        merge(&mut self.lateness, &other.lateness);
    }
}

impl<'a> Record<'a> {
    pub(crate) fn new(
        schedule: &'a Schedule,
        clock: &'a dyn Clock,
        kinds: usize,
        seconds: Sender<Second>,
    ) -> Self {
        let measured_from_ns = schedule.measured_from_ns();
        // Seconds are those of the measurement; the first one may be short.
        let second = -i64::try_from(measured_from_ns.div_ceil(SECOND_NS)).unwrap_or(0);
        let phase = schedule.phases.first();
        let kind = KindTally {
            sent: 0,
            ok: 0,
            latency: histogram(),
        };
        Self {
            phases: vec![Tally::new(); schedule.phases.len()],
            kinds: vec![kind; kinds],
            schedule,
            clock,
            examples: BTreeMap::new(),
            warm_up_example: None,
            reconnects: 0,
            checks_skipped: 0,
            phase: None,
            phase_ends_ns: 0,
            cpu_at_phase_ns: clock.cpu_ns(),
            second: Second {
                second,
                planned_per_second: phase.and_then(|phase| phase.per_second),
                ok: 0,
                errors: 0,
            },
            second_ends_ns: match measured_from_ns % SECOND_NS {
                0 => SECOND_NS,
                first => first,
            },
            seconds: Some(seconds),
        }
    }

    /// The kind of a request that is measured.
    fn kind(&mut self, flight: &Flight) -> Option<&mut KindTally> {
        let measured = flight.phase > 0;
        self.kinds.get_mut(flight.asked.part).filter(|_| measured)
    }

    /// A request is being sent, or a connection for it opened.
    pub(crate) fn started(&mut self, flight: &Flight, connects: bool) {
        if let Some(tally) = self.phases.get_mut(flight.phase) {
            tally.sent += 1;
            let late_ns = flight.started_ns.saturating_sub(flight.ready_ns);
            tally.lateness.saturating_record(late_ns);
        }
        if let Some(kind) = self.kind(flight) {
            kind.sent += 1;
        }
        self.reconnects += u64::from(connects);
    }

    /// The answer was right.
    pub(crate) fn right(&mut self, flight: &Flight, now_ns: u64) {
        if let Some(tally) = self.phases.get_mut(flight.phase) {
            tally.ok += 1;
            tally.took(flight, now_ns);
        }
        if let Some(kind) = self.kind(flight) {
            let latency_ns = now_ns.saturating_sub(flight.intended_ns);
            kind.ok += 1;
            kind.latency.saturating_record(latency_ns);
        }
        self.second.ok += 1;
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
        if let Some(tally) = self.phases.get_mut(flight.phase) {
            *tally.faults.entry(fault).or_default() += 1;
            if fault == Fault::Timeout {
                tally.took(flight, now_ns);
            }
        }
        if flight.phase == 0 {
            self.warm_up_example.get_or_insert_with(example);
        } else {
            self.examples.entry(fault.name()).or_insert_with(example);
        }
        self.second.errors += 1;
        self.over_within(0, now_ns);
    }

    /// A request was over while the phase there is now lasted, `ok` times rightly.
    fn over_within(&mut self, ok: u64, now_ns: u64) {
        self.enter(now_ns);
        if let Some(tally) = self.phase.and_then(|phase| self.phases.get_mut(phase)) {
            tally.over_within += 1;
            tally.ok_within += ok;
        }
    }

    /// Takes back a request whose answer is not waited for.
    pub(crate) fn abandoned(&mut self, flight: &Flight) {
        if let Some(tally) = self.phases.get_mut(flight.phase) {
            tally.sent -= 1;
        }
        if let Some(kind) = self.kind(flight) {
            kind.sent -= 1;
        }
    }

    /// Reports the seconds that are over.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        self.enter(now_ns);
        while now_ns >= self.second_ends_ns {
            let phase = self.phase.and_then(|phase| self.schedule.phases.get(phase));
            let next = Second {
                second: self.second.second + 1,
                planned_per_second: phase.and_then(|phase| phase.per_second),
                ok: 0,
                errors: 0,
            };
            let over = std::mem::replace(&mut self.second, next);
            // The load goes on though nobody listens.
            let _ = self.seconds.as_ref().map(|seconds| seconds.send(over));
            self.second_ends_ns += SECOND_NS;
        }
    }

    /// Closes the books.
    pub(crate) fn finish(&mut self, now_ns: u64) {
        self.tick(now_ns);
        self.seconds = None;
    }

    /// Notices that a phase is over, and accounts for its CPU time.
    pub(crate) fn enter(&mut self, now_ns: u64) {
        if now_ns < self.phase_ends_ns {
            return;
        }
        let cpu_ns = self.clock.cpu_ns();
        let used_ns = cpu_ns.saturating_sub(self.cpu_at_phase_ns);
        if let Some(tally) = self.phase.and_then(|phase| self.phases.get_mut(phase)) {
            tally.cpu_ns += used_ns;
        }
        self.cpu_at_phase_ns = cpu_ns;
        self.phase = self.schedule.phase_at(now_ns);
        let phase = self.phase.and_then(|phase| self.schedule.phases.get(phase));
        self.phase_ends_ns = phase.map_or(u64::MAX, |phase| phase.end_ns);
    }

    /// No phase goes on after this.
    pub(crate) fn stop(&mut self) {
        self.phase_ends_ns = 0;
        self.enter(u64::MAX);
    }
}
