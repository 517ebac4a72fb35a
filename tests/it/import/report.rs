//! The closing report, for people and for programs.

use std::collections::BTreeMap;

use super::{Csv, Data, Import, Reasons, Report, number};

/// A fixture with some of everything: repaired, skipped, rejected, missing, passed over.
fn dirty() -> Csv {
    let csv = Csv::fixture("v2");
    csv.remove("styles.csv");
    csv.add("reviews.csv", "15,1");
    csv.add("reviews.csv", "");
    csv.add("reviews.csv", "0,1");
    csv.add("features.csv", "99,1,\"Sole\",\"Cork");
    csv.add("related.csv", "98,0,1");
    csv.add("related.csv", "99,1,0");
    csv.add("characteristic_reviews.csv", "99,5,1,5");
    csv
}

fn text_report(csv: &Csv, data: &Data) -> String {
    let ended = Import::new(csv, data).with(&["--replace"]).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    ended.stdout
}

fn sum(reasons: &Reasons) -> u64 {
    reasons.values().sum()
}

/// The five numbers of a file: read, stored, repaired, skipped, rejected.
fn numbers(report: &Report, file: &str) -> [u64; 5] {
    let (read, stored) = report.rows(file);
    let repaired = sum(&report.repaired(file));
    let skipped = sum(&report.skipped(file));
    [read, stored, repaired, skipped, sum(&report.rejected(file))]
}

#[test]
fn both_forms_of_the_report_say_the_same() {
    let (csv, data) = (dirty(), Data::new());
    let text = text_report(&csv, &data);
    let report = Import::new(&csv, &data).with(&["--replace"]).report();
    let table: BTreeMap<_, Vec<_>> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(file, rest)| (file, rest.split_whitespace().flat_map(str::parse).collect()))
        .filter(|(_, numbers): &(_, Vec<u64>)| numbers.len() == 5)
        .collect();
    for file in report.files().iter().filter(|file| file["state"] == "read") {
        let file = file["file"].as_str().unwrap();
        assert_eq!(
            (file, &table[file][..]),
            (file, &numbers(&report, file)[..])
        );
        let kinds = [
            ("repaired", report.repaired(file)),
            ("skipped", report.skipped(file)),
            ("rejected", report.rejected(file)),
        ];
        for (kind, reasons) in kinds {
            for (reason, rows) in reasons {
                let line = format!("{file}: {rows} {kind}: {reason}");
                assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
            }
        }
    }
    assert_eq!(table.len(), 7);
}

#[test]
fn a_report_counts_what_became_of_every_row() {
    let report = Import::new(&dirty(), &Data::new()).report();
    assert_eq!(numbers(&report, "product.csv"), [10, 10, 0, 0, 0]);
    assert_eq!(numbers(&report, "reviews.csv"), [17, 14, 0, 1, 2]);
    assert_eq!(
        numbers(&report, "characteristic_reviews.csv"),
        [42, 41, 0, 0, 1]
    );
    assert_eq!(numbers(&report, "features.csv"), [9, 9, 1, 0, 0]);
    assert_eq!(numbers(&report, "related.csv"), [21, 17, 0, 3, 1]);
    assert_eq!(numbers(&report, "styles.csv"), [0; 5]);
    assert_eq!(numbers(&report, "skus.csv"), [0; 5]);
}

#[test]
fn a_report_names_missing_and_skipped_files_and_the_rejects() {
    let (csv, data) = (dirty(), Data::new());
    let text = text_report(&csv, &data);
    let says = |expected: &str| {
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert!(
            text.lines().any(|line| words(line) == words(expected)),
            "{expected} in\n{text}"
        );
    };
    says("styles.csv is missing");
    for file in ["skus.csv", "photos.csv"] {
        says(&format!(
            "{file} is skipped, since styles.csv, which its rows belong to, is missing"
        ));
    }
    let rejects = data.path().join("rejects.csv");
    says(&format!("the rejected rows are in {}", rejects.display()));
}

#[test]
fn a_report_has_bytes_seconds_and_the_stores_size_and_id() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let report = Import::new(&csv, &data).report();
    for file in report.files() {
        let bytes = csv.read(file["file"].as_str().unwrap()).len();
        assert_eq!(number(&file["bytes"]), bytes as u64);
    }
    assert!(report.0["seconds"].as_f64().unwrap() > 0.0);
    assert!(number(&report.0["store_bytes"]) > 1000);
    let text = text_report(&csv, &data);
    let last = text.lines().last().unwrap();
    let bytes: u64 = report
        .files()
        .iter()
        .map(|file| number(&file["bytes"]))
        .sum();
    let whole = bytes / 1000;
    assert!(last.starts_with(&format!("152 rows, {whole}")), "{last}");
    let target = std::fs::read_link(data.path().join("store")).unwrap();
    let id = target.to_str().unwrap().strip_prefix("store-").unwrap();
    assert!(last.contains(&format!("the store {id} has ")), "{last}");
}
