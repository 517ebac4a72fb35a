//! The text of a file, whatever its encoding: its bytes as UTF-8, a buffer at a time.
//!
//! Must not know rows or separators. Invariants: a file that is no text in its encoding is refused in one
//! sentence; bytes that are not of the encoding become a byte that no UTF-8 has; a row that does not end is
//! an error before it fills the memory.

use std::fs::File;
use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use memchr::{memchr, memchr_iter};

/// The bytes by which a file is judged.
pub(super) const SNIFF_BYTES: usize = 1 << 20;
/// The bytes that are read at once.
pub(super) const READ_BYTES: usize = 128 << 10;
/// A longer row does not end where it should.
pub(super) const ROW_BYTES_MAX: usize = 4 << 20;
/// A byte that no UTF-8 has, in place of bytes that are not of a file's encoding.
const NO_BYTE: u8 = 0xff;

/// A row that is longer than any row is.
#[derive(Debug)]
pub(super) struct EndlessRow;

impl std::fmt::Display for EndlessRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a row does not end")
    }
}

impl std::error::Error for EndlessRow {}

/// The reason a file is not read.
pub(super) enum NotCsv {
    Refused(String),
    Io(io::Error),
}

/// The text of a file as UTF-8, without its byte order mark, with an end of its last line.
pub(super) struct PlainText {
    file: File,
    pub(super) encoding: &'static Encoding,
    decoder: Option<Decoder>,
    /// Read and not yet decoded.
    raw: Vec<u8>,
    /// Decoded and not yet given.
    text: Vec<u8>,
    given: usize,
    /// The last byte that was given.
    last: u8,
    /// The bytes of the file that were read.
    pub(super) bytes: u64,
    /// The bytes that were given since the row began, but for the rest of a buffer.
    pub(super) row_bytes: usize,
    ended: bool,
}

impl PlainText {
    pub(super) fn new(mut file: File, named: Option<&'static Encoding>) -> Result<Self, NotCsv> {
        let mut raw = Vec::new();
        let read = (&mut file).take(SNIFF_BYTES as u64).read_to_end(&mut raw);
        let bytes = read.map_err(NotCsv::Io)? as u64;
        let marked = Encoding::for_bom(&raw);
        let (encoding, mark) = match (marked, named) {
            (Some((encoding, mark)), _) => (encoding, mark),
            (None, Some(named)) => (named, 0),
            (None, None) => (UTF_8, 0),
        };
        raw.drain(..mark);
        if let Some(why) = no_csv(&raw, encoding) {
            return Err(NotCsv::Refused(why));
        }
        Ok(Self {
            file,
            encoding,
            decoder: (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling()),
            raw,
            text: Vec::new(),
            given: 0,
            last: b'\n',
            bytes,
            row_bytes: 0,
            ended: false,
        })
    }

    /// The first line that has something in it, as far as it is at hand; it is read again.
    pub(super) fn first_line(&mut self) -> io::Result<Vec<u8>> {
        self.fill()?;
        let mut lines = self.text.split(|byte| *byte == b'\n');
        let found = lines.find(|line| !line.trim_ascii().is_empty());
        Ok(found.unwrap_or_default().to_vec())
    }

    /// Fills the buffer, unless it has bytes or is at the end.
    fn fill(&mut self) -> io::Result<()> {
        while self.given == self.text.len() && !self.ended {
            self.text.clear();
            self.given = 0;
            if self.raw.is_empty() {
                let read = (&mut self.file)
                    .take(READ_BYTES as u64)
                    .read_to_end(&mut self.raw)?;
                self.bytes += read as u64;
                self.ended = read == 0;
            }
            self.decode();
            if self.ended && self.text.last().copied().unwrap_or(self.last) != b'\n' {
                self.text.push(b'\n');
            }
        }
        Ok(())
    }

    fn decode(&mut self) {
        let Some(decoder) = &mut self.decoder else {
            std::mem::swap(&mut self.text, &mut self.raw);
            return;
        };
        let mut rest = self.raw.as_slice();
        loop {
            let needed = decoder.max_utf8_buffer_length_without_replacement(rest.len());
            let start = self.text.len();
            self.text
                .resize(start + needed.unwrap_or(READ_BYTES).max(16), 0);
            let out = self.text.get_mut(start..).unwrap_or_default();
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(rest, out, self.ended);
            self.text.truncate(start + written);
            rest = rest.get(read..).unwrap_or_default();
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.text.push(NO_BYTE),
            }
        }
        self.raw.clear();
    }
}

impl Read for PlainText {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.row_bytes > ROW_BYTES_MAX {
            return Err(io::Error::other(EndlessRow));
        }
        self.fill()?;
        let rest = self.text.get(self.given..).unwrap_or_default();
        let length = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        if let Some(last) = length.checked_sub(1).and_then(|at| rest.get(at)) {
            self.last = *last;
        }
        self.given += length;
        self.row_bytes += length;
        Ok(length)
    }
}

/// The reason why the beginning of a file shows that it is no CSV in this encoding.
fn no_csv(bytes: &[u8], encoding: &'static Encoding) -> Option<String> {
    for (magic, what) in [
        (
            b"PK\x03\x04".as_slice(),
            "an Excel workbook or a ZIP archive",
        ),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
        (b"\x1f\x8b", "compressed by gzip"),
        (b"%PDF", "a PDF"),
    ] {
        if bytes.starts_with(magic) {
            return Some(format!("it is {what}, not CSV; save or unpack it as CSV"));
        }
    }
    if encoding == UTF_16LE || encoding == UTF_16BE {
        return None;
    }
    if memchr(0, bytes).is_some() {
        let Some(found) = utf16(bytes) else {
            return Some("it holds zero bytes, so it is not text".to_owned());
        };
        return Some(format!(
            "it looks like UTF-16 without a byte order mark; set encoding = \"{}\" under [file] in its mapping, \
             or save it as UTF-8",
            found.name().to_lowercase()
        ));
    }
    if memchr(b'\n', bytes).is_none() && memchr(b'\r', bytes).is_some() {
        return Some(
            "its lines end with carriage returns alone; save it with line feeds".to_owned(),
        );
    }
    let at = first_foreign(bytes).filter(|_| encoding == UTF_8)?;
    let before = bytes.get(..at).unwrap_or_default();
    let line = 1 + memchr_iter(b'\n', before).count();
    Some(format!(
        "line {line} is not UTF-8, and nothing else in it is, so it may be Latin-1; set encoding = \"{}\" under [file] \
         in its mapping, or save it as UTF-8",
        WINDOWS_1252.name()
    ))
}

/// The form of UTF-16 that bytes without a mark look like: every other one is zero in most of them.
pub(super) fn utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let zeros = |odd: usize| {
        let half = bytes.iter().skip(odd).step_by(2);
        half.filter(|byte| **byte == 0).count() * 4 > bytes.len()
    };
    match (zeros(0), zeros(1)) {
        (false, true) => Some(UTF_16LE),
        (true, false) => Some(UTF_16BE),
        _ => None,
    }
}

/// The first byte that is not UTF-8, if none of the characters beyond ASCII is. Where some are, the wrong
/// ones are in rows that are rejected one by one.
pub(super) fn first_foreign(bytes: &[u8]) -> Option<usize> {
    let mut wrong = None;
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        if !chunk.valid().is_ascii() {
            return None;
        }
        at += chunk.valid().len();
        let invalid = chunk.invalid();
        // A character that is cut at the end of the bytes read is none.
        if !invalid.is_empty() && wrong.is_none() && at + invalid.len() < bytes.len() {
            wrong = Some(at);
        }
        at += invalid.len();
    }
    wrong
}
