//! Tests that rest on chance: numbers that a seed determines, the seed from the environment, and the message
//! with which such a test reports it.

use std::env;

/// `SplitMix64`: numbers that look random and follow from a seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len().max(1)))
    }
}

/// The number that a variable holds; `None` where it is not set.
pub(crate) fn number_from_environment(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {value}")),
    )
}

/// The seed that a variable holds, or a new one; it is shown, so that the run can be repeated.
pub(crate) fn seed(name: &str) -> u64 {
    let seed = number_from_environment(name);
    let seed = seed.unwrap_or_else(|| getrandom::u64().unwrap());
    say(&format!("{name}={seed}"));
    seed
}

#[expect(
    clippy::print_stderr,
    reason = "what a test found out, for who runs it"
)]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
