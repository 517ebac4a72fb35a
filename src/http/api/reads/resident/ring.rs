//! A part of the resident answers: a ring of compressed answers, and a table of their places.
//!
//! Must not know what is compressed, or how. Invariants: the ring and the table are all that it takes, and the
//! neither grows; an answer is given only for the key and the generation that it was put under; an answer that
//! was asked for since it was put, or since it was last in the way, is passed over before one that was not is
//! evicted, up to [`PASSED_OVER_MAX`] of them in a row.

use std::ops::Range;

use super::places::{PLACES_MAX, PlaceSlot, Places};

/// Entries begin at multiples of this, so that their places are small numbers.
const UNIT_BYTES: usize = 8;
/// The key, then the generation, the length and whether it was used.
const HEADER_BYTES: usize = 16;
/// A key that says that the rest of the ring, up to its end, is unused.
const PADDING: u64 = u64::MAX;
const LENGTH_BITS: u32 = 16;
/// Bytes of an answer at most.
pub(super) const COMPRESSED_BYTES_MAX: usize = (1 << LENGTH_BITS) - 1;
/// Answers that are passed over for one new one at most.
const PASSED_OVER_MAX: usize = 32;
/// An answer is assumed to take so many bytes when the table is made.
const USUAL_ENTRY_BYTES: usize = 128;
/// Bytes of a ring at most, so that every place in it can be told.
pub(super) const RING_BYTES_MAX: usize = PLACES_MAX / 2 * UNIT_BYTES;

/// The name of an answer: a product and what of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResidentKey(pub(super) u64);

impl ResidentKey {
    /// A hash whose low bits and high bits both depend on all of the key.
    pub(super) fn hash(self) -> u64 {
        let mixed = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 32)
    }
}

/// What an entry has beside its key and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag {
    generation: u64,
    length: usize,
    is_used: bool,
}

impl Tag {
    /// Generations are compared by so many of their bits: a product is not committed to as often within the
    /// time that an answer stays.
    const GENERATION_BITS: u32 = u64::BITS - LENGTH_BITS - 1;

    fn from_word(word: u64) -> Self {
        Self {
            generation: word >> (LENGTH_BITS + 1),
            length: usize::try_from((word >> 1) & COMPRESSED_BYTES_MAX as u64).unwrap_or(0),
            is_used: word & 1 == 1,
        }
    }

    fn to_word(self) -> u64 {
        (self.generation << (LENGTH_BITS + 1)) | (self.length as u64) << 1 | u64::from(self.is_used)
    }

    /// Where its answer is, in an entry at a place.
    fn answer_at(self, place: usize) -> Range<usize> {
        place + HEADER_BYTES..place + HEADER_BYTES + self.length
    }

    fn entry_bytes(self) -> usize {
        (HEADER_BYTES + self.length).next_multiple_of(UNIT_BYTES)
    }
}

/// A part of the resident answers.
pub(super) struct AnswerRing {
    /// Its length is a multiple of the unit.
    ring: Box<[u8]>,
    /// The place of the oldest entry.
    tail: usize,
    /// Bytes from there to where the next entry goes, around the end of the ring.
    used: usize,
    /// Places, in units.
    places: Places,
}

impl AnswerRing {
    /// A ring that takes so many bytes with its table. Its own are taken only once they were used.
    pub(super) fn new(bytes: usize) -> Self {
        let places = Places::new(bytes / USUAL_ENTRY_BYTES);
        let ring = bytes.saturating_sub(places.bytes()).min(RING_BYTES_MAX);
        Self {
            ring: vec![0; ring - ring % UNIT_BYTES].into_boxed_slice(),
            tail: 0,
            used: 0,
            places,
        }
    }

    pub(super) fn answers(&self) -> usize {
        self.places.len()
    }

    /// Bytes that are in use, with those of the table.
    pub(super) fn bytes(&self) -> usize {
        self.used + self.places.bytes()
    }

    /// True if an answer of so many bytes can be put without evicting another.
    pub(super) fn has_space(&self, length: usize) -> bool {
        self.fits((HEADER_BYTES + length).next_multiple_of(UNIT_BYTES))
    }

