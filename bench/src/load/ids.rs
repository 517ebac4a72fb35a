//! Which id a request is about: draws from the workload's distribution, in constant memory and time.
//!
//! Owns the distributions and must not know what is asked of an id.

use crate::load::workload::Ids;
use crate::rng::Rng;

/// A distribution of ids.
pub(crate) struct Draw {
    first: u64,
    size: u64,
    zipf: Option<(Zipf, Scatter)>,
    set: Vec<u64>,
}

impl Draw {
    pub(crate) fn new(ids: &Ids) -> Self {
        let size = ids.last.map_or(1, |last| last - ids.first + 1);
        let zipf = ids.zipf.filter(|_| ids.set.is_empty());
        Self {
            first: ids.first,
            size,
            zipf: zipf.map(|exponent| (Zipf::new(size, exponent), Scatter::new(size))),
            set: ids.set.clone(),
        }
    }

    pub(crate) fn id(&self, rng: &mut Rng) -> u64 {
        match &self.zipf {
            Some((zipf, scatter)) => self.first + scatter.place(zipf.rank(rng) - 1),
            None if self.set.is_empty() => self.first + rng.below(self.size),
            None => self
                .set
                .get(rng.index(self.set.len()))
                .copied()
                .unwrap_or(1),
        }
    }
}

/// Ranks from 1 to a size, each as likely as 1/rank^exponent.
///
/// Rejection-inversion (Hörmann and Derflinger 1996): the histogram is drawn from the area under a
/// curve that is inverted in closed form, and the few draws that fall beside it are drawn again.
struct Zipf {
    size: u64,
    exponent: f64,
    area_from: f64,
    area_to: f64,
    /// A draw so close to its rank needs no further look.
    safe: f64,
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks stay below 2^32, and what is rounded is kept within 1 and the size"
)]
impl Zipf {
    fn new(size: u64, exponent: f64) -> Self {
        let mut zipf = Self {
            size,
            exponent,
            area_from: 0.0,
            area_to: 0.0,
            safe: 0.0,
        };
        zipf.area_from = zipf.area(1.5) - 1.0;
        zipf.area_to = zipf.area(size as f64 + 0.5);
        zipf.safe = 2.0 - zipf.inverse(zipf.area(2.5) - zipf.height(2.0));
        zipf
    }

    fn rank(&self, rng: &mut Rng) -> u64 {
        loop {
            let area = self.area_to + rng.unit() * (self.area_from - self.area_to);
            let x = self.inverse(area);
            let rank = (x + 0.5).clamp(1.0, self.size as f64).floor();
            if rank - x <= self.safe || area >= self.area(rank + 0.5) - self.height(rank) {
                return rank as u64;
            }
        }
    }

    fn height(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the height, which is a logarithm where the exponent is 1.
    fn area(&self, x: f64) -> f64 {
        let log = x.ln();
        let t = (1.0 - self.exponent) * log;
        // (e^t - 1) / t, which is 1 at 0.
        let slope = if t.abs() > 1e-8 {
            t.exp_m1() / t
        } else {
            1.0 + t / 2.0
        };
        slope * log
    }

    fn inverse(&self, area: f64) -> f64 {
        let t = ((1.0 - self.exponent) * area).max(-1.0);
        // ln(1 + t) / t, which is 1 at 0.
        let slope = if t.abs() > 1e-8 {
            t.ln_1p() / t
        } else {
            1.0 - t / 2.0
        };
        (slope * area).exp()
    }
}

/// Puts each rank at an own place, neighbours far apart: who is popular has nothing to do with who
/// stands beside whom in the store.
struct Scatter {
    size: u64,
    /// Has no factor in common with the size, so that every place is taken once.
    stride: u64,
}

impl Scatter {
    fn new(size: u64) -> Self {
        // About the golden section, whose multiples are spread most evenly.
        let near = size - (size * 618 / 1000).min(size - 1);
        let strides = near..=near + size;
        let stride = strides
            .into_iter()
            .find(|stride| greatest_divisor(*stride, size) == 1);
        Self {
            size,
            stride: stride.unwrap_or(1),
        }
    }

    fn place(&self, index: u64) -> u64 {
        // Both are below 2^32: a stride is found close to where the search for it begins.
        index * self.stride % self.size
    }
}

fn greatest_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;
    use std::collections::BTreeMap;

    fn drawn(ids: &Ids, times: u64) -> BTreeMap<u64, u64> {
        let draw = Draw::new(ids);
        let mut drawn = BTreeMap::new();
        for number in 0..times {
            let mut rng = Rng::new(7, number, Purpose::Request);
            *drawn.entry(draw.id(&mut rng)).or_default() += 1;
        }
        drawn
    }

    #[test]
    fn ranges_and_sets_are_drawn_evenly() {
        let ids = Ids {
            first: 11,
            last: Some(20),
            ..Ids::default()
        };
        let set = Ids {
            set: vec![5, 500, 50_000],
            ..Ids::default()
        };
        for (ids, expected) in [(ids, (11..=20).collect()), (set, vec![5, 500, 50_000])] {
            let drawn = drawn(&ids, 10_000 * expected.len() as u64);
            assert!(drawn.keys().eq(&expected));
            assert!(drawn.values().all(|times| (9_500..=10_500).contains(times)));
        }
    }

    #[test]
    fn ranks_are_as_likely_as_zipf_says() {
        for exponent in [0.0, 0.5, 1.0, 2.5] {
            let zipf = Zipf::new(1000, exponent);
            let draws = 400_000_u32;
            let mut counts = vec![0_u32; 1001];
            for number in 0..draws {
                let mut rng = Rng::new(3, u64::from(number), Purpose::Request);
                counts[usize::try_from(zipf.rank(&mut rng)).unwrap()] += 1;
            }
            let weight = |rank: u32| f64::from(rank).powf(-exponent);
            let sum: f64 = (1..=1000).map(weight).sum();
            for rank in 1..=20_u32 {
                let share = weight(rank) / sum;
                let expected = f64::from(draws) * share;
                // Five standard deviations.
                let spread = 5.0 * (expected * (1.0 - share)).sqrt() + 1.0;
                let off = (f64::from(counts[rank as usize]) - expected).abs();
                assert!(off <= spread, "exponent {exponent}: {off} off {expected}");
            }
        }
    }

    #[test]
    fn popular_ids_are_scattered_over_the_whole_range() {
        let ids = Ids {
            first: 100_000,
            last: Some(100_010),
            zipf: Some(1.0),
            ..Ids::default()
        };
        assert!(drawn(&ids, 10_000).into_keys().eq(100_000..=100_010));
        let scatter = Scatter::new(1_000_011);
        let apart = scatter.place(1).abs_diff(scatter.place(0));
        assert!(apart > 100_000, "{apart}");
    }
}
