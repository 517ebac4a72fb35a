//! `reviewsd restore`: a store out of a backup, and that it is sound.
//!
//! Invariant: it ends with 0 only when the store is there, durable and, unless verification was turned off,
//! verified and sound.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use crate::backup::{self, BackupTarget, Until, Wanted};
use crate::cli::{Moment, RestoreArgs};
use crate::model::calendar::timestamp;
use crate::store::verify;
use crate::store::{self, Store};

use super::backup::{configured, runtime, say, target_of};
use super::bar::Bar;
use super::figures::{bytes, counted};
use super::{Configured, as_owner_of};

/// The most issues of a store that are reported.
const TOLD_MAX: usize = 10;

/// Restores.
pub fn run(args: &RestoreArgs) -> Result<ExitCode, Error> {
    let begun = Instant::now();
    let config = configured(&args.settings)?;
    as_owner_of(&args.data)?;
    let target = BackupTarget::to_read(&target_of(args.from.as_ref(), &config, "--from")?)?;
    let wanted = Wanted {
        snapshot: args.backup.as_deref(),
        store: args.store.map(|id| id.0),
        until: match args.at {
            None => Until::End,
            Some(Moment::Seq(seq)) => Until::Seq(seq),
            Some(Moment::Time(ms)) => Until::Time(ms),
        },
    };
    let mut bar = None;
    let tell = |done, all| {
        bar.get_or_insert_with(|| Bar::bytes("fetching", all, args.quiet))
            .at(done);
    };
    let restored = runtime()?.block_on(backup::restore(&target, wanted, &args.data, tell))?;
    drop(bar);
    let is_sound = args.quick || is_verified(&restored.store, args.quiet)?;
    let data = args.data.display();
    let report = format!(
        "{} in {} of backup {} and {}, up to {} of {}, were restored to {data} in {:.1} s",
        bytes(restored.bytes),
        counted(restored.files, "file"),
        restored.id,
        counted(restored.commits, "later commit"),
        restored.position,
        timestamp(restored.time_ms),
        begun.elapsed().as_secs_f64(),
    );
    let (beyond, others) = (restored.beyond, restored.other_stores);
    let store_id = restored.store_id;
    restored.publish()?;
    say(&report)?;
    if others > 0 {
        say(&format!(
            "it is store {store_id:032x}; there are backups of {} besides (--store ID)",
            counted(others, "other store")
        ))?;
    }
    if beyond > 0 {
        say(&format!(
            "{} of the log cannot be reached: commits before them are missing",
            counted(beyond, "later segment")
        ))?;
    }
    if is_sound {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Error::Unsound)
}

/// Recounts the store, as `reviewsd verify` does; whether it is sound.
fn is_verified(store: &Store, quiet: bool) -> Result<bool, Error> {
    let stats = store.stats().ok();
    let rows = stats.iter().flat_map(|stats| &stats.families);
    let bar = Bar::start("verifying", rows.map(|family| family.rows).sum(), quiet);
    let verification = verify::run(store, false, &|rows| bar.at(rows))?;
    drop(bar);
    for difference in verification.differences.iter().take(TOLD_MAX) {
        // A difference that cannot be printed here is reported by `reviewsd verify` again.
        let _ = writeln!(io::stderr(), "{difference}");
    }
    Ok(verification.is_sound())
}

/// The reason the store was not restored, or not soundly.
#[derive(Debug)]
pub enum Error {
    /// There is no store.
    Failed(super::backup::Error),
    /// There is one, and the one that was backed up was not sound.
    Unsound,
}

impl<E: Into<super::backup::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<store::Error> for super::backup::Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_misconfigured())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Unsound => f.write_str(
                "the store is restored as it was backed up, and was not sound then; `reviewsd verify \
                 --repair` repairs it as far as possible",
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::Unsound => None,
        }
    }
}
