//! The phase of a connection: the event that it waits for, and since when.
//!
//! The socket and the service note what happens; the connection reads it off once a poll. So a
//! request costs one look at the time, and no timer. Invariant: progress is only ever noted by the connection's
//! own task, hence the relaxed ordering; other tasks read it, and may ask the connection to end.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;

/// The event that a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionPhase {
    /// The first request, of which no byte has come.
    Fresh,
    /// Another request.
    Idle,
    /// The rest of a request's head.
    Head,
    /// Our own answer.
    Serving,
    /// The client is to read the answer.
    Writing,
    /// The server is to send more of the answer, after the client has read all there was of it.
    Pausing,
    /// The client to end its side, ours being ended.
    Leaving,
}

/// The times that a connection is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    /// The time of the last progress in this phase, or of its beginning.
    moved: Instant,
    /// The time when writing of the current part of the answer began.
    writing: Instant,
}

fn nanos(time: Instant) -> u64 {
    let since = time.saturating_duration_since(*BASE);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The time for which a client that was refused in the middle of its request may go on sending it.
const LEAVING_TIME_MAX: Duration = Duration::from_secs(1);

impl ConnectionPhase {
    /// Returns the time without progress that is allowed; the server's own time is not the client's fault.
    pub(super) fn time_max(self, limits: &Limits) -> Option<Duration> {
        match self {
            Self::Fresh => Some(limits.head_time_max.min(limits.idle_time_max)),
            Self::Idle | Self::Pausing => Some(limits.idle_time_max),
            Self::Head => Some(limits.head_time_max),
            Self::Serving => None,
            Self::Writing => Some(limits.write_time_max),
            Self::Leaving => Some(LEAVING_TIME_MAX),
        }
    }
}

/// The notes of one connection.
#[derive(Debug)]
pub(super) struct ConnectionClock {
    phase: AtomicU8,
    moved: AtomicBool,
    /// True once an answer began to be written, until it is read.
    writing: AtomicBool,
    /// Bytes that the client took of it since.
    taken: AtomicU64,
    /// True while more of the answer is to come.
    open: AtomicBool,
    cut: AtomicBool,
    /// True once the connection is to give way to another.
    evicted: AtomicBool,
    /// The time of the last progress, or of the beginning of the phase, in nanoseconds since [`BASE`].
    since: AtomicU64,
    /// The connection's task.
    task: Mutex<Option<Waker>>,
}

/// The time that other times are counted from.
static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

impl ConnectionClock {
    pub(super) fn new() -> Self {
        Self {
            phase: AtomicU8::new(ConnectionPhase::Fresh as u8),
            moved: AtomicBool::new(true),
            writing: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            open: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            since: AtomicU64::new(nanos(Instant::now())),
            task: Mutex::default(),
        }
    }

    /// The clock of a connection that had requests before.
    pub(super) fn used() -> Self {
        let clock = Self::new();
        clock.enter(ConnectionPhase::Idle);
        clock
    }

    pub(super) fn phase(&self) -> ConnectionPhase {
        match self.phase.load(Relaxed) {
            0 => ConnectionPhase::Fresh,
            1 => ConnectionPhase::Idle,
            2 => ConnectionPhase::Head,
            3 => ConnectionPhase::Serving,
            4 => ConnectionPhase::Writing,
            5 => ConnectionPhase::Pausing,
            _ => ConnectionPhase::Leaving,
        }
    }

    /// Updates `since` with progress since the last call.
    pub(super) fn bring_forward(&self, since: &mut Since) {
        if self.moved.load(Relaxed) {
            self.moved.store(false, Relaxed);
            since.moved = Instant::now();
            self.set_since(since.moved);
            if self.writing.load(Relaxed) {
                self.writing.store(false, Relaxed);
                since.writing = since.moved;
            }
        }
    }

    /// Returns the time when the connection is to end without further progress; `None` for as long as it waits
    /// for the server.
    pub(super) fn deadline(&self, since: Since, limits: &Limits) -> Option<Instant> {
        let phase = self.phase();
        let stuck = since.moved + phase.time_max(limits)?;
        if phase != ConnectionPhase::Writing || limits.rate_min == 0 {
            return Some(stuck);
        }
        let micros = self.taken.load(Relaxed).saturating_mul(1_000_000) / limits.rate_min;
        let slow = since.writing + limits.write_time_max + Duration::from_micros(micros);
        Some(stuck.min(slow))
    }

    /// Notes that bytes were received: the first of a request, if one was waited for.
    pub(super) fn received(&self) {
        match self.phase() {
            ConnectionPhase::Idle => self.enter(ConnectionPhase::Head),
            // Its time runs since the connection came.
            ConnectionPhase::Fresh => self.phase.store(ConnectionPhase::Head as u8, Relaxed),
            _ => {}
        }
    }

    /// A request's head is complete.
    pub(super) fn asked(&self) {
        self.enter(ConnectionPhase::Serving);
    }

    /// Notes that the answer is there, all of it or the beginning of one that goes on until [`Self::complete`].
    pub(super) fn answered(&self, goes_on: bool) {
        self.open.store(goes_on, Relaxed);
        self.enter(ConnectionPhase::Writing);
    }

    /// Notes that the last bytes of the answer are there.
    pub(super) fn complete(&self) {
        self.open.store(false, Relaxed);
    }

    /// Notes that more of an answer is to be written, after the previous part was flushed.
    pub(super) fn sending(&self) {
        if matches!(
            self.phase(),
            ConnectionPhase::Idle | ConnectionPhase::Pausing
        ) {
            self.enter(ConnectionPhase::Writing);
        }
    }

    /// Notes that the client took so many bytes of an answer. (Bytes written before there is an answer, a `100
    /// Continue`, change nothing.)
    pub(super) fn sent(&self, bytes: usize) {
        if self.phase() == ConnectionPhase::Writing {
            let taken = self.taken.load(Relaxed);
            self.taken
                .store(taken.saturating_add(bytes as u64), Relaxed);
            self.moved.store(true, Relaxed);
        }
    }

    /// Notes that the client has taken the whole answer, or all there is of it so far.
    pub(super) fn flushed(&self) {
        if self.phase() == ConnectionPhase::Writing {
            let goes_on = self.open.load(Relaxed);
            self.enter(if goes_on {
                ConnectionPhase::Pausing
            } else {
                ConnectionPhase::Idle
            });
        }
    }

    /// Notes that the answer is there, and that the client may still be sending a request that is not read.
    pub(super) fn cut_short(&self) {
        self.cut.store(true, Relaxed);
    }

    /// Our side of the connection is ended. Whether the client's is to be waited for.
    pub(super) fn left(&self) -> bool {
        let waits = self.cut.load(Relaxed);
        if waits && self.phase() != ConnectionPhase::Leaving {
            self.enter(ConnectionPhase::Leaving);
        }
        waits
    }

    /// Returns the time of the last progress, or of the beginning of the phase.
    pub(super) fn since(&self) -> Instant {
        *BASE + Duration::from_nanos(self.since.load(Relaxed))
    }

    pub(super) fn set_since(&self, since: Instant) {
        self.since.store(nanos(since), Relaxed);
    }

    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the connection, from any task, to end unless it makes progress.
    pub(super) fn evict(&self) {
        self.evicted.store(true, Relaxed);
        // Taken after the flag was set: a task that is noted later sees it.
        let task = self.task().clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Returns true if the connection was asked to end, and has not refused yet.
    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.load(Relaxed)
    }

    /// Completes when the connection is asked to end.
    pub(super) async fn evicted(&self) {
        poll_fn(|cx| {
            self.belongs_to(cx);
            if self.is_evicted() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Notes the task to be woken by [`Self::evict`].
    pub(super) fn belongs_to(&self, cx: &Context<'_>) {
        *self.task() = Some(cx.waker().clone());
    }

    /// Returns true if the connection ends as it was asked to: only one that waits for its client does, and
    /// only without progress meanwhile. Any other drops the request to end.
    pub(super) fn gives_way(&self) -> bool {
        if !self.is_evicted() {
            return false;
        }
        let waits_for_us = matches!(
            self.phase(),
            ConnectionPhase::Serving | ConnectionPhase::Pausing
        );
        let goes_on = waits_for_us || self.moved.load(Relaxed);
        if goes_on {
            self.evicted.store(false, Relaxed);
        }
        !goes_on
    }

    fn enter(&self, phase: ConnectionPhase) {
        if phase == ConnectionPhase::Writing {
            self.writing.store(true, Relaxed);
            self.taken.store(0, Relaxed);
        }
        self.phase.store(phase as u8, Relaxed);
        self.moved.store(true, Relaxed);
    }
}

impl Since {
    /// All times are now.
    pub(super) fn now() -> Self {
        let now = Instant::now();
        Self {
            moved: now,
            writing: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        head_bytes_max: 8192,
        head_time_max: Duration::from_secs(10),
        idle_time_max: Duration::from_secs(75),
        write_time_max: Duration::from_secs(30),
        rate_min: 1000,
        connections_max: 1,
        drain_time_max: Duration::from_secs(10),
    };

    impl ConnectionClock {
        /// Returns true if the time limit of the phase began anew since the last call.
        fn take_moved(&self) -> bool {
            let long_ago = Instant::now() - Duration::from_secs(1);
            let mut since = Since {
                moved: long_ago,
                writing: long_ago,
            };
            self.bring_forward(&mut since);
            since.moved != long_ago
        }
    }

    #[test]
    fn a_request_goes_through_every_phase() {
        let clock = ConnectionClock::new();
        assert_eq!(clock.phase(), ConnectionPhase::Fresh);
        clock.received();
        assert_eq!(clock.phase(), ConnectionPhase::Head);
        clock.asked();
        assert_eq!(clock.phase(), ConnectionPhase::Serving);
        clock.answered(false);
        assert_eq!(clock.phase(), ConnectionPhase::Writing);
        clock.sent(1);
        assert_eq!(clock.phase(), ConnectionPhase::Writing);
        clock.flushed();
        assert_eq!(clock.phase(), ConnectionPhase::Idle);
    }

    #[test]
    fn more_bytes_of_a_head_do_not_prolong_its_time() {
        let clock = ConnectionClock::used();
        clock.received();
        assert!(clock.take_moved());
        clock.received();
        assert!(!clock.take_moved());
    }

    #[test]
    fn the_first_head_has_its_time_since_the_connection_came() {
        let clock = ConnectionClock::new();
        let mut since = Since::now();
        clock.bring_forward(&mut since);
        let due = clock.deadline(since, &LIMITS);
        assert_eq!(due, Some(since.moved + LIMITS.head_time_max));
        clock.received();
        clock.bring_forward(&mut since);
        assert_eq!(clock.phase(), ConnectionPhase::Head);
        assert_eq!(clock.deadline(since, &LIMITS), due);
    }

    #[test]
    fn between_two_pieces_of_an_answer_nothing_is_idle() {
        let clock = ConnectionClock::new();
        clock.asked();
        clock.answered(true);
        clock.flushed();
        assert_eq!(clock.phase(), ConnectionPhase::Pausing);
        clock.sending();
        assert_eq!(clock.phase(), ConnectionPhase::Writing);
        clock.complete();
        clock.flushed();
        assert_eq!(clock.phase(), ConnectionPhase::Idle);
    }

    #[test]
    fn a_connection_gives_way_unless_something_moves() {
        let clock = ConnectionClock::new();
        let mut since = Since::now();
        clock.bring_forward(&mut since);
        assert!(!clock.gives_way());
        clock.evict();
        assert!(clock.is_evicted() && clock.gives_way());
        // A request that has come is answered.
        clock.received();
        clock.asked();
        assert!(!clock.gives_way() && !clock.is_evicted());
        clock.bring_forward(&mut since);
        clock.evict();
        assert!(!clock.gives_way() && !clock.is_evicted());
        clock.answered(false);
        clock.bring_forward(&mut since);
        clock.evict();
        clock.sent(1);
        assert!(!clock.gives_way());
    }

    #[test]
    fn every_byte_taken_prolongs_the_time_to_take_the_answer() {
        let clock = ConnectionClock::new();
        clock.asked();
        clock.answered(false);
        assert!(clock.take_moved());
        clock.sent(1);
        assert!(clock.take_moved());
    }

    #[test]
    fn a_client_that_trickles_has_little_time() {
        let clock = ConnectionClock::new();
        let mut since = Since::now();
        clock.asked();
        assert_eq!(clock.deadline(since, &LIMITS), None);
        clock.answered(false);
        clock.bring_forward(&mut since);
        let begun = since.writing;
        // Each byte prolongs the time until it is stuck, and only a thousand of them the whole.
        let later = Since {
            moved: begun + Duration::from_secs(20),
            ..since
        };
        clock.sent(1000);
        let slow = Some(begun + Duration::from_secs(31));
        assert_eq!(clock.deadline(later, &LIMITS), slow);
        clock.sent(100_000);
        let stuck = Some(begun + Duration::from_secs(50));
        assert_eq!(clock.deadline(later, &LIMITS), stuck);
        let unlimited = Limits {
            rate_min: 0,
            ..LIMITS
        };
        assert_eq!(clock.deadline(later, &unlimited), stuck);
        // The next answer has to be earned anew.
        clock.flushed();
        clock.sending();
        clock.bring_forward(&mut since);
        let next = Some(since.writing + Duration::from_secs(30));
        assert_eq!(clock.deadline(since, &LIMITS), next);
    }

    #[test]
    fn only_a_client_that_was_cut_short_is_waited_for() {
        let clock = ConnectionClock::used();
        assert!(!clock.left());
        assert_eq!(clock.phase(), ConnectionPhase::Idle);
        clock.cut_short();
        assert!(clock.left());
        assert_eq!(clock.phase(), ConnectionPhase::Leaving);
        assert!(clock.take_moved());
        // Bytes received then do not prolong it.
        clock.received();
        clock.flushed();
        assert!(clock.left());
        assert!(!clock.take_moved());
    }

    #[test]
    fn flushing_nothing_while_an_answer_is_made_changes_nothing() {
        let clock = ConnectionClock::new();
        clock.asked();
        clock.sent(1);
        clock.flushed();
        assert_eq!(clock.phase(), ConnectionPhase::Serving);
    }
}
