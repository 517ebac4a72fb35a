//! A thread that is waited for when whoever has it lets go.
//!
//! Must not know what it does. Invariant: once it is dropped, the thread holds nothing any more. What the
//! thread ends with, such as the way of its work to it, must be dropped before: stand above it.

use std::thread::JoinHandle;

/// A thread that was started.
pub struct JoinOnDrop(Option<JoinHandle<()>>);

impl From<JoinHandle<()>> for JoinOnDrop {
    fn from(thread: JoinHandle<()>) -> Self {
        Self(Some(thread))
    }
}

impl Drop for JoinOnDrop {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A panic of its has been told already.
            let _ = thread.join();
        }
    }
}
