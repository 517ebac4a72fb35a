//! Shares of clients: whose records are removed for new ones, and that counts are those of the rows.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::Store;

const DAY_MS: i64 = RETRY_MS;

/// A store whose records are changed without a writer.
struct KeysFixture {
    _dir: TempDir,
    store: Store,
    idempotency_keys: IdempotencyKeys,
    count: u64,
}

impl KeysFixture {
    fn new(max: u64, per_client_max: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "a test", 32 << 20, 0).unwrap();
        Self {
            _dir: dir,
            store,
            idempotency_keys: IdempotencyKeys::new(max, per_client_max),
            count: 0,
        }
    }

    fn view(&self) -> RocksView<'_> {
        self.store.rocks().view()
    }

    /// Adds a client's records in one commit, as a group does.
    fn add(&mut self, now_ms: i64, client: u64, names: &[String]) -> Vec<Error> {
        let retried = IdempotencyRecord {
            review: 1,
            body: 1,
            made_ms: now_ms,
            client: Some(client),
        };
        let rocks = self.store.rocks();
        let (view, mut batch) = (rocks.view(), rocks.batch());
        let mut old = Vec::new();
        for name in names {
            let stored = IdempotencyKeys::stored(&view, name.as_bytes()).unwrap();
            old.extend(stored.map(|stored| (name.clone(), stored)));
        }
        let count = self.count + names.len() as u64 - old.len() as u64;
        let mut changes = self.idempotency_keys.change(&view, &mut batch, count);
        for (name, stored) in &old {
            changes.forget(name.as_bytes(), stored).unwrap();
        }
        changes.prune(now_ms, names.iter().map(|_| &retried));
        for name in names {
            changes.add(name.as_bytes(), &retried).unwrap();
        }
        let PrunedKeys { left, passed_over } = changes.finish();
        batch.commit(false).unwrap();
        self.count = left;
        passed_over
    }

    /// Adds one record after the other, a millisecond apart.
    fn add_each(&mut self, from_ms: i64, client: u64, names: impl IntoIterator<Item = String>) {
        for (now_ms, name) in (from_ms..).zip(names) {
            assert!(self.add(now_ms, client, &[name]).is_empty());
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let push = |name: &[u8], _| names.push(String::from_utf8(name.to_vec()).unwrap());
        IdempotencyKeys::each(&self.view(), push).unwrap();
        names
    }

    /// Asserts that every record has its three rows, and that all counts are those of the rows.
    fn assert_exact(&self) {
        let view = self.view();
        let mut expected = BTreeSet::new();
        IdempotencyKeys::each(&view, |name, retried| {
            let client = retried.client.unwrap();
            expected.insert(by_name(name));
            expected.insert(by_time(retried.made_ms, name));
            expected.insert(by_client(client, retried.made_ms, name));
        })
        .unwrap();
        let mut found = BTreeSet::new();
        let mut rows = view.sweep(Family::IdempotencyKeys, []).unwrap();
        while let Some((key, _)) = rows.next().unwrap() {
            found.insert(key.to_vec());
        }
        assert_eq!(found, expected);
        assert_eq!(self.count * 3, found.len() as u64);
        let mut counted = IdempotencyKeys::new(1, 1);
        counted.count(&view).unwrap();
        assert_eq!(counted.counts, self.idempotency_keys.counts);
    }
}

fn names(prefix: &str, numbers: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    numbers.map(move |number| format!("{prefix}{number}"))
}

#[test]
fn a_client_beyond_its_share_loses_its_own_oldest_records() {
    let mut shop = KeysFixture::new(1000, 3);
    shop.add_each(0, 1, names("a", 0..1));
    shop.add_each(1, u64::MAX, names("b", 0..5));
    shop.add_each(6, 2, names("c", 0..2));
    assert_eq!(shop.names(), ["a0", "b2", "b3", "b4", "c0", "c1"]);
    shop.assert_exact();
}

#[test]
fn a_client_that_fills_the_store_evicts_no_other_client() {
    let mut shop = KeysFixture::new(10, 10);
    shop.add_each(0, 1, names("a", 0..1));
    shop.add_each(1, 2, names("b", 0..50));
    assert!(shop.names().contains(&"a0".to_owned()));
    assert!(shop.count <= 10, "{}", shop.count);
    // The records of the client that has the most are removed for others, too, though they are younger.
    shop.add_each(51, 3, names("c", 0..3));
    shop.add_each(54, 2, names("b", 50..53));
    for kept in ["a0", "c0", "c1", "c2", "b52"] {
        assert!(shop.names().contains(&kept.to_owned()), "{kept}");
    }
    shop.assert_exact();
}

