//! The members of a review's body, each read as its type.
//!
//! Owns the accepted forms of each kind of value. Must not know the store. Invariants: `null` is as good as
//! missing; lengths count characters; a value that cannot be accepted is a fault at its place in the body.

use crate::model::{CharacteristicRating, ProductId};

use super::super::reads::parameters;
use super::super::validation::{FaultLocation, ValidationError, ValidationErrors};
use super::document::{Json, Members};
use super::rules::Profile;

const PHOTOS_MAX: usize = 5;
const PHOTO_CHARS_MAX: usize = 2000;

/// The member with the values of characteristics by their ids.
pub(crate) const CHARACTERISTICS: &str = "characteristics";

/// The members that are not read yet, and the faults of those that were.
pub(crate) struct BodyFields {
    members: Members,
    faults: ValidationErrors,
}

/// A value for a characteristic, with the key that the body gives it under.
#[derive(Debug)]
pub(crate) struct KeyedRating {
    pub(crate) key: String,
    pub(crate) of: CharacteristicRating,
}

impl BodyFields {
    pub(crate) fn new(members: Members) -> Self {
        let faults = ValidationErrors::default();
        Self { members, faults }
    }

    /// Returns the validation errors of all fields.
    pub(crate) fn into_faults(self) -> ValidationErrors {
        self.faults
    }

    /// The product, which the path may name instead or as well.
    pub(crate) fn product(&mut self, in_path: Option<&str>) -> Option<ProductId> {
        let (name, given) = self.take(&["product_id"]);
        let in_body = given.map(|json| {
            let id = whole(&json).filter(|id| *id > 0).map(ProductId);
            self.kept(id, name, "must be a positive whole number")
        });
        let in_path = in_path.map(|text| {
            let id = parameters::product_id(text);
            if id.is_none() {
                self.faults.push(ValidationError::invalid(name));
            }
            id
        });
        match (in_path, in_body) {
            (None, None) => self.kept(None, name, "is missing"),
            (Some(one), None) | (None, Some(one)) => one,
            (Some(path), Some(body)) if path == body => path,
            (Some(Some(_)), Some(Some(_))) => {
                self.kept(None, name, "differs from the one in the path")
            }
            // One of them is a fault already.
            _ => None,
        }
    }

    pub(crate) fn rating(&mut self) -> Option<u8> {
        let (name, given) = self.take(&["rating"]);
        match given {
            None => self.kept(None, name, "is missing"),
            Some(json) => self.kept(stars(&json), name, "must be a whole number from 1 to 5"),
        }
    }

    pub(crate) fn recommend(&mut self, profile: Profile) -> Option<bool> {
        let (name, given) = self.take(&["recommend"]);
        let flag = match given {
            None if profile == Profile::Hosted => Some(false),
            None => return self.kept(None, name, "is missing"),
            Some(Json::Flag(flag)) => Some(flag),
            Some(Json::Number(Some(0))) => Some(false),
            Some(Json::Number(Some(1))) => Some(true),
            Some(Json::Text(text)) => match text.as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            Some(_) => None,
        };
        self.kept(flag, name, "must be true or false")
    }

