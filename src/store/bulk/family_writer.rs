//! One family's rows on their way into sorted files: a bounded channel and a thread behind it.
//!
//! Must not know what the rows mean. Invariants: rows arrive in key order within a segment; what
//! waits in the channel is bounded; an error of the thread reaches the sender at the latest when it
//! finishes.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::error::Error;
use crate::key::Family;
use crate::rocks::{SortedFile, SortedFileOptions};

/// Rows travel in batches of about this many bytes.
const BATCH_BYTES: usize = 256 << 10;
/// Batches that wait for the thread at most.
const BATCHES_MAX: usize = 4;
/// A file is closed after so many bytes of keys and values: RocksDB holds as many in memory to make a
/// file's dictionary from.
const FILE_BYTES: usize = 32 << 20;

/// Files whose key ranges do not overlap, in key order.
pub(crate) type DisjointFiles = Vec<PathBuf>;

/// The number of rows that were written.
#[derive(Debug)]
pub(crate) struct WrittenFamily {
    pub(crate) family: Family,
    pub(crate) segments: Vec<DisjointFiles>,
    pub(crate) rows: u64,
}

/// A sender of one family's rows to the thread that writes them.
pub(crate) struct FamilyWriter {
    family: Family,
    batch: RowBatch,
    /// Taken to let the thread end.
    to_thread: Option<Sender<WriterMessage>>,
    /// Taken when the thread has been waited for.
    thread: Option<JoinHandle<Result<WrittenFamily, Error>>>,
}

enum WriterMessage {
    Rows(RowBatch),
    NewSegment,
    /// The rows are not wanted after all.
    Cancel,
}

/// Rows in one buffer: their ends, and the bytes of key and value in turn.
#[derive(Default)]
struct RowBatch {
    bytes: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl FamilyWriter {
    /// Starts the thread, which writes files into `dir`.
    pub(crate) fn start(family: Family, dir: &Path) -> Result<Self, Error> {
        let (to_thread, rows) = bounded(BATCHES_MAX);
        let dir = dir.to_owned();
        let thread = thread::Builder::new()
            .name(format!("write-{}", family.name()))
            .spawn(move || {
                FamilyFiles::new(family, &dir, &SortedFileOptions::of(family)).write(&rows)
            })
            .map_err(Error::io("start a thread"))?;
        Ok(Self {
            family,
            batch: RowBatch::default(),
            to_thread: Some(to_thread),
            thread: Some(thread),
        })
    }

    /// Adds a row whose value `encode` appends.
    pub(crate) fn put(
        &mut self,
        key: impl AsRef<[u8]>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
    ) -> Result<(), Error> {
        let bytes = &mut self.batch.bytes;
        bytes.extend_from_slice(key.as_ref());
        let key_end = bytes.len();
        encode(bytes).map_err(|why| Error::Damaged {
            what: format!("a new row of {}", self.family.name()),
            why,
        })?;
        self.batch.ends.push((key_end, bytes.len()));
        if self.batch.bytes.len() >= BATCH_BYTES {
            self.send_batch()?;
        }
        Ok(())
    }

    /// From here on keys may be lower again.
    pub(crate) fn new_segment(&mut self) -> Result<(), Error> {
        self.send_batch()?;
        self.send(WriterMessage::NewSegment)
    }

    /// Waits until all rows are in durable files.
    pub(crate) fn finish(mut self) -> Result<WrittenFamily, Error> {
        self.send_batch()?;
        drop(self.to_thread.take());
        join(self.family, self.thread.take())
    }

    fn send_batch(&mut self) -> Result<(), Error> {
        if self.batch.ends.is_empty() {
            return Ok(());
        }
        let empty = RowBatch {
            bytes: Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 8),
            ends: Vec::with_capacity(self.batch.ends.len()),
        };
        let batch = std::mem::replace(&mut self.batch, empty);
        self.send(WriterMessage::Rows(batch))
    }

    fn send(&mut self, message: WriterMessage) -> Result<(), Error> {
        if let Some(to_thread) = &self.to_thread
            && to_thread.send(message).is_ok()
        {
            return Ok(());
        }
        // The thread ended before its rows did: it failed, and returns the error.
        join(self.family, self.thread.take()).and(Ok(()))
    }
}

impl Drop for FamilyWriter {
    /// Waits for the thread: the directory it writes into is about to be removed.
    fn drop(&mut self) {
        if let Some(to_thread) = self.to_thread.take() {
            // A thread that has ended needs no signal.
            let _ = to_thread.send(WriterMessage::Cancel);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn join(
    family: Family,
    thread: Option<JoinHandle<Result<WrittenFamily, Error>>>,
) -> Result<WrittenFamily, Error> {
    let thread = thread.ok_or_else(|| Error::Rocks {
        doing: format!("write sorted files of {}", family.name()),
        why: "an earlier write failed".to_owned(),
    })?;
    match thread.join() {
        Ok(written) => written,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The thread's side.
struct FamilyFiles<'a> {
    family: Family,
    dir: &'a Path,
    options: &'a SortedFileOptions,
    segments: Vec<DisjointFiles>,
    rows: u64,
    count: usize,
}

impl<'a> FamilyFiles<'a> {
    fn new(family: Family, dir: &'a Path, options: &'a SortedFileOptions) -> Self {
        Self {
            family,
            dir,
            options,
            segments: vec![DisjointFiles::new()],
            rows: 0,
            count: 0,
        }
    }

    fn write(mut self, messages: &Receiver<WriterMessage>) -> Result<WrittenFamily, Error> {
        let mut open: Option<(SortedFile<'a>, usize)> = None;
        for message in messages {
            let batch = match message {
                WriterMessage::Rows(batch) => batch,
                WriterMessage::NewSegment => {
                    self.close(open.take())?;
                    self.segments.push(DisjointFiles::new());
                    continue;
                }
                WriterMessage::Cancel => return Ok(self.into_written()),
            };
            let (mut file, bytes) = match open.take() {
                Some(open) => open,
                None => (self.create()?, 0),
            };
            let mut start = 0;
            for (key_end, end) in batch.ends {
                let row = batch.bytes.get(start..end).unwrap_or_default();
                let (key, value) = row.split_at(key_end - start);
                file.put(key, value)?;
                start = end;
            }
            let bytes = bytes + start;
            open = Some((file, bytes));
            if bytes >= FILE_BYTES {
                self.close(open.take())?;
            }
        }
        self.close(open)?;
        Ok(self.into_written())
    }

    fn into_written(self) -> WrittenFamily {
        WrittenFamily {
            family: self.family,
            segments: self.segments,
            rows: self.rows,
        }
    }

    fn create(&mut self) -> Result<SortedFile<'a>, Error> {
        self.count += 1;
        let name = format!("{}-{:05}.sorted", self.family.name(), self.count);
        SortedFile::create(self.options, self.dir.join(name))
    }

    fn close(&mut self, open: Option<(SortedFile<'a>, usize)>) -> Result<(), Error> {
        let Some((file, _)) = open else {
            return Ok(());
        };
        let (path, rows) = file.finish()?;
        self.rows += rows;
        if let Some(segment) = self.segments.last_mut() {
            segment.push(path);
        }
        Ok(())
    }
}
