//! The reasons for which a stream ended, each as a clause.
//!
//! Must not know what follows from it.

use std::fmt;
use std::time::Duration;

use hyper::StatusCode;

use super::client::{NoAnswer, unexpected};
use super::wire::frame::MalformedFrame;
use super::wire::protocol::StreamRefusal;
use crate::store;

/// A stream without a sign of life for so long is dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The reason for which a stream ended.
pub(super) enum Disconnect {
    /// The network, or the primary.
    NoAnswer(NoAnswer),
    /// Nothing was received for too long.
    Silent,
    /// The primary ended it.
    Ended,
    /// The bytes are not those of a primary.
    Malformed(MalformedFrame),
    /// The primary's response is of another kind.
    Status(StatusCode),
    /// The primary cannot, and says why.
    Refused(StreamRefusal),
    /// The primary sent something that was not requested.
    Unasked(&'static str),
    /// A batch does not extend this store.
    Unfit(String),
    /// The store failed.
    Store(store::Error),
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(error) => error.fmt(f),
            Self::Silent => write!(f, "nothing was received for {} s", SILENCE_MAX.as_secs()),
            Self::Ended => f.write_str("the primary ended the stream"),
            Self::Malformed(error) => error.fmt(f),
            Self::Status(status) => f.write_str(&unexpected(*status)),
            Self::Refused(refusal) => write!(f, "the primary rejected the request: {refusal}"),
            Self::Unasked(what) => write!(f, "the primary sends {what}"),
            Self::Unfit(why) => f.write_str(why),
            Self::Store(error) => error.fmt(f),
        }
    }
}
