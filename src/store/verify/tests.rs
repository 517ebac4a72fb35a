//! A store damaged in every way there is, verified and repaired.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::bulk::{Bulk, Replace};
use crate::key::{HelpfulKey, IdKey, NewestKey, ReviewKey};
use crate::model::moderation::ReviewState;
use crate::model::{
    CharacteristicRating, Product, ProductId, Review, ReviewId, ReviewPhoto, Style, Summary,
};
use crate::moderation::keys::StateKey;
use crate::rocks::WriteBatch;
use crate::value::{IdempotencyRecord, StoredValue};
use crate::writer::idempotency::{IdempotencyKeys, by_client, by_time};

const MEMORY_BYTES: u64 = 32 << 20;
const REVIEWS: u64 = 40;
const PRODUCTS: u64 = 200;

fn review(id: u64) -> Review<'static> {
    Review {
        rating: u8::try_from(id % 5).unwrap() + 1,
        date_ms: i64::try_from(id).unwrap(),
        recommend: id.is_multiple_of(2),
        state: ReviewState::of_reported(id.is_multiple_of(7)),
        report: None,
        decision: None,
        helpfulness: 2,
        summary: "A headline",
        body: "A text",
        reviewer_name: "pine",
        reviewer_email: "pine@example.org",
        response: None,
        photos: vec![ReviewPhoto { id, url: "u" }],
        ratings: vec![CharacteristicRating {
            characteristic_id: product_of(id).0 * 10,
            value: 3,
        }],
    }
}

fn product_of(review: u64) -> ProductId {
    ProductId(review % 4 * 2 + 1)
}

/// Forty reviews of the products 1, 3, 5 and 7; 8 has a characteristic only. A catalogue, two idempotency
/// records.
fn shop() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let bulk = Bulk::begin(dir.path(), "a test", Replace::Never).unwrap();
    let mut loader = bulk.reviews().unwrap();
    for id in 1..=REVIEWS {
        loader.owner(ReviewId(id), product_of(id)).unwrap();
    }
    for product in [1, 3, 5, 7, 8].map(ProductId) {
        let names = [(product.0 * 10, "Fit")].into_iter();
        loader.product(product, names).unwrap();
        for id in (1..=REVIEWS).filter(|id| product_of(*id) == product) {
            loader.review(product, ReviewId(id), &review(id)).unwrap();
        }
    }
    let mut catalogue = bulk.catalogue().unwrap();
    for id in 1..=PRODUCTS {
        catalogue.product(ProductId(id), &product()).unwrap();
    }
    let style = Style {
        id: 1,
        name: "Blue",
        original_price: "1",
        sale_price: None,
        default: true,
        photos: Vec::new(),
        skus: Vec::new(),
    };
    catalogue.styles(ProductId(1), vec![style]).unwrap();
    catalogue.related(ProductId(1), vec![ProductId(2)]).unwrap();
    let catalogue = catalogue.finish().unwrap();
    bulk.assemble(&loader.finish().unwrap(), &catalogue, 0)
        .unwrap();
    bulk.publish().unwrap();
    let store = Store::open(dir.path(), "a test", MEMORY_BYTES, 0).unwrap();
    let (view, mut batch) = (store.rocks().view(), store.rocks().batch());
    let mut records = IdempotencyKeys::new(2, 2);
    let mut records = records.change(&view, &mut batch, 0);
    for (name, review) in [(b"one".as_slice(), 1), (b"two", 2)] {
        records.add(name, &retried(review)).unwrap();
    }
    drop(view);
    let counters = Counters {
        idempotency_keys: 2,
        ..store.counters().unwrap()
    };
    put(&mut batch, Family::State, state::COUNTERS, &counters);
    batch.commit(false).unwrap();
    (dir, store)
}

fn product() -> Product<'static> {
    Product {
        name: "Jacket",
        slogan: "",
        description: "",
        category: "",
        default_price: "1",
        features: Vec::new(),
    }
}

fn retried(review: u64) -> IdempotencyRecord {
    IdempotencyRecord {
        review,
        body: 7,
        made_ms: 50,
        client: Some(9),
    }
}

