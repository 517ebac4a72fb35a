//! Answers that were rendered before, within a number of bytes: the most requested ones as they are sent, and
//! those of the whole shop compressed ([`ResidentAnswers`]).
//!
//! Must not know how answers are made. Invariants: an answer is cached under all that it depends on beside the
//! store, and under the generation of the part of the store that it is made of, which was read *before* the
//! store was: the reviews of a product, the product, or the list of products. A commit
//! begins the next generation when it can be read and before it is answered: so a client that reads after the
//! answer to a write reads the new generation, which has no answer that was read before that write, however
//! long its reader took to cache it. Answers of older generations are not requested again, and so are the first
//! to be evicted. Products share generations, many to one, which costs an answer now and then and never makes
//! one stale.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::metrics::Exposition;
use crate::model::ProductId;
use crate::store::CommittedChange;

use super::super::endpoints::{Dependency, ReadQuery};
use super::resident::ResidentAnswers;
use crate::budget::SharedPermit;

/// The bytes of a cached answer beside its own: the entry, the handle, the allocator's rounding.
const ENTRY_BYTES: usize = 256;
/// The assumed size of an answer when the cache sizes its tables.
const USUAL_ANSWER_BYTES: usize = 2048;
/// The number of generations of each kind: half a MiB of them. Ids that follow each other share none.
const GENERATIONS: usize = 1 << 16;

/// The generation of every part of a store: which commit of it an answer is from, as far as it matters to
/// a cache. A read of a generation and then of the store sees at least what was committed when the generation
/// began.
pub struct Generations {
    reviews: Box<[AtomicU64]>,
    products: Box<[AtomicU64]>,
    list: AtomicU64,
}

impl Default for Generations {
    fn default() -> Self {
        let some = || (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect();
        Self {
            reviews: some(),
            products: some(),
            list: AtomicU64::new(0),
        }
    }
}

impl Generations {
    /// Begins the next generation of a part. To be called when a change of it can be
    /// read, and before its outcome is returned.
    pub fn begin(&self, part: CommittedChange) {
        // A reader that sees this increment sees the write to the store as well.
        self.of(part).fetch_add(1, Ordering::Release);
    }

    /// The generation of a part. To be read before the store is.
    pub(crate) fn current(&self, part: CommittedChange) -> u64 {
        self.of(part).load(Ordering::Acquire)
    }

    fn of(&self, part: CommittedChange) -> &AtomicU64 {
        match part {
            CommittedChange::ReviewsOf(product) => one_of(&self.reviews, product),
            CommittedChange::Product(product) => one_of(&self.products, product),
            CommittedChange::ProductList => &self.list,
        }
    }
}

fn one_of(generations: &[AtomicU64], product: ProductId) -> &AtomicU64 {
    let index = usize::try_from(product.0 % GENERATIONS as u64).unwrap_or(0);
    #[expect(
        clippy::indexing_slicing,
        reason = "the index is a remainder of the length"
    )]
    &generations[index]
}

/// The key of a cached answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    pub(super) read_query: ReadQuery,
    pub(super) generation: u64,
}

/// A rendered answer, with the permit that its readers hold where it is not small.
#[derive(Clone)]
pub(crate) struct Cached {
    pub(crate) body: Bytes,
    pub(crate) permit: Option<SharedPermit>,
}

/// One resident answer in so many that are requested is cached as it is sent, so that those that are
/// requested often soon are, and the others take no time.
const PROMOTION_SHARE: u64 = 16;

/// Rendered answers by question.
pub(crate) struct Answers {
    kept: Cache<CacheKey, Cached, Weight>,
    resident: ResidentAnswers,
    generations: Arc<Generations>,
}

impl Answers {
    /// A cache that keeps within `bytes`, and within others for resident answers.
    pub(crate) fn new(bytes: u64, resident_bytes: u64, generations: Arc<Generations>) -> Self {
        let answers = usize::try_from(bytes).unwrap_or(usize::MAX) / USUAL_ANSWER_BYTES;
        Self {
            kept: Cache::with_weighter(answers, bytes, Weight),
            resident: ResidentAnswers::new(resident_bytes),
            generations,
        }
    }

    /// Those that are resident.
    pub(super) fn resident(&self) -> &ResidentAnswers {
        &self.resident
    }

    /// Returns the key to look the answer up by, and, if it is not cached, to cache one under that is read from
    /// the store *after* this call. `None` for a query that is not cached.
    pub(crate) fn key(&self, read_query: ReadQuery) -> Option<CacheKey> {
        let part = match read_query.dependency() {
            Dependency::SomeReviews => return None,
            Dependency::ReviewsOf(product) => CommittedChange::ReviewsOf(product),
            Dependency::Product(product) => CommittedChange::Product(product),
            Dependency::ProductList => CommittedChange::ProductList,
        };
        Some(CacheKey {
            read_query,
            generation: self.generations.current(part),
        })
    }

    /// The answer, if it is here.
    pub(crate) fn get(&self, key: &CacheKey) -> Option<Cached> {
        self.kept.get(key).or_else(|| self.get_resident(key))
    }

    fn get_resident(&self, key: &CacheKey) -> Option<Cached> {
        let body = self.resident.get(key)?;
        let cached = Cached { body, permit: None };
        if self.resident.hits().is_multiple_of(PROMOTION_SHARE) {
            self.kept.insert(*key, cached.clone());
        }
        Some(cached)
    }

