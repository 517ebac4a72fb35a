//! Sorting more rows than memory holds: sorted runs in a spill file, merged as they are read.
//!
//! Must not know what rows mean. Invariants: a [`Sorter`] uses no more bytes than it was given, however many
//! rows pass through it; spill files have no name, so they vanish with the process, however it ends; keys that
//! are equal come out in no particular order, so callers make them unique.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::pack::{Taker, put};

/// The key that rows are sorted by: up to three numbers.
pub(crate) type SortKey = [u64; 3];

/// A run is read in pieces of at most this many bytes.
const READ_BYTES_MAX: usize = 1 << 20;
/// … and at least this many.
const READ_BYTES_MIN: usize = 4 << 10;
/// A packed key and two lengths take at most this many bytes.
const HEAD_BYTES_MAX: usize = 4 * 10;

/// Rows in key order. Each row is lent until the next one is requested.
pub(crate) trait SortedRows: Send {
    /// The next row's key and packed fields.
    fn next(&mut self) -> Result<Option<(SortKey, &[u8])>, Error>;
}

/// Takes rows in any order.
pub(crate) struct Sorter {
    rows: Vec<SortEntry>,
    bytes: Vec<u8>,
    spill: SpillFile,
}

struct SortEntry {
    key: SortKey,
    start: u32,
    length: u32,
}

/// The file that holds the runs of one sorter, made when there is a first one.
struct SpillFile {
    dir: PathBuf,
    file: Option<Arc<File>>,
    end: u64,
    runs: Vec<Run>,
}

/// Rows sorted, on disk, not yet merged.
#[derive(Default)]
pub(crate) struct Sorted {
    runs: Vec<Run>,
}

#[derive(Clone)]
struct Run {
    file: Arc<File>,
    start: u64,
    end: u64,
}

impl Sorter {
    /// A sorter that uses at most `memory` bytes and spills into `dir`.
    pub(crate) fn new(dir: &Path, memory: usize) -> Self {
        let rows_bytes = memory / 4;
        let bytes = (memory - rows_bytes).min(u32::MAX as usize);
        Self {
            // Memory that is reserved and not touched costs nothing.
            rows: Vec::with_capacity((rows_bytes / size_of::<SortEntry>()).max(1)),
            bytes: Vec::with_capacity(bytes),
            spill: SpillFile {
                dir: dir.to_owned(),
                file: None,
                end: 0,
                runs: Vec::new(),
            },
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, key: SortKey, packed: &[u8]) -> Result<(), Error> {
        let full = self.rows.len() == self.rows.capacity()
            || self.bytes.len() + packed.len() > self.bytes.capacity();
        if full && !self.rows.is_empty() {
            self.spill()?;
        }
        let (Ok(start), Ok(length)) =
            (u32::try_from(self.bytes.len()), u32::try_from(packed.len()))
        else {
            return Err(Error::Logic("a row is larger than a sorter can hold"));
        };
        self.bytes.extend_from_slice(packed);
        self.rows.push(SortEntry { key, start, length });
        Ok(())
    }

    /// All rows, sorted, on disk; the memory is free again.
    pub(crate) fn finish(mut self) -> Result<Sorted, Error> {
        self.spill()?;
        Ok(Sorted {
            runs: self.spill.runs,
        })
    }

    fn spill(&mut self) -> Result<(), Error> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.rows.sort_unstable_by_key(|entry| entry.key);
        let bytes = &self.bytes;
        let rows = self.rows.iter().map(|entry| {
            let start = entry.start as usize;
            let packed = bytes.get(start..start + entry.length as usize);
            (entry.key, packed.unwrap_or_default())
        });
        self.spill
            .write(rows)
            .map_err(Error::spill("write a spill file in", &self.spill.dir))?;
        self.rows.clear();
        self.bytes.clear();
        Ok(())
    }
}

