//! Milliseconds since 1970 as ISO 8601.
//!
//! Must not know the clock or a time zone: everything is UTC. Invariant: the answer has 24 bytes
//! whatever the number; a date outside the years 0000 to 9999 is written as the nearest inside.

const DAY_MS: i64 = 86_400_000;
/// 0000-01-01T00:00:00.000Z.
const FIRST_MS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z.
const LAST_MS: i64 = 253_402_300_799_999;
/// Days from 0000-01-01 to 1970-01-01.
const EPOCH_DAY: i64 = 719_528;
/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: u32 = 146_097;

/// `2021-03-17T13:28:37.620Z`.
#[must_use]
pub fn iso8601(date_ms: i64) -> [u8; 24] {
    let date_ms = date_ms.clamp(FIRST_MS, LAST_MS);
    let day = date_ms.div_euclid(DAY_MS);
    let ms = u32::try_from(date_ms.rem_euclid(DAY_MS)).unwrap_or(0);
    let (year, month, day) = civil(u32::try_from(day + EPOCH_DAY).unwrap_or(0));
    let [y1, y2] = two(year / 100);
    let [y3, y4] = two(year % 100);
    let [m1, m2] = two(month);
    let [d1, d2] = two(day);
    let [h1, h2] = two(ms / 3_600_000);
    let [n1, n2] = two(ms / 60_000 % 60);
    let [s1, s2] = two(ms / 1000 % 60);
    let [_, t1] = two(ms % 1000 / 100);
    let [t2, t3] = two(ms % 100);
    [
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.',
        t1, t2, t3, b'Z',
    ]
}

/// The day of an instant, at midnight.
pub(crate) fn midnight(date_ms: i64) -> i64 {
    let date_ms = date_ms.clamp(FIRST_MS, LAST_MS);
    date_ms - date_ms.rem_euclid(DAY_MS)
}

/// Year, month and day of a day counted from 0000-01-01.
///
/// Years are taken to begin in March, so that the leap day is a year's last and the months before
/// it have a length that one formula gives.
fn civil(day: u32) -> (u32, u32, u32) {
    // January and February of the year 0 lie before its March: count from one era earlier.
    let day = day + ERA_DAYS - 60;
    let (era, day) = (day / ERA_DAYS, day % ERA_DAYS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next_year - 400, month, day)
}

fn two(number: u32) -> [u8; 2] {
    let digit = |number: u32| u8::try_from(number % 10).map_or(b'0', |digit| b'0' + digit);
    [digit(number / 10), digit(number)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(date_ms: i64) -> String {
        String::from_utf8(iso8601(date_ms).to_vec()).unwrap()
    }

    #[test]
    fn known_dates() {
        for (date_ms, expected) in [
            (1_615_987_717_620, "2021-03-17T13:28:37.620Z"),
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_555_200_000_007, "2019-04-14T00:00:00.007Z"),
            (-2_203_891_200_000, "1900-03-01T00:00:00.000Z"),
            (FIRST_MS, "0000-01-01T00:00:00.000Z"),
            (LAST_MS, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(date_ms), expected);
        }
    }

    #[test]
    fn a_date_out_of_range_is_the_nearest_in_range() {
        assert_eq!(text(i64::MIN), "0000-01-01T00:00:00.000Z");
        assert_eq!(text(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(text(midnight(i64::MAX)), "9999-12-31T00:00:00.000Z");
    }

    #[test]
    fn every_day_follows_the_one_before_it() {
        let days_in = |year: u32, month: u32| match month {
            2 if year.is_multiple_of(4)
                && (!year.is_multiple_of(100) || year.is_multiple_of(400)) =>
            {
                29
            }
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let mut expected = (0, 1, 1);
        for day in 0..=3_652_424 {
            assert_eq!(civil(day), expected);
            let (year, month, of_month) = expected;
            expected = match (month, of_month) {
                (12, 31) => (year + 1, 1, 1),
                _ if of_month == days_in(year, month) => (year, month + 1, 1),
                _ => (year, month, of_month + 1),
            };
        }
        assert_eq!(expected, (10_000, 1, 1));
    }

    proptest! {
        #[test]
        fn the_time_of_day_reads_back(date_ms in FIRST_MS..=LAST_MS) {
            let text = text(date_ms);
            let part = |range| -> i64 { text.get(range).unwrap_or("x").parse().unwrap() };
            let ms = ((part(11..13) * 60 + part(14..16)) * 60 + part(17..19)) * 1000 + part(20..23);
            prop_assert_eq!(ms, date_ms.rem_euclid(DAY_MS));
        }

        #[test]
        fn later_dates_sort_later(a in FIRST_MS..=LAST_MS, b in FIRST_MS..=LAST_MS) {
            prop_assert_eq!(a.cmp(&b), iso8601(a).cmp(&iso8601(b)));
        }

        #[test]
        fn midnight_keeps_the_day(date_ms in any::<i64>()) {
            let (whole, day) = (text(date_ms), text(midnight(date_ms)));
            prop_assert_eq!(whole.get(..10), day.get(..10));
            prop_assert_eq!(day.get(10..), Some("T00:00:00.000Z"));
        }
    }
}
