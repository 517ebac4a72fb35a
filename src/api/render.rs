//! Who renders the answer to which question.
//!
//! Must not know HTTP. Invariant: every question has its one renderer.

use crate::store::{Error, Reader};

use super::question::Question;
use super::spelling::Spelling;
use super::{meta, products, reviews, styles};

/// The body that answers `question`; `None` when what is asked for does not exist.
pub(super) fn answer(
    question: Question,
    reader: &Reader<'_>,
    spelling: Spelling,
) -> Result<Option<Vec<u8>>, Error> {
    let dialect = spelling.dialect;
    match question {
        Question::Reviews {
            product,
            order,
            window,
        } => reviews::list(reader, dialect, product, order, window).map(Some),
        Question::Meta(product) => meta::of(reader, dialect, product).map(Some),
        Question::Review(id) => reviews::one(reader, dialect, id),
        Question::Products(window, campus) => {
            products::list(reader, spelling, window, campus).map(Some)
        }
        Question::Product(id, campus) => products::one(reader, spelling, id, campus),
        Question::Styles(product) => styles::of(reader, spelling, product),
        Question::Related(product) => products::related(reader, product),
    }
}
