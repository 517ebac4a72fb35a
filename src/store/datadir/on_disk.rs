//! A store on the disk that no process works on, looked at without opening it.
//!
//! Must not keep another process from beginning. Invariants: nothing is written; what is returned is of a
//! store that no process worked on meanwhile.

use std::path::Path;

use super::last_backup::{self, BackedUp};
use super::predecessors::place_of;
use super::unlocked;
use crate::error::Error;
use crate::fence::Fence;
use crate::log::recovery::lost;

/// A store as it lies on the disk.
#[derive(Debug)]
pub struct StoreOnDisk {
    /// Its id.
    pub store_id: u128,
    /// The primary that it is a replica of; `None` for a primary's.
    pub follows: Option<String>,
    /// The reason for which it takes no writes, if so.
    pub fence: Option<Fence>,
}

/// Looks at the store in a data directory; `None` where there is none, or a process works on it. A store
/// that lacks acknowledged writes is [`Error::Lost`].
pub fn look(data_dir: &Path) -> Result<Option<StoreOnDisk>, Error> {
    let found = look_now(data_dir);
    // While a process works on it, any half of a change may be seen.
    if unlocked::is_locked(data_dir)? {
        return Ok(None);
    }
    found
}

fn look_now(data_dir: &Path) -> Result<Option<StoreOnDisk>, Error> {
    let Some(dir) = unlocked::current(data_dir)? else {
        return Ok(None);
    };
    let follows = unlocked::follows(&dir)?;
    if let Some(loss) = lost(&dir, data_dir, follows.clone())? {
        return Err(Error::Lost(Box::new(loss)));
    }
    Ok(Some(StoreOnDisk {
        store_id: place_of(&dir)?.0,
        follows,
        fence: unlocked::fenced(&dir)?.map(|why| Fence::from_text(&why)),
    }))
}

/// The id of the store in a data directory, which a process may work on; `None` where there is none.
pub fn id_in(data_dir: &Path) -> Result<Option<u128>, Error> {
    let store = unlocked::current(data_dir)?;
    store
        .map(|dir| place_of(&dir).map(|(id, _)| id))
        .transpose()
}

/// Returns the last complete backup of a store that its data directory records.
#[must_use]
pub fn last_backup(data_dir: &Path, store_id: u128) -> Option<BackedUp> {
    last_backup::read(data_dir, store_id)
}
