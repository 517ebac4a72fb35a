//! reviewsd: a shop's ratings and reviews, served from one local store.
