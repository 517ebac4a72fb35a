//! What one thread has measured so far: counts and histograms, phase by phase.
//!
//! Owns what is counted as what, and must not know what is made of it. Nothing here grows with the
//! number of requests.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Histograms tell times apart by this many nanoseconds, and by a thousandth of the time.
const RESOLUTION_NS: u64 = 128;
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;
/// Enough for a line that is looked at for a second.
const SECOND_DIGITS: u8 = 2;

/// Why a request has no right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Status(u16),
    Timeout,
    Refused,
    Closed,
    Malformed,
    WrongBody,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::WrongBody => "wrong_body",
        }
    }
}

/// The times of one request, all in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the unit stands in the name")]
pub(crate) struct Times {
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
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    /// CPU time of the thread while the phase lasted.
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

/// The counts of one second.
#[derive(Clone)]
pub(crate) struct SecondTally {
    pub(crate) second: i64,
    pub(crate) ok: u64,
    pub(crate) errors: u64,
    pub(crate) latency: Histogram<u64>,
}

/// All that a thread has measured.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) phases: Vec<Tally>,
    pub(crate) kinds: Vec<KindTally>,
    /// The first measured fault of each kind, as a sentence.
    pub(crate) examples: BTreeMap<&'static str, String>,
    /// The first fault while it warmed up.
    pub(crate) warm_up_example: Option<String>,
    pub(crate) reconnects: u64,
    pub(crate) checks_skipped: u64,
}

/// An empty histogram, as all that are added to each other must be.
pub(crate) fn histogram() -> Histogram<u64> {
    bounded(DIGITS)
}

fn bounded(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(RESOLUTION_NS, LATENCY_MAX_NS, digits)
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
            bytes_sent: 0,
            bytes_received: 0,
            cpu_ns: 0,
            latency: histogram(),
            service: histogram(),
            lateness: histogram(),
        }
    }

    pub(crate) fn started(&mut self, times: &Times, bytes: usize) {
        self.sent += 1;
        self.bytes_sent += bytes as u64;
        let late_ns = times.started_ns.saturating_sub(times.ready_ns);
        self.lateness.saturating_record(late_ns);
    }

    /// It was right, or took all the time it had.
    pub(crate) fn took(&mut self, times: &Times, now_ns: u64) {
        self.latency
            .saturating_record(now_ns.saturating_sub(times.intended_ns));
        self.service
            .saturating_record(now_ns.saturating_sub(times.started_ns));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.ok += other.ok;
        self.ok_within += other.ok_within;
        self.over_within += other.over_within;
        for (fault, times) in &other.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.cpu_ns += other.cpu_ns;
        merge(&mut self.latency, &other.latency);
        merge(&mut self.service, &other.service);
        merge(&mut self.lateness, &other.lateness);
    }
}

impl KindTally {
    fn new() -> Self {
        Self {
            sent: 0,
            ok: 0,
            latency: histogram(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.ok += other.ok;
        merge(&mut self.latency, &other.latency);
    }
}

impl SecondTally {
    pub(crate) fn new(second: i64) -> Self {
        Self {
            second,
            ok: 0,
            errors: 0,
            latency: bounded(SECOND_DIGITS),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.errors += other.errors;
        merge(&mut self.latency, &other.latency);
    }
}

impl Record {
    pub(crate) fn new(phases: usize, kinds: usize) -> Self {
        Self {
            phases: vec![Tally::new(); phases],
            kinds: vec![KindTally::new(); kinds],
            examples: BTreeMap::new(),
            warm_up_example: None,
            reconnects: 0,
            checks_skipped: 0,
        }
    }

    /// Counts what another thread has measured as well.
    pub(crate) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.phases.iter_mut().zip(&other.phases) {
            ours.add(theirs);
        }
        for (ours, theirs) in self.kinds.iter_mut().zip(&other.kinds) {
            ours.add(theirs);
        }
        for (name, example) in &other.examples {
            let known = self.examples.entry(name);
            known.or_insert_with(|| example.clone());
        }
        if self.warm_up_example.is_none() {
            self.warm_up_example.clone_from(&other.warm_up_example);
        }
        self.reconnects += other.reconnects;
        self.checks_skipped += other.checks_skipped;
    }
}

pub(crate) fn merge(ours: &mut Histogram<u64>, theirs: &Histogram<u64>) {
    ours.add(theirs).expect("both have the same bounds");
}
