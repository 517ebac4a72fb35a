//! A store that is replaced: its later writes, and families that would be empty, are lost only if a flag allows
//! it.

use reviewsd::model::ReviewId;
use reviewsd::model::moderation::Actor;
use reviewsd::store::Change;

use super::contents::opened;
use super::export::{awkward, exported, write};
use super::{Csv, Data, Import};
use crate::formats;
use crate::replication::node;
use crate::support::report;

/// The fixture, imported, and two reviews posted.
fn posted() -> (Csv, Data) {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    Import::new(&csv, &data).report();
    opened(&data.path(), |store| {
        for text in ["one", "two"] {
            let review = awkward(1, text);
            write(
                store,
                Change::Post {
                    review,
                    retry: None,
                    held: None,
                },
            );
        }
    });
    (csv, data)
}

fn replacing(csv: &Csv, data: &Data, more: &[&str]) -> Import {
    Import::new(csv, data).with(&["--replace"]).with(more)
}

fn next_id(data: &Data) -> u64 {
    opened(&data.path(), |store| {
        store.counters().unwrap().next_review_id
    })
}

/// The import must fail and change nothing; returns the sentence.
fn refused(import: Import, data: &Data) -> String {
    let before = opened(&data.path(), |store| store.stats().unwrap().saved_as);
    let sentence = import.refusal();
    data.assert_swept();
    let after = opened(&data.path(), |store| store.stats().unwrap().saved_as);
    assert_eq!(before, after);
    sentence
}

#[test]
fn a_store_with_posted_reviews_is_not_replaced_unasked() {
    let (csv, data) = posted();
    let next = next_id(&data);
    let sentence = refused(replacing(&csv, &data, &[]), &data);
    let dir = data.path();
    let dir = dir.display();
    let expected = format!("the store in {dir} took writes since it was made (20");
    assert!(sentence.starts_with(&expected), "{sentence}");
    let expected = format!(
        "Z), 2 reviews posted, votes, answers and changes of the catalogue apart; replacing it would lose them: import what \
         `reviewsd export --data {dir} --out OUT` writes instead, or add --discard-posted to lose them"
    );
    assert!(sentence.ends_with(&expected), "{sentence}");
    replacing(&csv, &data, &["--discard-posted"]).report();
    assert_eq!(next_id(&data), next, "no id is given a second time");
    // There are no writes in the new one.
    replacing(&csv, &data, &[]).report();
    assert_eq!(next_id(&data), next);
}

#[test]
fn one_posted_review_is_one_review_and_removed_ones_are_told() {
    let (csv, data) = posted();
    opened(&data.path(), |store| {
        let gone = [ReviewId(1)].into();
        for (_, change) in store
            .traces(&gone)
            .unwrap()
            .take_changes(&Actor::operator())
        {
            write(store, change);
        }
    });
    let sentence = refused(replacing(&csv, &data, &[]), &data);
    assert!(
        sentence.contains("2 reviews posted and 1 removed,"),
        "{sentence}"
    );
}

#[test]
fn a_vote_alone_keeps_a_store_from_being_replaced() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    Import::new(&csv, &data).report();
    opened(&data.path(), |store| {
        write(store, report(ReviewId(1)));
    });
    let sentence = refused(replacing(&csv, &data, &[]), &data);
    assert!(sentence.contains("0 reviews posted, votes"), "{sentence}");
}

#[test]
fn an_export_of_the_very_store_replaces_it() {
    let (_, data) = posted();
    let (out, other) = (Data::new(), Data::new());
    exported(&data.path(), &out.path(), &["--quiet"]);
    let with = |out: &Data| Import::of(&out.path(), &data.path()).with(&["--replace"]);
    opened(&data.path(), |store| {
        let review = awkward(1, "three");
        write(
            store,
            Change::Post {
                review,
                retry: None,
                held: None,
            },
        );
    });
    let sentence = refused(with(&out), &data);
    assert!(sentence.contains("3 reviews posted"), "{sentence}");
    exported(&data.path(), &other.path(), &["--quiet"]);
    let reviews = opened(&data.path(), |store| store.counters().unwrap().reviews);
    with(&other).report();
    let after = opened(&data.path(), |store| store.counters().unwrap().reviews);
    assert_eq!(after, reviews);
}

