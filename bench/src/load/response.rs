//! An HTTP/1.1 answer in the bytes that have come so far.
//!
//! Owns the framing, and must not know what was asked.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, Response, Status, parse_chunk_size};

/// A longer head is an answer nobody should send.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 64;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// True if the connection may be used again.
    pub(crate) keeps_open: bool,
    /// The places of the body among the bytes: one, or one for each chunk.
    body: Vec<Range<usize>>,
}

/// The progress of reading an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Whole(Answer),
    /// It is not whole before there are so many bytes; without a number, before the connection ends.
    Short(Option<usize>),
}

/// The end of a body.
enum Framing {
    Sized(usize),
    Chunked,
    Ended,
}

/// Reads the answer at the start of all bytes that came since the request; `ended` where no more will
/// come. Fails with what is wrong with them.
pub(crate) fn read(bytes: &[u8], ended: bool) -> Result<Reading, String> {
    let Some((mut answer, start, framing)) = head(bytes)? else {
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(format!("a head of more than {HEAD_BYTES_MAX} bytes"));
        }
        return Ok(Reading::Short(Some(bytes.len() + 1)));
    };
    let end = match framing {
        Framing::Sized(length) => {
            let end = start.saturating_add(length);
            answer.body.push(start..end);
            end
        }
        Framing::Ended if ended => {
            answer.body.push(start..bytes.len());
            bytes.len()
        }
        Framing::Ended => return Ok(Reading::Short(None)),
        Framing::Chunked => match chunks(bytes, start, &mut answer.body)? {
            Some(end) => end,
            None => return Ok(Reading::Short(Some(bytes.len() + 1))),
        },
    };
    match bytes.len().checked_sub(end) {
        Some(0) => Ok(Reading::Whole(answer)),
        Some(surplus) => Err(format!("{surplus} bytes more than announced")),
        None => Ok(Reading::Short(Some(end))),
    }
}

impl Answer {
    /// The body, out of the bytes that the answer was read from.
    pub(crate) fn body(&self, bytes: &[u8]) -> Vec<u8> {
        let parts = self.body.iter().filter_map(|part| bytes.get(part.clone()));
        parts.flatten().copied().collect()
    }
}

/// Reads the head, interim answers before it included.
fn head(bytes: &[u8]) -> Result<Option<(Answer, usize, Framing)>, String> {
    let mut taken = 0;
    loop {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut head = Response::new(&mut headers);
        let parsed = head.parse(bytes.get(taken..).unwrap_or_default());
        let parsed = parsed.map_err(|error| format!("no HTTP/1 answer: {error}"))?;
        let Status::Complete(length) = parsed else {
            return Ok(None);
        };
        taken += length;
        let status = head.code.unwrap_or(0);
        if status >= 200 {
            let mut answer = Answer {
                status,
                keeps_open: head.version == Some(1),
                body: Vec::new(),
            };
            let framing = framing(&mut answer, head.headers)?;
            return Ok(Some((answer, taken, framing)));
        }
    }
}

fn framing(answer: &mut Answer, headers: &[Header<'_>]) -> Result<Framing, String> {
    let mut framing = Framing::Ended;
    for Header { name, value } in headers {
        let value = value.trim_ascii();
        let has = |word: &str| {
            let mut words = value.split(|byte| *byte == b',');
            words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        // Most headers are told apart by their length alone.
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => {
                if matches!(framing, Framing::Ended) {
                    framing = Framing::Sized(number(value)?);
                }
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") && has("chunked") => {
                framing = Framing::Chunked;
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                answer.keeps_open = !has("close") && (answer.keeps_open || has("keep-alive"));
            }
            _ => {}
        }
    }
    if matches!(answer.status, 204 | 304) {
        framing = Framing::Sized(0);
    }
    answer.keeps_open &= !matches!(framing, Framing::Ended);
    Ok(framing)
}

fn number(value: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(value);
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("content-length: {text}"))
}

