//! Answers of the whole shop, compressed, so that they stay in memory.
//!
//! Beside the cache of rendered answers, which has few and gives them at once, this has many and decompresses
//! them: what nearly every request asks for, of every product. Must not know how answers are rendered.
//! Invariants: the rule of the cache of answers holds here as well, since an answer is put and asked for under
//! the same [`CacheKey`]; memory is bounded from the beginning; until there is a dictionary nothing is put.

pub(crate) mod fill;

mod codec;
mod hot;
mod places;
mod ring;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use crate::metrics::{Counter, Exposition};
use crate::model::{Order, ProductId};

use super::super::endpoints::ReadQuery;
use super::cache::CacheKey;
use super::parameters::PageWindow;
use crate::budget::FREE_BYTES_MAX;
use crate::store::ProductListing;

use codec::{Codec, Effort};
use ring::{AnswerRing, RING_BYTES_MAX, ResidentKey};

/// Rings at least, each with a lock of its own. A lock is held for the copy of some hundred bytes.
const RINGS_MIN: usize = 64;
/// Bytes of all dictionaries, prepared for both ways.
const DICTIONARIES_BYTES: usize = 6 << 20;
/// The smallest ring that is of any use.
const SHARE_BYTES_MIN: usize = 4 << 10;

/// The kinds of answers that are resident; a product has at most one answer of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResidentKind {
    /// The first page of the reviews in the usual order.
    List = 0,
    /// The review summary.
    Meta = 1,
    Styles = 2,
    Product = 3,
    /// The first page of the reviews, newest first.
    Newest = 4,
}

impl ResidentKind {
    const ALL: [Self; 5] = [
        Self::List,
        Self::Meta,
        Self::Styles,
        Self::Product,
        Self::Newest,
    ];
    /// Bits of a key that are the kind.
    const BITS: u32 = 3;
    /// Kinds that have a dictionary of their own.
    const DICTIONARIES: usize = 4;

    /// Its name in a note.
    fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Meta => "meta",
            Self::Styles => "styles",
            Self::Product => "product",
            Self::Newest => "newest",
        }
    }

    /// The dictionary that its answers are compressed with.
    fn dictionary(self) -> usize {
        match self {
            Self::Newest => Self::List as usize,
            own => own as usize,
        }
    }

    /// The rows of the products that have such an answer.
    fn rows(self) -> ProductListing {
        match self {
            Self::List | Self::Newest | Self::Meta => ProductListing::Summaries,
            Self::Styles => ProductListing::Styles,
            Self::Product => ProductListing::Products,
        }
    }

    /// The query for the answer of a product.
    fn query(self, product: ProductId) -> ReadQuery {
        let list = |order| ReadQuery::Reviews {
            product,
            order,
            window: PageWindow::FIRST,
        };
        match self {
            Self::List => list(Order::Helpful),
            Self::Newest => list(Order::Newest),
            Self::Meta => ReadQuery::Meta(product),
            Self::Styles => ReadQuery::Styles(product),
            Self::Product => ReadQuery::Product(product, None),
        }
    }

    /// The kind and the product of a query; `None` where its answer is not resident.
    fn of(read_query: ReadQuery) -> Option<(Self, ProductId)> {
        Some(match read_query {
            ReadQuery::Reviews {
                product,
                order,
                window: PageWindow::FIRST,
            } => match order {
                Order::Helpful => (Self::List, product),
                Order::Newest => (Self::Newest, product),
            },
            ReadQuery::Meta(product) => (Self::Meta, product),
            ReadQuery::Styles(product) => (Self::Styles, product),
            ReadQuery::Product(product, None) => (Self::Product, product),
            _ => return None,
        })
    }
}

/// Compressed answers by what was asked.
pub(super) struct ResidentAnswers {
    rings: Box<[Mutex<AnswerRing>]>,
    codecs: [OnceLock<Codec>; ResidentKind::DICTIONARIES],
    bytes_max: usize,
    found: Counter,
    evicted: Counter,
}

