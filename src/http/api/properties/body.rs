//! Properties of any body of a POST.
//!
//! Must not know the rules, which the second reading has. Invariant: a body is refused exactly where
//! the second reading refuses it, for the same faults.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::error::ApiError;
use super::super::writes::document;
use super::super::writes::document::{Json, Members};
use super::super::writes::draft::{Draft, ProductFacts};
use super::super::writes::rules::ReviewRules;

use super::reading::{ParsedReview, characteristic, given, number, read};
use super::{heard, id};

const FAULTS_MAX: usize = 64;
/// The bytes of a fault in an answer beside the names that the body gives.
const FAULT_BYTES_MAX: usize = 256;

/// Products as a path may name them.
const PATHS: [Option<&str>; 5] = [None, Some("7"), Some("%31%32"), Some("0"), Some("x")];

/// Holds if `input` is refused for its faults, or accepted with its meaning.
pub(in super::super) fn hold(input: &[u8]) {
    let tree: Result<Value, _> = serde_json::from_slice(input);
    let members = match document::parse(input) {
        Ok(members) => members,
        Err(why) => return hold_unreadable(&why, tree.ok().as_ref()),
    };
    let Ok(Value::Object(object)) = tree else {
        panic!("it was read as an object and is {tree:?}");
    };
    hold_members(&members, &object);
    // A tree retains one of the members that have the same key.
    assert_eq!(colons(input), members_in(&object), "a key stands twice");
    for in_path in PATHS {
        for rules in [ReviewRules::HOSTED, ReviewRules::STRICT] {
            let read = read(&object, in_path, rules);
            let draft = || Draft::read(members.clone(), in_path, rules);
            hold_outcome(input, &draft, &read);
            hold_places(&object, &read);
            hold_rewritten(&object, in_path, rules, &read);
            hold_known(input, &draft, &object, &read);
        }
        hold_generous(&members, in_path);
    }
}

/// Holds for a body that is no JSON, or has a key twice, which a tree cannot show, or is no object.
fn hold_unreadable(why: &str, tree: Option<&Value>) {
    let heard = heard(|| ApiError::Unreadable(why.to_owned()));
    assert_eq!((heard.status, heard.sentence.as_str()), (400, why));
    match tree {
        None => assert!(why.starts_with("the body is not valid JSON: "), "{why}"),
        Some(Value::Object(_)) => assert!(why.contains("has a key twice"), "{why}"),
        Some(_) => assert!(
            why == "the body must be a JSON object" || why.contains("has a key twice"),
            "{why}"
        ),
    }
}

fn hold_members(members: &Members, object: &Map<String, Value>) {
    assert_eq!(members.len(), object.len());
    for (name, value) in object {
        hold_value(&members[name.as_str()], value);
    }
}

/// The members of an object and of all that is in it.
fn members_in(object: &Map<String, Value>) -> usize {
    object.len() + object.values().map(members_in_value).sum::<usize>()
}

fn members_in_value(value: &Value) -> usize {
    match value {
        Value::Object(object) => members_in(object),
        Value::Array(list) => list.iter().map(members_in_value).sum(),
        _ => 0,
    }
}

/// The colons between strings and not within: one for each member that is written.
fn colons(json: &[u8]) -> usize {
    let (mut colons, mut is_text, mut is_escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_text = !is_text,
            b':' if !is_text => colons += 1,
            _ => {}
        }
    }
    colons
}

fn hold_value(json: &Json, value: &Value) {
    match (json, value) {
        (Json::Null, Value::Null) => {}
        (Json::Flag(one), Value::Bool(two)) => assert_eq!(one, two),
        (Json::Text(one), Value::String(two)) => assert_eq!(one, two),
        (Json::Number(one), two) => assert_eq!(*one, number(two), "{two}"),
        (Json::List(one), Value::Array(two)) => {
            assert_eq!(one.len(), two.len());
            for (json, value) in one.iter().zip(two) {
                hold_value(json, value);
            }
        }
        (Json::Object(one), Value::Object(two)) => hold_members(one, two),
        _ => panic!("{value} was read as {json:?}"),
    }
}