#[test]
fn a_store_that_only_began_epochs_is_replaced() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    Import::new(&csv, &data).report();
    for _ in 0..2 {
        assert!(node::run("promote", &data.path(), &[]).status.success());
    }
    replacing(&csv, &data, &[]).report();
    opened(&data.path(), |store| {
        write(store, report(ReviewId(1)));
    });
    assert!(node::run("promote", &data.path(), &[]).status.success());
    refused(replacing(&csv, &data, &[]), &data);
}

#[test]
fn writes_to_a_store_of_an_earlier_version_are_noticed() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    std::fs::create_dir(data.path()).unwrap();
    let archive = formats::kept().join("format-1").join(formats::STORE);
    formats::tar(&["--extract", "--gzip"], &data.path(), &archive);
    let sentence = replacing(&csv, &data, &[]).refusal();
    assert!(
        sentence.contains("and an earlier version made it, so how many is not known; "),
        "{sentence}"
    );
    replacing(&csv, &data, &["--discard-posted"]).report();
}

#[test]
fn a_missing_file_does_not_empty_a_store() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    Import::new(&csv, &data).report();
    for (file, rows) in [("reviews.csv", "14"), ("styles.csv", "")] {
        let kept = csv.read(file);
        csv.remove(file);
        let sentence = refused(replacing(&csv, &data, &[]), &data);
        let expected =
            format!("{file} is missing, and the store that is to be replaced has {rows}");
        assert!(sentence.starts_with(&expected), "{sentence}");
        let remedy = format!("bring the file, or add --allow-empty {file} to go on without them");
        assert!(sentence.ends_with(&remedy), "{sentence}");
        csv.write(file, kept);
    }
    csv.remove("reviews.csv");
    replacing(&csv, &data, &["--allow-empty", "reviews.csv"]).report();
    assert_eq!(
        opened(&data.path(), |store| store.counters().unwrap().reviews),
        0
    );
    // It has none any more that could be missed.
    replacing(&csv, &data, &[]).report();
}

#[test]
fn a_file_of_rejects_alone_is_an_error() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    Import::new(&csv, &data).report();
    // Rows that belong to reviews would be rejected with them.
    csv.remove("reviews_photos.csv");
    csv.remove("characteristic_reviews.csv");
    let header = csv.read("reviews.csv");
    let header = header.split(|byte| *byte == b'\n').next().unwrap().to_vec();
    csv.write("reviews.csv", [&header[..], b"\nx,1\ny,2"].concat());
    let import = replacing(&csv, &data, &[]);
    let sentence = refused(import, &data);
    let expected = "no row of reviews.csv can be stored, and 2 were rejected; see ";
    assert!(sentence.starts_with(expected), "{sentence}");
    assert!(
        sentence.ends_with("without it with --allow-empty reviews.csv"),
        "{sentence}"
    );
    // A file with a header alone has no rejected rows; the store would be empty all the same.
    csv.write("reviews.csv", &header);
    let sentence = refused(replacing(&csv, &data, &[]), &data);
    let expected = "reviews.csv has no row that can be stored, and the store that is to be";
    assert!(sentence.starts_with(expected), "{sentence}");
    csv.write("reviews.csv", [&header[..], b"\nx,1\ny,2"].concat());
    replacing(&csv, &data, &["--allow-empty", "reviews.csv"]).report();
}

#[test]
fn one_row_in_a_hundred_of_a_file_may_be_rejected() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let header = "id,current_product_id,related_product_id";
    let rows = |bad: usize| {
        let rows = (1..=150).map(|id| match id {
            id if id <= bad => "0,1,2".to_owned(),
            id => format!("{id},1,2"),
        });
        let rows: Vec<_> = std::iter::once(header.to_owned()).chain(rows).collect();
        rows.join("\n")
    };
    csv.write("related.csv", rows(3));
    let import = Import::new(&csv, &data).with(&["--max-rejects", "1%"]);
    let sentence = import.refusal();
    let expected = "3 of the 150 rows of related.csv were rejected; see ";
    assert!(sentence.starts_with(expected), "{sentence}");
    let lax = Import::new(&csv, &data).with(&["--max-rejects", "1000,2%"]);
    lax.report();
    // A part of a row is a whole one.
    csv.write("related.csv", rows(2));
    replacing(&csv, &data, &["--max-rejects", "1%"]).report();
}
