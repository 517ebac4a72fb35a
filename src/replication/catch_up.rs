//! The one thread that reads commits from the log for streams that are behind the ring.
//!
//! It also keeps the disk in order that replicas are the reason for. Must not know sockets.
//! Invariants: a stream that is slow holds nobody up, since every read is one bounded piece; a gap
//! is only called one when it is there on several looks, because logs move while they are read; the
//! thread has let go of the store once the last way to it is dropped.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{RecvTimeoutError, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use super::body::PIECE_BYTES;
use super::checkpoints::Checkpoints;
use crate::joined::Joined;
use crate::store::{Error, Found, History, Position, Store, trim_kept_logs};

/// Reads that wait at most: as many as there are streams, about.
const WAITING_MAX: usize = 64;
/// Readers that are kept where they stopped.
const READERS_MAX: usize = 8;
/// How often a gap is looked at before it is one.
const LOOKS: u32 = 4;
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// How often the disk is looked at.
const KEEP_PERIOD: Duration = Duration::from_secs(5);

struct Job {
    position: Position,
    answer: oneshot::Sender<Result<Found, Error>>,
}

/// The way to the thread, which ends with it.
pub(super) struct CatchUp {
    /// The thread ends without it, at the latest after one read or some tidying.
    jobs: Sender<Job>,
    _thread: Joined,
}

impl CatchUp {
    pub(super) fn start(
        store: Store,
        checkpoints: Arc<Checkpoints>,
        wal_keep_size: u64,
    ) -> std::io::Result<Self> {
        let (jobs, waiting) = bounded::<Job>(WAITING_MAX);
        let thread = thread::Builder::new()
            .name("catch-up".to_owned())
            .spawn(move || {
                let mut readers: Vec<History<'_>> = Vec::new();
                let mut kept = Instant::now();
                loop {
                    match waiting.recv_timeout(KEEP_PERIOD) {
                        // The stream has ended.
                        Ok(job) if job.answer.is_closed() => {}
                        Ok(job) => {
                            let found = read(&store, &mut readers, job.position);
                            let _ = job.answer.send(found);
                        }
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                    if kept.elapsed() >= KEEP_PERIOD {
                        kept = Instant::now();
                        checkpoints.expire();
                        if let Err(error) = trim_kept_logs(&store, wal_keep_size) {
                            tracing::warn!("old logs are kept for now: {error}");
                        }
                    }
                }
            })?;
        Ok(Self {
            jobs,
            _thread: thread.into(),
        })
    }

    /// Some of what follows `position`.
    pub(super) async fn read(&self, position: Position) -> Result<Found, Busy> {
        let (answer, found) = oneshot::channel();
        match self.jobs.try_send(Job { position, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(Busy),
        }
        match found.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::warn!("{error}");
                Ok(Found::Gap)
            }
            Err(_) => Err(Busy),
        }
    }
}

/// The thread has too much to do, or ends.
#[derive(Debug)]
pub(super) struct Busy;

fn read<'s>(
    store: &'s Store,
    readers: &mut Vec<History<'s>>,
    position: Position,
) -> Result<Found, Error> {
    let there = readers
        .iter()
        .position(|reader| reader.at() == Some(position));
    let mut reader = match there {
        Some(index) => readers.swap_remove(index),
        None => History::of(store),
    };
    let mut looks = 1;
    let found = loop {
        let found = reader.read(position, PIECE_BYTES);
        if !matches!(found, Ok(Found::Gap) | Err(_)) || looks >= LOOKS {
            break found;
        }
        looks += 1;
        thread::sleep(LOOK_PAUSE);
    };
    if reader.at().is_some() {
        if readers.len() >= READERS_MAX {
            readers.remove(0);
        }
        readers.push(reader);
    }
    found
}
