//! A second reading of a review's body: `serde_json`'s own tree, and the rules of the contract with
//! their numbers written out.
//!
//! Must not know the first. Invariant: it names the places of all faults.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::super::writes::rules::{Profile, ReviewRules};
use crate::model::{CharacteristicRating, NewReview, ProductId};

use super::{id, unescaped};

/// The largest number up to which every whole one has a float of its own.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_991.0;

/// A review, or the places of all its faults.
pub(super) type ParsedReview = Result<NewReview, BTreeSet<String>>;

/// Reads a body, and the path that it came by, as the contract says.
pub(super) fn read(
    object: &Map<String, Value>,
    in_path: Option<&str>,
    rules: ReviewRules,
) -> ParsedReview {
    let mut places = BTreeSet::new();
    let is_hosted = rules.profile == Profile::Hosted;
    let (min, is_address): (usize, fn(&str) -> bool) = if is_hosted {
        (0, |_| true)
    } else {
        (1, is_email)
    };
    let product = product(object, in_path, &mut places);
    let rating = stars(given(object, "rating"));
    let recommend = match given(object, "recommend") {
        None if is_hosted => Some(false),
        given => recommend(given),
    };
    if rating.is_none() {
        places.insert("/rating".to_owned());
    }
    if recommend.is_none() {
        places.insert("/recommend".to_owned());
    }
    let mut text = |names: &[&str], min: usize, max: usize, is_fit: fn(&str) -> bool| {
        let named = names.iter().find(|name| given(object, name).is_some());
        let value = named.and_then(|name| given(object, name));
        let text = match value {
            None if min == 0 => Some(""),
            None => None,
            Some(value) => value.as_str(),
        };
        let is_right = |text: &&str| (min..=max).contains(&text.chars().count()) && is_fit(text);
        let text = text.filter(is_right);
        if text.is_none() {
            places.insert(format!("/{}", named.unwrap_or(&names[0])));
        }
        text.unwrap_or_default().to_owned()
    };
    let review = NewReview {
        product: product.unwrap_or(ProductId(0)),
        rating: rating.unwrap_or_default(),
        recommend: recommend.unwrap_or_default(),
        summary: text(&["summary"], 0, 255, |_| true),
        body: text(&["body"], min, 10_000, |_| true),
        reviewer_name: text(&["name", "reviewer_name"], min, 60, |_| true),
        reviewer_email: text(&["email", "reviewer_email"], min, 60, is_address),
        photos: photos(given(object, "photos"), rules, &mut places),
        ratings: ratings(given(object, "characteristics"), rules, &mut places),
    };
    if places.is_empty() {
        Ok(review)
    } else {
        Err(places)
    }
}

/// A member that is there and not null.
pub(super) fn given<'o>(object: &'o Map<String, Value>, name: &str) -> Option<&'o Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn product(
    object: &Map<String, Value>,
    in_path: Option<&str>,
    places: &mut BTreeSet<String>,
) -> Option<ProductId> {
    let in_path = in_path.map(|text| id(&unescaped(text)));
    let in_body = given(object, "product_id").map(|value| whole(value).filter(|id| *id > 0));
    if in_path == Some(None) {
        places.insert("product_id".to_owned());
    }
    let is_missing = in_path.is_none() && in_body.is_none();
    let is_another = matches!((in_path, in_body), (Some(Some(one)), Some(Some(two))) if one != two);
    if in_body == Some(None) || is_missing || is_another {
        places.insert("/product_id".to_owned());
    }
    in_path.or(in_body).flatten().map(ProductId)
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => id(text),
        _ => number(value),
    }
}

fn stars(value: Option<&Value>) -> Option<u8> {
    match whole(value?)? {
        stars @ 1..=5 => u8::try_from(stars).ok(),
        _ => None,
    }
}

fn recommend(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.parse().ok(),
        other => number(other).filter(|flag| *flag < 2).map(|flag| flag == 1),
    }
}

fn is_email(text: &str) -> bool {
    let at = text.find('@');
    at == text.rfind('@')
        && at.is_some_and(|at| (1..text.len() - 1).contains(&at))
        && !text.contains(is_blank)
}

fn is_url(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("http://");
    let rest = rest.or_else(|| lower.strip_prefix("https://"));
    rest.is_some_and(|rest| !["", "/", "?", "#"].contains(&rest.get(..1).unwrap_or(rest)))
        && !text.contains(is_blank)
}

fn is_blank(one: char) -> bool {
    one.is_whitespace() || one.is_control()
}

fn photos(value: Option<&Value>, rules: ReviewRules, places: &mut BTreeSet<String>) -> Vec<String> {
    let Some(value) = value else {
        return Vec::new();
    };
    let photos = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if !value.is_array() || photos.len() > 5 {
        places.insert("/photos".to_owned());
    }
    let mut urls = Vec::new();
    for (index, photo) in photos.iter().enumerate() {
        let is_fit =
            |text: &&str| text.chars().count() <= 2000 && (rules.any_photo || is_url(text));
        match photo.as_str().filter(is_fit) {
            Some(url) => urls.push(url.to_owned()),
            None => drop(places.insert(format!("/photos/{index}"))),
        }
    }
    urls
}

fn ratings(
    value: Option<&Value>,
    rules: ReviewRules,
    places: &mut BTreeSet<String>,
) -> Vec<CharacteristicRating> {
    let members = match value {
        None => return Vec::new(),
        Some(Value::Object(members)) => members,
        Some(_) => {
            places.insert("/characteristics".to_owned());
            return Vec::new();
        }
    };
    // Whatever order they are written in, they are read in that of their names.
    let members: BTreeMap<&String, &Value> = members.iter().collect();
    let mut ratings = BTreeMap::new();
    for (key, value) in members.into_iter().filter(|(_, value)| !value.is_null()) {
        let is_left_out = rules.drop_unknown_characteristics && id(key).is_none();
        if is_left_out && stars(Some(value)).is_some() {
            continue;
        }
        let rating = id(key).zip(stars(Some(value)));
        // Of the keys that are one id the first is taken.
        let is_taken = rating.is_some_and(|(id, stars)| ratings.insert(id, stars).is_none());
        if !is_taken {
            places.insert(characteristic(key));
        }
    }
    let ratings = ratings.into_iter();
    let ratings = ratings.map(|(characteristic_id, value)| CharacteristicRating {
        characteristic_id,
        value,
    });
    ratings.collect()
}

/// The pointer to a characteristic.
pub(super) fn characteristic(key: &str) -> String {
    let mut pointer = "/characteristics/".to_owned();
    for one in key.chars() {
        match one {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            _ => pointer.push(one),
        }
    }
    pointer
}

/// The whole number that a value is, where there is no doubt which.
pub(super) fn number(value: &Value) -> Option<u64> {
    let exact = |float: &f64| (0.0..=EXACT_FLOAT_MAX).contains(float);
    let of_float = || value.as_f64().filter(exact)?.to_string().parse().ok();
    value.as_u64().or_else(of_float)
}
