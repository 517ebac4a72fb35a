//! A store in memory, for tests of what stores send each other.
//!
//! It stands in for RocksDB alone: commits are read, checked, stored and looked up by the code that serves.
//! It stands here and not with the simulation of replication, which uses it: how commits are read and
//! looked up is the inside of the store's log, and would have to be public for it. Must not know its
//! callers. Invariants: a crash leaves what was synced and nothing else; its path is every position it has
//! been at, its hash one over every row.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a panic in a test is its failure message"
)]

use std::collections::{BTreeMap, VecDeque};

use xxhash_rust::xxh3::Xxh3;

use super::error::Error;
use super::log::apply::fitting;
use super::log::batch::{BatchRecord, HEADER_BYTES};
use super::log::commit::{FAMILIES, ParsedCommit, STATE};
use super::log::commit_feed::CommitFeed;
use super::log::commit_log::Committed;
use super::log::history::{HistoryLookup, Lineage, lineage_in, read_log, without_log};
use super::log::position::{CommitHeader, HEAD_KEY, LogPosition, epoch_key};

type MemoryKey = (u32, Vec<u8>);

/// The bytes of a commit, as RocksDB writes them.
pub struct CommitBytes {
    before: LogPosition,
    epoch: u64,
    count: u32,
    /// With space for the header.
    bytes: Vec<u8>,
}

impl CommitBytes {
    /// One of an epoch, behind a position.
    pub fn begin(before: LogPosition, epoch: u64) -> Self {
        let mut writing = Self {
            before,
            epoch,
            count: 0,
            bytes: vec![0; HEADER_BYTES],
        };
        writing.note(&CommitHeader { epoch, before }.to_bytes());
        writing
    }

    /// Log data.
    pub fn note(&mut self, note: &[u8]) {
        self.bytes.push(3);
        self.text(note);
    }

    /// A row.
    pub fn put(&mut self, family: u8, key: &[u8], value: &[u8]) {
        self.bytes.extend([5, family]);
        self.text(key);
        self.text(value);
        self.count += 1;
    }

    /// The removal of a row.
    pub fn delete(&mut self, family: u8, key: &[u8]) {
        self.bytes.extend([4, family]);
        self.text(key);
        self.count += 1;
    }

    /// The batch, with its head row and its number.
    pub fn end(mut self) -> Vec<u8> {
        let chained = self.bytes.split_off(HEADER_BYTES);
        let after = self.before.after(self.epoch, self.count + 1, &chained);
        self.bytes.extend(chained);
        let state = u8::try_from(STATE).unwrap();
        self.put(state, HEAD_KEY, &after.to_value());
        let first = (self.before.seq + 1).to_le_bytes();
        let header = [first.as_slice(), &self.count.to_le_bytes()].concat();
        self.bytes[..HEADER_BYTES].copy_from_slice(&header);
        self.bytes
    }

    fn text(&mut self, text: &[u8]) {
        let mut length = text.len();
        while length >= 0x80 {
            self.bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        self.bytes.push(u8::try_from(length).unwrap());
        self.bytes.extend_from_slice(text);
    }
}

/// A store as it is on a disk that may lose power, and the feed of the process that has it open.
pub struct MemoryStore {
    id: u128,
    contents: MemoryContents,
    durable: LogPosition,
    /// The rows to put back to return to the durable state.
    undo: Vec<(MemoryKey, Option<Vec<u8>>)>,
    /// Commits that can be read again.
    log: VecDeque<Committed>,
    feed: CommitFeed,
}

/// The contents of a store at a position.
#[derive(Clone)]
pub struct MemoryContents {
    rows: BTreeMap<MemoryKey, Vec<u8>>,
    /// The sum of all rows' hashes.
    hash: u64,
    /// Every position it has been at, in order; the last is where it is.
    path: Vec<LogPosition>,
}

impl MemoryContents {
    /// Returns its position.
    pub fn position(&self) -> LogPosition {
        *self.path.last().unwrap()
    }

    /// One over every row.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Every row.
    pub fn rows(&self) -> &BTreeMap<MemoryKey, Vec<u8>> {
        &self.rows
    }

    /// Returns true if it was at a position.
    pub fn was_at(&self, position: LogPosition) -> bool {
        let at = self.path.binary_search_by_key(&position.seq, |at| at.seq);
        at.is_ok_and(|at| self.path[at] == position)
    }

