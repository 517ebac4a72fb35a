//! `reviewsd verify`: the verification of a store, reported as text or JSON.
//!
//! Invariant: it ends with 0 only when the store is sound.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

use crate::cli::{ReportFormat, VerifyArgs};
use crate::store::verify::{self, ASIDE_FILE, Verification};
use crate::store::{self, OpenOptions, Store};

use super::as_owner_of;
use super::bar::Bar;
use super::figures::{counted, grouped};
use super::out::out;
use super::store_target::MEMORY_BYTES;

/// Recounts a store.
pub fn run(args: &VerifyArgs) -> Result<ExitCode, Error> {
    as_owner_of(&args.data)?;
    // A repaired replica no longer equals its primary.
    let open_options = if args.repair {
        OpenOptions::own(MEMORY_BYTES)
    } else {
        OpenOptions::to_look(MEMORY_BYTES)
    };
    let store = Store::open_existing(&args.data, "reviewsd verify", open_options)?;
    let stats = store.stats().ok();
    let rows = stats.iter().flat_map(|stats| &stats.families);
    let bar = Bar::start(
        "verifying",
        rows.map(|family| family.rows).sum(),
        args.quiet,
    );
    let begun = Instant::now();
    let verification = verify::run(&store, args.repair, &|rows| bar.at(rows))?;
    drop(bar);
    let seconds = begun.elapsed().as_secs_f64();
    let out = out();
    match args.report {
        ReportFormat::Text => tell(out, &verification, args, seconds),
        ReportFormat::Json => tell_programs(out, &verification, args, seconds),
    }
    .map_err(Error::Report)?;
    Ok(if verification.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(
    mut out: impl Write,
    verification: &Verification,
    args: &VerifyArgs,
    seconds: f64,
) -> io::Result<()> {
    for difference in &verification.differences {
        writeln!(out, "{difference}")?;
    }
    let listed = verification.differences.len() as u64;
    if verification.total > listed {
        let more = counted(verification.total - listed, "further difference");
        writeln!(out, "and {more}")?;
    }
    if verification.total > 0 {
        writeln!(out)?;
    }
    let rows: u64 = verification.rows.iter().map(|(_, rows)| rows).sum();
    for (family, rows) in &verification.rows {
        if *rows > 0 {
            writeln!(out, "{family:<10} {:>13} rows", grouped(*rows))?;
        }
    }
    let all = grouped(rows);
    writeln!(out, "{:<10} {all:>13} rows in {seconds:.1} s", "in all")?;
    let total = counted(verification.total, "difference");
    if verification.total == 0 {
        return writeln!(out, "the store is sound");
    }
    if !args.repair {
        let dir = args.data.display();
        return writeln!(
            out,
            "{total}; `reviewsd verify --data {dir} --repair` repairs what can be repaired"
        );
    }
    write!(out, "{total}, {} repaired", grouped(verification.mended))?;
    if verification.quarantined > 0 {
        let aside = args.data.join(ASIDE_FILE);
        let number = counted(verification.quarantined, "value");
        write!(out, ", {number} moved to {}", aside.display())?;
    }
    let left = verification.total - verification.mended - verification.quarantined;
    if left == 0 {
        writeln!(out, ": the store is sound")?;
    } else {
        let left = grouped(left);
        writeln!(
            out,
            ", {left} that only a backup or the CSV files can repair"
        )?;
    }
    if verification.mended + verification.quarantined > 0 {
        // A repair is not a commit, so the store is at a position of its own.
        writeln!(
            out,
            "its replicas fetch it again when it is served, and `reviewsd backup --follow` begins with \
             another backup"
        )?;
    }
    Ok(())
}

fn tell_programs(
    mut out: impl Write,
    verification: &Verification,
    args: &VerifyArgs,
    seconds: f64,
) -> io::Result<()> {
    let rows = verification
        .rows
        .iter()
        .map(|(family, rows)| ((*family).to_owned(), json!(rows)));
    let report = json!({
        "sound": verification.is_sound(),
        "repair": args.repair,
        "differences": verification.differences,
        "differences_total": verification.total,
        "mended": verification.mended,
        "set_aside": verification.quarantined,
        "rows": rows.collect::<serde_json::Map<_, _>>(),
        "reviews": verification.counted.reviews,
        "reviews_visible": verification.counted.reviews_visible,
        "seconds": seconds,
    });
    serde_json::to_writer_pretty(&mut out, &report)?;
    writeln!(out)
}

/// The reason a store was not verified.
#[derive(Debug)]
pub enum Error {
    /// The store cannot be read or repaired.
    Store(store::Error),
    /// The report cannot be written.
    Report(io::Error),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Report(source) => write!(f, "the report cannot be written: {source}"),
        }
    }
}

impl std::error::Error for Error {}
