//! Products on their way to a server, a change in each line of a request.
//!
//! Must not know why a product changes. Invariant: a product that is another one by then than was read stays.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::model::catalogue::{WholeProduct, WholeStyle};

use super::super::remote::{self, Remote};
use super::{Error, ProductChange, ProductResult};

const CATALOGUE: &str = "/catalogue";
/// The status of a line whose product is another one than was read.
const DIFFERS: u16 = 412;
/// The status of a line whose product is too large.
const TOO_LARGE: u16 = 413;
/// The status of a line whose product cannot be stored: another one has its skus.
const UNFIT: u16 = 422;

/// The status of a line that the server has no time for.
const BUSY: u16 = 503;

/// A line of the answer.
#[derive(Deserialize)]
struct LineResult {
    /// The number of the line of the request; none in the last one, which counts the others.
    line: Option<u64>,
    status: Option<u16>,
    error: Option<String>,
}

/// Sends changes, and returns the outcome of each.
pub(super) fn put(server: &Remote, changes: &[ProductChange]) -> Result<Vec<ProductResult>, Error> {
    let mut lines = Vec::new();
    for change in changes {
        lines.extend_from_slice(line_of(change).to_string().as_bytes());
        lines.push(b'\n');
    }
    let answer = server.post_lines(CATALOGUE, lines)?;
    let results: Vec<LineResult> = remote::parse_lines(CATALOGUE, &answer)?;
    let results = results.into_iter().filter(|result| result.line.is_some());
    let results = results.map(result_of).collect::<Result<Vec<_>, _>>()?;
    if results.len() != changes.len() {
        let path = CATALOGUE.to_owned();
        let why = "it does not have a result for every line".to_owned();
        return Err(Error::Remote(remote::Error::Unknown { path, why }));
    }
    Ok(results)
}

fn result_of(result: LineResult) -> Result<ProductResult, Error> {
    match (result.error, result.status) {
        (None, _) => Ok(ProductResult::Done),
        (Some(_), Some(DIFFERS | UNFIT | BUSY)) => Ok(ProductResult::Conflict),
        (Some(_), Some(TOO_LARGE)) => Ok(ProductResult::TooLarge),
        (Some(why), _) => Err(Error::Rejected(why)),
    }
}

fn line_of(change: &ProductChange) -> Value {
    match change {
        ProductChange::Put(product, etag) => json!({
            "op": "put",
            "if_match": etag.map(|etag| etag.to_string()),
            "product": document(product),
        }),
        ProductChange::Remove(product, etag) => json!({
            "op": "remove",
            "if_match": etag.map(|etag| etag.to_string()),
            "id": product.0,
        }),
    }
}

/// A product as the admin API takes it.
fn document(product: &WholeProduct) -> Value {
    let features = product.features.iter();
    let features = features.map(|one| json!({ "feature": one.feature, "value": one.value }));
    let styles = product.styles.iter();
    let styles: Map<_, _> = styles
        .map(|style| (style.id.to_string(), style_document(style)))
        .collect();
    let related = product.related.iter().map(|id| id.0);
    json!({
        "id": product.id.0,
        "name": product.name,
        "slogan": product.slogan,
        "description": product.description,
        "category": product.category,
        "default_price": product.default_price,
        "features": features.collect::<Vec<_>>(),
        "styles": styles,
        "related": related.collect::<Vec<_>>(),
    })
}

fn style_document(style: &WholeStyle) -> Value {
    let photos = style.photos.iter();
    let photos =
        photos.map(|photo| json!({ "url": photo.url, "thumbnail_url": photo.thumbnail_url }));
    let skus = style.skus.iter().map(|sku| {
        let values = json!({ "size": sku.size, "quantity": sku.quantity });
        (sku.id.to_string(), values)
    });
    json!({
        "name": style.name,
        "original_price": style.original_price,
        "sale_price": style.sale_price,
        "default?": style.default,
        "photos": photos.collect::<Vec<_>>(),
        "skus": skus.collect::<Map<_, _>>(),
    })
}
