//! Something that workers use one after the other, in the order of their pieces of work.
//!
//! Must not know what it is or what the work is. Invariant: a worker that waits gets its turn, or learns that a
//! worker before it gave up; no worker waits for ever.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// The reason a worker ended early.
pub(crate) enum GaveUp {
    /// For a reason of its own.
    Reason(Error),
    /// Because another worker did.
    Another,
}

impl From<Error> for GaveUp {
    fn from(error: Error) -> Self {
        Self::Reason(error)
    }
}

/// Hands something to workers in the order of their numbers.
pub(crate) struct Turn<T> {
    state: Mutex<TurnState<T>>,
    changed: Condvar,
}

struct TurnState<T> {
    next: u64,
    given_up: bool,
    shared: T,
}

/// It, while it is a worker's turn.
pub(crate) struct TurnGuard<'a, T>(MutexGuard<'a, TurnState<T>>);

impl<T> Deref for TurnGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.shared
    }
}

impl<T> DerefMut for TurnGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.shared
    }
}

impl<T> Turn<T> {
    pub(crate) fn new(shared: T) -> Self {
        Self {
            state: Mutex::new(TurnState {
                next: 0,
                given_up: false,
                shared,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits until all with lower numbers have passed it on.
    pub(crate) fn wait_for(&self, number: u64) -> Result<TurnGuard<'_, T>, GaveUp> {
        let mut state = self.lock();
        while state.next != number && !state.given_up {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.given_up {
            return Err(GaveUp::Another);
        }
        Ok(TurnGuard(state))
    }

    /// Lets the next one have it.
    pub(crate) fn pass_on(&self, number: u64) {
        self.lock().next = number + 1;
        self.changed.notify_all();
    }

    /// Gives up for all unless it is disarmed.
    pub(crate) fn give_up_on_drop(&self) -> GiveUp<'_, T> {
        GiveUp(Some(self))
    }

    pub(crate) fn into_inner(self) -> T {
        let state = self.state.into_inner();
        state.unwrap_or_else(PoisonError::into_inner).shared
    }

    fn lock(&self) -> MutexGuard<'_, TurnState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up when it is dropped, for any reason.
pub(crate) struct GiveUp<'a, T>(Option<&'a Turn<T>>);

impl<T> GiveUp<'_, T> {
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl<T> Drop for GiveUp<'_, T> {
    fn drop(&mut self) {
        if let Some(turn) = self.0 {
            turn.lock().given_up = true;
            turn.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn turns_come_in_order_whatever_the_order_of_the_workers() {
        let turn = Turn::new(Vec::new());
        thread::scope(|scope| {
            for number in (0..8).rev() {
                let turn = &turn;
                scope.spawn(move || {
                    if let Ok(mut numbers) = turn.wait_for(number) {
                        numbers.push(number);
                    }
                    turn.pass_on(number);
                });
            }
        });
        assert_eq!(turn.into_inner(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn whoever_waits_for_one_that_panicked_is_told() {
        let turn = Turn::new(());
        let told = thread::scope(|scope| {
            let waits = scope.spawn(|| matches!(turn.wait_for(1), Err(GaveUp::Another)));
            let panics = scope.spawn(|| {
                let _give_up = turn.give_up_on_drop();
                panic!("as a test does");
            });
            assert!(panics.join().is_err());
            waits.join()
        });
        assert!(told.unwrap());
    }
}
