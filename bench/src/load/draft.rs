//! A new review as a customer would send it: valid by the contract, and never twice the same size.
//!
//! Owns the texts, which are JSON as they stand, and must not know where a review goes.

use crate::rng::Rng;

/// A product whose characteristics are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Learned {
    pub(crate) product: u64,
    /// The ids of its characteristics.
    pub(crate) characteristics: Vec<u64>,
}

const SUMMARIES: &[&str] = &[
    "Quite warm for what it is",
    "Would buy it again",
    "Not what the pictures promise",
    "Perfect!",
    "Fits as if it had been made for me",
    "Sent back after a week",
    "Good, but not at this price",
    "My third one",
    "Schön, aber klein geschnitten",
    "The \\\"one size\\\" is a small",
];

const SENTENCES: &[&str] = &[
    "Two weeks of rain and wind, and it has not let me down once.",
    "The colour is a shade darker than on the screen, which I like.",
    "I wear it to work, to the garden and on the bicycle.",
    "After the third wash the seams began to come loose.",
    "Delivery took two days.",
    "My sister borrowed it and I have not seen it since 🙂",
    "It says \\\"waterproof\\\" on the label; it is not, but it dries within an hour.",
    "The pockets are deep enough for a phone and a book.",
    "I had expected more for the money.",
    "Friendly service, who exchanged it without a question.",
    "The zip sticks sometimes, but a bit of soap helps.",
    "It is lighter than it looks, and I forget that I am wearing it.",
    "If you are between two sizes, take the larger one.",
    "The café was cold and I was the only one who did not mind.",
    "I have recommended it to everybody who asked, and to some who did not.",
    "One button was missing when it came; a spare one was in the bag.",
];

const NAMES: &[&str] = &[
    "pinecone",
    "frugalheron",
    "tidy_otter",
    "marta",
    "J. Okafor",
    "quietcyclist",
    "Zoë",
    "b4rista",
    "northwind",
    "oldboots",
    "luca88",
    "teatime",
];

const SENTENCES_MAX: u32 = 6;
const PHOTOS_WEIGHTS: [u64; 4] = [75, 15, 7, 3];
const RATING_WEIGHTS: [u64; 5] = [8, 7, 15, 27, 43];

/// Writes a review of the product, with a value for each characteristic that is known.
pub(crate) fn draft(out: &mut Vec<u8>, rng: &mut Rng, product: u64, learned: Option<&Learned>) {
    let rating = 1 + rng.weighted(&RATING_WEIGHTS) as u64;
    out.extend_from_slice(b"{\"product_id\":");
    push(out, product);
    out.extend_from_slice(b",\"rating\":");
    push(out, rating);
    out.extend_from_slice(b",\"summary\":\"");
    out.extend_from_slice(one_of(SUMMARIES, rng));
    out.extend_from_slice(b"\",\"body\":\"");
    let sentences = 1 + rng.skewed(SENTENCES_MAX).min(31);
    for sentence in 0..sentences {
        if sentence > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(one_of(SENTENCES, rng));
    }
    out.extend_from_slice(b"\",\"recommend\":");
    out.extend_from_slice(if rating > 2 { b"true" } else { b"false" });
    out.extend_from_slice(b",\"name\":\"");
    out.extend_from_slice(one_of(NAMES, rng));
    out.extend_from_slice(b"\",\"email\":\"customer");
    push(out, rng.below(10_000_000));
    out.extend_from_slice(b"@example.org\",\"photos\":[");
    for photo in 0..rng.weighted(&PHOTOS_WEIGHTS) {
        if photo > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"\"https://images.example.com/photo-");
        push(out, rng.next() >> 20);
        out.extend_from_slice(b"?auto=format&fit=crop&w=1600&q=80\"");
    }
    out.extend_from_slice(b"],\"characteristics\":{");
    let ids = learned.map_or(&[][..], |learned| &learned.characteristics);
    for (index, id) in ids.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        push(out, *id);
        out.extend_from_slice(b"\":");
        push(out, 1 + rng.below(5));
    }
    out.extend_from_slice(b"}}");
}

fn one_of<'a>(texts: &[&'a str], rng: &mut Rng) -> &'a [u8] {
    let text = texts.get(rng.index(texts.len()));
    text.copied().unwrap_or_default().as_bytes()
}

fn push(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn every_review_is_one_the_contract_takes() {
        let learned = Learned {
            product: 9,
            characteristics: vec![14, 15, 16],
        };
        let mut lengths = BTreeSet::new();
        for number in 0..2000 {
            let mut out = Vec::new();
            draft(
                &mut out,
                &mut Rng::new(1, number, Purpose::Request),
                9,
                Some(&learned),
            );
            lengths.insert(out.len());
            let review: Value = serde_json::from_slice(&out).unwrap();
            let characters = |key: &str| review[key].as_str().unwrap().chars().count();
            assert_eq!(review["product_id"], 9);
            assert!((1..=5).contains(&review["rating"].as_u64().unwrap()));
            assert!((1..=255).contains(&characters("summary")));
            assert!((1..=10_000).contains(&characters("body")));
            assert!((1..=60).contains(&characters("name")));
            assert!((1..=60).contains(&characters("email")));
            assert!(review["recommend"].is_boolean());
            assert!(review["photos"].as_array().unwrap().len() <= 5);
            let values = review["characteristics"].as_object().unwrap();
            assert_eq!(values.keys().collect::<Vec<_>>(), ["14", "15", "16"]);
            assert!(
                values
                    .values()
                    .all(|value| (1..=5).contains(&value.as_u64().unwrap()))
            );
        }
        assert!(lengths.len() > 300, "only {} sizes", lengths.len());
        assert!(lengths.last().unwrap() > &2000, "{lengths:?}");
    }
}
