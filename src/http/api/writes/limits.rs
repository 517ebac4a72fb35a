//! Limits on the writes of one client or to one product: rates, and one vote for a review.
//!
//! Must not know HTTP or the store. Invariants: memory is of a fixed size; no address is stored, only its hash
//! under a salt that no other process has; if there is not enough space a client is admitted, never held back
//! for another client's writes; the time is passed in.

use std::array;
use std::hash::{BuildHasher, Hash, RandomState};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::ReviewId;

use super::super::client::ClientAddress;

/// Slots that one hash may be stored in.
const WAYS: usize = 8;
/// Groups of such slots: with eight times sixteen bytes each, one MiB.
const SETS: usize = 1 << 13;
/// The same of a small table: 64 KiB.
const SMALL_SETS: usize = 1 << 9;

/// The settings of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Writes that a client gains every second.
    pub per_second: u32,
    /// Writes that it may save up.
    pub burst: u32,
}

/// A number of writes in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Writes at once at most.
    pub count: u32,
    /// The time in which so many are gained again, one after the other.
    pub window: Duration,
}

/// A token bucket for every client, or for every product.
pub(crate) struct Rates {
    recent: Recent,
    token_us: u64,
    bucket_us: u64,
}

impl Rates {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self::with_sets(limit, SETS)
    }

    /// The same in a few KiB, for events that few clients cause.
    pub(crate) fn small(limit: RateLimit) -> Self {
        Self::with_sets(limit, SMALL_SETS)
    }

    fn with_sets(limit: RateLimit, sets: usize) -> Self {
        let token_us = 1_000_000 / u64::from(limit.per_second.max(1));
        Self {
            recent: Recent::new(sets),
            token_us,
            bucket_us: token_us * u64::from(limit.burst.max(1)),
        }
    }

    /// Buckets of a quota.
    pub(crate) fn of(quota: Quota) -> Self {
        let count = u64::from(quota.count.max(1));
        let token_us = (micros(quota.window) / count).max(1);
        Self {
            recent: Recent::new(SETS),
            token_us,
            bucket_us: token_us * count,
        }
    }

    /// Takes a token of the bucket of `key`; otherwise returns the time until there is one.
    pub(crate) fn take(&self, key: &impl Hash, now: Duration) -> Result<(), Duration> {
        let now = micros(now);
        // A bucket is stored as the time when it will be full again.
        self.recent.update(key, |full| {
            let full_then = full.max(now) + self.token_us;
            match full_then.checked_sub(now + self.bucket_us) {
                None | Some(0) => (full_then, Ok(())),
                Some(early) => (full, Err(Duration::from_micros(early))),
            }
        })
    }
}

/// The votes of clients within the window.
pub(crate) struct RecentVotes {
    recent: Recent,
    window_us: u64,
    /// Notified whenever a vote is no longer pending.
    settled: Notify,
}

impl RecentVotes {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            recent: Recent::new(SETS),
            window_us: micros(window).min(PENDING >> 1),
            settled: Notify::new(),
        }
    }

    /// Notes a vote, which is pending until it is confirmed or forgotten.
    pub(crate) fn note(&self, client: ClientAddress, review: ReviewId, now: Duration) -> Vote {
        let now = micros(now);
        self.recent.update(&(client, review), |until| {
            if until & !PENDING <= now {
                ((now + self.window_us) | PENDING, Vote::First)
            } else if until & PENDING != 0 {
                (until, Vote::Pending)
            } else {
                (until, Vote::Repeated)
            }
        })
    }

    /// The same, once no earlier vote of the client for this review is pending any more.
    pub(crate) async fn settled(
        &self,
        client: ClientAddress,
        review: ReviewId,
        now: Duration,
    ) -> Vote {
        loop {
            let mut settled = pin!(self.settled.notified());
            // From here on no settling vote is missed.
            settled.as_mut().enable();
            match self.note(client, review, now) {
                Vote::Pending => settled.await,
                vote => return vote,
            }
        }
    }

    /// A vote is counted.
    pub(crate) fn confirm(&self, client: ClientAddress, review: ReviewId) {
        self.recent
            .update(&(client, review), |until| (until & !PENDING, ()));
        self.settled.notify_waiters();
    }

    /// Removes a vote that failed.
    pub(crate) fn forget(&self, client: ClientAddress, review: ReviewId) {
        self.recent.update(&(client, review), |_| (0, ()));
        self.settled.notify_waiters();
    }
}

/// Set in the instant of a vote whose outcome is not known yet.
const PENDING: u64 = 1 << 63;

/// The relation of a vote to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vote {
    /// The client has not voted for this review within the window.
    First,
    /// The client has voted, and the outcome is not known yet.
    Pending,
    /// The client has voted, and the vote is counted.
    Repeated,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2)
}

/// Instants by the hashes of what they belong to. One that has passed is as good as none.
struct Recent {
    salt: RandomState,
    sets: Mutex<Box<[[Slot; WAYS]]>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u64,
    until: u64,
}

impl Recent {
    fn new(sets: usize) -> Self {
        let sets = vec![array::from_fn(|_| Slot::default()); sets];
        Self {
            salt: RandomState::new(),
            sets: Mutex::new(sets.into_boxed_slice()),
        }
    }

