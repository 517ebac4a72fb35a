//! What to send, how fast and for how long: a workload, as its file says and its caller may change.
//!
//! Owns the bounds of every value: a [`Workload`] that exists is valid. It must not know how
//! requests are sent.

use std::time::Duration;

/// What to send, how fast and for how long.
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
    /// How long a request may take once it is sent, and how long it may wait for a connection.
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

/// How ids are drawn.
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

/// What is asked for.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// What a command line or a scenario says instead of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Overrides {
    /// One constant rate instead of the file's plan.
    pub(crate) rate_per_second: Option<f64>,
    /// These rates in turn instead of the file's plan.
    pub(crate) steps_per_second: Option<Vec<f64>>,
    /// A closed loop instead of the file's plan.
    pub(crate) closed: bool,
    /// Of each step, or of the whole ramp.
    pub(crate) duration: Option<Duration>,
    pub(crate) warm_up: Option<Duration>,
    pub(crate) connections: Option<usize>,
    pub(crate) threads: Option<usize>,
    pub(crate) cpus: Option<Vec<usize>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) seed: Option<u64>,
    pub(crate) check_one_in: Option<u64>,
    /// The last id, where ids are a range.
    pub(crate) last_product: Option<u64>,
    pub(crate) last_review: Option<u64>,
}
