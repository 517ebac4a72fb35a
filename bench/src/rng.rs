//! The randomness of data and load: `SplitMix64`, one stream per thing and purpose.
//!
//! Owns nothing but arithmetic and must not know what is drawn with it. A
//! stream depends on (seed, number, purpose) alone, never on what was drawn
//! for another number, so products may be rendered, and requests sent, in any
//! order by any number of threads.

/// The purpose of a stream. Streams of different purposes are independent, so a
/// draw added to one does not move the others.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Shape = 1,
    ReviewPhotos = 2,
    Subject = 3,
    Catalogue = 4,
    Reviews = 5,
    Request = 6,
    Learn = 7,
    Compare = 8,
}

/// `SplitMix64` (Steele, Lea, Flood 2014): a counter and a mixing function.
#[derive(Clone)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The stream for the product, or the request, of this number.
    pub(crate) fn new(seed: u64, number: u64, purpose: Purpose) -> Self {
        let mut rng = Self { state: seed };
        rng.state = rng.next() ^ number;
        rng.state = rng.next() ^ purpose as u64;
        rng.state = rng.next();
        rng
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(Self::STEP);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0.0..1.0`, each multiple of 2^-53 as likely.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what a double has room for"
    )]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `0..bound`; 0 if the bound is 0. Bounds stay below 2^32.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound <= 1 << 32, "a bound of {bound} would overflow");
        ((self.next() >> 32) * bound) >> 32
    }

    /// True `times` out of `of`.
    pub(crate) fn chance(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    /// An index into something of this length.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        // A product of two numbers below 2^32, shifted: it fits any usize the length fits.
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// An index, each as likely as its weight.
    pub(crate) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// Small numbers mostly, large ones rarely: half are 0, every doubling half as likely.
    pub(crate) fn skewed(&mut self, doublings_max: u32) -> u64 {
        let doublings = self.next().trailing_zeros().min(doublings_max);
        self.below(1 << doublings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_are_those_of_the_reference_implementation() {
        let mut rng = Rng { state: 1_234_567 };
        assert_eq!(rng.next(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn streams_of_different_purposes_differ() {
        let shape = Rng::new(1, 1, Purpose::Shape).next();
        let reviews = Rng::new(1, 1, Purpose::Reviews).next();
        assert_ne!(shape, reviews);
    }

    #[test]
    fn weights_of_zero_are_never_drawn() {
        let mut rng = Rng::new(1, 1, Purpose::Shape);
        assert!((0..1000).all(|_| rng.weighted(&[0, 3, 0, 1]) % 2 == 1));
    }
}
