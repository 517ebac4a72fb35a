//! The body of an answer: in one piece mostly, or in several, each of which is freed once it was sent.
//!
//! Must not know the content. Invariant: the length is known before the first byte is sent.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The bytes of an answer, in the order in which they are sent.
#[derive(Debug, Default)]
pub struct BodyPieces {
    first: Bytes,
    rest: vec::IntoIter<Bytes>,
    /// Bytes of all that is left.
    left: usize,
}

impl BodyPieces {
    /// The pieces of an answer, none of which is empty but an only one.
    pub(super) fn new(first: Bytes, rest: Vec<Bytes>) -> Self {
        let left = first.len() + rest.iter().map(Bytes::len).sum::<usize>();
        Self {
            first,
            rest: rest.into_iter(),
            left,
        }
    }

    /// The number of bytes that have not been taken yet.
    pub(super) fn len(&self) -> usize {
        self.left
    }
}

impl From<Bytes> for BodyPieces {
    fn from(whole: Bytes) -> Self {
        Self {
            left: whole.len(),
            first: whole,
            rest: vec::IntoIter::default(),
        }
    }
}

impl From<Vec<u8>> for BodyPieces {
    fn from(whole: Vec<u8>) -> Self {
        Bytes::from(whole).into()
    }
}

impl From<String> for BodyPieces {
    fn from(whole: String) -> Self {
        Bytes::from(whole).into()
    }
}

impl Body for BodyPieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let next = self.rest.next().unwrap_or_default();
        let piece = mem::replace(&mut self.first, next);
        self.left = self.left.saturating_sub(piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn pieces_come_in_their_order_and_the_length_is_that_of_all() {
        let rest = ["b", "cd"].map(Bytes::from).to_vec();
        let mut pieces = BodyPieces::new(Bytes::from_static(b"a"), rest);
        assert_eq!(pieces.len(), 4);
        let mut taken = Vec::new();
        while let Some(frame) = pieces.frame().await {
            taken.push(frame.unwrap().into_data().unwrap());
            let left = 4 - taken.concat().len();
            assert_eq!(pieces.size_hint().exact(), Some(left as u64));
            assert_eq!(pieces.is_end_stream(), left == 0);
        }
        assert_eq!(taken, ["a", "b", "cd"]);
    }

    #[tokio::test]
    async fn an_empty_body_has_no_frame() {
        let mut pieces = BodyPieces::from(Bytes::new());
        assert!(pieces.is_end_stream());
        assert!(pieces.frame().await.is_none());
    }
}
