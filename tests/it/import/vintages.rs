//! The fixtures of both vintages of the export, and the content of the store of each.

use std::ops::ControlFlow;

use reviewsd::model::{Page, Product, ProductId, ReviewId};
use reviewsd::store::{ReadTier, Reader};

use super::contents::opened;
use super::{Csv, Data, Import, reasons_of};

const DAY_MS: i64 = 86_400_000;

fn imported(vintage: &str) -> Data {
    let data = Data::new();
    Import::new(&Csv::fixture(vintage), &data).report();
    data
}

/// Both vintages must pass.
fn of_both(check: impl Fn(&Reader<'_>)) {
    for vintage in ["v1", "v2"] {
        let data = imported(vintage);
        opened(&data.path(), |store| check(&store.reader(ReadTier::Disk)));
    }
}

#[test]
fn both_vintages_of_the_same_data_are_read_alike() {
    let v1 = imported("v1").contents();
    let mut v2 = imported("v2").contents();
    // The older export knows days only.
    for date_ms in v2.dates.values_mut() {
        *date_ms -= date_ms.rem_euclid(DAY_MS);
    }
    assert_eq!(v1, v2);
}

#[test]
fn every_row_of_the_fixtures_is_counted() {
    for (vintage, ratings) in [
        ("v1", "characteristics_reviews.csv"),
        ("v2", "characteristic_reviews.csv"),
    ] {
        let data = Data::new();
        let report = Import::new(&Csv::fixture(vintage), &data).report();
        let rows = [
            ("product.csv", (10, 10)),
            ("reviews.csv", (14, 14)),
            ("characteristics.csv", (25, 25)),
            ("reviews_photos.csv", (6, 6)),
            (ratings, (41, 41)),
            ("styles.csv", (10, 10)),
            ("skus.csv", (12, 12)),
            ("photos.csv", (7, 7)),
            ("features.csv", (8, 8)),
            ("related.csv", (19, 17)),
        ];
        for ((name, rows), file) in rows.into_iter().zip(report.files()) {
            assert_eq!(file["file"], name);
            assert_eq!((name, report.rows(name)), (name, rows));
        }
        let zeros = reasons_of(&[("related_product_id is 0", 2)]);
        assert_eq!(report.skipped("related.csv"), zeros);
        let unclosed = reasons_of(&[("last field lacked its closing quote", 1)]);
        assert_eq!(report.repaired("photos.csv"), unclosed);
        assert_eq!(data.names().len(), 3, "no rejects file without rejects");
    }
}

#[test]
fn next_ids_follow_the_highest() {
    for vintage in ["v1", "v2"] {
        let counters = imported(vintage).contents().counters;
        assert_eq!((counters.next_review_id, counters.next_photo_id), (15, 9));
        assert_eq!((counters.reviews, counters.reviews_visible), (14, 13));
    }
}

/// Id, name, sum and count.
type Mean = (u64, String, u64, u64);
type Summed = ([u64; 5], [u64; 2], Vec<Mean>);

fn summary(reader: &Reader<'_>, product: u64) -> Option<Summed> {
    let summed = reader.summary(ProductId(product), |summary| {
        let means = summary.characteristics.iter();
        let means = means.map(|one| (one.id, one.name.to_owned(), one.sum, one.count));
        let recommended = [summary.recommended_false, summary.recommended_true];
        (summary.ratings, recommended, means.collect())
    });
    summed.unwrap()
}

fn means(first_id: u64, sums: [u64; 4], count: u64) -> Vec<Mean> {
    let names = ["Fit", "Length", "Comfort", "Quality"];
    let means = (first_id..).zip(names).zip(sums);
    means
        .map(|((id, name), sum)| (id, name.to_owned(), sum, count))
        .collect()
}

#[test]
fn summaries_have_exact_sums() {
    of_both(|reader| {
        let one = ([0, 0, 0, 1, 1], [1, 1], means(1, [8, 7, 10, 8], 2));
        assert_eq!(summary(reader, 1), Some(one));
        let quality = vec![(5, "Quality".to_owned(), 21, 5)];
        assert_eq!(summary(reader, 2), Some(([0, 1, 1, 2, 1], [2, 3], quality)));
        let none = ([0; 5], [0; 2], means(6, [0; 4], 0));
        assert_eq!(summary(reader, 3), Some(none));
        let four = ([0, 1, 0, 1, 1], [1, 2], means(10, [11; 4], 3));
        assert_eq!(summary(reader, 4), Some(four));
        let (ratings, recommended, _) = summary(reader, 7).unwrap();
        assert_eq!(ratings, [1, 0, 0, 0, 1], "reported reviews count");
        assert_eq!(recommended, [1, 1]);
        assert_eq!(summary(reader, 8), None);
    });
}

#[test]
fn reviews_are_listed_in_both_orders_without_the_reported_ones() {
    for vintage in ["v1", "v2"] {
        let contents = imported(vintage).contents();
        assert_eq!(contents.newest[&2], [5, 7, 3, 4, 6]);
        assert_eq!(contents.helpful[&2], [5, 3, 4, 7, 6]);
        assert_eq!(contents.newest[&4], [9, 8, 10]);
        assert_eq!(contents.helpful[&4], [10, 9, 8]);
        assert_eq!(contents.newest[&7], [13]);
        assert!(!contents.newest.contains_key(&3));
        assert!(contents.reviews.contains_key(&14));
    }
}

#[test]
fn a_review_has_its_date_its_photos_and_its_ratings() {
    of_both(|reader| {
        let found = reader.review(ReviewId(5), |product, review| {
            assert_eq!(product, ProductId(2));
            assert_eq!(review.date_ms / DAY_MS, 1_615_987_717_620 / DAY_MS);
            assert_eq!((review.rating, review.helpfulness), (3, 5));
            assert!(review.recommend && review.is_published());
            let photos: Vec<_> = review.photos.iter().map(|photo| photo.id).collect();
            assert_eq!(photos, [1, 2, 3]);
            assert_eq!(
                review.photos[1].url,
                "https://img.example/r/5/2.jpg?w=900&q=80"
            );
            let ratings = review.ratings.iter();
            let ratings: Vec<_> = ratings
                .map(|one| (one.characteristic_id, one.value))
                .collect();
            assert_eq!(ratings, [(5, 5)]);
        });
        assert_eq!(found.unwrap(), Some(()));
    });
}

#[test]
fn milliseconds_and_days_are_dates() {
    assert_eq!(imported("v2").contents().dates[&5], 1_615_987_717_620);
    // 2021-03-17T00:00:00Z
    assert_eq!(imported("v1").contents().dates[&5], 1_615_939_200_000);
}

#[test]
fn text_is_what_the_file_says_to_the_byte() {
    of_both(|reader| {
        let found = reader.review(ReviewId(4), |_, review| {
            assert_eq!(review.summary, r"Back\slash\");
            assert_eq!(
                review.body,
                r"C:\new\table, <b>bold</b> &amp; <script>alert('no')</script>"
            );
            assert_eq!(review.reviewer_name, r#"O'Hara, "Ann""#);
            assert_eq!(review.reviewer_email, "ann@post.example");
        });
        assert_eq!(found.unwrap(), Some(()));
        let found = reader.review(ReviewId(5), |_, review| {
            assert_eq!(review.summary, "Größe: mittel 😎");
            assert_eq!(
                review.body,
                "眼鏡 are fine; the case 🧳 is not — it opens by itself."
            );
        });
        assert_eq!(found.unwrap(), Some(()));
    });
}

#[test]
fn a_bare_null_or_nothing_is_null_and_a_quoted_null_is_a_word() {
    of_both(|reader| {
        let response = |id| {
            let found = reader.review(ReviewId(id), |_, review| {
                review.response.map(ToOwned::to_owned)
            });
            found.unwrap().unwrap()
        };
        assert_eq!(
            [1, 3, 9].map(|id| response(id).is_some()),
            [false, true, false]
        );
        assert_eq!(response(6).as_deref(), Some("null"));
        let features = reader.product(ProductId(2), |product| {
            let features = product.features.iter();
            let owned = features.map(|one| (one.feature.to_owned(), one.value.map(str::to_owned)));
            owned.collect::<Vec<_>>()
        });
        let feature = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let expected = [
            feature("Lenses", Some("Mineral")),
            feature("UV Protection", None),
            feature("Frame", Some("null")),
        ];
        assert_eq!(features.unwrap().unwrap(), expected);
    });
}

#[test]
fn related_products_keep_order_and_duplicates_and_no_zeros() {
    for vintage in ["v1", "v2"] {
        let related = imported(vintage).contents().related;
        assert_eq!(related[&1], [2, 3, 8, 7]);
        assert_eq!(related[&3], [5, 1], "without the zero between them");
        assert_eq!(related[&4], [4], "itself");
        assert_eq!(related[&5], [6, 6, 8, 9, 1, 3]);
        assert_eq!(related.keys().collect::<Vec<_>>(), [&1, &2, &3, &4, &5]);
    }
    of_both(|reader| {
        let of = |id| {
            let known = reader.related(ProductId(id), <[ProductId]>::is_empty);
            known.unwrap()
        };
        assert_eq!(of(10), Some(true), "nothing but a zero");
        assert_eq!(of(6), Some(true));
        assert_eq!(of(11), None);
    });
}

#[test]
fn styles_have_prices_a_default_and_photos_in_file_order() {
    of_both(|reader| {
        let found = reader.styles(ProductId(1), |styles| {
            let row = |at: usize| {
                let style = &styles[at];
                (
                    style.id,
                    style.name,
                    style.original_price,
                    style.sale_price,
                    style.default,
                )
            };
            assert_eq!(row(0), (1, "Moss & Coal", "140", None, true));
            assert_eq!(row(1), (2, "Sand & Clay", "140", None, false));
            assert_eq!(row(2), (3, "Sea & Sky", "140", Some("100"), false));
            let photos: Vec<_> = styles[0].photos.iter().map(|photo| photo.url).collect();
            let expected = ["1/1", "1/3", "1/2"];
            assert_eq!(
                photos,
                expected.map(|at| format!("https://img.example/s/{at}.jpg?w=900&q=80"))
            );
            let repaired = styles[0].photos[1].thumbnail_url;
            assert_eq!(repaired, "https://img.example/s/1/3.jpg?w=300&q=80");
        });
        assert_eq!(found.unwrap(), Some(()));
        let default = reader.styles(ProductId(2), |styles| {
            styles.iter().position(|one| one.default)
        });
        assert_eq!(default.unwrap(), Some(Some(1)), "not always the first");
    });
}

#[test]
fn skus_come_by_id_whatever_the_files_order() {
    of_both(|reader| {
        let skus = |product, style: usize| {
            let found = reader.styles(ProductId(product), |styles| {
                let skus = styles[style].skus.iter();
                skus.map(|sku| (sku.id, sku.size.to_owned(), sku.quantity))
                    .collect::<Vec<_>>()
            });
            found.unwrap().unwrap()
        };
        let sku = |id: u64, size: &str, quantity: u64| (id, size.to_owned(), quantity);
        let expected = [
            sku(1, "XS", 8),
            sku(2, "S", 16),
            sku(7, "L", 15),
            sku(8, "XL", 4),
        ];
        assert_eq!(skus(1, 0), expected);
        assert_eq!(skus(1, 1), [sku(9, "M", 17), sku(10, "One Size", 0)]);
        assert_eq!(skus(5, 0), [sku(57, "7", 10), sku(58, "7.5", 17)]);
    });
}

#[test]
fn products_have_what_the_catalogue_says() {
    of_both(|reader| {
        let found = reader.product(ProductId(2), |product| {
            assert_eq!(product.name, "Noon Glasses");
            assert_eq!(product.slogan, "Shade where you want it");
            assert_eq!(
                product.description,
                r#"Dark lenses in a frame that "gives", and a case."#
            );
            assert_eq!(
                (product.category, product.default_price),
                ("Accessories", "69")
            );
        });
        assert_eq!(found.unwrap(), Some(()));
        let mut ids = Vec::new();
        let page = Page { skip: 3, rows: 4 };
        let each = |id: ProductId, _: &Product<'_>| {
            ids.push(id.0);
            ControlFlow::Continue(())
        };
        reader.products(page, each).unwrap();
        assert_eq!(ids, [4, 5, 6, 7]);
    });
}
