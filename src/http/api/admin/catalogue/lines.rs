//! The lines of a body, one after the other as they arrive.
//!
//! Must not know what a line means. Invariant: no more is held than the longest line that is taken and one frame
//! of the body.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;

use crate::error::ApiError;

/// The time for which more of a body is waited for.
const PAUSE_TIME_MAX: Duration = Duration::from_mins(1);

/// A body that is read line by line.
pub(in crate::admin) struct BodyLines<B> {
    body: Pin<Box<B>>,
    /// What was received and not taken.
    received: Vec<u8>,
    /// The bytes at its beginning that have no line end.
    searched: usize,
    has_ended: bool,
    /// Lines so far.
    count: u64,
    line_bytes_max: usize,
    /// True while the rest of a line that is too long is passed over.
    is_too_long: bool,
}

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::admin) struct BodyLine {
    /// Its number, counted from 1.
    pub(in crate::admin) number: u64,
    /// `None` for one that is too long.
    pub(in crate::admin) text: Option<Vec<u8>>,
}

impl<B> BodyLines<B>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    pub(in crate::admin) fn of(body: B, line_bytes_max: usize) -> Self {
        Self {
            body: Box::pin(body),
            received: Vec::new(),
            searched: 0,
            has_ended: false,
            count: 0,
            line_bytes_max,
            is_too_long: false,
        }
    }

    /// Returns true if the next line was received.
    pub(in crate::admin) fn is_ready(&mut self) -> bool {
        self.has_ended || self.line_end().is_some()
    }

    /// The next line; `None` behind the last.
    pub(in crate::admin) async fn next(&mut self) -> Result<Option<BodyLine>, ApiError> {
        loop {
            if let Some(end) = self.line_end() {
                return Ok(Some(self.take(end, end + 1)));
            }
            if self.has_ended {
                let left = self.received.len();
                let is_none = left == 0 && !self.is_too_long;
                return Ok((!is_none).then(|| self.take(left, left)));
            }
            if self.received.len() > self.line_bytes_max {
                self.is_too_long = true;
                self.received.clear();
                self.searched = 0;
            }
            self.receive().await?;
        }
    }

    /// Receives more.
    pub(in crate::admin) async fn receive(&mut self) -> Result<(), ApiError> {
        let frame = timeout(PAUSE_TIME_MAX, self.body.frame()).await;
        let Some(frame) = frame.map_err(|_| ApiError::SlowBody)? else {
            self.has_ended = true;
            return Ok(());
        };
        let frame = frame.map_err(|_| ApiError::BrokenBody)?;
        if let Ok(mut data) = frame.into_data() {
            while data.has_remaining() {
                let chunk = data.chunk();
                let bytes = chunk.len();
                self.received.extend_from_slice(chunk);
                data.advance(bytes);
            }
        }
        Ok(())
    }

    fn line_end(&mut self) -> Option<usize> {
        let unsearched = self.received.get(self.searched..).unwrap_or_default();
        let found = unsearched.iter().position(|byte| *byte == b'\n');
        let end = found.map(|at| self.searched + at);
        self.searched = end.unwrap_or(self.received.len());
        end
    }

    /// Takes the line before `end`, and removes everything before `behind`.
    fn take(&mut self, end: usize, behind: usize) -> BodyLine {
        self.count += 1;
        self.searched = 0;
        let is_too_long = std::mem::take(&mut self.is_too_long) || end > self.line_bytes_max;
        let mut text: Vec<u8> = self.received.drain(..behind).collect();
        text.truncate(end);
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        BodyLine {
            number: self.count,
            text: (!is_too_long).then_some(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use hyper::body::Frame;

    /// A body of these frames.
    struct Frames(VecDeque<&'static str>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let next = self.0.pop_front();
            Poll::Ready(next.map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
        }
    }

    async fn lines(frames: &[&'static str], line_bytes_max: usize) -> Vec<Option<String>> {
        let frames = Frames(frames.iter().copied().collect());
        let mut lines = BodyLines::of(frames, line_bytes_max);
        let mut all = Vec::new();
        while let Some(BodyLine { number, text }) = lines.next().await.unwrap() {
            assert_eq!(number, all.len() as u64 + 1);
            all.push(text.map(|text| String::from_utf8(text).unwrap()));
        }
        all
    }

    #[tokio::test]
    async fn lines_are_the_same_however_they_arrive() {
        let expected = ["ab", "", "c", "d"].map(|text| Some(text.to_owned()));
        for frames in [
            &["ab\n\nc\r\nd"][..],
            &["a", "b\n", "\nc", "\r", "\n", "d", "\n"],
        ] {
            assert_eq!(lines(frames, 9).await, expected);
        }
        assert_eq!(lines(&[], 9).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_passed_over() {
        let long = ["ab", "cdef", "ghi", "j\nk\nlmnop"];
        let expected = [None, Some("k".to_owned()), None];
        assert_eq!(lines(&long, 4).await, expected);
    }
}
