//! The response budget: the bytes of answers that clients have not taken yet.
//!
//! Must not know the content of answers. Invariants: answers of more than [`FREE_BYTES_MAX`] hold together no
//! more than the budget, each from before it is rendered until its last byte is in the socket; answers to one
//! client hold half of it at most; every wait for it is bounded; there is no entry for a client to whom no such
//! answer is under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::body_pieces::BodyPieces;
use super::client::ClientAddress;
use super::error::ApiError;
use super::reads::render::pieces::Rendered;
use crate::metrics::{Counter, Exposition};

/// Bytes of an answer that needs no permit: connections are bounded, and so is the memory of these.
pub(super) const FREE_BYTES_MAX: usize = 16 << 10;
/// Bytes of an answer that is of the medium tier: it is cached, and rendered in an instant.
pub(super) const MEDIUM_BYTES_MAX: usize = 64 << 10;
/// One part in so many of the budget is for answers of the medium tier alone, so that they never wait
/// behind large ones.
const MEDIUM_SHARE: u64 = 4;
/// Bytes are counted in units of so many.
const UNIT_BYTES: usize = 1 << 10;

/// The budget.
#[derive(Clone)]
pub(super) struct ResponseBudget(Arc<BudgetState>);

struct BudgetState {
    medium: Tier,
    large: Tier,
    /// The free units of each client that has an answer under way.
    clients: Mutex<HashMap<ClientAddress, Arc<Semaphore>>>,
    client_units: usize,
    waits: Counter,
    spent: Counter,
    client_spent: Counter,
}

/// A part of the budget.
struct Tier {
    free: Arc<Semaphore>,
    units: usize,
}

impl Tier {
    fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT_BYTES;
        let units = units.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self {
            free: Arc::new(Semaphore::new(units)),
            units,
        }
    }

    /// The units of so many bytes; an answer that needs more than there are takes all.
    fn units(&self, bytes: usize) -> u32 {
        let units = bytes.div_ceil(UNIT_BYTES).min(self.units);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

/// Bytes of the budget, which are given back when it is dropped.
pub(super) struct Permit {
    budget: ResponseBudget,
    client: ClientAddress,
    /// The part of its client's share.
    share: Option<Share>,
    held: Option<OwnedSemaphorePermit>,
    is_large: bool,
}

struct Share {
    // Before the account, which is closed once no permit of it is left.
    units: OwnedSemaphorePermit,
    account: Account,
}

/// A client's share, for as long as an answer holds or awaits a part of it.
#[derive(Clone)]
struct Account {
    free: Arc<Semaphore>,
    budget: ResponseBudget,
    client: ClientAddress,
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut clients = self.budget.clients();
        // The map's and this one.
        if Arc::strong_count(&self.free) == 2 {
            clients.remove(&self.client);
        }
    }
}

