//! A file in pieces that end at line ends, each knowing which line it begins with.
//!
//! Must not know what lines mean. Invariants: every byte of the file is in exactly one piece,
//! except those of a line too long to store; memory is bounded by the longest line allowed.

use std::fs::File;
use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memrchr};

/// A piece is about this long.
const CHUNK_BYTES: usize = 1 << 20;
/// A longer line is cut, and the piece says so.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// Whole lines of a file.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The number of this piece, from 0.
    pub(crate) number: u64,
    /// The number of its first line in the file, from 1.
    pub(crate) first_line: u64,
    /// The offset of its first byte in the file.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// True if this is the beginning of one line that is longer than allowed.
    pub(crate) cut: bool,
}

impl Chunk {
    /// Returns true if it holds this byte of the file.
    pub(crate) fn contains(&self, offset: u64) -> bool {
        (self.offset..self.offset + self.bytes.len() as u64).contains(&offset)
    }

    /// Its lines: the number of each, where in the piece it begins, and its text without the line end. What
    /// follows the last line end is not a line.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u64, usize, &[u8])> {
        let length = self.bytes.len();
        let ends = memchr_iter(b'\n', &self.bytes).chain([length]);
        let mut next = 0;
        let lines = (self.first_line..).zip(ends).map(move |(number, end)| {
            let start = std::mem::replace(&mut next, end + 1);
            let text = self.bytes.get(start..end).unwrap_or_default();
            (number, start, end, text.strip_suffix(b"\r").unwrap_or(text))
        });
        let lines = lines.filter(move |(_, _, end, text)| *end < length || !text.is_empty());
        lines.map(|(number, start, _, text)| (number, start, text))
    }

    /// The number and the text of the line that begins at this byte of the file.
    pub(crate) fn line_at(&self, offset: u64) -> (u64, &[u8]) {
        let start = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
        let (before, line) = self.bytes.split_at_checked(start).unwrap_or_default();
        let end = memchr(b'\n', line).unwrap_or(line.len());
        let line = line.get(..end).unwrap_or_default();
        let number = self.first_line + memchr_iter(b'\n', before).count() as u64;
        (number, line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// Cuts a file into pieces.
pub(crate) struct Chunks {
    file: File,
    /// Read and not yet given.
    rest: Vec<u8>,
    number: u64,
    line: u64,
    offset: u64,
    ended: bool,
}

impl Chunks {
    pub(crate) fn new(file: File) -> Self {
        Self {
            file,
            rest: Vec::new(),
            number: 0,
            line: 1,
            offset: 0,
            ended: false,
        }
    }

    /// The first line, without its end, as far as it is not too long. It comes again with the
    /// first piece unless it is passed over.
    pub(crate) fn first_line(&mut self) -> io::Result<Vec<u8>> {
        self.fill()?;
        let end = memchr(b'\n', &self.rest).unwrap_or(self.rest.len());
        Ok(self.rest.get(..end).unwrap_or_default().to_vec())
    }

    /// Passes over the first line.
    pub(crate) fn skip_first_line(&mut self) {
        let end = memchr(b'\n', &self.rest).map_or(self.rest.len(), |at| at + 1);
        self.skip(end);
        self.line += 1;
    }

    /// Passes over the first bytes of the first line.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.rest.drain(..bytes);
        self.offset += bytes as u64;
    }

    /// The next piece; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Chunk>> {
        self.fill()?;
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = memrchr(b'\n', &self.rest).map(|at| at + 1);
        let (end, cut) = match end {
            Some(end) => (end, false),
            None => (self.rest.len(), !self.ended),
        };
        let tail = self.rest.split_off(end);
        let bytes = std::mem::replace(&mut self.rest, tail);
        let chunk = Chunk {
            number: self.number,
            first_line: self.line,
            offset: self.offset,
            cut,
            bytes,
        };
        self.number += 1;
        self.line += memchr_iter(b'\n', &chunk.bytes).count() as u64;
        self.offset += chunk.bytes.len() as u64;
        if cut {
            self.pass_over_line()?;
        }
        Ok(Some(chunk))
    }

    /// Reads until there is a whole line or more, or one that is too long, or the file ends.
    fn fill(&mut self) -> io::Result<()> {
        const { assert!(LINE_BYTES_MAX >= CHUNK_BYTES) };
        let room = LINE_BYTES_MAX.saturating_sub(self.rest.len());
        if !self.ended && room > 0 {
            self.rest.reserve(room);
            let read = (&self.file).take(room as u64).read_to_end(&mut self.rest)?;
            self.ended = read < room;
        }
        Ok(())
    }

    /// Passes over the rest of a line that is too long.
    fn pass_over_line(&mut self) -> io::Result<()> {
        loop {
            self.fill()?;
            let end = memchr(b'\n', &self.rest).map(|at| at + 1);
            let passed = end.unwrap_or(self.rest.len());
            self.rest.drain(..passed);
            self.offset += passed as u64;
            if end.is_some() || self.ended {
                self.line += 1;
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn chunks(bytes: &[u8]) -> Chunks {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Chunks::new(file)
    }

    #[test]
    fn pieces_end_at_line_ends_and_make_up_the_file() {
        let text = "some line\n".repeat(300_000);
        let mut chunks = chunks(text.trim_end().as_bytes());
        let (mut whole, mut pieces) = (Vec::new(), 0);
        while let Some(chunk) = chunks.next().unwrap() {
            assert_eq!(chunk.offset, whole.len() as u64);
            assert_eq!(
                chunk.first_line,
                1 + memchr_iter(b'\n', &whole).count() as u64
            );
            whole.extend_from_slice(&chunk.bytes);
            pieces += 1;
        }
        assert_eq!(whole, text.trim_end().as_bytes());
        assert!(pieces > 2);
    }

    #[test]
    fn lines_after_one_that_is_too_long_keep_their_numbers() {
        let mut text = b"one\n".to_vec();
        text.extend(vec![b'x'; 3 * LINE_BYTES_MAX]);
        text.extend(b"\nthree");
        let mut chunks = chunks(&text);
        let one = chunks.next().unwrap().unwrap();
        let two = chunks.next().unwrap().unwrap();
        let three = chunks.next().unwrap().unwrap();
        assert_eq!(
            (one.bytes.as_slice(), one.cut, one.first_line),
            (b"one\n".as_slice(), false, 1)
        );
        assert_eq!(
            (two.bytes.len(), two.cut, two.first_line),
            (LINE_BYTES_MAX, true, 2)
        );
        assert_eq!(
            (three.bytes.as_slice(), three.first_line),
            (b"three".as_slice(), 3)
        );
        assert_eq!(three.offset, text.len() as u64 - 5);
        assert!(chunks.next().unwrap().is_none());
    }

    #[test]
    fn the_first_line_can_be_passed_over() {
        let mut chunks = chunks(b"id,name\n1,a\n");
        assert_eq!(chunks.first_line().unwrap(), b"id,name");
        chunks.skip_first_line();
        let chunk = chunks.next().unwrap().unwrap();
        assert_eq!(
            (chunk.bytes.as_slice(), chunk.first_line, chunk.offset),
            (b"1,a\n".as_slice(), 2, 8)
        );
    }
}
