//! The forms that values have in files of other shops' programs: dates, booleans, numbers, prices, lists.
//!
//! Must not know columns. Invariants: a value is read as one thing or refused, never guessed between two;
//! a date before the mapping's first, or long after today, is refused, since it is a unit mistaken.

use std::borrow::Cow;

use model::calendar::LAST_MS;

use crate::clean::{self, Reason};

/// Epoch numbers below this are seconds, as those of the years to 5138; others are milliseconds.
const SECONDS_END: i64 = 100_000_000_000;
/// 2200-01-01: no review is from after it.
const DATE_MS_END: i64 = 7_258_118_400_000;

/// The way a mapping says that values are written.
#[derive(Debug, Clone)]
pub(crate) struct ValueForms {
    /// In small letters, as the two after it.
    pub(crate) yes: Vec<String>,
    pub(crate) no: Vec<String>,
    pub(crate) empty: Vec<String>,
    /// Texts between the values of a list.
    pub(crate) list: Vec<String>,
    pub(crate) decimal: char,
    pub(crate) date: DateForm,
}

/// The order of the numbers of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateOrder {
    /// The year first, or day, month and year between points.
    Auto,
    DayMonthYear,
    MonthDayYear,
    /// Epoch seconds.
    Seconds,
    /// Epoch milliseconds.
    Milliseconds,
}

impl DateOrder {
    const NAMED: [(&'static str, Self); 5] = [
        ("auto", Self::Auto),
        ("day/month/year", Self::DayMonthYear),
        ("month/day/year", Self::MonthDayYear),
        ("seconds", Self::Seconds),
        ("milliseconds", Self::Milliseconds),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let found = Self::NAMED.iter().find(|(known, _)| *known == name);
        found.map(|(_, order)| *order)
    }

    pub(crate) fn names() -> String {
        Self::NAMED.map(|(name, _)| name).join(", ")
    }
}

/// The way dates are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DateForm {
    pub(crate) order: DateOrder,
    /// The offset from UTC of times without a zone.
    pub(crate) offset_ms: i64,
    /// Dates before it are doubted.
    pub(crate) min_ms: i64,
}

const NO_DATE: Reason =
    "is not a date such as 2020-01-31 10:00:00, nor epoch seconds or milliseconds";
const TWO_WAYS: Reason =
    "may begin with the day or with the month; say which by values.date in the mapping";
const TOO_EARLY: Reason = "is before the year that values.date_min in the mapping allows, 1990 unless it says otherwise: are seconds or milliseconds mistaken?";
const TOO_LATE: Reason = "is after the year 2199: are seconds or milliseconds mistaken?";

impl DateForm {
    /// A date as milliseconds since 1970.
    pub(crate) fn read(&self, text: &str) -> Result<i64, Reason> {
        let text = text.trim();
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let ms = if is_number {
            self.epoch(text)?
        } else {
            self.written(text)?
        };
        if ms < self.min_ms {
            Err(TOO_EARLY)
        } else if ms >= DATE_MS_END {
            Err(TOO_LATE)
        } else {
            Ok(ms)
        }
    }

    fn epoch(&self, text: &str) -> Result<i64, Reason> {
        let number: i64 = text.parse().map_err(|_| TOO_LATE)?;
        let in_seconds = match self.order {
            DateOrder::Seconds => true,
            DateOrder::Milliseconds => false,
            _ => number < SECONDS_END,
        };
        let ms = if in_seconds {
            number.checked_mul(1000)
        } else {
            Some(number)
        };
        ms.filter(|ms| *ms <= LAST_MS).ok_or(TOO_LATE)
    }

    fn written(&self, text: &str) -> Result<i64, Reason> {
        let end = text
            .find(|one: char| !one.is_ascii_digit() && !matches!(one, '-' | '/' | '.'))
            .unwrap_or(text.len());
        let (date, time) = text.split_at_checked(end).ok_or(NO_DATE)?;
        let day_ms = self.day(date)?;
        let time = time.strip_prefix(['T', 't']).unwrap_or(time).trim();
        if time.is_empty() {
            return Ok(day_ms - self.offset_ms);
        }
        let (time_ms, zone_ms) = time_of_day(time).ok_or(NO_DATE)?;
        Ok(day_ms + time_ms - zone_ms.unwrap_or(self.offset_ms))
    }

