//! One physical line of a CSV file, cut into fields.
//!
//! Must not know which file it is. Invariants: a line is a row, whatever its quotes say; a field
//! knows whether it was quoted, since `null` is null and `"null"` a word.

use std::borrow::Cow;

use memchr::memchr;

/// More columns than any of the files has; further fields are only counted.
pub(crate) const FIELDS_MAX: usize = 24;

/// One field of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Field<'a> {
    /// Without the outer quotes, inner ones still doubled.
    raw: &'a str,
    /// True if it stood in quotes.
    quoted: bool,
    /// True if quotes in it are doubled.
    doubled: bool,
}

impl<'a> Field<'a> {
    /// The text, with doubled quotes made single.
    pub(crate) fn text(self) -> Cow<'a, str> {
        if self.doubled {
            Cow::Owned(self.raw.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// The bare value of a number, a boolean or a date; quotes around it are forgiven.
    pub(crate) fn bare(self) -> &'a str {
        self.raw
    }

    /// Returns true if this is the bare word `null`, or nothing at all.
    pub(crate) fn is_null(self) -> bool {
        !self.quoted && (self.raw.is_empty() || self.raw == "null")
    }
}

/// The fields of one line.
#[derive(Debug, Default)]
pub(crate) struct CsvRow<'a> {
    fields: [Field<'a>; FIELDS_MAX],
    /// The number of fields, those past [`FIELDS_MAX`] included.
    pub(crate) count: usize,
    /// The last field's closing quote was missing, and has been assumed.
    pub(crate) repaired: bool,
}

impl<'a> CsvRow<'a> {
    /// The field at a position; an empty one past the end.
    pub(crate) fn field(&self, position: usize) -> Field<'a> {
        self.fields.get(position).copied().unwrap_or_default()
    }

    fn push(&mut self, field: Field<'a>) {
        if let Some(place) = self.fields.get_mut(self.count) {
            *place = field;
        }
        self.count += 1;
    }
}

/// Text between a closing quote and the next comma.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AfterQuote {
    /// The field's position, from 0.
    pub(crate) field: usize,
}

/// Cuts a line, without its line end, into fields.
pub(crate) fn split(text: &str) -> Result<CsvRow<'_>, AfterQuote> {
    let mut line = CsvRow::default();
    let mut rest = text;
    loop {
        let start = rest.trim_start_matches([' ', '\t']);
        let after = if let Some(inner) = start.strip_prefix('"') {
            let (field, after) = quoted(inner, &mut line.repaired);
            line.push(field);
            let after = after.trim_start_matches([' ', '\t']);
            if !after.is_empty() && !after.starts_with(',') {
                let field = line.count - 1;
                return Err(AfterQuote { field });
            }
            after
        } else {
            let end = memchr(b',', start.as_bytes()).unwrap_or(start.len());
            let (raw, after) = start.split_at(end);
            line.push(Field {
                raw: raw.trim_end_matches([' ', '\t']),
                ..Field::default()
            });
            after
        };
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(line),
        }
    }
}

/// The field whose opening quote has been read, and what follows its closing quote.
fn quoted<'a>(inner: &'a str, repaired: &mut bool) -> (Field<'a>, &'a str) {
    let bytes = inner.as_bytes();
    let mut from = 0;
    let mut doubled = false;
    let field = |end: usize, doubled| Field {
        raw: inner.get(..end).unwrap_or_default(),
        quoted: true,
        doubled,
    };
    while let Some(found) = memchr(b'"', bytes.get(from..).unwrap_or_default()) {
        let quote = from + found;
        if bytes.get(quote + 1) != Some(&b'"') {
            let after = inner.get(quote + 1..).unwrap_or_default();
            return (field(quote, doubled), after);
        }
        doubled = true;
        from = quote + 2;
    }
    *repaired = true;
    (field(inner.len(), doubled), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<String> {
        let line = split(text).unwrap();
        (0..line.count)
            .map(|at| line.field(at).text().into_owned())
            .collect()
    }

    #[test]
    fn commas_and_doubled_quotes_inside_quotes_are_text() {
        assert_eq!(texts(r#"1,"a, ""b""",2"#), ["1", r#"a, "b""#, "2"]);
    }

    #[test]
    fn spaces_are_trimmed_outside_of_quotes_only() {
        assert_eq!(
            texts(r#"id, name ,  " x " , 140 "#),
            ["id", "name", " x ", "140"]
        );
    }

    #[test]
    fn a_missing_last_quote_is_repaired_and_said() {
        let line = split(r#"5,"https://example.org/a?b=1"#).unwrap();
        assert!(line.repaired);
        assert_eq!(line.count, 2);
        assert_eq!(line.field(1).text(), "https://example.org/a?b=1");
    }

    #[test]
    fn a_missing_quote_before_the_last_field_leaves_too_few_fields() {
        assert_eq!(
            split(r#"5,"one,"two""#).err(),
            Some(AfterQuote { field: 1 })
        );
        assert_eq!(split(r#"5,"one,2,3"#).unwrap().count, 2);
    }

    #[test]
    fn null_is_null_only_when_bare() {
        let line = split(r#"null,"null",,"""#).unwrap();
        let nulls: Vec<bool> = (0..4).map(|at| line.field(at).is_null()).collect();
        assert_eq!(nulls, [true, false, true, false]);
    }

    #[test]
    fn fields_past_the_last_column_are_counted() {
        assert_eq!(split(&",".repeat(99)).unwrap().count, 100);
    }

    proptest! {
        #[test]
        fn well_formed_rows_read_as_the_csv_crate_reads_them(
            row in prop::collection::vec("[^\r\n]{0,12}", 1..12)
        ) {
            let mut writer = csv::WriterBuilder::new()
                .quote_style(csv::QuoteStyle::Always)
                .from_writer(Vec::new());
            writer.write_record(&row).unwrap();
            let bytes = writer.into_inner().unwrap();
            let text = std::str::from_utf8(&bytes).unwrap().trim_end_matches('\n');
            prop_assert_eq!(texts(text), row);
        }

        #[test]
        fn any_line_is_cut_without_panic(text in ".{0,80}") {
            let _ = split(&text);
        }
    }
}
