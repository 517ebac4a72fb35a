//! `reviewsd follow`: a replica takes another store than its own.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::FollowArgs;
use crate::store;

use super::as_owner_of;
use super::out::out;

/// Leaves the request for the replica, which may be running.
///
/// # Errors
///
/// When there is no store, or the request cannot be written.
pub fn run(args: &FollowArgs) -> Result<ExitCode, store::Error> {
    as_owner_of(&args.data)?;
    store::accept(&args.data, args.accept_store)?;
    // The request is written, whether this line can be or not.
    let _ = writeln!(
        out(),
        "The replica in {} will fetch the store {:032x} as soon as its primary has it, and move its own \
         to diverged-….",
        args.data.display(),
        args.accept_store,
    );
    Ok(ExitCode::SUCCESS)
}
