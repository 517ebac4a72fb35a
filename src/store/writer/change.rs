//! Changes that the writer takes, and their outcomes.
//!
//! Must not know how a change is made. Invariant: a change has all that the writer needs to make it.

use std::net::IpAddr;

use super::catalogue::{ExpectedProduct, ProductOutcome, SkuUpdate};
use crate::fence::Fence;
use crate::model::catalogue::WholeProduct;
use crate::model::filed::{FiledChange, FiledOutcome};
use crate::model::moderation::{Actor, ReasonCode, ReviewState};
use crate::model::{NewReview, ProductId, ReviewId};
use crate::reported::ReportedFilter;

/// Something to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Add a review.
    Post {
        /// The review.
        review: NewReview,
        /// The retry key, of a client that may send the same review again.
        retry: Option<IdempotencyKey>,
        /// The ground on which it is held, pending; `None` publishes it at once.
        held: Option<ReasonCode>,
    },
    /// Count a vote that a review is helpful.
    Helpful(ReviewId),
    /// Count a vote of a client, which it can take back where [`ModerationSettings::keep_votes`] says so.
    ///
    /// [`ModerationSettings::keep_votes`]: crate::ModerationSettings
    Vote {
        /// The review.
        review: ReviewId,
        /// The address of the client.
        client: IpAddr,
    },
    /// Take a vote of a client back, if one is kept.
    WithdrawVote {
        /// The review.
        review: ReviewId,
        /// The address of the client.
        client: IpAddr,
    },
    /// Count a client's report of a review, and hide it from every list if there are enough.
    Report {
        /// The review.
        review: ReviewId,
        /// The address of the client that reports it.
        client: IpAddr,
        /// The ground that the client gives.
        reason: ReasonCode,
        /// False if it is noted for moderators alone, and hides nothing.
        hides: bool,
    },
    /// Take a client's report back.
    WithdrawReport {
        /// The review.
        review: ReviewId,
        /// The address of the client.
        client: IpAddr,
    },
    /// Show a hidden review in the lists again.
    Restore {
        /// The review.
        review: ReviewId,
        /// Who asks for it.
        by: Actor,
    },
    /// Show those of these reviews in the lists again that reports hid, and that are meant: one may have been
    /// reported anew.
    RestoreReported {
        /// The reviews.
        reviews: Vec<ReviewId>,
        /// Those of them that are meant.
        which: ReportedFilter,
        /// Who asks for it.
        by: Actor,
    },
    /// Give reviews a state; there is an outcome for each. A removed review is erased after
    /// [`ModerationSettings::undo_time`].
    ///
    /// [`ModerationSettings::undo_time`]: crate::ModerationSettings
    Moderate {
        /// The reviews, few enough for one commit.
        reviews: Vec<ReviewId>,
        /// The state.
        to: ReviewState,
        /// The ground.
        reason: ReasonCode,
        /// The actor's own words, without texts of reviews.
        note: Option<String>,
        /// Who asks for it.
        by: Actor,
    },
    /// Let a review stand as it did before an action.
    Undo {
        /// The number of the entry of that action in the audit log.
        entry: u64,
        /// Who asks for it.
        by: Actor,
    },
    /// Give a review the merchant's answer, or take it away.
    Respond {
        /// The review.
        review: ReviewId,
        /// The answer.
        response: Option<String>,
        /// Who asks for it.
        by: Actor,
    },
    /// Remove a review for good; its id is not given again.
    Erase {
        /// The review.
        review: ReviewId,
        /// The names of the idempotency records that made it, which are forgotten with it.
        idempotency_keys: Vec<Vec<u8>>,
        /// Who asks for it.
        by: Actor,
    },
    /// Put a product into the catalogue, in place of the one with its id.
    PutProduct {
        /// The product, which has no faults.
        product: Box<WholeProduct>,
        /// The product that is expected in its place.
        expected: ExpectedProduct,
        /// Who asks for it.
        by: Actor,
    },
    /// Remove a product from the catalogue; its reviews stay.
    RemoveProduct {
        /// The product.
        product: ProductId,
        /// The product that is expected there.
        expected: ExpectedProduct,
        /// Who asks for it.
        by: Actor,
    },
    /// Give a stock keeping unit other values. The audit log, which would be full of stock, has no entry of it.
    UpdateSku {
        /// The unit's id.
        sku: u64,
        /// Its new values.
        update: SkuUpdate,
    },
    /// Enter the skus of some products of a store that was imported; again until all are.
    EnterSkus,
    /// Change reviews, or the characteristics of a product, as the shop's files say.
    File(Box<FiledChange<'static>>),
}

impl Change {
    /// Returns true if it is refused where space is short. A change by an operator, an erasure for one, may be
    /// what frees space.
    pub(super) fn takes_space(&self) -> bool {
        match self {
            Self::Post { .. }
            | Self::Helpful(_)
            | Self::Vote { .. }
            | Self::WithdrawVote { .. }
            | Self::Report { .. }
            | Self::WithdrawReport { .. }
            | Self::PutProduct { .. }
            | Self::UpdateSku { .. }
            | Self::EnterSkus => true,
            Self::File(change) => !matches!(
                **change,
                FiledChange::RemoveReview { .. } | FiledChange::RemoveCharacteristic { .. }
            ),
            Self::Restore { .. }
            | Self::RestoreReported { .. }
            | Self::Moderate { .. }
            | Self::Undo { .. }
            | Self::Respond { .. }
            | Self::Erase { .. }
            | Self::RemoveProduct { .. } => false,
        }
    }
}

/// The key and the hash that tell a review sent again from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The client's name for it, at most [`IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    pub key: Vec<u8>,
    /// A hash of the request's body.
    pub body: u128,
    /// The address of the client, which no other client shares. Only a salted hash of it is stored.
    pub client: IpAddr,
}

/// The maximum length of the name of a retry; a longer one is refused.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// The outcome of a change that the writer took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// The review is there, now or since an earlier try, under this id.
    Created(ReviewId),
    /// It is done, or was so already.
    Changed,
    /// So many reviews are in the lists again.
    Restored(u64),
    /// There is no such review.
    NoSuchReview,
    /// The same retry key was used with another body.
    OtherBody,
    /// The outcome of a change of the catalogue.
    Product(ProductOutcome),
    /// The outcome of a change that files ask for.
    Filed(FiledOutcome),
    /// The product has this review of the same e-mail address, and takes one of each.
    AlreadyReviewed(ReviewId),
    /// The outcome for each review, in their order.
    Moderated(Vec<ModerationOutcome>),
    /// It is undone, as the entry of the audit log with this number says.
    Undone(u64),
    /// It is not undone.
    NotUndone(UndoRefusal),
}

/// The outcome of a moderator's change of one review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModerationOutcome {
    /// It is done, as the entry of the audit log with this number says.
    Done(u64),
    /// The review is in that state.
    Already,
    /// There is no such review.
    NoSuchReview,
    /// Its rows are damaged on the disk, as this sentence says.
    Damaged(String),
}

/// The reason for which an action is not undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoRefusal {
    /// The audit log has no such entry.
    NoSuchEntry,
    /// It is no action that can be undone.
    Final,
    /// The review stands otherwise since.
    Changed,
    /// The review is erased.
    Erased,
}

/// The reason for which the writer did not make a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// So many changes wait that this one would wait too long.
    Busy,
    /// The disk is almost full.
    DiskFull,
    /// The store takes no writes until an operator says that it may.
    Fenced(Fence),
    /// The rows that it would change are damaged on the disk, as this sentence says.
    Damaged(String),
    /// A write failed; the process is ending, and whether this change is durable is unknown.
    Failed,
}
