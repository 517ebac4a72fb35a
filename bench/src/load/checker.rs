//! Bodies are checked on a thread of their own, at the lowest priority, so that a large one holds up
//! no request.
//!
//! Owns the way from the load to the check and what was found. What waits is bounded in number and
//! bytes; what does not fit is passed over, and counted by whoever brought it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::load::check::check;
use crate::load::mix::{Asked, Mix};

const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 64 << 20;
/// A wrong body is shown so far.
const EXCERPT_BYTES_MAX: usize = 400;
/// The lowest priority there is.
const NICE: i32 = 19;

/// An answer that is to be checked.
struct Sample {
    asked: Asked,
    phase: usize,
    body: Vec<u8>,
}

/// The end of a queue that takes samples.
#[derive(Clone)]
pub(crate) struct Desk {
    samples: Sender<Sample>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    /// Bodies found wrong so far.
    wrong: AtomicU64,
}

/// The thread that checks samples until the queue is closed.
pub(crate) struct Checker {
    samples: Receiver<Sample>,
    waiting: Arc<Waiting>,
}

/// The results of the checks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    /// Bodies looked at, and those found wrong, of each phase.
    pub(crate) phases: Vec<(u64, u64)>,
    /// The answers that were wrong, by phase and kind of request.
    pub(crate) wrong_by_kind: Vec<Vec<u64>>,
    /// The first that was wrong.
    pub(crate) example: Option<String>,
}

/// A desk, and the checker behind it.
pub(crate) fn open() -> (Desk, Checker) {
    let (sender, receiver) = bounded(WAITING_MAX);
    let waiting = Arc::new(Waiting::default());
    let desk = Desk {
        samples: sender,
        waiting: Arc::clone(&waiting),
    };
    let checker = Checker {
        samples: receiver,
        waiting,
    };
    (desk, checker)
}

impl Desk {
    /// True if there was room for it.
    pub(crate) fn take(&self, asked: Asked, phase: usize, body: Vec<u8>) -> bool {
        let bytes = body.len();
        let before = self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        let sample = Sample { asked, phase, body };
        let taken = before + bytes <= WAITING_BYTES_MAX && self.samples.try_send(sample).is_ok();
        if !taken {
            self.waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }

    /// Bodies found wrong so far.
    pub(crate) fn wrong(&self) -> u64 {
        self.waiting.wrong.load(Ordering::Relaxed)
    }
}

impl Checker {
    pub(crate) fn run(self, mix: &Mix, phases: usize) -> Checked {
        // Without the priority it only costs the load some of its time.
        let _ = rustix::process::setpriority_process(None, NICE);
        let mut checked = Checked {
            phases: vec![(0, 0); phases],
            wrong_by_kind: vec![vec![0; mix.labels().count()]; phases],
            example: None,
        };
        for Sample { asked, phase, body } in self.samples {
            self.waiting.bytes.fetch_sub(body.len(), Ordering::Relaxed);
            let Some(what) = mix.what(&asked) else {
                continue;
            };
            let verdict = check(what, &asked, &body);
            if let Some((bodies, wrong)) = checked.phases.get_mut(phase) {
                *bodies += 1;
                *wrong += u64::from(verdict.is_err());
            }
            if let Err(why) = verdict {
                self.waiting.wrong.fetch_add(1, Ordering::Relaxed);
                let of_phase = checked.wrong_by_kind.get_mut(phase);
                if let Some(wrong) = of_phase.and_then(|kinds| kinds.get_mut(asked.part)) {
                    *wrong += 1;
                }
                checked
                    .example
                    .get_or_insert_with(|| example(mix, &asked, &why, &body));
            }
        }
        checked
    }
}

fn example(mix: &Mix, asked: &Asked, why: &str, body: &[u8]) -> String {
    let (mut request, mut draft) = (Vec::new(), Vec::new());
    mix.write(asked.number, &mut request, &mut draft);
    let line = request
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let line = String::from_utf8_lossy(line).replace(" HTTP/1.1", "");
    let shown = body.get(..EXCERPT_BYTES_MAX).unwrap_or(body);
    let more = if shown.len() < body.len() { "…" } else { "" };
    format!(
        "{line}: {why} ({}{more})",
        String::from_utf8_lossy(shown).trim()
    )
}