    /// The last that is not of a later epoch.
    pub fn end_of(&self, epoch: u64) -> Option<LogPosition> {
        let mut path = self.path.iter().rev();
        path.find(|at| at.epoch <= epoch).copied()
    }

    /// Returns the positions behind one.
    pub fn positions_behind(&self, position: LogPosition) -> Vec<LogPosition> {
        let behind = self.path.iter().filter(|at| at.seq > position.seq);
        behind.copied().collect()
    }

    fn set(&mut self, key: MemoryKey, value: Option<Vec<u8>>) -> (MemoryKey, Option<Vec<u8>>) {
        if let Some(value) = &value {
            self.hash = self.hash.wrapping_add(hash_of(&key, value));
        }
        let before = match value {
            Some(value) => self.rows.insert(key.clone(), value),
            None => self.rows.remove(&key),
        };
        if let Some(before) = &before {
            self.hash = self.hash.wrapping_sub(hash_of(&key, before));
        }
        (key, before)
    }
}

fn hash_of((family, key): &MemoryKey, value: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&family.to_le_bytes());
    hash.update(&key.len().to_le_bytes());
    hash.update(key);
    hash.update(value);
    hash.digest()
}

impl MemoryStore {
    /// One that was just imported.
    pub fn import(id: u128, seq: u64) -> Self {
        let contents = MemoryContents {
            rows: BTreeMap::new(),
            hash: 0,
            path: vec![LogPosition::genesis(seq)],
        };
        Self::adopt(id, contents)
    }

    /// One that was fetched.
    pub fn adopt(id: u128, contents: MemoryContents) -> Self {
        let durable = contents.position();
        Self {
            id,
            contents,
            durable,
            undo: Vec::new(),
            log: VecDeque::new(),
            feed: CommitFeed::new(durable),
        }
    }

    /// Opens it again, in a process whose feed retains so many bytes of commits.
    pub fn open(&mut self, ring_bytes: usize) {
        assert!(self.undo.is_empty(), "it was neither closed nor cut off");
        self.feed = CommitFeed::new(self.durable);
        self.feed.keep(ring_bytes);
    }

