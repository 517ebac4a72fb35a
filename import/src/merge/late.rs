//! Rows that are rejected after all, because they do not fit the store: found in their files once more.
//!
//! Must not know the reasons. Invariant: the lines that are rejected are those that were let through, in the
//! order of the file; a line is counted once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use roaring::RoaringTreemap;

use super::MergeFiles;
use crate::chunk::Chunks;
use crate::error::Error;
use crate::files::File;
use crate::read::{Lines, lock, read_header, sentence};
use crate::rejects::Reject;
use crate::report::FileReport;

/// Rows of a file that do not fit the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateReject {
    /// The file.
    pub file: File,
    /// The rows.
    pub rows: RejectedRows,
    /// The column at fault.
    pub field: &'static str,
    /// The fault.
    pub reason: &'static str,
}

/// The rows that a [`LateReject`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RejectedRows {
    /// The one with this id.
    WithId(u64),
    /// Those that belong to the row of another file with this id.
    Of(u64),
}

/// Field and reason of the rows of one file that are rejected.
type Faults = BTreeMap<RejectedRows, (&'static str, &'static str)>;

/// Rejects rows, file by file.
pub(super) fn reject(files: &mut MergeFiles<'_>, late: &[LateReject]) -> Result<(), Error> {
    for file in File::ALL {
        let of_it = late.iter().filter(|one| one.file == file);
        let faults: Faults = of_it
            .map(|one| (one.rows, (one.field, one.reason)))
            .collect();
        if !faults.is_empty() {
            reject_of(files, file, &faults)?;
        }
    }
    Ok(())
}

fn reject_of(files: &mut MergeFiles<'_>, file: File, faults: &Faults) -> Result<(), Error> {
    const MISSING: Error = Error::Logic("a file that was read is not there");
    let at = files.found.iter().position(|(of, _)| *of == file);
    let path = files.path(file).map(Path::to_owned).ok_or(MISSING)?;
    let report = at.and_then(|at| files.all.report.files.get_mut(at));
    let report: &mut FileReport = report.ok_or(MISSING)?;
    let opened = fs::File::open(&path).map_err(Error::read(&path))?;
    let mut chunks = Chunks::new(opened);
    let lines = Lines {
        file,
        columns: read_header(file, &path, &mut chunks)?,
        parents: &files.parents,
        exported: files.options.exported,
    };
    let (mut ids, mut packed) = (RoaringTreemap::new(), Vec::new());
    while let Some(chunk) = chunks.next().map_err(Error::read(&path))? {
        if chunk.cut {
            continue;
        }
        for (line, start, row) in chunk.lines() {
            packed.clear();
            let offset = chunk.offset + start as u64;
            let clean = lines.clean(row, offset, &mut packed);
            let Some((clean, _)) = clean.ok().filter(|(clean, _)| ids.insert(clean.id)) else {
                continue;
            };
            let by_id = faults.get(&RejectedRows::WithId(clean.id));
            let fault = by_id.or_else(|| faults.get(&RejectedRows::Of(clean.key[0])));
            if let Some((field, reason)) = fault.copied() {
                report.reject_stored(&sentence(field, reason));
                let file = &report.file;
                lock(&files.rejects).add(&Reject {
                    file,
                    line,
                    field,
                    reason,
                    row,
                })?;
            }
        }
    }
    Ok(())
}
