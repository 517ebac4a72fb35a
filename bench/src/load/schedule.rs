//! When each request is to start: the plan as arithmetic, from a request's number to its time.
//!
//! Owns the phases of a run, the warm-up first, and must not look at a clock. Nothing is stored for
//! a request, so a backlog of any length costs no memory.

use std::time::Duration;

use crate::load::workload::{Plan, Workload};

/// All times are nanoseconds since the run began.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    phases: Vec<Phase>,
}

/// A stretch of time with one law for when requests start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phase {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) pace: Pace,
    /// The number of requests that start within it; 0 in a closed loop.
    pub(crate) requests: u64,
    pub(crate) label: String,
    /// The warm-up is not.
    pub(crate) measured: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Evenly, or at a rate that changes evenly.
    Rate {
        from_per_second: f64,
        to_per_second: f64,
    },
    /// Whenever a connection is free.
    Closed,
}

impl Schedule {
    pub(crate) fn new(workload: &Workload) -> Self {
        let steady = |per_second: f64| Pace::Rate {
            from_per_second: per_second,
            to_per_second: per_second,
        };
        let mut schedule = Self { phases: Vec::new() };
        let warm_up = workload.warm_up;
        match &workload.plan {
            Plan::Steps {
                rates_per_second,
                step,
            } => {
                let first = rates_per_second.first().copied().unwrap_or_default();
                schedule.add(false, steady(first), warm_up);
                for per_second in rates_per_second {
                    schedule.add(true, steady(*per_second), *step);
                }
            }
            Plan::Ramp {
                from_per_second,
                to_per_second,
                duration,
            } => {
                schedule.add(false, steady(*from_per_second), warm_up);
                let pace = Pace::Rate {
                    from_per_second: *from_per_second,
                    to_per_second: *to_per_second,
                };
                schedule.add(true, pace, *duration);
            }
            Plan::Closed { duration } => {
                schedule.add(false, Pace::Closed, warm_up);
                schedule.add(true, Pace::Closed, *duration);
            }
        }
        schedule
    }

    fn add(&mut self, measured: bool, pace: Pace, duration: Duration) {
        let start_ns = self.end_ns();
        let mut phase = Phase {
            start_ns,
            end_ns: start_ns + nanoseconds(duration),
            pace,
            requests: 0,
            label: match pace {
                Pace::Closed => "closed loop".to_owned(),
                Pace::Rate {
                    from_per_second: from,
                    to_per_second: to,
                } if from.total_cmp(&to).is_eq() => format!("{from}/s"),
                Pace::Rate {
                    from_per_second: from,
                    to_per_second: to,
                } => format!("{from}/s to {to}/s"),
            },
            measured,
        };
        phase.requests = phase.requests_until(phase.end_ns);
        self.phases.push(phase);
    }

    /// The warm-up, which may have no length, and the steps.
    pub(crate) fn phases(&self) -> &[Phase] {
        &self.phases
    }

    pub(crate) fn end_ns(&self) -> u64 {
        self.phases.last().map_or(0, |phase| phase.end_ns)
    }

    /// When the warm-up is over.
    pub(crate) fn measured_from_ns(&self) -> u64 {
        let mut measured = self.phases.iter().filter(|phase| phase.measured);
        measured.next().map_or(0, |phase| phase.start_ns)
    }

    /// The phase of this time; `None` when all is over.
    pub(crate) fn phase_at(&self, now_ns: u64) -> Option<usize> {
        let over = self.phases.partition_point(|phase| phase.end_ns <= now_ns);
        (over < self.phases.len()).then_some(over)
    }

    /// True if requests start whenever a connection is free.
    pub(crate) fn is_closed(&self) -> bool {
        self.phases.iter().any(|phase| phase.pace == Pace::Closed)
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a day has fewer nanoseconds than a double has whole numbers, and none is negative"
)]
impl Phase {
    pub(crate) fn seconds(&self) -> f64 {
        (self.end_ns - self.start_ns) as f64 / 1e9
    }

