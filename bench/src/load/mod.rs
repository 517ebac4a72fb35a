//! `load`: requests at a planned rate against any server of the API, and what came of them.
//!
//! Owns the run. It must not know whose server it is: reviewsd, a peer or a bare one.

mod outcome;
mod target;
mod workload;

use std::sync::atomic::AtomicBool;

use crate::error::Error;
pub(crate) use outcome::{
    Checks, Errors, Generator, Kind, Latency, Limit, Measured, Mode, Outcome, Second, Step,
};
pub(crate) use target::Target;
pub(crate) use workload::{Overrides, Workload};

/// Who is told what happens while it runs.
pub(crate) trait Watch {
    /// A second is over.
    fn second(&mut self, second: &Second);
}

/// Loads the server as the workload says, until its plan is over or `stop` is set, and says what
/// was measured until then.
pub(crate) fn run(
    workload: &Workload,
    target: &Target,
    stop: &AtomicBool,
    watch: &mut dyn Watch,
) -> Result<Outcome, Error> {
    let _ = (workload, stop, watch);
    Err(Error::Load(format!("{target}: the engine is not here yet")))
}
