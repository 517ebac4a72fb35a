//! Reviews as operators see them, with all stored fields: as they are found, listed and exported.
//!
//! Owns the names of the fields. Must not know the writers or readers of the JSON. Invariant: a record has
//! everything that the store has of a review.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::moderation::ReviewState;
use crate::{ProductId, Review, ReviewId};

/// A review with all of its stored fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullReview<'a> {
    /// The review's id.
    pub review_id: u64,
    /// The product it is about.
    pub product_id: u64,
    /// 1 to 5.
    pub rating: u8,
    /// Milliseconds since 1970.
    pub date_ms: i64,
    /// The headline.
    pub summary: Cow<'a, str>,
    /// The text.
    pub body: Cow<'a, str>,
    /// True if the reviewer recommends the product.
    pub recommend: bool,
    /// True if it is hidden, by reports or by a moderator.
    pub reported: bool,
    /// The word for its state; empty where an earlier version of the server is asked.
    #[serde(default)]
    pub state: Cow<'a, str>,
    /// The time of the decision that gave it that state, in milliseconds since 1970; `None` without one.
    #[serde(default)]
    pub decided_ms: Option<i64>,
    /// The word for the ground of that decision; the same.
    #[serde(default)]
    pub decided_reason: Option<Cow<'a, str>>,
    /// The name of the actor that decided; the same.
    #[serde(default)]
    pub decided_by: Option<Cow<'a, str>>,
    /// The time when it was reported, in milliseconds since 1970; `None` if it was not, or if the time is not
    /// known.
    #[serde(default)]
    pub reported_ms: Option<i64>,
    /// The hash of the client that reported it; the same.
    #[serde(default)]
    pub reporter: Option<String>,
    /// The name the reviewer shows.
    pub reviewer_name: Cow<'a, str>,
    /// The reviewer's address.
    pub reviewer_email: Cow<'a, str>,
    /// The merchant's answer.
    pub response: Option<Cow<'a, str>>,
    /// The number of votes that it is helpful.
    pub helpfulness: u32,
    /// Its photos.
    pub photos: Vec<RecordPhoto<'a>>,
    /// Its ratings of the product's characteristics.
    pub characteristics: Vec<RecordRating>,
}

/// A photo of a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPhoto<'a> {
    /// The photo's id.
    pub id: u64,
    /// Its address.
    pub url: Cow<'a, str>,
}

/// The value that a review gave to a characteristic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRating {
    /// The characteristic's id.
    pub id: u64,
    /// 1 to 5.
    pub value: u8,
}

impl<'a> FullReview<'a> {
    /// The record of a review.
    #[must_use]
    pub fn of(product: ProductId, id: ReviewId, review: &Review<'a>) -> Self {
        let decision = review.decision;
        let photos = review.photos.iter().map(|photo| RecordPhoto {
            id: photo.id,
            url: photo.url.into(),
        });
        let ratings = review.ratings.iter().map(|rating| RecordRating {
            id: rating.characteristic_id,
            value: rating.value,
        });
        Self {
            review_id: id.0,
            product_id: product.0,
            rating: review.rating,
            date_ms: review.date_ms,
            summary: review.summary.into(),
            body: review.body.into(),
            recommend: review.recommend,
            reported: review.state == ReviewState::Hidden,
            state: review.state.word().into(),
            decided_ms: decision.map(|decision| decision.at_ms),
            decided_reason: decision.map(|decision| decision.reason.word().into()),
            decided_by: decision.map(|decision| decision.by.into()),
            reported_ms: review.report.map(|report| report.at_ms),
            reporter: review.report.map(|report| report.reporter.to_string()),
            reviewer_name: review.reviewer_name.into(),
            reviewer_email: review.reviewer_email.into(),
            response: review.response.map(Cow::Borrowed),
            helpfulness: review.helpfulness,
            photos: photos.collect(),
            characteristics: ratings.collect(),
        }
    }

    /// The same, with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> FullReview<'static> {
        fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        let photos = self.photos.into_iter().map(|photo| RecordPhoto {
            id: photo.id,
            url: owned(photo.url),
        });
        FullReview {
            review_id: self.review_id,
            product_id: self.product_id,
            rating: self.rating,
            date_ms: self.date_ms,
            summary: owned(self.summary),
            body: owned(self.body),
            recommend: self.recommend,
            reported: self.reported,
            state: owned(self.state),
            decided_ms: self.decided_ms,
            decided_reason: self.decided_reason.map(owned),
            decided_by: self.decided_by.map(owned),
            reported_ms: self.reported_ms,
            reporter: self.reporter,
            reviewer_name: owned(self.reviewer_name),
            reviewer_email: owned(self.reviewer_email),
            response: self.response.map(owned),
            helpfulness: self.helpfulness,
            photos: photos.collect(),
            characteristics: self.characteristics,
        }
    }
}
