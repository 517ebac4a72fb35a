//! The stores that a store replaced, and where they were then.
//!
//! They let a replica of one of those know that nothing it has was lost by accident. Must not know
//! replication. Invariants: the newest comes first; there are at most [`PREDECESSORS_MAX`]; a store that
//! cannot be read is never recorded as a predecessor.

use std::path::Path;

use crate::decoding::damaged;
use crate::error::Error;
use crate::key::{Family, state};
use crate::log::position::LogPosition;
use crate::rocks::{Rocks, StatePeek};
use crate::store::Store;
use crate::value::{Identity, Predecessor, Predecessors, decode, encode};

/// The number of stores remembered. A replica that was away for more imports waits for an operator.
const PREDECESSORS_MAX: usize = 8;

/// Returns what a store that replaces the one in `dir` is to record of it and of those before it.
pub(crate) fn before(dir: Option<&Path>) -> Predecessors {
    // A store that cannot be read is replaced all the same; its replicas then wait for an operator.
    let all = dir.map(of_dir).transpose().ok().flatten();
    all.unwrap_or_default()
}

/// Returns the id and the position of the store in a directory, whatever format it has.
pub(crate) fn place_of(dir: &Path) -> Result<(u128, LogPosition), Error> {
    place_in(&StatePeek::open(dir)?)
}

fn place_in(store: &StatePeek) -> Result<(u128, LogPosition), Error> {
    let identity = store.state(state::IDENTITY)?.unwrap_or_default();
    let Identity { store_id, .. } =
        decode(&identity).map_err(|why| damaged(Family::State, "identity", &why))?;
    let head = store.state(state::HEAD)?;
    let head = head.and_then(|head| LogPosition::from_value(&head));
    Ok((
        store_id,
        head.unwrap_or(LogPosition::genesis(store.latest())),
    ))
}

fn of_dir(dir: &Path) -> Result<Predecessors, Error> {
    let store = StatePeek::open(dir)?;
    let (store_id, LogPosition { epoch, seq, .. }) = place_in(&store)?;
    let mut all = vec![Predecessor {
        store_id,
        epoch,
        seq,
    }];
    if let Some(row) = store.state(state::PREDECESSORS)? {
        all.extend(read(&row)?.0);
    }
    all.truncate(PREDECESSORS_MAX);
    Ok(Predecessors(all))
}

/// Writes them into a new store, durably.
pub(crate) fn write(rocks: &Rocks, all: &Predecessors) -> Result<(), Error> {
    if all.0.is_empty() {
        return Ok(());
    }
    let mut row = Vec::new();
    encode(all, &mut row).map_err(|why| damaged(Family::State, "predecessors", &why))?;
    let mut batch = rocks.batch();
    batch.put(Family::State, state::PREDECESSORS, &row)?;
    batch.commit(true)
}

fn read(row: &[u8]) -> Result<Predecessors, Error> {
    decode(row).map_err(|why| damaged(Family::State, "predecessors", &why))
}

impl Store {
    /// Returns the stores that this one replaced, newest first.
    pub fn predecessors(&self) -> Result<Vec<Predecessor>, Error> {
        let view = self.rocks().view();
        let row = view.get(Family::State, state::PREDECESSORS)?;
        Ok(row.map(|row| read(&row)).transpose()?.unwrap_or_default().0)
    }
}
