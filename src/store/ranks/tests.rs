//! The tree of ranks against a sorted set.

use std::collections::BTreeSet;

use super::node::ENTRY_BYTES;
use super::*;
use crate::store::Store;
use proptest::prelude::*;

/// A store of products without contents, and their ids.
struct RankedShop {
    store: Store,
    ids: BTreeSet<u64>,
    _dir: tempfile::TempDir,
}

impl RankedShop {
    /// A store as an import leaves it.
    fn imported(ids: impl IntoIterator<Item = u64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "a test", 32 << 20, 0).unwrap();
        let ids: BTreeSet<u64> = ids.into_iter().collect();
        let mut batch = store.rocks().batch();
        for (rank, id) in (0..).zip(&ids) {
            let key = IdKey::from(*id);
            batch.put(Family::Products, key, b"a product").unwrap();
            if u64::is_multiple_of(rank, RANK_STRIDE) {
                let rank = IdKey::from(rank);
                batch.put(Family::Ranks, rank, key.as_ref()).unwrap();
            }
        }
        batch.commit(false).unwrap();
        Self {
            store,
            ids,
            _dir: dir,
        }
    }

    /// Makes changes in one commit: an id that is there is removed, another one is added.
    fn turn(&mut self, ids: &[u64]) {
        let view = self.store.rocks().view();
        let mut pending = PendingRanks::default();
        let mut batch = self.store.rocks().batch();
        for id in ids {
            let change = if self.ids.remove(id) {
                batch.delete(Family::Products, IdKey::from(*id)).unwrap();
                RankChange::Removed(*id)
            } else {
                self.ids.insert(*id);
                let key = IdKey::from(*id);
                batch.put(Family::Products, key, b"a product").unwrap();
                RankChange::Added(*id)
            };
            let ids = &self.ids;
            let ids_from = |from, count| {
                let ids = ids.range(from..).take(usize_of(count));
                Ok(ids.copied().collect())
            };
            pending.change(&view, change, &ids_from).unwrap();
        }
        pending.write(&mut batch).unwrap();
        batch.commit(false).unwrap();
    }

    fn get(&self, key: RankKey) -> Result<Option<RankNode>, Error> {
        let value = self.store.rocks().view().get(Family::Ranks, key.bytes())?;
        let node = value.map(|value| RankNode::of_value(key, &value));
        node.transpose()
    }

    fn place(&self, rank: u64) -> RankPlace {
        locate(rank, |key| self.get(key)).unwrap()
    }

    /// The number of nodes. Every rank is where the set has it, and every bucket and node within its bounds.
    fn hold(&self) -> u64 {
        let view = self.store.rocks().view();
        let root = self.get(RankKey::Root).unwrap().unwrap();
        assert!(root.level == 0 || root.entries.len() > 1, "{root:?}");
        let mut walk = RankWalk::of(root);
        let mut rank = 0;
        let mut ids = self.ids.iter().copied().peekable();
        while let Some(bucket) = walk.next(&view).unwrap() {
            assert!((1..=BUCKET_MAX).contains(&bucket.count), "{bucket:?}");
            assert_eq!(self.ids.range(bucket.from..).next(), ids.peek());
            for pass_over in 0..bucket.count {
                let from = bucket.from;
                assert_eq!(self.place(rank), RankPlace::At { from, pass_over });
                assert!(ids.next().is_some());
                rank += 1;
            }
        }
        assert_eq!(ids.next(), None);
        assert_eq!(self.place(rank), RankPlace::Beyond);
        let mut rows = view.scan(Family::Ranks, [], None::<IdKey>).unwrap();
        let mut nodes = 0;
        while let Some((key, value)) = rows.next().unwrap() {
            assert_ne!(key.len(), 8, "a row of the import is left");
            assert!((value.len() - 3) / ENTRY_BYTES <= NODE_MAX);
            nodes += 1;
        }
        assert_eq!(nodes, walk.nodes);
        nodes
    }
}

/// Numbers that look random.
fn scattered(count: u64) -> impl Iterator<Item = u64> {
    (1..=count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20)
}

