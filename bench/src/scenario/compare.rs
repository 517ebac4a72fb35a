//! Whether two servers answer alike, byte for byte, before anything about them is compared.
//!
//! Owns which questions are asked. It must not know the servers.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::results::Comparison;
use crate::load::{Client, Target};
use crate::rng::{Purpose, Rng};

/// Products asked about, each in every way.
const PRODUCTS: u64 = 150;
const TIME_MAX: Duration = Duration::from_secs(30);
const EXAMPLES_MAX: usize = 5;
const SEED: u64 = 4;

/// Asks both the same and compares status and body.
pub(crate) fn compare(one: &Target, other: &Target, products: u64) -> Result<Comparison> {
    let (mut one, mut other) = (Client::open(one, TIME_MAX)?, Client::open(other, TIME_MAX)?);
    let mut comparison = Comparison::default();
    for (kind, path) in questions(products) {
        let (first, second) = (one.get(&path)?, other.get(&path)?);
        *comparison.compared.entry(kind.to_owned()).or_default() += 1;
        // What an error says in words is each server's own.
        let is_error = first.0 >= 400;
        if first == second || (is_error && first.0 == second.0) {
            continue;
        }
        comparison.different += 1;
        if comparison.examples.len() < EXAMPLES_MAX {
            comparison.examples.push(difference(&path, &first, &second));
        }
    }
    Ok(comparison)
}

/// The bytes of one answer.
pub(crate) fn fetch(target: &Target, path: &str) -> Result<Vec<u8>> {
    let (status, body) = Client::open(target, TIME_MAX)?.get(path)?;
    ensure!(status == 200, "{path} was answered with {status}");
    Ok(body)
}

/// Returns the requests, each with its kind.
fn questions(products: u64) -> Vec<(&'static str, String)> {
    let mut questions = Vec::new();
    let hot = (1..=10).map(|hot| hot * 500).filter(|hot| *hot <= products);
    let drawn =
        (0..PRODUCTS).map(|number| 1 + Rng::new(SEED, number, Purpose::Compare).below(products));
    for id in drawn.chain(hot) {
        questions.extend([
            ("list", format!("/reviews?product_id={id}")),
            (
                "list",
                format!("/reviews?product_id={id}&sort=newest&count=3&page=2"),
            ),
            (
                "list",
                format!("/reviews/?product_id={id}&sort=helpful&count=100"),
            ),
            (
                "list, older spelling",
                format!("/reviews/{id}/list?sort=relevant&count=2"),
            ),
            ("meta", format!("/reviews/meta?product_id={id}")),
            ("meta, older spelling", format!("/reviews/{id}/meta")),
            ("styles", format!("/products/{id}/styles")),
            ("product", format!("/products/{id}")),
            ("related", format!("/products/{id}/related")),
        ]);
    }
    for id in [products + 1, 999_999_999, 99_999_999_999] {
        questions.extend([
            ("unknown products", format!("/reviews?product_id={id}")),
            ("unknown products", format!("/reviews/meta?product_id={id}")),
            ("unknown products", format!("/products/{id}")),
            ("unknown products", format!("/products/{id}/styles")),
        ]);
    }
    for id in ["hello", "0", "-1", "5.55"] {
        questions.extend([
            ("faulty requests", format!("/reviews?product_id={id}")),
            ("faulty requests", format!("/reviews/{id}/meta")),
            ("faulty requests", format!("/products/{id}/related")),
        ]);
    }
    questions.push((
        "faulty requests",
        "/reviews?product_id=1&count=many".to_owned(),
    ));
    questions
}

/// Returns the first difference of two answers.
fn difference(path: &str, first: &(u16, Vec<u8>), second: &(u16, Vec<u8>)) -> String {
    if first.0 != second.0 {
        return format!("{path}: {} and {}", first.0, second.0);
    }
    let mut pairs = first.1.iter().zip(&second.1);
    let at = pairs
        .position(|(one, other)| one != other)
        .unwrap_or(first.1.len().min(second.1.len()));
    let around = |body: &[u8]| {
        let part = body.get(at.saturating_sub(20)..).unwrap_or_default();
        let part = part.get(..60).unwrap_or(part);
        String::from_utf8_lossy(part).into_owned()
    };
    format!("{path}: …{}… and …{}…", around(&first.1), around(&second.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn each_kind_of_response_is_compared_often_enough() {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for (kind, _) in questions(1_000_011) {
            *kinds.entry(kind).or_default() += 1;
        }
        for kind in [
            "list",
            "list, older spelling",
            "meta",
            "styles",
            "product",
            "related",
        ] {
            assert!(kinds.get(kind).is_some_and(|times| *times >= 150), "{kind}");
        }
        assert!(kinds.contains_key("unknown products") && kinds.contains_key("faulty requests"));
    }

    #[test]
    fn the_first_difference_is_shown_with_its_surroundings() {
        let (one, other) = ((200, b"{\"a\":1}".to_vec()), (200, b"{\"a\":2}".to_vec()));
        assert_eq!(
            difference("/x", &one, &other),
            "/x: …{\"a\":1}… and …{\"a\":2}…"
        );
        assert_eq!(difference("/x", &one, &(404, vec![])), "/x: 200 and 404");
    }
}