    /// Loses what was not synced.
    pub fn crash(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            self.contents.set(key, before);
        }
        let durable = self.durable;
        self.contents.path.retain(|at| at.seq <= durable.seq);
        self.log.retain(|commit| commit.after.seq <= durable.seq);
    }

    /// The id of the store.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// The commit feed.
    pub fn feed(&self) -> &CommitFeed {
        &self.feed
    }

    /// The rows.
    pub fn contents(&self) -> &MemoryContents {
        &self.contents
    }

    /// Returns its position.
    pub fn position(&self) -> LogPosition {
        self.contents.position()
    }

    /// Returns the position up to which it is durable.
    pub fn durable(&self) -> LogPosition {
        self.durable
    }

    /// Begins a commit of the same epoch.
    pub fn begin(&self) -> CommitBytes {
        let at = self.position();
        CommitBytes::begin(at, at.epoch)
    }

    /// Begins the next epoch, durably. `note` tells it apart from other epochs that begin here.
    pub fn begin_epoch(&mut self, note: u64) {
        let at = self.position();
        let mut writing = CommitBytes::begin(at, at.epoch + 1);
        writing.note(&note.to_be_bytes());
        let state = u8::try_from(STATE).unwrap();
        writing.put(state, &epoch_key(at.epoch + 1), &at.to_value());
        self.commit(writing, true);
    }

    /// Makes a commit that was begun.
    pub fn commit(&mut self, writing: CommitBytes, durable: bool) {
        let batch = writing.end();
        self.keep(&batch).expect("what was begun fits");
        if durable {
            self.sync();
        }
    }

    /// Applies a commit of another store as a replica does.
    pub fn apply(&mut self, batch: &[u8]) -> Result<LogPosition, Error> {
        self.keep(batch)?;
        Ok(self.position())
    }

    fn keep(&mut self, batch: &[u8]) -> Result<(), Error> {
        let commit = fitting(batch, self.position())?;
        let mut records = commit.batch.records(FAMILIES);
        while let Some(record) = records.next().expect("the commit was read") {
            let (family, key, value) = match record {
                BatchRecord::Put { family, key, value } => (family, key, Some(value.to_vec())),
                BatchRecord::Delete { family, key } => (family, key, None),
                BatchRecord::LogData(_) => continue,
            };
            let undo = self.contents.set((family, key.to_vec()), value);
            self.undo.push(undo);
        }
        let ParsedCommit { before, after, .. } = commit;
        self.contents.path.push(after);
        let committed = Committed {
            before,
            after,
            batch: batch.into(),
        };
        self.log.push_back(committed.clone());
        self.feed.committed(committed, false);
        Ok(())
    }

    /// Makes all of it durable.
    pub fn sync(&mut self) -> LogPosition {
        self.undo.clear();
        self.durable = self.position();
        self.feed.synced();
        self.durable
    }

    /// Forgets the oldest commits in the log, down to so many durable ones.
    pub fn purge(&mut self, kept: usize) {
        while self.log.len() > kept
            && self
                .log
                .front()
                .is_some_and(|c| c.after.seq <= self.durable.seq)
        {
            self.log.pop_front();
        }
    }

    /// The row behind which the log begins.
    pub fn log_begins(&self) -> u64 {
        let first = self.log.front().map(|commit| commit.before);
        first.unwrap_or(self.position()).seq
    }

    /// Returns the relation of a position to its epochs.
    pub fn lineage(&self, position: LogPosition) -> Lineage {
        let begin = |epoch| {
            let value = self.contents.rows.get(&(STATE, epoch_key(epoch)));
            Ok(value.map(|value| LogPosition::from_value(value).unwrap()))
        };
        lineage_in(position, self.position().epoch, begin).unwrap()
    }

    /// Reads the commits behind a position from the log.
    pub fn read_log(&self, position: LogPosition, bytes_max: usize) -> HistoryLookup {
        if let Some(found) = without_log(position, self.durable) {
            return found;
        }
        // As RocksDB does, from the first batch behind it, whichever that is.
        let mut batches = self
            .log
            .iter()
            .filter(|commit| commit.before.seq >= position.seq);
        let next = || Ok(batches.next().map(|commit| commit.batch.to_vec()));
        let (found, _) = read_log(position, self.durable, bytes_max, next).unwrap();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(store: &mut MemoryStore, key: u8, value: &[u8], durable: bool) -> LogPosition {
        let mut writing = store.begin();
        writing.put(1, &[key], value);
        store.commit(writing, durable);
        store.position()
    }

    #[test]
    fn a_crash_leaves_what_was_synced() {
        let mut store = MemoryStore::import(1, 10);
        store.open(1000);
        let kept = write(&mut store, 1, b"one", true);
        let (hash, rows) = (store.contents().hash(), store.contents().rows().clone());
        let lost = write(&mut store, 1, b"two", false);
        write(&mut store, 2, &[7; 300], false);
        assert_ne!(store.contents().hash(), hash);
        assert_eq!(*store.feed().durable().borrow(), kept);
        store.crash();
        store.open(1000);
        assert_eq!((store.position(), store.contents().hash()), (kept, hash));
        assert_eq!(*store.contents().rows(), rows);
        assert!(store.contents().was_at(kept) && !store.contents().was_at(lost));
    }

    #[test]
    fn the_log_has_what_was_written_until_it_is_purged() {
        let mut store = MemoryStore::import(1, 10);
        store.open(0);
        let start = store.position();
        let one = write(&mut store, 1, b"one", true);
        write(&mut store, 1, b"two", true);
        let HistoryLookup::Commits(commits) = store.read_log(start, usize::MAX) else {
            panic!("they are not there");
        };
        let mut copy = MemoryStore::import(1, 10);
        for commit in &commits {
            assert_eq!(copy.apply(&commit.batch).unwrap(), commit.after);
        }
        assert_eq!(copy.contents().hash(), store.contents().hash());
        assert!(matches!(
            copy.apply(&commits[0].batch),
            Err(Error::Unfit { .. })
        ));
        store.purge(1);
        assert_eq!(store.read_log(start, 1), HistoryLookup::Gap);
        assert_eq!(
            store.read_log(one, 1),
            HistoryLookup::Commits(commits[1..].to_vec())
        );
    }

    #[test]
    fn an_epoch_begins_where_the_store_was() {
        let mut store = MemoryStore::import(1, 10);
        store.open(0);
        let before = write(&mut store, 1, b"one", true);
        store.begin_epoch(5);
        assert_eq!(store.position().epoch, 2);
        assert_eq!(store.lineage(before), Lineage::Shared);
        let behind = LogPosition {
            seq: before.seq + 1,
            ..before
        };
        assert_eq!(store.lineage(behind), Lineage::Diverged(before));
    }
}
