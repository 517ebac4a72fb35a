//! The body of a request, read within its bounds.
//!
//! Must not know the content. Invariants: at most so many bytes of a body are held as one may have, in one buffer
//! and in none of the frames that it came in; the buffers of all bodies keep within the budget; a body takes no
//! longer than its [`BodyPace`] allows.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::error::ApiError;

/// Bytes of a body at most: a review with the longest texts and photos that are taken, in a script
/// of three bytes a character, is well within.
pub(super) const BYTES_MAX: usize = 64 << 10;
/// Bytes of a buffer at first: most reviews fit.
const FIRST_BYTES: usize = 2 << 10;
/// The budget is counted in units of this many bytes.
const UNIT_BYTES: usize = 1 << 10;

/// The time that a body may take: half of `time_max`, and longer for the bytes received by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyPace {
    /// From the end of a request's headers to the end of its body at most.
    pub(super) time_max: Duration,
    /// The bytes that buy a second beyond the first half of `time_max`.
    pub(super) rate_min: u64,
}

impl BodyPace {
    /// The time by which more bytes, or the end, must have been received after so many bytes.
    fn time_max(self, received: usize) -> Duration {
        let micros = (received as u64).saturating_mul(1_000_000) / self.rate_min.max(1);
        let bought = Duration::from_micros(micros);
        self.time_max.min(self.time_max / 2 + bought)
    }
}

/// The bodies under way, and the budget that their buffers share.
pub(super) struct Bodies {
    free: Arc<Semaphore>,
    units: usize,
    /// Bytes of one body at most.
    body_bytes_max: usize,
    refused: AtomicU64,
}

/// A whole body, which holds its part of the budget until it is dropped.
#[derive(Debug)]
pub(super) struct RequestBody {
    bytes: Vec<u8>,
    held: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for RequestBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Bodies {
    /// A budget of so many bytes, and of one body at least.
    pub(super) fn new(bytes: u64) -> Self {
        Self::of_large(bytes, BYTES_MAX)
    }

    /// The same, for bodies of so many bytes at most.
    pub(super) fn of_large(bytes: u64, body_bytes_max: usize) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let units = bytes.max(body_bytes_max).min(u32::MAX as usize) / UNIT_BYTES;
        Self {
            body_bytes_max,
            free: Arc::new(Semaphore::new(units)),
            units,
            refused: AtomicU64::new(0),
        }
    }

    /// The bytes of the budget.
    pub(super) fn max_bytes(&self) -> u64 {
        (self.units * UNIT_BYTES) as u64
    }

    /// The bytes that bodies hold.
    pub(super) fn held_bytes(&self) -> u64 {
        let held = self.units - self.free.available_permits().min(self.units);
        (held * UNIT_BYTES) as u64
    }

