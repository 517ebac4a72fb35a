//! The answers of the services beside the reviews, which front ends ask at the same address, where an
//! operator chose that they are empty.
//!
//! Must not know the store. Invariant: nothing that a customer writes to them is answered with success but
//! what a front end counts of clicks, which nobody reads.

use bytes::Bytes;

use crate::model::ProductId;

use super::json::JsonWriter;
use super::reply::Reply;

/// `GET /qa/questions`: a product without questions.
pub(super) fn questions(product: ProductId) -> Reply {
    let mut json = JsonWriter::with_capacity(64);
    json.raw(r#"{"product_id":"#)
        .number_text(product.0)
        .raw(r#","results":[]}"#);
    Reply::json(json.into_bytes())
}

/// `GET /cart`: an empty one.
pub(super) fn cart() -> Reply {
    Reply::json(Bytes::from_static(b"[]"))
}

/// `POST /interactions`: taken and thrown away.
pub(super) fn interaction() -> Reply {
    Reply::taken()
}
