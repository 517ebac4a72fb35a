//! Exports for other programs: whole, imported again to the same, and without rows that must not be shown.

use std::fs;
use std::path::PathBuf;

use super::export::exported;
use super::shops::{ShopStore, fixture, reviewsd, text};
use super::{Csv, Data, Import};

/// The rows of a judgeme export, and the store that it is of.
fn to_judgeme(data: &Data, ids: &[&str]) -> (PathBuf, String) {
    let out = data.path().with_file_name("judgeme");
    let mut arguments = vec!["--format", "judgeme"];
    arguments.extend(ids);
    exported(&data.path(), &out, &arguments);
    let text = fs::read_to_string(out.join("judgeme.csv")).unwrap();
    (out, text)
}

#[test]
fn an_export_for_judgeme_is_imported_to_the_same_export() {
    let csv = fixture(&["shopify", "judgeme"]);
    let ids = csv.path("ids.csv");
    let first = ShopStore::of(
        csv.0.path(),
        &["--from", "shopify,judgeme", "--ids", text(&ids)],
    );
    let (out, rows) = to_judgeme(&first.data, &["--ids", text(&ids)]);
    assert!(rows.contains(",2021-03-17 13:28:37 UTC,Ana P.,ana@example.org,8031000000001,wool-scarf,\"Thank you, Ana!\",\"https://cdn.example.org/r/1.jpg,https://cdn.example.org/r/2.jpg\"\n"), "{rows}");
    let second = ShopStore::of(&out, &["--from", "judgeme"]);
    assert_eq!(to_judgeme(&second.data, &["--ids", text(&ids)]).1, rows);
    // Its reviews are those of the first store: ids, dates, texts, photos and all that follows from them.
    let reviews = |made: &ShopStore| {
        let mut files = made.files();
        files.retain(|(name, _)| name.starts_with("reviews"));
        files
    };
    assert_eq!(reviews(&second), reviews(&first));
    // Of the ten files: reported reviews are left out, and the output says so.
    let data = Data::new();
    Import::new(&Csv::fixture("v2"), &data).report();
    let out = data.path().with_file_name("judgeme");
    let ended = exported(&data.path(), &out, &["--format", "judgeme"]);
    assert!(
        ended.stdout.contains("; left out: 1 review reported"),
        "{}",
        ended.stdout
    );
    let rows = fs::read_to_string(out.join("judgeme.csv")).unwrap();
    let third = ShopStore::of(&out, &["--from", "judgeme"]);
    assert_eq!(to_judgeme(&third.data, &[]).1, rows);
}

#[test]
fn a_feed_for_google_has_no_address_and_no_reported_review() {
    let data = Data::new();
    Import::new(&Csv::fixture("v2"), &data).report();
    let out = data.path().with_file_name("feed");
    let google = [
        "--format",
        "google",
        "--publisher",
        "A & B",
        "--product-url",
        "https://shop.example/p/{id}?a=1&b=2",
    ];
    let ended = exported(&data.path(), &out, &google);
    assert!(
        ended.stdout.contains("left out: 1 review reported") && !ended.stdout.contains("e-mail"),
        "{}",
        ended.stdout
    );
    let feed = fs::read_to_string(out.join("feed.xml")).unwrap();
    assert!(
        feed.contains(
            "<version>2.3</version>\n<publisher><name>A &amp; B</name></publisher>\n<reviews>\n"
        ),
        "{feed}"
    );
    assert_eq!(
        feed.matches("<review>").count(),
        feed.matches("</review>").count()
    );
    assert_eq!(
        feed.matches("<review>").count() as u64,
        data.contents().counters.reviews - 1
    );
    assert!(
        feed.contains("<product_url>https://shop.example/p/1?a=1&amp;b=2</product_url>"),
        "{feed}"
    );
    assert!(
        feed.ends_with("</reviews>\n</feed>\n") && !feed.contains('@'),
        "{feed}"
    );
    let why = |arguments: &[&str]| {
        let place = [
            "export",
            "--data",
            text(&data.path()),
            "--out",
            text(&out.with_extension("x")),
        ]
        .map(str::to_owned);
        let all: Vec<&str> = place
            .iter()
            .map(String::as_str)
            .chain(arguments.iter().copied())
            .collect();
        reviewsd(&all)
    };
    let sentence = why(&[
        "--format",
        "google",
        "--publisher",
        "A",
        "--product-url",
        "https://shop.example/{handle}",
    ])
    .refusal();
    assert!(sentence.contains("no file says the handles"), "{sentence}");
    let sentence = why(&[
        "--format",
        "google",
        "--publisher",
        "A",
        "--product-url",
        "https://shop.example/",
    ])
    .refusal();
    assert!(
        sentence.contains("is no address with {id} or {handle}"),
        "{sentence}"
    );
    assert_eq!(why(&["--format", "google"]).code, Some(2));
}