    /// Changes the instant of `key`; it begins as 0, also if other keys have displaced it.
    fn update<T>(&self, key: &impl Hash, change: impl FnOnce(u64) -> (u64, T)) -> T {
        let hash = self.salt.hash_one(key);
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let set = usize::try_from(hash % sets.len().max(1) as u64).unwrap_or(0);
        let Some(slots) = sets.get_mut(set) else {
            return change(0).1;
        };
        let known = |slot: &Slot| slot.hash == hash && slot.until > 0;
        let until = slots
            .iter()
            .copied()
            .find(known)
            .map_or(0, |slot| slot.until);
        let (changed, result) = change(until);
        // In its own slot, or in that of the one that is past or will be first.
        let place = slots
            .iter_mut()
            .min_by_key(|slot| (!known(slot), slot.until));
        if let Some(slot) = place.filter(|_| changed != until) {
            *slot = Slot {
                hash,
                until: changed,
            };
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::HeaderMap;

    fn client(address: u32) -> ClientAddress {
        let address = std::net::Ipv4Addr::from_bits(address).into();
        ClientAddress::of(address, &HeaderMap::new(), &[])
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn rates(per_second: u32, burst: u32) -> Rates {
        Rates::new(RateLimit { per_second, burst })
    }

    #[test]
    fn a_bucket_empties_and_fills_at_its_rate() {
        let rates = rates(10, 3);
        for _ in 0..3 {
            assert_eq!(rates.take(&client(1), ms(0)), Ok(()));
        }
        assert_eq!(rates.take(&client(1), ms(0)), Err(ms(100)));
        assert_eq!(rates.take(&client(1), ms(40)), Err(ms(60)));
        assert_eq!(rates.take(&client(1), ms(100)), Ok(()));
        assert_eq!(rates.take(&client(1), ms(100)), Err(ms(100)));
        // Long after, it is full and not fuller.
        for _ in 0..3 {
            assert_eq!(rates.take(&client(1), ms(60_000)), Ok(()));
        }
        assert_eq!(rates.take(&client(1), ms(60_000)), Err(ms(100)));
    }

    #[test]
    fn a_quota_is_gained_again_within_its_window() {
        let window = ms(3_600_000);
        let rates = Rates::of(Quota { count: 3, window });
        let product = crate::model::ProductId(7);
        for _ in 0..3 {
            assert_eq!(rates.take(&product, ms(0)), Ok(()));
        }
        assert_eq!(rates.take(&product, ms(0)), Err(window / 3));
        assert_eq!(rates.take(&product, window / 3), Ok(()));
        assert_eq!(rates.take(&product, window / 3), Err(window / 3));
        for _ in 0..3 {
            assert_eq!(rates.take(&product, window * 2), Ok(()));
        }
        assert!(rates.take(&product, window * 2).is_err());
    }

    #[test]
    fn one_client_is_not_held_back_for_another() {
        let rates = rates(1, 1);
        for address in 0..200_000 {
            assert_eq!(rates.take(&client(address), ms(5)), Ok(()), "{address}");
        }
    }

    /// Votes, and has it counted.
    fn votes(voted: &RecentVotes, address: u32, review: u64, now: u64) -> bool {
        let (client, review) = (client(address), ReviewId(review));
        let is_first = voted.note(client, review, ms(now)) == Vote::First;
        if is_first {
            voted.confirm(client, review);
        }
        is_first
    }

    #[test]
    fn a_client_votes_once_for_a_review_within_the_window() {
        let voted = RecentVotes::new(ms(1000));
        assert!(votes(&voted, 1, 5, 0));
        assert!(!votes(&voted, 1, 5, 999));
        assert!(votes(&voted, 1, 6, 999));
        assert!(votes(&voted, 2, 5, 999));
        // The second try did not prolong it.
        assert!(votes(&voted, 1, 5, 1000));
        assert!(!votes(&voted, 1, 5, 1001));
    }

    #[test]
    fn a_vote_that_came_to_nothing_may_be_repeated() {
        let voted = RecentVotes::new(ms(1000));
        let note = || voted.note(client(1), ReviewId(5), ms(10));
        assert_eq!(note(), Vote::First);
        voted.forget(client(1), ReviewId(5));
        voted.forget(client(1), ReviewId(5));
        assert_eq!(note(), Vote::First);
    }

    #[tokio::test]
    async fn a_vote_waits_for_one_that_is_pending() {
        let voted = RecentVotes::new(ms(1000));
        let (peer, review) = (client(1), ReviewId(5));
        assert_eq!(voted.note(peer, review, ms(10)), Vote::First);
        assert_eq!(voted.note(peer, review, ms(10)), Vote::Pending);
        let again = voted.settled(peer, review, ms(10));
        let failed = async { voted.forget(peer, review) };
        // The first failed, so the second is the first.
        assert_eq!(tokio::join!(again, failed).0, Vote::First);
        let again = voted.settled(peer, review, ms(10));
        let done = async { voted.confirm(peer, review) };
        assert_eq!(tokio::join!(again, done).0, Vote::Repeated);
    }

    #[test]
    fn most_votes_are_remembered_as_long_as_there_is_room() {
        let voted = RecentVotes::new(ms(1000));
        let clients = 20_000;
        for address in 0..clients {
            assert!(votes(&voted, address, 5, 0));
        }
        let again = (0..clients).filter(|address| votes(&voted, *address, 5, 1));
        assert!(again.count() < 100);
    }
}
