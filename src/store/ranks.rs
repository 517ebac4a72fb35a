//! The ranks of products: which product a page of the catalogue begins at, in a few reads, however the
//! catalogue was changed.
//!
//! A store as it was imported has a row for each 64th product. The first change of the catalogue replaces
//! those by a tree, in the same commit. Its leaves list buckets, which are runs of products: the id that a
//! bucket begins at, and how many products it has. Each node above lists its children in the same way.
//!
//! ```text
//! rank, 8 bytes     the product of that rank; each 64th, in a store whose catalogue never changed
//! 1, level, from    a node: its entries, each with where it begins and how many products it has
//! 2                 the topmost node; there is none in a store whose catalogue never changed
//! ```
//!
//! Must not know what products hold. Invariants: a bucket has at most [`BUCKET_MAX`] products and a node at
//! most [`NODE_MAX`] entries; none is empty but the topmost of an empty catalogue; a product belongs to the
//! last entry that begins at or before its id, and to the first where none does; a change that fails leaves
//! everything as it was.

mod node;

use std::collections::BTreeMap;

use super::decoding::{damaged, number};
use super::error::Error;
use super::key::{Family, IdKey, RANK_STRIDE};
use super::rocks::{RocksView, WriteBatch};
use node::total;
pub(super) use node::{NODE_MAX, RankEntry, RankKey, RankNode};

/// Products in a bucket at most: a page passes over fewer.
pub(super) const BUCKET_MAX: u64 = 96;
/// Products in a bucket where a large one is divided.
const BUCKET_DIVIDED: u64 = 64;
/// Neighbouring buckets with no more products become one.
const BUCKET_UNITED: u64 = 32;

/// The place of a rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RankPlace {
    /// The catalogue never changed: its rows are those of the import.
    Imported,
    /// There are fewer products.
    Beyond,
    /// So many products behind the first whose id is not below this.
    At { from: u64, pass_over: u64 },
}

/// Returns the place of the product with so many before it. `get` reads a node.
pub(super) fn locate<E: From<Error>>(
    mut rank: u64,
    mut get: impl FnMut(RankKey) -> Result<Option<RankNode>, E>,
) -> Result<RankPlace, E> {
    let Some(mut node) = get(RankKey::Root)? else {
        return Ok(RankPlace::Imported);
    };
    loop {
        let mut found = None;
        for entry in &node.entries {
            if rank < entry.count {
                found = Some(*entry);
                break;
            }
            rank -= entry.count;
        }
        let Some(entry) = found else {
            return Ok(RankPlace::Beyond);
        };
        let Some(below) = node.level.checked_sub(1) else {
            return Ok(RankPlace::At {
                from: entry.from,
                pass_over: rank,
            });
        };
        let key = RankKey::Node(below, entry.from);
        node = get(key)?.ok_or_else(|| missing(key))?;
    }
}

fn missing(key: RankKey) -> Error {
    damaged(Family::Ranks, key, "it is missing")
}

/// The product that is added to the catalogue, or removed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RankChange {
    Added(u64),
    Removed(u64),
}

impl RankChange {
    fn id(self) -> u64 {
        match self {
            Self::Added(id) | Self::Removed(id) => id,
        }
    }
}

/// Returns the ids of so many products from an id on, as a change leaves them.
pub(super) type IdsFrom<'i> = &'i dyn Fn(u64, u64) -> Result<Vec<u64>, Error>;

/// The nodes that a group of changes leaves, until they are written.
#[derive(Debug, Default)]
pub(super) struct PendingRanks {
    /// The nodes that differ from the stored ones; `None` for one that is removed.
    nodes: BTreeMap<RankKey, Option<RankNode>>,
    /// The ranks whose rows of the import are replaced.
    replaced: Vec<u64>,
}

/// The nodes of one change, on top of those before it.
struct RankUpdate<'u, 'r> {
    view: &'u RocksView<'r>,
    before: &'u PendingRanks,
    nodes: BTreeMap<RankKey, Option<RankNode>>,
    change: RankChange,
    ids_from: IdsFrom<'u>,
}

impl PendingRanks {
    /// Changes the tree of the store in `view`, whose products `ids_from` returns.
    pub(super) fn change(
        &mut self,
        view: &RocksView<'_>,
        change: RankChange,
        ids_from: IdsFrom<'_>,
    ) -> Result<(), Error> {
        let mut update = RankUpdate {
            view,
            before: self,
            nodes: BTreeMap::new(),
            change,
            ids_from,
        };
        let (mut root, replaced) = match update.get(RankKey::Root)? {
            Some(root) => (root, Vec::new()),
            None => imported(view)?,
        };
        update.change(&mut root)?;
        let root = update.grown(root);
        let root = update.shrunk(root)?;
        let mut nodes = update.nodes;
        nodes.insert(RankKey::Root, Some(root));
        self.nodes.append(&mut nodes);
        self.replaced.extend(replaced);
        Ok(())
    }