    fn day(&self, text: &str) -> Result<i64, Reason> {
        let between = text.find(['-', '/', '.']).ok_or(NO_DATE)?;
        let separator = text.get(between..).and_then(|rest| rest.chars().next());
        let parts: Vec<&str> = text.split(separator.unwrap_or('-')).collect();
        let &[one, two, three] = parts.as_slice() else {
            return Err(NO_DATE);
        };
        let (year, month, day) = if one.len() == 4 {
            (one, two, three)
        } else if three.len() == 4 {
            match (self.order, separator) {
                (DateOrder::MonthDayYear, _) => (three, one, two),
                (DateOrder::DayMonthYear, _) | (_, Some('.')) => (three, two, one),
                _ => return Err(TWO_WAYS),
            }
        } else {
            return Err(NO_DATE);
        };
        let number = |text: &str| small(text, 4);
        let (Some(year), Some(month), Some(day)) = (number(year), number(month), number(day))
        else {
            return Err(NO_DATE);
        };
        clean::day_ms(year, month, day).ok_or("is a day that no calendar has")
    }
}

/// A number of one digit or more, and of so many at most.
fn small(text: &str, digits_max: usize) -> Option<i64> {
    let is_number =
        (1..=digits_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// A time of day, and its offset from UTC if it states one.
fn time_of_day(text: &str) -> Option<(i64, Option<i64>)> {
    let end = text
        .find(|one: char| !one.is_ascii_digit() && !matches!(one, ':' | '.' | ','))
        .unwrap_or(text.len());
    let (clock, rest) = text.split_at_checked(end)?;
    let rest = rest.trim().to_ascii_uppercase();
    let (clock, decimals) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let mut hours = small(parts.next()?, 2)?;
    let minutes = small(parts.next()?, 2)?;
    let seconds = parts.next().map_or(Some(0), |text| small(text, 2))?;
    if parts.next().is_some()
        || decimals.is_empty()
        || !decimals.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let ms: i64 = format!("{decimals:0<3}").get(..3)?.parse().ok()?;
    let zone = match rest.strip_prefix("AM").or_else(|| rest.strip_prefix("PM")) {
        Some(zone) => {
            if !(1..=12).contains(&hours) {
                return None;
            }
            hours = hours % 12 + if rest.starts_with('P') { 12 } else { 0 };
            zone.trim()
        }
        None => rest.as_str(),
    };
    let zone_ms = if zone.is_empty() {
        None
    } else {
        Some(offset_ms(zone)?)
    };
    let exists = hours < 24 && minutes < 60 && seconds < 60;
    exists.then_some((((hours * 60 + minutes) * 60 + seconds) * 1000 + ms, zone_ms))
}

/// A zone such as `Z`, `UTC`, `+01:00`, `-0500` or `UTC+2`, as how far it is ahead of UTC.
pub(crate) fn offset_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = ["UTC", "GMT", "Z"]
        .into_iter()
        .find_map(|name| text.strip_prefix(name))
        .unwrap_or(text);
    if text.is_empty() {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    let (hours, minutes) = digits.split_at_checked(if digits.len() < 3 {
        digits.len()
    } else {
        digits.len() - 2
    })?;
    let hours = small(hours, 2).filter(|hours| *hours <= 14)?;
    let minutes = if minutes.is_empty() {
        0
    } else {
        small(minutes, 2).filter(|m| *m < 60)?
    };
    Some(sign * (hours * 60 + minutes) * 60_000)
}

impl ValueForms {
    /// Returns true if a text stands for an absent value.
    pub(crate) fn is_empty(&self, text: &str) -> bool {
        let text = text.trim();
        text.is_empty() || !self.empty.is_empty() && contains(&self.empty, text)
    }

    /// A boolean.
    pub(crate) fn boolean(&self, text: &str) -> Result<bool, Reason> {
        let text = text.trim();
        if contains(&self.yes, text) {
            Ok(true)
        } else if contains(&self.no, text) {
            Ok(false)
        } else {
            // The words of defaults, independent of the words of the file.
            match text {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err("is neither one of values.true nor of values.false in the mapping"),
            }
        }
    }

    /// A whole number, zero or more, perhaps with zeros behind a point.
    pub(crate) fn number(&self, text: &str) -> Result<u64, Reason> {
        let text = text.trim();
        let (whole, decimals) = text.split_once(self.decimal).unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !decimals.bytes().all(|byte| byte == b'0') {
            return Err("is not a whole number");
        }
        whole.parse().map_err(|_| "is too large")
    }

    /// A price, written with a point.
    pub(crate) fn price<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, Reason> {
        const NO_PRICE: Reason = "is not a price such as 140 or 140.00";
        let is_around = |one: char| one.is_whitespace() || is_currency(one);
        let text = text.trim_matches(is_around);
        let (whole, decimals) = text.split_once(self.decimal).unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return Err(NO_PRICE);
        }
        Ok(if self.decimal == '.' {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(text.replacen(self.decimal, ".", 1))
        })
    }

    /// The values of a list, each without the spaces around it.
    pub(crate) fn list<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let mut rest = Some(text);
        let values = std::iter::from_fn(move || {
            let text = rest?;
            let ends = self
                .list
                .iter()
                .filter_map(|end| Some((text.find(end.as_str())?, end.len())));
            let end = ends.chain(text.find(['\n', '\r']).map(|at| (at, 1))).min();
            let (value, after) = match end {
                Some((at, length)) => (text.get(..at), text.get(at + length..)),
                None => (Some(text), None),
            };
            rest = after;
            value
        });
        values.map(str::trim).filter(|value| !value.is_empty())
    }
}

