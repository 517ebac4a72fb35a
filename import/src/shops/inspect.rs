//! Looks at the first rows of any CSV, and begins a mapping for it.
//!
//! Owns the guesses. Must not import. Invariant: each guess has its reason beside it, and a field that no
//! column looks like is left for the user to fill in.

use std::fmt::Write as _;
use std::path::Path;

use super::columns::BoundMapping;
use super::forms::{DateForm, DateOrder};
use super::looks::{FieldLook, PRODUCT_LOOKS, REVIEW_LOOKS, ValueLook};
use super::mapping::{IfMissing, RowKind, Vendor, spelled};
use super::source::{RowForm, ShopCsv};
use crate::error::Error;

/// The rows that are looked at.
const ROWS_MAX: usize = 1000;
/// Characters of an example.
const EXAMPLE_CHARS: usize = 40;

/// The outcome of an inspection of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The vendor whose mapping fits, if one does.
    pub vendor: Option<Vendor>,
    /// A mapping to start from, with the reasons in its comments.
    pub mapping: String,
    /// The fields without which no row can be stored, and which no column looks like.
    pub missing: Vec<&'static str>,
}

/// A column, by the values of the first rows.
struct ColumnSample {
    name: String,
    values: Vec<String>,
}

/// Looks at a file.
pub fn inspect(path: &Path) -> Result<Inspection, Error> {
    let (mut csv, encoding) = ShopCsv::open_any(path)?;
    let form = FormSetting {
        separator: (csv.separator != b',').then_some(char::from(csv.separator)),
        encoding: encoding.map(|encoding| encoding.name().to_lowercase()),
    };
    let mut columns: Vec<_> = csv
        .header
        .iter()
        .map(|name| ColumnSample {
            name: name.clone(),
            values: Vec::new(),
        })
        .collect();
    let header = csv.header.clone();
    let mut rows = 0;
    while rows < ROWS_MAX
        && let Some(row) = csv.next()?
    {
        if row.form != RowForm::Good {
            continue;
        }
        rows += 1;
        for (column, text) in columns.iter_mut().zip(row.texts()) {
            let text = text.trim();
            if !text.is_empty() {
                column.values.push(text.to_owned());
            }
        }
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some((vendor, text)) = fitting_vendor(&header)? {
        return Ok(Inspection {
            vendor: Some(vendor),
            mapping: format!(
                "# The columns of {file} are those of --from {}, whose mapping this is.\n{}",
                vendor.name(),
                form.into_mapping(text)
            ),
            missing: Vec::new(),
        });
    }
    Ok(guessed(&file, rows, &columns, &form))
}

/// The vendor whose mapping finds most of its columns in a header.
fn fitting_vendor(header: &[String]) -> Result<Option<(Vendor, &'static str)>, Error> {
    let mut best: Option<(usize, Vendor, &'static str)> = None;
    for vendor in Vendor::ALL {
        for (mapping, text) in vendor.mappings()?.iter().zip(vendor.texts()) {
            let Ok(bound) = BoundMapping::of(mapping, header) else {
                continue;
            };
            let used = bound.columns_used;
            let is_most = used * 2 >= mapping.fields.len();
            if is_most && best.as_ref().is_none_or(|(most, ..)| used > *most) {
                best = Some((used, vendor, text));
            }
        }
    }
    Ok(best.map(|(_, vendor, text)| (vendor, text)))
}

/// A setting that a mapping must have about the form of a file.
struct FormSetting {
    separator: Option<char>,
    encoding: Option<String>,
}

impl FormSetting {
    fn section(&self) -> String {
        if self.separator.is_none() && self.encoding.is_none() {
            return String::new();
        }
        let mut text = "[file]\n".to_owned();
        if let Some(separator) = self.separator {
            let _ = writeln!(text, "separator = {}", quoted(&separator.to_string()));
        }
        if let Some(encoding) = &self.encoding {
            let _ = writeln!(text, "encoding = {}", quoted(encoding));
        }
        text + "\n"
    }

    /// The text of a mapping with this form before its first section.
    fn into_mapping(self, text: &str) -> String {
        let section = self.section();
        match text.find("\n[") {
            Some(at) if !section.is_empty() => {
                let (before, after) = text.split_at_checked(at + 1).unwrap_or((text, ""));
                format!("{before}{section}{after}")
            }
            _ => text.to_owned(),
        }
    }
}

/// A column that a field is taken for, and why.
struct Guess<'c> {
    field: &'static str,
    column: &'c ColumnSample,
    why: String,
    is_called_so: bool,
}

fn guessed(file: &str, rows: usize, columns: &[ColumnSample], form: &FormSetting) -> Inspection {
    let reviews = guesses(&REVIEW_LOOKS, columns);
    let has = |guesses: &[Guess<'_>], field: &str| guesses.iter().any(|guess| guess.field == field);
    // Small numbers alone may be anything.
    let is_called_so = |guess: &Guess<'_>| guess.field == "rating" && guess.is_called_so;
    let is_rated = has(&reviews, "rating") && has(&reviews, "date");
    let kind = if is_rated || reviews.iter().any(is_called_so) {
        RowKind::Reviews
    } else {
        RowKind::Products
    };
    let guesses = match kind {
        RowKind::Reviews => reviews,
        RowKind::Products => guesses(&PRODUCT_LOOKS, columns),
    };
    let mut missing: Vec<&'static str> = kind
        .fields()
        .iter()
        .filter(|rule| rule.missing == IfMissing::Needed && !has(&guesses, rule.name))
        .map(|rule| rule.name)
        .collect();
    if !has(&guesses, "product") && !has(&guesses, "product_id") {
        missing.push("product");
    }
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let mut text = format!(
        "# Begun by reviewsd import --inspect, by the first {rows} rows of {}; change what is wrong.\nname = {}\nrows = \"{kind}\"\n\n{}",
        file.escape_debug(),
        quoted(stem),
        form.section()
    );
    text += &values(&guesses);
    text += "[fields]\n";
    for guess in &guesses {
        let example = guess.column.example();
        let _ = writeln!(text, "# {}{example}", guess.why);
        let column = quoted(&guess.column.name);
        let is_html = guess
            .column
            .values
            .iter()
            .any(|value| value.contains("</") || value.contains("<br"));
        let _ = if is_html {
            writeln!(
                text,
                "{} = {{ column = {column}, html = true }}",
                guess.field
            )
        } else {
            writeln!(text, "{} = {column}", guess.field)
        };
    }
    if kind == RowKind::Reviews && !has(&guesses, "recommend") {
        text += "# No column says it.\nrecommend = { rating_from = 4 }\n";
    }
    for field in &missing {
        let _ = writeln!(
            text,
            "# No column looks like {field}, and it is needed: name one.\n# {field} = \"\""
        );
    }
    let is_used = |column: &&ColumnSample| {
        guesses
            .iter()
            .any(|guess| std::ptr::eq(guess.column, *column))
    };
    for column in columns.iter().filter(|column| !is_used(column)) {
        let _ = writeln!(
            text,
            "# Not used: {}{}",
            quoted(&column.name),
            column.example()
        );
    }
    Inspection {
        vendor: None,
        mapping: text,
        missing,
    }
}

/// The section on the forms of values, where they are not the usual.
fn values(guesses: &[Guess<'_>]) -> String {
    let mut text = String::new();
    let dates = guesses.iter().find(|guess| guess.field == "date");
    if let Some((order, why)) = dates.and_then(|guess| guess.column.date_order()) {
        let _ = writeln!(text, "# {why}\ndate = \"{order}\"");
    }
    let prices = guesses
        .iter()
        .filter(|guess| guess.field.ends_with("price"));
    if let Some(value) = prices
        .flat_map(|guess| &guess.column.values)
        .find(|value| has_decimal_comma(value))
    {
        let _ = writeln!(text, "# A price is {}.\ndecimal = \",\"", quoted(value));
    }
    if text.is_empty() {
        text
    } else {
        format!("[values]\n{text}\n")
    }
}

fn has_decimal_comma(value: &str) -> bool {
    let digits = value.trim_matches(|one: char| !one.is_ascii_digit());
    digits.split_once(',').is_some_and(|(whole, decimals)| {
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        decimals.len() == 2 && is_number(whole) && is_number(decimals)
    })
}

fn guesses<'c>(looks: &[FieldLook], columns: &'c [ColumnSample]) -> Vec<Guess<'c>> {
    let mut guesses: Vec<Guess<'c>> = Vec::new();
    for by_values in [false, true] {
        for look in looks {
            if guesses.iter().any(|guess| guess.field == look.field) || by_values && !look.by_values
            {
                continue;
            }
            let is_free = |column: &&'c ColumnSample| {
                !guesses
                    .iter()
                    .any(|guess| std::ptr::eq(guess.column, *column))
            };
            let found = if by_values {
                let looks_so = |column: &&ColumnSample| {
                    !column.values.is_empty()
                        && column.looks(look.look)
                        && !column.name.to_lowercase().ends_with("id")
                };
                columns.iter().filter(is_free).find(looks_so)
            } else {
                // The names that come first are the likeliest.
                look.names.iter().find_map(|name| {
                    let is_called = |column: &&ColumnSample| {
                        spelled(&column.name) == *name && column.looks(look.look)
                    };
                    columns.iter().filter(is_free).find(is_called)
                })
            };
            if let Some(column) = found {
                let called = if by_values {
                    "It is called otherwise, but"
                } else {
                    "It is called so, and"
                };
                guesses.push(Guess {
                    field: look.field,
                    column,
                    why: format!("{called} {}", look.look.told(column.values.len())),
                    is_called_so: !by_values,
                });
            }
        }
    }
    let order = |guess: &Guess<'_>| looks.iter().position(|look| look.field == guess.field);
    guesses.sort_by_key(order);
    guesses
}

