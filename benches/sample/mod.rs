//! What is measured with: reviews as long as most are, and how long each measurement takes.
//!
//! Must not know what is measured.

use std::time::Duration;

use criterion::Criterion;

use crate::model::moderation::ReviewState;
use crate::model::{CharacteristicRating, Review, ReviewPhoto};

/// When the first review was written.
const FIRST_MS: i64 = 1_600_000_000_000;
const HOUR_MS: i64 = 3_600_000;

/// Two seconds for each measurement, unless the command line says otherwise.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
}

/// The `n`th review: no two have the same date, and few the same votes.
pub(crate) fn review(n: u32) -> Review<'static> {
    let photo = |id| ReviewPhoto {
        id,
        url: "https://images.example.org/photo-1560570803-7474c0f9af99?ixlib=rb-1.2.1&w=975&q=80",
    };
    let rating = |characteristic_id| CharacteristicRating {
        characteristic_id,
        value: 4,
    };
    Review {
        rating: 4,
        date_ms: FIRST_MS + i64::from(n) * HOUR_MS,
        recommend: true,
        state: ReviewState::Published,
        report: None,
        decision: None,
        helpfulness: n.wrapping_mul(7) % 101,
        summary: "Warm, light, and it still fits after a year",
        body: "I wore it for a whole winter, in the city and on the mountain, and washed it more \
               often than the label says. The colour is what it was, the seams are what they \
               were, and I would buy it again \u{2013} half a size larger, perhaps.",
        reviewer_name: "mountain_pine",
        reviewer_email: "mountain.pine@example.org",
        response: n.is_multiple_of(5).then_some("Thank you for telling us!"),
        photos: (1..=u64::from(n % 3)).map(photo).collect(),
        ratings: (1..=4).map(rating).collect(),
    }
}
