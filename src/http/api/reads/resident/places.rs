//! A table of the places of entries, by a hash of their keys: four bytes for each, and never more of them.
//!
//! A hash table that grows, or that marks what was removed, has its own mind about memory. Must not know what is
//! at a place: keys are compared, and hashed again, by its owner. Invariants: it takes the same memory for as long
//! as it lives; an entry stands between its home and the first empty slot behind that.

/// Bits of a slot that are the place; zero is an empty slot. The other bits are of the hash, so that the places of
/// other keys are mostly not looked at.
const PLACE_BITS: u32 = 22;
/// Places that can be told apart.
pub(super) const PLACES_MAX: usize = PLACE_MASK as usize;
const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;

/// The table.
pub(super) struct Places {
    /// A power of two of them.
    slots: Box<[u32]>,
    len: usize,
}

/// A slot that holds a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlaceSlot(usize);

impl Places {
    /// A table with at least so many slots.
    pub(super) fn new(slots_min: usize) -> Self {
        Self {
            slots: vec![0; slots_min.max(8).next_power_of_two()].into_boxed_slice(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// True if nothing can be added. Some slots stay empty, so that searches are short.
    pub(super) fn is_full(&self) -> bool {
        self.len >= self.slots.len() / 8 * 7
    }

    /// The slot of a key with this hash whose place `is_same` recognises.
    pub(super) fn find(&self, hash: u64, is_same: impl Fn(usize) -> bool) -> Option<PlaceSlot> {
        let mut slot = self.home(hash);
        loop {
            let word = self.word(slot);
            if word == 0 {
                return None;
            }
            if tag(word) == tag_of(hash) && is_same(place(word)) {
                return Some(PlaceSlot(slot));
            }
            slot = self.next(slot);
        }
    }

    /// The place in a slot.
    pub(super) fn place(&self, slot: PlaceSlot) -> usize {
        place(self.word(slot.0))
    }

    /// Adds the place of a key that is not here. The table must not be full.
    pub(super) fn insert(&mut self, hash: u64, place: usize) {
        debug_assert!(!self.is_full());
        let mut slot = self.home(hash);
        while self.word(slot) != 0 {
            slot = self.next(slot);
        }
        self.set(slot, word(hash, place));
        self.len += 1;
    }

    /// Empties a slot, and moves the entries behind it up. `hash_at` is the hash of the key at a place.
    pub(super) fn remove(&mut self, slot: PlaceSlot, hash_at: impl Fn(usize) -> u64) {
        let mut empty = slot.0;
        let mut slot = self.next(empty);
        while self.word(slot) != 0 {
            let home = self.home(hash_at(place(self.word(slot))));
            // An entry may move to the empty slot if its home is not behind that.
            if self.distance(home, slot) >= self.distance(empty, slot) {
                self.set(empty, self.word(slot));
                empty = slot;
            }
            slot = self.next(slot);
        }
        self.set(empty, 0);
        self.len -= 1;
    }

    fn home(&self, hash: u64) -> usize {
        // The low bits alone count.
        usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0) & (self.slots.len() - 1)
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// Slots from one to another, around the end.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.slots.len() - 1)
    }

    fn word(&self, slot: usize) -> u32 {
        self.slots.get(slot).copied().unwrap_or(0)
    }

    fn set(&mut self, slot: usize, word: u32) {
        if let Some(old) = self.slots.get_mut(slot) {
            *old = word;
        }
    }
}

fn word(hash: u64, place: usize) -> u32 {
    tag_of(hash) | u32::try_from(place + 1).unwrap_or(0) & PLACE_MASK
}

fn place(word: u32) -> usize {
    ((word & PLACE_MASK) as usize).wrapping_sub(1)
}

fn tag(word: u32) -> u32 {
    word & !PLACE_MASK
}

/// The highest bits of a hash, where a slot has them.
fn tag_of(hash: u64) -> u32 {
    tag((hash >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Hashes that collide in home and tag as often as they can.
    fn hash(key: usize) -> u64 {
        (key as u64 % 3) << 62 | (key as u64 % 5)
    }

    proptest! {
        #[test]
        fn a_table_holds_what_a_set_does(steps in prop::collection::vec((any::<bool>(), 0..40_usize), 0..300)) {
            let mut table = Places::new(16);
            let mut set = BTreeSet::new();
            for (is_insert, key) in steps {
                let found = table.find(hash(key), |place| place == key);
                prop_assert_eq!(found.is_some(), set.contains(&key));
                match found {
                    Some(slot) if !is_insert => {
                        table.remove(slot, hash);
                        set.remove(&key);
                    }
                    None if is_insert && !table.is_full() => {
                        table.insert(hash(key), key);
                        set.insert(key);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len(), set.len());
                for key in &set {
                    let slot = table.find(hash(*key), |place| place == *key).unwrap();
                    prop_assert_eq!(table.place(slot), *key);
                }
            }
        }
    }

    #[test]
    fn the_last_place_is_told_from_an_empty_slot() {
        let mut table = Places::new(1);
        let last = PLACES_MAX - 1;
        table.insert(u64::MAX, last);
        let slot = table.find(u64::MAX, |place| place == last).unwrap();
        assert_eq!(table.place(slot), last);
    }
}
