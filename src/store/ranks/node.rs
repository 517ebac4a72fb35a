//! The nodes of the tree of ranks: their keys, their values, and how a large one is divided.
//!
//! Must not know how the tree changes. Invariant: bytes that are no node are an error, and never a panic.

use std::fmt;

use crate::decoding::damaged;
use crate::error::Error;
use crate::key::Family;

/// Entries of a node at most.
pub(crate) const NODE_MAX: usize = 128;
/// Entries of a node where a large one is divided.
const NODE_DIVIDED: usize = 96;

/// The key of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RankKey {
    /// A node below the topmost, by its level, which is 0 for a leaf, and where it begins.
    Node(u8, u64),
    /// The topmost node.
    Root,
}

impl RankKey {
    /// Returns its bytes.
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Node(level, from) => {
                let mut key = vec![1, level];
                key.extend_from_slice(&from.to_be_bytes());
                key
            }
            Self::Root => vec![2],
        }
    }
}

/// Names the row in an error.
impl fmt::Display for RankKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(level, from) => write!(f, "node {from} of level {level}"),
            Self::Root => f.write_str("topmost node"),
        }
    }
}

/// A node of the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RankNode {
    /// 0 for a leaf, whose entries are buckets.
    pub(crate) level: u8,
    /// Its buckets or children, in order.
    pub(crate) entries: Vec<RankEntry>,
}

/// A bucket, or a child of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RankEntry {
    /// No product in it has a lower id.
    pub(crate) from: u64,
    /// The number of products in it.
    pub(crate) count: u64,
}

/// The kind and the version of the value of a node; `value.rs` has the other kinds.
const NODE_HEADER: [u8; 2] = [20, 1];
pub(super) const ENTRY_BYTES: usize = 16;

impl RankNode {
    /// Returns the value that is stored: the level, and two numbers of eight bytes for each entry.
    pub(crate) fn to_value(&self) -> Vec<u8> {
        let mut value = NODE_HEADER.to_vec();
        value.push(self.level);
        for entry in &self.entries {
            value.extend_from_slice(&entry.from.to_be_bytes());
            value.extend_from_slice(&entry.count.to_be_bytes());
        }
        value
    }

    /// Returns the node of a value under a key.
    pub(crate) fn of_value(key: RankKey, value: &[u8]) -> Result<Self, Error> {
        let node = value.strip_prefix(&NODE_HEADER).and_then(|value| {
            let (level, entries) = value.split_first()?;
            let entries = entries.chunks(ENTRY_BYTES).map(RankEntry::of_bytes);
            Some(Self {
                level: *level,
                entries: entries.collect::<Option<_>>()?,
            })
        });
        let node = node.ok_or_else(|| damaged(Family::Ranks, key, "it is no node"))?;
        match key {
            RankKey::Node(level, _) if level != node.level => {
                Err(damaged(Family::Ranks, key, "it is of another level"))
            }
            _ => Ok(node),
        }
    }
}

impl RankEntry {
    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (from, count) = bytes.split_first_chunk()?;
        Some(Self {
            from: u64::from_be_bytes(*from),
            count: u64::from_be_bytes(count.try_into().ok()?),
        })
    }
}

impl RankNode {
    /// Its entries, divided where they are too many.
    pub(super) fn pieces(self) -> Vec<Vec<RankEntry>> {
        let entries = self.entries;
        if entries.len() <= NODE_MAX {
            return vec![entries];
        }
        let pieces = entries.len().div_ceil(NODE_DIVIDED);
        let pieces = entries.chunks(entries.len().div_ceil(pieces));
        pieces.map(<[RankEntry]>::to_vec).collect()
    }
}

/// Returns the number of products in some entries.
pub(super) fn total(entries: &[RankEntry]) -> u64 {
    entries
        .iter()
        .fold(0, |total, entry| entry.count.saturating_add(total))
}
