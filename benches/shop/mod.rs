//! A small shop in a store of its own.
//!
//! Must not know what is asked of it. Invariant: all of it has a place in the block cache.

use reviewsd::model::{Feature, Product, ProductId, Review, ReviewId, Sku, Style, StylePhoto};
use reviewsd::store::Store;
use reviewsd::store::bulk::{Bulk, Replace};
use tempfile::TempDir;

use crate::sample;

/// A product whose reviews are read whole.
pub(crate) const SMALL: ProductId = ProductId(1);
const SMALL_REVIEWS: u32 = 5;
/// A product whose reviews are read through an order family.
pub(crate) const LARGE: ProductId = ProductId(2);
const LARGE_REVIEWS: u32 = 5000;

const PRODUCTS: u64 = 100;
const MEMORY_BYTES: u64 = 64 << 20;
const MADE_MS: i64 = 1_700_000_000_000;

/// The shop, and the directory that goes away with it.
pub(crate) fn open() -> (Store, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let bulk = Bulk::begin(dir.path(), "make micro", Replace::Always).unwrap();
    let mut loader = bulk.reviews().unwrap();
    let names = || (1..).zip(["Size", "Width", "Comfort", "Quality"]);
    let small = 1..=SMALL_REVIEWS;
    let large = SMALL_REVIEWS + 1..=SMALL_REVIEWS + LARGE_REVIEWS;
    for (product, reviews) in [(SMALL, small.clone()), (LARGE, large.clone())] {
        loader.product(product, names()).unwrap();
        for n in reviews {
            let review: Review<'_> = sample::review(n);
            loader.review(product, ReviewId(n.into()), &review).unwrap();
        }
    }
    for (product, reviews) in [(SMALL, small), (LARGE, large)] {
        for n in reviews {
            loader.owner(ReviewId(n.into()), product).unwrap();
        }
    }
    let mut catalogue = bulk.catalogue().unwrap();
    for id in (1..=PRODUCTS).map(ProductId) {
        catalogue.product(id, &product()).unwrap();
        catalogue.styles(id, styles()).unwrap();
        catalogue
            .related(id, [2, 3, 8, 7].map(ProductId).into())
            .unwrap();
    }
    let (reviews, catalogue) = (loader.finish().unwrap(), catalogue.finish().unwrap());
    bulk.assemble(&reviews, &catalogue, MADE_MS).unwrap();
    bulk.publish().unwrap();
    let store = Store::open(dir.path(), "make micro", MEMORY_BYTES, MADE_MS).unwrap();
    (store, dir)
}

fn product() -> Product<'static> {
    let feature = |(feature, value)| Feature { feature, value };
    Product {
        name: "Camo Onesie",
        slogan: "Blend in to your crowd",
        description: "The So Fatigues will wake you up and fit you in. This high energy camo will \
                      have you blending in to even the wildest surroundings.",
        category: "Jackets",
        default_price: "140",
        features: [
            ("Fabric", Some("Canvas")),
            ("Buttons", Some("Brass")),
            ("Sole", None),
        ]
        .map(feature)
        .into(),
    }
}

fn styles() -> Vec<Style<'static>> {
    let photo = StylePhoto {
        url: "https://images.example.org/photo-1501088430049-71c79fa3283e?ixlib=rb-1.2.1&w=668&q=80",
        thumbnail_url: "https://images.example.org/photo-1501088430049-71c79fa3283e?w=300&q=80",
    };
    let sku = |(id, size)| Sku {
        id,
        size,
        quantity: 16,
    };
    let style = |id| Style {
        id,
        name: "Forest Green & Black",
        original_price: "140",
        sale_price: (id == 3).then_some("100"),
        default: id == 1,
        photos: vec![photo; 6],
        skus: (37..)
            .zip(["XS", "S", "M", "L", "XL", "XXL"])
            .map(sku)
            .collect(),
    };
    (1..=4).map(style).collect()
}
