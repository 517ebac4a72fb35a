//! The response budget: memory for large answers on their way to clients.
//!
//! Must not know what is answered. Invariant: the large answers that clients have not taken yet keep
//! within a number of bytes; whoever asks for one beyond that waits, and holds nothing meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is not larger needs none of it: connections are counted, and this is what one may hold.
pub(super) const SMALL_BYTES_MAX: usize = 64 << 10;
/// What a row is taken to need before it has been read.
const ROW_BYTES: usize = 1 << 10;
/// The budget is counted in units of this many bytes.
const UNIT_BYTES: usize = 1 << 10;

/// The bytes that large answers on their way may hold together.
#[derive(Clone)]
pub(super) struct ResponseBudget {
    free: Arc<Semaphore>,
    units: u32,
}

/// A part of the budget.
pub(super) struct Permit(OwnedSemaphorePermit);

impl ResponseBudget {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT_BYTES;
        let units = units.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self {
            free: Arc::new(Semaphore::new(units)),
            units: u32::try_from(units).unwrap_or(u32::MAX),
        }
    }

    /// Waits for the bytes that so many rows will need; an answer that needs more than there is takes all.
    /// `None` for few rows, which need none.
    pub(super) async fn take(&self, rows: usize) -> Option<Permit> {
        let bytes = rows.saturating_mul(ROW_BYTES);
        if bytes <= SMALL_BYTES_MAX {
            return None;
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let free = Arc::clone(&self.free);
        // It fails only when the semaphore is closed, which this one never is.
        let held = free.acquire_many_owned(units.min(self.units)).await.ok()?;
        Some(Permit(held))
    }
}

impl Permit {
    /// The body, which holds as much of the budget as it needs until it has been sent.
    pub(super) fn hold(self, body: Box<[u8]>) -> Bytes {
        struct Answer {
            body: Box<[u8]>,
            _permit: OwnedSemaphorePermit,
        }
        impl AsRef<[u8]> for Answer {
            fn as_ref(&self) -> &[u8] {
                &self.body
            }
        }
        if body.len() <= SMALL_BYTES_MAX {
            return Bytes::from(body);
        }
        let Self(mut permit) = self;
        let surplus = permit
            .num_permits()
            .saturating_sub(body.len().div_ceil(UNIT_BYTES));
        drop(permit.split(surplus));
        Bytes::from_owner(Answer {
            body,
            _permit: permit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn large() -> Box<[u8]> {
        vec![b'x'; 100 << 10].into()
    }

    #[test]
    fn few_rows_need_no_permit() {
        let budget = ResponseBudget::new(0);
        assert!(matches!(poll(budget.take(64)), Poll::Ready(None)));
    }

    #[test]
    fn a_large_answer_waits_until_those_before_it_have_been_sent() {
        let budget = ResponseBudget::new(1 << 20);
        let Poll::Ready(Some(held)) = poll(budget.take(5000)) else {
            panic!("the first one has all there is");
        };
        assert!(poll(budget.take(100)).is_pending());
        let answer = held.hold(large());
        assert_eq!(
            budget.free.available_permits(),
            1024 - 100,
            "what it does not need is free"
        );
        assert!(poll(budget.take(1000)).is_pending());
        drop(answer);
        assert!(matches!(poll(budget.take(1000)), Poll::Ready(Some(_))));
    }

    #[test]
    fn a_small_answer_to_a_large_question_holds_nothing() {
        let budget = ResponseBudget::new(1 << 20);
        let Poll::Ready(Some(held)) = poll(budget.take(1000)) else {
            panic!("there are bytes left");
        };
        let answer = held.hold(vec![b'x'; 10].into());
        assert_eq!(budget.free.available_permits(), 1024);
        assert_eq!(answer.len(), 10);
    }
}
