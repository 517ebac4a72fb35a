//! The store against a model: plain vectors, sorted and counted anew for every question.
//!
//! Invariant: the model is too simple to be wrong.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use proptest::prelude::*;
use reviewsd::model::moderation::ReviewState;
use reviewsd::model::{
    Characteristic, CharacteristicRating, Order, Page, Product, ProductId, Review, ReviewId,
    Summary,
};
use reviewsd::store::bulk::{Bulk, Replace};
use reviewsd::store::{MemoryRead, ReadTier, Store};

use crate::support::{no_forks, open_store};

const ORDERS: [Order; 2] = [Order::Newest, Order::Helpful];

/// The fields that distinguish reviews of a list.
#[derive(Debug, Clone, Copy)]
struct Row {
    product: u64,
    id: u64,
    date_ms: i64,
    helpfulness: u32,
    reported: bool,
    rating: u8,
    recommend: bool,
    /// The value given to the product's one characteristic.
    fit: Option<u8>,
}

/// A shop of reviews, and of products that have nothing but a name.
#[derive(Debug, Clone, Default)]
struct Model {
    rows: Vec<Row>,
    products: Vec<u64>,
}

/// Every product has one characteristic, with this id.
fn fit_of(product: u64) -> u64 {
    product * 10
}

impl Row {
    fn review<'a>(&self, body: &'a str) -> Review<'a> {
        let ratings = self.fit.map(|value| CharacteristicRating {
            characteristic_id: fit_of(self.product),
            value,
        });
        Review {
            rating: self.rating,
            date_ms: self.date_ms,
            recommend: self.recommend,
            state: ReviewState::of_reported(self.reported),
            report: None,
            decision: None,
            helpfulness: self.helpfulness,
            summary: "A headline",
            body,
            reviewer_name: "pine",
            reviewer_email: "pine@example.org",
            response: None,
            photos: Vec::new(),
            ratings: ratings.into_iter().collect(),
        }
    }
}

impl Model {
    fn list(&self, product: u64, order: Order, page: Page) -> Vec<u64> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.retain(|row| row.product == product && !row.reported);
        rows.sort_by_key(|row| match order {
            Order::Newest => Reverse((0, row.date_ms, row.id)),
            Order::Helpful => Reverse((row.helpfulness, row.date_ms, row.id)),
        });
        let skip = usize::try_from(page.skip).unwrap_or(usize::MAX);
        let rows = rows.into_iter().skip(skip).take(page.rows);
        rows.map(|row| row.id).collect()
    }

    fn summary(&self, product: u64) -> Summary<'static> {
        let rows = || self.rows.iter().filter(move |row| row.product == product);
        let count = |wanted: &dyn Fn(&Row) -> bool| rows().filter(|row| wanted(row)).count() as u64;
        let values: Vec<u64> = rows().filter_map(|row| row.fit.map(u64::from)).collect();
        Summary {
            ratings: [1, 2, 3, 4, 5].map(|stars| count(&|row| row.rating == stars)),
            recommended_false: count(&|row| !row.recommend),
            recommended_true: count(&|row| row.recommend),
            characteristics: vec![Characteristic {
                id: fit_of(product),
                name: "Fit",
                sum: values.iter().sum(),
                count: values.len() as u64,
            }],
        }
    }

    fn store(&self, dir: &Path) -> Store {
        let _no_forks = no_forks();
        let bulk = Bulk::begin(dir, "a test", Replace::Never).unwrap();
        let mut loader = bulk.reviews().unwrap();
        let mut by_product: BTreeMap<u64, BTreeMap<u64, Row>> = BTreeMap::new();
        let mut owners = BTreeMap::new();
        for row in &self.rows {
            by_product
                .entry(row.product)
                .or_default()
                .insert(row.id, *row);
            owners.insert(row.id, row.product);
        }
        for (review, product) in owners {
            loader.owner(ReviewId(review), ProductId(product)).unwrap();
        }
        for (product, rows) in by_product {
            let product = ProductId(product);
            loader
                .product(product, [(fit_of(product.0), "Fit")].into_iter())
                .unwrap();
            for row in rows.values() {
                let body = row.id.to_string();
                loader
                    .review(product, ReviewId(row.id), &row.review(&body))
                    .unwrap();
            }
        }
        let mut catalogue = bulk.catalogue().unwrap();
        for id in &self.products {
            catalogue.product(ProductId(*id), &product()).unwrap();
        }
        let (reviews, catalogue) = (loader.finish().unwrap(), catalogue.finish().unwrap());
        bulk.assemble(&reviews, &catalogue, 0).unwrap();
        bulk.publish().unwrap();
        open_store(dir)
    }
}

