//! The outcome of a merge, for people and for programs.
//!
//! Must not know how it was done. Invariant: both forms say the same.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use reviewsd_import::{File, FileReport, FileState, ImportReport};
use serde::Serialize;

use super::super::super::figures::{counted, grouped};
use super::super::super::out::out;
use crate::cli::ReportFormat;

use super::sender::SentRows;
use super::tally::Tally;

/// The result of a merge.
#[derive(Serialize)]
pub(super) struct MergeOutcome {
    dry_run: bool,
    seconds: f64,
    rows_read: u64,
    /// Rows that were inserted, changed or removed, or would be.
    rows_merged: u64,
    /// The file of rejected rows, if there are any.
    rejects: Option<PathBuf>,
    files: Vec<MergedFile>,
}

/// The outcome of one file.
#[derive(Serialize)]
struct MergedFile {
    #[serde(flatten)]
    report: FileReport,
    #[serde(flatten)]
    tally: Tally,
}

impl MergeOutcome {
    /// Describes the outcome for the rows of the files.
    pub(super) fn new(report: ImportReport, sent: &SentRows, rejects: &Path) -> Self {
        let rejects = (report.rows_rejected() > 0).then(|| rejects.to_owned());
        let rows_read = report.rows_read();
        let files = report.files.into_iter().zip(File::ALL);
        let files: Vec<_> = files
            .map(|(report, file)| MergedFile {
                report,
                tally: sent.tallies.of(file),
            })
            .collect();
        let merged = files.iter().map(|file| file.tally.merged());
        Self {
            dry_run: false,
            seconds: 0.0,
            rows_read,
            rows_merged: merged.sum(),
            rejects,
            files,
        }
    }

    /// The same with how it was run.
    pub(super) fn of_run(self, dry_run: bool, seconds: f64) -> Self {
        Self {
            dry_run,
            seconds,
            ..self
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

impl fmt::Display for MergeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<27} {:>11} {:>9} {:>9} {:>9} {:>11} {:>9}",
            "file", "rows read", "inserted", "changed", "removed", "unchanged", "rejected"
        )?;
        for file in &self.files {
            line(f, file)?;
        }
        for MergedFile { report, .. } in &self.files {
            let kinds = [
                ("repaired", &report.rows_repaired),
                ("skipped", &report.rows_skipped),
                ("rejected", &report.rows_rejected),
            ];
            for (kind, reasons) in kinds {
                for (reason, rows) in reasons {
                    writeln!(f, "{}: {} {kind}: {reason}", report.file, grouped(*rows))?;
                }
            }
        }
        if let Some(rejects) = &self.rejects {
            writeln!(f, "the rejected rows are in {}", rejects.display())?;
        }
        let merged = counted(self.rows_merged, "row");
        let merged = match (self.dry_run, self.rows_merged) {
            (_, 0) => "the store has all of it already".to_owned(),
            (true, _) => format!("{merged} would be inserted, changed or removed; nothing was"),
            (false, _) => format!("{merged} inserted, changed or removed"),
        };
        write!(
            f,
            "{} in {:.1} s: {merged}",
            counted(self.rows_read, "row"),
            self.seconds
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, file: &MergedFile) -> fmt::Result {
    let MergedFile { report, tally } = file;
    if report.state != FileState::Read {
        return writeln!(f, "{:<27} is not given: its rows stay", report.file);
    }
    writeln!(
        f,
        "{:<27} {:>11} {:>9} {:>9} {:>9} {:>11} {:>9}",
        report.file,
        grouped(report.rows_read),
        grouped(tally.inserted),
        grouped(tally.changed),
        grouped(tally.removed),
        grouped(tally.unchanged),
        grouped(report.rows_rejected.values().sum()),
    )
}
