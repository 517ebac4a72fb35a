//! All that a store holds, as plain values that compare.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::path::Path;

use reviewsd::model::{Order, Page, ProductId, Review, ReviewId};
use reviewsd::store::{Counters, ReadTier, Reader, Store};

use crate::support::no_forks;

const MEMORY_BYTES: u64 = 64 << 20;
const ALL: Page = Page {
    skip: 0,
    rows: usize::MAX,
};

/// All that a store holds, apart from its id. Values that need no closer look are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) counters: Counters,
    /// Each review with its product, and without its date.
    pub(super) reviews: BTreeMap<u64, String>,
    /// The date of each review.
    pub(super) dates: BTreeMap<u64, i64>,
    /// The visible reviews of each product, newest first.
    pub(super) newest: BTreeMap<u64, Vec<u64>>,
    /// The visible reviews of each product, most helpful first.
    pub(super) helpful: BTreeMap<u64, Vec<u64>>,
    pub(super) summaries: BTreeMap<u64, String>,
    /// Products in the catalogue's order.
    pub(super) products: Vec<String>,
    pub(super) styles: BTreeMap<u64, String>,
    pub(super) related: BTreeMap<u64, Vec<u64>>,
}

/// Reads everything of the store in a data directory whose products' ids are below `products`.
pub(super) fn contents(data: &Path, products: u64) -> Contents {
    identified(data, products).1
}

/// The store's id, and everything else.
pub(super) fn identified(data: &Path, products: u64) -> (u128, Contents) {
    opened(data, |store| {
        let contents = read(store, products);
        contents.assert_complete();
        (store.identity().store_id, contents)
    })
}

/// Opens the store for `with`, so that another process can open it later.
pub(super) fn opened<T>(data: &Path, with: impl FnOnce(&Store) -> T) -> T {
    let _no_forks = no_forks();
    with(&Store::open(data, "a test", MEMORY_BYTES, 0).unwrap())
}

fn read(store: &Store, products: u64) -> Contents {
    let reader = store.reader(ReadTier::Disk);
    let counters = store.counters().unwrap();
    let mut contents = Contents {
        counters,
        reviews: BTreeMap::new(),
        dates: BTreeMap::new(),
        newest: BTreeMap::new(),
        helpful: BTreeMap::new(),
        summaries: BTreeMap::new(),
        products: Vec::new(),
        styles: BTreeMap::new(),
        related: BTreeMap::new(),
    };
    for id in 1..counters.next_review_id {
        let found = reader.review(ReviewId(id), |product, review| {
            let date_ms = 0;
            let undated = Review {
                date_ms,
                ..review.clone()
            };
            (format!("{product:?} {undated:?}"), review.date_ms)
        });
        if let Some((review, date_ms)) = found.unwrap() {
            contents.reviews.insert(id, review);
            contents.dates.insert(id, date_ms);
        }
    }
    for id in 1..products {
        contents.read_product(&reader, ProductId(id));
    }
    reader
        .products(ALL, |id, product| {
            let listed = format!("{id:?} {product:?}");
            let alone = reader.product(id, |product| format!("{id:?} {product:?}"));
            assert_eq!(alone.unwrap().as_ref(), Some(&listed));
            contents.products.push(listed);
            ControlFlow::Continue(())
        })
        .unwrap();
    contents
}

impl Contents {
    fn read_product(&mut self, reader: &Reader<'_>, product: ProductId) {
        let list = |order| {
            let mut ids = Vec::new();
            let each = |id: ReviewId, _: &Review<'_>| {
                ids.push(id.0);
                ControlFlow::Continue(())
            };
            reader.list(product, order, ALL, each).unwrap();
            (!ids.is_empty()).then_some((product.0, ids))
        };
        self.newest.extend(list(Order::Newest));
        self.helpful.extend(list(Order::Helpful));
        let summary = reader.summary(product, |summary| format!("{summary:?}"));
        self.summaries
            .extend(summary.unwrap().map(|summary| (product.0, summary)));
        let styles = reader.styles(product, |styles| {
            (!styles.is_empty()).then(|| format!("{styles:?}"))
        });
        let styles = styles.unwrap().flatten();
        self.styles.extend(styles.map(|styles| (product.0, styles)));
        let related = reader.related(product, |related| {
            related.iter().map(|id| id.0).collect::<Vec<_>>()
        });
        let related = related.unwrap().filter(|related| !related.is_empty());
        self.related
            .extend(related.map(|related| (product.0, related)));
    }

    /// Asserts that the store's counts are those of its content, and that all of it was read.
    fn assert_complete(&self) {
        let listed = |lists: &BTreeMap<u64, Vec<u64>>| lists.values().map(Vec::len).sum::<usize>();
        let found = [
            self.reviews.len(),
            listed(&self.newest),
            listed(&self.helpful),
            self.summaries.len(),
            self.products.len(),
            self.styles.len(),
            self.related.len(),
        ];
        let Counters {
            reviews,
            reviews_visible,
            summaries,
            products,
            styled,
            related,
            ..
        } = self.counters;
        let counted = [
            reviews,
            reviews_visible,
            reviews_visible,
            summaries,
            products,
            styled,
            related,
        ];
        assert_eq!(found.map(|rows| rows as u64), counted);
    }

    /// Compares large contents; prints the differences, and not the rest.
    pub(super) fn assert_same(&self, other: &Self) {
        assert_eq!(self.counters, other.counters);
        same_rows("reviews", &self.reviews, &other.reviews);
        same_rows("dates", &self.dates, &other.dates);
        same_rows("newest", &self.newest, &other.newest);
        same_rows("helpful", &self.helpful, &other.helpful);
        same_rows("summaries", &self.summaries, &other.summaries);
        same_rows("styles", &self.styles, &other.styles);
        same_rows("related", &self.related, &other.related);
        for (one, two) in self.products.iter().zip(&other.products) {
            assert_eq!(one, two);
        }
        assert!(self == other);
    }
}

fn same_rows<V: PartialEq + Debug>(of: &str, one: &BTreeMap<u64, V>, two: &BTreeMap<u64, V>) {
    for ((key, value), (other_key, other_value)) in one.iter().zip(two) {
        assert_eq!((of, key, value), (of, other_key, other_value));
    }
    assert_eq!((of, one.len()), (of, two.len()));
}
