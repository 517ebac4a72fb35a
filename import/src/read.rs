//! Reads one file: pieces of it go through workers that clean and sort their rows.
//!
//! Must not know where rows go afterwards. Invariants: rows are counted, and duplicates and rejects
//! found, in the order of the file, whatever the workers' order is; a row that a worker sorted is
//! stored, so nothing is counted twice; what waits between the threads is bounded.

use std::fs::File as FsFile;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crossbeam::channel::{Receiver, bounded};
use roaring::{RoaringBitmap, RoaringTreemap};

use crate::chunk::{Chunk, Chunks};
use crate::error::Error;
use crate::files::{Columns, File};
use crate::line::{AfterQuote, split};
use crate::pack::put;
use crate::progress::ImportProgress;
use crate::rejects::{Reject, Rejects};
use crate::report::{FileReport, FileState, count};
use crate::rows::{CleanRow, NamedRow, Parents, RowFault};
use crate::sort::{Sorted, Sorter};
use crate::turn::{GaveUp, Turn};

/// Pieces that wait for a worker at most.
const CHUNKS_MAX: usize = 4;
/// Reason and field of faults of a whole row.
pub(crate) const WHOLE_ROW: &str = "";

/// The context of reading besides the file.
pub(crate) struct ReadContext<'a> {
    pub(crate) spill_dir: &'a Path,
    /// Bytes for sorting.
    pub(crate) memory: usize,
    /// Bytes for the ids of this file and of those before it that rows of other files refer to.
    pub(crate) ids_memory: usize,
    pub(crate) workers: usize,
    pub(crate) progress: &'a ImportProgress,
    pub(crate) rejects: &'a Mutex<Rejects>,
    pub(crate) parents: &'a Parents,
    /// True if the files are an export.
    pub(crate) exported: bool,
}

/// A file's rows, sorted.
pub(crate) struct FileRows {
    /// By the key that [`NamedRow::clean`] gave them.
    pub(crate) rows: Sorted,
    /// The product of each row that rows of other files refer to, by the row's id.
    pub(crate) owners: Sorted,
    /// The ids of all rows.
    pub(crate) ids: RoaringTreemap,
    pub(crate) report: FileReport,
}

impl ReadContext<'_> {
    /// Reads a file whole.
    pub(crate) fn read(&self, file: File, path: &Path) -> Result<FileRows, Error> {
        let opened = FsFile::open(path).map_err(Error::read(path))?;
        let mut report = FileReport::new(&name_of(path, file), FileState::Read);
        report.bytes = opened.metadata().map_err(Error::read(path))?.len();
        let mut chunks = Chunks::new(opened);
        let columns = read_header(file, path, &mut chunks)?;
        let lines = Lines {
            file,
            columns,
            parents: self.parents,
            exported: self.exported,
        };
        let pass = FilePass {
            reading: self,
            lines,
            path,
            turn: Turn::new(FaultLedger {
                report,
                ids: RoaringTreemap::new(),
                ids_bytes_max: self.ids_bytes_max(),
            }),
        };
        let (rows, owners) = pass.run(chunks)?;
        let ledger = pass.turn.into_inner();
        Ok(FileRows {
            rows,
            owners,
            ids: ledger.ids,
            report: ledger.report,
        })
    }

    /// Bytes that the ids of one more file may take.
    pub(crate) fn ids_bytes_max(&self) -> u64 {
        (self.ids_memory as u64).saturating_sub(self.parents.sets().map(ids_bytes).sum())
    }
}

/// The lines of a file, and what they are held against.
pub(crate) struct Lines<'a> {
    pub(crate) file: File,
    pub(crate) columns: Columns,
    pub(crate) parents: &'a Parents,
    pub(crate) exported: bool,
}

impl Lines<'_> {
    /// Cleans a line, whose packed fields are appended to `packed`; says how it was repaired.
    pub(crate) fn clean(
        &self,
        text: &[u8],
        offset: u64,
        packed: &mut Vec<u8>,
    ) -> Result<(CleanRow, Option<RowRepair>), RowFault> {
        let text = std::str::from_utf8(text).map_err(|_| reject("is not UTF-8"))?;
        let unlabelled;
        let (line, mut repair) = match split(text) {
            Ok(line) => (line, None),
            Err(AfterQuote { field }) => {
                unlabelled = self.without_label(text, field).unwrap_or_default();
                let line = split(&unlabelled).ok().filter(|line| line.count > 1);
                let line = line.ok_or(reject("has text after a closing quote"))?;
                (line, Some("a value followed its column's name"))
            }
        };
        if line.repaired {
            repair = Some("last field lacked its closing quote");
        }
        match line.count {
            fields if fields < self.columns.count => return Err(reject("has too few fields")),
            fields if fields > self.columns.count => return Err(reject("has too many fields")),
            _ => {}
        }
        let row = NamedRow {
            file: self.file,
            line: &line,
            columns: &self.columns,
            offset,
            exported: self.exported,
        };
        Ok((row.clean(self.parents, packed)?, repair))
    }

    /// The line with `"default_price": 49` made `49`, as some old exports have it.
    fn without_label(&self, text: &str, field: usize) -> Option<String> {
        let name = self.columns.name_at(self.file, field)?;
        let label = format!("\"{name}\":");
        let (before, after) = text.split_once(&label)?;
        Some(format!("{before}{after}"))
    }
}