    /// Returns the number of requests that start within this phase and before `until_ns`; 0 in a closed loop.
    pub(crate) fn requests_until(&self, until_ns: u64) -> u64 {
        let Pace::Rate {
            from_per_second: from,
            to_per_second: to,
        } = self.pace
        else {
            return 0;
        };
        let seconds = (until_ns.clamp(self.start_ns, self.end_ns) - self.start_ns) as f64 / 1e9;
        let whole = self.seconds().max(f64::MIN_POSITIVE);
        let expected = from * seconds + (to - from) * seconds * seconds / (2.0 * whole);
        // The first one starts at once; what is a whole number but for rounding is one.
        (expected - 1e-6).ceil() as u64
    }

    /// When the request of this number, counted from 0 within the phase, starts.
    pub(crate) fn start_of(&self, number: u64) -> u64 {
        let Pace::Rate {
            from_per_second: from,
            to_per_second: to,
        } = self.pace
        else {
            return self.start_ns;
        };
        let number = number as f64;
        let gain = (to - from) / self.seconds().max(f64::MIN_POSITIVE);
        // The root of from·t + gain·t²/2 = number, in the form that also serves without a gain.
        let root = (from * from + 2.0 * gain * number).max(0.0).sqrt();
        let seconds = 2.0 * number / (from + root);
        self.start_ns + (seconds * 1e9) as u64
    }

    /// The rate at a time within the phase.
    pub(crate) fn rate_at(&self, now_ns: u64) -> Option<f64> {
        let Pace::Rate {
            from_per_second: from,
            to_per_second: to,
        } = self.pace
        else {
            return None;
        };
        let passed = (now_ns.clamp(self.start_ns, self.end_ns) - self.start_ns) as f64 / 1e9;
        Some(from + (to - from) * passed / self.seconds().max(f64::MIN_POSITIVE))
    }
}

/// One thread's way through the schedule: every n-th request of it.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    phase: usize,
    /// The number of the next request, within its phase.
    number: u64,
    /// Requests of the phases before.
    before: u64,
    stride: u64,
}

/// A request that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Within the whole run, so that it is the same request whoever sends it.
    pub(crate) number: u64,
    pub(crate) phase: usize,
    pub(crate) intended_ns: u64,
}

impl Cursor {
    /// The way of one thread of several.
    pub(crate) fn new(thread: u64, threads: u64) -> Self {
        Self {
            phase: 0,
            number: thread,
            before: 0,
            stride: threads,
        }
    }

    /// The next request; `None` when there are no more, or never were any in a closed loop.
    pub(crate) fn peek(&mut self, schedule: &Schedule) -> Option<Due> {
        loop {
            let phase = schedule.phases.get(self.phase)?;
            if self.number < phase.requests {
                return Some(Due {
                    number: self.before + self.number,
                    phase: self.phase,
                    intended_ns: phase.start_of(self.number),
                });
            }
            self.number -= phase.requests;
            self.before += phase.requests;
            self.phase += 1;
        }
    }

    pub(crate) fn advance(&mut self) {
        self.number += self.stride;
    }