/// Finds the chunks of a body, and its end; none where it is not whole.
fn chunks(
    bytes: &[u8],
    start: usize,
    body: &mut Vec<Range<usize>>,
) -> Result<Option<usize>, String> {
    let faulty = "a chunk without a length or a line end".to_owned();
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let size = parse_chunk_size(rest).map_err(|_| faulty.clone())?;
        let Status::Complete((taken, size)) = size else {
            return Ok(None);
        };
        at += taken;
        if size == 0 {
            return Ok(trailers_end(bytes, at));
        }
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| at.checked_add(size));
        let end = end.ok_or_else(|| faulty.clone())?;
        body.push(at..end);
        match bytes.get(end..).unwrap_or_default() {
            [b'\r', b'\n', ..] => at = end + 2,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(faulty),
        }
    }
}

/// Trailers are lines up to an empty one.
fn trailers_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(at..)?;
        let line = rest.iter().position(|byte| *byte == b'\n')?;
        at += line + 1;
        if rest.get(..line)?.trim_ascii().is_empty() {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status, whether the connection stays open, and the body.
    fn whole(text: &str, ended: bool) -> Option<(u16, bool, String)> {
        match read(text.as_bytes(), ended).unwrap() {
            Reading::Short(_) => None,
            Reading::Whole(answer) => {
                let body = answer.body(text.as_bytes());
                Some((
                    answer.status,
                    answer.keeps_open,
                    String::from_utf8(body).unwrap(),
                ))
            }
        }
    }

    #[test]
    fn an_answer_is_whole_with_its_last_byte_and_not_before() {
        for (text, status, keeps_open, body) in [
            (
                "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello",
                200,
                true,
                "hello",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                200,
                true,
                "",
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, true, ""),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 7\r\n\r\nCreated",
                201,
                true,
                "Created",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n1;name=value\r\n,\r\nA\r\n big world\r\n0\r\n\r\n",
                200,
                true,
                "hello, big world",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n",
                200,
                true,
                "",
            ),
            (
                "HTTP/1.1 200 OK\r\nconnection: Upgrade, CLOSE\r\ncontent-length: 0\r\n\r\n",
                200,
                false,
                "",
            ),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
                200,
                false,
                "",
            ),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
                200,
                true,
                "",
            ),
        ] {
            for length in 0..text.len() {
                let Reading::Short(needed) = read(&text.as_bytes()[..length], true).unwrap() else {
                    panic!("whole after {length} bytes of {text}");
                };
                assert!(
                    (length + 1..=text.len()).contains(&needed.unwrap()),
                    "{text}"
                );
            }
            assert_eq!(
                whole(text, false),
                Some((status, keeps_open, body.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let text = "HTTP/1.1 200 OK\r\n\r\nall of it";
        assert_eq!(read(text.as_bytes(), false), Ok(Reading::Short(None)));
        assert_eq!(
            whole(text, true),
            Some((200, false, "all of it".to_owned()))
        );
    }

    #[test]
    fn malformed_bytes_are_refused_at_once() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_BYTES_MAX));
        let sized =
            |length: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nabc");
        let chunked =
            |body: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        for (text, expected) in [
            ("garbage\r\n\r\n".to_owned(), "no HTTP/1 answer"),
            ("HTTP/2 200\r\n\r\n".to_owned(), "no HTTP/1 answer"),
            (long, "a head of more than"),
            (sized("5x"), "content-length: 5x"),
            (sized("-1"), "content-length: -1"),
            (sized("2"), "1 bytes more"),
            (
                "HTTP/1.1 204 No Content\r\n\r\nabc".to_owned(),
                "3 bytes more",
            ),
            (chunked("xyz\r\n"), "a chunk without"),
            (chunked("1\r\nab\r\n"), "a chunk without"),
        ] {
            let error = read(text.as_bytes(), false).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
