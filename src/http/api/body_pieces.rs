//! The body of an answer: in one piece mostly, or in several, each of which is freed once it was sent.
//!
//! Must not know the content. Invariant: the length is known before the first byte is sent, but of an answer that
//! is made while it is sent.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// The bytes of an answer, in the order in which they are sent.
#[derive(Debug, Default)]
pub struct BodyPieces {
    first: Bytes,
    rest: vec::IntoIter<Bytes>,
    /// Bytes of all that is left.
    left: usize,
    /// The pieces of an answer that is made while it is sent.
    made: Option<mpsc::Receiver<Bytes>>,
}

impl BodyPieces {
    /// The pieces of an answer, none of which is empty but an only one.
    pub(super) fn new(first: Bytes, rest: Vec<Bytes>) -> Self {
        let left = first.len() + rest.iter().map(Bytes::len).sum::<usize>();
        Self {
            first,
            rest: rest.into_iter(),
            left,
            made: None,
        }
    }

    /// The pieces of an answer that is made while it is sent, none of which is empty.
    pub(super) fn streamed(pieces: mpsc::Receiver<Bytes>) -> Self {
        Self {
            made: Some(pieces),
            ..Self::default()
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
            made: None,
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
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(made) = &mut self.made {
            return made
                .poll_recv(context)
                .map(|piece| Some(Ok(Frame::data(piece?))));
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let next = self.rest.next().unwrap_or_default();
        let piece = mem::replace(&mut self.first, next);
        self.left = self.left.saturating_sub(piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.made.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.made {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.left as u64),
        }
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
    async fn pieces_that_are_made_while_they_are_sent_have_no_length() {
        let (made, pieces) = mpsc::channel(2);
        let mut pieces = BodyPieces::streamed(pieces);
        assert!(!pieces.is_end_stream());
        assert_eq!(pieces.size_hint().exact(), None);
        for piece in ["a", "bc"] {
            made.send(Bytes::from(piece)).await.unwrap();
        }
        drop(made);
        let mut taken = Vec::new();
        while let Some(frame) = pieces.frame().await {
            taken.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(taken, ["a", "bc"]);
    }

    #[tokio::test]
    async fn an_empty_body_has_no_frame() {
        let mut pieces = BodyPieces::from(Bytes::new());
        assert!(pieces.is_end_stream());
        assert!(pieces.frame().await.is_none());
    }
}