    /// Leaves out what is left of the phase of the next request.
    pub(crate) fn skip_phase(&mut self, schedule: &Schedule) {
        if let Some(phase) = schedule.phases.get(self.phase) {
            let left = phase.requests.saturating_sub(self.number);
            self.number += left.div_ceil(self.stride) * self.stride;
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(plan: Plan, warm_up: Duration) -> Schedule {
        let text = "about = \"x\"\nplan = { rate = 1, duration = \"1s\" }\nrequest = [{ kind = \"list\" }]";
        let mut workload = Workload::parse("x", "x.toml", text).unwrap();
        workload.plan = plan;
        workload.warm_up = warm_up;
        Schedule::new(&workload)
    }

    fn starts(schedule: &Schedule, mut cursor: Cursor) -> Vec<Due> {
        let mut found = Vec::new();
        while let Some(due) = cursor.peek(schedule) {
            found.push(due);
            cursor.advance();
        }
        found
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_constant_rate_starts_requests_at_even_distances() {
        let plan = Plan::Steps {
            rates_per_second: vec![4.0],
            step: SECOND,
        };
        let schedule = schedule(plan, Duration::from_millis(500));
        let times: Vec<_> = starts(&schedule, Cursor::new(0, 1))
            .iter()
            .map(|due| (due.number, due.phase, due.intended_ns / 1_000_000))
            .collect();
        let expected = [
            (0, 0, 0),
            (1, 0, 250),
            (2, 1, 500),
            (3, 1, 750),
            (4, 1, 1000),
            (5, 1, 1250),
        ];
        assert_eq!(times, expected);
        assert_eq!(schedule.measured_from_ns(), 500_000_000);
    }

    #[test]
    fn each_step_has_its_own_rate() {
        let plan = Plan::Steps {
            rates_per_second: vec![1000.0, 60_000.0, 333.3],
            step: 3 * SECOND,
        };
        let schedule = schedule(plan, Duration::ZERO);
        let requests: Vec<u64> = schedule
            .phases()
            .iter()
            .map(|phase| phase.requests)
            .collect();
        assert_eq!(requests, [0, 3000, 180_000, 1000]);
        let starts = starts(&schedule, Cursor::new(0, 1));
        assert_eq!(starts.len(), 184_000);
        assert!(starts.is_sorted_by_key(|due| due.intended_ns));
        for (phase, number) in schedule.phases().iter().zip(0..) {
            let mut of_phase = starts.iter().filter(|due| due.phase == number);
            assert!(of_phase.all(|due| (phase.start_ns..phase.end_ns).contains(&due.intended_ns)));
        }
    }

    #[test]
    fn a_ramp_starts_as_many_requests_as_its_mean_rate_and_ever_closer_ones() {
        for (from, to) in [(100.0, 5000.0), (5000.0, 100.0), (0.01, 10.0)] {
            let plan = Plan::Ramp {
                from_per_second: from,
                to_per_second: to,
                duration: 10 * SECOND,
            };
            let schedule = schedule(plan, Duration::ZERO);
            let starts = starts(&schedule, Cursor::new(0, 1));
            let expected = f64::midpoint(from, to) * 10.0;
            let requests = f64::from(u32::try_from(starts.len()).unwrap());
            assert!((requests - expected).abs() <= 1.0, "{requests}");
            assert!(starts.is_sorted_by_key(|due| due.intended_ns));
            // At any moment, as many have started as the phase says.
            let phase = schedule.phases().last().unwrap();
            for moment in [1, 2_500_000_000, 7_777_777_777] {
                let before = starts.iter().filter(|due| due.intended_ns < moment).count() as u64;
                assert!(before.abs_diff(phase.requests_until(moment)) <= 1);
            }
        }
    }

    #[test]
    fn threads_share_the_schedule_without_gap_or_overlap() {
        let plan = Plan::Steps {
            rates_per_second: vec![7.0, 11.0],
            step: SECOND,
        };
        let schedule = schedule(plan, SECOND);
        let whole = starts(&schedule, Cursor::new(0, 1));
        let mut shared: Vec<Due> = (0..3)
            .flat_map(|thread| starts(&schedule, Cursor::new(thread, 3)))
            .collect();
        shared.sort_by_key(|due| due.number);
        assert_eq!(shared, whole);
    }

    #[test]
    fn a_phase_that_is_skipped_does_not_touch_the_next_one() {
        let plan = Plan::Steps {
            rates_per_second: vec![10.0, 10.0],
            step: SECOND,
        };
        let schedule = schedule(plan, Duration::ZERO);
        let mut of_next = Vec::new();
        for thread in 0..3 {
            let mut cursor = Cursor::new(thread, 3);
            assert_eq!(cursor.peek(&schedule).unwrap().phase, 1);
            cursor.advance();
            cursor.skip_phase(&schedule);
            of_next.extend(starts(&schedule, cursor));
        }
        of_next.sort_by_key(|due| due.number);
        let numbers: Vec<u64> = of_next.iter().map(|due| due.number).collect();
        assert_eq!(numbers, (10..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_closed_loop_has_phases_and_no_schedule() {
        let schedule = schedule(Plan::Closed { duration: SECOND }, SECOND);
        assert_eq!(Cursor::new(0, 1).peek(&schedule), None);
        assert_eq!(schedule.end_ns(), 2_000_000_000);
        let phases =
            [0, 999_999_999, 1_000_000_000, 5_000_000_000].map(|now| schedule.phase_at(now));
        assert_eq!(phases, [Some(0), Some(0), Some(1), None]);
    }
}
