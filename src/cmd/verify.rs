//! `reviewsd verify`: a recount, told to people or programs.
//!
//! Invariant: it ends with 0 only when the store is sound.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

use crate::cli::{ReportFormat, VerifyArgs};
use crate::store::check::{self, ASIDE_FILE, Recount};
use crate::store::{self, Opening, Store};

use super::as_owner_of;
use super::bar::Bar;
use super::figures::{counted, grouped};
use super::out::out;
use super::place::MEMORY_BYTES;

/// Recounts a store.
pub fn run(args: &VerifyArgs) -> Result<ExitCode, Error> {
    as_owner_of(&args.data)?;
    // A copy that is mended is no copy any more.
    let opening = if args.repair {
        Opening::own(MEMORY_BYTES)
    } else {
        Opening::to_look(MEMORY_BYTES)
    };
    let store = Store::open_existing(&args.data, "reviewsd verify", opening)?;
    let stats = store.stats().ok();
    let rows = stats.iter().flat_map(|stats| &stats.families);
    let bar = Bar::start(
        "verifying",
        rows.map(|family| family.rows).sum(),
        args.quiet,
    );
    let begun = Instant::now();
    let recount = check::recount(&store, args.repair, &|rows| bar.at(rows))?;
    drop(bar);
    let seconds = begun.elapsed().as_secs_f64();
    let out = out();
    match args.report {
        ReportFormat::Text => tell(out, &recount, args, seconds),
        ReportFormat::Json => tell_programs(out, &recount, args, seconds),
    }
    .map_err(Error::Report)?;
    Ok(if recount.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(mut out: impl Write, recount: &Recount, args: &VerifyArgs, seconds: f64) -> io::Result<()> {
    for difference in &recount.differences {
        writeln!(out, "{difference}")?;
    }
    let listed = recount.differences.len() as u64;
    if recount.total > listed {
        let more = counted(recount.total - listed, "further difference");
        writeln!(out, "and {more}")?;
    }
    if recount.total > 0 {
        writeln!(out)?;
    }
    let rows: u64 = recount.rows.iter().map(|(_, rows)| rows).sum();
    for (family, rows) in &recount.rows {
        if *rows > 0 {
            writeln!(out, "{family:<10} {:>13} rows", grouped(*rows))?;
        }
    }
    let all = grouped(rows);
    writeln!(out, "{:<10} {all:>13} rows in {seconds:.1} s", "in all")?;
    let total = counted(recount.total, "difference");
    if recount.total == 0 {
        return writeln!(out, "the store is sound");
    }
    if !args.repair {
        let dir = args.data.display();
        return writeln!(
            out,
            "{total}; `reviewsd verify --data {dir} --repair` mends what can be"
        );
    }
    write!(out, "{total}, {} mended", grouped(recount.mended))?;
    if recount.aside > 0 {
        let aside = args.data.join(ASIDE_FILE);
        let number = counted(recount.aside, "value");
        write!(out, ", {number} set aside in {}", aside.display())?;
    }
    let left = recount.total - recount.mended - recount.aside;
    if left == 0 {
        writeln!(out, ": the store is sound")?;
    } else {
        let left = grouped(left);
        writeln!(out, ", {left} that only a backup or the CSV files can mend")?;
    }
    if recount.mended + recount.aside > 0 {
        // What mends is no commit, so the store is where no other has been.
        writeln!(
            out,
            "its replicas fetch it anew when it is served, and `reviewsd backup --follow` begins with \
             another backup"
        )?;
    }
    Ok(())
}

fn tell_programs(
    mut out: impl Write,
    recount: &Recount,
    args: &VerifyArgs,
    seconds: f64,
) -> io::Result<()> {
    let rows = recount
        .rows
        .iter()
        .map(|(family, rows)| ((*family).to_owned(), json!(rows)));
    let report = json!({
        "sound": recount.is_sound(),
        "repair": args.repair,
        "differences": recount.differences,
        "differences_total": recount.total,
        "mended": recount.mended,
        "set_aside": recount.aside,
        "rows": rows.collect::<serde_json::Map<_, _>>(),
        "reviews": recount.counted.reviews,
        "reviews_visible": recount.counted.reviews_visible,
        "seconds": seconds,
    });
    serde_json::to_writer_pretty(&mut out, &report)?;
    writeln!(out)
}

/// Why a store was not recounted.
#[derive(Debug)]
pub enum Error {
    /// It cannot be read, or mended.
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
