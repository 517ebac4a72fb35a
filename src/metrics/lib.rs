//! Counters and histograms, and the page of metrics.
//!
//! A free leaf: it knows no other module, and each module counts with its types. Invariants: counting takes no
//! lock and no memory; a page is assembled by the request for it, never by a thread that counts.

mod exposition;
mod process;

use std::array;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

pub use exposition::{Exposition, MetricFamily, Number};
pub use process::ProcessMetrics;

/// Bounds for times from a hot answer to a hopeless one, in nanoseconds.
pub const TIMES_NS: BucketBounds<TIMES> = BucketBounds {
    bounds: &[
        20_000,
        50_000,
        100_000,
        200_000,
        500_000,
        1_000_000,
        2_000_000,
        5_000_000,
        10_000_000,
        20_000_000,
        50_000_000,
        100_000_000,
        200_000_000,
        500_000_000,
        1_000_000_000,
        2_000_000_000,
        5_000_000_000,
        10_000_000_000,
    ],
    units: 1_000_000_000,
};
/// The number of those bounds.
pub const TIMES: usize = 18;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds a number.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Returns the count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The number of things that there are at the moment.
#[derive(Debug, Default)]
pub struct Gauge {
    came: Counter,
    went: Counter,
}

impl Gauge {
    /// Counts one that came.
    pub fn enter(&self) {
        self.came.count();
    }

    /// Counts one that left.
    pub fn leave(&self) {
        self.went.count();
    }

    /// Counts one that came, and that leaves when the returned value is dropped.
    #[must_use]
    pub fn present(self: &Arc<Self>) -> Present {
        self.enter();
        Present(Arc::clone(self))
    }

    /// Returns the number that came, whether they left or not.
    #[must_use]
    pub fn came(&self) -> u64 {
        self.came.get()
    }

    /// Returns the number that there are.
    #[must_use]
    pub fn get(&self) -> u64 {
        // In this order: one that comes and leaves in between is not missed twice.
        let went = self.went.get();
        self.came.get().saturating_sub(went)
    }
}

/// One of those that a gauge counts.
#[derive(Debug)]
pub struct Present(Arc<Gauge>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The upper bounds of a histogram's buckets, ascending, and how many recorded units make one of the page.
#[derive(Debug, Clone, Copy)]
pub struct BucketBounds<const N: usize> {
    /// The bounds, in recorded units.
    pub bounds: &'static [u64; N],
    /// The divisor of a recorded number on the page.
    pub units: u32,
}

/// The number of records below each bound.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: BucketBounds<N>,
    buckets: [Counter; N],
    /// Above the last bound.
    beyond: Counter,
    sum: Counter,
}

impl<const N: usize> Histogram<N> {
    /// An empty histogram.
    #[must_use]
    pub fn new(bounds: BucketBounds<N>) -> Self {
        Self {
            bounds,
            buckets: array::from_fn(|_| Counter::default()),
            beyond: Counter::default(),
            sum: Counter::default(),
        }
    }

    /// Records a number.
    pub fn record(&self, number: u64) {
        // Most numbers lie below the first few bounds, so a walk is as quick as a search.
        let mut buckets = self.bounds.bounds.iter().zip(&self.buckets);
        let bucket = buckets.find(|(bound, _)| number <= **bound);
        bucket.map_or(&self.beyond, |(_, bucket)| bucket).add(1);
        self.sum.add(number);
    }

    /// Records a time, where the bounds are nanoseconds.
    pub fn record_time(&self, time: Duration) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Returns the sum of `histograms`, which have the same bounds.
    pub fn sum<'h>(histograms: impl Iterator<Item = &'h Self>) -> Distribution {
        let mut all = Distribution::default();
        for histogram in histograms {
            let bounds = histogram.bounds;
            all.units = bounds.units;
            all.beyond += histogram.beyond.get();
            all.sum += u128::from(histogram.sum.get());
            let told = bounds.bounds.iter().zip(&histogram.buckets);
            if all.buckets.is_empty() {
                all.buckets = bounds.bounds.iter().map(|bound| (*bound, 0)).collect();
            }
            for ((_, count), (_, bucket)) in all.buckets.iter_mut().zip(told) {
                *count += bucket.get();
            }
        }
        all
    }

    /// Returns the records.
    #[must_use]
    pub fn get(&self) -> Distribution {
        Self::sum(std::iter::once(self))
    }
}

