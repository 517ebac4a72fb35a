//! Reviews that were posted: the one that an earlier request stored.
//!
//! Must not know who posts, nor the clock. Invariant: as for every read, nothing here waits for the disk with
//! [`ReadTier::Memory`](crate::rocks::ReadTier::Memory).

use super::Reader;
use crate::decoding::read;
use crate::error::ReadError;
use crate::key::Family;
use crate::model::ReviewId;
use crate::value::IdempotencyRecord;
use crate::writer::idempotency::by_name;

impl Reader<'_> {
    /// Returns the review that a request with this idempotency key and this hash of its body stored, as long as
    /// the key is remembered.
    pub fn retried(&self, key: &[u8], body: u128) -> Result<Option<ReviewId>, ReadError> {
        let Some(value) = self.get(Family::IdempotencyKeys, by_name(key))? else {
            return Ok(None);
        };
        let name = String::from_utf8_lossy(key);
        let record: IdempotencyRecord = read(Family::IdempotencyKeys, name, &value)?;
        Ok((record.body == body).then_some(ReviewId(record.review)))
    }
}
