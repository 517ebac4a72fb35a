//! Validation of fields: ids, numbers, booleans, dates, prices, texts.
//!
//! Must not know files or columns. Invariant: a value that is let through is one the store can
//! hold and the API can show; any other has a reason a person understands.

use model::calendar::{self, FIRST_MS, LAST_MS};
use model::catalogue;

use crate::line::Field;

/// The reason a field was refused, in words that follow the field's name.
pub(crate) type Reason = &'static str;

/// A positive whole number.
pub(crate) fn id(field: Field<'_>) -> Result<u64, Reason> {
    match number(field)? {
        0 => Err("is zero"),
        id => Ok(id),
    }
}

/// A whole number, zero or more.
pub(crate) fn number(field: Field<'_>) -> Result<u64, Reason> {
    let text = field.bare();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(if text.starts_with('-') {
            "is negative or not a number"
        } else {
            "is not a whole number"
        });
    }
    text.parse().map_err(|_| "is too large")
}

/// A whole number that fits 32 bits.
pub(crate) fn small_number(field: Field<'_>) -> Result<u32, Reason> {
    number(field)?.try_into().map_err(|_| "is too large")
}

/// A rating, 1 to 5.
pub(crate) fn stars(field: Field<'_>) -> Result<u8, Reason> {
    match number(field)? {
        stars @ 1..=5 => Ok(u8::try_from(stars).unwrap_or(5)),
        _ => Err("is not between 1 and 5"),
    }
}

/// `true`, `false`, `1` or `0`.
pub(crate) fn boolean(field: Field<'_>) -> Result<bool, Reason> {
    match field.bare() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("is not true, false, 1 or 0"),
    }
}

/// Milliseconds since 1970; or a day such as `2019-01-01`, which begins at midnight; or an instant
/// such as `2019-01-01T10:30:00.000Z`.
pub(crate) fn date_ms(field: Field<'_>) -> Result<i64, Reason> {
    let text = field.bare();
    let ms = match (text.get(..10).and_then(day), text.get(10..)) {
        (Some(day), Some("")) => Some(day),
        (Some(day), Some(time)) => time_of_day(time).map(|time| day + time),
        _ => text.parse().ok(),
    };
    match ms {
        None => Err("is neither epoch milliseconds nor a day such as 2019-01-01"),
        Some(ms) if (FIRST_MS..=LAST_MS).contains(&ms) => Ok(ms),
        Some(_) => Err("is outside the years 0000 to 9999"),
    }
}

/// A price as the file writes it: digits, perhaps with decimals.
pub(crate) fn price(field: Field<'_>) -> Result<&str, Reason> {
    let text = field.bare();
    if catalogue::is_price(text) {
        Ok(text)
    } else {
        Err("is not a price such as 140 or 140.00")
    }
}

/// `YYYY-MM-DD` as the milliseconds at which that day began.
fn day(text: &str) -> Option<i64> {
    let [year, month, day] = numbers(text, '-', ["YYYY", "MM", "DD"])?;
    day_ms(year, month, day)
}

/// The milliseconds at which a day began, if there is such a day.
pub(crate) fn day_ms(year: i64, month: i64, day: i64) -> Option<i64> {
    calendar::day_ms(
        year.try_into().ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
    )
}

/// `THH:MM:SSZ`, perhaps with three decimals, as milliseconds.
fn time_of_day(text: &str) -> Option<i64> {
    let text = text.strip_prefix('T')?.strip_suffix('Z')?;
    let (text, decimals) = text.split_once('.').unwrap_or((text, "000"));
    let [hours, minutes, seconds] = numbers(text, ':', ["HH", "MM", "SS"])?;
    let [ms] = numbers(decimals, '.', ["mmm"])?;
    let exists = hours < 24 && minutes < 60 && seconds < 60;
    exists.then_some(((hours * 60 + minutes) * 60 + seconds) * 1000 + ms)
}

/// Numbers of as many digits as their patterns.
fn numbers<const N: usize>(text: &str, between: char, patterns: [&str; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut found = [0; N];
    for (number, pattern) in found.iter_mut().zip(patterns) {
        let part = parts.next().filter(|part| part.len() == pattern.len())?;
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        *number = digits.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::split;
    use model::calendar::DAY_MS;

    fn with<T>(text: &str, check: impl Fn(Field<'_>) -> T) -> T {
        check(split(text).unwrap().field(0))
    }

    #[test]
    fn ids_are_positive_whole_numbers() {
        assert_eq!(with("18446744073709551615", id), Ok(u64::MAX));
        for wrong in [
            "0",
            "-1",
            "1.5",
            "",
            "x",
            "null",
            "18446744073709551616",
            "+1",
        ] {
            assert!(with(wrong, id).is_err(), "{wrong}");
        }
    }

    #[test]
    fn booleans_of_both_vintages_are_read() {
        for (text, value) in [("true", true), ("1", true), ("false", false), ("0", false)] {
            assert_eq!(with(text, boolean), Ok(value));
        }
        assert!(with("yes", boolean).is_err());
    }

    #[test]
    fn days_and_milliseconds_are_dates() {
        assert_eq!(with("1615987717620", date_ms), Ok(1_615_987_717_620));
        assert_eq!(with("\"2019-01-01\"", date_ms), Ok(1_546_300_800_000));
        assert_eq!(
            with("2020-02-29T10:11:12.345Z", date_ms),
            Ok(1_582_971_072_345)
        );
        assert_eq!(with("1970-01-01", date_ms), Ok(0));
        assert_eq!(with("0000-01-01", date_ms), Ok(FIRST_MS));
        assert_eq!(with("9999-12-31", date_ms), Ok(LAST_MS + 1 - DAY_MS));
        for wrong in [
            "2019-02-29",
            "2019-13-01",
            "2019-1-1",
            "soon",
            "2020-02-29Tgarbage",
            "2020-02-29T24:00:00Z",
            "2020-02-29T10:00:00.5Z",
            "",
            "999999999999999",
        ] {
            assert!(with(wrong, date_ms).is_err(), "{wrong}");
        }
    }

    #[test]
    fn prices_keep_the_form_the_file_gives_them() {
        assert_eq!(
            split("x, 140").map(|line| price(line.field(1)).map(str::to_owned)),
            Ok(Ok("140".to_owned()))
        );
        assert_eq!(
            with("40.00", |field| price(field).map(str::to_owned)),
            Ok("40.00".to_owned())
        );
        for wrong in ["", "free", "-3", "1.", ".5", "1e3"] {
            assert!(with(wrong, |field| price(field).is_err()), "{wrong}");
        }
    }

    #[test]
    fn stars_go_from_one_to_five() {
        assert_eq!(with("5", stars), Ok(5));
        assert!(with("0", stars).is_err() && with("6", stars).is_err());
    }
}
