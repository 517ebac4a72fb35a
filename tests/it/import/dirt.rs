//! Rows that cannot be stored, mean nothing or have to be repaired: each kind, its count in the report, and its
//! line in the rejects file.

use std::collections::BTreeMap;
use std::fmt::Write;

use reviewsd::model::ProductId;
use reviewsd::store::{ReadTier, Store};

use super::{Csv, Data, Import, Reasons, Report, fixture_contents, reasons_of};

/// A row that must be rejected.
struct Reject {
    file: &'static str,
    row: Vec<u8>,
    field: &'static str,
    reason: &'static str,
}

fn reject(
    file: &'static str,
    row: impl Into<Vec<u8>>,
    field: &'static str,
    reason: &'static str,
) -> Reject {
    let row = row.into();
    Reject {
        file,
        row,
        field,
        reason,
    }
}

/// A row that is as it should be, with another value in one of its fields.
fn with(row: &str, position: usize, value: &str) -> String {
    let mut fields: Vec<_> = row.split(',').collect();
    fields[position] = value;
    fields.join(",")
}

/// One good row for each file, with a new id.
const GOOD: [(&str, &str); 10] = [
    ("product.csv", r#"11,"a","b","c","d",7"#),
    ("reviews.csv", REVIEW),
    ("characteristics.csv", r#"99,1,"Weight""#),
    ("reviews_photos.csv", r#"99,1,"u""#),
    ("characteristic_reviews.csv", "99,1,1,5"),
    ("styles.csv", r#"99,1,"s",null,7,0"#),
    ("skus.csv", r#"99,1,"XS",7"#),
    ("photos.csv", r#"99,1,"u","t""#),
    ("features.csv", r#"99,1,"f","v""#),
    ("related.csv", "99,1,2"),
];
const REVIEW: &str = r#"99,1,5,1600000000000,"a","b",true,false,"n","e",null,0"#;

/// Adds the rows to the fixture and imports it: exactly they are rejected, each is in the rejects
/// file and counted, and the store is as if they had never been there.
fn assert_rejected(dirt: &[Reject]) {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let lines: Vec<_> = dirt.iter().map(|row| csv.add(row.file, &row.row)).collect();
    let report = Import::new(&csv, &data).report();
    let mut rejects = Vec::new();
    for file in report.files() {
        let name = file["file"].as_str().unwrap();
        let mut reasons = Reasons::new();
        for (row, line) in dirt.iter().zip(&lines).filter(|(row, _)| row.file == name) {
            *reasons
                .entry(format!("{} {}", row.field, row.reason))
                .or_default() += 1;
            rejects.extend(reject_line(row, *line));
        }
        assert_eq!((name, report.rejected(name)), (name, reasons));
    }
    assert_eq!(
        String::from_utf8_lossy(&data.rejects()),
        String::from_utf8_lossy(&rejects)
    );
    assert_eq!(data.rejects(), rejects);
    assert_eq!(data.contents(), fixture_contents());
}

/// The line of a row in the rejects file.
fn reject_line(reject: &Reject, line: usize) -> Vec<u8> {
    let quoted = |text: &[u8]| {
        if !text.iter().any(|byte| b",\"".contains(byte)) {
            return text.to_vec();
        }
        let mut quoted = vec![b'"'];
        for byte in text {
            quoted.extend(std::iter::repeat_n(byte, 1 + usize::from(*byte == b'"')));
        }
        quoted.push(b'"');
        quoted
    };
    let line = line.to_string();
    let fields = [reject.file, &line, reject.field, reject.reason];
    let mut fields: Vec<_> = fields
        .iter()
        .map(|field| quoted(field.as_bytes()))
        .collect();
    fields.push(quoted(&reject.row));
    let mut line = fields.join(&b","[..]);
    line.push(b'\n');
    line
}

/// Adds the rows to a file of the fixture and imports it; none may be rejected.
fn imported(file: &str, rows: &[&str]) -> (Report, Data) {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    for row in rows {
        csv.add(file, row);
    }
    let report = Import::new(&csv, &data).report();
    assert_eq!(data.rejects(), b"");
    (report, data)
}

#[test]
fn a_good_row_of_each_file_is_stored() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let before: BTreeMap<_, _> = {
        let report = Import::new(&csv, &data).report();
        GOOD.map(|(file, _)| (file, report.rows(file))).into()
    };
    for (file, row) in GOOD {
        csv.add(file, row);
    }
    let report = Import::new(&csv, &data).with(&["--replace"]).report();
    for (file, (read, stored)) in before {
        assert_eq!((file, report.rows(file)), (file, (read + 1, stored + 1)));
    }
    assert_eq!(data.contents().counters.next_review_id, 100);
}

#[test]
fn an_id_that_is_zero_or_negative_or_no_number_is_rejected() {
    for (value, reason) in [
        ("0", "is zero"),
        ("-1", "is negative or not a number"),
        ("x1", "is not a whole number"),
        ("1.0", "is not a whole number"),
        ("", "is not a whole number"),
        ("18446744073709551616", "is too large"),
    ] {
        let dirt = GOOD.map(|(file, row)| reject(file, with(row, 0, value), "id", reason));
        assert_rejected(&dirt);
    }
}

#[test]
fn a_value_of_the_wrong_type_is_rejected_with_its_column() {
    let wrong_in_review = |position, value, field, reason| {
        reject("reviews.csv", with(REVIEW, position, value), field, reason)
    };
    assert_rejected(&[
        wrong_in_review(1, "one", "product_id", "is not a whole number"),
        wrong_in_review(2, "0", "rating", "is not between 1 and 5"),
        wrong_in_review(2, "6", "rating", "is not between 1 and 5"),
        wrong_in_review(2, "4.5", "rating", "is not a whole number"),
        wrong_in_review(
            3,
            "\"last week\"",
            "date",
            "is neither epoch milliseconds nor a day such as 2019-01-01",
        ),
        wrong_in_review(
            3,
            "\"2019-02-30\"",
            "date",
            "is neither epoch milliseconds nor a day such as 2019-01-01",
        ),
        wrong_in_review(6, "yes", "recommend", "is not true, false, 1 or 0"),
        wrong_in_review(7, "null", "reported", "is not true, false, 1 or 0"),
        wrong_in_review(11, "-1", "helpfulness", "is negative or not a number"),
        wrong_in_review(11, "4294967296", "helpfulness", "is too large"),
        reject(
            "product.csv",
            r#"11,"a","b","c","d",cheap"#,
            "default_price",
            "is not a price such as 140 or 140.00",
        ),
        reject(
            "characteristic_reviews.csv",
            "99,1,1,6",
            "value",
            "is not between 1 and 5",
        ),
        reject(
            "styles.csv",
            r#"99,1,"s",-5,7,0"#,
            "sale_price",
            "is not a price such as 140 or 140.00",
        ),
        reject(
            "styles.csv",
            r#"99,1,"s",null,null,0"#,
            "original_price",
            "is not a price such as 140 or 140.00",
        ),
        reject(
            "styles.csv",
            r#"99,1,"s",null,7,2"#,
            "default_style",
            "is not true, false, 1 or 0",
        ),
        reject(
            "skus.csv",
            r#"99,1,"XS",few"#,
            "quantity",
            "is not a whole number",
        ),
        reject(
            "related.csv",
            "99,1,null",
            "related_product_id",
            "is not a whole number",
        ),
    ]);
}

#[test]
fn a_row_with_too_few_or_too_many_fields_is_rejected() {
    let few = GOOD.map(|(file, row)| {
        let (cut, _) = row.rsplit_once(',').unwrap();
        reject(file, cut, "row", "has too few fields")
    });
    assert_rejected(&few);
    let many =
        GOOD.map(|(file, row)| reject(file, format!("{row},1"), "row", "has too many fields"));
    assert_rejected(&many);
}

#[test]
fn a_second_row_with_an_id_is_rejected_and_the_first_stays() {
    let dirt = GOOD.map(|(file, row)| {
        let twin = with(row, 0, "1");
        reject(file, twin, "id", "is that of an earlier row")
    });
    assert_rejected(&dirt);
}

#[test]
fn the_first_of_two_rows_stays_however_far_apart_they_are() {
    const ROWS: usize = 100_000;
    let (csv, data) = (Csv::empty(), Data::new());
    let mut text = "id,product_id,name".to_owned();
    for id in 1..=ROWS {
        write!(text, "\n{id},1,\"Name of the first\"").unwrap();
    }
    for id in [ROWS, 1] {
        write!(text, "\n{id},1,\"Second\"").unwrap();
    }
    csv.write("characteristics.csv", text);
    let report = Import::new(&csv, &data).report();
    assert_eq!(
        report.rejected("characteristics.csv"),
        reasons_of(&[("id is that of an earlier row", 2)])
    );
    let expected = "characteristics.csv,100002,id,is that of an earlier row,\"100000,1,\"\"Second\"\"\"\n\
                    characteristics.csv,100003,id,is that of an earlier row,\"1,1,\"\"Second\"\"\"\n";
    assert_eq!(String::from_utf8(data.rejects()).unwrap(), expected);
    assert!(!data.contents().summaries[&1].contains("Second"));
}

#[test]
fn a_row_whose_parent_is_missing_is_rejected() {
    let product = "is not the id of a product";
    let review = "is not the id of a review";
    let style = "is not the id of a style";
    assert_rejected(&[
        reject("reviews.csv", with(REVIEW, 1, "11"), "product_id", product),
        reject(
            "characteristics.csv",
            r#"99,11,"Fit""#,
            "product_id",
            product,
        ),
        reject("reviews_photos.csv", r#"99,15,"u""#, "review_id", review),
        reject(
            "characteristic_reviews.csv",
            "98,1,15,5",
            "review_id",
            review,
        ),
        reject(
            "characteristic_reviews.csv",
            "99,26,1,5",
            "characteristic_id",
            "is not the id of a characteristic",
        ),
        reject("styles.csv", r#"99,11,"s",null,7,0"#, "productId", product),
        reject("skus.csv", r#"99,4,"XS",7"#, "styleId", style),
        reject("photos.csv", r#"99,4,"u","t""#, "styleId", style),
        reject("features.csv", r#"99,11,"f","v""#, "product_id", product),
        reject("related.csv", "99,11,1", "current_product_id", product),
    ]);
}

#[test]
fn children_of_a_rejected_row_are_rejected_too() {
    assert_rejected(&[
        reject("product.csv", "11,\"a\"", "row", "has too few fields"),
        reject(
            "reviews.csv",
            with(REVIEW, 1, "11"),
            "product_id",
            "is not the id of a product",
        ),
        reject(
            "reviews_photos.csv",
            r#"99,99,"u""#,
            "review_id",
            "is not the id of a review",
        ),
    ]);
}

#[test]
fn a_row_that_is_not_utf_8_is_rejected_and_kept_byte_by_byte() {
    let dirt = GOOD.map(|(file, row)| {
        let mut row = row.as_bytes().to_vec();
        row.extend_from_slice(b"\xff\xc3");
        reject(file, row, "row", "is not UTF-8")
    });
    assert_rejected(&dirt);
}

#[test]
fn text_after_a_closing_quote_is_rejected() {
    assert_rejected(&[
        reject(
            "product.csv",
            r#"11,"a","b","c","d","price": 7"#,
            "row",
            "has text after a closing quote",
        ),
        reject(
            "features.csv",
            r#"99,1,"a "quoted" word","v""#,
            "row",
            "has text after a closing quote",
        ),
    ]);
}

#[test]
fn a_missing_last_quote_is_added_and_the_next_row_is_a_row() {
    let rows = [
        r#"91,2,"https://img.example/a","https://img.example/b?w=1,2"#,
        r#"92,2,"https://img.example/c","https://img.example/d""#,
    ];
    let (report, data) = imported("photos.csv", &rows);
    assert_eq!(report.rows("photos.csv"), (9, 9));
    assert_eq!(
        report.repaired("photos.csv"),
        reasons_of(&[("last field lacked its closing quote", 2)])
    );
    let styles = &data.contents().styles[&1];
    for url in ["/a", "/b?w=1,2", "/c", "/d"] {
        assert!(styles.contains(&format!("\"https://img.example{url}\"")));
    }
}

#[test]
fn only_relations_to_product_0_are_skipped() {
    let rows = ["91,6,0", "92,6,4000", "93,6,6", "94,6,4000"];
    let (report, data) = imported("related.csv", &rows);
    assert_eq!(report.rows("related.csv"), (23, 20));
    assert_eq!(
        report.skipped("related.csv"),
        reasons_of(&[("related_product_id is 0", 3)])
    );
    assert_eq!(data.contents().related[&6], [4000, 6, 4000]);
}

#[test]
fn blank_lines_are_skipped() {
    for blank in ["", "\r"] {
        // The last one is none: a file may end with a line end.
        let (report, data) = imported("reviews.csv", &[blank, blank, REVIEW, blank, ""]);
        assert_eq!(
            report.skipped("reviews.csv"),
            reasons_of(&[("blank line", 3)])
        );
        assert_eq!(data.contents().counters.reviews, 15);
    }
}

#[test]
fn a_rating_of_another_products_characteristic_is_rejected() {
    let other = "is of another product than the review";
    let file = "characteristic_reviews.csv";
    // Characteristic 5 is product 2's, review 1 product 1's and review 8 product 4's.
    let rows = ["91,5,1,1", "92,10,1,1", "93,5,8,1"];
    assert_rejected(&rows.map(|row| reject(file, row, "characteristic_id", other)));
}

#[test]
fn rejected_ratings_of_other_products_keep_their_line_numbers() {
    let other = "is of another product than the review";
    let file = "characteristic_reviews.csv";
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    let mut bytes = csv.read(file);
    bytes.splice(0..0, *b"\xef\xbb\xbf");
    csv.write(file, bytes);
    csv.add(file, "");
    csv.add(file, "91,5,1");
    let line = csv.add(file, "92,5,1,1");
    csv.add(file, "93,5,3,9");
    let report = Import::new(&csv, &data).report();
    assert_eq!(report.rows(file), (45, 41));
    let expected = [
        format!("{file},{},row,has too few fields,\"91,5,1\"\n", line - 1),
        format!(
            "{file},{},value,is not between 1 and 5,\"93,5,3,9\"\n",
            line + 1
        ),
        // That is found only when both files are joined.
        format!("{file},{line},characteristic_id,{other},\"92,5,1,1\"\n"),
    ];
    let rejects = String::from_utf8(data.rejects()).unwrap();
    assert_eq!(rejects, expected.concat());
    assert_eq!(data.contents(), fixture_contents());
}

#[test]
fn rejects_of_an_earlier_import_are_gone_after_the_next() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    csv.add("skus.csv", "99,1");
    Import::new(&csv, &data).report();
    assert!(!data.rejects().is_empty());
    Import::new(&Csv::fixture("v2"), &data)
        .with(&["--replace"])
        .report();
    assert!(!data.names().contains(&"rejects.csv".to_owned()));
}

#[test]
fn rejects_go_where_they_are_told_to() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    csv.add("skus.csv", "99,1");
    let rejects = csv.path("not-stored.csv");
    let report = Import::new(&csv, &data)
        .with(&["--rejects", rejects.to_str().unwrap()])
        .report();
    assert_eq!(report.0["rejects"].as_str(), rejects.to_str());
    let expected = "file,line,field,reason,row\n\
                    skus.csv,14,row,has too few fields,\"99,1\"\n";
    assert_eq!(std::fs::read_to_string(rejects).unwrap(), expected);
    assert_eq!(data.names().len(), 3);
}

#[test]
fn a_value_that_follows_its_columns_name_is_repaired() {
    let file = "product.csv";
    let row = r#"90,"Air","Light","Very light","Shoes","default_price": 49"#;
    let (report, data) = imported(file, &[row]);
    let reason = "a value followed its column's name";
    assert_eq!(report.repaired(file), reasons_of(&[(reason, 1)]));
    let store = Store::open(&data.path(), "a test", 32 << 20, 0).unwrap();
    let price = store
        .reader(ReadTier::Disk)
        .product(ProductId(90), |product| product.default_price.to_owned());
    assert_eq!(price.unwrap().as_deref(), Some("49"));
}

#[test]
fn text_after_a_quote_that_is_no_columns_name_is_rejected() {
    let (csv, data) = (Csv::fixture("v2"), Data::new());
    csv.add(
        "product.csv",
        r#"90,"Air","Light","Very light","Shoes","price": 49"#,
    );
    let report = Import::new(&csv, &data).report();
    let reason = "row has text after a closing quote";
    assert_eq!(report.rejected("product.csv"), reasons_of(&[(reason, 1)]));
}