    /// Caches an answer in place of those that were requested less.
    pub(crate) fn keep(&self, key: CacheKey, answer: Cached) {
        self.resident.put(&key, &answer.body);
        self.kept.insert(key, answer);
    }

    /// The queries of the answers that are cached as they are sent.
    pub(super) fn requested_most(&self) -> impl Iterator<Item = ReadQuery> {
        self.kept.iter().map(|(key, _)| key.read_query)
    }

    /// Writes the metrics of the cache.
    pub(crate) fn describe(&self, page: &mut Exposition) {
        page.gauge("reviewsd_answer_cache_answers", "Cached answers.")
            .value(self.kept.len() as u64);
        page.gauge(
            "reviewsd_answer_cache_bytes",
            "Bytes of the answer cache, including its overhead.",
        )
        .value(self.kept.weight());
        page.gauge(
            "reviewsd_answer_cache_max_bytes",
            "Limit of the answer cache.",
        )
        .value(self.kept.capacity());
        self.resident.describe(page);
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<CacheKey, Cached> for Weight {
    fn weight(&self, _: &CacheKey, answer: &Cached) -> u64 {
        (answer.body.len() + ENTRY_BYTES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameters::PageWindow;
    use super::*;
    use crate::model::{Order, ReviewId};

    const OLD: Bytes = Bytes::from_static(b"old");
    const NEW: Bytes = Bytes::from_static(b"new");
    const REVIEWS: CommittedChange = CommittedChange::ReviewsOf(ProductId(1));

    fn answers() -> (Answers, Arc<Generations>) {
        let generations = Arc::new(Generations::default());
        (
            Answers::new(1 << 20, 0, Arc::clone(&generations)),
            generations,
        )
    }

    fn meta(product: u64) -> ReadQuery {
        ReadQuery::Meta(ProductId(product))
    }

    fn list(product: u64) -> ReadQuery {
        ReadQuery::Reviews {
            product: ProductId(product),
            order: Order::Newest,
            window: PageWindow { page: 1, count: 5 },
        }
    }

    /// Returns the cached answer to `question`.
    fn given(answers: &Answers, read_query: ReadQuery) -> Option<Bytes> {
        let cached = answers.get(&answers.key(read_query).unwrap());
        cached.map(|cached| cached.body)
    }

    impl Answers {
        fn keep_body(&self, key: CacheKey, body: &Bytes) {
            let body = body.clone();
            self.keep(key, Cached { body, permit: None });
        }
    }

    #[test]
    fn what_is_kept_is_given_back() {
        let (answers, _) = answers();
        assert_eq!(given(&answers, meta(1)), None);
        answers.keep_body(answers.key(meta(1)).unwrap(), &NEW);
        assert_eq!(given(&answers, meta(1)), Some(NEW));
        assert_eq!(given(&answers, list(1)), None);
    }

    #[test]
    fn after_a_commit_nothing_is_given_that_was_kept_before_it() {
        let (answers, generations) = answers();
        for read_query in [meta(1), list(1), meta(2)] {
            answers.keep_body(answers.key(read_query).unwrap(), &OLD);
        }
        generations.begin(REVIEWS);
        assert_eq!(given(&answers, meta(1)), None);
        assert_eq!(given(&answers, list(1)), None);
        assert_eq!(given(&answers, meta(2)), Some(OLD));
    }

    #[test]
    fn a_read_begun_before_a_commit_is_not_cached_after_it() {
        let (answers, generations) = answers();
        let slow = answers.key(meta(1)).unwrap();
        generations.begin(REVIEWS);
        let quick = answers.key(meta(1)).unwrap();
        answers.keep_body(slow, &OLD);
        assert_eq!(given(&answers, meta(1)), None);
        answers.keep_body(quick, &NEW);
        answers.keep_body(slow, &OLD);
        assert_eq!(given(&answers, meta(1)), Some(NEW));
    }

    #[test]
    fn each_part_of_the_store_has_answers_of_its_own() {
        let (answers, generations) = answers();
        let window = PageWindow { page: 1, count: 5 };
        let of_reviews = [meta(1), list(1)];
        let of_product = [
            ReadQuery::Product(ProductId(1), None),
            ReadQuery::Styles(ProductId(1)),
            ReadQuery::Related(ProductId(1)),
        ];
        let of_list = [ReadQuery::Products(window, None)];
        let all = [&of_reviews[..], &of_product, &of_list];
        let product = CommittedChange::Product(ProductId(1));
        let parts = [REVIEWS, product, CommittedChange::ProductList];
        for (part, changed) in parts.into_iter().zip(all) {
            let all = || all.into_iter().flatten().copied();
            for query in all() {
                answers.keep_body(answers.key(query).unwrap(), &OLD);
            }
            generations.begin(part);
            for query in all() {
                let is_kept = given(&answers, query).is_some();
                assert_eq!(is_kept, !changed.contains(&query), "{part:?} {query}");
            }
        }
    }

    #[test]
    fn single_reviews_are_not_kept() {
        let (answers, _) = answers();
        assert_eq!(answers.key(ReadQuery::Review(ReviewId(1))), None);
    }

    #[test]
    fn the_bytes_kept_stay_within_the_bound() {
        let (answers, _) = answers();
        for product in 0..10_000 {
            let answer = Bytes::from(vec![b'x'; 1000]);
            answers.keep_body(answers.key(meta(product)).unwrap(), &answer);
        }
        assert!(answers.kept.weight() <= 1 << 20);
        assert!(answers.kept.len() > 100);
    }
}
