//! Who renders the answer to which question.
//!
//! Must not know HTTP. Invariant: every question has its one renderer.

use crate::store::{Error, Reader};

use super::dialect::Dialect;
use super::question::Question;
use super::{meta, products, reviews, styles};

/// The body that answers `question`; `None` when what is asked for does not exist.
pub(super) fn answer(
    question: Question,
    reader: &Reader<'_>,
    dialect: Dialect,
) -> Result<Option<Vec<u8>>, Error> {
    match question {
        Question::Reviews {
            product,
            order,
            window,
        } => reviews::list(reader, dialect, product, order, window).map(Some),
        Question::Meta(product) => meta::of(reader, dialect, product).map(Some),
        Question::Review(id) => reviews::one(reader, dialect, id),
        Question::Products(window) => products::list(reader, window).map(Some),
        Question::Product(id) => products::one(reader, id),
        Question::Styles(product) => styles::of(reader, dialect, product),
        Question::Related(product) => products::related(reader, product),
    }
}
