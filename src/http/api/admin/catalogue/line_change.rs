//! A line of a bulk change of the catalogue, as what it says to do.
//!
//! ```text
//! {"op":"put","product":{…}}             put a product, whose document has its id
//! {"op":"patch","id":7,"product":{…}}    apply a merge patch to a product
//! {"op":"remove","id":7}                 remove a product
//! {"op":"sku","id":33,"quantity":3}      change a stock keeping unit
//! ```
//!
//! A product that is put or removed may be expected by its `ETag`, as `"if_match"`, or by `null` not to be there.
//! Must not know the store. Invariant: a line with a member that is not understood is refused.

use crate::error::ApiError;
use crate::model::ProductId;
use crate::model::catalogue::{ProductEtag, WholeProduct};
use crate::store::{ExpectedProduct, SkuUpdate};
use crate::validation::{FaultLocation, ValidationError};
use crate::writes::document::{Json, Members, parse};

use super::document;

/// What a line says to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineChange {
    Put(Box<WholeProduct>, ExpectedProduct),
    Patch { id: ProductId, patch: Members },
    Remove(ProductId, ExpectedProduct),
    Sku { sku: u64, update: SkuUpdate },
}

impl LineChange {
    /// Reads a line.
    pub(super) fn read(line: &[u8]) -> Result<Self, ApiError> {
        let mut members =
            parse(line).map_err(|why| ApiError::Unreadable(why.replace("the body", "the line")))?;
        let Some(Json::Text(op)) = members.remove("op") else {
            return Err(wrong("op", "must be put, patch, remove or sku"));
        };
        let change = match op.as_str() {
            "put" => {
                let product = object(&mut members, "product")?;
                let product = document::read(product, None).map_err(ApiError::Unfit)?;
                Self::Put(Box::new(product), expected(&mut members)?)
            }
            "patch" => Self::Patch {
                id: id(&mut members).map(ProductId)?,
                patch: object(&mut members, "product")?,
            },
            "remove" => Self::Remove(id(&mut members).map(ProductId)?, expected(&mut members)?),
            "sku" => Self::Sku {
                sku: id(&mut members)?,
                update: document::read_sku(std::mem::take(&mut members))
                    .map_err(ApiError::Unfit)?,
            },
            _ => return Err(wrong("op", "must be put, patch, remove or sku")),
        };
        match members.into_keys().next() {
            Some(name) => Err(wrong(&name, "is not known here")),
            None => Ok(change),
        }
    }

    /// Returns the name of the operation, and the id that it is about.
    pub(super) fn named(&self) -> (&'static str, u64) {
        match self {
            Self::Put(product, _) => ("put", product.id.0),
            Self::Patch { id, .. } => ("patch", id.0),
            Self::Remove(id, _) => ("remove", id.0),
            Self::Sku { sku, .. } => ("sku", *sku),
        }
    }

    /// Returns the product that it is about; `None` for a unit, whose product is not known here.
    pub(super) fn product(&self) -> Option<ProductId> {
        match self {
            Self::Put(product, _) => Some(product.id),
            Self::Patch { id, .. } | Self::Remove(id, _) => Some(*id),
            Self::Sku { .. } => None,
        }
    }
}

fn expected(members: &mut Members) -> Result<ExpectedProduct, ApiError> {
    match members.remove("if_match") {
        None => Ok(ExpectedProduct::Any),
        Some(Json::Null) => Ok(ExpectedProduct::Absent),
        Some(Json::Text(tag)) if ProductEtag::read(&tag).is_some() => {
            let tag = ProductEtag::read(&tag).into_iter();
            Ok(ExpectedProduct::OneOf(tag.collect()))
        }
        Some(_) => Err(wrong("if_match", "must be null, or 32 hexadecimal digits")),
    }
}

fn id(members: &mut Members) -> Result<u64, ApiError> {
    match members.remove("id") {
        Some(Json::Number(Some(id))) if id > 0 => Ok(id),
        _ => Err(wrong("id", "must be a positive whole number")),
    }
}

fn object(members: &mut Members, name: &str) -> Result<Members, ApiError> {
    match members.remove(name) {
        Some(Json::Object(members)) => Ok(members),
        _ => Err(wrong(name, "must be an object")),
    }
}

fn wrong(name: &str, what: &str) -> ApiError {
    let detail = format!("/{name} {what}");
    let fault = ValidationError::new(FaultLocation::member(name), detail);
    ApiError::Unfit(vec![fault])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(line: &str) -> String {
        LineChange::read(line.as_bytes()).unwrap_err().sentence()
    }

    #[test]
    fn every_operation_is_read() {
        let read = |line: &str| LineChange::read(line.as_bytes()).unwrap();
        let put = read(r#"{"op":"put","product":{"id":7,"name":"x","default_price":"1"}}"#);
        assert_eq!(
            (put.named(), put.product()),
            (("put", 7), Some(ProductId(7)))
        );
        let patch = read(r#"{"op":"patch","id":7,"product":{"name":"y"}}"#);
        assert_eq!(patch.named(), ("patch", 7));
        assert_eq!(
            read(r#"{"op":"remove","id":7}"#),
            LineChange::Remove(ProductId(7), ExpectedProduct::Any)
        );
        let sku = read(r#"{"op":"sku","id":33,"quantity":3}"#);
        assert_eq!((sku.named(), sku.product()), (("sku", 33), None));
    }

    #[test]
    fn an_expected_product_is_read_by_its_etag() {
        let of = |line: &str| match LineChange::read(line.as_bytes()) {
            Ok(LineChange::Remove(_, expected)) => Some(expected),
            _ => None,
        };
        let tag = ProductEtag(0x0a);
        let line = format!(r#"{{"op":"remove","id":7,"if_match":"{tag}"}}"#);
        assert_eq!(of(&line), Some(ExpectedProduct::OneOf(vec![tag])));
        let none = r#"{"op":"remove","id":7,"if_match":null}"#;
        assert_eq!(of(none), Some(ExpectedProduct::Absent));
        assert_eq!(of(r#"{"op":"remove","id":7,"if_match":"0a"}"#), None);
    }

    #[test]
    fn a_line_that_is_wrong_says_where() {
        for (line, wrong) in [
            ("[]", "the line must be a JSON object"),
            ("{}", "/op must be put, patch, remove or sku"),
            (
                r#"{"op":"sell","id":1}"#,
                "/op must be put, patch, remove or sku",
            ),
            (r#"{"op":"remove"}"#, "/id must be a positive whole number"),
            (
                r#"{"op":"remove","id":0}"#,
                "/id must be a positive whole number",
            ),
            (r#"{"op":"remove","id":1,"x":2}"#, "/x is not known here"),
            (r#"{"op":"put","product":7}"#, "/product must be an object"),
            (
                r#"{"op":"put","product":{"id":7,"name":"x"}}"#,
                "/default_price is missing",
            ),
            (
                r#"{"op":"sku","id":33}"#,
                "/quantity is missing, and so is /size",
            ),
        ] {
            assert_eq!(sentence(line), wrong);
        }
        assert!(sentence("{").starts_with("the line is not valid JSON: "));
    }
}
