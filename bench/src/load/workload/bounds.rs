//! The bounds of a workload's values, and the sentence for one that is outside of them.

use std::fmt::Display;
use std::time::Duration;

use super::{Ids, Numbers, Plan, What, Workload};

const RATE_MIN: f64 = 0.01;
const RATE_MAX: f64 = 10_000_000.0;
/// Each step has histograms of its own.
const STEPS_MAX: usize = 100;
const STEP_MIN: Duration = Duration::from_millis(100);
const DURATION_MAX: Duration = Duration::from_hours(24);
const WARM_UP_MAX: Duration = Duration::from_hours(1);
const TIMEOUT_MIN: Duration = Duration::from_millis(1);
const TIMEOUT_MAX: Duration = Duration::from_mins(10);
const CONNECTIONS_MAX: usize = 60_000;
const THREADS_MAX: usize = 64;
const REQUESTS_MAX: usize = 64;
const WEIGHT_MAX: u64 = 1_000_000;
const SET_MAX: usize = 1_000_000;
const NUMBERS_MAX: usize = 1_000;
const LEARN_MAX: usize = 100_000;
/// The largest number that can be drawn, and so the largest id, page or count.
const NUMBER_MAX: u64 = (1 << 32) - 1;
const EXPONENT_MAX: f64 = 10.0;

/// Returns the first fault of a workload, by its key.
pub(super) fn check(workload: &Workload) -> Result<(), String> {
    let threads = workload.threads;
    within("connections", workload.connections, 1, CONNECTIONS_MAX)?;
    within("threads", threads, 1, THREADS_MAX)?;
    if threads > workload.connections {
        return Err("threads: each needs a connection of its own at least".to_owned());
    }
    time("timeout", workload.timeout, TIMEOUT_MIN, TIMEOUT_MAX)?;
    time("warm_up", workload.warm_up, Duration::ZERO, WARM_UP_MAX)?;
    plan(&workload.plan)?;
    ids("products", &workload.products)?;
    ids("reviews", &workload.reviews)?;
    within(
        "the number of requests",
        workload.requests.len(),
        1,
        REQUESTS_MAX,
    )?;
    for request in &workload.requests {
        within("request.weight", request.weight, 1, WEIGHT_MAX)?;
        if let Some(status) = request
            .also_right
            .iter()
            .find(|status| !(200..600).contains(*status))
        {
            return Err(format!(
                "request.also_right: {status} is no status of an answer"
            ));
        }
        match &request.what {
            What::List { page, count, .. } | What::Products { page, count } => {
                numbers("request.page", page, 0)?;
                numbers("request.count", count, 1)?;
            }
            What::Post { learn } => within("request.learn", *learn, 0, LEARN_MAX)?,
            _ => {}
        }
    }
    Ok(())
}

fn plan(plan: &Plan) -> Result<(), String> {
    match plan {
        Plan::Steps {
            rates_per_second,
            step,
        } => {
            let steps = rates_per_second.len();
            within("the number of plan.rates", steps, 1, STEPS_MAX)?;
            let whole = u32::try_from(steps)
                .ok()
                .and_then(|steps| step.checked_mul(steps));
            time("plan.step or plan.duration", *step, STEP_MIN, DURATION_MAX)?;
            time(
                "all steps together",
                whole.unwrap_or(Duration::MAX),
                STEP_MIN,
                DURATION_MAX,
            )?;
            let mut rates = rates_per_second.iter();
            rates.try_for_each(|per_second| rate(*per_second))
        }
        Plan::Ramp {
            from_per_second,
            to_per_second,
            duration,
        } => {
            rate(*from_per_second)?;
            rate(*to_per_second)?;
            time("plan.duration", *duration, STEP_MIN, DURATION_MAX)
        }
        Plan::Closed { duration } => time("plan.duration", *duration, STEP_MIN, DURATION_MAX),
    }
}

fn rate(per_second: f64) -> Result<(), String> {
    // Not a number is in no range.
    if (RATE_MIN..=RATE_MAX).contains(&per_second) {
        return Ok(());
    }
    Err(format!(
        "a rate is from {RATE_MIN} to {RATE_MAX} requests a second, not {per_second}"
    ))
}

fn ids(section: &str, ids: &Ids) -> Result<(), String> {
    match ids {
        Ids::Uniform { first, last } | Ids::Zipf { first, last, .. } => {
            within(&format!("{section}.first"), *first, 1, NUMBER_MAX)?;
            within(&format!("{section}.last"), *last, *first, NUMBER_MAX)?;
        }
        Ids::Set(set) => {
            within(
                &format!("the number of ids in {section}.set"),
                set.len(),
                1,
                SET_MAX,
            )?;
            for id in set {
                within(&format!("{section}.set"), *id, 1, NUMBER_MAX)?;
            }
        }
    }
    match ids {
        Ids::Zipf { exponent, .. } if !(0.0..=EXPONENT_MAX).contains(exponent) => Err(format!(
            "{section}.zipf is an exponent from 0 to {EXPONENT_MAX}, not {exponent}"
        )),
        _ => Ok(()),
    }
}

fn numbers(key: &str, numbers: &Numbers, min: u64) -> Result<(), String> {
    match numbers {
        Numbers::Default => Ok(()),
        Numbers::OneOf(list) => {
            within(
                &format!("the number of values of {key}"),
                list.len(),
                1,
                NUMBERS_MAX,
            )?;
            let mut list = list.iter();
            list.try_for_each(|number| within(key, *number, min, NUMBER_MAX))
        }
        Numbers::Range { first, last } => {
            within(&format!("{key}.first"), *first, min, NUMBER_MAX)?;
            within(&format!("{key}.last"), *last, *first, NUMBER_MAX)
        }
    }
}

fn within<N: PartialOrd + Display + Copy>(
    key: &str,
    number: N,
    min: N,
    max: N,
) -> Result<(), String> {
    if number < min || number > max {
        return Err(format!("{key} is from {min} to {max}, not {number}"));
    }
    Ok(())
}

fn time(key: &str, time: Duration, min: Duration, max: Duration) -> Result<(), String> {
    if time < min || time > max {
        return Err(format!("{key} is from {min:?} to {max:?}, not {time:?}"));
    }
    Ok(())
}
