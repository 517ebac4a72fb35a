//! Days, times of day and instants: the conversions between milliseconds since 1970 and text.
//!
//! Must not know the current time or a time zone: everything is UTC. Invariants: a date outside the years
//! 0000 to 9999 is written as the nearest inside; a written instant reads back.

use chrono::{DateTime, Datelike, NaiveDate};

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
/// 0000-01-01T00:00:00.000Z, the first instant with a year of four digits.
pub const FIRST_MS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z, the last.
pub const LAST_MS: i64 = 253_402_300_799_999;

/// `2021-03-17T13:28:37.620Z`, as ASCII.
#[must_use]
pub fn iso8601(date_ms: i64) -> [u8; 24] {
    let date_ms = date_ms.clamp(FIRST_MS, LAST_MS);
    let date = DateTime::from_timestamp_millis(date_ms).unwrap_or_default();
    let date = date.date_naive();
    let year = date.year().unsigned_abs();
    let ms = u32::try_from(date_ms.rem_euclid(DAY_MS)).unwrap_or(0);
    let [y1, y2] = two(year / 100);
    let [y3, y4] = two(year % 100);
    let [m1, m2] = two(date.month());
    let [d1, d2] = two(date.day());
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

/// `2021-03-17T13:28:37.620Z`.
#[must_use]
pub fn timestamp(date_ms: i64) -> String {
    iso8601(date_ms).map(char::from).iter().collect()
}

/// Returns the beginning of an instant's day.
#[must_use]
pub fn midnight(date_ms: i64) -> i64 {
    let date_ms = date_ms.clamp(FIRST_MS, LAST_MS);
    date_ms - date_ms.rem_euclid(DAY_MS)
}

/// Returns the instant at which a day begins; `None` for a day that no calendar has.
#[must_use]
pub fn day_ms(year: i32, month: u32, day: u32) -> Option<i64> {
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    Some(i64::from(date.to_epoch_days()) * DAY_MS)
}

/// Reads an instant with its time zone, such as `2026-11-21T10:30:00+01:00`.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let instant = DateTime::parse_from_rfc3339(text).ok()?;
    Some(instant.timestamp_millis())
}

/// Reads the `date` header of an HTTP response, such as `Sat, 21 Nov 2026 09:30:00 GMT`.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<i64> {
    let instant = DateTime::parse_from_rfc2822(text).ok()?;
    Some(instant.timestamp_millis())
}

/// The two digits of a number below 100. Without a branch: each review that is rendered has eight of them.
fn two(number: u32) -> [u8; 2] {
    let digit = |number: u32| {
        let [low, ..] = (number % 10).to_le_bytes();
        b'0' | low
    };
    [digit(number / 10), digit(number)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates_are_written() {
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
            assert_eq!(timestamp(date_ms), expected);
        }
    }

    #[test]
    fn a_date_out_of_range_is_the_nearest_in_range() {
        assert_eq!(timestamp(i64::MIN), "0000-01-01T00:00:00.000Z");
        assert_eq!(timestamp(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(timestamp(midnight(i64::MAX)), "9999-12-31T00:00:00.000Z");
    }

    #[test]
    fn each_day_follows_the_day_before() {
        let mut expected = FIRST_MS;
        for (year, month, day) in days() {
            assert_eq!(day_ms(year, month, day), Some(expected));
            let text = format!("{year:04}-{month:02}-{day:02}");
            assert_eq!(timestamp(expected).get(..10), Some(text.as_str()));
            expected += DAY_MS;
        }
        assert_eq!(expected, LAST_MS + 1);
    }

    /// Every day of the years 0000 to 9999, by the rule of the leap years alone.
    fn days() -> impl Iterator<Item = (i32, u32, u32)> {
        let days_in = |year: i32, month| match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (0..=9999)
            .flat_map(|year| (1..=12).map(move |month| (year, month)))
            .flat_map(move |(year, month)| {
                (1..=days_in(year, month)).map(move |day| (year, month, day))
            })
    }

    #[test]
    fn a_day_that_no_calendar_has_is_none() {
        for (year, month, day) in [(2019, 2, 29), (1900, 2, 29), (2019, 13, 1), (2019, 1, 0)] {
            assert_eq!(day_ms(year, month, day), None);
        }
    }

    #[test]
    fn an_http_date_is_read() {
        let read = parse_http_date("Wed, 17 Mar 2021 13:28:37 GMT");
        assert_eq!(read, Some(1_615_987_717_000));
        assert_eq!(parse_http_date("yesterday"), None);
    }

    #[test]
    fn an_instant_is_read_in_its_zone() {
        let read = parse_rfc3339("2021-03-17T14:28:37.620+01:00");
        assert_eq!(read, Some(1_615_987_717_620));
        assert_eq!(parse_rfc3339("2021-03-17T14:28:37"), None);
    }

    proptest! {
        #[test]
        fn a_written_instant_reads_back(date_ms in FIRST_MS..=LAST_MS) {
            prop_assert_eq!(parse_rfc3339(&timestamp(date_ms)), Some(date_ms));
        }

        #[test]
        fn later_dates_sort_later(a in FIRST_MS..=LAST_MS, b in FIRST_MS..=LAST_MS) {
            prop_assert_eq!(a.cmp(&b), iso8601(a).cmp(&iso8601(b)));
        }

        #[test]
        fn midnight_keeps_the_day(date_ms in any::<i64>()) {
            let (whole, day) = (timestamp(date_ms), timestamp(midnight(date_ms)));
            prop_assert_eq!(whole.get(..10), day.get(..10));
            prop_assert_eq!(day.get(10..), Some("T00:00:00.000Z"));
        }
    }
}