fn product() -> Product<'static> {
    Product {
        name: "Jacket",
        slogan: "Warm",
        description: "Very warm",
        category: "Jackets",
        default_price: "140",
        features: Vec::new(),
    }
}

/// The ids on a page, each checked to carry its own review.
fn listed(store: &Store, product: u64, order: Order, page: Page) -> Vec<u64> {
    let mut ids = Vec::new();
    store
        .reader(ReadTier::Disk)
        .list(ProductId(product), order, page, |id, review| {
            assert_eq!(review.body, id.0.to_string());
            ids.push(id.0);
            ControlFlow::Continue(())
        })
        .unwrap();
    ids
}

fn products_listed(store: &Store, page: Page) -> Vec<u64> {
    let mut ids = Vec::new();
    let reader = store.reader(ReadTier::Disk);
    let each = |id: ProductId, _: &Product<'_>| {
        ids.push(id.0);
        ControlFlow::Continue(())
    };
    reader.products(page, each).unwrap();
    ids
}

/// Few different dates and votes, so that ties are usual.
fn rows(per_product: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Row>> {
    let row = (
        -2_i64..3,
        0_u32..3,
        prop::bool::weighted(0.2),
        1_u8..=5,
        any::<bool>(),
        prop::option::of(1_u8..=5),
    );
    let product = prop::collection::vec(row, per_product);
    prop::collection::vec(product, 1..5).prop_map(|products| {
        let mut rows = Vec::new();
        for (product, reviews) in (1..).zip(products) {
            for (date_ms, helpfulness, reported, rating, recommend, fit) in reviews {
                // Ids that do not ascend with products, and have gaps.
                let id = (rows.len() as u64 * 7919) % 10_007 + 1;
                rows.push(Row {
                    product,
                    id,
                    date_ms,
                    helpfulness,
                    reported,
                    rating,
                    recommend,
                    fit,
                });
            }
        }
        rows
    })
}

fn pages() -> impl Strategy<Value = Vec<Page>> {
    let page = (0_u64..130, 0_usize..130).prop_map(|(skip, rows)| Page { skip, rows });
    prop::collection::vec(page, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_page_of_every_order_is_the_model_s(rows in rows(0..120), mut pages in pages()) {
        let model = Model { rows, products: Vec::new() };
        let dir = tempfile::tempdir().unwrap();
        let store = model.store(dir.path());
        pages.push(Page { skip: 0, rows: usize::MAX });
        pages.push(Page { skip: u64::MAX, rows: 5 });
        for product in 0..6 {
            for order in ORDERS {
                for page in &pages {
                    let expected = model.list(product, order, *page);
                    prop_assert_eq!(listed(&store, product, order, *page), expected);
                }
            }
        }
    }

    #[test]
    fn summaries_owners_and_counts_are_the_model_s(rows in rows(0..60)) {
        let model = Model { rows, products: Vec::new() };
        let dir = tempfile::tempdir().unwrap();
        let store = model.store(dir.path());
        let reader = store.reader(ReadTier::Disk);
        for product in model.rows.iter().map(|row| row.product) {
            let expected = model.summary(product);
            let same = reader.summary(ProductId(product), |found| *found == expected);
            prop_assert_eq!(same.unwrap(), Some(true));
        }
        for row in &model.rows {
            let found = reader.review(ReviewId(row.id), |product, review| {
                (product.0, !review.is_published(), review.helpfulness)
            });
            prop_assert_eq!(found.unwrap(), Some((row.product, row.reported, row.helpfulness)));
        }
        let counters = store.counters().unwrap();
        prop_assert_eq!(counters.reviews, model.rows.len() as u64);
        let visible = model.rows.iter().filter(|row| !row.reported).count() as u64;
        prop_assert_eq!(counters.reviews_visible, visible);
        let last = model.rows.iter().map(|row| row.id).max().unwrap_or(0);
        prop_assert_eq!(counters.next_review_id, last + 1);
    }

    #[test]
    fn every_page_of_the_catalogue_is_the_model_s(
        ids in prop::collection::btree_set(1_u64..5000, 0..400),
        pages in prop::collection::vec((0_u64..500, 0_usize..200), 1..20),
    ) {
        let model = Model { rows: Vec::new(), products: ids.into_iter().collect() };
        let dir = tempfile::tempdir().unwrap();
        let store = model.store(dir.path());
        for (skip, rows) in pages {
            let from = usize::try_from(skip).unwrap();
            let expected: Vec<u64> = model.products.iter().copied().skip(from).take(rows).collect();
            prop_assert_eq!(products_listed(&store, Page { skip, rows }), expected);
        }
        let beyond = Page { skip: u64::MAX, rows: 5 };
        prop_assert!(products_listed(&store, beyond).is_empty());
    }
}

#[test]
fn paging_100_000_reviews_of_a_product_matches_the_model() {
    let rows = (1..=100_000_u64).map(|id| Row {
        product: 1,
        id,
        date_ms: i64::try_from(id * 7919 % 1009).unwrap(),
        helpfulness: u32::try_from(id * 31 % 97).unwrap(),
        reported: id.is_multiple_of(33),
        rating: u8::try_from(id % 5).unwrap() + 1,
        recommend: id.is_multiple_of(3),
        fit: Some(u8::try_from(id % 4).unwrap() + 2),
    });
    let model = Model {
        rows: rows.collect(),
        products: Vec::new(),
    };
    let dir = tempfile::tempdir().unwrap();
    let store = model.store(dir.path());
    for order in ORDERS {
        let all = model.list(
            1,
            order,
            Page {
                skip: 0,
                rows: usize::MAX,
            },
        );
        for (skip, rows) in [
            (0, 5),
            (5, 5),
            (0, 5000),
            (49_990, 20),
            (96_960, 5000),
            (200_000, 5),
        ] {
            let from = usize::try_from(skip).unwrap();
            let expected: Vec<u64> = all.iter().copied().skip(from).take(rows).collect();
            assert_eq!(
                listed(&store, 1, order, Page { skip, rows }),
                expected,
                "{skip}"
            );
        }
    }
    let same = store
        .reader(ReadTier::Disk)
        .summary(ProductId(1), |found| *found == model.summary(1));
    assert_eq!(same.unwrap(), Some(true));
}

#[test]
fn an_empty_store_answers_every_read_with_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(&dir.path().join("new"));
    let reader = store.reader(ReadTier::Disk);
    let all = Page { skip: 0, rows: 10 };
    assert!(listed(&store, 1, Order::Newest, all).is_empty());
    assert!(products_listed(&store, all).is_empty());
    assert_eq!(reader.review(ReviewId(1), |_, _| ()).unwrap(), None);
    assert_eq!(reader.summary(ProductId(1), |_| ()).unwrap(), None);
    assert_eq!(reader.product(ProductId(1), |_| ()).unwrap(), None);
    assert_eq!(reader.styles(ProductId(1), |_| ()).unwrap(), None);
    assert_eq!(reader.related(ProductId(1), |_| ()).unwrap(), None);
    assert_eq!(store.counters().unwrap().next_review_id, 1);
}

#[test]
fn a_read_that_stays_in_memory_says_so_or_is_right() {
    let rows = (1..=200).map(|id| Row {
        product: id % 3 + 1,
        id,
        date_ms: 0,
        helpfulness: 0,
        reported: false,
        rating: 5,
        recommend: true,
        fit: None,
    });
    let model = Model {
        rows: rows.collect(),
        products: Vec::new(),
    };
    let dir = tempfile::tempdir().unwrap();
    let store = model.store(dir.path());
    let page = Page { skip: 0, rows: 5 };
    let from_memory = |product| {
        let mut ids = Vec::new();
        let read = store.read_in_memory(|reader| {
            reader.list(ProductId(product), Order::Newest, page, |id, _| {
                ids.push(id.0);
                ControlFlow::Continue(())
            })
        });
        (read.unwrap(), ids)
    };
    let (read, _) = from_memory(1);
    assert_eq!(
        read,
        MemoryRead::Incomplete,
        "nothing of a store just opened is in memory"
    );
    let expected = listed(&store, 1, Order::Newest, page);
    assert_eq!(from_memory(1), (MemoryRead::Complete(()), expected));
}
