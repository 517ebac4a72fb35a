//! The outcome of an import, for people and for programs.
//!
//! Must not know how it was done. Invariant: both forms say the same.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use reviewsd_import::{FileReport, FileState, ImportReport, Reasons};
use serde::Serialize;

use crate::cli::ReportFormat;
use crate::store::bulk::Built;

use super::super::figures::{bytes, counted, grouped};
use super::super::out::out;

/// The result of an import.
#[derive(Serialize)]
pub(super) struct ImportOutcome {
    store_id: String,
    store_bytes: u64,
    rows_read: u64,
    bytes_read: u64,
    seconds: f64,
    rows_per_second: f64,
    bytes_per_second: f64,
    /// The file of rejected rows, if there are any.
    rejects: Option<PathBuf>,
    #[serde(flatten)]
    report: ImportReport,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates and megabytes are for reading, not for counting"
)]
impl ImportOutcome {
    /// Describes an import that took so long and made this store.
    pub(super) fn new(report: ImportReport, built: &Built, seconds: f64, rejects: &Path) -> Self {
        let (rows_read, bytes_read) = (report.rows_read(), report.bytes());
        Self {
            store_id: format!("{:032x}", built.store_id),
            store_bytes: built.bytes,
            rows_read,
            bytes_read,
            seconds,
            rows_per_second: rows_read as f64 / seconds,
            bytes_per_second: bytes_read as f64 / seconds,
            rejects: (report.rows_rejected() > 0).then(|| rejects.to_owned()),
            report,
        }
    }

    /// Writes it to standard output.
    pub(super) fn write(&self, format: ReportFormat) -> io::Result<()> {
        let mut out = out();
        match format {
            ReportFormat::Text => writeln!(out, "{self}"),
            ReportFormat::Json => {
                serde_json::to_writer_pretty(&mut out, self)?;
                writeln!(out)
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are shown without decimals, and are never negative"
)]
impl fmt::Display for ImportOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<27} {:>11} {:>11} {:>9} {:>9} {:>9}",
            "file", "rows read", "stored", "repaired", "skipped", "rejected"
        )?;
        for file in &self.report.files {
            line(f, file)?;
        }
        for file in &self.report.files {
            notes(f, file)?;
        }
        if let Some(ids) = &self.report.ids {
            let made = grouped(ids.made);
            writeln!(
                f,
                "{made} ids of products were made; {} keeps them",
                ids.file.display()
            )?;
        }
        if let Some(rejects) = &self.rejects {
            writeln!(f, "the rejected rows are in {}", rejects.display())?;
        }
        write!(
            f,
            "{}, {} in {:.1} s: {} rows/s, {}/s; the store {} has {}",
            counted(self.rows_read, "row"),
            bytes(self.bytes_read),
            self.seconds,
            grouped(self.rows_per_second as u64),
            bytes(self.bytes_per_second as u64),
            self.store_id,
            bytes(self.store_bytes),
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, file: &FileReport) -> fmt::Result {
    let sum = |reasons: &Reasons| grouped(reasons.values().sum());
    match &file.state {
        FileState::Read => writeln!(
            f,
            "{:<27} {:>11} {:>11} {:>9} {:>9} {:>9}",
            file.file,
            grouped(file.rows_read),
            grouped(file.rows_stored),
            sum(&file.rows_repaired),
            sum(&file.rows_skipped),
            sum(&file.rows_rejected),
        ),
        FileState::Missing => writeln!(f, "{:<27} is missing", file.file),
        FileState::Needs(other) => writeln!(
            f,
            "{:<27} is skipped, since {other}, which its rows belong to, is missing",
            file.file
        ),
    }
}

fn notes(f: &mut fmt::Formatter<'_>, file: &FileReport) -> fmt::Result {
    if let Some(mapping) = &file.mapping {
        write!(f, "{}: read by the mapping {mapping}", file.file)?;
        for (kind, rows) in &file.rows_made {
            write!(f, ", {} {kind}", grouped(*rows))?;
        }
        writeln!(f)?;
    }
    for default in &file.defaults {
        writeln!(f, "{}: by default, {default}", file.file)?;
    }
    let kinds = [
        ("repaired", &file.rows_repaired),
        ("skipped", &file.rows_skipped),
        ("rejected", &file.rows_rejected),
    ];
    for (kind, reasons) in kinds {
        for (reason, rows) in reasons {
            let rows = grouped(*rows);
            writeln!(f, "{}: {rows} {kind}: {reason}", file.file)?;
        }
    }
    Ok(())
}