    /// True if the answer is here and of this generation.
    pub(super) fn has(&self, key: ResidentKey, generation: u64) -> bool {
        let slot = self.find(key);
        slot.is_some_and(|slot| self.tag_at(self.place(slot)).generation == low(generation))
    }

    /// Hands over the compressed answer, if it is here and of this generation.
    pub(super) fn get<T>(
        &mut self,
        key: ResidentKey,
        generation: u64,
        with: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let slot = self.find(key)?;
        let place = self.place(slot);
        let tag = self.tag_at(place);
        if tag.generation != low(generation) {
            // An older answer is never asked for again.
            self.remove(slot);
            return None;
        }
        if !tag.is_used {
            let used = Tag {
                is_used: true,
                ..tag
            };
            self.set_word(place + 8, used.to_word());
        }
        self.ring.get(tag.answer_at(place)).map(with)
    }

    /// Puts an answer in place of the oldest ones, and returns how many those were. One that is larger than
    /// a quarter of the ring is not put.
    pub(super) fn put(&mut self, key: ResidentKey, generation: u64, answer: &[u8]) -> u64 {
        let tag = Tag {
            generation: low(generation),
            length: answer.len(),
            is_used: false,
        };
        let mut evicted = 0;
        if answer.len() > COMPRESSED_BYTES_MAX || tag.entry_bytes() > self.ring.len() / 4 {
            return evicted;
        }
        if let Some(slot) = self.find(key) {
            self.remove(slot);
        }
        let mut passed_over = 0;
        while !self.fits(tag.entry_bytes()) {
            evicted += u64::from(self.make_space(&mut passed_over));
        }
        self.append(key, tag, answer);
        evicted
    }

    /// Takes the oldest entry out, or puts it behind the newest. True if an answer is no longer there.
    fn make_space(&mut self, passed_over: &mut usize) -> bool {
        let place = self.tail;
        if self.key_at(place) == PADDING {
            self.release(self.ring.len() - place);
            return false;
        }
        let (key, tag) = (ResidentKey(self.key_at(place)), self.tag_at(place));
        let current = self.find(key).filter(|slot| self.place(*slot) == place);
        let Some(slot) = current else {
            self.release(tag.entry_bytes());
            return false;
        };
        // Before its bytes are written over: a place of the table is always that of an entry.
        self.remove(slot);
        let is_kept = tag.is_used && *passed_over < PASSED_OVER_MAX;
        let answer = self.ring.get(tag.answer_at(place)).filter(|_| is_kept);
        let answer = answer.map(<[u8]>::to_vec);
        self.release(tag.entry_bytes());
        match answer {
            Some(answer) if self.fits(tag.entry_bytes()) => {
                *passed_over += 1;
                let tag = Tag {
                    is_used: false,
                    ..tag
                };
                self.append(key, tag, &answer);
                false
            }
            _ => true,
        }
    }

    /// Writes an entry for which there is space, and notes its place.
    fn append(&mut self, key: ResidentKey, tag: Tag, answer: &[u8]) {
        let mut place = self.end();
        let left = self.ring.len() - place;
        if left < tag.entry_bytes() {
            self.set_word(place, PADDING);
            self.used += left;
            place = 0;
        }
        self.set_word(place, key.0);
        self.set_word(place + 8, tag.to_word());
        if let Some(space) = self.ring.get_mut(tag.answer_at(place)) {
            space.copy_from_slice(answer);
        }
        self.used += tag.entry_bytes();
        self.places.insert(key.hash(), place / UNIT_BYTES);
    }

    fn fits(&self, entry_bytes: usize) -> bool {
        let left = self.ring.len() - self.end();
        // What is left before the end of the ring is lost where it is too short.
        let lost = if left < entry_bytes { left } else { 0 };
        self.used + lost + entry_bytes <= self.ring.len() && !self.places.is_full()
    }

    /// The slot of a key.
    fn find(&self, key: ResidentKey) -> Option<PlaceSlot> {
        let is_same = |unit| self.key_at(unit * UNIT_BYTES) == key.0;
        self.places.find(key.hash(), is_same)
    }

    /// The place in a slot, in bytes.
    fn place(&self, slot: PlaceSlot) -> usize {
        self.places.place(slot) * UNIT_BYTES
    }

