//! `reviewsd restore-reported`: which reported reviews, whether really, and that they are in the lists again.
//!
//! Invariants: nothing is shown again before somebody said so, by `--yes` or on a terminal, and which
//! reviews; each batch of them is whole, so what was interrupted is finished by running it again.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{self, RestoreReportedArgs};
use crate::model::calendar::timestamp;
use crate::store::reported::{Reported, ReportedFilter, ReportedTally};
use crate::store::{self, Change, ChangeOutcome, Store};

use super::Configured;
use super::confirm::confirmed;
use super::figures::{counted, grouped};
use super::lone_writer::{self, LoneWriter};
use super::out::out;
use super::remote::{self, Remote};
use super::store_target::{self, StoreTarget};

/// The path of a server that it asks.
const PATH: &str = "/reviews/reported/restore";

/// The answer of a server that shows reviews again.
#[derive(Debug, Deserialize)]
struct RestoreAnswer {
    restored: u64,
    next: Option<String>,
}

/// Shows reported reviews in the lists again.
pub fn run(args: &RestoreReportedArgs) -> Result<ExitCode, Error> {
    let place = StoreTarget::open_to_change(&args.place, "reviewsd restore-reported")?;
    let reported = match &place {
        StoreTarget::Here(store) => count(store, which(store, &args.which))?,
        StoreTarget::There(remote) => {
            remote.post(PATH, &asked(&args.which, &[("dry_run", true.into())]))?
        }
    };
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
    let restored = match &place {
        StoreTarget::Here(store) => restore(store, which(store, &args.which))?,
        StoreTarget::There(remote) => restore_there(remote, &args.which)?,
    };
    let what = counted(restored, "review");
    writeln!(out(), "{what} shown in the lists again").map_err(Error::Io)?;
    Ok(ExitCode::SUCCESS)
}

/// The reviews that the command line means, in a store.
fn which(store: &Store, words: &cli::ReportedArgs) -> ReportedFilter {
    let reporter = words.reporter.as_deref();
    ReportedFilter {
        since_ms: words.since.map(|time| time.0),
        until_ms: words.until.map(|time| time.0),
        reporter: reporter.and_then(|text| store.client_of(text)),
    }
}

/// The same as the body of a request, with more members.
fn asked(words: &cli::ReportedArgs, more: &[(&str, Value)]) -> Value {
    let mut asked = json!({
        "since_ms": words.since.map(|time| time.0),
        "until_ms": words.until.map(|time| time.0),
        "reporter": words.reporter,
        "all": words.all,
    });
    if let Value::Object(members) = &mut asked {
        let more = more.iter().cloned();
        members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    asked
}

/// Counts reported reviews of a store.
fn count(store: &Store, which: ReportedFilter) -> Result<Reported, Error> {
    let (mut tally, mut after) = (ReportedTally::default(), None);
    loop {
        after = store.count_reported(after, which, &mut tally)?;
        if after.is_none() {
            return Ok(tally.finish());
        }
    }
}

/// Shows reported reviews of a store again that no server has open.
fn restore(store: &Store, which: ReportedFilter) -> Result<u64, Error> {
    let writer = LoneWriter::of(store)?;
    let (mut restored, mut after) = (0, None);
    loop {
        let page = store.reported(after, which)?;
        if !page.reviews.is_empty() {
            let change = Change::RestoreReported(page.reviews, which);
            if let ChangeOutcome::Restored(more) = writer.change(change)? {
                restored += more;
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(restored);
        }
    }
}

/// Has a server show reported reviews again: so many at once, and the others are asked for again.
fn restore_there(remote: &Remote, words: &cli::ReportedArgs) -> Result<u64, Error> {
    let (mut restored, mut after) = (0, None);
    loop {
        let part: RestoreAnswer = remote.post(PATH, &asked(words, &[("after", after.into())]))?;
        restored += part.restored;
        after = part.next;
        if after.is_none() {
            return Ok(restored);
        }
    }
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
        return writeln!(out, "no reported review is meant");
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
        writeln!(out, "  when and by whom is unknown  {unknown}")?;
    }
    Ok(())
}

/// Why they are not shown again.
#[derive(Debug)]
pub enum Error {
    /// Nobody is there to be asked.
    Unasked,
    /// The store cannot be asked.
    Place(store_target::Error),
    /// The store cannot be changed.
    Store(store::Error),
    /// The change was not made.
    Change(lone_writer::Error),
    /// The terminal failed.
    Io(io::Error),
}

impl From<store_target::Error> for Error {
    fn from(error: store_target::Error) -> Self {
        Self::Place(error)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<lone_writer::Error> for Error {
    fn from(error: lone_writer::Error) -> Self {
        Self::Change(error)
    }
}

impl From<remote::Error> for Error {
    fn from(error: remote::Error) -> Self {
        Self::Place(error.into())
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Unasked => true,
            Self::Place(error) => error.is_misconfigured(),
            Self::Store(_) | Self::Change(_) | Self::Io(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked => f.write_str(
                "nobody is there to be asked whether to show them again; add --yes, or --dry-run to see \
                 which there are",
            ),
            Self::Place(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Change(error) => write!(f, "not all are shown again: {error}; run it again"),
            Self::Io(source) => write!(f, "cannot talk to the terminal: {source}"),
        }
    }
}

impl std::error::Error for Error {}
