//! The one thread that reads commits from the log for streams that are behind the ring.
//!
//! It also removes from the disk what is held there for replicas. Must not know sockets. Invariants: a slow
//! stream delays no other, since every read is one bounded piece; a gap is only reported when it is there
//! on several looks, because logs move while they are read; the thread has let go of the store once the
//! last handle to it is dropped.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{RecvTimeoutError, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use super::body::PIECE_BYTES;
use super::checkpoints::Checkpoints;
use crate::store::JoinOnDrop;
use crate::store::{Error, History, HistoryLookup, LogPosition, Store, trim_kept_logs};

/// Reads that wait at most: as many as there are streams, about.
const WAITING_MAX: usize = 64;
/// Readers that are cached where they stopped.
const READERS_MAX: usize = 8;
/// The number of looks at a gap before it is one.
const LOOKS: u32 = 4;
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// The time between two looks at the disk.
const KEEP_PERIOD: Duration = Duration::from_secs(5);

struct CatchUpJob {
    position: LogPosition,
    answer: oneshot::Sender<Result<HistoryLookup, Error>>,
}

/// A handle to the thread, which ends with it.
pub(crate) struct CatchUp {
    /// The thread ends without it, at the latest after one read or some tidying.
    jobs: Sender<CatchUpJob>,
    _thread: JoinOnDrop,
}

impl CatchUp {
    pub(crate) fn start(
        store: Store,
        checkpoints: Arc<Checkpoints>,
        wal_keep_size: u64,
    ) -> std::io::Result<Self> {
        let (jobs, waiting) = bounded::<CatchUpJob>(WAITING_MAX);
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
                            tracing::warn!("old logs are retained for now: {error}");
                        }
                    }
                }
            })?;
        Ok(Self {
            jobs,
            _thread: thread.into(),
        })
    }

    /// Returns some of the commits that follow `position`.
    pub(crate) async fn read(&self, position: LogPosition) -> Result<HistoryLookup, Unavailable> {
        let (answer, found) = oneshot::channel();
        match self.jobs.try_send(CatchUpJob { position, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(Unavailable),
        }
        match found.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::warn!("cannot send the commits after {position}, retrying: {error}");
                Err(Unavailable)
            }
            Err(_) => Err(Unavailable),
        }
    }
}

/// The log cannot be read now: the disk fails, or the thread has too much to do, or ends. The caller should
/// ask again; nothing says that the log no longer has it.
#[derive(Debug)]
pub(crate) struct Unavailable;

fn read<'s>(
    store: &'s Store,
    readers: &mut Vec<History<'s>>,
    position: LogPosition,
) -> Result<HistoryLookup, Error> {
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
        if !matches!(found, Ok(HistoryLookup::Gap) | Err(_)) || looks >= LOOKS {
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::mpsc::channel;

    use super::*;
    use crate::model::{NewReview, ProductId};
    use crate::store::{
        Change, IDEMPOTENCY_KEYS_MAX, ModerationSettings, OpenOptions, Writer, WriterOptions,
    };

    fn open(dir: &Path) -> Store {
        let opening = OpenOptions {
            log_keep_time: Some(Duration::from_hours(1)),
            ..OpenOptions::own(32 << 20)
        };
        Store::open_as(dir, "a test", opening, 0).unwrap()
    }

    /// Adds a review, and returns the position of the store before.
    fn post(store: &Store) -> LogPosition {
        let before = *store.feed().applied().borrow();
        let options = WriterOptions {
            loss_time_max: None,
            queue_max: 1,
            free_space_min: 0,
            idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
            moderation: ModerationSettings::DEFAULT,
        };
        let failed = |error| panic!("{error}");
        let writer = Writer::start(store, options, || 5, |_| {}, failed).unwrap();
        let review = NewReview {
            product: ProductId(1),
            rating: 5,
            recommend: true,
            summary: "A headline".to_owned(),
            body: "A text".to_owned(),
            reviewer_name: "pine".to_owned(),
            reviewer_email: "pine@example.org".to_owned(),
            photos: Vec::new(),
            ratings: Vec::new(),
        };
        let change = Change::Post {
            review,
            retry: None,
            held: None,
        };
        let (send, told) = channel();
        writer.submit(change, move |settled| send.send(settled).unwrap());
        told.recv().unwrap().unwrap();
        before
    }

    /// The log that holds the first review.
    fn kept_log(dir: &Path) -> PathBuf {
        let kept = fs::read_dir(dir.join("store/archive")).unwrap();
        let mut kept: Vec<_> = kept.map(|entry| entry.unwrap().path()).collect();
        kept.sort();
        let is_it = |log: &PathBuf| {
            let bytes = fs::read(log).unwrap();
            bytes.windows(10).any(|text| text == b"A headline")
        };
        kept.into_iter().find(is_it).unwrap()
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_read_is_no_gap() {
        let dir = tempfile::tempdir().unwrap();
        let start = post(&open(dir.path()));
        let store = open(dir.path());
        post(&store);
        let checkpoints = Arc::new(Checkpoints::new(store.clone(), u64::MAX));
        let catch_up = CatchUp::start(store, checkpoints, u64::MAX).unwrap();
        let found = async || catch_up.read(start).await;
        assert!(matches!(found().await, Ok(HistoryLookup::Commits(_))));
        let log = kept_log(dir.path());
        let aside = dir.path().join("aside");
        fs::rename(&log, &aside).unwrap();
        // Opening a directory succeeds, and reading it fails.
        fs::create_dir(&log).unwrap();
        assert!(matches!(found().await, Err(Unavailable)));
        fs::remove_dir(&log).unwrap();
        fs::rename(&aside, &log).unwrap();
        assert!(matches!(found().await, Ok(HistoryLookup::Commits(_))));
        fs::remove_file(&log).unwrap();
        assert!(matches!(found().await, Ok(HistoryLookup::Gap)));
    }
}
