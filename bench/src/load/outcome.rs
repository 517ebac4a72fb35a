//! What a run measured: the types that are printed, plotted and written as JSON.
//!
//! Owns the meaning of every figure and must not know how it was measured. Times are in
//! microseconds, and say so in their names; a figure that does not exist in a mode is absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything one run measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The workload's name: that of its file, without `.toml`.
    pub(crate) workload: String,
    /// The server's URL.
    pub(crate) target: String,
    pub(crate) mode: Mode,
    /// When the measurement began.
    pub(crate) started_unix_seconds: u64,
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    /// True if it was ended before its plan was.
    pub(crate) interrupted: bool,
    /// All steps together.
    pub(crate) total: Measured,
    /// The steps of the plan, in order; one where the plan has only one.
    pub(crate) steps: Vec<Step>,
    /// The same requests by what they ask for, in the workload's order.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) checks: Checks,
    pub(crate) generator: Generator,
    /// The events of each second of the measurement.
    pub(crate) seconds: Vec<Second>,
    /// The remarks for a reader of the figures, each a sentence; empty when all is as planned.
    pub(crate) remarks: Vec<String>,
}

/// The event that starts the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// The time: requests start on a schedule, whether or not answers have come.
    Open,
    /// The answer before it, on each connection: the highest throughput.
    Closed,
}

/// A stretch of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Such as `5000/s`, `100/s to 5000/s` or `closed`.
    pub(crate) label: String,
    pub(crate) measured: Measured,
}

/// Requests of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kind {
    /// Such as `list sort=newest`.
    pub(crate) label: String,
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    pub(crate) latency: Latency,
}

/// The outcomes of the requests of a stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// Requests the schedule had; absent in a closed loop.
    pub(crate) planned: Option<u64>,
    pub(crate) planned_per_second: Option<f64>,
    pub(crate) sent: u64,
    /// Requests that the schedule had and that were never sent, for want of a free connection.
    pub(crate) not_sent: u64,
    /// Answers of the right status that no check found wrong.
    pub(crate) ok: u64,
    pub(crate) errors: Errors,
    /// Right answers that came within these seconds, over these seconds.
    pub(crate) achieved_per_second: f64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    /// From a request's intended start to the end of its answer. A request that timed out counts
    /// with the time it was given.
    pub(crate) latency: Latency,
    /// From when it was written to the end of its answer.
    pub(crate) service: Latency,
    /// From when it could have been written, being due and a connection free, to when it was:
    /// what the generator itself added.
    pub(crate) lateness: Latency,
    /// True if the planned rate was kept; absent in a closed loop.
    pub(crate) held: Option<bool>,
    /// The limit of its rate.
    pub(crate) limit: Limit,
}

/// The limit of a throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// The plan: the rate was held.
    Plan,
    /// The server, which answered no faster on the connections there were.
    Server,
    /// This program, so that the figures say little about the server.
    Generator,
}

/// Requests that were sent, or could not be, and got no right answer, by what they got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errors {
    /// Another status than the request's right one.
    pub(crate) status: u64,
    /// No whole answer in time.
    pub(crate) timeout: u64,
    /// No connection could be made.
    pub(crate) refused: u64,
    /// The connection was closed or reset before the answer was whole.
    pub(crate) closed: u64,
    /// Not HTTP, or not of the length that was announced.
    pub(crate) malformed: u64,
    /// Found wrong by a check of the body.
    pub(crate) wrong_body: u64,
    /// Answers of unexpected status, by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// The first error of each kind, by the kind's name.
    pub(crate) examples: BTreeMap<String, String>,
}

/// Connections that were opened anew, and bodies that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checks {
    /// Bodies looked at in full.
    pub(crate) bodies: u64,
    /// The number of wrong ones.
    pub(crate) wrong: u64,
    /// Bodies meant to be looked at, and passed over because too many were waiting.
    pub(crate) skipped: u64,
}

/// The generator's own effort.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Generator {
    /// CPU time of the threads that send, while it was measured.
    pub(crate) cpu_seconds: f64,
    /// The same, over the time and the number of threads: 1 is a thread that never rested.
    pub(crate) cpu_share: f64,
    pub(crate) cpu_us_per_request: f64,
    /// Connections opened after the first ones.
    pub(crate) reconnects: u64,
}

/// A distribution of times over many requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) min_us: f64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p75_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p95_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) p9999_us: f64,
    pub(crate) max_us: f64,
    /// All of it, in nanoseconds: an `HdrHistogram`, version 2, compressed, in base64, as its other
    /// tools read it. Empty when nothing was counted.
    pub(crate) histogram: String,
}

/// One second of a run, warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "one field is the second, and another is of each second"
)]
pub(crate) struct Second {
    /// Counted from the start of the measurement; negative while it warms up.
    pub(crate) second: i64,
    pub(crate) planned_per_second: Option<f64>,
    pub(crate) ok: u64,
    pub(crate) errors: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Errors {
    /// All of them.
    pub(crate) fn sum(&self) -> u64 {
        self.status + self.timeout + self.refused + self.closed + self.malformed + self.wrong_body
    }
}
