//! reviewsd: a shop's ratings and reviews, served from one local store.

pub mod model;
pub mod store;
