//! `reviewsd restore-reported`: which reported reviews, whether really, and that they are in the lists again.
//!
//! Invariants: nothing is restored without a confirmation, by `--yes` or on a terminal, and which
//! reviews; each batch of them is whole, so what was interrupted is finished by running it again.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::RestoreReportedArgs;
use crate::model::calendar::timestamp;
use crate::store::reported::Reported;

use super::Configured;
use super::confirm::confirmed;
use super::figures::{counted, grouped};
use super::out::out;
use super::store_target;

/// Shows reported reviews in the lists again.
pub fn run(args: &RestoreReportedArgs) -> Result<ExitCode, Error> {
    let place = store_target::open_to_change(&args.place, "reviewsd restore-reported")?;
    let reported = place.reported(&args.which)?;
    describe(&reported).map_err(Error::Io)?;
    if args.dry_run || reported.reviews == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        let what = counted(reported.reviews, "review");
        let question = format!("Show {what} in the lists again?");
        let is_meant = confirmed(&question).map_err(Error::Io)?;
        if !is_meant.ok_or(Error::Unasked)? {
            writeln!(out(), "nothing was changed").map_err(Error::Io)?;
            return Ok(ExitCode::FAILURE);
        }
    }
    let restored = place.restore_reported(&args.which);
    let restored = restored.map_err(Error::Change)?;
    let what = counted(restored, "review");
    writeln!(out(), "{what} shown in the lists again").map_err(Error::Io)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(reported: &Reported) -> io::Result<()> {
    let mut out = out();
    if reported.unreadable > 0 {
        writeln!(
            out,
            "{} cannot be decoded, so whether they were reported is not known; see `reviewsd verify`",
            counted(reported.unreadable, "review")
        )?;
    }
    if reported.reviews == 0 {
        return writeln!(out, "no reported review matches");
    }
    writeln!(
        out,
        "{} of {} would be shown in the lists again",
        counted(reported.reviews, "review"),
        counted(reported.products, "product")
    )?;
    if let (Some(first), Some(last)) = (reported.first_ms, reported.last_ms) {
        let [first, last] = [first, last].map(timestamp);
        writeln!(out, "reported from {first} to {last}")?;
    }
    let at_least = if reported.too_low_by > 0 {
        "at least "
    } else {
        ""
    };
    for one in &reported.reporters {
        let reviews = grouped(one.reviews);
        writeln!(out, "  {}  {at_least}{reviews}", one.reporter)?;
    }
    if reported.unknown > 0 {
        let unknown = grouped(reported.unknown);
        writeln!(out, "  time and reporter unknown  {unknown}")?;
    }
    Ok(())
}

/// The reason reviews are not shown again.
#[derive(Debug)]
pub enum Error {
    /// There is no terminal to ask on.
    Unasked,
    /// The store cannot be opened or asked.
    Place(store_target::Error),
    /// Not all of the changes were made.
    Change(store_target::Error),
    /// The terminal failed.
    Io(io::Error),
}

impl From<store_target::Error> for Error {
    fn from(error: store_target::Error) -> Self {
        Self::Place(error)
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Unasked => true,
            Self::Place(error) | Self::Change(error) => error.is_misconfigured(),
            Self::Io(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked => f.write_str(
                "there is no terminal to ask for confirmation on; add --yes, or --dry-run to count them",
            ),
            Self::Place(error) => error.fmt(f),
            Self::Change(error) => write!(f, "not all reviews were restored: {error}; run the command again"),
            Self::Io(source) => write!(f, "the terminal failed: {source}"),
        }
    }
}

impl std::error::Error for Error {}
