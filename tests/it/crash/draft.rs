//! The reviews that clients send: they follow from a number, so that they need not be stored.

use serde_json::{Value, json};

use crate::chance::Random;

/// The products that reviews are written for, and their characteristics, as the shop has them.
pub(super) const PRODUCTS: [(u64, &[(u64, &str)]); 10] = [
    (
        1,
        &[(1, "Fit"), (2, "Length"), (3, "Comfort"), (4, "Quality")],
    ),
    (2, &[(5, "Quality")]),
    (
        3,
        &[(6, "Fit"), (7, "Length"), (8, "Comfort"), (9, "Quality")],
    ),
    (
        4,
        &[
            (10, "Fit"),
            (11, "Length"),
            (12, "Comfort"),
            (13, "Quality"),
        ],
    ),
    (5, &[]),
    (6, &[]),
    (7, &[]),
    (8, &[]),
    (9, &[]),
    (10, &[]),
];
/// A long text fills the memtables, so that they are flushed and logs are left behind.
const LONG_EVERY: u64 = 2;
const LONG_WORDS: u64 = 1400;

/// A review to be written.
pub(super) struct Draft {
    pub(super) product: u64,
    pub(super) rating: u8,
    pub(super) recommend: bool,
    pub(super) summary: String,
    pub(super) body: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) photos: Vec<String>,
    pub(super) ratings: Vec<(u64, u8)>,
}

impl Draft {
    /// The review of this number; no two have the same text.
    pub(super) fn of(key: u64) -> Self {
        let mut random = Random::new(key);
        let (product, characteristics) = *random.pick(&PRODUCTS).unwrap();
        let words = if random.one_in(LONG_EVERY) {
            LONG_WORDS
        } else {
            20
        };
        let mut body = format!("{key:016x}");
        for _ in 0..random.below(words) {
            body.push_str(
                random
                    .pick(&[
                        " fits",
                        " \"well\"",
                        "\n",
                        " größer",
                        " 🦀",
                        " than\\",
                        " shown",
                    ])
                    .unwrap(),
            );
        }
        let mut one_to_five = || u8::try_from(random.below(5) + 1).unwrap();
        Self {
            product,
            rating: one_to_five(),
            ratings: characteristics
                .iter()
                .map(|(id, _)| (*id, one_to_five()))
                .collect(),
            recommend: random.one_in(2),
            summary: format!("Worn {} times", random.below(1000)),
            body,
            name: format!("walker {}", random.below(1000)),
            email: format!("walker{}@example.org", random.below(1000)),
            photos: (0..random.below(3))
                .map(|n| format!("https://img.example/{key:x}/{n}.jpg"))
                .collect(),
        }
    }

    /// The number that a text was made from.
    pub(super) fn key_of(body: &str) -> Option<u64> {
        u64::from_str_radix(body.get(..16)?, 16).ok()
    }

    pub(super) fn json(&self) -> Value {
        let ratings = self
            .ratings
            .iter()
            .map(|(id, value)| (id.to_string(), json!(value)));
        json!({
            "product_id": self.product,
            "rating": self.rating,
            "summary": self.summary,
            "body": self.body,
            "recommend": self.recommend,
            "name": self.name,
            "email": self.email,
            "photos": self.photos,
            "characteristics": ratings.collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// Half of the reviews are sent with a name under which they may be sent again.
pub(super) fn may_be_sent_again(key: u64) -> bool {
    key.is_multiple_of(2)
}

/// The merchant's answer to a review.
pub(super) fn thanks(review: u64) -> String {
    format!("Thank you for \"{review}\"!")
}
