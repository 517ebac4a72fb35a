//! Counts of the blocks that reads found in memory, and of those that they fetched from files.
//!
//! RocksDB's own statistics cost a cold read a fifteenth of its time. What it counts for each thread
//! it counts in any case, so that is read off whenever a view ends.

use std::cell::RefCell;

use rocksdb::perf::{PerfContext, PerfMetric};

use crate::metrics::{Counter, Exposition, Shards};

/// The counts of blocks that reads of one database met.
#[derive(Debug)]
pub(super) struct Blocks(Shards<ThreadBlocks>);

#[derive(Debug, Default)]
struct ThreadBlocks {
    found: Counter,
    fetched: Counter,
    fetched_bytes: Counter,
}

/// RocksDB's counters of a thread when they were read last.
struct SeenCounters {
    now: PerfContext,
    found: u64,
    fetched: u64,
    fetched_bytes: u64,
}

thread_local! {
    static SEEN: RefCell<SeenCounters> = RefCell::new(SeenCounters {
        now: PerfContext::default(),
        found: 0,
        fetched: 0,
        fetched_bytes: 0,
    });
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self(Shards::new(ThreadBlocks::default))
    }

    /// Adds what the calling thread met since the last time.
    pub(super) fn note(&self) {
        // A thread that is ending counts no more.
        let _ = SEEN.try_with(|seen| {
            let seen = &mut *seen.borrow_mut();
            let shard = self.0.mine();
            for (metric, seen_before, counter) in [
                (
                    PerfMetric::BlockCacheHitCount,
                    &mut seen.found,
                    &shard.found,
                ),
                (
                    PerfMetric::BlockReadCount,
                    &mut seen.fetched,
                    &shard.fetched,
                ),
                (
                    PerfMetric::BlockReadByte,
                    &mut seen.fetched_bytes,
                    &shard.fetched_bytes,
                ),
            ] {
                let count = seen.now.metric(metric);
                if count != *seen_before {
                    counter.add(count.saturating_sub(*seen_before));
                    *seen_before = count;
                }
            }
        });
    }

    pub(super) fn describe(&self, page: &mut Exposition) {
        let sum = |of: fn(&ThreadBlocks) -> &Counter| {
            self.0.iter().map(|shard| of(shard).get()).sum::<u64>()
        };
        page.counter(
            "reviewsd_rocksdb_block_cache_hits_total",
            "Blocks that reads found in the block cache.",
        )
        .value(sum(|shard| &shard.found));
        page.counter(
            "reviewsd_rocksdb_block_reads_total",
            "Blocks that reads fetched from files, or from the page cache for them.",
        )
        .value(sum(|shard| &shard.fetched));
        page.counter(
            "reviewsd_rocksdb_block_read_bytes_total",
            "Bytes of the blocks that were fetched, as they are compressed.",
        )
        .value(sum(|shard| &shard.fetched_bytes));
    }
}
