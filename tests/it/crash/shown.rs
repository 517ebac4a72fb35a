//! The reviews of a product as a server shows them, and whether they agree with each other.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::draft::Draft;
use super::ledger::Findings;

/// Rows of a page, so few that none ends early because of its bytes.
const ROWS: usize = 200;

/// A review as a list shows it.
#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct Row {
    pub(super) review_id: u64,
    rating: u8,
    summary: String,
    recommend: bool,
    pub(super) body: String,
    date: String,
    pub(super) response: Option<String>,
    reviewer_name: String,
    pub(super) helpfulness: u64,
    photos: Vec<Photo>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Photo {
    url: String,
}

#[derive(Deserialize)]
struct List {
    results: Vec<Row>,
}

impl Row {
    /// True if it is the review that was sent under this number, whole.
    pub(super) fn is_of(&self, key: u64) -> bool {
        let draft = Draft::of(key);
        self.body == draft.body
            && self.summary == draft.summary
            && self.rating == draft.rating
            && self.recommend == draft.recommend
            && self.reviewer_name == draft.name
            && self.photos.iter().map(|photo| &photo.url).eq(&draft.photos)
    }
}

/// A product's whole list.
pub(super) fn list(client: &mut Client, product: u64, sort: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for page in 1.. {
        let path = format!("/reviews?product_id={product}&page={page}&count={ROWS}&sort={sort}");
        let List { results } = client.read(&path);
        let is_last = results.len() < ROWS;
        rows.extend(results);
        if is_last {
            break;
        }
    }
    rows
}

/// Checks that both orders are right, and hold the same reviews.
pub(super) fn check_order(product: u64, newest: &[Row], helpful: &[Row], findings: &mut Findings) {
    let by_date = |row: &Row| (row.date.clone(), row.review_id);
    if !newest.is_sorted_by(|a, b| by_date(a) > by_date(b)) {
        let text = format!("the newest of product {product} are out of order");
        findings.wrong.push(text);
    }
    let by_votes = |row: &Row| (row.helpfulness, by_date(row));
    if !helpful.is_sorted_by(|a, b| by_votes(a) > by_votes(b)) {
        let text = format!("the most helpful of product {product} are out of order");
        findings.wrong.push(text);
    }
    let mut again: Vec<&Row> = helpful.iter().collect();
    again.sort_by_key(|row| std::cmp::Reverse(by_date(row)));
    if !again.into_iter().eq(newest) {
        let text = format!("the two lists of product {product} differ");
        findings.wrong.push(text);
    }
}

pub(super) fn counts<K: ToString>(counts: &BTreeMap<K, u64>) -> Value {
    let counts = counts.iter();
    let counts = counts.map(|(key, count)| (key.to_string(), json!(count.to_string())));
    Value::Object(counts.collect())
}

/// With 16 decimals, rounded half up.
pub(super) fn mean(sum: u64, count: u64) -> String {
    const SCALE: u128 = 10_000_000_000_000_000;
    let (sum, count) = (u128::from(sum), u128::from(count));
    let scaled = (2 * sum * SCALE + count) / (2 * count);
    format!("{}.{:016}", scaled / SCALE, scaled % SCALE)
}
