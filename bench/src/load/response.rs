//! One HTTP/1.1 answer after the other out of the bytes of a connection, however they are cut.
//!
//! Owns the framing, and must not know what was asked. A body is passed over and counted, not kept,
//! unless somebody wants it; so an answer costs the reading of its head.

use std::fmt;
use std::mem::MaybeUninit;

/// A longer head, chunk header or trailer is an answer nobody should send.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;

/// Reads one answer at a time.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    state: State,
    /// A head or a line that has come in part.
    part: Vec<u8>,
    status: u16,
    keeps_open: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Head,
    /// So many bytes of the body are still to come.
    Sized(u64),
    ChunkHeader,
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    Trailers,
    /// The body ends with the connection.
    Open,
}

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// True if the connection may be used again.
    pub(crate) keeps_open: bool,
}

/// Why the bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    Head(httparse::Error),
    HeadTooLong,
    Length(String),
    Chunk,
    /// More bytes than were announced.
    Surplus(usize),
    /// The connection ended first.
    Short,
}

impl Reader {
    /// Takes what came. The answer, if it is whole now; `body` gets the bytes of its body.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut body: Option<&mut Vec<u8>>,
    ) -> Result<Option<Answer>, Malformed> {
        loop {
            let answer = match &mut self.state {
                State::Head => match self.head(bytes)? {
                    None => return Ok(None),
                    Some(taken) => {
                        bytes = bytes.get(taken..).unwrap_or_default();
                        matches!(self.state, State::Sized(0))
                    }
                },
                State::Sized(left) => {
                    *left -= take(&mut bytes, *left, body.as_deref_mut());
                    *left == 0
                }
                State::Open => {
                    take(&mut bytes, u64::MAX, body.as_deref_mut());
                    false
                }
                State::Chunk(left) => {
                    *left -= take(&mut bytes, *left, body.as_deref_mut());
                    if *left == 0 {
                        self.state = State::ChunkEnd;
                    }
                    false
                }
                State::ChunkHeader | State::ChunkEnd | State::Trailers => {
                    match self.line(&mut bytes)? {
                        None => return Ok(None),
                        Some(ended) => ended,
                    }
                }
            };
            if answer {
                return match bytes.len() {
                    0 => Ok(Some(self.finish())),
                    surplus => Err(Malformed::Surplus(surplus)),
                };
            }
            if bytes.is_empty() {
                return Ok(None);
            }
        }
    }

    /// The connection ended: the answer, if that is what ends it.
    pub(crate) fn end(&mut self) -> Result<Answer, Malformed> {
        match self.state {
            State::Open => Ok(self.finish()),
            _ => Err(Malformed::Short),
        }
    }

    /// Forgets what it has of an answer, for the next connection.
    pub(crate) fn reset(&mut self) {
        self.state = State::Head;
        self.part.clear();
    }

    fn finish(&mut self) -> Answer {
        self.reset();
        Answer {
            status: self.status,
            keeps_open: self.keeps_open,
        }
    }

    /// Reads a head, which may have begun in earlier bytes. How many of these it took, if it is whole.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        if self.part.is_empty() {
            let taken = self.parse(bytes)?;
            if taken.is_none() {
                self.keep(bytes)?;
            }
            return Ok(taken);
        }
        let before = self.part.len();
        self.keep(bytes)?;
        let part = std::mem::take(&mut self.part);
        let taken = self.parse(&part)?;
        self.part = part;
        if taken.is_some() {
            self.part.clear();
        }
        Ok(taken.map(|taken| taken.saturating_sub(before)))
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.part.len() + bytes.len() > HEAD_BYTES_MAX {
            return Err(Malformed::HeadTooLong);
        }
        self.part.extend_from_slice(bytes);
        Ok(())
    }

    /// Reads a whole head, interim answers before it included, and decides how the body ends.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut taken = 0;
        loop {
            let mut headers = [MaybeUninit::uninit(); HEADERS_MAX];
            let mut head = httparse::Response::new(&mut []);
            let rest = bytes.get(taken..).unwrap_or_default();
            let parsed = httparse::ParserConfig::default()
                .parse_response_with_uninit_headers(&mut head, rest, &mut headers)
                .map_err(Malformed::Head)?;
            let httparse::Status::Complete(length) = parsed else {
                return Ok(None);
            };
            taken += length;
            self.status = head.code.unwrap_or(0);
            if self.status >= 200 {
                self.keeps_open = head.version == Some(1);
                self.state = self.framing(head.headers)?;
                return Ok(Some(taken));
            }
        }
    }

    fn framing(&mut self, headers: &[httparse::Header<'_>]) -> Result<State, Malformed> {
        let mut length = None;
        let mut chunked = false;
        for header in headers {
            // Most headers are told apart by their length alone.
            match header.name.len() {
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    length = Some(number(header.value)?);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    chunked = has_word(header.value, "chunked");
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    if has_word(header.value, "close") {
                        self.keeps_open = false;
                    } else if has_word(header.value, "keep-alive") {
                        self.keeps_open = true;
                    }
                }
                _ => {}
            }
        }
        Ok(match (self.status, chunked, length) {
            (204 | 304, _, _) => State::Sized(0),
            (_, true, _) => State::ChunkHeader,
            (_, false, Some(length)) => State::Sized(length),
            (_, false, None) => {
                self.keeps_open = false;
                State::Open
            }
        })
    }

    /// Reads a line of a chunked body, if it is whole. Whether it was the last one.
    fn line(&mut self, bytes: &mut &[u8]) -> Result<Option<bool>, Malformed> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes)?;
            return Ok(None);
        };
        let (now, rest) = bytes.split_at(end + 1);
        *bytes = rest;
        self.keep(now)?;
        let line = self.part.trim_ascii();
        let ended = match self.state {
            State::ChunkEnd if line.is_empty() => {
                self.state = State::ChunkHeader;
                false
            }
            State::ChunkHeader => {
                let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
                self.state = match hexadecimal(size.trim_ascii())? {
                    0 => State::Trailers,
                    size => State::Chunk(size),
                };
                false
            }
            State::Trailers => line.is_empty(),
            _ => return Err(Malformed::Chunk),
        };
        self.part.clear();
        Ok(Some(ended))
    }
}

