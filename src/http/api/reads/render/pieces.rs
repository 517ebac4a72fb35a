//! An answer while it is rendered: JSON in pieces, and the bytes that it may have.
//!
//! Must not know what is rendered, or where the bytes come from. Invariants: a list ends after a whole row; it
//! has one row at least if there is one; beyond the granted bytes at most one piece and one row are held.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::super::super::body_pieces::BodyPieces;
use super::super::super::json::JsonWriter;

/// Bytes of a piece; one with a larger row is larger.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes that a further piece has space for at first.
const ROOM_BYTES: usize = PIECE_BYTES + (8 << 10);

/// The bytes that an answer may have.
pub(crate) struct AnswerBounds<'b> {
    /// Bytes of a list, unless one row has more.
    pub(crate) bytes_max: usize,
    /// Requests so many bytes altogether; false if they are not available.
    pub(crate) grow: &'b mut dyn FnMut(usize) -> bool,
}

/// The outcome of rendering.
#[derive(Debug)]
pub(crate) enum RenderOutcome {
    /// The answer.
    Done(Rendered),
    /// There is no such thing.
    NoSuch,
    /// The body needs more bytes than were granted.
    TooLarge,
}

/// A rendered answer.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) first: Bytes,
    pub(crate) rest: Vec<Bytes>,
    /// The number of rows of a list that ended before it had all requested ones.
    pub(crate) truncated: Option<usize>,
}

impl Rendered {
    fn whole(body: Vec<u8>) -> Self {
        Self {
            first: exact(body),
            rest: Vec::new(),
            truncated: None,
        }
    }

    /// True if its first piece is all that was requested.
    pub(crate) fn is_whole(&self) -> bool {
        self.rest.is_empty() && self.truncated.is_none()
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.rest.iter().map(Bytes::len).sum::<usize>()
    }

    /// The body, each piece of which goes through `hold`.
    pub(crate) fn into_pieces(self, mut hold: impl FnMut(Bytes) -> Bytes) -> BodyPieces {
        let first = hold(self.first);
        BodyPieces::new(first, self.rest.into_iter().map(hold).collect())
    }
}

/// The body at its exact length: spare capacity would be held with it.
fn exact(body: Vec<u8>) -> Bytes {
    Bytes::from(body.into_boxed_slice())
}

impl AnswerBounds<'_> {
    /// The outcome of rendering an object that is no list, or that does not exist.
    pub(crate) fn alone(self, body: Option<Vec<u8>>) -> RenderOutcome {
        match body {
            None => RenderOutcome::NoSuch,
            Some(body) if (self.grow)(body.len()) => RenderOutcome::Done(Rendered::whole(body)),
            Some(_) => RenderOutcome::TooLarge,
        }
    }
}

/// A list while it is rendered.
pub(crate) struct List<'b> {
    bounds: AnswerBounds<'b>,
    json: JsonWriter,
    first: Option<Bytes>,
    rest: Vec<Bytes>,
    /// Bytes of the pieces that are done.
    done: usize,
    rows: usize,
    end: Option<ListEnd>,
}

/// The reason a list ends before its last row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListEnd {
    Truncated,
    TooLarge,
}

impl<'b> List<'b> {
    /// A list that begins with what was written into `json`.
    pub(crate) fn new(json: JsonWriter, bounds: AnswerBounds<'b>) -> Self {
        Self {
            bounds,
            json,
            first: None,
            rest: Vec::new(),
            done: 0,
            rows: 0,
            end: None,
        }
    }

    /// Writes one more row, and says whether another may come.
    pub(crate) fn row(&mut self, write: impl FnOnce(&mut JsonWriter)) -> ControlFlow<()> {
        let before = self.json.len();
        if self.rows > 0 {
            self.json.raw(",");
        }
        write(&mut self.json);
        let bytes = self.done + self.json.len();
        if bytes > self.bounds.bytes_max && self.rows > 0 {
            self.json.truncate(before);
            self.end = Some(ListEnd::Truncated);
        } else if (self.bounds.grow)(bytes) {
            self.rows += 1;
            self.cut();
            return ControlFlow::Continue(());
        } else {
            self.end = Some(ListEnd::TooLarge);
        }
        ControlFlow::Break(())
    }