    /// The number of bodies that were refused because other bodies held the budget.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Reads all of `body`, if it arrives in its time and the budget has space for it.
    pub(super) async fn read<B>(&self, body: B, pace: BodyPace) -> Result<RequestBody, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        // If its length is declared, no byte of it has to be read.
        if body.size_hint().lower() > self.body_bytes_max as u64 {
            return Err(ApiError::LargeBody);
        }
        let mut body = pin!(body);
        let mut read = RequestBody {
            bytes: Vec::new(),
            held: None,
        };
        let begun = Instant::now();
        loop {
            let deadline = begun + pace.time_max(read.bytes.len());
            let frame = timeout_at(deadline, body.frame()).await;
            let Some(frame) = frame.map_err(|_| ApiError::SlowBody)? else {
                return Ok(read);
            };
            let frame = frame.map_err(|_| ApiError::BrokenBody)?;
            if let Ok(data) = frame.into_data() {
                self.append(&mut read, data)?;
            }
        }
    }

    /// Copies a frame, whose own buffer may be much larger than its content.
    fn append(&self, read: &mut RequestBody, mut frame: impl Buf) -> Result<(), ApiError> {
        let length = read.bytes.len() + frame.remaining();
        if length > self.body_bytes_max {
            return Err(ApiError::LargeBody);
        }
        if length > read.bytes.capacity() {
            self.grow(read, length)?;
        }
        while frame.has_remaining() {
            let chunk = frame.chunk();
            let bytes = chunk.len();
            read.bytes.extend_from_slice(chunk);
            frame.advance(bytes);
        }
        Ok(())
    }

    /// Reserves space for `length` bytes, at least twice the previous capacity.
    fn grow(&self, read: &mut RequestBody, length: usize) -> Result<(), ApiError> {
        let units = |permit: &OwnedSemaphorePermit| permit.num_permits();
        let held = read.held.as_ref().map_or(0, units);
        let wanted = length.max(2 * held * UNIT_BYTES).max(FIRST_BYTES);
        let wanted = wanted.min(self.body_bytes_max).div_ceil(UNIT_BYTES);
        let more = u32::try_from(wanted - held).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.free).try_acquire_many_owned(more) else {
            self.refused.fetch_add(1, Relaxed);
            return Err(ApiError::ManyBodies);
        };
        match &mut read.held {
            Some(held) => held.merge(more),
            held => *held = Some(more),
        }
        let room = wanted * UNIT_BYTES - read.bytes.len();
        read.bytes.reserve_exact(room);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::task::Poll;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::body::Frame;

    const PACE: BodyPace = BodyPace {
        time_max: Duration::from_mins(1),
        rate_min: 1,
    };

    /// A body of so many frames of one byte, which does not end where `ends` is false.
    struct Dribble {
        frames: usize,
        ends: bool,
    }

    impl Body for Dribble {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match (self.frames, self.ends) {
                (0, true) => Poll::Ready(None),
                (0, false) => Poll::Pending,
                _ => {
                    self.frames -= 1;
                    Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b' '])))))
                }
            }
        }
    }

    #[test]
    fn half_of_the_time_needs_no_bytes_and_bytes_buy_more() {
        let pace = BodyPace {
            time_max: Duration::from_secs(10),
            rate_min: 16 << 10,
        };
        assert_eq!(pace.time_max(0), Duration::from_secs(5));
        assert_eq!(pace.time_max(16 << 10), Duration::from_secs(6));
        assert_eq!(pace.time_max(1 << 20), Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_body_holds_one_buffer_however_many_frames_it_had() {
        let bodies = Bodies::new(1 << 20);
        let body = Dribble {
            frames: 3000,
            ends: true,
        };
        let body = bodies.read(body, PACE).await.unwrap();
        assert_eq!(body.as_ref().len(), 3000);
        assert_eq!(bodies.held_bytes(), 4096);
        assert_eq!(body.bytes.capacity(), 4096);
        drop(body);
        assert_eq!(bodies.held_bytes(), 0);
    }

    #[tokio::test]
    async fn a_body_beyond_the_budget_is_refused_until_another_goes() {
        let bodies = Bodies::new(0);
        let large = || Full::new(Bytes::from(vec![b' '; BYTES_MAX - 2048]));
        let first = bodies.read(large(), PACE).await.unwrap();
        let second = bodies.read(large(), PACE).await;
        assert!(matches!(second, Err(ApiError::ManyBodies)), "{second:?}");
        let small = bodies
            .read(Full::new(Bytes::from_static(b"{}")), PACE)
            .await;
        assert_eq!(small.unwrap().as_ref(), b"{}");
        drop(first);
        assert!(bodies.read(large(), PACE).await.is_ok());
        assert_eq!((bodies.held_bytes(), bodies.refused()), (0, 1));
    }

    #[tokio::test]
    async fn a_body_that_gets_stuck_ends_and_holds_nothing() {
        let bodies = Bodies::new(0);
        let stuck = Dribble {
            frames: 10,
            ends: false,
        };
        let pace = BodyPace {
            time_max: Duration::from_millis(2),
            ..PACE
        };
        let stuck = bodies.read(stuck, pace).await;
        assert!(matches!(stuck, Err(ApiError::SlowBody)), "{stuck:?}");
        assert_eq!(bodies.held_bytes(), 0);
    }
}
