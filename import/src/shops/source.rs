//! A CSV file as another program wrote it: its encoding, its separator, its header and its rows.
//!
//! Must not know encodings, fields or mappings' columns. Invariants: what is no CSV is refused in one sentence; bytes
//! that are not of the encoding reach the row that they are in, and no other.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Terminator};
use encoding_rs::{Encoding, WINDOWS_1252};
use memchr::memchr_iter;

use super::plain_text::{
    EndlessRow, NotCsv, PlainText, READ_BYTES, ROW_BYTES_MAX, SNIFF_BYTES, first_foreign, utf16,
};
use crate::error::Error;

/// Separators, the likeliest first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// An open file.
pub(crate) struct ShopCsv {
    path: PathBuf,
    reader: csv::Reader<PlainText>,
    pub(crate) header: Vec<String>,
    pub(crate) separator: u8,
    pub(crate) bytes: u64,
    record: ByteRecord,
    line: u64,
    bytes_told: u64,
}

/// The form of a row, which decides whether it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowForm {
    Good,
    Blank,
    TooFew,
    TooMany,
    /// Bytes of it are not of the file's encoding.
    NotText,
}

/// A row of the file.
#[derive(Clone, Copy)]
pub(crate) struct ShopRow<'a> {
    record: &'a ByteRecord,
    /// The line that it begins in.
    pub(crate) line: u64,
    pub(crate) form: RowForm,
}

impl ShopCsv {
    /// Opens a file, in this encoding and with this separator if they are given.
    pub(crate) fn open(
        path: &Path,
        encoding: Option<&'static Encoding>,
        separator: Option<char>,
    ) -> Result<Self, Error> {
        let refuse = |why: String| Error::Refused {
            path: path.to_owned(),
            why,
        };
        let file = File::open(path).map_err(Error::read(path))?;
        let bytes = file.metadata().map_err(Error::read(path))?.len();
        let mut text = PlainText::new(file, encoding).map_err(|e| match e {
            NotCsv::Refused(why) => refuse(why),
            NotCsv::Io(source) => Error::read(path)(source),
        })?;
        let encoding = text.encoding.name();
        let first = text.first_line().map_err(Error::read(path))?;
        let separator = match separator {
            Some(one) => u8::try_from(one).ok().filter(u8::is_ascii).ok_or_else(|| {
                refuse(format!("{one:?} cannot separate fields; , ; and \\t can"))
            })?,
            None => likeliest_separator(&first),
        };
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(READ_BYTES)
            .from_reader(text);
        let mut record = ByteRecord::new();
        loop {
            let found = reader.read_byte_record(&mut record);
            if !found.map_err(|e| broken(path, 1, e))? {
                return Err(refuse("it is empty, and must name its columns".to_owned()));
            }
            if record.len() > 1 || !field(&record, 0).trim_ascii().is_empty() {
                break;
            }
        }
        let header: Vec<String> = (0..record.len())
            .map(|at| std::str::from_utf8(field(&record, at)).map(|name| name.trim().to_owned()))
            .collect::<Result<_, _>>()
            .map_err(|_| refuse(format!("its header is not {encoding}")))?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            header,
            separator,
            bytes,
            record: ByteRecord::new(),
            line: 0,
            bytes_told: 0,
        })
    }

    /// Opens a file in whatever encoding it is taken for, which is given where it must be named.
    pub(crate) fn open_any(path: &Path) -> Result<(Self, Option<&'static Encoding>), Error> {
        let mut start = Vec::new();
        let file = File::open(path).map_err(Error::read(path))?;
        let read = file.take(SNIFF_BYTES as u64).read_to_end(&mut start);
        read.map_err(Error::read(path))?;
        let encoding = match Encoding::for_bom(&start) {
            Some(_) => None,
            None => utf16(&start).or_else(|| first_foreign(&start).map(|_| WINDOWS_1252)),
        };
        Ok((Self::open(path, encoding, None)?, encoding))
    }

    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<ShopRow<'_>>, Error> {
        self.reader.get_mut().row_bytes = 0;
        let begins = self.reader.position().line();
        let found = self.reader.read_byte_record(&mut self.record);
        if !found.map_err(|e| broken(&self.path, begins, e))? {
            return Ok(None);
        }
        let breaks = memchr_iter(b'\n', self.record.as_slice());
        // The reader stands behind the line end of the row.
        self.line = self
            .reader
            .position()
            .line()
            .saturating_sub(1 + breaks.count() as u64);
        Ok(Some(self.row()))
    }

    fn row(&self) -> ShopRow<'_> {
        let record = &self.record;
        let fields = record.len();
        let form = if fields == 1 && field(record, 0).trim_ascii().is_empty() {
            RowForm::Blank
        } else if record
            .iter()
            .any(|field| std::str::from_utf8(field).is_err())
        {
            RowForm::NotText
        } else if fields < self.header.len() {
            RowForm::TooFew
        } else if fields > self.header.len() {
            RowForm::TooMany
        } else {
            RowForm::Good
        };
        ShopRow {
            record,
            line: self.line,
            form,
        }
    }

    /// Returns the bytes that were read since the last call.
    pub(crate) fn take_bytes(&mut self) -> u64 {
        let bytes = self.reader.get_ref().bytes;
        bytes - std::mem::replace(&mut self.bytes_told, bytes)
    }
}

