//! Which id a request is about: draws from the workload's distribution, in constant memory and time.
//!
//! Owns the distributions and must not know what is asked of an id.

use crate::load::workload::Ids;
use crate::rng::Rng;

/// A distribution, made ready.
#[derive(Clone, Debug)]
pub(crate) enum Draw {
    Uniform {
        first: u64,
        size: u64,
    },
    Zipf {
        first: u64,
        zipf: Zipf,
        scatter: Scatter,
    },
    Set(Vec<u64>),
}

impl Draw {
    pub(crate) fn new(ids: &Ids) -> Self {
        match ids {
            Ids::Uniform { first, last } => Self::Uniform {
                first: *first,
                size: last - first + 1,
            },
            Ids::Zipf {
                first,
                last,
                exponent,
            } => Self::Zipf {
                first: *first,
                zipf: Zipf::new(last - first + 1, *exponent),
                scatter: Scatter::new(last - first + 1),
            },
            Ids::Set(set) => Self::Set(set.clone()),
        }
    }

    pub(crate) fn id(&self, rng: &mut Rng) -> u64 {
        match self {
            Self::Uniform { first, size } => first + rng.below(*size),
            Self::Zipf {
                first,
                zipf,
                scatter,
            } => first + scatter.place(zipf.rank(rng) - 1),
            Self::Set(set) => set.get(rng.index(set.len())).copied().unwrap_or(1),
        }
    }
}

/// Ranks from 1 to a size, each as likely as 1/rank^exponent.
///
/// Rejection-inversion (Hörmann and Derflinger 1996): the histogram is drawn from the area under a
/// curve that is inverted in closed form, and the few draws that fall beside it are drawn again.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
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
#[derive(Clone, Debug)]
pub(crate) struct Scatter {
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
    use std::collections::HashSet;

    fn drawn(ids: &Ids, times: u64) -> Vec<u64> {
        let draw = Draw::new(ids);
        let streams = (0..times).map(|number| Rng::new(7, number, Purpose::Request));
        streams.map(|mut rng| draw.id(&mut rng)).collect()
    }

    #[test]
    fn a_range_is_drawn_evenly_from_its_first_to_its_last() {
        let ids = drawn(
            &Ids::Uniform {
                first: 11,
                last: 20,
            },
            100_000,
        );
        for id in 11..=20 {
            let times = ids.iter().filter(|drawn| **drawn == id).count();
            assert!((9_500..=10_500).contains(&times), "{id}: {times}");
        }
        assert!(ids.iter().all(|id| (11..=20).contains(id)));
    }

    #[test]
    fn a_set_is_drawn_evenly() {
        let ids = drawn(&Ids::Set(vec![5, 500, 50_000]), 30_000);
        for id in [5, 500, 50_000] {
            let times = ids.iter().filter(|drawn| **drawn == id).count();
            assert!((9_500..=10_500).contains(&times), "{id}: {times}");
        }
    }

    #[test]
    fn ranks_are_as_likely_as_zipf_says() {
        for exponent in [0.0, 0.5, 1.0, 1.2, 2.5] {
            let size = 1000;
            let zipf = Zipf::new(size, exponent);
            let draws = 400_000_u32;
            let mut counts = vec![0_u32; 1001];
            for number in 0..draws {
                let mut rng = Rng::new(3, u64::from(number), Purpose::Request);
                counts[usize::try_from(zipf.rank(&mut rng)).unwrap()] += 1;
            }
            let weight = |rank: u32| f64::from(rank).powf(-exponent);
            let sum: f64 = (1..=1000).map(weight).sum();
            // Within five standard deviations of each of the first ranks, and of the rest together.
            let fits = |counted: u32, share: f64| {
                let expected = f64::from(draws) * share;
                let deviation = (expected * (1.0 - share)).sqrt();
                assert!(
                    (f64::from(counted) - expected).abs() <= 5.0 * deviation + 1.0,
                    "exponent {exponent}: {counted} instead of {expected}"
                );
            };
            for rank in 1..=20_u32 {
                fits(counts[rank as usize], weight(rank) / sum);
            }
            let rest: f64 = (21..=1000).map(weight).sum();
            fits(counts.iter().skip(21).sum(), rest / sum);
            assert_eq!(counts[0], 0);
        }
    }

    #[test]
    fn every_place_is_taken_once_and_neighbours_are_far_apart() {
        for size in [1, 2, 3, 10, 1000, 1001, 65_536] {
            let scatter = Scatter::new(size);
            let places: HashSet<u64> = (0..size).map(|index| scatter.place(index)).collect();
            assert_eq!(places.len() as u64, size);
            assert!(places.iter().all(|place| *place < size));
        }
        let scatter = Scatter::new(1_000_011);
        let apart = scatter.place(1).abs_diff(scatter.place(0));
        assert!(apart > 100_000, "{apart}");
    }

    #[test]
    fn a_popular_id_stays_within_the_range() {
        let ids = drawn(
            &Ids::Zipf {
                first: 100_000,
                last: 100_010,
                exponent: 1.0,
            },
            10_000,
        );
        assert!(ids.iter().all(|id| (100_000..=100_010).contains(id)));
        let all: HashSet<u64> = ids.into_iter().collect();
        assert_eq!(all.len(), 11);
    }
}
