//! A question that a person on a terminal answers with yes or no.
//!
//! Must not know what is asked. Invariant: anything but yes is no.

use std::io::{self, BufRead, IsTerminal, Write};

/// Asks a question. Returns the answer; `None` if there is no terminal to ask on.
pub(super) fn confirmed(question: &str) -> io::Result<Option<bool>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut err = io::stderr();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let answer = answer.trim();
    let is_yes = answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes");
    Ok(Some(is_yes))
}
