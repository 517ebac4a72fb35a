//! Reads of the store: from memory on the calling thread, from the disk in the blocking pool.
//!
//! Must not know the queries. Invariant: whatever may wait for the disk, or is long, runs in the blocking pool,
//! a bounded number at a time, for which a bounded number waits.

pub(crate) mod blocking_pool;
pub(crate) mod cache;
pub(crate) mod campus;
pub(crate) mod lookup;
pub(crate) mod parameters;
pub(crate) mod render;
pub(crate) mod resident;

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::oneshot;

use crate::metrics::{Counter, Exposition, Gauge};
use crate::store::{Error, LogPosition, MemoryRead, ReadError, Reader, Store};

use super::error::ApiError;
use blocking_pool::BlockingPool;

/// Reads that may block under way at once, for every core: what a disk that is a millisecond away answers
/// is bounded by them. On one core, with every read of the disk delayed by that, four made for 2,900 lists
/// a second and sixteen for 11,000. From the operating system's cache the two answer alike, and thirty-two
/// a tenth less.
pub const BLOCKING_READS_PER_CORE: usize = 16;

/// Reads that may wait for their turn; beyond them a request is answered 503. Sixteen threads take such
/// a number from a disk that is a millisecond away in less than a tenth of a second.
const WAITING_READS_MAX: usize = 1024;

/// The store, and how much may be read of it at once.
pub(super) struct Reads {
    store: Store,
    pool: Arc<BlockingPool>,
    /// Reads that memory was not enough for, until they are done.
    beyond_memory: Arc<Gauge>,
    refused: Counter,
}

impl Reads {
    pub(super) fn new(store: Store) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            store,
            pool: Arc::new(BlockingPool::new(
                BLOCKING_READS_PER_CORE * cores,
                WAITING_READS_MAX,
            )),
            beyond_memory: Arc::default(),
            refused: Counter::default(),
        }
    }

    /// The position of the store: every change that was reported as done is done there.
    pub(super) fn position(&self) -> LogPosition {
        *self.store.feed().applied().borrow()
    }

    /// Writes the metrics of the reads that memory was not enough for.
    pub(super) fn describe(&self, page: &mut Exposition) {
        page.counter(
            "reviewsd_disk_reads_total",
            "Reads that ran in the blocking pool, because they needed the disk or were long.",
        )
        .value(self.beyond_memory.came());
        page.gauge(
            "reviewsd_disk_reads_in_flight",
            "Reads that run in the blocking pool or wait for it.",
        )
        .value(self.beyond_memory.get());
        page.counter(
            "reviewsd_disk_read_refusals_total",
            "Requests that were answered 503, because too many reads wait for the blocking pool.",
        )
        .value(self.refused.get());
    }

    /// Returns the result of `read`, from memory if that is enough.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&Reader<'_>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ApiError> {
        match self.now(&read)? {
            MemoryRead::Complete(found) => Ok(found),
            MemoryRead::Incomplete => self.later(move |store| store.read(read)).await,
        }
    }

    /// Returns the result of `read` as far as memory has it and it is short.
    pub(super) fn now<T>(
        &self,
        read: impl Fn(&Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<MemoryRead<T>, ApiError> {
        let done = self.store.read_in_memory(read);
        done.map_err(ApiError::internal)
    }

    /// Returns the result of `read`, however long it takes.
    pub(super) async fn later<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        let present = self.beyond_memory.present();
        let store = self.store.clone();
        let (tell, told) = oneshot::channel();
        let is_taken = self.pool.put(move || {
            // A result is not waited for if the client disconnected meanwhile.
            if !tell.is_closed() {
                let done = read(&store);
                drop(present);
                let _ = tell.send(done);
            }
        });
        if !is_taken {
            self.refused.count();
            return Err(ApiError::ManyReads);
        }
        let done = told.await.map_err(ApiError::internal)?;
        done.map_err(ApiError::internal)
    }
}
