//! The mean of whole numbers as decimal text, exactly.
//!
//! Must not know the values. Invariant: no float is involved, so the last decimal is right for every sum and
//! count there can be.

use super::super::super::json::JsonWriter;

/// Writes `sum / count` with exactly `decimals` decimals, rounded half up. `count` is not zero.
pub(crate) fn write(json: &mut JsonWriter, sum: u64, count: u64, decimals: Decimals) {
    let (width, scale) = match decimals {
        Decimals::Four => (4, 10_u128.pow(4)),
        Decimals::Sixteen => (16, 10_u128.pow(16)),
    };
    let count = u128::from(count.max(1));
    let scaled = (2 * scale * u128::from(sum) + count) / (2 * count);
    let mut digits = itoa::Buffer::new();
    json.raw(digits.format(scaled / scale)).raw(".");
    let fraction = digits.format(scaled % scale);
    let zeros = "0000000000000000";
    json.raw(zeros.get(..width - fraction.len()).unwrap_or_default());
    json.raw(fraction);
}

/// The number of decimals of a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decimals {
    Four,
    Sixteen,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mean(sum: u64, count: u64, decimals: Decimals) -> String {
        let mut json = JsonWriter::with_capacity(32);
        write(&mut json, sum, count, decimals);
        String::from_utf8(json.into_bytes()).unwrap()
    }

    #[test]
    fn sixteen_decimals_always() {
        for (sum, count, expected) in [
            (21, 5, "4.2000000000000000"),
            (11, 3, "3.6666666666666667"),
            (4, 3, "1.3333333333333333"),
            (15, 7, "2.1428571428571429"),
            (5, 1, "5.0000000000000000"),
            (620, 142, "4.3661971830985915"),
            (1, 16, "0.0625000000000000"),
        ] {
            assert_eq!(mean(sum, count, Decimals::Sixteen), expected);
        }
    }

    #[test]
    fn a_half_is_rounded_up() {
        assert_eq!(mean(1, 32, Decimals::Four), "0.0313");
        assert_eq!(mean(3, 32, Decimals::Four), "0.0938");
        assert_eq!(mean(99_999, 20_000, Decimals::Four), "5.0000");
        assert_eq!(mean(4, 1, Decimals::Four), "4.0000");
        assert_eq!(mean(1, 1 << 17, Decimals::Sixteen), "0.0000076293945313");
    }

    #[test]
    fn the_largest_sum_does_not_overflow() {
        let largest = mean(u64::MAX, 1, Decimals::Sixteen);
        assert_eq!(largest, "18446744073709551615.0000000000000000");
        assert_eq!(mean(u64::MAX, u64::MAX, Decimals::Four), "1.0000");
    }

    proptest! {
        #[test]
        fn the_text_is_within_half_a_unit_of_the_last_decimal(
            count in 1..1_000_000_u64,
            share in 0..=5_000_000_u64,
        ) {
            let sum = share % (5 * count + 1);
            let text = mean(sum, count, Decimals::Sixteen);
            let (whole, fraction) = text.split_once('.').unwrap();
            prop_assert_eq!(fraction.len(), 16);
            let scale = 10_i128.pow(16);
            let written = whole.parse::<i128>().unwrap() * scale + fraction.parse::<i128>().unwrap();
            let twice_off = 2 * (written * i128::from(count) - i128::from(sum) * scale);
            prop_assert!(-i128::from(count) < twice_off && twice_off <= i128::from(count));
        }
    }
}