    /// Adds the rows to a batch.
    pub(super) fn write(&self, batch: &mut WriteBatch<'_>) -> Result<(), Error> {
        for rank in &self.replaced {
            batch.delete(Family::Ranks, IdKey::from(*rank))?;
        }
        for (key, node) in &self.nodes {
            let Some(node) = node else {
                batch.delete(Family::Ranks, key.bytes())?;
                continue;
            };
            batch.put(Family::Ranks, key.bytes(), &node.to_value())?;
        }
        Ok(())
    }
}

/// Returns the buckets of a store whose catalogue never changed, as one node, and the ranks of its rows.
fn imported(view: &RocksView<'_>) -> Result<(RankNode, Vec<u64>), Error> {
    let mut rows = view.sweep(Family::Ranks, [])?;
    let (mut entries, mut ranks) = (Vec::new(), Vec::new());
    while let Some((key, value)) = rows.next()? {
        ranks.push(number(Family::Ranks, key)?);
        entries.push(RankEntry {
            from: number(Family::Ranks, value)?,
            count: RANK_STRIDE,
        });
    }
    if let Some(last) = entries.last_mut() {
        let mut rows = view.scan(Family::Products, IdKey::from(last.from), None::<IdKey>)?;
        last.count = 0;
        while last.count <= RANK_STRIDE && rows.next()?.is_some() {
            last.count += 1;
        }
    }
    Ok((RankNode { level: 0, entries }, ranks))
}

impl RankUpdate<'_, '_> {
    fn get(&self, key: RankKey) -> Result<Option<RankNode>, Error> {
        let pending = self.nodes.get(&key).or_else(|| self.before.nodes.get(&key));
        if let Some(node) = pending {
            return Ok(node.clone());
        }
        let value = self.view.get(Family::Ranks, key.bytes())?;
        value
            .map(|value| RankNode::of_value(key, &value))
            .transpose()
    }

    /// Makes the change in a node and those below it.
    fn change(&mut self, node: &mut RankNode) -> Result<(), Error> {
        if node.entries.is_empty() && node.level == 0 {
            return self.begin(node);
        }
        let id = self.change.id();
        let behind = node.entries.partition_point(|entry| entry.from <= id);
        let at = behind.saturating_sub(1);
        match node.level.checked_sub(1) {
            None => self.change_bucket(node, at),
            Some(below) => self.change_child(node, at, below),
        }
    }

    /// Adds the first product.
    fn begin(&self, node: &mut RankNode) -> Result<(), Error> {
        let RankChange::Added(id) = self.change else {
            return Err(counts_less());
        };
        node.entries.push(RankEntry { from: id, count: 1 });
        Ok(())
    }

    fn change_bucket(&self, leaf: &mut RankNode, at: usize) -> Result<(), Error> {
        let entry = leaf.entries.get_mut(at).ok_or_else(counts_less)?;
        match self.change {
            RankChange::Added(id) => {
                entry.from = entry.from.min(id);
                entry.count = entry.count.saturating_add(1);
                if entry.count > BUCKET_MAX {
                    let divided = self.divided(*entry)?;
                    leaf.entries.splice(at..=at, divided);
                }
            }
            RankChange::Removed(_) => {
                entry.count = entry.count.checked_sub(1).ok_or_else(counts_less)?;
                if entry.count == 0 {
                    leaf.entries.remove(at);
                } else {
                    unite(&mut leaf.entries, at);
                }
            }
        }
        Ok(())
    }

    /// The buckets that a large one becomes.
    fn divided(&self, large: RankEntry) -> Result<Vec<RankEntry>, Error> {
        let ids = (self.ids_from)(large.from, large.count)?;
        if ids.len() as u64 != large.count {
            return Err(damaged(
                Family::Ranks,
                format!("the bucket that begins at product {}", large.from),
                "there are fewer products; `reviewsd verify --repair` counts again",
            ));
        }
        let buckets = ids.len().div_ceil(usize_of(BUCKET_DIVIDED));
        let divided = ids.chunks(ids.len().div_ceil(buckets));
        let divided = divided.enumerate().map(|(index, ids)| RankEntry {
            from: match (index, ids.first()) {
                (1.., Some(first)) => *first,
                _ => large.from,
            },
            count: ids.len() as u64,
        });
        Ok(divided.collect())
    }

