//! `If-Match` and `If-None-Match`: the version of a product that a change expects.
//!
//! Must not know products. Invariant: a header that is not understood is refused, and never taken for none.

use hyper::header::{self, HeaderMap, HeaderName};

use crate::error::ApiError;
use crate::model::catalogue::ProductEtag;
use crate::store::ExpectedProduct;
use crate::validation::{FaultLocation, ValidationError};

/// Returns the product that a request with these headers expects.
pub(super) fn of(headers: &HeaderMap) -> Result<ExpectedProduct, ApiError> {
    let given = |name: HeaderName| headers.get_all(name).iter().next().is_some();
    let has_none_match = given(header::IF_NONE_MATCH);
    match (given(header::IF_MATCH), has_none_match) {
        (false, false) => Ok(ExpectedProduct::Any),
        (true, false) => if_match(headers),
        (false, true) => {
            let is_any = texts(headers, &header::IF_NONE_MATCH).is_some_and(|text| text == ["*"]);
            is_any
                .then_some(ExpectedProduct::Absent)
                .ok_or_else(|| wrong("If-None-Match", "If-None-Match must be *"))
        }
        (true, true) => Err(wrong(
            "If-None-Match",
            "If-None-Match cannot be combined with If-Match",
        )),
    }
}

fn if_match(headers: &HeaderMap) -> Result<ExpectedProduct, ApiError> {
    let wrong = || wrong("If-Match", "If-Match must be * or an ETag of a product");
    let texts = texts(headers, &header::IF_MATCH).ok_or_else(wrong)?;
    if texts == ["*"] {
        return Ok(ExpectedProduct::Present);
    }
    let mut tags = Vec::new();
    for text in texts {
        tags.extend(read_tag(text).ok_or_else(wrong)?);
    }
    Ok(ExpectedProduct::OneOf(tags))
}

/// The parts between the commas of a header's values.
fn texts<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Vec<&'h str>> {
    let mut texts = Vec::new();
    for value in headers.get_all(name) {
        texts.extend(value.to_str().ok()?.split(',').map(str::trim));
    }
    Some(texts)
}

/// The hash in an entity tag, if a product can have it; `None` for what is no tag.
fn read_tag(text: &str) -> Option<impl Iterator<Item = ProductEtag>> {
    let weak = text.strip_prefix("W/");
    let tag = weak.unwrap_or(text).strip_prefix('"')?.strip_suffix('"')?;
    // A weak tag never matches here, as RFC 9110 says.
    let hash = ProductEtag::read(tag).filter(|_| weak.is_none());
    Some(hash.into_iter())
}

fn wrong(header: &'static str, detail: &'static str) -> ApiError {
    let place = FaultLocation::Header(header);
    ApiError::Invalid(vec![ValidationError::new(place, detail)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn expected(given: &[(HeaderName, &'static str)]) -> Option<ExpectedProduct> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(name, HeaderValue::from_static(value));
        }
        of(&headers).ok()
    }

    #[test]
    fn the_expected_version_is_read_from_the_headers() {
        const ONE: &str = "\"000102030405060708090a0b0c0d0e0f\"";
        let hash = ProductEtag(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);
        let one_of = |tags: &[ProductEtag]| Some(ExpectedProduct::OneOf(tags.to_vec()));
        assert_eq!(expected(&[]), Some(ExpectedProduct::Any));
        let if_match = |value| expected(&[(header::IF_MATCH, value)]);
        assert_eq!(if_match("*"), Some(ExpectedProduct::Present));
        assert_eq!(if_match(ONE), one_of(&[hash]));
        assert_eq!(
            if_match("\"x\", \"000102030405060708090a0b0c0d0e0f\""),
            one_of(&[hash])
        );
        assert_eq!(
            if_match("W/\"000102030405060708090a0b0c0d0e0f\""),
            one_of(&[])
        );
        for wrong in ["", "x", "*, \"x\"", "000102030405060708090a0b0c0d0e0f"] {
            assert_eq!(if_match(wrong), None, "{wrong}");
        }
        let if_none = |value| expected(&[(header::IF_NONE_MATCH, value)]);
        assert_eq!(if_none("*"), Some(ExpectedProduct::Absent));
        assert_eq!(if_none(ONE), None);
        let both = [(header::IF_MATCH, "*"), (header::IF_NONE_MATCH, "*")];
        assert_eq!(expected(&both), None);
    }
}
