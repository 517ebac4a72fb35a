//! A thread handle that joins on drop.
//!
//! Must not know the thread's work. Invariant: once the handle is dropped, the thread holds nothing any
//! more. The thread's end signal, such as the sender of its work, must be dropped before: declare it above
//! the handle.

use std::thread::JoinHandle;

/// A thread that was started.
pub struct JoinOnDrop(Option<JoinHandle<()>>);

impl JoinOnDrop {
    /// Returns true if the thread has ended.
    pub(super) fn is_finished(&self) -> bool {
        self.0.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl From<JoinHandle<()>> for JoinOnDrop {
    fn from(thread: JoinHandle<()>) -> Self {
        Self(Some(thread))
    }
}

impl Drop for JoinOnDrop {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // Its panic has been reported already.
            let _ = thread.join();
        }
    }
}