fn put<'v, R: StoredValue<'v>>(
    batch: &mut WriteBatch<'_>,
    family: Family,
    key: impl AsRef<[u8]>,
    row: &R,
) {
    let mut value = Vec::new();
    encode(row, &mut value).unwrap();
    batch.put(family, key, &value).unwrap();
}

/// All rows of all families.
fn all_rows(store: &Store) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let view = store.rocks().view();
    let mut all = Vec::new();
    for family in Family::ALL {
        let mut rows = view.sweep(family, []).unwrap();
        while let Some((key, value)) = rows.next().unwrap() {
            all.push((family.name(), key.to_vec(), value.to_vec()));
        }
    }
    all
}

type DamageFn = fn(&mut WriteBatch<'_>);

/// Damages of derived rows, each with a sentence that reports it.
const DERIVED: &[(&str, DamageFn)] = &[
    ("newest lacks the row of review 1 of product 3", |batch| {
        let row = NewestKey::new(ProductId(3), 1, ReviewId(1));
        batch.delete(Family::Newest, row).unwrap();
    }),
    ("helpful has the row", |batch| {
        let row = HelpfulKey::new(ProductId(3), 9, 1, ReviewId(1));
        batch.put(Family::Helpful, row, &[]).unwrap();
    }),
    ("helpful has the row", |batch| {
        // Behind the last product with reviews, and before the first.
        for product in [0, 1000, u64::MAX] {
            let row = HelpfulKey::new(ProductId(product), 9, 1, ReviewId(1));
            batch.put(Family::Helpful, row, &[]).unwrap();
        }
    }),
    ("newest has a value", |batch| {
        let row = NewestKey::new(ProductId(3), 1, ReviewId(1));
        batch.put(Family::Newest, row, b"x").unwrap();
    }),
    ("newest has the row 0102", |batch| {
        batch.put(Family::Newest, [1, 2], &[]).unwrap();
    }),
    ("review 5 of product 3 has no owner", |batch| {
        let row = IdKey::from(ReviewId(5));
        batch.delete(Family::Owners, row).unwrap();
    }),
    ("review 5 of product 3 has the owner 7", |batch| {
        let owner = IdKey::from(ProductId(7));
        let row = IdKey::from(ReviewId(5));
        batch.put(Family::Owners, row, owner.as_ref()).unwrap();
    }),
    (
        "owners has review 900 of product 3, which does not exist",
        |batch| {
            // As many as there should be, and not the same.
            batch
                .delete(Family::Owners, IdKey::from(ReviewId(5)))
                .unwrap();
            let owner = IdKey::from(ProductId(3));
            let row = IdKey::from(ReviewId(900));
            batch.put(Family::Owners, row, owner.as_ref()).unwrap();
        },
    ),
    ("the owner of review 5 is not eight bytes", |batch| {
        let row = IdKey::from(ReviewId(5));
        batch.put(Family::Owners, row, b"short").unwrap();
    }),
    ("owners has a key of 3 bytes", |batch| {
        batch.put(Family::Owners, b"key", &[0; 8]).unwrap();
    }),
    ("review 7 is hidden, and has no row for it", |batch| {
        let row = StateKey::new(ReviewState::Hidden, 7, ReviewId(7));
        batch.delete(Family::Moderation, row).unwrap();
    }),
    ("has a row by a state that it is not in", |batch| {
        for (state, since_ms, id) in [
            (ReviewState::Pending, 5, 5),
            (ReviewState::Hidden, 8, 7),
            (ReviewState::Removed, 1, 900),
        ] {
            let row = StateKey::new(state, since_ms, ReviewId(id));
            batch.put(Family::Moderation, row, &[]).unwrap();
        }
    }),
    ("ranks lacks rank 64", |batch| {
        batch.delete(Family::Ranks, IdKey::from(64)).unwrap();
    }),
    ("the product of rank 128 is 129, and ranks has 5", |batch| {
        let product = IdKey::from(5);
        batch
            .put(Family::Ranks, IdKey::from(128), product.as_ref())
            .unwrap();
    }),
    ("ranks has the row", |batch| {
        for rank in [7, 6400] {
            let product = IdKey::from(8);
            batch
                .put(Family::Ranks, IdKey::from(rank), product.as_ref())
                .unwrap();
        }
    }),
    ("the retry two has no row by time", |batch| {
        batch
            .delete(Family::IdempotencyKeys, by_time(50, b"two"))
            .unwrap();
    }),
    ("the retry two has no row by client", |batch| {
        let row = by_client(9, 50, b"two");
        batch.delete(Family::IdempotencyKeys, row).unwrap();
    }),
    ("the retry two has a row by client and no record", |batch| {
        for (client, made_ms) in [(8, 50), (9, 51)] {
            let row = by_client(client, made_ms, b"two");
            batch.put(Family::IdempotencyKeys, row, &[]).unwrap();
        }
        let row = by_client(9, 50, b"none");
        batch.put(Family::IdempotencyKeys, row, &[]).unwrap();
    }),
    ("the counters are", |batch| {
        let counters = Counters {
            next_review_id: 41,
            next_photo_id: 41,
            ..Counters::NONE
        };
        put(batch, Family::State, state::COUNTERS, &counters);
    }),
    ("the value of state counters is damaged", |batch| {
        batch.put(Family::State, state::COUNTERS, b"?").unwrap();
    }),
    ("the counters are", |batch| {
        let counters = Counters {
            next_review_id: 3,
            ..Counters::NONE
        };
        put(batch, Family::State, state::COUNTERS, &counters);
    }),
    ("the summary of product 3 is", |batch| {
        let summary = Summary {
            characteristics: vec![crate::model::Characteristic {
                id: 30,
                name: "Fit",
                sum: 1,
                count: 1,
            }],
            ..Summary::default()
        };
        put(batch, Family::Summaries, IdKey::from(3), &summary);
    }),
    ("product 99 has a summary, and neither", |batch| {
        put(
            batch,
            Family::Summaries,
            IdKey::from(99),
            &Summary::default(),
        );
    }),
];

#[test]
fn a_sound_store_has_no_differences_and_all_of_it_is_counted() {
    let (_dir, store) = shop();
    let verification = run(&store, false, &|_| ()).unwrap();
    assert_eq!(verification.differences, Vec::<String>::new());
    assert!(verification.is_sound());
    assert_eq!(verification.counted, store.counters().unwrap());
    let rows: u64 = verification.rows.iter().map(|(_, rows)| rows).sum();
    // The state is verified, not passed over.
    assert_eq!(rows, all_rows(&store).len() as u64 - 4);
}

#[test]
fn damage_to_derived_rows_is_found_and_repaired_exactly() {
    let (_dir, store) = shop();
    let sound = all_rows(&store);
    for (sentence, damage) in DERIVED {
        let mut batch = store.rocks().batch();
        damage(&mut batch);
        batch.commit(false).unwrap();
        let damaged = all_rows(&store);
        assert_ne!(damaged, sound, "{sentence}");
        let found = run(&store, false, &|_| ()).unwrap();
        assert_eq!(all_rows(&store), damaged, "verifying changes nothing");
        assert!(!found.is_sound());
        let told = |of: &[String]| of.iter().any(|one| one.contains(sentence));
        assert!(told(&found.differences), "{sentence}: {found:?}");
        let mended = run(&store, true, &|_| ()).unwrap();
        assert!(told(&mended.differences) && mended.is_sound(), "{mended:?}");
        assert_eq!(all_rows(&store), sound, "{sentence}");
        assert_eq!(differences(&store).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn all_damages_at_once_are_mended_at_once() {
    let (_dir, store) = shop();
    let sound = all_rows(&store);
    let mut batch = store.rocks().batch();
    for (_, damage) in DERIVED {
        damage(&mut batch);
    }
    batch.commit(false).unwrap();
    assert!(run(&store, true, &|_| ()).unwrap().is_sound());
    assert_eq!(all_rows(&store), sound);
}

#[test]
fn order_rows_owners_and_ranks_come_back_from_nothing() {
    let (_dir, store) = shop();
    let sound = all_rows(&store);
    let mut batch = store.rocks().batch();
    for (family, key, _) in &sound {
        let family = Family::ALL.into_iter().find(|of| of.name() == *family);
        let family = family.unwrap();
        if matches!(
            family,
            Family::Newest | Family::Helpful | Family::Owners | Family::Ranks
        ) {
            batch.delete(family, key).unwrap();
        }
    }
    batch.commit(false).unwrap();
    let mended = run(&store, true, &|_| ()).unwrap();
    assert!(mended.is_sound());
    assert_eq!(all_rows(&store), sound);
}

#[test]
fn what_cannot_be_decoded_is_set_aside_and_the_rest_follows() {
    let (dir, store) = shop();
    let key = ReviewKey::new(ProductId(3), ReviewId(1));
    let mut batch = store.rocks().batch();
    batch.put(Family::Reviews, key, b"\x01\x01broken").unwrap();
    batch.put(Family::Reviews, b"stray", b"value").unwrap();
    batch
        .put(Family::Summaries, IdKey::from(5), b"\x02\x09")
        .unwrap();
    batch.put(Family::Products, IdKey::from(3), b"").unwrap();
    batch.put(Family::Styles, IdKey::from(1), b"x").unwrap();
    batch.put(Family::Related, IdKey::from(1), b"x").unwrap();
    batch.put(Family::IdempotencyKeys, b"ntwo", b"x").unwrap();
    batch.commit(false).unwrap();
    let found = differences(&store).unwrap();
    for sentence in [
        "the value of reviews 1 is damaged",
        "its key has another length",
        "the value of summaries 5 is damaged",
        "product 5 has reviews and no summary",
        "the value of products 3 is damaged",
        "the value of styles 1 is damaged",
        "the value of related 1 is damaged",
        "the value of retries two is damaged",
        "owners has review 1 of product 3, which does not exist",
        "the retry one made review 1, which does not exist",
        "the retry one has a row by client and no record",
        "the retry two has a row by client and no record",
    ] {
        assert!(
            found.iter().any(|one| one.contains(sentence)),
            "{sentence}: {found:#?}"
        );
    }
    assert!(
        !dir.path().join(ASIDE_FILE).exists(),
        "verifying sets nothing aside"
    );
    let mended = run(&store, true, &|_| ()).unwrap();
    assert!(mended.is_sound());
    assert_eq!(mended.quarantined, 7);
    assert_eq!(differences(&store).unwrap(), Vec::<String>::new());
    let quarantine = fs::read_to_string(dir.path().join(ASIDE_FILE)).unwrap();
    assert_eq!(quarantine.lines().count(), 7);
    let line = "reviews 00000000000000030000000000000001 010162726f6b656e ";
    assert!(
        quarantine.lines().any(|one| one.starts_with(line)),
        "{quarantine}"
    );
    let counters = store.counters().unwrap();
    assert_eq!(
        (counters.reviews, counters.products),
        (REVIEWS - 1, PRODUCTS - 1)
    );
    assert_eq!(counters.next_review_id, REVIEWS + 1);
}

#[test]
fn what_nobody_can_mend_is_told_and_left() {
    let (_dir, store) = shop();
    let mut wrong = review(1);
    wrong.rating = 9;
    let mut batch = store.rocks().batch();
    let twin = ReviewKey::new(ProductId(1), ReviewId(2));
    put(&mut batch, Family::Reviews, twin, &review(2));
    let key = ReviewKey::new(ProductId(3), ReviewId(1));
    put(&mut batch, Family::Reviews, key, &wrong);
    batch.commit(false).unwrap();
    run(&store, true, &|_| ()).unwrap();
    let left = run(&store, true, &|_| ()).unwrap();
    assert!(!left.is_sound());
    assert_eq!((left.total, left.mended), (2, 0), "{left:?}");
    for sentence in [
        "review 1 of product 3 has the rating 9",
        "review 2 is stored for the products 5 and 1",
    ] {
        assert!(left.differences.contains(&sentence.to_owned()), "{left:?}");
    }
}

#[test]
fn differences_are_counted_beyond_those_that_are_listed() {
    let (_dir, store) = shop();
    let mut batch = store.rocks().batch();
    for review in 0..1500 {
        let row = NewestKey::new(ProductId(3), 1, ReviewId(10_000 + review));
        batch.put(Family::Newest, row, &[]).unwrap();
    }
    batch.commit(false).unwrap();
    let found = run(&store, false, &|_| ()).unwrap();
    assert_eq!((found.differences.len(), found.total), (1000, 1500));
}
