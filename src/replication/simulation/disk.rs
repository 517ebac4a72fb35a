//! A node's disk: its contents survive the process.

use crate::replica::stream_reader::ApplyTarget;
use crate::store::memory::MemoryStore;
use crate::store::{Error, Fence, LogPosition};

/// A store with the notes beside it.
pub(super) struct Disk {
    pub(super) store: MemoryStore,
    /// True if the disk says that it follows a primary.
    pub(super) follows: bool,
    /// True if it made commits of its own since it last followed.
    pub(super) wrote: bool,
    /// True if writing to it fails.
    pub(super) fails: bool,
    /// The reason for which its primary takes no writes.
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

impl ApplyTarget for Disk {
    fn store_id(&self) -> u128 {
        self.store.id()
    }

    fn position(&self) -> LogPosition {
        self.store.position()
    }

    fn begin(&mut self, _primary: LogPosition) -> Result<(), Error> {
        self.follows = true;
        self.wrote = false;
        self.fence = None;
        Ok(())
    }

    fn apply(&mut self, batch: &[u8]) -> Result<LogPosition, Error> {
        self.work()?;
        self.store.apply(batch)
    }

    fn sync(&mut self) -> Result<LogPosition, Error> {
        self.work()?;
        Ok(self.store.sync())
    }
}
