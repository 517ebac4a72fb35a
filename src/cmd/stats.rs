//! `reviewsd stats`: how large a store is, as a table or as JSON.
//!
//! Must not know how it is measured. Invariant: both forms say the same.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::StatsArgs;
use crate::model::calendar::timestamp;
use crate::store::Stats;

use super::Configured;
use super::figures::{bytes, grouped};
use super::out::out;
use super::store_target;

/// Shows how large a store is.
pub fn run(args: &StatsArgs) -> Result<ExitCode, Error> {
    let stats = store_target::open(&args.place, "reviewsd stats")?.stats()?;
    let mut out = out();
    let written = if args.json {
        serde_json::to_writer_pretty(&mut out, &stats)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        table(&mut out, &stats)
    };
    written.map_err(Error::Write)?;
    Ok(ExitCode::SUCCESS)
}

fn table(out: &mut impl Write, stats: &Stats) -> io::Result<()> {
    let made = timestamp(stats.made_ms);
    let made = made.get(..19).unwrap_or_default().replace('T', " ");
    writeln!(out, "store      {}", stats.store_id)?;
    writeln!(out, "format     {}", stats.format)?;
    writeln!(out, "made       {made} UTC")?;
    writeln!(
        out,
        "reviews    {} in lists, {} reported",
        grouped(stats.reviews_visible),
        grouped(stats.reviews_reported)
    )?;
    let (pending, removed) = (stats.reviews_pending, stats.reviews_removed);
    if pending > 0 || removed > 0 {
        let (pending, removed) = (grouped(pending), grouped(removed));
        writeln!(out, "           {pending} pending, {removed} removed")?;
    }
    writeln!(
        out,
        "next ids   review {}, photo {}",
        grouped(stats.next_review_id),
        grouped(stats.next_photo_id)
    )?;
    writeln!(out)?;
    let rule = "─".repeat(66);
    writeln!(
        out,
        "{:<10} {:>14} {:>11} {:>8} {:>7} {:>11}",
        "family", "rows", "on disk", "a row", "files", "in memory"
    )?;
    writeln!(out, "{rule}")?;
    for family in &stats.families {
        let about = if family.exact { "" } else { "~" };
        let each = family.bytes.checked_div(family.rows);
        writeln!(
            out,
            "{:<10} {:>14} {:>11} {:>8} {:>7} {:>11}",
            family.family,
            format!("{about}{}", grouped(family.rows)),
            bytes(family.bytes),
            each.filter(|_| family.bytes > 0)
                .map_or("–".to_owned(), bytes),
            grouped(family.files),
            bytes(family.memory_bytes),
        )?;
    }
    writeln!(out, "{rule}")?;
    let sum = |of: fn(&crate::store::FamilyStats) -> u64| stats.families.iter().map(of).sum();
    writeln!(
        out,
        "{:<10} {:>14} {:>11} {:>8} {:>7} {:>11}",
        "in all",
        grouped(sum(|family| family.rows)),
        bytes(sum(|family| family.bytes)),
        "",
        grouped(sum(|family| family.files)),
        bytes(sum(|family| family.memory_bytes)),
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "log {} · block cache {} · free space {}",
        bytes(stats.log_bytes),
        bytes(stats.cache_bytes),
        bytes(stats.free_bytes),
    )?;
    for kept in &stats.kept {
        let (path, size) = (&kept.path, bytes(kept.bytes));
        writeln!(
            out,
            "diverged store {path}, {size}: delete it once you need nothing of it: rm -r {path}"
        )?;
    }
    Ok(())
}

/// The reason nothing is shown.
#[derive(Debug)]
pub enum Error {
    /// The store cannot be opened or asked.
    Place(store_target::Error),
    /// Standard output cannot be written.
    Write(io::Error),
}

impl From<store_target::Error> for Error {
    fn from(error: store_target::Error) -> Self {
        Self::Place(error)
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Place(error) => error.is_misconfigured(),
            Self::Write(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(error) => error.fmt(f),
            Self::Write(source) => write!(f, "cannot write to standard output: {source}"),
        }
    }
}

impl std::error::Error for Error {}
