//! Which commit of a product's reviews an answer is from, as far as it matters to who keeps it.
//!
//! Must not know what is kept. Invariant: whoever reads a generation and then the store sees at
//! least what was committed when the generation began. Products share generations, many to one,
//! which costs an answer now and then and never makes one stale.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::ProductId;

/// The number of generations: half a MiB of them. Ids that follow each other share none.
const GENERATIONS: usize = 1 << 16;

/// The generation of every product.
pub struct Generations(Box<[AtomicU64]>);

impl Default for Generations {
    fn default() -> Self {
        Self((0..GENERATIONS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Generations {
    /// Begins the next generation of a product. To be called when a change of its reviews can be
    /// read, and before whoever made it is told.
    pub fn begin(&self, product: ProductId) {
        // What was written to the store is seen by whoever sees that this was.
        self.of(product).fetch_add(1, Ordering::Release);
    }

    /// The generation of a product. To be read before the store is.
    pub(crate) fn current(&self, product: ProductId) -> u64 {
        self.of(product).load(Ordering::Acquire)
    }

    fn of(&self, product: ProductId) -> &AtomicU64 {
        let index = usize::try_from(product.0 % GENERATIONS as u64).unwrap_or(0);
        #[expect(
            clippy::indexing_slicing,
            reason = "the index is a remainder of the length"
        )]
        &self.0[index]
    }
}