/// Moves at most `left` bytes to the body, or past it, and says how many.
fn take(bytes: &mut &[u8], left: u64, body: Option<&mut Vec<u8>>) -> u64 {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (now, rest) = bytes.split_at(taken);
    if let Some(body) = body {
        body.extend_from_slice(now);
    }
    *bytes = rest;
    taken as u64
}

fn number(value: &[u8]) -> Result<u64, Malformed> {
    let text = std::str::from_utf8(value.trim_ascii()).unwrap_or_default();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| Malformed::Length(String::from_utf8_lossy(value).into_owned()))
}

fn hexadecimal(digits: &[u8]) -> Result<u64, Malformed> {
    let text = std::str::from_utf8(digits).unwrap_or_default();
    let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = if plain {
        u64::from_str_radix(text, 16).ok()
    } else {
        None
    };
    number.ok_or(Malformed::Chunk)
}

/// True if a list of words has this one, in whatever case.
fn has_word(value: &[u8], word: &str) -> bool {
    let mut words = value.split(|byte| *byte == b',');
    words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "no HTTP/1 answer: {error}"),
            Self::HeadTooLong => write!(f, "a head of more than {HEAD_BYTES_MAX} bytes"),
            Self::Length(value) => write!(f, "content-length: {value}"),
            Self::Chunk => write!(f, "a chunk without a length or a line end"),
            Self::Surplus(bytes) => write!(f, "{bytes} bytes more than announced"),
            Self::Short => write!(f, "closed before the answer was whole"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer and its body, of bytes that come in pieces of this size.
    fn read(text: &str, piece: usize) -> Result<(Option<Answer>, String), Malformed> {
        let mut reader = Reader::default();
        let mut body = Vec::new();
        let mut found = None;
        for piece in text.as_bytes().chunks(piece) {
            assert_eq!(found, None, "more came after the answer");
            found = reader.feed(piece, Some(&mut body))?;
        }
        Ok((found, String::from_utf8(body).unwrap()))
    }

    #[test]
    fn an_answer_is_the_same_however_its_bytes_are_cut() {
        let kept = |status| Answer {
            status,
            keeps_open: true,
        };
        for (text, answer, body) in [
            (
                "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello",
                kept(200),
                "hello",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                kept(200),
                "",
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", kept(204), ""),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 7\r\n\r\nCreated",
                kept(201),
                "Created",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n1;name=value\r\n,\r\nA\r\n big world\r\n0\r\n\r\n",
                kept(200),
                "hello, big world",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n",
                kept(200),
                "",
            ),
        ] {
            for piece in 1..=text.len() {
                let read = read(text, piece).unwrap();
                assert_eq!(read, (Some(answer), body.to_owned()), "pieces of {piece}");
            }
        }
    }

    #[test]
    fn whether_a_connection_stays_open_is_the_version_or_what_the_server_says() {
        for (head, keeps_open) in [
            ("HTTP/1.1 200 OK", true),
            ("HTTP/1.1 200 OK\r\nConnection: close", false),
            ("HTTP/1.1 200 OK\r\nconnection: Upgrade, CLOSE", false),
            ("HTTP/1.0 200 OK", false),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive", true),
        ] {
            let text = format!("{head}\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(
                read(&text, 1000).unwrap().0.unwrap().keeps_open,
                keeps_open,
                "{head}"
            );
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let mut reader = Reader::default();
        let mut body = Vec::new();
        let text = b"HTTP/1.1 200 OK\r\n\r\nall of it";
        assert_eq!(reader.feed(text, Some(&mut body)), Ok(None));
        let expected = Answer {
            status: 200,
            keeps_open: false,
        };
        assert_eq!(reader.end(), Ok(expected));
        assert_eq!(body, b"all of it");
    }

    #[test]
    fn an_end_within_an_answer_is_one_that_is_too_short() {
        for text in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ] {
            let mut reader = Reader::default();
            assert_eq!(reader.feed(text.as_bytes(), None), Ok(None));
            assert_eq!(reader.end(), Err(Malformed::Short), "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told_at_once() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_BYTES_MAX));
        for (text, expected) in [
            ("garbage\r\n\r\n", "no HTTP/1 answer"),
            ("HTTP/2 200\r\n\r\n", "no HTTP/1 answer"),
            (long.as_str(), "a head of more than"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5x\r\n\r\n",
                "content-length: 5x",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
                "content-length: -1",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabc",
                "1 bytes more",
            ),
            ("HTTP/1.1 204 No Content\r\n\r\nabc", "3 bytes more"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
                "a chunk without",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
                "a chunk without",
            ),
        ] {
            let error = read(text, text.len()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn one_reader_reads_one_answer_after_the_other() {
        let mut reader = Reader::default();
        for status in [200, 404, 503] {
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 1\r\n\r\n.");
            assert_eq!(
                reader.feed(text.as_bytes(), None).unwrap().unwrap().status,
                status
            );
        }
    }
}