impl ResponseBudget {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let medium = Tier::new(bytes / MEDIUM_SHARE);
        let large = Tier::new(bytes - bytes / MEDIUM_SHARE);
        Self(Arc::new(BudgetState {
            client_units: (medium.units + large.units).div_ceil(2),
            medium,
            large,
            clients: Mutex::default(),
            waits: Counter::default(),
            spent: Counter::default(),
            client_spent: Counter::default(),
        }))
    }

    /// The bytes of the largest list that is made: one of the usual size however small the budget is.
    pub(super) fn list_bytes_max(&self) -> usize {
        (self.0.large.units * UNIT_BYTES).max(MEDIUM_BYTES_MAX)
    }

    /// A permit for nothing yet.
    pub(super) fn none(&self, client: ClientAddress) -> Permit {
        Permit {
            budget: self.clone(),
            client,
            share: None,
            held: None,
            is_large: false,
        }
    }

    /// Waits until `deadline` for so many bytes.
    pub(super) async fn take(
        &self,
        client: ClientAddress,
        bytes: usize,
        deadline: Instant,
    ) -> Result<Permit, ApiError> {
        let mut permit = self.none(client);
        if permit.grow(bytes) {
            return Ok(permit);
        }
        self.0.waits.count();
        permit.is_large = bytes > MEDIUM_BYTES_MAX;
        let tier = self.tier(permit.is_large);
        let units = tier.units(bytes);
        let account = self.account(client);
        let share = Arc::clone(&account.free).acquire_many_owned(self.share(units));
        let Ok(Ok(share)) = timeout_at(deadline, share).await else {
            self.0.client_spent.count();
            return Err(ApiError::ClientBudgetSpent);
        };
        let held = Arc::clone(&tier.free).acquire_many_owned(units);
        let Ok(Ok(held)) = timeout_at(deadline, held).await else {
            self.0.spent.count();
            return Err(ApiError::BudgetSpent);
        };
        permit.share = Some(Share {
            units: share,
            account,
        });
        permit.held = Some(held);
        Ok(permit)
    }

    fn tier(&self, is_large: bool) -> &Tier {
        if is_large {
            &self.0.large
        } else {
            &self.0.medium
        }
    }

    /// The units of its client's share that a permit for so many holds: a client may have one answer that
    /// is larger than its share.
    fn share(&self, units: u32) -> u32 {
        units.min(u32::try_from(self.0.client_units).unwrap_or(u32::MAX))
    }

    fn account(&self, client: ClientAddress) -> Account {
        let mut clients = self.clients();
        let all = || Arc::new(Semaphore::new(self.0.client_units));
        let free = Arc::clone(clients.entry(client).or_insert_with(all));
        Account {
            free,
            budget: self.clone(),
            client,
        }
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<ClientAddress, Arc<Semaphore>>> {
        self.0
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports the budget, and the waits for it.
    pub(super) fn describe(&self, page: &mut Exposition) {
        let tiers = [&self.0.medium, &self.0.large];
        let left = |tier: &Tier| tier.free.available_permits().min(tier.units);
        let held: usize = tiers.map(|tier| tier.units - left(tier)).iter().sum();
        let units: usize = tiers.map(|tier| tier.units).iter().sum();
        page.gauge(
            "reviewsd_response_budget_bytes",
            "Bytes of the response budget that unfinished responses hold.",
        )
        .value((held * UNIT_BYTES) as u64);
        page.gauge(
            "reviewsd_response_budget_max_bytes",
            "Bytes of the response budget.",
        )
        .value((units * UNIT_BYTES) as u64);
        page.counter(
            "reviewsd_response_budget_waits_total",
            "Responses that waited for the response budget.",
        )
        .value(self.0.waits.get());
        let mut refusals = page.counter(
            "reviewsd_response_budget_refusals_total",
            "Requests that were rejected after such a wait: other responses hold the budget, or \
             responses to the same client hold their half of it.",
        );
        refusals.sample(&[("holder", "all")], self.0.spent.get());
        refusals.sample(&[("holder", "client")], self.0.client_spent.get());
    }
}

impl Permit {
    /// Makes it one for so many bytes altogether, if there are so many at once.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        if bytes <= FREE_BYTES_MAX || bytes <= number(self.held.as_ref()) as usize * UNIT_BYTES {
            return true;
        }
        let is_large = self.is_large || bytes > MEDIUM_BYTES_MAX;
        let tier = self.budget.tier(is_large);
        let units = tier.units(bytes);
        // Its units of the other tier are given back afterwards.
        let same = self.held.as_ref().filter(|_| is_large == self.is_large);
        let more = units.saturating_sub(number(same));
        let shared = self.share.as_ref().map(|share| &share.units);
        let more_of_share = self.budget.share(units).saturating_sub(number(shared));
        let account = self.budget.account(self.client);
        let Ok(share) = Arc::clone(&account.free).try_acquire_many_owned(more_of_share) else {
            return false;
        };
        let Ok(held) = Arc::clone(&tier.free).try_acquire_many_owned(more) else {
            return false;
        };
        match &mut self.share {
            Some(had) => had.units.merge(share),
            had => {
                *had = Some(Share {
                    units: share,
                    account,
                });
            }
        }
        match &mut self.held {
            Some(had) if is_large == self.is_large => had.merge(held),
            had => *had = Some(held),
        }
        self.is_large = is_large;
        true
    }

    /// Splits off the part that so many bytes need, or all that is left.
    fn split(&mut self, bytes: usize) -> Self {
        let units = self.budget.tier(self.is_large).units(bytes);
        let part = |of: &mut OwnedSemaphorePermit| of.split(of.num_permits().min(units as usize));
        Self {
            budget: self.budget.clone(),
            client: self.client,
            share: self.share.as_mut().and_then(|share| {
                Some(Share {
                    units: part(&mut share.units)?,
                    account: share.account.clone(),
                })
            }),
            held: self.held.as_mut().and_then(part),
            is_large: self.is_large,
        }
    }

    /// The part of it that so many bytes need; the rest is given back.
    pub(super) fn shrunk(mut self, bytes: usize) -> Self {
        self.split(bytes)
    }

    /// The body, each piece of which holds its part until it was sent; the rest is given back.
    pub(super) fn hold(mut self, answer: Rendered) -> BodyPieces {
        if answer.len() <= FREE_BYTES_MAX {
            return answer.into_pieces(|piece| piece);
        }
        answer.into_pieces(|piece| {
            let permit = self.split(piece.len());
            Bytes::from_owner(Sent {
                piece,
                _permit: permit,
            })
        })
    }
}