impl<'a> ShopRow<'a> {
    /// The text of a column; an empty one where there is none.
    pub(crate) fn text(&self, column: usize) -> &'a str {
        std::str::from_utf8(field(self.record, column)).unwrap_or_default()
    }

    /// All fields.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'a str> {
        let this = *self;
        (0..self.record.len()).map(move |column| this.text(column))
    }

    /// The row as CSV.
    pub(crate) fn csv(&self, separator: u8) -> Vec<u8> {
        csv_line(
            (0..self.record.len()).map(|column| field(self.record, column)),
            separator,
        )
    }
}

/// Fields as a line of CSV, without its end.
pub(crate) fn csv_line<'f>(fields: impl Iterator<Item = &'f [u8]>, separator: u8) -> Vec<u8> {
    let mut line = Vec::new();
    for (at, field) in fields.enumerate() {
        if at > 0 {
            line.push(separator);
        }
        let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\n' | b'\r') && *byte != separator;
        if field.iter().all(is_plain) {
            line.extend_from_slice(field);
            continue;
        }
        line.push(b'"');
        for byte in field {
            line.push(*byte);
            if *byte == b'"' {
                line.push(b'"');
            }
        }
        line.push(b'"');
    }
    line
}

/// A field; the last one without the half of a line end that stands behind it.
fn field(record: &ByteRecord, at: usize) -> &[u8] {
    let field = record.get(at).unwrap_or_default();
    if at + 1 == record.len() {
        field.strip_suffix(b"\r").unwrap_or(field)
    } else {
        field
    }
}

/// The separator that a header has most of, outside of quotes.
fn likeliest_separator(header: &[u8]) -> u8 {
    let mut counts = [0_usize; SEPARATORS.len()];
    let mut is_quoted = false;
    for byte in header {
        is_quoted ^= *byte == b'"';
        if let Some(at) = SEPARATORS.iter().position(|one| one == byte && !is_quoted)
            && let Some(count) = counts.get_mut(at)
        {
            *count += 1;
        }
    }
    let found = SEPARATORS
        .into_iter()
        .zip(counts)
        .rev()
        .max_by_key(|(_, count)| *count);
    found.map_or(b',', |(separator, _)| separator)
}

fn broken(path: &Path, line: u64, error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(source) if is_endless(&source) => Error::Refused {
            path: path.to_owned(),
            why: format!(
                "the row that begins at line {line} does not end within {} MiB: a quote mark is missing in it, or is one \
                     too many",
                ROW_BYTES_MAX >> 20
            ),
        },
        csv::ErrorKind::Io(source) => Error::read(path)(source),
        _ => Error::Logic("a reader of CSV that takes every row refused one"),
    }
}

