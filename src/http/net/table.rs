//! The open connections of a listener: their clients, and the choice of the one that gives way to another.
//!
//! Must not know requests or answers. Invariants: an entry lasts as long as its connection; a connection that
//! waits for the server's answer never gives way; a customer of a network that is no trusted proxy has no more
//! connections than it may.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;

use super::clock::{ConnectionClock, ConnectionPhase};
use crate::model::customer;

/// The time after which a connection may have to give way whose head is still on its way.
const HEAD_TIME: Duration = Duration::from_secs(1);
/// The time after which a connection may have to give way whose client does not read its answer.
const STUCK_TIME: Duration = Duration::from_secs(5);

/// The number of connections that one customer may have, and the peers that are no customers.
#[derive(Debug, Clone, Default)]
pub struct PeerLimits {
    /// Connections of one IPv4 address, or of the first 64 bits of an IPv6 address; 0 is no limit.
    pub connections_max: usize,
    /// Proxies, each of which serves many clients; their connections are the last that give way.
    pub trusted_proxies: Vec<IpNet>,
}

/// The table.
#[derive(Clone, Default)]
pub(super) struct Table(Arc<Mutex<OpenConnections>>);

#[derive(Default)]
struct OpenConnections {
    limits: PeerLimits,
    entries: HashMap<u64, ConnectionEntry>,
    next: u64,
    of_customers: HashMap<IpAddr, usize>,
}

struct ConnectionEntry {
    customer: IpAddr,
    is_trusted: bool,
    clock: Arc<ConnectionClock>,
}

/// A connection's slot in the table.
pub(super) struct ConnectionSlot {
    table: Table,
    number: u64,
}

impl Table {
    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Limits customers so from now on. Connections that are open stay.
    pub(super) fn limit(&self, limits: PeerLimits) {
        self.open().limits = limits;
    }

    /// Enters a connection from `peer`; `None` where its customer has as many as it may, and none of them
    /// can give way.
    pub(super) fn enter(
        &self,
        peer: IpAddr,
        clock: &Arc<ConnectionClock>,
    ) -> Option<ConnectionSlot> {
        let mut open = self.open();
        let is_trusted = open.is_trusted(peer);
        let customer = customer::of(peer);
        if !is_trusted && !open.has_room(customer) {
            return None;
        }
        let number = open.next;
        open.next += 1;
        *open.of_customers.entry(customer).or_default() += 1;
        open.entries.insert(
            number,
            ConnectionEntry {
                customer,
                is_trusted,
                clock: Arc::clone(clock),
            },
        );
        drop(open);
        Some(ConnectionSlot {
            table: self.clone(),
            number,
        })
    }

    /// Ends the connection that waits for its client for longest, if there is one, in favour of another,
    /// which waits for the slot.
    pub(super) fn evict_for(&self, favoured: &ConnectionSlot) {
        self.evict_at(Instant::now(), Some(favoured));
    }

    fn evict_at(&self, now: Instant, favoured: Option<&ConnectionSlot>) {
        let favoured = favoured.map(|seat| seat.number);
        let open = self.open();
        if let Some(entry) = open.victim(now, |number, _| Some(number) != favoured) {
            entry.clock.evict();
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.table.open();
        let Some(entry) = open.entries.remove(&self.number) else {
            return;
        };
        if let Some(count) = open.of_customers.get_mut(&entry.customer) {
            *count -= 1;
            if *count == 0 {
                open.of_customers.remove(&entry.customer);
            }
        }
    }
}

impl OpenConnections {
    fn is_trusted(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let mut proxies = self.limits.trusted_proxies.iter();
        proxies.any(|proxy| proxy.contains(&peer))
    }

    /// Returns true if a customer may have one more connection, for which another one of its own may give way.
    fn has_room(&self, customer: IpAddr) -> bool {
        let connections_max = self.limits.connections_max;
        let count = self.of_customers.get(&customer).copied().unwrap_or(0);
        if connections_max == 0 || count < connections_max {
            return true;
        }
        let own = |entry: &ConnectionEntry| entry.customer == customer;
        let stay = |entry: &&ConnectionEntry| own(entry) && !entry.clock.is_evicted();
        if self.entries.values().filter(stay).count() < connections_max {
            return true;
        }
        let victim = self.victim(Instant::now(), |_, entry| own(entry));
        victim.map(|entry| entry.clock.evict()).is_some()
    }