    fn remove(&mut self, slot: PlaceSlot) {
        let ring = &self.ring;
        let hash_at = |unit: usize| ResidentKey(word(ring, unit * UNIT_BYTES)).hash();
        self.places.remove(slot, hash_at);
    }

    /// The place behind the newest entry.
    fn end(&self) -> usize {
        let end = self.tail + self.used;
        if end >= self.ring.len() {
            end - self.ring.len()
        } else {
            end
        }
    }

    fn release(&mut self, bytes: usize) {
        self.tail += bytes;
        if self.tail >= self.ring.len() {
            self.tail = 0;
        }
        self.used -= bytes;
    }

    fn key_at(&self, place: usize) -> u64 {
        word(&self.ring, place)
    }

    fn tag_at(&self, place: usize) -> Tag {
        Tag::from_word(word(&self.ring, place + 8))
    }

    fn set_word(&mut self, place: usize, value: u64) {
        if let Some(bytes) = self.ring.get_mut(place..place + 8) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// The eight bytes at a place, as a number.
fn word(ring: &[u8], place: usize) -> u64 {
    let bytes = ring.get(place..).and_then(<[u8]>::first_chunk);
    bytes.map_or(PADDING, |bytes| u64::from_le_bytes(*bytes))
}

/// The bits of a generation that are compared.
fn low(generation: u64) -> u64 {
    generation & (u64::MAX >> (u64::BITS - Tag::GENERATION_BITS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn given(ring: &mut AnswerRing, key: u64, generation: u64) -> Option<Vec<u8>> {
        ring.get(ResidentKey(key), generation, <[u8]>::to_vec)
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(u64, u64, usize),
        Get(u64, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..40_u64, 0..3_u64, 0..120_usize).prop_map(|(k, g, n)| Step::Put(k, g, n)),
            (0..40_u64, 0..3_u64).prop_map(|(k, g)| Step::Get(k, g)),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn an_answer_is_the_last_one_put_or_none(steps in steps()) {
            let mut ring = AnswerRing::new(1000);
            let mut last = BTreeMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Put(key, generation, length) => {
                        let answer = vec![u8::try_from(number % 251).unwrap(); length];
                        ring.put(ResidentKey(key), generation, &answer);
                        last.insert(key, (generation, answer));
                        prop_assert!(ring.has(ResidentKey(key), generation));
                    }
                    Step::Get(key, generation) => {
                        if let Some(answer) = given(&mut ring, key, generation) {
                            prop_assert_eq!(last.get(&key), Some(&(generation, answer)));
                        }
                    }
                }
                prop_assert!(ring.used <= 1000);
                prop_assert!(ring.answers() <= last.len());
            }
        }
    }

    #[test]
    fn an_older_generation_is_not_given_and_goes() {
        let mut ring = AnswerRing::new(1000);
        ring.put(ResidentKey(7), 1, b"old");
        assert_eq!(given(&mut ring, 7, 2), None);
        assert_eq!(given(&mut ring, 7, 1), None);
        assert_eq!(ring.answers(), 0);
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let mut ring = AnswerRing::new(64 << 10);
        for key in 0..10 {
            ring.put(ResidentKey(key), 0, b"often");
        }
        for key in 10..100_000 {
            for often in 0..10 {
                assert!(given(&mut ring, often, 0).is_some(), "{often} at {key}");
            }
            ring.put(ResidentKey(key), 0, &[7; 50]);
        }
        assert!(given(&mut ring, 10, 0).is_none());
        assert!(ring.answers() > 400);
    }

    #[test]
    fn an_answer_that_is_too_large_is_not_put() {
        let mut ring = AnswerRing::new(1 << 20);
        ring.put(ResidentKey(1), 0, &vec![1; COMPRESSED_BYTES_MAX + 1]);
        assert_eq!(ring.answers(), 0);
        let mut small = AnswerRing::new(1000);
        small.put(ResidentKey(1), 0, &[1; 500]);
        assert_eq!(small.answers(), 0);
    }

    #[test]
    fn a_ring_without_space_holds_nothing() {
        let mut ring = AnswerRing::new(7);
        ring.put(ResidentKey(1), 0, b"");
        assert_eq!(given(&mut ring, 1, 0), None);
        assert!(!ring.has_space(0));
    }
}