fn name_of(path: &Path, file: File) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.map_or_else(|| file.name().to_owned(), std::borrow::Cow::into_owned)
}

pub(crate) fn read_header(file: File, path: &Path, chunks: &mut Chunks) -> Result<Columns, Error> {
    const BYTE_ORDER_MARK: char = '\u{feff}';
    let first = chunks.first_line().map_err(Error::read(path))?;
    let header = |why: &str| Error::Header {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let text = std::str::from_utf8(&first).map_err(|_| header("it is not UTF-8"))?;
    let marked = text.strip_prefix(BYTE_ORDER_MARK);
    let text = marked.unwrap_or(text).trim_end_matches('\r');
    if text.is_empty() {
        return Err(header("it is empty, and must name the columns"));
    }
    let line = split(text).map_err(|_| header("there is text after a closing quote"))?;
    let (columns, is_header) = Columns::of(file, path, &line)?;
    if is_header {
        chunks.skip_first_line();
    } else if marked.is_some() {
        chunks.skip(BYTE_ORDER_MARK.len_utf8());
    }
    Ok(columns)
}

/// One pass over one file.
struct FilePass<'a> {
    reading: &'a ReadContext<'a>,
    lines: Lines<'a>,
    path: &'a Path,
    turn: Turn<FaultLedger>,
}

/// The faults and repairs of a file, in the order of the file.
struct FaultLedger {
    report: FileReport,
    ids: RoaringTreemap,
    ids_bytes_max: u64,
}

/// The rows of one piece, cleaned.
#[derive(Default)]
struct CleanedBatch {
    rows: Vec<BatchRow>,
    packed: Vec<u8>,
    faults: Vec<BatchFault>,
    rows_read: u64,
    rows_blank: u64,
}

/// A repair of a row, in words.
type RowRepair = &'static str;

struct BatchRow {
    clean: CleanRow,
    packed: (usize, usize),
    line: u64,
    /// The place of the line in the piece.
    text: (usize, usize),
    repair: Option<RowRepair>,
}

struct BatchFault {
    fault: RowFault,
    line: u64,
    text: (usize, usize),
}