    /// A text under the first of `names` that is given. One that may be empty may be missing.
    pub(crate) fn text(
        &mut self,
        names: &[&'static str],
        chars_min: usize,
        chars_max: usize,
    ) -> Option<String> {
        let (name, given) = self.take(names);
        self.bounded(name, given, chars_min, chars_max)
    }

    /// An address under the first of `names` that is given.
    pub(crate) fn email(
        &mut self,
        names: &[&'static str],
        chars_max: usize,
        profile: Profile,
    ) -> Option<String> {
        let (name, given) = self.take(names);
        let text = self.bounded(name, given, profile.text_chars_min(), chars_max)?;
        let is_any = profile == Profile::Hosted;
        let email = Some(text).filter(|text| is_any || is_email(text));
        self.kept(email, name, "must be an e-mail address")
    }

    /// Photos, each of which is any text if `any`, and otherwise a URL.
    pub(crate) fn photos(&mut self, any: bool) -> Vec<String> {
        let (name, given) = self.take(&["photos"]);
        let list = match given {
            None => return Vec::new(),
            Some(Json::List(list)) => list,
            Some(_) => {
                self.fault(name, "must be a list");
                return Vec::new();
            }
        };
        if list.len() > PHOTOS_MAX {
            self.fault(name, &format!("must be at most {PHOTOS_MAX}"));
        }
        let mut photos = Vec::new();
        for (index, photo) in list.into_iter().enumerate() {
            if let Json::Text(text) = photo
                && text.chars().count() <= PHOTO_CHARS_MAX
                && (any || is_url(&text))
            {
                photos.push(text);
                continue;
            }
            let what = if any {
                "a text"
            } else {
                "an http or https URL"
            };
            let detail =
                format!("photos[{index}] must be {what} of at most {PHOTO_CHARS_MAX} characters");
            self.faults
                .add(FaultLocation::within(name, &index.to_string()), detail);
        }
        photos
    }

    /// The values of characteristics, ids ascending. A key that is no id is that of no characteristic:
    /// its value is left out if `drop_unknown`.
    pub(crate) fn ratings(&mut self, drop_unknown: bool) -> Vec<KeyedRating> {
        let (name, given) = self.take(&[CHARACTERISTICS]);
        let members = match given {
            None => return Vec::new(),
            Some(Json::Object(members)) => members,
            Some(_) => {
                self.fault(name, "must be an object of ids and values");
                return Vec::new();
            }
        };
        let given = members.into_iter().filter(|(_, json)| *json != Json::Null);
        let ratings = given.filter_map(|(key, value)| self.one_rating(key, &value, drop_unknown));
        let mut ratings: Vec<KeyedRating> = ratings.collect();
        // Keys that are one id stay in their order, so it is always the later one that is at fault.
        ratings.sort_by_key(|rating| rating.of.characteristic_id);
        self.refuse_repeated(&ratings);
        ratings
    }

    fn one_rating(&mut self, key: String, value: &Json, drop_unknown: bool) -> Option<KeyedRating> {
        let place = FaultLocation::within(CHARACTERISTICS, &key);
        let value = stars(value);
        let Some(characteristic_id) = parameters::id(&key) else {
            if !drop_unknown {
                let detail = "the key of a characteristic must be its id";
                self.faults.add(place, detail);
            } else if value.is_none() {
                let detail = "the value of a characteristic must be a whole number from 1 to 5";
                self.faults.add(place, detail);
            }
            return None;
        };
        let Some(value) = value else {
            let detail = format!(
                "the value of characteristic {characteristic_id} must be a whole number from 1 to 5"
            );
            self.faults.add(place, detail);
            return None;
        };
        let of = CharacteristicRating {
            characteristic_id,
            value,
        };
        Some(KeyedRating { key, of })
    }

    /// `1` and `01` are two keys and one characteristic.
    fn refuse_repeated(&mut self, sorted: &[KeyedRating]) {
        let pairs = sorted.iter().zip(sorted.iter().skip(1));
        for (first, second) in pairs {
            let id = second.of.characteristic_id;
            if first.of.characteristic_id == id {
                let place = FaultLocation::within(CHARACTERISTICS, &second.key);
                let detail = format!("characteristic {id} has two values");
                self.faults.add(place, detail);
            }
        }
    }

    /// Takes the first of the names that is given.
    fn take(&mut self, names: &[&'static str]) -> (&'static str, Option<Json>) {
        for name in names {
            match self.members.remove(*name) {
                None | Some(Json::Null) => {}
                given => return (name, given),
            }
        }
        (names.first().copied().unwrap_or_default(), None)
    }

    fn bounded(
        &mut self,
        name: &'static str,
        given: Option<Json>,
        chars_min: usize,
        chars_max: usize,
    ) -> Option<String> {
        let fault = match given {
            None if chars_min == 0 => return Some(String::new()),
            None => "is missing".to_owned(),
            Some(Json::Text(text)) => match text.chars().count() {
                0 if chars_min > 0 => "must not be empty".to_owned(),
                chars if chars > chars_max => format!("must have at most {chars_max} characters"),
                _ => return Some(text),
            },
            Some(_) => "must be a text".to_owned(),
        };
        self.fault(name, &fault);
        None
    }

    fn kept<T>(&mut self, value: Option<T>, name: &'static str, what: &str) -> Option<T> {
        if value.is_none() {
            self.fault(name, what);
        }
        value
    }

    fn fault(&mut self, name: &'static str, what: &str) {
        self.faults
            .add(FaultLocation::member(name), format!("{name} {what}"));
    }
}

/// A whole number, or the digits of one.
fn whole(json: &Json) -> Option<u64> {
    match json {
        Json::Number(number) => *number,
        Json::Text(digits) => parameters::id(digits),
        _ => None,
    }
}

fn stars(json: &Json) -> Option<u8> {
    let value = whole(json).and_then(|value| u8::try_from(value).ok());
    value.filter(|value| (1..=5).contains(value))
}

/// Something, an `@`, something, and no space anywhere.
fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    let is_part = |part: &str| !part.is_empty() && !part.contains('@');
    parts.is_some_and(|(user, host)| is_part(user) && is_part(host)) && text.chars().all(is_shown)
}

/// A scheme that a browser fetches pictures by, and a host.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let fetched = ["http", "https"];
    fetched.iter().any(|one| scheme.eq_ignore_ascii_case(one))
        && !rest.is_empty()
        && !rest.starts_with(['/', '?', '#'])
        && text.chars().all(is_shown)
}

fn is_shown(one: char) -> bool {
    !one.is_whitespace() && !one.is_control()
}
