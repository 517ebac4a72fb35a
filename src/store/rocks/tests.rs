//! Reads that go no further than memory.

use super::tuning::BLOCK_BYTES;
use super::*;
use crate::error::ReadError;
use crate::key::ReviewKey;
use crate::model::{ProductId, ReviewId};

const MEMORY: usize = 32 << 20;

fn open(dir: &Path) -> Rocks {
    Rocks::open(dir, MEMORY, Duration::ZERO, LogCheck::Whole).unwrap()
}

#[test]
fn values_from_memory_are_whole_and_read_from_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let key = |(product, review)| ReviewKey::new(ProductId(product), ReviewId(review));
    let rocks = Rocks::create(dir.path(), MEMORY).unwrap();
    // Each two values fill a block of the second file. The row of the first one is behind the last of a
    // block there, and before the next block.
    for rows in [&[(20, 3)][..], &[(20, 1), (20, 2), (21, 1), (21, 2)]] {
        let mut batch = rocks.batch();
        for row in rows {
            let value = vec![7; BLOCK_BYTES / 2 + 1000];
            batch.put(Family::Reviews, key(*row), &value).unwrap();
        }
        batch.commit(true).unwrap();
        rocks.flush().unwrap();
    }
    drop(rocks);
    let rocks = open(dir.path());
    let read = |row, tier| -> Result<Vec<_>, ReadError> {
        let keys = [key(row)].into_iter();
        let values = rocks.view_within(tier).get_all(Family::Reviews, keys)?;
        let bytes = values.iter().map(|value| value.as_ref().map(|it| it.len()));
        Ok(bytes.collect())
    };
    // The block in which the second one would be is in memory after the first one, and the next is not.
    for row in [(20, 1), (20, 3)] {
        let value = Some(BLOCK_BYTES / 2 + 1000);
        // Twice: the first read does not bring it there.
        for _ in 0..2 {
            let from_memory = read(row, ReadTier::Memory);
            let is_refused = matches!(from_memory, Err(ReadError::Incomplete));
            assert!(is_refused, "{row:?}: {from_memory:?}");
        }
        assert_eq!(read(row, ReadTier::Disk).unwrap(), [value]);
        assert_eq!(read(row, ReadTier::Memory).unwrap(), [value], "{row:?}");
    }
}

/// A database with the first so many families, and a row.
fn create_earlier(dir: &Path, families: usize) {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let names = Family::ALL.iter().take(families).map(|it| it.name());
    let db = DB::open_cf(&options, dir, names).unwrap();
    let reviews = db.cf_handle(Family::Reviews.name()).unwrap();
    db.put_cf(reviews, b"key", b"value").unwrap();
}

/// The second one is what a process leaves that ends while it makes them.
#[test]
fn families_that_a_store_lacks_are_made_when_it_is_opened() {
    let all = Family::ALL.len();
    for families in [all - 3, all - 1, all] {
        let dir = tempfile::tempdir().unwrap();
        create_earlier(dir.path(), families);
        let rocks = open(dir.path());
        assert_eq!(rocks.latest(), 1, "it is at the position that it was at");
        assert_eq!(families::to_read(dir.path()).len(), all);
        for family in Family::ALL {
            assert!(rocks.handle(family).is_ok());
        }
        rocks.flush().unwrap();
        drop(rocks);
        open(dir.path());
    }
}

#[test]
fn a_store_that_lacks_families_is_read_as_if_they_were_empty() {
    let dir = tempfile::tempdir().unwrap();
    let families = Family::ALL.len() - 3;
    create_earlier(dir.path(), families);
    let rocks = Rocks::open_to_read(dir.path(), MEMORY, LogCheck::Whole).unwrap();
    let view = rocks.view();
    assert_eq!(
        &*view.get(Family::Reviews, b"key").unwrap().unwrap(),
        b"value"
    );
    for family in [Family::Moderation, Family::Audit, Family::Skus] {
        assert!(view.get(family, b"key").unwrap().is_none());
        let keys = [b"one", b"two"].into_iter();
        let found = view.get_all(family, keys).unwrap();
        assert_eq!(
            found.iter().map(Option::is_some).collect::<Vec<_>>(),
            [false; 2]
        );
        assert!(view.sweep(family, []).unwrap().next().unwrap().is_none());
        let mut rows = view.scan(family, [], None::<&[u8]>).unwrap();
        assert!(rows.next().unwrap().is_none());
        assert_eq!(rocks.usage(family).unwrap().rows, 0);
    }
    assert_eq!(families::to_read(dir.path()).len(), families);
    let readable = Rocks::open_readable(dir.path(), MEMORY).unwrap();
    assert!(
        readable
            .view()
            .get(Family::Audit, b"key")
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_store_that_lacks_a_family_of_its_format_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    create_earlier(dir.path(), Family::ALL.len() - 4);
    let opened = Rocks::open(dir.path(), MEMORY, Duration::ZERO, LogCheck::Whole);
    assert!(opened.is_err());
}
