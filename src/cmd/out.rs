//! Standard output.
//! Invariant: a command whose output is closed by its reader, as in `| head`, ends at once and silently. Its
//! changes up to then are durable, since commands print them once they are done.

use std::io::{self, Write};

use crate::signals::leave;

/// The exit code that shells report for a program ended by a closed pipe.
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