impl ValueLook {
    fn told(self, values: usize) -> String {
        if values == 0 {
            return "it has no values".to_owned();
        }
        match self {
            Self::Any => format!("{values} rows have a text"),
            Self::Stars => format!("its {values} values are numbers from 1 to 5"),
            Self::Date => format!("its {values} values are dates"),
            Self::Boolean => format!("its {values} values are yes or no"),
            Self::Number => format!("its {values} values are whole numbers"),
            Self::Price => format!("its {values} values are prices"),
            Self::Email => format!("its {values} values are e-mail addresses"),
            Self::Links => format!("its {values} values are links"),
        }
    }

    fn is_of(self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Stars => value
                .strip_suffix(".0")
                .unwrap_or(value)
                .parse()
                .is_ok_and(|stars: u8| (1..=5).contains(&stars)),
            Self::Date => order_of(value).is_some(),
            Self::Boolean => {
                const WORDS: [&str; 10] =
                    ["true", "false", "yes", "no", "y", "n", "1", "0", "t", "f"];
                WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
            }
            Self::Number => {
                let value = value.strip_prefix('-').unwrap_or(value);
                value.bytes().all(|byte| byte.is_ascii_digit())
            }
            Self::Price => {
                let is_around = |one: char| !one.is_ascii_digit();
                let value = value.trim_matches(is_around);
                !value.is_empty()
                    && value
                        .bytes()
                        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
            }
            Self::Email => value.split_once('@').is_some_and(|(name, host)| {
                !name.is_empty() && host.contains('.') && !host.contains('@')
            }),
            Self::Links => value.starts_with("http://") || value.starts_with("https://"),
        }
    }
}

