//! `reviewsd promote`: a replica becomes the primary.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::PromoteArgs;
use crate::store;

use super::as_owner_of;
use super::out::out;

/// Only the newest rows are touched.
const MEMORY_BYTES: u64 = 32 << 20;

/// Begins the next epoch, and prints the next steps.
///
/// # Errors
///
/// When there is no store, another process works on it, or it cannot be written.
pub fn run(args: &PromoteArgs) -> Result<ExitCode, store::Error> {
    as_owner_of(&args.data)?;
    let (before, after) = store::promote(&args.data, MEMORY_BYTES, args.accept_loss)?;
    let data = args.data.display();
    // `reviewsd position` shows it again.
    let _ = writeln!(
        out(),
        "The store in {data} was at {before}.\n\
         It is a primary now, at {after}.\n\
         Next: start it with `reviewsd serve` and without --follow, let the other replicas \
         follow it, and start the old primary with --follow when it comes back."
    );
    Ok(ExitCode::SUCCESS)
}
