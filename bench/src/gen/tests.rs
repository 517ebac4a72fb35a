//! Whole runs of the generator, looked at from outside: the files it leaves.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use super::{Plan, generate};

type Files = BTreeMap<String, String>;

fn files(products: u64, seed: u64, threads: usize) -> Files {
    let dir = tempfile::tempdir().unwrap();
    generate(&Plan::new(products, seed), dir.path(), threads).unwrap();
    read(dir.path())
}

fn read(dir: &Path) -> Files {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

/// The fields of a line, quotes removed, and whether its last quote was missing.
fn fields(line: &str) -> (Vec<String>, bool) {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            char => field.push(char),
        }
    }
    fields.push(field);
    (fields, quoted)
}

fn rows<'a>(files: &'a Files, name: &str) -> impl Iterator<Item = Vec<String>> + 'a {
    files[name].lines().skip(1).map(|line| fields(line).0)
}

fn column(files: &Files, name: &str, at: usize) -> Vec<u64> {
    rows(files, name)
        .map(|row| row[at].parse().unwrap())
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let one = files(1_500, 3, 1);
    assert_eq!(one.len(), 10);
    assert!(one == files(1_500, 3, 5));
    assert!(one != files(1_500, 4, 5));
}

#[test]
fn another_seed_changes_every_file() {
    let (one, other) = (files(300, 1, 2), files(300, 2, 2));
    assert!(one.iter().all(|(name, text)| other[name] != *text));
}

#[test]
fn a_shop_of_one_product_is_complete() {
    assert_eq!(files(1, 1, 2).len(), 10);
}

#[test]
fn rows_keep_the_proportions_of_the_real_set() {
    let files = files(20_000, 1, 2);
    let rows = |name: &str| f64::from(u32::try_from(files[name].lines().count() - 1).unwrap());
    let near = |name, per: &str, expected: f64| {
        let found = rows(name) / rows(per);
        let off = (found / expected - 1.0).abs();
        assert!(off < 0.04, "{name} per {per}: {found}, not {expected}");
    };
    near("reviews.csv", "product.csv", 5.775);
    near("reviews_photos.csv", "reviews.csv", 0.475);
    near("characteristics.csv", "product.csv", 3.348);
    near("characteristic_reviews.csv", "reviews.csv", 3.347);
    near("styles.csv", "product.csv", 1.958);
    near("skus.csv", "styles.csv", 5.783);
    near("photos.csv", "styles.csv", 2.888);
    near("features.csv", "product.csv", 2.219);
    near("related.csv", "product.csv", 4.508);
    assert_eq!(files["product.csv"].lines().count(), 20_001);
}

#[test]
fn each_row_has_the_fields_of_its_header_except_known_dirt() {
    let files = files(2_000, 1, 2);
    for (name, text) in &files {
        assert!(text.ends_with('\n') && !text.contains('\r'), "{name}");
        let width = text.split('\n').next().unwrap().split(',').count();
        let mut unclosed = 0;
        for line in text.lines().skip(1) {
            let (fields, open) = fields(line);
            assert_eq!(fields.len(), width, "{name}: {line}");
            unclosed += usize::from(open);
        }
        assert_eq!(unclosed, usize::from(name == "photos.csv"), "{name}");
    }
}

#[test]
fn ids_are_unique_and_every_parent_exists() {
    let files = files(2_000, 1, 2);
    let mut ids = BTreeMap::new();
    for name in files.keys() {
        let column = column(&files, name, 0);
        let set: HashSet<u64> = column.iter().copied().collect();
        assert_eq!(set.len(), column.len(), "{name}");
        assert!(!set.contains(&0), "{name}");
        ids.insert(name.as_str(), set);
    }
    for (child, at, parent) in [
        ("reviews.csv", 1, "product.csv"),
        ("reviews_photos.csv", 1, "reviews.csv"),
        ("characteristics.csv", 1, "product.csv"),
        ("characteristic_reviews.csv", 1, "characteristics.csv"),
        ("characteristic_reviews.csv", 2, "reviews.csv"),
        ("styles.csv", 1, "product.csv"),
        ("skus.csv", 1, "styles.csv"),
        ("photos.csv", 1, "styles.csv"),
        ("features.csv", 1, "product.csv"),
        ("related.csv", 1, "product.csv"),
    ] {
        let known = &ids[parent];
        assert!(
            column(&files, child, at)
                .iter()
                .all(|id| known.contains(id)),
            "{child}"
        );
    }
}

#[test]
fn review_ids_have_gaps_and_sku_ids_are_sometimes_swapped() {
    let files = files(2_000, 1, 2);
    let reviews = column(&files, "reviews.csv", 0);
    assert!(reviews.is_sorted());
    assert!(reviews.windows(2).any(|pair| pair[1] > pair[0] + 1));
    assert!(!column(&files, "skus.csv", 0).is_sorted());
}

#[test]
fn the_hottest_product_has_its_reviews() {
    let files = files(10_000, 1, 2);
    let products = column(&files, "reviews.csv", 1);
    assert_eq!(
        products.iter().filter(|&&product| product == 500).count(),
        1_500
    );
}

#[test]
fn the_dirt_of_the_real_set_is_there() {
    let files = files(5_000, 1, 2);
    let related: Vec<_> = rows(&files, "related.csv").collect();
    assert!(related.iter().any(|row| row[2] == "0"));
    assert!(related.iter().any(|row| row[2] == row[1]));
    assert!(related.windows(2).any(|two| two[0][1..] == two[1][1..]));
    assert!(files["features.csv"].contains(",null\n"));
    assert!(files["styles.csv"].contains(",null,"));
    assert_eq!(files["reviews.csv"].matches(",\"null\",").count(), 1);
    assert!(files["reviews.csv"].contains(",null,"));
    for sign in ["\"\"", "\\", "é", "–", "😍", "<b>", "'"] {
        assert!(files["reviews.csv"].contains(sign), "{sign}");
    }
}

#[test]
fn reviews_are_as_long_and_as_often_reported_as_real_ones() {
    let files = files(5_000, 1, 2);
    let mut reported = 0;
    let mut count = 0;
    for row in rows(&files, "reviews.csv") {
        let limits = [(4, 200), (5, 1000), (8, 50), (9, 50), (10, 255)];
        assert!(
            limits
                .iter()
                .all(|&(at, most)| row[at].chars().count() <= most),
            "{row:?}"
        );
        count += 1;
        reported += usize::from(row[7] == "true");
    }
    assert!(
        (25..35).contains(&(reported * 1000 / count)),
        "{reported} of {count}"
    );
}

#[test]
fn a_run_that_fails_leaves_no_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("related.csv.part")).unwrap();
    let error = generate(&Plan::new(10, 1), dir.path(), 2).err().unwrap();
    assert!(error.to_string().contains("related.csv.part"), "{error}");
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 1);
}
