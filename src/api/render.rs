//! Who renders the answer to which question.
//!
//! Must not know HTTP. Invariant: every question has its one renderer.

use crate::store::{Error, Reader};

use super::question::Question;
use super::rendering::{Bounds, Outcome};
use super::spelling::Spelling;
use super::{meta, products, reviews, styles};

/// Renders the answer to `question` within `bounds`.
pub(super) fn answer(
    question: Question,
    reader: &Reader<'_>,
    spelling: Spelling,
    bounds: Bounds<'_>,
) -> Result<Outcome, Error> {
    let dialect = spelling.dialect;
    let alone = match question {
        Question::Reviews {
            product,
            order,
            window,
        } => return reviews::list(reader, dialect, product, order, window, bounds),
        Question::Products(window, campus) => {
            return products::list(reader, spelling, window, campus, bounds);
        }
        Question::Meta(product) => Some(meta::of(reader, dialect, product)?),
        Question::Review(id) => reviews::one(reader, dialect, id)?,
        Question::Product(id, campus) => products::one(reader, spelling, id, campus)?,
        Question::Styles(product) => styles::of(reader, spelling, product)?,
        Question::Related(product) => products::related(reader, product)?,
    };
    Ok(bounds.alone(alone))
}
