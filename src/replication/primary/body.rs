//! An answer to a replica: in one piece, or piece by piece as there is more.
//!
//! Invariant: no more pieces wait to be sent than the channel holds; when the replica is gone, so
//! is the channel.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;

/// Pieces that wait to be sent at most.
pub(crate) const PIECES_MAX: usize = 4;
/// The bytes of a piece, about.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// The pieces from a channel, of so many bytes where that is known.
    Pieces(mpsc::Receiver<Bytes>, Option<u64>),
}

impl Body {
    /// One that is sent as it comes, and the way to send it.
    pub(crate) fn pieces(bytes: Option<u64>) -> (mpsc::Sender<Bytes>, Self) {
        let (send, receive) = mpsc::channel(PIECES_MAX);
        (send, Self::Pieces(receive, bytes))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Pieces(receive, left) => receive.poll_recv(cx).map(|piece| {
                let piece = piece?;
                if let Some(left) = left {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                Some(Ok(Frame::data(piece)))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_, Some(bytes)) => SizeHint::with_exact(*bytes),
            Self::Pieces(_, None) => SizeHint::default(),
        }
    }
}
