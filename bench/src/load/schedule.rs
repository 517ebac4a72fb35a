//! When each request is to start: the plan as arithmetic, from a request's number to its time.
//!
//! Owns the phases of a run, the warm-up first, and must not look at a clock. Nothing is stored for
//! a request, so a backlog of any length costs no memory.

use std::time::Duration;

use crate::load::clock::nanoseconds;
use crate::load::workload::Workload;

/// The phases of a run. All times are nanoseconds since the run began.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// The warm-up, which may have no length, and the steps.
    pub(crate) phases: Vec<Phase>,
}

/// A stretch of time with one rate at which requests start.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// None where a request starts whenever a connection is free.
    pub(crate) per_second: Option<f64>,
    /// The number of its first request within the run.
    first: u64,
    /// The number of requests that start within it; 0 in a closed loop.
    requests: u64,
}

/// A request that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) number: u64,
    pub(crate) phase: usize,
    pub(crate) intended_ns: u64,
}

impl Schedule {
    pub(crate) fn new(workload: &Workload) -> Self {
        let mut schedule = Self { phases: Vec::new() };
        let rates = workload.plan.rates_per_second.iter().copied().map(Some);
        let rates: Vec<Option<f64>> = match workload.plan.rates_per_second.len() {
            0 => vec![None],
            _ => rates.collect(),
        };
        schedule.add(rates.first().copied().flatten(), workload.warm_up);
        for per_second in rates {
            schedule.add(per_second, workload.plan.step);
        }
        schedule
    }

    fn add(&mut self, per_second: Option<f64>, duration: Duration) {
        let last = self.phases.last();
        let start_ns = self.end_ns();
        let mut phase = Phase {
            start_ns,
            end_ns: start_ns + nanoseconds(duration),
            per_second,
            first: last.map_or(0, |last| last.first + last.requests),
            requests: 0,
        };
        phase.requests = phase.requests_until(phase.end_ns).unwrap_or(0);
        self.phases.push(phase);
    }

    pub(crate) fn end_ns(&self) -> u64 {
        self.phases.last().map_or(0, |phase| phase.end_ns)
    }

    /// When the warm-up is over.
    pub(crate) fn measured_from_ns(&self) -> u64 {
        self.phases.first().map_or(0, |warm_up| warm_up.end_ns)
    }

    /// The phase of this time; `None` when all is over.
    pub(crate) fn phase_at(&self, now_ns: u64) -> Option<usize> {
        let over = self.phases.partition_point(|phase| phase.end_ns <= now_ns);
        (over < self.phases.len()).then_some(over)
    }

    /// True if requests start whenever a connection is free.
    pub(crate) fn is_closed(&self) -> bool {
        self.phases.iter().any(|phase| phase.per_second.is_none())
    }

    /// The request of this number in an open loop; `None` when there are no more.
    pub(crate) fn due(&self, number: u64) -> Option<Due> {
        let over = |phase: &Phase| phase.first + phase.requests <= number;
        let index = self.phases.partition_point(over);
        let phase = self.phases.get(index)?;
        Some(Due {
            number,
            phase: index,
            intended_ns: phase.start_of(number - phase.first),
        })
    }

    /// The number of the first request after the phase of this one.
    pub(crate) fn after_phase(&self, due: &Due) -> u64 {
        let phase = self.phases.get(due.phase);
        phase.map_or(due.number, |phase| phase.first + phase.requests)
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a day has fewer nanoseconds than a double has whole numbers, and none is negative"
)]
impl Phase {
    /// Returns the number of requests that start within this phase and before `until_ns`; none in a closed
    /// loop.
    pub(crate) fn requests_until(&self, until_ns: u64) -> Option<u64> {
        let until_ns = until_ns.clamp(self.start_ns, self.end_ns);
        let seconds = (until_ns - self.start_ns) as f64 / 1e9;
        // The first one starts at once; what is a whole number but for rounding is one.
        Some((self.per_second? * seconds - 1e-6).ceil() as u64)
    }

    /// When the request of this number, counted from 0 within the phase, starts.
    fn start_of(&self, number: u64) -> u64 {
        let seconds = self.per_second.map_or(0.0, |rate| number as f64 / rate);
        self.start_ns + (seconds * 1e9) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(plan: &str, warm_up: &str) -> Schedule {
        let text = format!(
            "about = \"x\"\nwarm_up = \"{warm_up}\"\nplan = {{ {plan} }}\nrequest = [{{ kind = \"list\" }}]"
        );
        Schedule::new(&Workload::parse("x", &text).unwrap())
    }

    fn starts(schedule: &Schedule) -> Vec<Due> {
        (0..).map_while(|number| schedule.due(number)).collect()
    }

    #[test]
    fn a_constant_rate_starts_requests_at_even_distances() {
        let schedule = schedule("rate = 4, duration = \"1s\"", "500ms");
        let times = starts(&schedule).into_iter();
        let times = times.map(|due| (due.number, due.phase, due.intended_ns / 1_000_000));
        let expected = [
            (0, 0, 0),
            (1, 0, 250),
            (2, 1, 500),
            (3, 1, 750),
            (4, 1, 1000),
            (5, 1, 1250),
        ];
        assert_eq!(times.collect::<Vec<_>>(), expected);
        assert_eq!(schedule.measured_from_ns(), 500_000_000);
    }

    #[test]
    fn each_step_has_its_own_rate() {
        let schedule = schedule("rates = [1000, 60000, 333.3], step = \"3s\"", "0s");
        let starts = starts(&schedule);
        assert!(starts.is_sorted_by_key(|due| due.intended_ns));
        let of_phase = |index: usize| starts.iter().filter(move |due| due.phase == index);
        for (index, requests) in [(0, 0), (1, 3000), (2, 180_000), (3, 1000)] {
            let phase = &schedule.phases[index];
            assert_eq!(of_phase(index).count(), requests);
            assert!(
                of_phase(index)
                    .all(|due| (phase.start_ns..phase.end_ns).contains(&due.intended_ns))
            );
        }
        assert_eq!(schedule.after_phase(&starts[10]), 3000);
        // At any moment, as many have started as the phase says.
        let before = of_phase(2)
            .filter(|due| due.intended_ns < 4_000_000_007)
            .count() as u64;
        assert_eq!(
            schedule.phases[2].requests_until(4_000_000_007),
            Some(before)
        );
    }

    #[test]
    fn a_closed_loop_has_phases_and_no_schedule() {
        let schedule = schedule("closed = true, duration = \"1s\"", "1s");
        assert_eq!(schedule.due(0), None);
        assert_eq!(schedule.end_ns(), 2_000_000_000);
        let phases =
            [0, 999_999_999, 1_000_000_000, 5_000_000_000].map(|now| schedule.phase_at(now));
        assert_eq!(phases, [Some(0), Some(0), Some(1), None]);
    }
}
