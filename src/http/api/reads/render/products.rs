//! Products: the catalogue's list, one product, and its related products.
//!
//! Must not know HTTP. Invariant: both dialects read the same here.

use crate::model::calendar;
use crate::model::{Product, ProductId};
use crate::store::{ReadError, Reader};

use super::super::super::json::JsonWriter;
use super::super::campus::Campus;
use super::super::parameters::PageWindow;
use super::pieces::{AnswerBounds, List, RenderOutcome};
use super::spelling::Spelling;

const BODY_BYTES: usize = 2048;

/// `GET /products`.
pub(crate) fn list(
    reader: &Reader<'_>,
    spelling: Spelling,
    window: PageWindow,
    campus: Option<Campus>,
    bounds: AnswerBounds<'_>,
) -> Result<RenderOutcome, ReadError> {
    let mut json = JsonWriter::with_capacity(BODY_BYTES);
    json.raw("[");
    let mut list = List::new(json, bounds);
    reader.products(window.rows(), |id, product| {
        list.row(|json| {
            write_members(json, spelling, (id, campus), product);
            json.raw("}");
        })
    })?;
    Ok(list.finish("]"))
}

/// `GET /products/{id}`.
pub(crate) fn one(
    reader: &Reader<'_>,
    spelling: Spelling,
    id: ProductId,
    campus: Option<Campus>,
) -> Result<Option<Vec<u8>>, ReadError> {
    reader.product(id, |product| {
        let mut json = JsonWriter::with_capacity(BODY_BYTES);
        write_members(&mut json, spelling, (id, campus), product);
        json.raw(r#","features":["#)
            .joined(&product.features, |json, feature| {
                json.raw(r#"{"feature":"#)
                    .text(feature.feature)
                    .raw(r#","value":"#)
                    .text_or_null(feature.value)
                    .raw("}");
            })
            .raw("]}");
        json.into_bytes()
    })
}

/// `GET /products/{id}/related`.
pub(crate) fn related(
    reader: &Reader<'_>,
    product: ProductId,
) -> Result<Option<Vec<u8>>, ReadError> {
    reader.related(product, |related| {
        let mut json = JsonWriter::with_capacity(BODY_BYTES);
        json.raw("[")
            .joined(related, |json, id| {
                json.number(id.0);
            })
            .raw("]");
        json.into_bytes()
    })
}

/// The members that the list and the single product share; the object is left open. One of a campus has
/// the further members of the hosted service's products.
fn write_members(
    json: &mut JsonWriter,
    spelling: Spelling,
    (id, campus): (ProductId, Option<Campus>),
    product: &Product<'_>,
) {
    json.raw(r#"{"id":"#).number(id.0);
    if let Some(campus) = campus {
        json.raw(r#","campus":"#).ascii_text(campus.name());
    }
    json.raw(r#","name":"#)
        .text(product.name)
        .raw(r#","slogan":"#)
        .text(product.slogan)
        .raw(r#","description":"#)
        .text(product.description)
        .raw(r#","category":"#)
        .text(product.category)
        .raw(r#","default_price":"#);
    spelling.price(json, product.default_price);
    if campus.is_some() {
        let made = calendar::iso8601(spelling.made_ms);
        json.raw(r#","created_at":"#)
            .ascii_text(&made)
            .raw(r#","updated_at":"#)
            .ascii_text(&made);
    }
}