/// The records of a histogram at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    units: u32,
    /// Each bucket's bound, and how many lie in it and in none before.
    buckets: Vec<(u64, u64)>,
    beyond: u64,
    sum: u128,
}

/// The number of parts of a [`Shards`]. More threads than that share.
const LANES: usize = 8;

/// The same counters several times, so that threads that count at once do not contend for their cache lines.
#[derive(Debug)]
pub struct Shards<T>([Shard<T>; LANES]);

/// Two lines of the processor's cache: it fetches them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<T>(T);

impl<T> Shards<T> {
    /// Lanes that are each as `make` makes them.
    pub fn new(make: impl Fn() -> T) -> Self {
        Self(array::from_fn(|_| Shard(make())))
    }

    /// Returns the part of the calling thread.
    pub fn mine(&self) -> &T {
        let [first, ..] = &self.0;
        &self.0.get(shard()).unwrap_or(first).0
    }

    /// All of them, to be added up.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}

/// The calling thread's shard.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let mine = MINE.get();
    if mine < LANES {
        return mine;
    }
    let mine = NEXT.fetch_add(1, Relaxed) % LANES;
    MINE.set(mine);
    mine
}

type MetricSource = Box<dyn Fn(&mut Exposition) + Send + Sync>;

/// All metrics: each part of the program adds its own.
#[derive(Default)]
pub struct Registry(Vec<MetricSource>);

impl Registry {
    /// Adds `source`, which writes to every page. It may take its time, and must not wait for anything but the
    /// disk.
    pub fn add(&mut self, source: impl Fn(&mut Exposition) + Send + Sync + 'static) {
        self.0.push(Box::new(source));
    }

    /// The page as it is now.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = Exposition::default();
        for source in &self.0 {
            source(&mut page);
        }
        page.into_text()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const SMALL: BucketBounds<3> = BucketBounds {
        bounds: &[1, 2, 4],
        units: 1,
    };

    #[test]
    fn a_number_is_in_the_first_bucket_that_is_not_below_it() {
        let histogram = Histogram::new(SMALL);
        for number in [0, 1, 2, 3, 4, 5, 100] {
            histogram.record(number);
        }
        let read = histogram.get();
        assert_eq!(read.buckets, [(1, 2), (2, 1), (4, 2)]);
        assert_eq!((read.beyond, read.sum), (2, 115));
    }

    #[test]
    fn what_threads_count_at_once_is_all_there() {
        let lanes = Shards::new(|| (Gauge::default(), Histogram::new(SMALL)));
        thread::scope(|scope| {
            for _ in 0..2 * LANES {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let (gauge, histogram) = lanes.mine();
                        gauge.enter();
                        histogram.record(2);
                        gauge.leave();
                    }
                });
            }
        });
        let expected = 2 * LANES as u64 * 1000;
        assert_eq!(
            lanes.iter().map(|(gauge, _)| gauge.came()).sum::<u64>(),
            expected
        );
        assert_eq!(lanes.iter().map(|(gauge, _)| gauge.get()).sum::<u64>(), 0);
        let read = Histogram::sum(lanes.iter().map(|(_, histogram)| histogram));
        assert_eq!(read.buckets, [(1, 0), (2, expected), (4, 0)]);
        assert_eq!(read.sum, 2 * u128::from(expected));
    }

    #[test]
    fn the_bounds_ascend() {
        assert!(TIMES_NS.bounds.is_sorted_by(|a, b| a < b));
    }
}