    /// Returns the connection, of those that `may` selects, that gives way first.
    fn victim(
        &self,
        now: Instant,
        may: impl Fn(u64, &ConnectionEntry) -> bool,
    ) -> Option<&ConnectionEntry> {
        let entries = self.entries.iter();
        let entries = entries.filter(|(number, entry)| may(**number, entry));
        let candidates = entries.filter_map(|(_, entry)| Some((rank(entry, now)?, entry)));
        let first = candidates.min_by_key(|(rank, _)| *rank);
        first.map(|(_, entry)| entry)
    }
}

/// The rank of a connection among those that give way, of which the lowest is first; `None` for one that does
/// not.
fn rank(entry: &ConnectionEntry, now: Instant) -> Option<(bool, u8, Instant)> {
    let clock = &entry.clock;
    if clock.is_evicted() {
        return None;
    }
    let since = clock.since();
    let waited = now.saturating_duration_since(since);
    let class = match clock.phase() {
        ConnectionPhase::Fresh | ConnectionPhase::Idle | ConnectionPhase::Leaving => 0,
        ConnectionPhase::Head if waited >= HEAD_TIME => 1,
        ConnectionPhase::Writing if waited >= STUCK_TIME => 2,
        ConnectionPhase::Head
        | ConnectionPhase::Serving
        | ConnectionPhase::Writing
        | ConnectionPhase::Pausing => return None,
    };
    Some((entry.is_trusted, class, since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// The time at which connections are looked at.
    static NOW: LazyLock<Instant> = LazyLock::new(|| Instant::now() + Duration::from_mins(2));

    /// A connection in this table that is for so many seconds where `then` leads it.
    fn connection(
        table: &Table,
        peer: IpAddr,
        age: u64,
        then: impl Fn(&ConnectionClock),
    ) -> (Arc<ConnectionClock>, ConnectionSlot) {
        let clock = Arc::new(ConnectionClock::new());
        then(&clock);
        clock.set_since(*NOW - Duration::from_secs(age));
        let seat = table.enter(peer, &clock).unwrap();
        (clock, seat)
    }

    /// Returns which of these are asked to end.
    fn evicted(all: &[&(Arc<ConnectionClock>, ConnectionSlot)]) -> Vec<bool> {
        all.iter().map(|(clock, _)| clock.is_evicted()).collect()
    }

    fn idle(clock: &ConnectionClock) {
        serving(clock);
        clock.answered(false);
        clock.flushed();
    }

    fn serving(clock: &ConnectionClock) {
        clock.received();
        clock.asked();
    }

    #[test]
    fn the_longest_idle_gives_way_and_one_that_is_served_never() {
        let table = Table::default();
        let served = connection(&table, peer(1), 50, serving);
        let fresh = connection(&table, peer(1), 20, |_| {});
        let idled = connection(&table, peer(1), 30, idle);
        let all = [&served, &fresh, &idled];
        table.evict_at(*NOW, None);
        assert_eq!(evicted(&all), [false, false, true]);
        table.evict_at(*NOW, None);
        assert_eq!(evicted(&all), [false, true, true]);
        table.evict_at(*NOW, None);
        assert_eq!(evicted(&all), [false, true, true]);
    }

    #[test]
    fn a_connection_waiting_for_a_slot_does_not_evict_itself() {
        let table = Table::default();
        let served = connection(&table, peer(1), 50, serving);
        let waiting = connection(&table, peer(2), 20, |_| {});
        table.evict_at(*NOW, Some(&waiting.1));
        assert_eq!(evicted(&[&served, &waiting]), [false, false]);
        // To another it does.
        table.evict_at(*NOW, Some(&served.1));
        assert_eq!(evicted(&[&served, &waiting]), [false, true]);
    }

    #[test]
    fn clients_that_keep_us_waiting_give_way_after_those_that_idle() {
        let table = Table::default();
        let head = |clock: &ConnectionClock| clock.received();
        let writing = |clock: &ConnectionClock| {
            serving(clock);
            clock.answered(false);
        };
        let stuck = connection(&table, peer(1), 60, writing);
        let reading = connection(&table, peer(1), 1, writing);
        let slow = connection(&table, peer(1), 8, head);
        let quick = connection(&table, peer(1), 0, head);
        let idled = connection(&table, peer(1), 0, idle);
        let all = [&idled, &slow, &stuck, &quick, &reading];
        for gone in 1..=3 {
            table.evict_at(*NOW, None);
            let expected: Vec<bool> = (0..all.len()).map(|index| index < gone).collect();
            assert_eq!(evicted(&all), expected);
        }
        table.evict_at(*NOW, None);
        assert_eq!(evicted(&all), [true, true, true, false, false]);
    }

    #[test]
    fn connections_of_trusted_proxies_give_way_last() {
        let table = Table::default();
        table.limit(PeerLimits {
            connections_max: 0,
            trusted_proxies: vec!["192.0.2.9/32".parse().unwrap()],
        });
        let proxy = connection(&table, peer(9), 60, idle);
        let other = connection(&table, peer(1), 1, idle);
        table.evict_at(*NOW, None);
        assert_eq!(evicted(&[&proxy, &other]), [false, true]);
        table.evict_at(*NOW, None);
        assert_eq!(evicted(&[&proxy, &other]), [true, true]);
    }

    #[test]
    fn a_customer_has_as_many_as_it_may_and_others_have_theirs() {
        let table = Table::default();
        table.limit(PeerLimits {
            connections_max: 2,
            trusted_proxies: vec!["192.0.2.9/32".parse().unwrap()],
        });
        let first = connection(&table, peer(1), 9, serving);
        let second = connection(&table, peer(1), 5, serving);
        let clock = Arc::new(ConnectionClock::new());
        assert!(table.enter(peer(1), &clock).is_none());
        assert!(table.enter(peer(2), &clock).is_some());
        let proxied: Vec<_> = (0..5).map(|_| table.enter(peer(9), &clock)).collect();
        assert!(proxied.iter().all(Option::is_some));
        // One that idles gives way to the next, once.
        idle(&first.0);
        let third = table.enter(peer(1), &clock);
        assert!(third.is_some());
        assert_eq!(evicted(&[&first, &second]), [true, false]);
        serving(&clock);
        assert!(table.enter(peer(1), &clock).is_none());
        drop((first, second));
        assert!(table.enter(peer(1), &clock).is_some());
        drop((third, proxied));
        assert!(table.open().entries.is_empty());
        assert!(table.open().of_customers.is_empty());
    }
}
