//! The layout of values: which fields are written, in which order, for each version.
//!
//! Must not know keys or `RocksDB`. Invariant: what is written in a version is read back in it.

use bincode::de::{BorrowDecode, BorrowDecoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use super::super::counters::Counters;
use super::super::moderation::audit::{AuditEntry, ReviewStanding};
use super::super::moderation::rows::{OpenReport, VoteRecord};
use super::{
    Decided, IdempotencyRecord, Identity, Predecessor, Predecessors, Related, ReviewHead, SECOND,
    StoredValue, Styles, THIRD, Version,
};
use crate::model::moderation::{AuditAction, Decision, ReasonCode, ReviewState, Role};
use crate::model::{
    Characteristic, CharacteristicRating, ClientHash, Feature, Product, ProductId, Report, Review,
    ReviewPhoto, Sku, Style, StylePhoto, Summary,
};

/// A type that writes its fields one after the other. The types of the model and bincode's traits belong to
/// other crates, which is why there is a trait of this one.
pub(in super::super) trait FieldLayout {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError>;
}

/// A value as bincode takes it.
pub(super) struct BincodeValue<'v, L>(pub(super) &'v L);

impl<L: FieldLayout> Encode for BincodeValue<'_, L> {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.0.write(to)
    }
}

impl<L: FieldLayout> FieldLayout for Vec<L> {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (self.len() as u64).encode(to)?;
        self.iter().try_for_each(|item| item.write(to))
    }
}

impl<L: FieldLayout> FieldLayout for Option<L> {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        u8::from(self.is_some()).encode(to)?;
        self.iter().try_for_each(|item| item.write(to))
    }
}

/// Leaves a type's layout to bincode.
macro_rules! plain {
    ($($name:ty),*) => {$(
        impl FieldLayout for $name {
            fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
                self.encode(to)
            }
        }
    )*};
}
plain!(bool, u8, u32, u64, u128, i64, &str, [u64; 5]);

/// Writes a type's fields one after the other, in the order given, and reads them back.
macro_rules! layout {
    ($name:ident $(<$life:lifetime>)? { $($field:tt),* }) => {
        impl $(<$life>)? FieldLayout for $name $(<$life>)? {
            fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
                $(self.$field.write(to)?;)*
                Ok(())
            }
        }
        layout!(@decode $name $(<$life>)? { $($field),* });
    };
    (@decode $name:ident <$life:lifetime> { $($field:tt),* }) => {
        impl<$life> BorrowDecode<$life, Version> for $name<$life> {
            fn borrow_decode<D: BorrowDecoder<$life, Context = Version>>(
                from: &mut D,
            ) -> Result<Self, DecodeError> {
                Ok(Self { $($field: BorrowDecode::borrow_decode(from)?),* })
            }
        }
    };
    (@decode $name:ident { $($field:tt),* }) => {
        impl<'de> BorrowDecode<'de, Version> for $name {
            fn borrow_decode<D: BorrowDecoder<'de, Context = Version>>(
                from: &mut D,
            ) -> Result<Self, DecodeError> {
                Ok(Self { $($field: BorrowDecode::borrow_decode(from)?),* })
            }
        }
    };
}

/// The code of a word, as one byte.
macro_rules! coded {
    ($($name:ident),*) => {$(
        impl FieldLayout for $name {
            fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
                self.number().encode(to)
            }
        }

        impl<'de> BorrowDecode<'de, Version> for $name {
            fn borrow_decode<D: BorrowDecoder<'de, Context = Version>>(
                from: &mut D,
            ) -> Result<Self, DecodeError> {
                let number = u8::borrow_decode(from)?;
                Self::of_number(number).ok_or(DecodeError::Other(concat!("no ", stringify!($name))))
            }
        }
    )*};
}
coded!(ReviewState, ReasonCode, Role, AuditAction);

impl<'de> BorrowDecode<'de, Version> for ReviewHead {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Version>>(
        from: &mut D,
    ) -> Result<Self, DecodeError> {
        let version = *from.context();
        let (helpfulness, date_ms) = BorrowDecode::borrow_decode(from)?;
        let (state, report, decided) = if version >= THIRD {
            let (state, report, at_ms, reason) = BorrowDecode::borrow_decode(from)?;
            (state, report, Some(Decided { at_ms, reason }))
        } else {
            let state = if bool::borrow_decode(from)? {
                ReviewState::Hidden
            } else {
                ReviewState::Published
            };
            let has_report = version >= SECOND;
            let report = has_report.then(|| Report::borrow_decode(from));
            (state, report.transpose()?, None)
        };
        Ok(Self {
            helpfulness,
            date_ms,
            state,
            report,
            decided,
        })
    }
}

impl FieldLayout for Review<'_> {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.helpfulness.write(to)?;
        self.date_ms.write(to)?;
        if let Some(decision) = self.decision {
            self.state.write(to)?;
            self.report.write(to)?;
            decision.at_ms.write(to)?;
            decision.reason.write(to)?;
            decision.by.write(to)?;
        } else {
            if !self.state.is_counted() {
                return Err(EncodeError::Other("nobody decided on its state"));
            }
            (self.state == ReviewState::Hidden).write(to)?;
            if let Some(report) = &self.report {
                report.write(to)?;
            }
        }
        self.rating.write(to)?;
        self.recommend.write(to)?;
        self.summary.write(to)?;
        self.body.write(to)?;
        self.reviewer_name.write(to)?;
        self.reviewer_email.write(to)?;
        self.response.write(to)?;
        self.photos.write(to)?;
        self.ratings.write(to)
    }
}