#[test]
fn an_imported_catalogue_gets_a_tree_at_its_first_change() {
    for products in [0, 1, 63, 64, 65, 640, 10_000] {
        let mut catalogue = RankedShop::imported((1..=products).map(|id| 2 * id));
        assert_eq!(catalogue.place(0), RankPlace::Imported);
        catalogue.turn(&[7]);
        catalogue.hold();
        catalogue.turn(&[7, 2]);
        catalogue.hold();
    }
}

#[test]
fn a_large_catalogue_grows_levels_and_loses_them_again() {
    let mut catalogue = RankedShop::imported([]);
    let ids: Vec<u64> = scattered(30_000).collect();
    for ids in ids.chunks(1000) {
        catalogue.turn(ids);
    }
    assert!(catalogue.hold() > 4);
    assert!(catalogue.get(RankKey::Root).unwrap().unwrap().level >= 1);
    let (gone, left) = ids.split_at(29_900);
    for ids in gone.chunks(1000) {
        catalogue.turn(ids);
    }
    catalogue.hold();
    catalogue.turn(left);
    assert_eq!(catalogue.hold(), 1);
    assert_eq!(
        catalogue.get(RankKey::Root).unwrap(),
        Some(RankNode::default())
    );
}

/// Only the rows of ranks are there, as if each 64th product had all those behind it.
#[test]
fn a_catalogue_of_a_million_is_converted_from_its_ranks() {
    const MARKS: u64 = 20_000;
    let mut catalogue = RankedShop::imported([]);
    let mut batch = catalogue.store.rocks().batch();
    for mark in 0..MARKS {
        let (rank, id) = (IdKey::from(64 * mark), IdKey::from(1000 * mark + 1));
        batch.put(Family::Ranks, rank, id.as_ref()).unwrap();
    }
    let last = IdKey::from(1000 * (MARKS - 1) + 1);
    batch.put(Family::Products, last, b"a product").unwrap();
    batch.commit(false).unwrap();
    catalogue.turn(&[500]);
    let root = catalogue.get(RankKey::Root).unwrap().unwrap();
    assert_eq!(root.level, 2);
    assert_eq!(total(&root.entries), 64 * (MARKS - 1) + 1 + 1);
    for (rank, from, pass_over) in [
        (0, 1, 0),
        (64, 1, 64),
        (65, 1001, 0),
        (64 * 12_345 + 64, 12_345_001, 63),
        (64 * (MARKS - 1) + 1, 19_999_001, 0),
    ] {
        assert_eq!(catalogue.place(rank), RankPlace::At { from, pass_over });
    }
    let beyond = 64 * (MARKS - 1) + 2;
    assert_eq!(catalogue.place(beyond), RankPlace::Beyond);
}

#[test]
fn ids_that_descend_are_added_before_the_first() {
    let mut catalogue = RankedShop::imported([]);
    let ids: Vec<u64> = (1..20_000).rev().collect();
    for ids in ids.chunks(777) {
        catalogue.turn(ids);
    }
    catalogue.hold();
}

#[test]
fn a_value_that_is_no_node_is_an_error() {
    for value in [&b""[..], &[20, 1], &[20, 2, 0], &[20, 1, 0, 1], &[20, 1, 1]] {
        let node = RankNode::of_value(RankKey::Node(0, 5), value);
        assert!(node.is_err(), "{value:?}");
    }
    let node = RankNode {
        level: 3,
        entries: vec![RankEntry {
            from: 5,
            count: 258,
        }],
    };
    let value = node.to_value();
    let golden = [20, 1, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 1, 2];
    assert_eq!(value, golden);
    assert_eq!(RankNode::of_value(RankKey::Root, &value).unwrap(), node);
    assert_eq!(RankKey::Node(1, 2).bytes(), [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(RankKey::Root.bytes(), [2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn ranks_are_exact_after_any_changes(
        imported in prop::collection::btree_set(1_u64..2000, 0..1000),
        groups in prop::collection::vec(prop::collection::vec(0_u64..2500, 1..300), 1..8),
    ) {
        let mut catalogue = RankedShop::imported(imported);
        for ids in &groups {
            catalogue.turn(ids);
            catalogue.hold();
        }
    }
}
