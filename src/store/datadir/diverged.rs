//! Diverged stores, which were moved aside when another store took their place.
//!
//! Invariant: they are reported, and removed by nothing but the operator's retention rule: each may hold
//! what no other store does, and only a person knows whether that is missed.

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::files::{names_in, remove_tree};
use super::{DataDir, KEPT_PREFIX};
use crate::error::Error;
use crate::state::new_store_id;
use crate::store::Store;

/// The retention rule for diverged stores: a store that no limit retains is removed. Without a limit, which
/// is the default, all of them stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionRule {
    /// The number of the latest stores that stay; 0 is no limit.
    pub keep: usize,
    /// The age up to which they stay; zero is no limit.
    pub keep_for: Duration,
}

/// A diverged store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DivergedStore {
    /// Its directory.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
}

/// Returns the diverged stores in a data directory, by name.
pub fn kept(data_dir: &Path) -> Result<Vec<DivergedStore>, Error> {
    let names = names_in(data_dir)?.into_iter();
    let mut names: Vec<_> = names.filter(|name| name.starts_with(KEPT_PREFIX)).collect();
    names.sort();
    let kept = names.into_iter().map(|name| {
        let path = data_dir.join(name);
        let bytes = bytes_of(&path);
        let bytes = bytes.map_err(Error::io(format!("measure {}", path.display())))?;
        Ok(DivergedStore { path, bytes })
    });
    kept.collect()
}

/// Removes the diverged stores beside an open one that the rule does not retain. Returns the removed ones.
pub fn prune_kept(
    store: &Store,
    rule: RetentionRule,
    now: SystemTime,
) -> Result<Vec<DivergedStore>, Error> {
    prune(store.data(), rule, now)
}

fn prune(
    data: &DataDir,
    rule: RetentionRule,
    now: SystemTime,
) -> Result<Vec<DivergedStore>, Error> {
    if rule == RetentionRule::default() {
        return Ok(Vec::new());
    }
    let mut by_age = Vec::new();
    for kept in kept(data.path())? {
        // A store is not written to from the moment at which it is moved aside.
        let moved = fs::metadata(&kept.path).and_then(|found| found.modified());
        let moved = moved.map_err(Error::io(format!("look at {}", kept.path.display())))?;
        by_age.push((moved, kept));
    }
    by_age.sort_by_key(|(moved, _)| Reverse(*moved));
    let is_old = |moved: SystemTime| {
        // A clock that was set back makes none of them old.
        let age = now.duration_since(moved).unwrap_or_default();
        rule.keep_for.is_zero() || age > rule.keep_for
    };
    let mut gone = Vec::new();
    for (moved, kept) in by_age.into_iter().skip(rule.keep) {
        if is_old(moved) {
            // Half of a store never has the name of a diverged one.
            remove_tree(&data.release(&kept.path, new_store_id()?)?)?;
            gone.push(kept);
        }
    }
    Ok(gone)
}

/// The bytes of the files of a store, which has directories of files at most.
fn bytes_of(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            bytes_of(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// A data directory with a current store and three diverged ones, moved aside one, two and three hours
    /// ago.
    fn with_three(now: SystemTime) -> (tempfile::TempDir, DataDir) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path(), "test").unwrap();
        let current = data.begin_store(7).unwrap();
        fs::create_dir(&current).unwrap();
        data.publish(&current).unwrap().remove().unwrap();
        for hours in 1..=3 {
            let path = dir.path().join(format!("{KEPT_PREFIX}{hours}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join("KEEP"), format!("{KEPT_PREFIX}{hours}")).unwrap();
            let moved = fs::File::open(&path).unwrap();
            moved.set_modified(now - HOUR * hours).unwrap();
        }
        (dir, data)
    }

    fn names(data: &DataDir) -> Vec<String> {
        let all = kept(data.path()).unwrap();
        let name =
            |kept: &DivergedStore| kept.path.file_name().unwrap().to_str().unwrap().to_owned();
        all.iter().map(name).collect()
    }

    #[test]
    fn stores_moved_aside_go_only_by_a_rule() {
        let now = SystemTime::now();
        let old = HOUR + HOUR / 2;
        for (keep, keep_for, stay) in [
            (
                0,
                Duration::ZERO,
                &["diverged-1", "diverged-2", "diverged-3"][..],
            ),
            (2, Duration::ZERO, &["diverged-1", "diverged-2"]),
            (0, old, &["diverged-1"]),
            (2, old, &["diverged-1", "diverged-2"]),
            (1, HOUR * 9, &["diverged-1", "diverged-2", "diverged-3"]),
        ] {
            let (_dir, data) = with_three(now);
            let gone = prune(&data, RetentionRule { keep, keep_for }, now).unwrap();
            assert_eq!(names(&data), stay, "{keep} {keep_for:?}");
            assert_eq!(gone.len() + stay.len(), 3);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_removes_nothing() {
        let now = SystemTime::now();
        let (_dir, data) = with_three(now);
        let rule = RetentionRule {
            keep: 0,
            keep_for: HOUR,
        };
        assert_eq!(prune(&data, rule, now - HOUR * 24).unwrap(), []);
    }

    #[test]
    fn a_removal_that_was_cut_off_is_finished() {
        let now = SystemTime::now();
        let (dir, data) = with_three(now);
        let half = data.release(&dir.path().join("diverged-3"), 8).unwrap();
        drop(data);
        let data = DataDir::lock(dir.path(), "test").unwrap();
        assert!(!half.exists());
        assert_eq!(names(&data), ["diverged-1", "diverged-2"]);
    }
}
