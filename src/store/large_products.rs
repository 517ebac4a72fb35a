//! Products that were found to have many reviews, so that a read of them does not look again.
//!
//! Must not know how they are read. Invariant: it is a hint: a product that is forgotten is found to be large
//! again, and one that has become small is read right either way, since order rows are there for both.

use std::sync::atomic::{AtomicU64, Ordering};

/// Products that are remembered at most: 32 KiB of them.
const PRODUCTS: usize = 1 << 12;

/// The products, each in the place that its id says.
pub(super) struct LargeProducts(Box<[AtomicU64]>);

impl Default for LargeProducts {
    fn default() -> Self {
        // No product has the id 0.
        Self((0..PRODUCTS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl LargeProducts {
    /// True if the product was large when it was read last.
    pub(super) fn has(&self, id: u64) -> bool {
        self.place(id)
            .is_some_and(|place| place.load(Ordering::Relaxed) == id)
    }

    /// Remembers a product in place of another.
    pub(super) fn add(&self, id: u64) {
        if let Some(place) = self.place(id) {
            place.store(id, Ordering::Relaxed);
        }
    }

    fn place(&self, id: u64) -> Option<&AtomicU64> {
        let index = usize::try_from(id % PRODUCTS as u64).ok()?;
        self.0.get(index).filter(|_| id > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_those_that_share_a_place_is_remembered() {
        let large = LargeProducts::default();
        let second = 7 + PRODUCTS as u64;
        assert!(!large.has(0) && !large.has(7));
        large.add(7);
        assert!(large.has(7) && !large.has(second));
        large.add(second);
        assert!(large.has(second) && !large.has(7));
        large.add(0);
        assert!(!large.has(0));
    }
}
