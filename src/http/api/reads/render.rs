//! The choice of the renderer of a query.
//!
//! Must not know HTTP. Invariant: every query has its one renderer.

pub(crate) mod dialect;
mod mean;
mod meta;
pub(crate) mod pieces;
mod products;
mod reviews;
pub(crate) mod spelling;
mod styles;

use crate::store::{ReadError, Reader};

use super::super::endpoints::ReadQuery;

use pieces::{AnswerBounds, RenderOutcome};
use spelling::Spelling;

/// Renders the answer to `read_query` within `bounds`.
pub(crate) fn answer(
    read_query: ReadQuery,
    reader: &Reader<'_>,
    spelling: Spelling,
    bounds: AnswerBounds<'_>,
) -> Result<RenderOutcome, ReadError> {
    let dialect = spelling.dialect;
    let alone = match read_query {
        ReadQuery::Reviews {
            product,
            order,
            window,
        } => return reviews::list(reader, dialect, product, order, window, bounds),
        ReadQuery::Products(window, campus) => {
            return products::list(reader, spelling, window, campus, bounds);
        }
        ReadQuery::Meta(product) => Some(meta::of(reader, dialect, product)?),
        ReadQuery::Review(id) => reviews::one(reader, dialect, id)?,
        ReadQuery::Product(id, campus) => products::one(reader, spelling, id, campus)?,
        ReadQuery::Styles(product) => styles::of(reader, spelling, product)?,
        ReadQuery::Related(product) => products::related(reader, product)?,
    };
    Ok(bounds.alone(alone))
}
