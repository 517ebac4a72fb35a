//! How long keys and values take on their way to bytes and back: `make micro`.
//!
//! Owns the list of the files that are measured, which are compiled here as they stand: nothing is
//! public only to be measured. Must not know RocksDB.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "not all of the files is called, and nothing calls from outside"
)]

mod sample;

use ::model;

#[path = "../src/store"]
mod store {
    mod counters;
    mod key;
    mod value;

    mod moderation {
        pub(crate) mod audit;
        pub(crate) mod rows;
    }

    mod log {
        pub(crate) mod batch;
        pub(crate) mod commit;
        pub(crate) mod position;
    }

    use std::hint::black_box;

    use criterion::{Criterion, Throughput};

    use crate::model::{ProductId, Review, ReviewId};
    use crate::sample;
    use key::{HelpfulKey, NewestKey, ReviewKey};
    use value::{decode, decode_head, encode};

    /// Measures the keys of visible reviews.
    pub fn measure_keys(criterion: &mut Criterion) {
        let (product, review) = (ProductId(71_701), ReviewId(412_089));
        let mut group = criterion.benchmark_group("key");
        group.bench_function("encode the three keys of a review", |run| {
            run.iter(|| {
                let (product, review) = black_box((product, review));
                let (helpfulness, date_ms) = black_box((12, 1_600_000_000_000));
                (
                    ReviewKey::new(product, review),
                    NewestKey::new(product, date_ms, review),
                    HelpfulKey::new(product, helpfulness, date_ms, review),
                )
            });
        });
        let of_row = NewestKey::new(product, 1_600_000_000_000, review);
        group.bench_function("decode the review of an order row", |run| {
            run.iter(|| key::review_of_order_row(black_box(of_row.as_ref())));
        });
        group.finish();
    }

    /// A review with one photo and four ratings.
    pub fn measure_values(criterion: &mut Criterion) {
        let review = sample::review(1);
        let mut value = Vec::new();
        encode(&review, &mut value).unwrap();
        let mut group = criterion.benchmark_group("value");
        group.throughput(Throughput::Bytes(value.len() as u64));
        group.bench_function("encode a review", |run| {
            let mut out = Vec::with_capacity(value.len());
            run.iter(|| {
                out.clear();
                encode(black_box(&review), &mut out)
            });
        });
        group.bench_function("decode a review", |run| {
            run.iter(|| {
                decode::<Review<'_>>(black_box(&value))
                    .map(black_box)
                    .is_ok()
            });
        });
        group.bench_function("decode the head of a review", |run| {
            run.iter(|| decode_head(black_box(&value)));
        });
        group.finish();
    }
}

fn main() {
    let mut criterion = sample::criterion();
    store::measure_keys(&mut criterion);
    store::measure_values(&mut criterion);
    criterion.final_summary();
}
