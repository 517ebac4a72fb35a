//! JSON as clients send it, as a tree.
//!
//! Must not know the meaning. Invariants: only JSON in the strict sense is accepted, with no key twice in one
//! object, no half of a surrogate pair and no number beyond every type; it is nested no deeper than the parser
//! allows (128), so no document exhausts the stack.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Up to here no two whole numbers are the same float, so it is certain which one was written.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_991.0;

/// The members of an object.
pub(crate) type Members = BTreeMap<String, Json>;

/// Any value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Flag(bool),
    /// `None` when it is not a whole number of the type, or it is not certain which.
    Number(Option<u64>),
    Text(String),
    List(Vec<Json>),
    Object(Members),
}

/// The members of the object that `bytes` are; otherwise why they are none, as a clause.
pub(crate) fn parse(bytes: &[u8]) -> Result<Members, String> {
    match serde_json::from_slice(bytes) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(_) => Err("the body must be a JSON object".to_owned()),
        Err(error) => Err(format!("the body is not valid JSON: {error}")),
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(Some(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.try_into().ok()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        // It is shown without an exponent, and as a whole number where it is one: `5.0` and `5e0`
        // are 5.
        let exact = Some(number).filter(|number| *number <= EXACT_FLOAT_MAX);
        let whole = exact.and_then(|number| number.to_string().parse().ok());
        Ok(Json::Number(whole))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Members::new();
        while let Some((name, value)) = entries.next_entry()? {
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("an object has a key twice"));
            }
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Json {
        let object = format!(r#"{{"v":{json}}}"#);
        parse(object.as_bytes()).unwrap().remove("v").unwrap()
    }

    fn refused(bytes: &[u8]) -> String {
        parse(bytes).unwrap_err()
    }

    #[test]
    fn every_kind_of_value_is_read() {
        assert_eq!(value("null"), Json::Null);
        assert_eq!(value("true"), Json::Flag(true));
        assert_eq!(
            value(r#""\u00e9\ud83e\udd80\n""#),
            Json::Text("é🦀\n".to_owned())
        );
        assert_eq!(
            value("[1,[]]"),
            Json::List(vec![Json::Number(Some(1)), Json::List(Vec::new())])
        );
        assert_eq!(value("{}"), Json::Object(Members::new()));
    }

    #[test]
    fn a_number_is_whole_and_within_the_type_or_none() {
        for (json, number) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("5.0", Some(5)),
            ("50e-1", Some(5)),
            ("1e3", Some(1000)),
            ("9007199254740991.0", Some(9_007_199_254_740_991)),
            ("9007199254740993.0", None),
            ("1e19", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("4.5", None),
            ("1e-9", None),
            ("1e300", None),
            ("-9223372036854775809", None),
        ] {
            assert_eq!(value(json), Json::Number(number), "{json}");
        }
    }

    #[test]
    fn what_is_not_json_in_the_strict_sense_is_refused() {
        for json in [
            "",
            " ",
            "{",
            "{} {}",
            "{'a':1}",
            r#"{"a":1,}"#,
            r#"{"a":NaN}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":1e999}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00x"}"#,
            r#"{"a":"\ud800\ud800"}"#,
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
            "product_id=1&rating=5",
        ] {
            let clause = refused(json.as_bytes());
            assert!(clause.starts_with("the body is not valid JSON: "), "{json}");
        }
        refused(b"{\"a\":\"\xff\"}");
        refused(b"{\"\xc3\":1}");
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for json in ["null", "1", "[]", r#""x""#, "true", "[{}]"] {
            assert_eq!(refused(json.as_bytes()), "the body must be a JSON object");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_wherever_it_is() {
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"a":1,"a":2}]}"#,
        ] {
            assert!(refused(json.as_bytes()).contains("twice"), "{json}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        for depth in [200, 30_000] {
            let lists = format!(r#"{{"a":{}"#, "[".repeat(depth));
            assert!(refused(lists.as_bytes()).contains("recursion limit"));
            let objects = r#"{"a":"#.repeat(depth);
            assert!(refused(objects.as_bytes()).contains("recursion limit"));
        }
    }
}
