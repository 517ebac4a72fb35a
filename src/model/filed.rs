//! What a shop's files say about reviews: the changes of a merge, and their outcomes.
//!
//! Owns their names in requests. Must not know files, or how a change is made. Invariants: a part that no file
//! gives stays as the store has it; the state of a review, its reports, its votes and an answer that it has are
//! never taken from it.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::moderation::ReviewState;
use crate::record::{RecordPhoto, RecordRating};
use crate::{CharacteristicRating, Review, ReviewPhoto};

/// A change that the review files of a merge ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FiledChange<'a> {
    /// Add a review, or change it.
    Review(FiledReview<'a>),
    /// Give a product characteristics, or other names for those that it has.
    Characteristics(FiledCharacteristics<'a>),
    /// Take a characteristic from a product, unless a review has rated it.
    RemoveCharacteristic {
        /// The product.
        product_id: u64,
        /// The id of the characteristic.
        id: u64,
    },
    /// Remove a review, which must be one of the shop's.
    RemoveReview {
        /// Its id.
        review_id: u64,
    },
}

/// A review as the files have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiledReview<'a> {
    /// Its id.
    pub review_id: u64,
    /// The product it is about.
    pub product_id: u64,
    /// The review but for its photos and ratings; `None` if no file has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<FiledText<'a>>,
    /// Its photos; `None` if no file has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photos: Option<Vec<RecordPhoto<'a>>>,
    /// Its ratings of characteristics; `None` if no file has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characteristics: Option<Vec<RecordRating>>,
}

/// A row of reviews.csv.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiledText<'a> {
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
    /// True if it is reported: a new review is hidden then.
    pub reported: bool,
    /// The name the reviewer shows.
    pub reviewer_name: Cow<'a, str>,
    /// The reviewer's address.
    pub reviewer_email: Cow<'a, str>,
    /// The merchant's answer.
    pub response: Option<Cow<'a, str>>,
    /// The number of votes that it is helpful.
    pub helpfulness: u32,
}

/// The characteristics of a product, ids ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiledCharacteristics<'a> {
    /// The product.
    pub product_id: u64,
    /// The characteristics.
    pub names: Vec<FiledName<'a>>,
}

/// A characteristic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiledName<'a> {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: Cow<'a, str>,
}

/// Declares an enum whose members have a word each.
macro_rules! outcomes {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $member:ident = $word:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $member),* }

        impl $name {
            /// The word in an answer.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$member => $word),* }
            }

            /// The outcome with a word.
            #[must_use]
            pub fn of_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$member),)* _ => None }
            }
        }
    };
}

outcomes! {
    /// The outcome of a [`FiledChange`].
    FiledOutcome {
        /// The review is new.
        Inserted = "inserted",
        /// It is changed.
        Changed = "changed",
        /// It was so already.
        Unchanged = "unchanged",
        /// It is gone.
        Removed = "removed",
        /// The review with this id is a customer's, and stays as it is.
        Customers = "customers_review",
        /// The review with this id was erased, and does not come again.
        Erased = "erased",
        /// There is no such review, and no file has its text.
        NoSuchReview = "no_such_review",
    }
}

/// The range of ids that may be taken where none is.
pub const NONE_TAKEN: Range<u64> = 0..0;

impl FiledReview<'_> {
    /// Returns a stored review with what the files say. A photo has the id that the files give it, unless that is
    /// `taken`, perhaps by a customer's: then it has the one that the review has for its address, if there is one.
    #[must_use]
    pub fn over<'r>(&'r self, stored: &Review<'r>, taken: &Range<u64>) -> Review<'r> {
        let mut review = stored.clone();
        if let Some(text) = &self.text {
            review.rating = text.rating;
            review.date_ms = text.date_ms;
            review.recommend = text.recommend;
            review.summary = &text.summary;
            review.body = &text.body;
            review.reviewer_name = &text.reviewer_name;
            review.reviewer_email = &text.reviewer_email;
            review.response = stored.response.or(text.response.as_deref());
            review.helpfulness = stored.helpfulness.max(text.helpfulness);
        }
        if let Some(photos) = &self.photos {
            review.photos = photos_over(photos, &stored.photos, taken);
        }
        if let Some(ratings) = &self.characteristics {
            review.ratings = ratings_of(ratings);
        }
        review
    }

    /// Returns the bytes of its texts, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| {
            let response = text.response.as_deref().unwrap_or_default();
            text.summary.len()
                + text.body.len()
                + text.reviewer_name.len()
                + text.reviewer_email.len()
                + response.len()
        });
        let photos = self.photos.iter().flatten();
        size_of::<Self>() + text + photos.map(|photo| photo.url.len()).sum::<usize>()
    }

    /// Returns the review that the store does not have yet; `None` if no file has its text.
    #[must_use]
    pub fn alone(&self) -> Option<Review<'_>> {
        let text = self.text.as_ref()?;
        let photos = self.photos.as_deref().unwrap_or_default();
        Some(Review {
            rating: text.rating,
            date_ms: text.date_ms,
            recommend: text.recommend,
            state: if text.reported {
                ReviewState::Hidden
            } else {
                ReviewState::Published
            },
            report: None,
            decision: None,
            helpfulness: text.helpfulness,
            summary: &text.summary,
            body: &text.body,
            reviewer_name: &text.reviewer_name,
            reviewer_email: &text.reviewer_email,
            response: text.response.as_deref(),
            photos: photos_over(photos, &[], &NONE_TAKEN),
            ratings: ratings_of(self.characteristics.as_deref().unwrap_or_default()),
        })
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl FiledReview<'_> {
    /// The same, with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> FiledReview<'static> {
        let text = self.text.map(|text| FiledText {
            rating: text.rating,
            date_ms: text.date_ms,
            summary: owned(text.summary),
            body: owned(text.body),
            recommend: text.recommend,
            reported: text.reported,
            reviewer_name: owned(text.reviewer_name),
            reviewer_email: owned(text.reviewer_email),
            response: text.response.map(owned),
            helpfulness: text.helpfulness,
        });
        let photo = |photo: RecordPhoto<'_>| RecordPhoto {
            id: photo.id,
            url: owned(photo.url),
        };
        FiledReview {
            review_id: self.review_id,
            product_id: self.product_id,
            text,
            photos: self.photos.map(|all| all.into_iter().map(photo).collect()),
            characteristics: self.characteristics,
        }
    }
}

/// The photos of the files, ids ascending.
fn photos_over<'r>(
    filed: &'r [RecordPhoto<'_>],
    stored: &[ReviewPhoto<'r>],
    taken: &Range<u64>,
) -> Vec<ReviewPhoto<'r>> {
    let filed = filed.iter().map(|photo| ReviewPhoto {
        id: photo.id,
        url: &photo.url,
    });
    let mut photos: Vec<_> = filed.collect();
    let is_there = |one: &ReviewPhoto<'_>| photos.contains(one);
    // Those that have an id of the store's instead of the files'.
    let mut others: Vec<_> = stored.iter().filter(|one| !is_there(one)).collect();
    others.retain(|one| taken.contains(&one.id));
    for photo in &mut photos {
        if !taken.contains(&photo.id) || stored.contains(photo) {
            continue;
        }
        if let Some(at) = others.iter().position(|one| one.url == photo.url) {
            photo.id = others.swap_remove(at).id;
        }
    }
    photos.sort_by_key(|photo| photo.id);
    photos
}

fn ratings_of(filed: &[RecordRating]) -> Vec<CharacteristicRating> {
    let ratings = filed.iter().map(|rating| CharacteristicRating {
        characteristic_id: rating.id,
        value: rating.value,
    });
    ratings.collect()
}