/// The order of a date's numbers: the first that reads it.
fn order_of(value: &str) -> Option<DateOrder> {
    // A number alone is an id as well as a date.
    let is_short_number = value.bytes().all(|byte| byte.is_ascii_digit()) && value.len() < 10;
    let orders = [
        DateOrder::Auto,
        DateOrder::DayMonthYear,
        DateOrder::MonthDayYear,
    ];
    let reads = |order: &DateOrder| {
        let form = DateForm {
            order: *order,
            offset_ms: 0,
            min_ms: 631_152_000_000,
        };
        form.read(value).is_ok()
    };
    orders.into_iter().find(reads).filter(|_| !is_short_number)
}

impl ColumnSample {
    /// Returns true if nine of ten values, or all of fewer, look so.
    fn looks(&self, look: ValueLook) -> bool {
        let right = self.values.iter().filter(|value| look.is_of(value)).count();
        right * 10 >= self.values.len() * 9
    }

    fn example(&self) -> String {
        let Some(value) = self.values.first() else {
            return String::new();
        };
        let mut shown: String = value.chars().take(EXAMPLE_CHARS).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        format!("; the first is {}", quoted(&shown))
    }

    /// The order of the numbers of dates, where it must be named, and why it is that.
    fn date_order(&self) -> Option<(&'static str, String)> {
        let needs_order = self
            .values
            .iter()
            .any(|value| order_of(value).is_some_and(|order| order != DateOrder::Auto));
        if !needs_order {
            return None;
        }
        let first = |at: usize| {
            let is_large = |value: &&String| {
                let parts: Vec<_> = value.split(['/', '-', ' ']).collect();
                parts
                    .get(at)
                    .and_then(|part| part.parse::<u8>().ok())
                    .is_some_and(|number| number > 12)
            };
            self.values.iter().find(is_large)
        };
        Some(match (first(0), first(1)) {
            (Some(day), _) => (
                "day/month/year",
                format!("The day is first: one of the dates is {}.", quoted(day)),
            ),
            (None, Some(day)) => (
                "month/day/year",
                format!("The month is first: one of the dates is {}.", quoted(day)),
            ),
            (None, None) => (
                "day/month/year",
                "No date says whether its day or its month is first: check it.".to_owned(),
            ),
        })
    }
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for one in text.chars() {
        match one {
            '"' | '\\' => out.extend(['\\', one]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            one if one.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(one));
            }
            one => out.push(one),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shops::mapping::Mapping;
    use proptest::prelude::*;
    use std::io::Write;

    fn usable(inspection: &Inspection) -> Result<Mapping, String> {
        Mapping::parse(&inspection.mapping)
    }

    fn inspected(bytes: &[u8]) -> Result<Inspection, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("our reviews.csv");
        std::fs::File::create(&path)
            .unwrap()
            .write_all(bytes)
            .unwrap();
        inspect(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn columns_are_known_by_name_or_by_values() {
        let text = "Stars;When;Product;Says;Who;Contact;\"odd \"\"col\"\"\"\n\
                    5;25/12/2020;scarf;\"<p>Warm</p>\";Ana;ana@example.org;x\n\
                    4;01/02/2021;hat;;Bo;bo@example.org;\n";
        let found = inspected(text.as_bytes()).unwrap();
        assert_eq!(
            (found.vendor, found.missing.as_slice()),
            (None, [].as_slice())
        );
        let text = &found.mapping;
        for line in [
            "rows = \"reviews\"",
            "separator = \";\"",
            "date = \"day/month/year\"",
            "rating = \"Stars\"",
            "date = \"When\"",
            "product = \"Product\"",
            "reviewer_email = \"Contact\"",
            "# It is called otherwise, but its 2 values are dates; the first is \"25/12/2020\"",
            "# Not used: \"Says\"; the first is \"<p>Warm</p>\"",
            "# Not used: \"odd \\\"col\\\"\"; the first is \"x\"",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        usable(&found).unwrap();
    }

    #[test]
    fn a_vendor_is_known_by_its_columns() {
        let header = "title,body,rating,review_date,source,curated,reviewer_name,reviewer_email,product_id,product_handle,reply\n";
        let found = inspected(header.replace(',', "\t").as_bytes()).unwrap();
        assert_eq!(found.vendor, Some(Vendor::Judgeme));
        let mapping = usable(&found).unwrap();
        assert_eq!(
            (mapping.name(), mapping.file.separator),
            ("judgeme", Some('\t'))
        );
    }

    #[test]
    fn what_no_column_looks_like_is_left_to_the_user() {
        let found = inspected(b"rating,text\n5,fine\n").unwrap();
        assert_eq!(found.missing, ["date", "product"]);
        assert!(
            found
                .mapping
                .contains("# No column looks like date, and it is needed: name one.")
        );
        assert!(
            usable(&found)
                .unwrap_err()
                .contains("fields.date is missing")
        );
        let found =
            inspected(b"sku,title,price,stock\nA,Scarf,\"19,90 \xe2\x82\xac\",4\n").unwrap();
        assert!(
            found.mapping.contains("rows = \"products\"")
                && found.mapping.contains("decimal = \",\""),
            "{}",
            found.mapping
        );
        usable(&found).unwrap();
    }

    #[test]
    fn an_encoding_that_must_be_named_is() {
        let found = inspected(b"rating,date,sku,name\n5,2020-01-01,a,\xc5sa\n").unwrap();
        assert!(
            found.mapping.contains("encoding = \"windows-1252\""),
            "{}",
            found.mapping
        );
        assert!(found.mapping.contains("Åsa"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'\n'), Just(b'1')], 0..300)) {
            if let Ok(found) = inspected(&bytes) && found.missing.is_empty() {
                prop_assert_eq!(usable(&found).err(), None);
            }
        }
    }
}
