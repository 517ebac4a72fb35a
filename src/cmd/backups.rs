//! `reviewsd backups`: the list of backups, as a table or as JSON.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::backup::{self, BackupTarget, ListedSnapshot, Listing};
use crate::cli::BackupsArgs;

use super::backup::{Error, configured, runtime, say, target_of};
use super::figures::{bytes, counted};

/// Lists the backups.
pub fn run(args: &BackupsArgs) -> Result<ExitCode, Error> {
    let config = configured(&args.settings)?;
    let target = BackupTarget::to_read(&target_of(args.target.as_ref(), &config, "--in")?)?;
    if args.check {
        return check(&target);
    }
    let listing = runtime()?.block_on(backup::list(&target))?;
    let text = if args.json {
        // Plain values always have a text.
        serde_json::to_string_pretty(&listing).unwrap_or_default()
    } else {
        table(&listing, target.shown())
    };
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads everything back.
fn check(target: &BackupTarget) -> Result<ExitCode, Error> {
    let tell = |fault: &backup::Error| {
        // The exit code says that there was one.
        let _ = writeln!(io::stderr(), "{fault}");
    };
    let checked = runtime()?.block_on(backup::check(target, tell))?;
    if checked.faults > 0 {
        return Err(Error::Faults(checked.faults));
    }
    say(&format!(
        "{} in {} and {} of the log, {}, are complete and intact",
        counted(checked.backups, "backup"),
        counted(checked.files, "file"),
        counted(checked.segments, "segment"),
        bytes(checked.bytes),
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn table(listing: &Listing, target: &str) -> String {
    if listing.backups.is_empty() {
        return format!("there is no backup in {target}");
    }
    let mut text = format!(
        "{:<29} {:<32} {:<24} {:>14} {:>8} {:>8}  {}",
        "id", "store", "taken", "at", "size", "new", "reaches"
    );
    for entry in &listing.backups {
        text.push('\n');
        text.push_str(&row(entry));
    }
    text
}

fn row(entry: &ListedSnapshot) -> String {
    let id = &entry.id;
    if let Some(why) = &entry.unusable {
        return format!("{id:<29} cannot be used: {why}");
    }
    let place = |point: &Option<backup::ListedPosition>| {
        let place = point.as_ref().map(|at| format!("{}.{}", at.epoch, at.seq));
        place.unwrap_or_default()
    };
    let mut row = format!(
        "{id:<29} {:<32} {:<24} {:>14} {:>8} {:>8}",
        entry.store.as_deref().unwrap_or_default(),
        entry.taken.as_deref().unwrap_or_default(),
        place(&entry.at),
        bytes(entry.bytes),
        bytes(entry.new_bytes),
    );
    let time = entry.reaches_time.as_deref().unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(row, "  {} of {time}", place(&entry.reaches));
    row
}
