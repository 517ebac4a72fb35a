//! The body of an answer, which notes on its connection's clock when it is complete.
//!
//! Invariant: frames pass unchanged.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::ResponseBody;
use super::clock::ConnectionClock;

/// The body and the clock.
pub(super) struct TrackedBody<B> {
    body: B,
    clock: Arc<ConnectionClock>,
}

impl<B: ResponseBody> TrackedBody<B> {
    pub(super) fn new(body: B, clock: Arc<ConnectionClock>) -> Self {
        Self { body, clock }
    }

    /// Returns true if there is more of it than was read.
    pub(super) fn goes_on(&self) -> bool {
        !self.body.is_end_stream() && self.body.size_hint().exact() != Some(0)
    }
}

impl<B> Drop for TrackedBody<B> {
    fn drop(&mut self) {
        // A body that is not read, such as that of HEAD, is complete as well.
        self.clock.complete();
    }
}

impl<B: ResponseBody> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || !self.goes_on() {
            self.clock.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
