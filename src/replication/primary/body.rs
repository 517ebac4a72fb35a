//! A response to a replica: its status, and its body in one piece, or piece by piece as there is more.
//!
//! Invariant: no more pieces wait to be sent than the channel holds; when the replica is disconnected, the
//! channel is closed.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
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
    /// Returns a body that is sent as it comes, and the sender of its pieces.
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

/// Returns the answer to a request that needs none.
pub(super) fn done() -> Response<Body> {
    let mut done = Response::new(Body::Whole(Bytes::new()));
    *done.status_mut() = StatusCode::NO_CONTENT;
    done
}

/// A 404 for a path that is none of these.
pub(super) fn nothing() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "nothing is served at this path\n")
}

/// A 503 with its cause, for the operator: a client answered here has the token, or is on the same machine.
pub(super) fn unavailable(why: &str) -> Response<Body> {
    let body = Body::Whole(format!("{why}\n").into());
    answer(
        StatusCode::SERVICE_UNAVAILABLE,
        "text/plain; charset=utf-8",
        body,
    )
}

/// An answer as JSON.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    // Plain values always have a text.
    let text = serde_json::to_vec(value).unwrap_or_default();
    answer(status, "application/json", Body::Whole(text.into()))
}

/// An answer of a line of text.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Body::Whole(Bytes::from_static(text.as_bytes()));
    answer(status, "text/plain; charset=utf-8", body)
}

/// An answer with a body.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    answer
}
