//! Adoption, import, restore and the first start, ended before any of the changes that they make.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::files::cut_after;
use super::super::restore::Restoring;
use super::*;
use crate::Predecessor;
use crate::bulk::{Bulk, Replace};
use crate::rocks::{LogCheck, Rocks};
use crate::state::write_state;
use crate::value::{Counters, Identity};

const MEMORY: usize = 16 << 20;
const PRIMARY: &str = "http://primary:1";

/// Files of a store with this id that is `epochs` further than its beginning.
fn files(dir: &Path, store_id: u128, epochs: u64) {
    let rocks = Rocks::create(dir, MEMORY).unwrap();
    let identity = Identity {
        store_id,
        made_ms: 0,
    };
    write_state(&rocks, identity, Counters::NONE).unwrap();
    advance(&rocks, epochs);
}

fn advance(rocks: &Rocks, epochs: u64) {
    let mut commit_log = CommitLog::resume(rocks).unwrap();
    for _ in 0..epochs {
        commit_log.begin_epoch(rocks).unwrap();
    }
}

/// A data directory whose store has this id.
fn data_with(store_id: u128, epochs: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::lock(dir.path(), "test").unwrap();
    let place = data.begin_store(new_store_id().unwrap()).unwrap();
    files(&place, store_id, epochs);
    data.publish(&place).unwrap().remove().unwrap();
    drop(data);
    dir
}

fn names(dir: &Path) -> BTreeSet<String> {
    files::names_in(dir).unwrap().into_iter().collect()
}

/// The id and the epoch of the current store, and whether it is a replica; `None` where there is none.
fn current(dir: &Path) -> Option<(u128, u64, bool)> {
    let data = DataDir::lock(dir, "test").unwrap();
    let current = data.current().unwrap()?;
    let place = StorePosition::of(&current).unwrap();
    let follows = data.follows().unwrap().is_some();
    Some((place.store_id, place.at.epoch, follows))
}

/// The ids and epochs of the diverged stores.
fn aside(dir: &Path) -> Vec<(u128, u64)> {
    let names = names(dir).into_iter();
    let kept = names.filter(|name| name.starts_with("diverged-"));
    let places = kept.map(|name| StorePosition::of(&dir.join(name)).unwrap());
    places.map(|of| (of.store_id, of.at.epoch)).collect()
}

/// Asserts that the directory holds nothing but its own entries.
fn assert_clean(dir: &Path) {
    drop(DataDir::lock(dir, "test").unwrap());
    let is_store = |name: &String| name.starts_with("store-");
    let all = names(dir);
    assert!(
        all.iter().filter(|name| is_store(name)).count() <= 1,
        "{all:?}"
    );
    let others = all.iter().filter(|name| !is_store(name));
    for name in others {
        let is_known = ["LOCK", "store"].contains(&&**name) || name.starts_with("diverged-");
        assert!(is_known, "{name} is left over");
    }
}

/// Adopts a store that is made anew, as a replica that is started again fetches it again.
fn fetch_and_adopt(dir: &Path, new: (u128, u64), before: OldStore) -> Result<(), Error> {
    let from = bootstrap_dir(dir).join("files");
    let _ = fs::remove_dir_all(&from);
    fs::create_dir_all(&from).unwrap();
    files(&from, new.0, new.1);
    let copy = FetchedStore {
        dir: &from,
        primary: PRIMARY,
    };
    let done = adopt(dir, copy, before);
    let _ = fs::remove_dir_all(bootstrap_dir(dir));
    done.map(drop)
}

