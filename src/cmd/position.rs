//! `reviewsd position`: the log position of a store, and the primary that it follows.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::PositionArgs;
use crate::store::{self, Content, OpenOptions, Store, contents};

use super::as_owner_of;
use super::out::out;

/// Rows are read once, in order.
const MEMORY_BYTES: u64 = 32 << 20;

/// Prints it, a line for each fact.
///
/// # Errors
///
/// When there is no store, another process works on it, or it cannot be read.
pub fn run(args: &PositionArgs) -> Result<ExitCode, store::Error> {
    as_owner_of(&args.data)?;
    let open_options = OpenOptions::to_look(MEMORY_BYTES);
    let store = Store::open_existing(&args.data, "reviewsd position", open_options)?;
    let at = *store.feed().applied().borrow();
    let follows = store.follows()?;
    let mut text = format!(
        "store     {:032x}\nepoch     {}\nseq       {}\nchain     {:016x}\nfollows   {}\n",
        store.identity().store_id,
        at.epoch,
        at.seq,
        at.chain,
        follows.as_deref().unwrap_or("nobody"),
    );
    if args.contents {
        for family in contents(&store)? {
            let Content { family, rows, hash } = family;
            let line = format!("{family:<9} {hash:032x} {rows:>12} rows\n");
            text.push_str(&line);
        }
    }
    let printed = out().write_all(text.as_bytes());
    printed.map_err(|source| store::Error::Io {
        doing: "print the position".to_owned(),
        source,
    })?;
    Ok(ExitCode::SUCCESS)
}