impl<'a> BorrowDecode<'a, Version> for Review<'a> {
    fn borrow_decode<D: BorrowDecoder<'a, Context = Version>>(
        from: &mut D,
    ) -> Result<Self, DecodeError> {
        let head = ReviewHead::borrow_decode(from)?;
        let decision = match head.decided {
            Some(Decided { at_ms, reason }) => {
                let by = BorrowDecode::borrow_decode(from)?;
                Some(Decision { at_ms, reason, by })
            }
            None => None,
        };
        Ok(Self {
            helpfulness: head.helpfulness,
            date_ms: head.date_ms,
            state: head.state,
            report: head.report,
            decision,
            rating: BorrowDecode::borrow_decode(from)?,
            recommend: BorrowDecode::borrow_decode(from)?,
            summary: BorrowDecode::borrow_decode(from)?,
            body: BorrowDecode::borrow_decode(from)?,
            reviewer_name: BorrowDecode::borrow_decode(from)?,
            reviewer_email: BorrowDecode::borrow_decode(from)?,
            response: BorrowDecode::borrow_decode(from)?,
            photos: BorrowDecode::borrow_decode(from)?,
            ratings: BorrowDecode::borrow_decode(from)?,
        })
    }
}

layout!(Report { at_ms, reporter });
layout!(Decision<'a> { at_ms, reason, by });
layout!(ReviewStanding<'a> { state, report, decision });
layout!(AuditEntry<'a> { at_ms, actor, role, action, subject, reason, note, before, after });
layout!(OpenReport { at_ms, reason });
layout!(VoteRecord { votes, at_ms });
layout!(ClientHash { 0 });
layout!(ReviewPhoto<'a> { id, url });
layout!(CharacteristicRating {
    characteristic_id,
    value
});
layout!(Summary<'a> { ratings, recommended_false, recommended_true, characteristics });
layout!(Characteristic<'a> { id, name, sum, count });
layout!(Product<'a> { name, slogan, description, category, default_price, features });
layout!(Feature<'a> { feature, value });
layout!(Styles<'a> { 0 });
layout!(Style<'a> { id, name, original_price, sale_price, default, photos, skus });
layout!(StylePhoto<'a> { url, thumbnail_url });
layout!(Sku<'a> { id, size, quantity });
layout!(Related { 0 });
layout!(ProductId { 0 });
layout!(Identity { store_id, made_ms });
layout!(Predecessor {
    store_id,
    epoch,
    seq
});
layout!(Predecessors { 0 });

impl FieldLayout for IdempotencyRecord {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.review.write(to)?;
        self.body.write(to)?;
        self.made_ms.write(to)?;
        self.client.write(to)
    }
}

impl<'de> BorrowDecode<'de, Version> for IdempotencyRecord {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Version>>(
        from: &mut D,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            review: BorrowDecode::borrow_decode(from)?,
            body: BorrowDecode::borrow_decode(from)?,
            made_ms: BorrowDecode::borrow_decode(from)?,
            client: if *from.context() >= SECOND {
                BorrowDecode::borrow_decode(from)?
            } else {
                None
            },
        })
    }
}

impl FieldLayout for Counters {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.next_review_id.write(to)?;
        self.next_photo_id.write(to)?;
        self.reviews.write(to)?;
        self.reviews_visible.write(to)?;
        self.summaries.write(to)?;
        self.products.write(to)?;
        self.styled.write(to)?;
        self.related.write(to)?;
        self.idempotency_keys.write(to)?;
        if self.version() >= SECOND {
            self.reviews_pending.write(to)?;
            self.reviews_hidden.write(to)?;
            self.reviews_removed.write(to)?;
            self.next_audit_entry.write(to)?;
        }
        Ok(())
    }
}

impl<'de> BorrowDecode<'de, Version> for Counters {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Version>>(
        from: &mut D,
    ) -> Result<Self, DecodeError> {
        let mut counters = Self {
            next_review_id: BorrowDecode::borrow_decode(from)?,
            next_photo_id: BorrowDecode::borrow_decode(from)?,
            reviews: BorrowDecode::borrow_decode(from)?,
            reviews_visible: BorrowDecode::borrow_decode(from)?,
            summaries: BorrowDecode::borrow_decode(from)?,
            products: BorrowDecode::borrow_decode(from)?,
            styled: BorrowDecode::borrow_decode(from)?,
            related: BorrowDecode::borrow_decode(from)?,
            idempotency_keys: BorrowDecode::borrow_decode(from)?,
            ..Self::NONE
        };
        if *from.context() >= SECOND {
            counters.reviews_pending = BorrowDecode::borrow_decode(from)?;
            counters.reviews_hidden = BorrowDecode::borrow_decode(from)?;
            counters.reviews_removed = BorrowDecode::borrow_decode(from)?;
            counters.next_audit_entry = BorrowDecode::borrow_decode(from)?;
        } else {
            counters.reviews_hidden = counters.reviews.saturating_sub(counters.reviews_visible);
        }
        Ok(counters)
    }
}