#[test]
fn an_adoption_that_is_cut_anywhere_loses_nothing() {
    // The old store, the new store, how they relate, and whether the old one is retained.
    let cases = [
        (None, (7, 1), OldStore::Contained, false),
        (Some((7, 0)), (7, 3), OldStore::Contained, false),
        (Some((7, 5)), (7, 3), OldStore::Contained, true),
        (Some((6, 2)), (7, 1), OldStore::Contained, true),
        (Some((7, 2)), (7, 1), OldStore::Diverged, true),
        (Some((6, 2)), (7, 1), OldStore::Diverged, true),
    ];
    for (old, new, before, is_kept) in cases {
        for changes in 0.. {
            let dir = match old {
                Some((id, epochs)) => data_with(id, epochs),
                None => tempfile::tempdir().unwrap(),
            };
            let dir = dir.path();
            let is_cut = cut_after(changes, || fetch_and_adopt(dir, new, before));
            let now = current(dir);
            let (was, is) = (
                old.map(|(id, e)| (id, e + 1, false)),
                Some((new.0, new.1 + 1, true)),
            );
            assert!(now == was || now == is, "{changes}: {now:?} after {old:?}");
            assert!(now == is || is_cut);
            // No other directory has the old store.
            if is_kept && now == is {
                assert_eq!(aside(dir), [old.map(|(id, e)| (id, e + 1)).unwrap()]);
            }
            assert_clean(dir);
            if now != is {
                // The next process does it again, and nothing is left of the first.
                fetch_and_adopt(dir, new, before).unwrap();
                assert_eq!(current(dir), is);
                assert_clean(dir);
            }
            assert_eq!(aside(dir).len(), usize::from(is_kept), "{changes}");
            if !is_cut {
                assert!(changes > 8, "too few changes to be all: {changes}");
                break;
            }
        }
    }
}

#[test]
fn an_import_cut_anywhere_leaves_the_old_store_or_the_new() {
    let import = |dir: &Path| {
        let bulk = Bulk::begin(dir, "test", Replace::Always)?;
        let reviews = bulk.reviews()?.finish()?;
        let catalogue = bulk.catalogue()?.finish()?;
        let built = bulk.assemble(&reviews, &catalogue, 0)?;
        bulk.publish()?;
        Ok(built.store_id)
    };
    for is_copy in [false, true] {
        for changes in 0.. {
            let dir = data_with(7, 2);
            let dir = dir.path();
            if is_copy {
                let data = DataDir::lock(dir, "test").unwrap();
                data.set_follows(Some(PRIMARY)).unwrap();
            }
            let is_cut = cut_after(changes, || import(dir));
            let (id, epoch, follows) = current(dir).unwrap();
            if id == 7 {
                assert_eq!((epoch, follows), (3, is_copy), "{changes}");
            } else {
                // In no order does the new one count as a replica.
                assert!(!follows, "{changes}");
            }
            assert_clean(dir);
            let again = import(dir).unwrap();
            assert_eq!(current(dir).map(|(id, ..)| id), Some(again));
            assert_clean(dir);
            if !is_cut {
                break;
            }
        }
    }
}

#[test]
fn a_cut_restore_is_none_or_begins_an_epoch_when_served() {
    let restore = |dir: &Path| {
        let restoring = Restoring::begin(dir)?;
        let place = restoring.place();
        fs::remove_dir_all(&place).unwrap();
        files(&place, 7, 2);
        restoring.publish()
    };
    for changes in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let is_cut = cut_after(changes, || restore(dir));
        match current(dir) {
            Some(now) => assert_eq!(now, (7, 3, false), "{changes}"),
            None => restore(dir).unwrap(),
        }
        let data = DataDir::lock(dir, "test").unwrap();
        assert!(data.is_restored().unwrap(), "{changes}");
        drop(data);
        assert_clean(dir);
        if !is_cut {
            break;
        }
    }
}

#[test]
fn a_first_start_that_is_cut_anywhere_does_not_forget_the_fence() {
    let open = |dir: &Path| {
        let open_options = OpenOptions::own(MEMORY as u64);
        Store::open_fenced(dir, "test", open_options, 0).map(|store| store.fence())
    };
    for changes in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let is_cut = cut_after(changes, || open(dir.path()));
        assert_eq!(open(dir.path()).unwrap(), Some(Fence::Empty), "{changes}");
        assert_clean(dir.path());
        if !is_cut {
            break;
        }
    }
}

