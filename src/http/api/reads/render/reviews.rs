//! Reviews: a product's list of them, and one alone.
//!
//! Must not know HTTP. Invariant: a review has exactly ten keys, and a reported one is not shown.

use crate::model::{Order, ProductId, Review, ReviewId};
use crate::store::{ReadError, Reader};

use super::super::super::json::JsonWriter;
use super::super::parameters::PageWindow;
use super::dialect::Dialect;
use super::pieces::{AnswerBounds, List, RenderOutcome};

/// Space for the answer to the usual page; a larger one grows.
const BODY_BYTES: usize = 4096;

/// `GET /reviews`: an unknown product has an empty list.
pub(crate) fn list(
    reader: &Reader<'_>,
    dialect: Dialect,
    product: ProductId,
    order: Order,
    window: PageWindow,
    bounds: AnswerBounds<'_>,
) -> Result<RenderOutcome, ReadError> {
    let mut json = JsonWriter::with_capacity(BODY_BYTES);
    json.raw(r#"{"product":"#)
        .number_text(product.0)
        .raw(r#","page":"#)
        .number(window.page_from_zero())
        .raw(r#","count":"#)
        .number(window.count as u64)
        .raw(r#","results":["#);
    let mut list = List::new(json, bounds);
    reader.list(product, order, window.rows(), |id, review| {
        list.row(|json| write(json, dialect, id, review))
    })?;
    Ok(list.finish("]}"))
}

/// `GET /reviews/{review_id}`.
pub(crate) fn one(
    reader: &Reader<'_>,
    dialect: Dialect,
    id: ReviewId,
) -> Result<Option<Vec<u8>>, ReadError> {
    let shown = reader.review(id, |_, review| {
        review.is_published().then(|| {
            let mut json = JsonWriter::with_capacity(BODY_BYTES);
            write(&mut json, dialect, id, review);
            json.into_bytes()
        })
    })?;
    Ok(shown.flatten())
}

fn write(json: &mut JsonWriter, dialect: Dialect, id: ReviewId, review: &Review<'_>) {
    json.raw(r#"{"review_id":"#)
        .number(id.0)
        .raw(r#","rating":"#)
        .number(u64::from(review.rating))
        .raw(r#","summary":"#)
        .text(review.summary)
        .raw(r#","recommend":"#)
        .raw(dialect.flag(review.recommend))
        .raw(r#","response":"#);
    dialect.response(json, review.response);
    json.raw(r#","body":"#).text(review.body).raw(r#","date":"#);
    dialect.date(json, review.date_ms);
    json.raw(r#","reviewer_name":"#)
        .text(review.reviewer_name)
        .raw(r#","helpfulness":"#)
        .number(u64::from(review.helpfulness))
        .raw(r#","photos":["#)
        .joined(&review.photos, |json, photo| {
            json.raw(r#"{"id":"#)
                .number(photo.id)
                .raw(r#","url":"#)
                .text(photo.url)
                .raw("}");
        })
        .raw("]}");
}
