//! A review as a client writes it, and everything that is wrong with it.
//!
//! Owns which fields there are, and the bounds of texts. Must not know the store. Invariants: all
//! faults of a draft are found, not only the first; a draft with a fault never becomes a review.

use crate::model::{NewReview, ProductId};

use super::super::validation::{FaultLocation, ValidationError, ValidationErrors};
use super::document::Members;
use super::fields::{BodyFields, CHARACTERISTICS, KeyedRating};
use super::rules::ReviewRules;

const SUMMARY_CHARS_MAX: usize = 255;
const BODY_CHARS_MAX: usize = 10_000;
const NAME_CHARS_MAX: usize = 60;
const EMAIL_CHARS_MAX: usize = 60;

/// A review on its way to be one; `None` is a field with a fault.
#[derive(Debug)]
pub(crate) struct Draft {
    product: Option<ProductId>,
    rating: Option<u8>,
    recommend: Option<bool>,
    summary: Option<String>,
    body: Option<String>,
    name: Option<String>,
    email: Option<String>,
    photos: Vec<String>,
    ratings: Vec<KeyedRating>,
    pub(crate) faults: ValidationErrors,
}

/// The facts of a draft's product in the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProductFacts {
    /// True if reviews of it are taken.
    pub(crate) product: bool,
    /// The ids of its characteristics.
    pub(crate) characteristics: Vec<u64>,
}

impl Draft {
    /// Reads the members of a body; `product_in_path` counts where the body names none.
    pub(crate) fn read(
        members: Members,
        product_in_path: Option<&str>,
        rules: ReviewRules,
    ) -> Self {
        let profile = rules.profile;
        let chars_min = profile.text_chars_min();
        let mut fields = BodyFields::new(members);
        Self {
            product: fields.product(product_in_path),
            rating: fields.rating(),
            summary: fields.text(&["summary"], 0, SUMMARY_CHARS_MAX),
            body: fields.text(&["body"], chars_min, BODY_CHARS_MAX),
            recommend: fields.recommend(profile),
            name: fields.text(&["name", "reviewer_name"], chars_min, NAME_CHARS_MAX),
            email: fields.email(&["email", "reviewer_email"], EMAIL_CHARS_MAX, profile),
            photos: fields.photos(rules.any_photo),
            ratings: fields.ratings(rules.drop_unknown_characteristics),
            faults: fields.into_faults(),
        }
    }

    /// The product it is about, where that is clear.
    pub(crate) fn product(&self) -> Option<ProductId> {
        self.product
    }

    /// True if it has values of characteristics.
    pub(crate) fn has_ratings(&self) -> bool {
        !self.ratings.is_empty()
    }

    /// Checks the draft against the store's facts about its product. Values of characteristics that the product
    /// does not have are dropped if `drop_unknown`, and faults otherwise.
    pub(crate) fn check(&mut self, known: &ProductFacts, drop_unknown: bool) {
        let Some(product) = self.product else {
            return;
        };
        if !known.product {
            let detail = format!("there is no product {product}");
            self.faults.add(FaultLocation::member("product_id"), detail);
            // The characteristics of an unknown product are unknown, too.
            return;
        }
        let faults = &mut self.faults;
        self.ratings.retain(|KeyedRating { key, of }| {
            let id = of.characteristic_id;
            let is_known = known.characteristics.contains(&id);
            if !is_known && !drop_unknown {
                let detail = format!("product {product} has no characteristic {id}");
                faults.add(FaultLocation::within(CHARACTERISTICS, key), detail);
            }
            is_known
        });
    }

    /// Returns the review, or its faults.
    pub(crate) fn finish(self) -> Result<NewReview, Vec<ValidationError>> {
        if !self.faults.is_empty() {
            return Err(self.faults.into_vec());
        }
        let complete = || {
            Some(NewReview {
                product: self.product?,
                rating: self.rating?,
                recommend: self.recommend?,
                summary: self.summary?,
                body: self.body?,
                reviewer_name: self.name?,
                reviewer_email: self.email?,
                photos: self.photos,
                ratings: self.ratings.into_iter().map(|rating| rating.of).collect(),
            })
        };
        // A field is missing only where there is a fault.
        complete().ok_or_else(Vec::new)
    }
}