#[test]
fn a_fence_outlives_the_process_and_falls_at_an_operators_word() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let open_options = OpenOptions::own(MEMORY as u64);
        Store::open_as(dir.path(), "test", open_options, 0).unwrap()
    };
    let fence = Fence::Superseded { epoch: 4 };
    assert!(open().put_up_fence(fence).unwrap());
    let store = open();
    assert_eq!(store.fence(), Some(fence));
    let at = store.begin_anew().unwrap();
    assert_eq!(
        (store.fence(), *store.feed().applied().borrow()),
        (None, at)
    );
    drop(store);
    assert_eq!(open().fence(), None);
}

#[test]
fn a_store_whose_link_is_gone_is_named_and_never_removed() {
    let dir = data_with(7, 2);
    let dir = dir.path();
    let store = names(dir)
        .into_iter()
        .find(|name| name.starts_with("store-"));
    let store = store.unwrap();
    fs::remove_file(dir.join("store")).unwrap();
    let refusals = [
        Store::open(dir, "test", MEMORY as u64, 0).err(),
        Bulk::begin(dir, "test", Replace::Always).err(),
        has_store(dir).err(),
    ];
    for refusal in refusals {
        let why = refusal.unwrap().to_string();
        assert!(
            why.contains(&format!("already contains {store}, a store that")),
            "{why}"
        );
    }
    assert_eq!(StorePosition::of(&dir.join(store)).unwrap().store_id, 7);
}

#[test]
fn two_stores_moved_aside_at_one_position_are_both_kept() {
    let dir = data_with(6, 0);
    let dir = dir.path();
    for id in [7, 6, 7] {
        fetch_and_adopt(dir, (id, 0), OldStore::Diverged).unwrap();
    }
    let mut all = aside(dir);
    all.sort_unstable();
    assert_eq!(all, [(6, 1), (6, 1), (7, 1)]);
}

#[test]
fn marks_of_earlier_versions_move_into_the_store_they_are_about() {
    let dir = data_with(7, 0);
    fs::write(dir.path().join("FOLLOWS"), "http://primary:1\n").unwrap();
    fs::write(dir.path().join("RESTORED"), "").unwrap();
    let data = DataDir::lock(dir.path(), "test").unwrap();
    assert_eq!(data.follows().unwrap().as_deref(), Some(PRIMARY));
    assert!(data.is_restored().unwrap());
    drop(data);
    assert_clean(dir.path());
}

#[test]
fn a_store_that_is_imported_names_those_before_it_newest_first() {
    let dir = data_with(7, 2);
    let dir = dir.path();
    let mut expected = Vec::new();
    for round in 0..12 {
        let data = DataDir::lock(dir, "test").unwrap();
        let StorePosition { store_id, at } =
            StorePosition::of(&data.current().unwrap().unwrap()).unwrap();
        drop(data);
        let (epoch, seq) = (at.epoch, at.seq);
        expected.insert(
            0,
            Predecessor {
                store_id,
                epoch,
                seq,
            },
        );
        expected.truncate(8);
        let bulk = Bulk::begin(dir, "test", Replace::Always).unwrap();
        let reviews = bulk.reviews().unwrap().finish().unwrap();
        let catalogue = bulk.catalogue().unwrap().finish().unwrap();
        bulk.assemble(&reviews, &catalogue, 0).unwrap();
        bulk.publish().unwrap();
        let rocks =
            Rocks::open(&dir.join("store"), MEMORY, Duration::ZERO, LogCheck::Whole).unwrap();
        advance(&rocks, round % 3);
        drop(rocks);
        let store = Store::open(dir, "test", MEMORY as u64, 0).unwrap();
        assert_eq!(store.predecessors().unwrap(), expected, "{round}");
    }
}
