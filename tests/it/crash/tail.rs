//! The last lines of a server's log, for a failure that names an answer of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that are retained.
const LINES_MAX: usize = 200;
/// The log has a thread of its own, so the line about an answer may come after it.
const LATE_MAX: Duration = Duration::from_secs(2);

/// The last lines of a log that is still written. Clones are one tail.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    pub(super) fn push(&self, line: String) {
        let mut lines = self.lines();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The body of an unexpected answer with the lines, once one of them names its request.
    pub(super) fn explain(&self, body: &[u8]) -> String {
        let body = String::from_utf8_lossy(body);
        let request = body.split_once("(request ").map(|(_, rest)| rest);
        let request = request.and_then(|rest| rest.split_once(')'));
        let deadline = Instant::now() + LATE_MAX;
        let is_named = |line: &String| request.is_none_or(|(id, _)| line.contains(id));
        while !self.lines().iter().any(is_named) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let lines: Vec<_> = self.lines().iter().cloned().collect();
        format!("{body}\nthe server's log:\n{}", lines.join("\n"))
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[test]
fn the_tail_of_a_log_explains_the_answer_that_it_names() {
    let tail = Tail::default();
    for number in 0..300 {
        tail.push(format!("line {number}"));
    }
    let late = tail.clone();
    let writer = thread::spawn(move || late.push("request_id=7f: damaged".to_owned()));
    let told = tail.explain(b"Error: something failed (request 7f)");
    writer.join().unwrap();
    assert!(told.starts_with("Error: something failed (request 7f)\n"));
    assert!(told.ends_with("line 299\nrequest_id=7f: damaged"), "{told}");
    assert!(!told.contains("line 100\n"), "{told}");
}
