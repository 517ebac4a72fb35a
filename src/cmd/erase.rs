//! `reviewsd erase`: selects reviews, asks for confirmation, erases them, and reports it.
//!
//! Invariants: nothing is erased without a confirmation, by `--yes` or on a terminal; no line of output has the
//! address; it succeeds only when the erased reviews are deleted from the disk.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{EraseArgs, PersonArgs};
use crate::store;
use crate::store::scan::EmailAddress;
use crate::store::verify::ASIDE_FILE;

use super::Configured;
use super::confirm::confirmed;
use super::figures::counted;
use super::import::REJECTS_FILE;
use super::out::out;
use super::store_target;

/// Erases reviews.
pub fn run(args: &EraseArgs) -> Result<ExitCode, Error> {
    let email = args.whose.email.as_deref();
    if email.is_some_and(|email| EmailAddress::new(email).is_none()) {
        return Err(Error::NoAddress);
    }
    let place = store_target::open_to_change(&args.place, "reviewsd erase")?;
    let found = place.erasable(&args.whose)?;
    if found.unreadable > 0 {
        say(&format!(
            "{} cannot be decoded, so their owners are unknown; see `reviewsd verify`",
            counted(found.unreadable, "review")
        ))?;
    }
    if found.reviews.is_empty() {
        // An earlier erasure may have been cut off before the disk was rid of it.
        if !args.dry_run {
            place.erase(&args.whose, &found.reviews)?;
        }
        if let Some(id) = args.whose.review {
            return Err(Error::NoSuchReview(id));
        }
        say("no review has this address")?;
        tell_elsewhere(args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let more = if found.more { " and more" } else { "" };
    let what = format!("{}{more}", counted(found.reviews.len(), "review"));
    if args.dry_run {
        say(&format!("{what} would be erased: {}", ids(&found.reviews)))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        let question = format!("Erase {what} for good ({})?", ids(&found.reviews));
        let is_meant = confirmed(&question).map_err(Error::Io)?;
        if !is_meant.ok_or(Error::Unasked)? {
            say("nothing was erased")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    let erased = place.erase(&args.whose, &found.reviews)?;
    say(&format!(
        "erased {}: {}",
        counted(erased.reviews.len(), "review"),
        ids(&erased.reviews)
    ))?;
    tell_elsewhere(args)?;
    if erased.log_segments_left > 0 {
        say(&format!(
            "{} of the write-ahead log, retained for replicas and backups, may contain them until they \
             are deleted",
            counted(erased.log_segments_left, "segment")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_elsewhere(args: &EraseArgs) -> Result<(), Error> {
    let Some(dir) = &args.place.at.data else {
        return Ok(());
    };
    for file in elsewhere(dir, &args.whose) {
        say(&format!(
            "{} is not part of the store and may contain some of it; check it, or delete it",
            file.display()
        ))?;
    }
    Ok(())
}

/// Returns the files beside the store that may hold the erased data: rows that an import rejected, if they have
/// the address, values that cannot be decoded, and diverged stores.
fn elsewhere(data: &Path, whose: &PersonArgs) -> Vec<PathBuf> {
    let rejects = data.join(REJECTS_FILE);
    let address = whose.email.as_deref().and_then(EmailAddress::new);
    let held = fs::read(&rejects).is_ok_and(|rows| {
        let rows = rows.to_ascii_lowercase();
        let text = address.as_ref().map_or("@", EmailAddress::as_str);
        memchr::memmem::find(&rows, text.as_bytes()).is_some()
    });
    let aside = data.join(ASIDE_FILE);
    let files = [held.then_some(rejects), aside.exists().then_some(aside)];
    let stores = store::kept(data).unwrap_or_default().into_iter();
    let stores = stores.map(|kept| kept.path);
    files.into_iter().flatten().chain(stores).collect()
}

/// The first of the ids, as a text.
fn ids(reviews: &[u64]) -> String {
    const SHOWN_MAX: usize = 20;
    let shown = reviews.iter().take(SHOWN_MAX).map(u64::to_string);
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if reviews.len() > SHOWN_MAX {
        text.push_str(", …");
    }
    text
}

fn say(sentence: &str) -> Result<(), Error> {
    writeln!(out(), "{sentence}").map_err(Error::Io)
}

/// The reason nothing was erased.
#[derive(Debug)]
pub enum Error {
    /// The address is empty.
    NoAddress,
    /// There is no such review.
    NoSuchReview(u64),
    /// There is no terminal to ask on.
    Unasked,
    /// The store cannot be opened or asked.
    Place(store_target::Error),
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
            Self::NoAddress | Self::Unasked => true,
            Self::Place(error) => error.is_misconfigured(),
            Self::NoSuchReview(_) | Self::Io(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("--email must not be empty"),
            Self::NoSuchReview(id) => write!(f, "there is no review {id}"),
            Self::Unasked => f.write_str(
                "there is no terminal to ask for confirmation on; add --yes, or --dry-run to see what \
                 would be erased",
            ),
            Self::Place(error) => error.fmt(f),
            Self::Io(source) => write!(f, "the terminal failed: {source}"),
        }
    }
}

impl std::error::Error for Error {}