/// The units of a permit, if there is one.
fn number(permit: Option<&OwnedSemaphorePermit>) -> u32 {
    let units = permit.map_or(0, OwnedSemaphorePermit::num_permits);
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// A piece of an answer on its way, with the permit for it.
struct Sent<P> {
    piece: Bytes,
    _permit: P,
}

impl<P> AsRef<[u8]> for Sent<P> {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

/// The permit of one cached answer, which all of its readers hold together: its bytes are there once.
#[derive(Clone, Default)]
pub(super) struct SharedPermit(Arc<Mutex<Weak<Permit>>>);

impl SharedPermit {
    /// The permit, if a reader holds it.
    fn held(&self) -> Option<Arc<Permit>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade()
    }

    /// The answer for one more reader, if another one holds the permit.
    pub(super) fn join(&self, answer: &Bytes) -> Option<Bytes> {
        let permit = self.held()?;
        Some(Bytes::from_owner(Sent {
            piece: answer.clone(),
            _permit: permit,
        }))
    }

    /// The answer for a reader that holds `permit`, as those after it will.
    pub(super) fn begin(&self, answer: &Bytes, permit: Permit) -> Bytes {
        let permit = Arc::new(permit);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&permit);
        Bytes::from_owner(Sent {
            piece: answer.clone(),
            _permit: permit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use hyper::HeaderMap;

    const MIB: usize = 1 << 20;

    fn client(last: u8) -> ClientAddress {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        ClientAddress::of(address, &HeaderMap::new(), &[])
    }

    fn free(budget: &ResponseBudget) -> (usize, usize) {
        let of = |tier: &Tier| tier.free.available_permits() * UNIT_BYTES;
        (of(&budget.0.medium), of(&budget.0.large))
    }

    fn rendered(pieces: &[usize]) -> Rendered {
        let mut pieces = pieces.iter().map(|bytes| Bytes::from(vec![b'x'; *bytes]));
        Rendered {
            first: pieces.next().unwrap(),
            rest: pieces.collect(),
            truncated: None,
        }
    }

    async fn at_once(
        budget: &ResponseBudget,
        client: ClientAddress,
        bytes: usize,
    ) -> Result<Permit, ApiError> {
        budget.take(client, bytes, Instant::now()).await
    }

    #[tokio::test]
    async fn small_answers_hold_nothing() {
        let budget = ResponseBudget::new(0);
        let permit = at_once(&budget, client(1), FREE_BYTES_MAX).await.unwrap();
        assert!(permit.held.is_none() && permit.share.is_none());
        let body = permit.hold(rendered(&[FREE_BYTES_MAX]));
        assert_eq!(body.len(), FREE_BYTES_MAX);
        assert!(budget.clients().is_empty());
    }

    #[tokio::test]
    async fn an_answer_holds_its_real_size_piece_by_piece() {
        use http_body_util::BodyExt;
        let budget = ResponseBudget::new(8 * MIB as u64);
        let permit = at_once(&budget, client(1), 3 * MIB).await.unwrap();
        assert_eq!(free(&budget), (2 * MIB, 3 * MIB));
        let mut body = permit.hold(rendered(&[70 << 10, 70 << 10, 1]));
        assert_eq!(free(&budget), (2 * MIB, 6 * MIB - (141 << 10)));
        let piece = body.frame().await.unwrap().unwrap();
        assert_eq!(free(&budget), (2 * MIB, 6 * MIB - (141 << 10)));
        drop(piece);
        assert_eq!(free(&budget), (2 * MIB, 6 * MIB - (71 << 10)));
        drop(body);
        assert_eq!(free(&budget), (2 * MIB, 6 * MIB));
        assert!(budget.clients().is_empty());
    }

    #[tokio::test]
    async fn an_answer_that_turns_out_large_moves_to_the_large_tier() {
        let budget = ResponseBudget::new(8 * MIB as u64);
        let mut permit = budget.none(client(1));
        assert!(permit.grow(20 << 10) && permit.grow(40 << 10));
        assert_eq!(free(&budget), (2 * MIB - (40 << 10), 6 * MIB));
        assert!(permit.grow(MIB) && permit.grow(2 * MIB));
        assert_eq!(free(&budget), (2 * MIB, 4 * MIB));
        assert!(!permit.grow(7 * MIB) || free(&budget).1 == 0);
    }

    #[tokio::test]
    async fn a_wait_ends_and_says_who_holds_the_budget() {
        let budget = ResponseBudget::new(8 * MIB as u64);
        let first = at_once(&budget, client(1), 3 * MIB).await.unwrap();
        let same = at_once(&budget, client(1), 2 * MIB).await;
        assert!(matches!(same, Err(ApiError::ClientBudgetSpent)));
        let other = at_once(&budget, client(2), 3 * MIB).await.unwrap();
        let third = at_once(&budget, client(3), MIB).await;
        assert!(matches!(third, Err(ApiError::BudgetSpent)));
        // Those of the medium tier do not wait behind them.
        assert!(at_once(&budget, client(3), MEDIUM_BYTES_MAX).await.is_ok());
        drop((first, other));
        assert!(at_once(&budget, client(3), MIB).await.is_ok());
        assert!(budget.clients().is_empty());
        assert_eq!(free(&budget), (2 * MIB, 6 * MIB));
    }

    #[tokio::test]
    async fn whoever_waits_gets_what_is_given_back() {
        let budget = ResponseBudget::new(8 * MIB as u64);
        let first = at_once(&budget, client(1), 6 * MIB).await.unwrap();
        let deadline = Instant::now() + Duration::from_hours(1);
        let wait = budget.take(client(2), 5 * MIB, deadline);
        let give = async { drop(first) };
        let (second, ()) = tokio::join!(wait, give);
        assert!(second.is_ok());
    }

    #[tokio::test]
    async fn one_answer_may_be_larger_than_a_share_and_than_the_budget() {
        let budget = ResponseBudget::new(8 * MIB as u64);
        let one = at_once(&budget, client(1), 100 * MIB).await.unwrap();
        assert_eq!(free(&budget), (2 * MIB, 0));
        drop(one);
        let mut grown = budget.none(client(1));
        for mib in 1..=6 {
            assert!(grown.grow(mib * MIB), "{mib}");
        }
        assert_eq!(free(&budget), (2 * MIB, 0));
    }

    #[tokio::test]
    async fn readers_of_one_cached_answer_hold_one_permit() {
        let budget = ResponseBudget::new(8 * MIB as u64);
        let (shared, answer) = (SharedPermit::default(), Bytes::from(vec![b'x'; 20 << 10]));
        assert!(shared.join(&answer).is_none());
        let permit = at_once(&budget, client(1), answer.len()).await.unwrap();
        let first = shared.begin(&answer, permit);
        let second = shared.join(&answer).unwrap();
        drop(first);
        assert_eq!(free(&budget).0, 2 * MIB - (20 << 10));
        assert_eq!(second, answer);
        drop(second);
        assert_eq!(free(&budget).0, 2 * MIB);
        assert!(shared.join(&answer).is_none());
    }
}
