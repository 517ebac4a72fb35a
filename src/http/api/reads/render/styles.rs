//! The styles of a product, with their photos and sizes.
//!
//! Must not know HTTP. Invariant: a style without photos or sizes has one of each that is all
//! null, because clients test for that.

use crate::model::{ProductId, Style, StylePhoto};
use crate::store::{ReadError, Reader};

use super::super::super::json::JsonWriter;
use super::spelling::Spelling;

const BODY_BYTES: usize = 8192;

/// `GET /products/{id}/styles`.
pub(crate) fn of(
    reader: &Reader<'_>,
    spelling: Spelling,
    product: ProductId,
) -> Result<Option<Vec<u8>>, ReadError> {
    reader.styles(product, |styles| {
        let mut json = JsonWriter::with_capacity(BODY_BYTES);
        json.raw(r#"{"product_id":"#)
            .number_text(product.0)
            .raw(r#","results":["#)
            .joined(styles, |json, style| write(json, spelling, style))
            .raw("]}");
        json.into_bytes()
    })
}

fn write(json: &mut JsonWriter, spelling: Spelling, style: &Style<'_>) {
    let dialect = spelling.dialect;
    json.raw(r#"{"style_id":"#)
        .number(style.id)
        .raw(r#","name":"#)
        .text(style.name)
        .raw(r#","original_price":"#);
    spelling.price(json, style.original_price);
    json.raw(r#","sale_price":"#);
    spelling.sale_price(json, style.sale_price);
    json.raw(r#","default?":"#)
        .raw(dialect.flag(style.default))
        .raw(r#","photos":["#);
    write_photos(json, &style.photos);
    json.raw(r#"],"skus":{"#);
    dialect.skus(json, &style.skus);
    json.raw("}}");
}

fn write_photos(json: &mut JsonWriter, photos: &[StylePhoto<'_>]) {
    if photos.is_empty() {
        json.raw(r#"{"thumbnail_url":null,"url":null}"#);
    }
    json.joined(photos, |json, photo| {
        json.raw(r#"{"thumbnail_url":"#)
            .text(photo.thumbnail_url)
            .raw(r#","url":"#)
            .text(photo.url)
            .raw("}");
    });
}