/// Holds that a draft has the expected outcome, and that a client hears of all faults.
fn hold_outcome(input: &[u8], draft: &dyn Fn() -> Draft, expected: &ParsedReview) {
    let input_text = String::from_utf8_lossy(input);
    let places = match (draft().finish(), expected) {
        (Ok(review), Ok(expected)) => return assert_eq!(review, *expected),
        (Err(_), Err(places)) => places,
        (outcome, expected) => panic!("{input_text} is {outcome:?} and not {expected:?}"),
    };
    let refused = || ApiError::Unfit(draft().finish().expect_err("it was refused before"));
    let heard = heard(refused);
    assert_eq!(heard.status, 422);
    let told: BTreeSet<String> = heard.places.iter().cloned().collect();
    assert_eq!(told.len(), heard.places.len(), "a fault is told twice");
    if places.len() <= FAULTS_MAX {
        assert_eq!(told, *places, "{input_text}");
    } else {
        assert_eq!(told.len(), FAULTS_MAX);
        assert!(told.is_subset(places));
    }
    let bytes_max = 2 * input.len() + (told.len() + 1) * FAULT_BYTES_MAX;
    assert!(heard.bytes <= bytes_max, "{} bytes", heard.bytes);
}

/// Each place is there, or its last step is missing from an object that is.
fn hold_places(object: &Map<String, Value>, read: &ParsedReview) {
    let root = Value::Object(object.clone());
    let places = read.as_ref().err().into_iter().flatten();
    for pointer in places.filter(|place| place.starts_with('/')) {
        let parent = pointer
            .rsplit_once('/')
            .and_then(|(parent, _)| root.pointer(parent));
        let is_missing = parent.is_some_and(Value::is_object);
        assert!(root.pointer(pointer).is_some() || is_missing, "{pointer}");
    }
}

/// A review that the strict rules take is the same one under the hosted rules.
fn hold_generous(members: &Members, in_path: Option<&str>) {
    let under = |rules| Draft::read(members.clone(), in_path, rules).finish();
    if let Ok(review) = under(ReviewRules::STRICT) {
        assert_eq!(under(ReviewRules::HOSTED), Ok(review));
    }
}

/// Another spelling of the same JSON, and unknown members, change nothing.
fn hold_rewritten(
    object: &Map<String, Value>,
    in_path: Option<&str>,
    rules: ReviewRules,
    read: &ParsedReview,
) {
    let mut object = object.clone();
    for name in ["", "id", "Rating", "helpfulness", "product_id "] {
        object
            .entry(name)
            .or_insert_with(|| vec![Value::Null].into());
    }
    let spelled = serde_json::to_vec_pretty(&object).expect("a tree is JSON");
    let members = document::parse(&spelled).expect("a tree is JSON");
    let draft = || Draft::read(members.clone(), in_path, rules);
    hold_outcome(&spelled, &draft, read);
}

/// Holds that ratings of characteristics that the product does not have are left out or refused.
fn hold_known(
    input: &[u8],
    draft: &dyn Fn() -> Draft,
    object: &Map<String, Value>,
    read: &ParsedReview,
) {
    let Ok(review) = read else {
        return;
    };
    let ids = review.ratings.iter().map(|rating| rating.characteristic_id);
    let (known, unknown): (Vec<u64>, Vec<u64>) = ids.partition(|id| id % 2 == 1);
    let of_product = |product: bool, drop_unknown: bool| {
        let known = ProductFacts {
            product,
            characteristics: known.clone(),
        };
        move || {
            let mut draft = draft();
            assert_eq!(draft.product(), Some(review.product));
            assert_eq!(draft.has_ratings(), !review.ratings.is_empty());
            draft.check(&known, drop_unknown);
            draft
        }
    };
    let mut fewer = review.clone();
    fewer
        .ratings
        .retain(|rating| known.contains(&rating.characteristic_id));
    hold_outcome(input, &of_product(true, true), &Ok(fewer));
    let members = given(object, "characteristics").and_then(Value::as_object);
    let keys = members
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null());
    let unknown = keys.filter(|(key, _)| id(key).is_some_and(|id| unknown.contains(&id)));
    let places: BTreeSet<String> = unknown.map(|(key, _)| characteristic(key)).collect();
    let refused = if places.is_empty() {
        read.clone()
    } else {
        Err(places)
    };
    hold_outcome(input, &of_product(true, false), &refused);
    let no_product = Err(BTreeSet::from(["/product_id".to_owned()]));
    hold_outcome(input, &of_product(false, true), &no_product);
}
