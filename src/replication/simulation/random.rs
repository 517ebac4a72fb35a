//! Numbers that a seed determines.

use std::time::Duration;

/// `SplitMix64`.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(super) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }

    /// From `first` to `last`.
    pub(super) fn size(&mut self, first: usize, last: usize) -> usize {
        first + self.index(last - first + 1)
    }

    /// Once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn time(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        let more_us = self.below((to_ms - from_ms) * 1000);
        Duration::from_millis(from_ms) + Duration::from_micros(more_us)
    }

    pub(super) fn short(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap()
    }
}
