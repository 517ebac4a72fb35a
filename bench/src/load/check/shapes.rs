//! The bodies of the API as types: every key there must be, none there must not, each of its type.

#![expect(
    dead_code,
    clippy::struct_field_names,
    reason = "that a field is there by this name with its type is what is checked"
)]

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    pub(super) product: String,
    pub(super) page: u64,
    pub(super) count: u64,
    pub(super) results: Vec<Review>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Review {
    pub(super) review_id: u64,
    rating: u8,
    summary: String,
    recommend: bool,
    #[serde(deserialize_with = "nullable")]
    response: Option<String>,
    body: String,
    pub(super) date: String,
    reviewer_name: String,
    pub(super) helpfulness: u64,
    photos: Vec<Photo>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Photo {
    id: u64,
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meta {
    pub(super) product_id: String,
    pub(super) ratings: BTreeMap<String, String>,
    pub(super) recommended: BTreeMap<String, String>,
    pub(super) characteristics: BTreeMap<String, Characteristic>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Characteristic {
    id: u64,
    #[serde(deserialize_with = "nullable")]
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Styles {
    pub(super) product_id: String,
    pub(super) results: Vec<Style>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Style {
    style_id: u64,
    name: String,
    original_price: String,
    #[serde(deserialize_with = "nullable")]
    sale_price: Option<String>,
    #[serde(rename = "default?")]
    is_default: bool,
    photos: Vec<StylePhoto>,
    skus: BTreeMap<String, Sku>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StylePhoto {
    #[serde(deserialize_with = "nullable")]
    thumbnail_url: Option<String>,
    #[serde(deserialize_with = "nullable")]
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sku {
    #[serde(deserialize_with = "nullable")]
    quantity: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    size: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Product {
    pub(super) id: u64,
    name: String,
    slogan: String,
    description: String,
    category: String,
    default_price: String,
    features: Vec<Feature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    feature: String,
    #[serde(deserialize_with = "nullable")]
    value: Option<String>,
}

pub(super) type Page = Vec<Listed>;

/// A product as a page of them shows it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) id: u64,
    name: String,
    slogan: String,
    description: String,
    category: String,
    default_price: String,
}

/// Null or a value; a key that is missing is an error, unlike where serde is not told.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

impl Review {
    pub(super) fn check(&self) -> Result<(), String> {
        let Self {
            review_id, date, ..
        } = self;
        if !(1..=5).contains(&self.rating) {
            return Err(format!("review {review_id} has the rating {}", self.rating));
        }
        if !is_date(date) {
            return Err(format!("review {review_id} has the date {date:?}"));
        }
        if self.response.as_deref() == Some("null") {
            return Err(format!(
                "review {review_id} has the word null for a response"
            ));
        }
        if !self
            .photos
            .iter()
            .is_sorted_by(|before, after| before.id < after.id)
        {
            return Err(format!("the photos of review {review_id} do not ascend"));
        }
        Ok(())
    }
}

impl Meta {
    /// The sum of counts that are texts.
    pub(super) fn sum(
        &self,
        name: &str,
        counts: &BTreeMap<String, String>,
        keys: &[&str],
    ) -> Result<u64, String> {
        let mut sum = 0;
        for (key, count) in counts {
            match count.parse::<u64>() {
                Ok(count @ 1..) if keys.contains(&key.as_str()) => sum += count,
                _ => {
                    return Err(format!(
                        "{name} of product {} has {key}: {count}",
                        self.product_id
                    ));
                }
            }
        }
        Ok(sum)
    }

    /// Means are from 1 to 5, with 16 decimals.
    pub(super) fn check_means(&self) -> Result<(), String> {
        for (name, Characteristic { value, .. }) in &self.characteristics {
            let Some(value) = value else { continue };
            let decimals = value
                .split_once('.')
                .map_or(0, |(_, decimals)| decimals.len());
            let within = value
                .parse()
                .is_ok_and(|mean: f64| (1.0..=5.0).contains(&mean));
            if decimals != 16 || !within {
                return Err(format!("{name} of product {} is {value}", self.product_id));
            }
        }
        Ok(())
    }
}

impl Style {
    pub(super) fn check(&self) -> Result<(), String> {
        let id = self.style_id;
        if self.photos.is_empty() || self.skus.is_empty() {
            return Err(format!(
                "style {id} has no photos or skus, not even the empty ones"
            ));
        }
        let known = |sku: &String| sku == "null" || sku.parse::<u64>().is_ok();
        match self.skus.keys().find(|sku| !known(sku)) {
            Some(sku) => Err(format!("style {id} has the sku {sku:?}")),
            None => Ok(()),
        }
    }
}

/// True if it is like `2021-03-17T13:28:37.620Z`.
fn is_date(text: &str) -> bool {
    const PATTERN: &[u8] = b"0000-00-00T00:00:00.000Z";
    let fits = |(byte, pattern): (u8, &u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        _ => byte == *pattern,
    };
    text.len() == PATTERN.len() && text.bytes().zip(PATTERN).all(fits)
}