impl SpillFile {
    fn write<'a>(&mut self, rows: impl Iterator<Item = (SortKey, &'a [u8])>) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::new(tempfile::tempfile_in(&self.dir)?),
        };
        self.file = Some(Arc::clone(&file));
        let start = self.end;
        let mut out = BufWriter::with_capacity(READ_BYTES_MAX, &*file);
        let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
        let mut before = SortKey::default();
        for (key, packed) in rows {
            head.clear();
            put_key(&mut head, before, key);
            put(&mut head, packed.len() as u64);
            out.write_all(&head)?;
            out.write_all(packed)?;
            self.end += (head.len() + packed.len()) as u64;
            before = key;
        }
        out.flush()?;
        drop(out);
        let end = self.end;
        self.runs.push(Run { file, start, end });
        Ok(())
    }
}

/// Packs a key as its difference from the one before: an equal part costs a byte.
fn put_key(out: &mut Vec<u8>, before: SortKey, key: SortKey) {
    let first = key[0].wrapping_sub(before[0]);
    put(out, first);
    let second = if first == 0 { before[1] } else { 0 };
    let step = key[1].wrapping_sub(second);
    put(out, step);
    let third = if first == 0 && step == 0 {
        before[2]
    } else {
        0
    };
    put(out, key[2].wrapping_sub(third));
}

fn take_key(from: &mut Taker<'_>, before: SortKey) -> SortKey {
    let first = from.number();
    let second = if first == 0 { before[1] } else { 0 };
    let step = from.number();
    let third = if first == 0 && step == 0 {
        before[2]
    } else {
        0
    };
    [
        before[0].wrapping_add(first),
        second.wrapping_add(step),
        third.wrapping_add(from.number()),
    ]
}

impl Sorted {
    /// Adds the rows another sorter sorted.
    pub(crate) fn extend(&mut self, other: Self) {
        self.runs.extend(other.runs);
    }

    /// Reads all rows in key order, within `memory` bytes unless runs are very many.
    pub(crate) fn merge(&self, memory: usize) -> Result<Merge, Error> {
        let piece = (memory / self.runs.len().max(1)).clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        let mut merge = Merge {
            readers: Vec::with_capacity(self.runs.len()),
            heap: BinaryHeap::with_capacity(self.runs.len()),
        };
        for (at, run) in self.runs.iter().enumerate() {
            let mut reader = RunReader::new(run.clone(), piece);
            if reader.advance()? {
                merge.heap.push(Reverse((reader.key, at)));
            }
            merge.readers.push(reader);
        }
        Ok(merge)
    }
}

/// Runs, read as one.
pub(crate) struct Merge {
    readers: Vec<RunReader>,
    /// The next key of every run that has one, and which run; the row lent last is on top until
    /// the next one is requested.
    heap: BinaryHeap<Reverse<(SortKey, usize)>>,
}

impl Merge {
    /// Brings the next row of the run on top into view, if the one in view has been lent.
    fn step(&mut self) -> Result<(), Error> {
        let Some(mut top) = self.heap.peek_mut() else {
            return Ok(());
        };
        let Some(reader) = self.readers.get_mut(top.0.1) else {
            return Ok(());
        };
        if !reader.lent {
            return Ok(());
        }
        if reader.advance()? {
            top.0.0 = reader.key;
        } else {
            PeekMut::pop(top);
        }
        Ok(())
    }
}

impl SortedRows for Merge {
    fn next(&mut self) -> Result<Option<(SortKey, &[u8])>, Error> {
        self.step()?;
        let Some(Reverse((key, at))) = self.heap.peek() else {
            return Ok(None);
        };
        let Some(reader) = self.readers.get_mut(*at) else {
            return Ok(None);
        };
        reader.lent = true;
        Ok(Some((*key, reader.packed())))
    }
}

/// Reads one run from its spill file.
struct RunReader {
    run: Run,
    piece: usize,
    buffer: Vec<u8>,
    /// The offset of the next row in the buffer.
    at: usize,
    key: SortKey,
    row: (usize, usize),
    lent: bool,
}

