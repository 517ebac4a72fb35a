//! The files that read what strangers send, to the API and to copies, and what must hold of them.
//!
//! Owns the list of those files. Must not know the store: each of them compiles without it, which
//! nothing else holds them to. Invariant: what is fuzzed is the code that is served.

#![allow(
    dead_code,
    reason = "what answers a request as a whole is not here, and so not all is called"
)]

use ::model;

#[path = "../../src/http/api"]
mod api {
    mod access_log;
    mod body;
    mod body_pieces;
    mod cors;
    mod endpoints;
    mod error;
    mod json;
    mod properties;
    mod reply;
    mod request_id;
    mod route;
    mod session_token;
    mod validation;

    mod reads {
        pub(crate) mod campus;
        pub(crate) mod parameters;
    }

    mod writes {
        pub(crate) mod document;
        pub(crate) mod draft;
        pub(crate) mod fields;
        pub(crate) mod rules;
    }

    /// Any bytes as a request's body.
    pub fn hold_body(input: &[u8]) {
        properties::body::hold(input);
    }

    /// Any bytes as a path with its parameters.
    pub fn hold_query(input: &[u8]) {
        properties::query::hold(input);
    }

    /// Any bytes as a path.
    pub fn hold_route(input: &[u8]) {
        properties::route::hold(input);
    }
}

#[path = "../../src/store"]
mod store {
    mod fence;
    mod properties;

    mod log {
        pub(crate) mod batch;
        pub(crate) mod commit;
        pub(crate) mod position;
    }

    // The API says why a store takes no writes.
    pub(crate) use fence::Fence;

    /// Any bytes as a batch of another store.
    pub fn hold_commit(input: &[u8]) {
        properties::hold(input);
    }
}

#[path = "../../src/replication"]
mod replication {
    mod wire {
        pub(crate) mod frame;
        pub(crate) mod properties;
    }

    /// Any bytes as frames.
    pub fn hold_frame(input: &[u8]) {
        wire::properties::hold(input);
    }
}

pub use api::{hold_body as body, hold_query as query, hold_route as route};
pub use replication::hold_frame as frame;
pub use store::hold_commit as commit;
