//! A node's disk: what is left when its process is gone.

use super::super::intake::Target;
use crate::store::memory::MemoryStore;
use crate::store::{Error, Fence, Position};

/// A store with what is noted beside it.
pub(super) struct Disk {
    pub(super) store: MemoryStore,
    /// True if the disk says that it follows a primary.
    pub(super) follows: bool,
    /// True if it made commits of its own since it last followed.
    pub(super) wrote: bool,
    /// True if writing to it fails.
    pub(super) fails: bool,
    /// Why its primary takes no writes.
    pub(super) fence: Option<Fence>,
}

impl Disk {
    pub(super) fn new(store: MemoryStore, follows: bool) -> Self {
        Self {
            store,
            follows,
            wrote: false,
            fails: false,
            fence: None,
        }
    }

    fn work(&self) -> Result<(), Error> {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        if self.fails {
            return Err(Error::io("write to a full disk")(full));
        }
        Ok(())
    }
}

impl Target for Disk {
    fn store_id(&self) -> u128 {
        self.store.id()
    }

    fn position(&self) -> Position {
        self.store.position()
    }

    fn begin(&mut self, _primary: Position) -> Result<(), Error> {
        self.follows = true;
        self.wrote = false;
        self.fence = None;
        Ok(())
    }

    fn apply(&mut self, batch: &[u8]) -> Result<Position, Error> {
        self.work()?;
        self.store.apply(batch)
    }

    fn sync(&mut self) -> Result<Position, Error> {
        self.work()?;
        Ok(self.store.sync())
    }
}
