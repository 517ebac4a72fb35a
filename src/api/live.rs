//! What may be replaced while requests are answered.
//!
//! Invariant: a request works with what was in force when it began, all of it; nobody holds the lock
//! for longer than it takes to copy a pointer.

use std::sync::{Arc, PoisonError, RwLock};

/// Something that requests use and an operator may replace.
pub(super) struct Live<T>(RwLock<Arc<T>>);

impl<T> Live<T> {
    pub(super) fn new(first: T) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    /// Returns the value in force.
    pub(super) fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place, for the requests that begin from then on.
    pub(super) fn replace(&self, next: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }
}