fn is_currency(one: char) -> bool {
    matches!(one, '$' | '€' | '£' | '¥' | '₹' | '₽' | '₩' | '₺')
}

/// Returns true if one of the words, in small letters, is the text in any case.
fn contains(words: &[String], text: &str) -> bool {
    let found = |word: &String| word.eq_ignore_ascii_case(text);
    words.iter().any(found) || !text.is_ascii() && words.contains(&text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::calendar::DAY_MS;
    use proptest::prelude::*;

    fn form(order: DateOrder) -> DateForm {
        DateForm {
            order,
            offset_ms: 0,
            min_ms: 631_152_000_000,
        }
    }

    fn forms() -> ValueForms {
        let all = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        ValueForms {
            yes: all(&["true", "yes", "1", "wahr", "ναι"]),
            no: all(&["false", "no", "0"]),
            empty: all(&["null"]),
            list: all(&[",", " | "]),
            decimal: '.',
            date: form(DateOrder::Auto),
        }
    }

    /// 2020-01-31T10:20:30Z
    const MOMENT_MS: i64 = 1_580_466_030_000;

    #[test]
    fn dates_of_all_forms_are_one_moment() {
        for text in [
            "2020-01-31T10:20:30Z",
            "2020-01-31T10:20:30.000Z",
            "2020-01-31 10:20:30",
            "2020-01-31 10:20:30 UTC",
            "2020-01-31 11:20:30 +0100",
            "2020-01-31T05:20:30-05:00",
            "2020/1/31 10:20:30",
            "31.01.2020 10:20:30",
            "2020-01-31 10:20:30 AM",
            "1580466030",
            "1580466030000",
        ] {
            assert_eq!(form(DateOrder::Auto).read(text), Ok(MOMENT_MS), "{text}");
        }
        let us = form(DateOrder::MonthDayYear);
        assert_eq!(us.read("1/31/2020 10:20:30am"), Ok(MOMENT_MS));
        assert_eq!(us.read("1/31/2020 12:00 AM"), us.read("2020-01-31"));
        let eu = form(DateOrder::DayMonthYear);
        assert_eq!(eu.read("31/01/2020 10:20:30"), Ok(MOMENT_MS));
        let ahead = DateForm {
            offset_ms: offset_ms("+02:00").unwrap(),
            ..form(DateOrder::Auto)
        };
        assert_eq!(ahead.read("2020-01-31 12:20:30"), Ok(MOMENT_MS));
        assert_eq!(ahead.read("2020-01-31 10:20:30Z"), Ok(MOMENT_MS));
    }

    #[test]
    fn dates_that_are_two_or_none_are_refused() {
        let read = |text| form(DateOrder::Auto).read(text);
        assert_eq!(read("03/04/2020"), Err(TWO_WAYS));
        assert_eq!(read("30/04/2020"), Err(TWO_WAYS));
        for text in [
            "",
            "soon",
            "2020",
            "2020-01",
            "20-01-31",
            "2020-01-31Tnoon",
            "2020-01-31 25:00",
            "-1580466030",
            "2020-01-31 10:00 PST",
            "2020-01-31 13:00 PM",
        ] {
            let found = if text == "2020" { TOO_EARLY } else { NO_DATE };
            assert_eq!(read(text), Err(found), "{text}");
        }
        assert_eq!(read("2021-02-29"), Err("is a day that no calendar has"));
    }

    #[test]
    fn mistaken_units_are_doubted() {
        let read = |text| form(DateOrder::Auto).read(text);
        // Days, and microseconds.
        assert_eq!(read("18000"), Err(TOO_EARLY));
        assert_eq!(read("1580466030000000"), Err(TOO_LATE));
        assert_eq!(read("1970-01-19 07:01:06"), Err(TOO_EARLY));
        assert_eq!(
            form(DateOrder::Milliseconds).read("1580466030"),
            Err(TOO_EARLY)
        );
        assert_eq!(
            form(DateOrder::Seconds).read("1580466030000"),
            Err(TOO_LATE)
        );
        assert_eq!(read("99999999999999999999999"), Err(TOO_LATE));
        let old = DateForm {
            min_ms: 0,
            ..form(DateOrder::Auto)
        };
        assert_eq!(old.read("1970-01-19"), Ok(18 * DAY_MS));
    }

    #[test]
    fn booleans_are_the_words_of_the_mapping_in_any_case() {
        for (text, value) in [
            ("TRUE", true),
            (" Yes ", true),
            ("1", true),
            ("Wahr", true),
            ("ΝΑΙ", true),
            ("No", false),
        ] {
            assert_eq!(forms().boolean(text), Ok(value), "{text}");
        }
        assert!(forms().boolean("maybe").is_err() && forms().boolean("").is_err());
        assert!(forms().is_empty(" NULL ") && forms().is_empty("") && !forms().is_empty("0"));
    }

    #[test]
    fn prices_lose_their_currency_and_keep_their_form() {
        let point = forms();
        for (text, price) in [("19.90", "19.90"), (" $5 ", "5"), ("12.50 €", "12.50")] {
            assert_eq!(point.price(text).as_deref(), Ok(price));
        }
        for text in ["", "free", "-3", "1,234.50", "1.", "19,90"] {
            assert!(point.price(text).is_err(), "{text}");
        }
        let comma = ValueForms {
            decimal: ',',
            ..forms()
        };
        assert_eq!(comma.price("19,90").as_deref(), Ok("19.90"));
        assert!(comma.price("1.234,50").is_err());
        assert_eq!(point.number("5.0"), Ok(5));
        assert!(point.number("4.5").is_err() && point.number("").is_err());
    }

    #[test]
    fn lists_are_cut_at_every_separator() {
        let forms = forms();
        let cut = |text| forms.list(text).collect::<Vec<_>>();
        assert_eq!(cut("a, b | c\nd,,"), ["a", "b", "c", "d"]);
        assert_eq!(cut(""), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_moment_is_read_from_every_form_of_it(
            seconds in 631_152_000_i64..7_258_118_400,
            offset_minutes in -720_i64..=840,
        ) {
            let ms = seconds * 1000;
            let days = seconds.div_euclid(86_400);
            let (year, month, day) = civil(days);
            let clock = seconds.rem_euclid(86_400);
            let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
            let auto = form(DateOrder::Auto);
            let time = format!("{hour:02}:{minute:02}:{second:02}");
            for text in [
                format!("{year}-{month:02}-{day:02}T{time}Z"),
                format!("{year}-{month:02}-{day:02} {time} UTC"),
                format!("{year}/{month}/{day} {time}"),
                format!("{day}.{month}.{year} {time}"),
                ms.to_string(),
                seconds.to_string(),
            ] {
                prop_assert_eq!(auto.read(&text), Ok(ms), "{}", text);
            }
            let sign = if offset_minutes < 0 { '-' } else { '+' };
            let (h, m) = (offset_minutes.abs() / 60, offset_minutes.abs() % 60);
            let text = format!("{year}-{month:02}-{day:02} {time} {sign}{h:02}:{m:02}");
            let earlier = ms - offset_minutes * 60_000;
            if (631_152_000_000..DATE_MS_END).contains(&earlier) {
                prop_assert_eq!(auto.read(&text), Ok(earlier));
            }
            let us = format!("{month}/{day}/{year} {time}");
            prop_assert_eq!(form(DateOrder::MonthDayYear).read(&us), Ok(ms));
            let eu = format!("{day}/{month}/{year} {time}");
            prop_assert_eq!(form(DateOrder::DayMonthYear).read(&eu), Ok(ms));
        }

        #[test]
        fn numbers_are_read_as_they_are_written(number: u64, zeros in 0_usize..4) {
            let forms = forms();
            prop_assert_eq!(forms.number(&number.to_string()), Ok(number));
            let text = format!("{number}.{}", "0".repeat(zeros));
            prop_assert_eq!(forms.number(&text), Ok(number));
            let read = forms.price(&format!("€{number}.25")).map(Cow::into_owned);
            prop_assert_eq!(read, Ok(format!("{number}.25")));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}|[0-9:./ TZ+-]{0,30}") {
            let forms = forms();
            let _ = (forms.date.read(&text), forms.boolean(&text), forms.number(&text));
            let _ = (forms.price(&text).is_ok(), forms.list(&text).count(), offset_ms(&text));
        }
    }

    /// The day of a number of days since 1970, found by looking.
    fn civil(days: i64) -> (i64, i64, i64) {
        let ms = days * DAY_MS;
        let year = (1970..2201)
            .rev()
            .find(|year| clean::day_ms(*year, 1, 1).unwrap() <= ms)
            .unwrap();
        let month = (1..=12)
            .rev()
            .find(|month| clean::day_ms(year, *month, 1).unwrap() <= ms)
            .unwrap();
        let first = clean::day_ms(year, month, 1).unwrap();
        (year, month, (ms - first) / DAY_MS + 1)
    }
}