    /// Ends a piece that is large enough.
    fn cut(&mut self) {
        if self.json.len() < PIECE_BYTES {
            return;
        }
        let next = JsonWriter::with_capacity(ROOM_BYTES);
        let piece = exact(std::mem::replace(&mut self.json, next).into_bytes());
        self.done += piece.len();
        match self.first {
            None => self.first = Some(piece),
            Some(_) => self.rest.push(piece),
        }
    }

    /// Ends the list with `tail`.
    pub(crate) fn finish(mut self, tail: &str) -> RenderOutcome {
        if self.end == Some(ListEnd::TooLarge) {
            return RenderOutcome::TooLarge;
        }
        self.json.raw(tail);
        let last = exact(self.json.into_bytes());
        let first = match self.first {
            None => last,
            Some(first) => {
                self.rest.push(last);
                first
            }
        };
        RenderOutcome::Done(Rendered {
            first,
            rest: self.rest,
            truncated: self.end.map(|_| self.rows),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of rows of so many bytes within bounds, and the most bytes that were requested.
    fn list(rows: &[usize], bytes_max: usize, given: usize) -> (RenderOutcome, usize) {
        let mut most = 0;
        let mut grow = |bytes: usize| {
            most = most.max(bytes);
            bytes <= given
        };
        let bounds = AnswerBounds {
            bytes_max,
            grow: &mut grow,
        };
        let mut json = JsonWriter::with_capacity(16);
        json.raw("[");
        let mut list = List::new(json, bounds);
        for bytes in rows {
            let row = "x".repeat(*bytes);
            let write = |json: &mut JsonWriter| {
                json.raw(&row);
            };
            if list.row(write).is_break() {
                break;
            }
        }
        let outcome = list.finish("]");
        (outcome, most)
    }

    fn done(outcome: RenderOutcome) -> (String, usize, Option<usize>) {
        let RenderOutcome::Done(rendered) = outcome else {
            panic!("{outcome:?}");
        };
        let pieces = 1 + rendered.rest.len();
        let truncated = rendered.truncated;
        let mut all = rendered.first.to_vec();
        all.extend(rendered.rest.concat());
        (String::from_utf8(all).unwrap(), pieces, truncated)
    }

    #[test]
    fn a_small_list_is_one_piece() {
        assert_eq!(done(list(&[], 0, 0).0), ("[]".to_owned(), 1, None));
        let (text, pieces, truncated) = done(list(&[1, 2], 100, 100).0);
        assert_eq!((text.as_str(), pieces, truncated), ("[x,xx]", 1, None));
    }

    #[test]
    fn a_large_list_is_cut_between_rows() {
        let (text, pieces, truncated) = done(list(&[1000; 200], usize::MAX, usize::MAX).0);
        assert_eq!((text.len(), pieces, truncated), (200_201, 4, None));
    }

    #[test]
    fn a_list_ends_after_the_last_row_that_fits() {
        let (text, _, truncated) = done(list(&[3, 3, 3], 8, 100).0);
        assert_eq!((text.as_str(), truncated), ("[xxx,xxx]", Some(2)));
        let (text, _, truncated) = done(list(&[3, 3, 3], 12, 100).0);
        assert_eq!((text.as_str(), truncated), ("[xxx,xxx,xxx]", None));
        // The first row is always granted its bytes.
        let (text, _, truncated) = done(list(&[30, 1], 8, 100).0);
        assert_eq!((text.len(), truncated), (32, Some(1)));
    }

    #[test]
    fn a_list_beyond_the_bytes_that_are_given_is_none() {
        let (outcome, most) = list(&[1000; 200], usize::MAX, 100_000);
        assert!(matches!(outcome, RenderOutcome::TooLarge), "{outcome:?}");
        assert!((100_000..101_010).contains(&most), "{most}");
    }

    #[test]
    fn what_is_no_list_is_given_bytes_too() {
        let alone = |body: Option<&[u8]>| {
            let mut grow = |bytes| bytes <= 3;
            let bounds = AnswerBounds {
                bytes_max: 0,
                grow: &mut grow,
            };
            bounds.alone(body.map(<[u8]>::to_vec))
        };
        assert!(matches!(alone(None), RenderOutcome::NoSuch));
        assert!(matches!(alone(Some(b"xxxx")), RenderOutcome::TooLarge));
        assert_eq!(done(alone(Some(b"xxx"))), ("xxx".to_owned(), 1, None));
    }
}