impl RunReader {
    fn new(run: Run, piece: usize) -> Self {
        Self {
            run,
            piece,
            buffer: Vec::new(),
            at: 0,
            key: SortKey::default(),
            row: (0, 0),
            lent: false,
        }
    }

    fn packed(&self) -> &[u8] {
        self.buffer.get(self.row.0..self.row.1).unwrap_or_default()
    }

    /// Reads the next row's head; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        self.lent = false;
        if self.buffer.len() - self.at < HEAD_BYTES_MAX {
            self.fill(HEAD_BYTES_MAX)?;
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(false);
        }
        let mut taker = Taker(rest);
        self.key = take_key(&mut taker, self.key);
        let length = usize::try_from(taker.number()).unwrap_or(usize::MAX);
        self.at += rest.len() - taker.0.len();
        if self.buffer.len() - self.at < length {
            self.fill(length)?;
        }
        if self.buffer.len() - self.at < length {
            return Err(Error::Logic("a spill file ends inside a row"));
        }
        self.row = (self.at, self.at + length);
        self.at += length;
        Ok(true)
    }

    /// Has at least `wanted` bytes in the buffer from `at` on, or all that are left.
    fn fill(&mut self, wanted: usize) -> Result<(), Error> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let have = self.buffer.len();
        let left = usize::try_from(self.run.end - self.run.start).unwrap_or(usize::MAX);
        let take = self.piece.max(wanted).saturating_sub(have).min(left);
        self.buffer.resize(have + take, 0);
        let target = self.buffer.get_mut(have..).unwrap_or_default();
        self.run
            .file
            .read_exact_at(target, self.run.start)
            .map_err(|source| Error::Spill {
                doing: "read a spill file".to_owned(),
                source,
            })?;
        self.run.start += take as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sort(rows: &[(SortKey, Vec<u8>)], memory: usize) -> (Vec<(SortKey, Vec<u8>)>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(dir.path(), memory);
        for (key, packed) in rows {
            sorter.push(*key, packed).unwrap();
        }
        let on_disk = sorter.finish().unwrap();
        let mut merge = on_disk.merge(memory).unwrap();
        let mut out = Vec::new();
        while let Some((key, packed)) = merge.next().unwrap() {
            out.push((key, packed.to_vec()));
        }
        (out, on_disk.runs.len())
    }

    proptest! {
        #[test]
        fn rows_come_out_in_order_whatever_the_memory(
            rows in prop::collection::btree_map(any::<SortKey>(), prop::collection::vec(any::<u8>(), 0..40), 0..200),
            memory in 64_usize..10_000,
            shuffle in any::<prop::sample::Index>(),
        ) {
            let expected: Vec<_> = rows.into_iter().collect();
            let mut given = expected.clone();
            if !given.is_empty() {
                let turn = shuffle.index(given.len());
                given.rotate_left(turn);
                given.reverse();
            }
            prop_assert_eq!(sort(&given, memory).0, expected);
        }
    }

    #[test]
    fn little_memory_makes_many_runs_and_much_makes_one() {
        let rows: Vec<_> = (0..1000_u64)
            .rev()
            .map(|n| ([n, 0, 0], vec![0; 20]))
            .collect();
        let (few_bytes, many_runs) = sort(&rows, 4096);
        let (many_bytes, one_run) = sort(&rows, 1 << 20);
        assert!(many_runs > 5, "{many_runs} runs");
        assert_eq!(one_run, 1);
        assert_eq!(few_bytes, many_bytes);
    }

    #[test]
    fn a_row_larger_than_the_memory_is_sorted_all_the_same() {
        let rows = vec![([2, 0, 0], vec![7; 9000]), ([1, 0, 0], vec![])];
        let (sorted, _) = sort(&rows, 4096);
        assert_eq!(sorted.first().map(|row| row.0), Some([1, 0, 0]));
        assert_eq!(sorted.get(1).map(|row| row.1.len()), Some(9000));
    }
}
