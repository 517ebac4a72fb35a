//! The forms that a file may have: line ends, byte order marks, where it ends, how long its lines
//! are.

use super::{Csv, Data, Import, Report, fixture_contents, reasons_of};

const MIB: usize = 1 << 20;
const ROW_TOO_LONG: &str = "row is longer than 1 MiB";

/// Imports a fixture whose files were changed: the store must be as if they had not been.
fn assert_unchanged_by(change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let expected = [fixture_contents(), {
        let data = Data::new();
        Import::new(&Csv::fixture("v1"), &data).report();
        data.contents()
    }];
    for (vintage, expected) in ["v2", "v1"].into_iter().zip(expected) {
        let (csv, data) = (Csv::fixture(vintage), Data::new());
        for file in csv.files() {
            csv.write(&file, change(csv.read(&file)));
        }
        Import::new(&csv, &data).report();
        assert_eq!(data.rejects(), b"");
        assert_eq!(data.contents(), expected);
    }
}

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.replace('\n', "\r\n").into_bytes()
}

fn imported(csv: &Csv) -> (Report, Data) {
    let data = Data::new();
    let report = Import::new(csv, &data).report();
    (report, data)
}

#[test]
fn lines_may_end_with_carriage_return_and_line_feed() {
    assert_unchanged_by(|bytes| with_crlf(&bytes));
}

#[test]
fn the_last_line_may_have_an_end() {
    assert_unchanged_by(|bytes| [bytes, b"\n".to_vec()].concat());
    assert_unchanged_by(|bytes| [with_crlf(&bytes), b"\r\n".to_vec()].concat());
}

#[test]
fn a_file_may_begin_with_a_byte_order_mark() {
    assert_unchanged_by(|bytes| [b"\xef\xbb\xbf".to_vec(), bytes].concat());
}

#[test]
fn columns_that_nobody_asked_for_are_passed_over() {
    let csv = Csv::fixture("v2");
    let text = String::from_utf8(csv.read("skus.csv")).unwrap();
    let wider: Vec<_> = text.lines().map(|line| format!("extra,{line}")).collect();
    csv.write("skus.csv", wider.join("\n"));
    assert_eq!(imported(&csv).1.contents(), fixture_contents());
}

#[test]
fn a_header_without_rows_is_an_empty_file() {
    let csv = Csv::fixture("v2");
    csv.write("related.csv", "id,current_product_id,related_product_id");
    let (report, data) = imported(&csv);
    assert_eq!(report.rows("related.csv"), (0, 0));
    assert_eq!(report.file("related.csv")["state"], "read");
    assert!(data.contents().related.is_empty());
}

#[test]
fn a_file_truncated_within_a_row_lacks_that_row_only() {
    let whole = Csv::fixture("v2").read("reviews.csv");
    // In the body of the last review, which no other row of the fixture belongs to then.
    let body = whole
        .windows(7)
        .rposition(|text| text == b"Cheaper")
        .unwrap();
    let csv = Csv::fixture("v2");
    csv.write("reviews.csv", &whole[..body + 3]);
    let (report, data) = imported(&csv);
    assert_eq!(report.rows("reviews.csv"), (14, 13));
    assert_eq!(
        report.rejected("reviews.csv"),
        reasons_of(&[("row has too few fields", 1)])
    );
    let cut = "reviews.csv,15,row,has too few fields,\"14,7,1,1601035200000,\"\"Buy at my shop\"\",\"\"Che\"\n";
    let rejects = String::from_utf8(data.rejects()).unwrap();
    assert!(rejects.starts_with(cut), "{rejects}");
    // Its ratings have lost their review.
    assert_eq!(
        report.rejected("characteristic_reviews.csv"),
        reasons_of(&[("review_id is not the id of a review", 4)])
    );
    let mut expected = fixture_contents();
    expected.reviews.remove(&14);
    expected.dates.remove(&14);
    let contents = data.contents();
    assert_eq!(contents.reviews, expected.reviews);
    assert_eq!(contents.newest, expected.newest);
    assert_eq!(contents.products, expected.products);
}

#[test]
fn a_file_cut_inside_a_character_lacks_that_row() {
    let csv = Csv::fixture("v2");
    let mut bytes = csv.read("features.csv");
    bytes.extend_from_slice("\n99,1,\"Größe".as_bytes());
    bytes.truncate(bytes.len() - "e".len() - "ß".len() + 1);
    csv.write("features.csv", bytes);
    let (report, data) = imported(&csv);
    assert_eq!(
        report.rejected("features.csv"),
        reasons_of(&[("row is not UTF-8", 1)])
    );
    assert_eq!(data.contents(), fixture_contents());
}

#[test]
fn only_the_line_of_three_mebibytes_is_rejected() {
    let csv = Csv::fixture("v2");
    let long = format!("99,1,\"{}\",\"v\"", "x".repeat(3 * MIB));
    let line = csv.add("features.csv", &long);
    csv.add("features.csv", "100,1,\"Zip\",\"Steel\"");
    csv.add("features.csv", "1,1,\"Zip\",\"Steel\"");
    let (report, data) = imported(&csv);
    assert_eq!(
        report.rejected("features.csv"),
        reasons_of(&[(ROW_TOO_LONG, 1), ("id is that of an earlier row", 1)])
    );
    let rejects = String::from_utf8(data.rejects()).unwrap();
    let mut rejects = rejects.lines();
    let cut = rejects.next().unwrap();
    let head = format!("features.csv,{line},row,is longer than 1 MiB,\"99,1,\"\"xxx");
    assert!(cut.starts_with(&head));
    assert!(cut.len() < MIB + 200, "only its beginning is kept");
    let twin = format!(
        "features.csv,{},id,is that of an earlier row,\"1,1,\"\"Zip\"\",\"\"Steel\"\"\"",
        line + 2
    );
    assert_eq!(
        (rejects.next(), rejects.next()),
        (Some(twin.as_str()), None)
    );
    assert!(data.contents().products[0].contains("Zip"));
}

#[test]
fn a_last_line_that_is_too_long_is_rejected() {
    let csv = Csv::fixture("v2");
    csv.add("related.csv", "9".repeat(3 * MIB));
    let (report, data) = imported(&csv);
    assert_eq!(
        report.rejected("related.csv"),
        reasons_of(&[(ROW_TOO_LONG, 1)])
    );
    assert_eq!(data.contents(), fixture_contents());
}

#[test]
fn a_long_line_within_the_limit_is_stored_whole() {
    let csv = Csv::fixture("v2");
    let name = "n".repeat(MIB - 100);
    csv.add("product.csv", format!("11,\"{name}\",\"s\",\"d\",\"c\",1"));
    let (report, data) = imported(&csv);
    assert_eq!(report.rows("product.csv"), (11, 11));
    assert!(data.contents().products[10].contains(&name));
}