fn is_endless(error: &io::Error) -> bool {
    let source = error.get_ref();
    source.is_some_and(|source| source.downcast_ref::<EndlessRow>().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{UTF_16BE, UTF_16LE};
    use proptest::prelude::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    type Rows = Vec<(u64, RowForm, Vec<String>)>;

    fn read_as(
        bytes: &[u8],
        encoding: Option<&'static Encoding>,
    ) -> Result<(Vec<String>, Rows), String> {
        let file = file(bytes);
        let mut csv = ShopCsv::open(file.path(), encoding, None).map_err(|e| e.to_string())?;
        let mut rows = Rows::new();
        while let Some(row) = csv.next().map_err(|e| e.to_string())? {
            rows.push((row.line, row.form, row.texts().map(str::to_owned).collect()));
        }
        assert_eq!(csv.take_bytes(), csv.bytes);
        Ok((csv.header, rows))
    }

    fn read(bytes: &[u8]) -> Result<(Vec<String>, Rows), String> {
        read_as(bytes, None)
    }

    fn good(line: u64, texts: &[&str]) -> (u64, RowForm, Vec<String>) {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        (line, RowForm::Good, texts)
    }

    #[test]
    fn rows_of_many_lines_know_the_line_they_begin_in() {
        let text = "a,b\n1,\"x\ny\nz\"\n\n2,\"\"\"q\"\"\"\n3,😀";
        let expected = [
            good(2, &["1", "x\ny\nz"]),
            good(6, &["2", "\"q\""]),
            good(7, &["3", "😀"]),
        ];
        let (header, rows) = read(text.as_bytes()).unwrap();
        assert_eq!(header, ["a", "b"]);
        assert_eq!(rows, expected);
        let crlf = text.replace('\n', "\r\n");
        let (header, mut rows) = read(format!("\u{feff}{crlf}\r\n").as_bytes()).unwrap();
        assert_eq!(header, ["a", "b"]);
        let blank = rows.remove(1);
        assert_eq!((blank.0, blank.1), (5, RowForm::Blank));
        for (row, mut expected) in rows.into_iter().zip(expected) {
            expected.2 = expected
                .2
                .iter()
                .map(|text| text.replace('\n', "\r\n"))
                .collect();
            assert_eq!(row, expected);
        }
    }

    #[test]
    fn separators_are_found_by_the_header() {
        for separator in [',', ';', '\t', '|'] {
            let text = format!("\"a,;x\"{separator}b{separator}c\n1{separator}2{separator}3\n");
            let (header, rows) = read(text.as_bytes()).unwrap();
            assert_eq!(header, ["a,;x", "b", "c"], "{separator:?}");
            assert_eq!(rows, [good(2, &["1", "2", "3"])]);
        }
    }

    #[test]
    fn encodings_are_read_or_refused_in_a_sentence() {
        let text = "name;city\nÅsa;Größe 😀\n";
        let rows = [good(2, &["Åsa", "Größe 😀"])];
        let utf16 = |mark: bool, bytes: fn(u16) -> [u8; 2]| {
            let mark = mark.then_some(0xfeff);
            let units = mark.into_iter().chain(text.encode_utf16());
            units.flat_map(bytes).collect::<Vec<u8>>()
        };
        assert_eq!(read(&utf16(true, u16::to_le_bytes)).unwrap().1, rows);
        assert_eq!(read(&utf16(true, u16::to_be_bytes)).unwrap().1, rows);
        assert_eq!(
            read_as(&utf16(false, u16::to_le_bytes), Some(UTF_16LE))
                .unwrap()
                .1,
            rows
        );
        let why = read(&utf16(false, u16::to_be_bytes)).unwrap_err();
        assert!(
            why.contains("encoding = \"utf-16be\" under [file]"),
            "{why}"
        );
        let latin = b"name;city\nOle;Oslo\n\xc5sa;Gr\xf6\xdfe\n";
        let why = read(latin).unwrap_err();
        assert!(
            why.contains("line 3 is not UTF-8") && why.contains("windows-1252"),
            "{why}"
        );
        let read = read_as(latin, Some(WINDOWS_1252)).unwrap();
        assert_eq!(read.1[1], good(3, &["Åsa", "Größe"]));
    }

    #[test]
    fn bytes_of_no_character_are_in_their_row_alone() {
        let (_, rows) = read(b"a,b\n\xc3\xa9,1\n\xff,2\n3,3\n").unwrap();
        let forms: Vec<_> = rows.iter().map(|row| row.1).collect();
        assert_eq!(forms, [RowForm::Good, RowForm::NotText, RowForm::Good]);
        // Half a surrogate pair.
        let units = [
            0xfeff, 0x61, 0x2c, 0x62, 0xa, 0xd83d, 0x2c, 0x31, 0xa, 0x32, 0x2c, 0x32, 0xa,
        ];
        let bytes: Vec<u8> = units.into_iter().flat_map(u16::to_le_bytes).collect();
        let (_, rows) = read(&bytes).unwrap();
        assert_eq!(
            rows.iter().map(|row| row.1).collect::<Vec<_>>(),
            [RowForm::NotText, RowForm::Good]
        );
    }

    #[test]
    fn rows_of_another_length_than_the_header_are_told() {
        let (_, rows) = read(b"a,b\n1\n1,2,3\n1,2").unwrap();
        let forms: Vec<_> = rows.iter().map(|row| row.1).collect();
        assert_eq!(forms, [RowForm::TooFew, RowForm::TooMany, RowForm::Good]);
    }

    #[test]
    fn what_is_no_csv_is_refused() {
        for (bytes, why) in [
            (
                b"PK\x03\x04\x14\x00".as_slice(),
                "Excel workbook or a ZIP archive",
            ),
            (b"\x1f\x8b\x08", "compressed by gzip"),
            (b"a,b\x00\x00\x00c,d\n", "zero bytes"),
            (b"a,b\r1,2\r", "carriage returns alone"),
            (b"", "it is empty"),
            (b"\n\n", "it is empty"),
        ] {
            let found = read(bytes).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_is_refused_with_its_line() {
        let mut text = b"a,b\n1,2\n3,\"open\n".to_vec();
        for _ in 0..ROW_BYTES_MAX / 8 {
            text.extend_from_slice(b"4,5 6 7 8 9\n");
        }
        let why = read(&text).unwrap_err();
        assert!(
            why.contains("the row that begins at line 3 does not end within 4 MiB"),
            "{why}"
        );
    }

    #[test]
    fn a_row_is_written_as_it_was_read() {
        let bytes = b"a;b;c\n\"x;y\";\"say \"\"so\"\"\";plain\n";
        let file = file(bytes);
        let mut csv = ShopCsv::open(file.path(), None, None).unwrap();
        let row = csv.next().unwrap().unwrap();
        assert_eq!(row.csv(b';'), b"\"x;y\";\"say \"\"so\"\"\";plain");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\n'), Just(b','), Just(0)], 0..400),
            encoding in prop::sample::select(vec![None, Some(UTF_16LE), Some(UTF_16BE), Some(WINDOWS_1252), Some(encoding_rs::SHIFT_JIS)]),
        ) {
            let _ = read_as(&bytes, encoding);
        }

        #[test]
        fn what_was_written_is_read(
            rows in prop::collection::vec(prop::collection::vec("[^\r]{0,12}", 3), 0..8),
        ) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            writer.write_record(["x", "y", "z"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            prop_assume!(!bytes.contains(&0));
            let read: Vec<_> = read(&bytes).unwrap().1.into_iter().map(|row| row.2).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
