//! Moderation: the rows beside a review that say how it stands with moderators and clients.
//!
//! Must not know how a change is asked for. Invariant: each row but those of reports, votes and e-mails follows
//! from a review's value, or from rows that do not.

pub(crate) mod audit;
pub(crate) mod keys;
pub(crate) mod queue;
mod reads;
pub(crate) mod record;
pub(crate) mod rows;
pub(crate) mod settings;
pub(crate) mod shops;