impl FilePass<'_> {
    fn run(&self, chunks: Chunks) -> Result<(Sorted, Sorted), Error> {
        let (to_workers, from_reader) = bounded(CHUNKS_MAX);
        thread::scope(|scope| {
            let workers = (0..self.reading.workers)
                .map(|_| {
                    let from_reader = from_reader.clone();
                    thread::Builder::new()
                        .name("import-worker".to_owned())
                        .spawn_scoped(scope, move || {
                            // On a panic as well, so that no worker waits for a turn that never comes.
                            let give_up = self.turn.give_up_on_drop();
                            let sorted = self.work(&from_reader)?;
                            give_up.disarm();
                            Ok(sorted)
                        })
                        .map_err(Error::Thread)
                })
                .collect::<Result<Vec<_>, _>>()?;
            drop(from_reader);
            let mut chunks = chunks;
            let read = loop {
                match chunks.next() {
                    // The receiver is gone: a worker failed, and reports why below.
                    Ok(Some(chunk)) => {
                        if to_workers.send(chunk).is_err() {
                            break Ok(());
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(e) => break Err(Error::read(self.path)(e)),
                }
            };
            drop(to_workers);
            let mut sorted = (Sorted::default(), Sorted::default());
            let mut failed = read.err();
            for worker in workers {
                match worker.join() {
                    Ok(Ok((rows, owners))) => {
                        sorted.0.extend(rows);
                        sorted.1.extend(owners);
                    }
                    // Workers that gave up because another one failed do not know the reason.
                    Ok(Err(GaveUp::Reason(e))) => failed = failed.or(Some(e)),
                    Ok(Err(GaveUp::Another)) => {}
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            failed.map_or(Ok(sorted), Err)
        })
    }

    fn work(&self, chunks: &Receiver<Chunk>) -> Result<(Sorted, Sorted), GaveUp> {
        let memory = self.reading.memory / self.reading.workers;
        let (rows, owners) = match self.lines.file {
            File::Reviews | File::Styles => (memory / 4 * 3, memory / 4),
            _ => (memory, 0),
        };
        let mut rows = Sorter::new(self.reading.spill_dir, rows);
        let mut owners = Sorter::new(self.reading.spill_dir, owners);
        let mut batch = CleanedBatch::default();
        let mut product = Vec::new();
        for chunk in chunks {
            self.reading.progress.check()?;
            batch.clear();
            self.clean(&chunk, &mut batch);
            let mut ledger = self.turn.wait_for(chunk.number)?;
            self.enter(&mut ledger, &chunk, &mut batch)?;
            drop(ledger);
            self.turn.pass_on(chunk.number);
            for row in &batch.rows {
                let packed = batch.packed.get(row.packed.0..row.packed.1);
                rows.push(row.clean.key, packed.unwrap_or_default())?;
                if let Some(owner) = row.clean.product {
                    product.clear();
                    put(&mut product, owner);
                    owners.push([row.clean.id, 0, 0], &product)?;
                }
            }
            let progress = self.reading.progress;
            let (bytes, kept) = (chunk.bytes.len(), batch.rows.len());
            progress.add_read(bytes as u64, batch.rows_read, kept as u64);
        }
        Ok((rows.finish()?, owners.finish()?))
    }

    /// Cleans all lines of a piece.
    fn clean(&self, chunk: &Chunk, batch: &mut CleanedBatch) {
        for (number, start, text) in chunk.lines() {
            let place = (start, start + text.len());
            let offset = chunk.offset + start as u64;
            batch.rows_read += 1;
            if text.is_empty() {
                batch.rows_blank += 1;
                continue;
            }
            let packed_start = batch.packed.len();
            let cleaned = if chunk.cut {
                Err(reject("is longer than 1 MiB"))
            } else {
                self.lines.clean(text, offset, &mut batch.packed)
            };
            match cleaned {
                Ok((clean, repair)) => batch.rows.push(BatchRow {
                    clean,
                    packed: (packed_start, batch.packed.len()),
                    line: number,
                    text: place,
                    repair,
                }),
                Err(fault) => batch.faults.push(BatchFault {
                    fault,
                    line: number,
                    text: place,
                }),
            }
        }
    }

    /// Enters a piece into the ledger: duplicates out, everything counted, rejects written.
    fn enter(
        &self,
        ledger: &mut FaultLedger,
        chunk: &Chunk,
        batch: &mut CleanedBatch,
    ) -> Result<(), Error> {
        let CleanedBatch { rows, faults, .. } = batch;
        rows.retain(|row| {
            let new = ledger.ids.insert(row.clean.id);
            if !new {
                faults.push(BatchFault {
                    fault: RowFault::Reject {
                        field: "id",
                        reason: "is that of an earlier row",
                    },
                    line: row.line,
                    text: row.text,
                });
            }
            new
        });
        faults.sort_by_key(|fault| fault.line);
        let report = &mut ledger.report;
        report.rows_read += batch.rows_read;
        report.rows_stored += rows.len() as u64;
        count(&mut report.rows_skipped, "blank line", batch.rows_blank);
        for repair in rows.iter().filter_map(|row| row.repair) {
            count(&mut report.rows_repaired, repair, 1);
        }
        for BatchFault { fault, line, text } in faults {
            match fault {
                RowFault::Skip(reason) => count(&mut report.rows_skipped, reason, 1),
                RowFault::Reject { field, reason } => {
                    count(&mut report.rows_rejected, &sentence(field, reason), 1);
                    lock(self.reading.rejects).add(&Reject {
                        file: &report.file,
                        line: *line,
                        field: if *field == WHOLE_ROW { "row" } else { field },
                        reason,
                        row: chunk.bytes.get(text.0..text.1).unwrap_or_default(),
                    })?;
                }
            }
        }
        ledger.check_ids(self.path)
    }
}

impl FaultLedger {
    fn check_ids(&self, path: &Path) -> Result<(), Error> {
        if ids_bytes(&self.ids) > self.ids_bytes_max {
            return Err(Error::ScatteredIds {
                path: PathBuf::from(path),
                memory_max: self.ids_bytes_max,
            });
        }
        Ok(())
    }
}

/// About what a set of ids takes in memory: a bit an id where they are dense, and hundreds of bytes
/// an id where they are scattered over all numbers there are.
pub(crate) fn ids_bytes(ids: &RoaringTreemap) -> u64 {
    const BITMAP_BYTES: usize = 192;
    let bytes = |bitmap: &RoaringBitmap| bitmap.serialized_size() + BITMAP_BYTES;
    ids.bitmaps().map(|(_, bitmap)| bytes(bitmap) as u64).sum()
}

impl CleanedBatch {
    fn clear(&mut self) {
        self.rows.clear();
        self.packed.clear();
        self.faults.clear();
        self.rows_read = 0;
        self.rows_blank = 0;
    }
}

fn reject(reason: &'static str) -> RowFault {
    RowFault::Reject {
        field: WHOLE_ROW,
        reason,
    }
}

pub(crate) fn sentence(field: &str, reason: &str) -> String {
    if field == WHOLE_ROW {
        format!("row {reason}")
    } else {
        format!("{field} {reason}")
    }
}

/// Locks; a thread that panicked meanwhile ends the import anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
