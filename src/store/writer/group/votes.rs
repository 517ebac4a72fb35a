//! Votes within a group, which a client can take back where the store keeps them by client.
//!
//! Must not know the queue or how clients are answered. Invariant: a client takes back no more votes than it gave.

use std::net::IpAddr;

use super::{CommitGroup, value_of};
use crate::decoding::{damaged, read};
use crate::error::Error;
use crate::key::Family;
use crate::model::{ClientHash, ReviewId};
use crate::moderation::keys::VoteKey;
use crate::moderation::rows::VoteRecord;
use crate::rocks::WriteBatch;
use crate::writer::change::ChangeOutcome;

/// The votes of a client for a review, as the store has them and as the group leaves them.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingVotes {
    stored: Option<VoteRecord>,
    now: Option<VoteRecord>,
}

impl PendingVotes {
    pub(super) fn is_changed(&self) -> bool {
        self.stored != self.now
    }
}

impl CommitGroup<'_> {
    /// Counts a vote that a review is helpful, of a client where votes are kept by client.
    pub(super) fn vote(
        &mut self,
        id: ReviewId,
        client: Option<IpAddr>,
    ) -> Result<ChangeOutcome, Error> {
        if self.counted_state(id)?.is_none() {
            return Ok(ChangeOutcome::NoSuchReview);
        }
        let client = client.filter(|_| self.settings.keep_votes);
        if let Some(client) = client {
            let client = self.store.salt().hash(client);
            let at_ms = self.times.now_ms;
            let votes = self.votes_of(id, client)?;
            let given = votes.now.map_or(0, |record| record.votes);
            votes.now = Some(VoteRecord {
                votes: given.saturating_add(1),
                at_ms,
            });
        }
        self.add_votes(id, 1);
        Ok(ChangeOutcome::Changed)
    }

    /// Takes a vote of a client back, if it has one that is kept.
    pub(super) fn withdraw_vote(
        &mut self,
        id: ReviewId,
        client: IpAddr,
    ) -> Result<ChangeOutcome, Error> {
        if self.counted_state(id)?.is_none() {
            return Ok(ChangeOutcome::NoSuchReview);
        }
        let client = self.store.salt().hash(client);
        let votes = self.votes_of(id, client)?;
        let Some(given) = votes.now else {
            return Ok(ChangeOutcome::Changed);
        };
        let left = given.votes.saturating_sub(1);
        votes.now = (left > 0).then_some(VoteRecord {
            votes: left,
            ..given
        });
        self.add_votes(id, -1);
        Ok(ChangeOutcome::Changed)
    }

    fn add_votes(&mut self, id: ReviewId, votes: i32) {
        if let Some(pending) = self.reviews.get_mut(&id) {
            pending.head.helpfulness = pending.head.helpfulness.saturating_add_signed(votes);
        }
    }

    /// The votes of a client for a review, as the group leaves them so far.
    fn votes_of(&mut self, id: ReviewId, client: ClientHash) -> Result<&mut PendingVotes, Error> {
        let key = (id, client);
        if !self.votes.contains_key(&key) {
            let value = self
                .view
                .get(Family::Moderation, VoteKey::new(id, client))?;
            let stored = match value {
                Some(value) => Some(read(Family::Moderation, id, &value)?),
                None => None,
            };
            self.votes.insert(
                key,
                PendingVotes {
                    stored,
                    now: stored,
                },
            );
        }
        self.votes
            .get_mut(&key)
            .ok_or_else(|| damaged(Family::Moderation, id, "its votes are not there"))
    }

    /// Removes the votes of all clients for a review.
    pub(super) fn forget_votes(&mut self, id: ReviewId) -> Result<(), Error> {
        let mut stored = Vec::new();
        let mut rows = self.view.scan(
            Family::Moderation,
            VoteKey::prefix(id),
            Some(VoteKey::end(id)),
        )?;
        while let Some((key, value)) = rows.next()? {
            let (_, client) = VoteKey::read(key)
                .ok_or_else(|| damaged(Family::Moderation, id, "a key of its votes is none"))?;
            let record: VoteRecord = read(Family::Moderation, id, value)?;
            stored.push((client, record));
        }
        let of_review = (id, ClientHash(0))..=(id, ClientHash(u64::MAX));
        for (_, votes) in self.votes.range_mut(of_review) {
            votes.now = None;
        }
        for (client, record) in stored {
            let votes = PendingVotes {
                stored: Some(record),
                now: None,
            };
            self.votes.insert((id, client), votes);
        }
        Ok(())
    }

    pub(super) fn write_votes(&self, batch: &mut WriteBatch<'_>) -> Result<(), Error> {
        for ((id, client), votes) in &self.votes {
            let key = VoteKey::new(*id, *client);
            match votes.now {
                _ if !votes.is_changed() => {}
                Some(record) => {
                    let value = value_of(Family::Moderation, id, &record)?;
                    batch.put(Family::Moderation, key, &value)?;
                }
                None => batch.delete(Family::Moderation, key)?,
            }
        }
        Ok(())
    }
}
