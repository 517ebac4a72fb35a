//! Standard output.
//! Invariant: a command whose output is closed by its reader, as in `| head`, ends at once and without a
//! word. What it changed by then is durable, since commands print what they have done.

use std::io::{self, Write};

use crate::signals::leave;

/// As shells say of a program that a closed pipe ended.
const UNREAD: u8 = 141;

/// Standard output, which is locked for each write alone.
pub(super) struct Stdout(io::Stdout);

/// Standard output.
pub(super) fn out() -> Stdout {
    Stdout(io::stdout())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_unread(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_unread(self.0.flush())
    }
}

fn unless_unread<T>(done: io::Result<T>) -> io::Result<T> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => leave(UNREAD),
        done => done,
    }
}
