//! The queue of changes: the handle that submits them, and what answers each.
//!
//! Must not know how a change is made. Invariants: the queue is bounded, and a change beyond it is refused at
//! once; each change is answered exactly once.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Sender, TrySendError, bounded};

use super::change::{Change, ChangeOutcome, Rejected};
use super::disk_space::DiskSpace;
use super::meters::StoreMeters;
use crate::fence::{Fence, Fences};
use crate::heartbeat::Heartbeat;
use crate::join_on_drop::JoinOnDrop;
use crate::log::position::LogPosition;
use crate::moderation::settings::{LiveModeration, ModerationSettings};
use crate::store::Store;

/// The options of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// `None`: a change is answered when it is durable. Otherwise so much may be lost.
    pub loss_time_max: Option<Duration>,
    /// Changes that wait at most.
    pub queue_max: usize,
    /// Bytes of free space below which changes of clients are refused.
    pub free_space_min: u64,
    /// The idempotency records that one client may have; beyond it the client's own oldest are removed.
    pub idempotency_keys_per_client_max: u64,
    /// The settings of moderation, until [`Writer::set_moderation`] sets others.
    pub moderation: ModerationSettings,
}

/// The outcome of a change, and the position of the store then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteResult {
    /// The outcome.
    pub outcome: ChangeOutcome,
    /// The position from which on readers see the change.
    pub at: LogPosition,
}

type ResultChannel = Box<dyn FnOnce(Result<WriteResult, Rejected>) + Send>;

/// The reply channel of one write. Completed exactly once: dropping it without a reply says that the
/// outcome is unknown.
pub(super) struct WriteReply {
    tell: Option<ResultChannel>,
    meters: Arc<StoreMeters>,
}

impl WriteReply {
    /// Answers.
    pub(super) fn give(mut self, outcome: Result<WriteResult, Rejected>) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Result<WriteResult, Rejected>) {
        if let Some(tell) = self.tell.take() {
            self.meters
                .told(outcome.as_ref().map(|settled| &settled.outcome));
            tell(outcome);
        }
    }
}

impl Drop for WriteReply {
    fn drop(&mut self) {
        self.tell(Err(Rejected::Failed));
    }
}

/// A change on its way to the thread, and its reply channel.
pub(super) struct WriteJob {
    pub(super) change: Change,
    pub(super) answer: WriteReply,
}

/// The handle that submits changes to the writer's thread. Cheap to clone; when the last one is dropped,
/// the waiting changes are finished and the thread ends.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<WriterShared>,
}

struct WriterShared {
    /// The thread ends without it, once it has answered the waiting changes.
    queue: Sender<WriteJob>,
    _thread: Option<JoinOnDrop>,
    fences: Arc<Fences>,
    fullness: Arc<DiskSpace>,
    meters: Arc<StoreMeters>,
    heartbeat: Heartbeat,
    moderation: Arc<LiveModeration>,
}

impl Writer {
    /// The handle of a writer, from its parts.
    pub(super) fn of(
        store: &Store,
        queue: Sender<WriteJob>,
        thread: Option<JoinOnDrop>,
        meters: Arc<StoreMeters>,
        heartbeat: Heartbeat,
        moderation: Arc<LiveModeration>,
    ) -> Self {
        Self {
            shared: Arc::new(WriterShared {
                moderation,
                queue,
                _thread: thread,
                fences: Arc::clone(store.fences()),
                fullness: Arc::clone(store.fullness()),
                meters,
                heartbeat,
            }),
        }
    }

    /// Returns a writer of a store that takes no writes for want of space, which refuses every change.
    #[must_use]
    pub fn of_full(store: &Store, options: WriterOptions) -> Self {
        let (queue, _) = bounded(0);
        let meters = StoreMeters::new(options.queue_max, options.free_space_min);
        let moderation = Arc::new(LiveModeration::of(options.moderation));
        let (meters, resting) = (Arc::new(meters), Heartbeat::resting());
        Self::of(store, queue, None, meters, resting, moderation)
    }

    /// Returns the counters of writes.
    #[must_use]
    pub fn meters(&self) -> Arc<StoreMeters> {
        Arc::clone(&self.shared.meters)
    }

    /// Returns the heartbeat of the thread: how long it has been at one batch. Does not keep the thread
    /// alive.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        self.shared.heartbeat.clone()
    }

    /// Returns the reason for which no change is taken, if so.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.shared.fences.get()
    }

    /// Sets the settings of moderation, for the changes that are taken from now on.
    pub fn set_moderation(&self, settings: ModerationSettings) {
        self.shared.moderation.set(settings);
    }

    /// Hands a change to the thread; `answer` is called exactly once, from the thread or, when the
    /// change is refused at once, from here.
    pub fn submit(
        &self,
        change: Change,
        answer: impl FnOnce(Result<WriteResult, Rejected>) + Send + 'static,
    ) {
        let job = WriteJob {
            change,
            answer: WriteReply {
                tell: Some(Box::new(answer)),
                meters: self.meters(),
            },
        };
        if let Some(fence) = self.fence() {
            return job.answer.give(Err(Rejected::Fenced(fence)));
        }
        if self.shared.fullness.is_full() {
            return job.answer.give(Err(Rejected::DiskFull));
        }
        match self.shared.queue.try_send(job) {
            Ok(()) => self.shared.meters.queued.enter(),
            Err(TrySendError::Full(job)) => job.answer.give(Err(Rejected::Busy)),
            Err(TrySendError::Disconnected(job)) => job.answer.give(Err(Rejected::Failed)),
        }
    }
}