    fn change_child(&mut self, node: &mut RankNode, at: usize, below: u8) -> Result<(), Error> {
        let entry = *node.entries.get(at).ok_or_else(counts_less)?;
        let key = RankKey::Node(below, entry.from);
        let mut child = self.get(key)?.ok_or_else(|| missing(key))?;
        self.change(&mut child)?;
        // Where it begins may have changed, and with it its key.
        self.nodes.insert(key, None);
        let children = self.keep(child, Some(entry.from));
        node.entries.splice(at..=at, children);
        Ok(())
    }

    /// Keeps a node, or the nodes that it is divided into, and returns the entries for them. A node that
    /// began at `from` goes on beginning there, unless it begins earlier.
    fn keep(&mut self, node: RankNode, from: Option<u64>) -> Vec<RankEntry> {
        let level = node.level;
        let mut kept = Vec::new();
        for (index, entries) in node.pieces().into_iter().enumerate() {
            let Some(first) = entries.first().map(|entry| entry.from) else {
                continue;
            };
            let from = match (index, from) {
                (0, Some(from)) => from.min(first),
                _ => first,
            };
            let count = total(&entries);
            let node = RankNode { level, entries };
            self.nodes.insert(RankKey::Node(level, from), Some(node));
            kept.push(RankEntry { from, count });
        }
        kept
    }

    /// A topmost node that is not too large, above those that a larger one was divided into.
    fn grown(&mut self, mut root: RankNode) -> RankNode {
        while root.entries.len() > NODE_MAX {
            let level = root.level + 1;
            let entries = self.keep(root, None);
            root = RankNode { level, entries };
        }
        root
    }

    /// The node below a topmost node that has no other.
    fn shrunk(&mut self, mut root: RankNode) -> Result<RankNode, Error> {
        loop {
            let below = match (root.level.checked_sub(1), root.entries.as_slice()) {
                (Some(below), [only]) => RankKey::Node(below, only.from),
                (Some(_), []) => return Ok(RankNode::default()),
                _ => return Ok(root),
            };
            root = self.get(below)?.ok_or_else(|| missing(below))?;
            self.nodes.insert(below, None);
        }
    }
}

/// Unites a bucket with one of its neighbours in the same leaf, where both are small.
fn unite(entries: &mut Vec<RankEntry>, at: usize) {
    for first in [at, at.saturating_sub(1)] {
        if let Some([one, next]) = entries.get(first..first + 2) {
            let count = one.count.saturating_add(next.count);
            if count <= BUCKET_UNITED {
                let from = one.from;
                entries.splice(first..first + 2, [RankEntry { from, count }]);
                return;
            }
        }
    }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn counts_less() -> Error {
    damaged(
        Family::Ranks,
        "a bucket",
        "it counts fewer than its products; `reviewsd verify --repair` counts again",
    )
}

/// The buckets of a tree in order, node by node, whatever is wrong with it.
pub(super) struct RankWalk {
    /// The nodes from the topmost to the leaf at hand, and the entries of each that are still to come.
    path: Vec<(u8, std::vec::IntoIter<RankEntry>)>,
    /// The number of nodes that were visited.
    pub(super) nodes: u64,
}

impl RankWalk {
    /// Begins at the topmost node.
    pub(super) fn of(root: RankNode) -> Self {
        Self {
            path: vec![(root.level, root.entries.into_iter())],
            nodes: 1,
        }
    }

    /// Returns the next bucket; `None` behind the last.
    pub(super) fn next(&mut self, view: &RocksView<'_>) -> Result<Option<RankEntry>, Error> {
        while let Some((level, entries)) = self.path.last_mut() {
            let level = *level;
            let Some(entry) = entries.next() else {
                self.path.pop();
                continue;
            };
            let Some(below) = level.checked_sub(1) else {
                return Ok(Some(entry));
            };
            let key = RankKey::Node(below, entry.from);
            let value = view.get(Family::Ranks, key.bytes())?;
            let node = RankNode::of_value(key, &value.ok_or_else(|| missing(key))?)?;
            let count = total(&node.entries);
            if count != entry.count {
                let why = format!(
                    "it has {count} products, and the node above it says {}",
                    entry.count
                );
                return Err(damaged(Family::Ranks, key, &why));
            }
            self.nodes += 1;
            self.path.push((node.level, node.entries.into_iter()));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
