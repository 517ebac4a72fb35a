//! What to send, how fast and for how long: a workload, as its file says and its caller may change.
//!
//! Owns the bounds of every value: a [`Workload`] that exists is valid. It must not know how
//! requests are sent.

mod bounds;
mod file;
mod shipped;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;
pub(crate) use shipped::names;

/// A workload: the requests, their rate and their time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Workload {
    pub(crate) name: String,
    /// One sentence for whoever chooses a workload.
    pub(crate) about: String,
    /// The same seed gives the same requests in the same order.
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    /// The processors that the run's threads keep to; any, where there are none here.
    pub(crate) cpus: Vec<usize>,
    /// The time for a request once it is sent, and the same again for its wait for a connection.
    pub(crate) timeout: Duration,
    /// At the plan's first rate, and not measured.
    pub(crate) warm_up: Duration,
    /// One answer of so many is checked in full; none, where this is 0.
    pub(crate) check_one_in: u64,
    pub(crate) plan: Plan,
    /// Products asked for, and those reviewed.
    pub(crate) products: Ids,
    /// Reviews voted for and reported.
    pub(crate) reviews: Ids,
    pub(crate) requests: Vec<Request>,
}

/// When requests start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plan {
    /// At each of these rates for `step` in turn; a constant rate is one step.
    Steps {
        rates_per_second: Vec<f64>,
        step: Duration,
    },
    /// At a rate that changes evenly.
    Ramp {
        from_per_second: f64,
        to_per_second: f64,
        duration: Duration,
    },
    /// When the answer before has come, on each connection.
    Closed { duration: Duration },
}

/// The distribution of ids.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ids {
    /// Each of a range as likely.
    Uniform { first: u64, last: u64 },
    /// The n-th most popular 1/n^exponent as likely as the most popular; who is popular is
    /// scattered over the range.
    Zipf {
        first: u64,
        last: u64,
        exponent: f64,
    },
    /// Each of these as likely.
    Set(Vec<u64>),
}

/// One kind of request, and how often it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) weight: u64,
    pub(crate) what: What,
    /// In the older spelling of its path.
    pub(crate) old: bool,
    /// A status that is right beside the one of success, such as 404 where ids have gaps.
    pub(crate) also_right: Vec<u16>,
}

/// The requests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    List {
        /// `None` is the server's own order.
        sort: Option<Sort>,
        page: Numbers,
        count: Numbers,
    },
    Meta,
    Styles,
    Product,
    Related,
    Products {
        page: Numbers,
        count: Numbers,
    },
    Post {
        /// So many products are drawn before the run and their characteristics learned; only
        /// these are reviewed, with a value for each characteristic. 0 reviews every product,
        /// without characteristics.
        learn: usize,
    },
    Helpful,
    Report,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sort {
    Newest,
    Helpful,
    Relevant,
}

/// A parameter's values, each as likely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Not sent, so that the server's default counts.
    Default,
    OneOf(Vec<u64>),
    Range {
        first: u64,
        last: u64,
    },
}

/// The values of a command line or a scenario that count instead of the file's.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Overrides {
    /// One constant rate instead of the file's plan.
    pub(crate) rate_per_second: Option<f64>,
    /// These rates in turn instead of the file's plan.
    pub(crate) steps_per_second: Option<Vec<f64>>,
    /// A closed loop instead of the file's plan.
    pub(crate) closed: bool,
    /// The time of each step, or of the whole ramp.
    pub(crate) duration: Option<Duration>,
    pub(crate) warm_up: Option<Duration>,
    pub(crate) connections: Option<usize>,
    pub(crate) threads: Option<usize>,
    pub(crate) cpus: Option<Vec<usize>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) seed: Option<u64>,
    pub(crate) check_one_in: Option<u64>,
    /// The last id there is.
    pub(crate) last_product: Option<u64>,
    pub(crate) last_review: Option<u64>,
}

impl Workload {
    /// The workload of a file, where `name` is a path, or the one that is shipped by that name.
    pub(crate) fn find(name: &str) -> Result<Self, Error> {
        let path = Path::new(name);
        if name.contains('/')
            || path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
            let stem = path.file_stem().unwrap_or_default();
            return Self::parse(&stem.to_string_lossy(), name, &text);
        }
        let text = shipped::text(name).ok_or_else(|| Error::Workload {
            place: name.to_owned(),
            what: format!(
                "there is no such workload; there are {}, or give a path",
                names().collect::<Vec<_>>().join(", ")
            ),
        })?;
        Self::parse(name, &format!("{name}.toml"), text)
    }

    /// The workload that the text of `file` describes.
    pub(crate) fn parse(name: &str, file: &str, text: &str) -> Result<Self, Error> {
        file::parse(name, file, text)?.checked(file)
    }

    /// The same workload but for what `overrides` says.
    pub(crate) fn with(mut self, overrides: &Overrides) -> Result<Self, Error> {
        let Overrides {
            rate_per_second,
            steps_per_second,
            closed,
            duration,
            warm_up,
            connections,
            threads,
            cpus,
            timeout,
            seed,
            check_one_in,
            last_product,
            last_review,
        } = overrides;
        if *closed {
            self.plan = Plan::Closed {
                duration: self.plan.duration(),
            };
        } else if let Some(rates_per_second) = steps_per_second {
            self.plan = Plan::Steps {
                rates_per_second: rates_per_second.clone(),
                step: self.plan.duration(),
            };
        } else if let Some(rate_per_second) = rate_per_second {
            self.plan = Plan::Steps {
                rates_per_second: vec![*rate_per_second],
                step: self.plan.duration(),
            };
        }
        replace(self.plan.duration_mut(), duration.as_ref());
        replace(&mut self.warm_up, warm_up.as_ref());
        replace(&mut self.connections, connections.as_ref());
        replace(&mut self.threads, threads.as_ref());
        replace(&mut self.cpus, cpus.as_ref());
        replace(&mut self.timeout, timeout.as_ref());
        replace(&mut self.seed, seed.as_ref());
        replace(&mut self.check_one_in, check_one_in.as_ref());
        self.products.end_at(*last_product);
        self.reviews.end_at(*last_review);
        let place = format!("the workload {}", self.name);
        self.checked(&place)
    }

    fn checked(self, place: &str) -> Result<Self, Error> {
        match bounds::check(&self) {
            Ok(()) => Ok(self),
            Err(what) => Err(Error::Workload {
                place: place.to_owned(),
                what,
            }),
        }
    }
}

impl Plan {
    /// Returns the time of one step, or of the whole where there are no steps.
    pub(crate) fn duration(&self) -> Duration {
        match self {
            Self::Steps { step, .. } => *step,
            Self::Ramp { duration, .. } | Self::Closed { duration } => *duration,
        }
    }

    fn duration_mut(&mut self) -> &mut Duration {
        match self {
            Self::Steps { step, .. } => step,
            Self::Ramp { duration, .. } | Self::Closed { duration } => duration,
        }
    }
}

impl Ids {
    /// Makes the ids end here.
    fn end_at(&mut self, id: Option<u64>) {
        match self {
            Self::Uniform { last, .. } | Self::Zipf { last, .. } => replace(last, id.as_ref()),
            Self::Set(set) => set.retain(|known| id.is_none_or(|id| *known <= id)),
        }
    }
}

fn replace<T: Clone>(value: &mut T, by: Option<&T>) {
    if let Some(by) = by {
        value.clone_from(by);
    }
}