impl ResidentAnswers {
    /// Answers that together take at most so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
        let rings_bytes = bytes_max.saturating_sub(DICTIONARIES_BYTES);
        let rings = rings_bytes.div_ceil(RING_BYTES_MAX).max(RINGS_MIN);
        let share_bytes = rings_bytes / rings;
        let rings = if share_bytes < SHARE_BYTES_MIN {
            0
        } else {
            rings
        };
        Self {
            rings: (0..rings)
                .map(|_| Mutex::new(AnswerRing::new(share_bytes)))
                .collect(),
            codecs: [const { OnceLock::new() }; ResidentKind::DICTIONARIES],
            bytes_max,
            found: Counter::default(),
            evicted: Counter::default(),
        }
    }

    /// True if there is no memory for any answer.
    fn is_disabled(&self) -> bool {
        self.rings.is_empty()
    }

    /// The answer, if it is here.
    pub(super) fn get(&self, key: &CacheKey) -> Option<Bytes> {
        let (kind, resident_key) = Self::key(key)?;
        let answer = self.codec(kind)?.decompress(|frame| {
            let mut ring = self.ring(resident_key)?;
            ring.get(resident_key, key.generation, |bytes| {
                frame.extend_from_slice(bytes);
            })
        })?;
        self.found.count();
        Some(answer)
    }

    /// Requests that were answered from here.
    pub(super) fn hits(&self) -> u64 {
        self.found.get()
    }

    /// True if the answer is here.
    fn has(&self, key: &CacheKey) -> bool {
        let here = || {
            let (_, resident_key) = Self::key(key)?;
            Some(self.ring(resident_key)?.has(resident_key, key.generation))
        };
        here().unwrap_or(false)
    }

    /// Puts an answer in place of those that were requested least.
    pub(super) fn put(&self, key: &CacheKey, answer: &Bytes) {
        let _ = self.put_if(key, answer, Effort::Quick, |_, _| true);
    }

    /// Puts an answer if that takes the place of no other. False if there is no more space.
    fn put_in_free_space(&self, key: &CacheKey, answer: &Bytes) -> bool {
        let is_put = self.put_if(key, answer, Effort::Thorough, |ring, bytes| {
            ring.has_space(bytes)
        });
        is_put.unwrap_or(true)
    }

    /// Puts an answer if its ring is as it should be. `None` if it is none that can be put.
    fn put_if(
        &self,
        key: &CacheKey,
        answer: &Bytes,
        effort: Effort,
        wanted: impl FnOnce(&AnswerRing, usize) -> bool,
    ) -> Option<bool> {
        let (kind, resident_key) = Self::key(key)?;
        if answer.len() > FREE_BYTES_MAX {
            return None;
        }
        let compressed = self.codec(kind)?.compress(answer, effort)?;
        let mut ring = self.ring(resident_key)?;
        let is_put = wanted(&ring, compressed.len());
        if is_put {
            let evicted = ring.put(resident_key, key.generation, &compressed);
            self.evicted.add(evicted);
        }
        Some(is_put)
    }

    /// Takes a dictionary made of these answers; none if they have too little in common.
    fn train(&self, kind: ResidentKind, samples: &[Bytes]) {
        if let Some(place) = self.codecs.get(kind.dictionary())
            && let Some(codec) = Codec::train(samples)
        {
            let _ = place.set(codec);
        }
    }

    fn codec(&self, kind: ResidentKind) -> Option<&Codec> {
        self.codecs.get(kind.dictionary())?.get()
    }

    fn key(key: &CacheKey) -> Option<(ResidentKind, ResidentKey)> {
        let (kind, product) = ResidentKind::of(key.read_query)?;
        let is_named = product.0 < 1 << (u64::BITS - ResidentKind::BITS - 1);
        let word = product.0 << ResidentKind::BITS | kind as u64;
        is_named.then_some((kind, ResidentKey(word)))
    }

    fn ring(&self, key: ResidentKey) -> Option<MutexGuard<'_, AnswerRing>> {
        let rings = self.rings.len() as u64;
        let index = (key.hash() >> 40).checked_rem(rings)?;
        let ring = self.rings.get(usize::try_from(index).ok()?)?;
        Some(ring.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the metrics of the resident answers.
    pub(super) fn describe(&self, page: &mut Exposition) {
        let (mut answers, mut bytes) = (0, 0);
        for ring in &self.rings {
            let ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
            answers += ring.answers();
            bytes += ring.bytes();
        }
        let dictionaries = self.codecs.iter().filter_map(OnceLock::get);
        bytes += dictionaries.map(Codec::bytes).sum::<usize>();
        page.gauge(
            "reviewsd_resident_answers",
            "Answers that are resident, compressed.",
        )
        .value(answers as u64);
        page.gauge(
            "reviewsd_resident_bytes",
            "Bytes of the resident answers, including their table and dictionaries.",
        )
        .value(bytes as u64);
        page.gauge(
            "reviewsd_resident_max_bytes",
            "Limit of the resident answers.",
        )
        .value(self.bytes_max as u64);
        page.counter(
            "reviewsd_resident_hits_total",
            "Requests that were answered from the resident answers.",
        )
        .value(self.found.get());
        page.counter(
            "reviewsd_resident_evictions_total",
            "Resident answers that were evicted for others.",
        )
        .value(self.evicted.get());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::cache::{Answers, Generations};
    use super::*;
    use crate::store::CommittedChange;

    fn list(product: u64) -> ReadQuery {
        ReadQuery::Reviews {
            product: ProductId(product),
            order: Order::Helpful,
            window: PageWindow::FIRST,
        }
    }

    fn answer(number: u64) -> Bytes {
        let body = "fits well and is as warm as the description says ".repeat(20);
        Bytes::from(format!(
            r#"{{"product":"{number}","results":[{{"body":"{body}"}}]}}"#
        ))
    }

    /// Resident answers with a dictionary for lists, and the generations of a store.
    fn trained(bytes: u64) -> (ResidentAnswers, Answers, Arc<Generations>) {
        let resident = ResidentAnswers::new(bytes);
        let samples: Vec<_> = (0..500).map(answer).collect();
        resident.train(ResidentKind::List, &samples);
        let generations = Arc::new(Generations::default());
        (
            resident,
            Answers::new(0, 0, Arc::clone(&generations)),
            generations,
        )
    }

    #[test]
    fn an_answer_is_given_until_the_next_commit() {
        let (resident, answers, generations) = trained(16 << 20);
        let key = answers.key(list(7)).unwrap();
        assert_eq!(resident.get(&key), None);
        resident.put(&key, &answer(7));
        assert_eq!(resident.get(&key), Some(answer(7)));
        generations.begin(CommittedChange::ReviewsOf(ProductId(7)));
        assert_eq!(resident.get(&answers.key(list(7)).unwrap()), None);
        // An answer that was read before the commit is not given after it.
        resident.put(&key, &answer(7));
        assert_eq!(resident.get(&answers.key(list(7)).unwrap()), None);
    }

    #[test]
    fn kinds_and_products_are_told_apart() {
        let (resident, answers, _) = trained(16 << 20);
        resident.put(&answers.key(list(7)).unwrap(), &answer(7));
        let newest = ReadQuery::Reviews {
            product: ProductId(7),
            order: Order::Newest,
            window: PageWindow::FIRST,
        };
        let second = ReadQuery::Reviews {
            product: ProductId(7),
            order: Order::Helpful,
            window: PageWindow {
                page: 2,
                ..PageWindow::FIRST
            },
        };
        for other in [list(8), newest, second, ReadQuery::Meta(ProductId(7))] {
            assert_eq!(resident.get(&answers.key(other).unwrap()), None);
        }
        let largest = answers.key(list(u64::MAX)).unwrap();
        resident.put(&largest, &answer(1));
        assert_eq!(resident.get(&largest), None);
    }

    #[test]
    fn they_stay_within_their_bytes() {
        let (resident, answers, _) = trained(7 << 20);
        for product in 0..50_000 {
            resident.put(&answers.key(list(product)).unwrap(), &answer(product));
        }
        let bytes: usize = resident
            .rings
            .iter()
            .map(|ring| ring.lock().unwrap().bytes())
            .sum();
        let dictionaries = resident
            .codecs
            .iter()
            .filter_map(OnceLock::get)
            .map(Codec::bytes);
        let dictionaries = dictionaries.sum::<usize>() * ResidentKind::DICTIONARIES;
        assert!(dictionaries <= DICTIONARIES_BYTES, "{dictionaries}");
        assert!(bytes <= 1 << 20, "{bytes}");
        assert!(resident.evicted.get() > 1000);
        let late = answers.key(list(49_999)).unwrap();
        assert_eq!(resident.get(&late), Some(answer(49_999)));
        assert!(!resident.put_in_free_space(&answers.key(list(60_000)).unwrap(), &answer(1)));
    }

    #[test]
    fn without_space_or_a_dictionary_nothing_is_put() {
        let untrained = ResidentAnswers::new(16 << 20);
        let (none, answers, _) = trained(0);
        let key = answers.key(list(7)).unwrap();
        for resident in [untrained, none] {
            resident.put(&key, &answer(7));
            assert_eq!(resident.get(&key), None);
        }
    }
}