#[test]
fn a_group_above_the_share_is_worked_off_by_later_ones() {
    let mut shop = KeysFixture::new(1000, 4);
    let group: Vec<_> = names("a", 10..30).collect();
    assert!(shop.add(0, 1, &group).is_empty());
    assert_eq!(shop.count, 20);
    shop.add_each(1, 1, names("b", 10..26));
    assert_eq!(shop.names(), ["b22", "b23", "b24", "b25"]);
    shop.assert_exact();
}

#[test]
fn records_that_are_over_leave_no_row_of_their_client() {
    let mut shop = KeysFixture::new(1000, 1000);
    shop.add_each(0, 1, names("a", 0..4));
    shop.add_each(DAY_MS, 2, names("b", 0..2));
    assert_eq!(shop.names(), ["a2", "a3", "b0", "b1"]);
    // A name that is used again is the other client's then.
    shop.add_each(DAY_MS + 9, 2, names("a", 3..4));
    assert_eq!(shop.names(), ["a3", "b0", "b1"]);
    shop.assert_exact();
    assert_eq!(shop.idempotency_keys.counts, BTreeMap::from([(2, 3)]));
}

#[test]
fn rows_that_are_gone_are_not_passed_over_again() {
    let mut shop = KeysFixture::new(1000, 3);
    shop.add_each(0, 1, names("a", 0..50));
    // The last commit removed the 47th, so it was still there when the commit looked.
    assert_eq!(shop.idempotency_keys.oldest, by_time(46, b"a46"));
    assert_eq!(
        shop.idempotency_keys.oldest_of,
        BTreeMap::from([(1, by_client(1, 46, b"a46"))])
    );
}

#[test]
fn a_clock_that_goes_back_hides_no_record() {
    let mut shop = KeysFixture::new(1000, 2);
    shop.add_each(10, 1, names("a", 0..4));
    shop.add_each(0, 1, names("b", 0..6));
    assert_eq!(shop.names(), ["a3", "b5"]);
    shop.assert_exact();
}

#[test]
fn a_damaged_record_of_a_client_is_passed_over_once() {
    let mut shop = KeysFixture::new(1000, 2);
    shop.add_each(0, 1, names("a", 0..2));
    let mut batch = shop.store.rocks().batch();
    batch
        .put(Family::IdempotencyKeys, by_name(b"a0"), b"?")
        .unwrap();
    batch.commit(false).unwrap();
    let told: Vec<_> = (2..6)
        .map(|at| shop.add(at, 1, &[format!("a{at}")]).len())
        .collect();
    assert_eq!(told, [1, 0, 0, 0]);
    // It is one of the client's two.
    let left = [(1, b"a0"), (1, b"a5")].map(|(client, name)| {
        let made_ms = i64::from(name[1] - b'0');
        by_client(client, made_ms, name)
    });
    let view = shop.view();
    let mut rows = view.scan(Family::IdempotencyKeys, [BY_CLIENT], Some([BY_CLIENT + 1]));
    let mut found = Vec::new();
    while let Some((key, _)) = rows.as_mut().unwrap().next().unwrap() {
        found.push(key.to_vec());
    }
    assert_eq!(found, left);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn rows_and_counts_agree_whatever_is_added_and_when(
        max in 1_u64..12, per_client_max in 1_u64..6,
        groups in prop::collection::vec((0_u64..4, prop::collection::btree_set(0_u8..24, 1..4), 0..9_i64), 1..80),
    ) {
        let mut shop = KeysFixture::new(max, per_client_max);
        let mut now_ms = 0;
        for (client, names, hours) in groups {
            now_ms += hours * DAY_MS / 24 + 1;
            let is_new = |name: &String| {
                let stored = IdempotencyKeys::stored(&shop.view(), name.as_bytes()).unwrap();
                stored.is_none_or(|stored| is_over(stored.made_ms, now_ms))
            };
            let names: Vec<_> = names.iter().map(u8::to_string).filter(is_new).collect();
            prop_assert!(shop.add(now_ms, client, &names).is_empty());
            shop.assert_exact();
        }
    }
}
