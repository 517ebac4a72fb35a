//! What an import came to, for people and for programs.
//!
//! Must not know how it was done. Invariant: both forms say the same.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use reviewsd_import::{FileReport, Reasons, Report, State};
use serde::Serialize;

use crate::cli::ReportFormat;
use crate::store::bulk::Built;

const MEGABYTE: f64 = 1e6;

/// What an import came to.
#[derive(Serialize)]
pub(super) struct Outcome {
    store_id: String,
    store_bytes: u64,
    rows_read: u64,
    bytes_read: u64,
    seconds: f64,
    rows_per_second: f64,
    bytes_per_second: f64,
    /// Where the rejected rows are, if there are any.
    rejects: Option<PathBuf>,
    #[serde(flatten)]
    report: Report,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates and megabytes are for reading, not for counting"
)]
impl Outcome {
    /// Of an import that took so long and made this store.
    pub(super) fn new(report: Report, built: &Built, seconds: f64, rejects: &Path) -> Self {
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
        let mut out = io::stdout().lock();
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
    clippy::cast_precision_loss,
    reason = "rates and megabytes are shown with at most two decimals"
)]
impl fmt::Display for Outcome {
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
        if let Some(rejects) = &self.rejects {
            writeln!(f, "the rejected rows are in {}", rejects.display())?;
        }
        write!(
            f,
            "{} rows, {:.1} MB in {:.1} s: {:.0} rows/s, {:.1} MB/s; the store {} has {:.1} MB",
            self.rows_read,
            self.bytes_read as f64 / MEGABYTE,
            self.seconds,
            self.rows_per_second,
            self.bytes_per_second / MEGABYTE,
            self.store_id,
            self.store_bytes as f64 / MEGABYTE,
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, file: &FileReport) -> fmt::Result {
    let sum = |reasons: &Reasons| reasons.values().sum::<u64>();
    match &file.state {
        State::Read => writeln!(
            f,
            "{:<27} {:>11} {:>11} {:>9} {:>9} {:>9}",
            file.file,
            file.rows_read,
            file.rows_stored,
            sum(&file.rows_repaired),
            sum(&file.rows_skipped),
            sum(&file.rows_rejected),
        ),
        State::Missing => writeln!(f, "{:<27} is missing", file.file),
        State::Needs(other) => writeln!(
            f,
            "{:<27} is passed over, since {other}, which its rows belong to, is missing",
            file.file
        ),
    }
}

fn notes(f: &mut fmt::Formatter<'_>, file: &FileReport) -> fmt::Result {
    let kinds = [
        ("repaired", &file.rows_repaired),
        ("skipped", &file.rows_skipped),
        ("rejected", &file.rows_rejected),
    ];
    for (kind, reasons) in kinds {
        for (reason, rows) in reasons {
            writeln!(f, "{}: {rows} {kind}: {reason}", file.file)?;
        }
    }
    Ok(())
}
