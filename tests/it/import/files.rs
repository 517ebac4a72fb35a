//! The files of an import, and the report on missing ones.

use std::fs;

use serde_json::json;

use super::{Csv, Data, Import, fixture_contents};

const REVIEW_FILES: [&str; 4] = [
    "reviews.csv",
    "reviews_photos.csv",
    "characteristics.csv",
    "characteristic_reviews.csv",
];
const CATALOGUE_FILES: [&str; 6] = [
    "product.csv",
    "styles.csv",
    "skus.csv",
    "photos.csv",
    "features.csv",
    "related.csv",
];

/// The fixture without these files.
fn without(files: &[&str]) -> Csv {
    let csv = Csv::fixture("v2");
    for file in files {
        csv.remove(file);
    }
    csv
}

#[test]
fn reviews_alone_make_a_store() {
    let data = Data::new();
    let report = Import::new(&without(&CATALOGUE_FILES), &data).report();
    for file in CATALOGUE_FILES {
        assert_eq!(report.file(file)["state"], "missing");
        assert_eq!(report.rows(file), (0, 0));
    }
    let (contents, whole) = (data.contents(), fixture_contents());
    assert_eq!(contents.reviews, whole.reviews);
    assert_eq!(contents.newest, whole.newest);
    assert_eq!(contents.helpful, whole.helpful);
    assert_eq!(contents.summaries, whole.summaries);
    assert!(contents.products.is_empty() && contents.styles.is_empty());
    assert!(contents.related.is_empty());
}

#[test]
fn a_catalogue_alone_makes_a_store() {
    let data = Data::new();
    let report = Import::new(&without(&REVIEW_FILES), &data).report();
    for file in REVIEW_FILES {
        assert_eq!(report.file(file)["state"], "missing");
        assert_eq!(report.rows(file), (0, 0));
    }
    let (contents, whole) = (data.contents(), fixture_contents());
    assert_eq!(contents.products, whole.products);
    assert_eq!(contents.styles, whole.styles);
    assert_eq!(contents.related, whole.related);
    assert!(contents.reviews.is_empty() && contents.summaries.is_empty());
    assert_eq!(contents.counters.next_review_id, 1);
}

#[test]
fn every_file_may_be_missing() {
    for missing in REVIEW_FILES.into_iter().chain(CATALOGUE_FILES) {
        let data = Data::new();
        let report = Import::new(&without(&[missing]), &data).report();
        assert_eq!(report.file(missing)["state"], "missing");
        let contents = data.contents();
        assert_eq!(contents.reviews.is_empty(), missing == "reviews.csv");
        assert_eq!(contents.products.is_empty(), missing == "product.csv");
        assert_eq!(contents.styles.is_empty(), missing == "styles.csv");
        assert_eq!(contents.related.is_empty(), missing == "related.csv");
        assert_eq!(data.rejects(), b"", "without {missing}");
    }
}

#[test]
fn a_file_whose_parents_file_is_missing_is_passed_over_and_said() {
    for (missing, needing) in [
        (
            "reviews.csv",
            vec!["reviews_photos.csv", "characteristic_reviews.csv"],
        ),
        ("characteristics.csv", vec!["characteristic_reviews.csv"]),
        ("styles.csv", vec!["skus.csv", "photos.csv"]),
        ("product.csv", vec!["features.csv"]),
    ] {
        let csv = without(&[missing]);
        let data = Data::new();
        let report = Import::new(&csv, &data).report();
        let states = report.files().iter();
        let passed_over: Vec<_> = states
            .filter(|file| file["state"] == json!({ "needs": missing }))
            .map(|file| file["file"].as_str().unwrap())
            .collect();
        let mut found = passed_over.clone();
        found.sort_unstable();
        let mut needing = needing;
        needing.sort_unstable();
        assert_eq!(found, needing);
        for file in needing {
            assert_eq!(report.rows(file), (0, 0));
        }
    }
}

#[test]
fn where_products_are_missing_their_rows_are_known_all_the_same() {
    let csv = without(&["product.csv"]);
    csv.add("related.csv", "99,12,1");
    let data = Data::new();
    Import::new(&csv, &data).report();
    let (contents, whole) = (data.contents(), fixture_contents());
    assert_eq!(contents.reviews, whole.reviews);
    assert_eq!(contents.styles, whole.styles);
    assert_eq!(contents.related[&12], [1]);
}

#[test]
fn a_directory_without_any_of_the_files_is_named() {
    let (csv, data) = (Csv::empty(), Data::new());
    csv.write("review.csv", "id");
    let sentence = Import::new(&csv, &data).refusal();
    let dir = csv.0.path().display();
    assert_eq!(
        sentence,
        format!(
            "{dir} has none of the CSV files; give the directory of reviews.csv, product.csv and the others with --csv"
        )
    );
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let (csv, data) = (Csv::empty(), Data::new());
    let nowhere = csv.path("nowhere");
    let sentence = Import::of(&nowhere, &data.path()).refusal();
    assert!(sentence.contains(nowhere.to_str().unwrap()), "{sentence}");
}

#[test]
fn a_file_given_as_the_directory_is_named() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let file = csv.path("reviews.csv");
    let sentence = Import::of(&file, &data.path()).refusal();
    assert!(sentence.contains(file.to_str().unwrap()), "{sentence}");
}

#[test]
fn a_directory_in_place_of_a_file_is_named() {
    let (csv, data) = (without(&["skus.csv"]), Data::new());
    fs::create_dir(csv.path("skus.csv")).unwrap();
    let sentence = Import::new(&csv, &data).refusal();
    let expected = format!("cannot read {}: ", csv.path("skus.csv").display());
    assert!(sentence.starts_with(&expected), "{sentence}");
}

#[test]
fn a_link_that_leads_nowhere_is_not_taken_for_a_missing_file() {
    let (csv, data) = (without(&["skus.csv"]), Data::new());
    std::os::unix::fs::symlink("nowhere", csv.path("skus.csv")).unwrap();
    let sentence = Import::new(&csv, &data).refusal();
    let expected = format!("cannot read {}: ", csv.path("skus.csv").display());
    assert!(sentence.starts_with(&expected), "{sentence}");
}

#[test]
fn two_names_of_the_same_file_are_one_too_many() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    csv.write("characteristics_reviews.csv", "");
    let sentence = Import::new(&csv, &data).refusal();
    for name in ["characteristic_reviews.csv", "characteristics_reviews.csv"] {
        assert!(sentence.contains(name), "{sentence}");
    }
}

#[test]
fn a_first_line_without_column_names_is_rejected_with_advice() {
    let first_lines: [(&[u8], &str); 5] = [
        (b"", "it is empty, and must name the columns"),
        (b"\n1,2,3", "it is empty, and must name the columns"),
        (
            b"1,2,3",
            "this is a row, not a header; put the line `id,current_product_id,related_product_id` before it",
        ),
        (
            b"id,product_id,related_product_id",
            "the column current_product_id is missing; the header must name id,current_product_id,related_product_id, or --from must say which other program wrote the file",
        ),
        (b"id,\xff", "it is not UTF-8"),
    ];
    for (bytes, why) in first_lines {
        let (csv, data) = (Csv::fixture("v2"), Data::new());
        csv.write("related.csv", bytes);
        let sentence = Import::new(&csv, &data).refusal();
        let file = csv.path("related.csv");
        assert_eq!(sentence, format!("{}, line 1: {why}", file.display()));
        assert_eq!(data.names(), ["LOCK"]);
    }
}
