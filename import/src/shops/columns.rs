//! A mapping bound to the header of a file: where each field stands in a row.
//!
//! Must not know what fields mean. Invariant: a field that no column gives has a default, which is reported, or
//! the mapping does not fit the file.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::forms::ValueForms;
use super::html;
use super::mapping::{FieldSource, IfMissing, Mapping, spelled};

/// A row's texts by their columns.
pub(crate) trait RowTexts {
    /// The text of a column; an empty one where there is none.
    fn text(&self, column: usize) -> &str;
}

/// A mapping for one file.
pub(crate) struct BoundMapping {
    pub(crate) forms: ValueForms,
    fields: BTreeMap<&'static str, BoundField>,
    filters: Vec<RowFilter>,
    /// The columns of an option's name and of its value.
    pub(crate) options: Vec<(usize, usize)>,
    /// The names of options that are sizes, in small letters.
    pub(crate) sizes: Vec<String>,
    /// Values that are no option, in small letters.
    pub(crate) no_options: Vec<String>,
    /// Columns and the features that they become.
    pub(crate) features: Vec<(usize, String)>,
    /// The fields that no column gives, and their defaults.
    pub(crate) defaults: Vec<String>,
    /// The columns that are used.
    pub(crate) columns_used: usize,
}

/// The position of a field.
#[derive(Clone)]
pub(crate) struct BoundField {
    columns: Vec<(usize, String)>,
    default: Option<String>,
    html: bool,
    line_feed: Option<String>,
    first_of: Option<String>,
    pub(crate) rating_from: Option<u8>,
}

/// A field's text in a row, and the column that it is from.
#[derive(Clone)]
pub(crate) struct FoundText<'r> {
    pub(crate) text: Cow<'r, str>,
    pub(crate) column: &'r str,
}

/// Rows that are passed over.
struct RowFilter {
    column: usize,
    name: String,
    /// In small letters.
    values: Vec<String>,
    /// True if rows with another value are passed over.
    is_only: bool,
}

impl BoundMapping {
    /// Binds a mapping; the error names the field that the header lacks.
    pub(crate) fn of(mapping: &Mapping, header: &[String]) -> Result<Self, String> {
        let names: Vec<String> = header.iter().map(|name| spelled(name)).collect();
        let position = |name: &String| {
            let wanted = spelled(name);
            names.iter().position(|name| *name == wanted)
        };
        let mut fields = BTreeMap::new();
        let mut defaults = Vec::new();
        for rule in mapping.rows.fields() {
            let source = mapping.fields.get(rule.name).map(FieldSource::full);
            let source = source.unwrap_or_default();
            let found = source.columns.iter().filter_map(|name| {
                let at = position(name)?;
                Some((at, header.get(at)?.clone()))
            });
            let columns: Vec<_> = found.collect();
            let is_missing = columns.is_empty();
            let default = source.default.or(match rule.missing {
                IfMissing::Text(text) => Some(text.to_owned()),
                _ => None,
            });
            if is_missing && default.is_none() && rule.missing == IfMissing::Needed {
                let wanted: Vec<_> = source
                    .columns
                    .iter()
                    .map(|name| format!("{name:?}"))
                    .collect();
                return Err(format!(
                    "no column {} for {}",
                    wanted.join(" or "),
                    rule.name
                ));
            }
            if is_missing && rule.missing != IfMissing::Other {
                defaults.push(match (source.rating_from, default.as_deref()) {
                    (Some(stars), _) => format!("{}: true from {stars} stars on", rule.name),
                    (None, Some("")) => format!("{}: empty", rule.name),
                    (None, Some(text)) => format!("{}: {text}", rule.name),
                    (None, None) => format!("{}: none", rule.name),
                });
            }
            let field = BoundField {
                columns,
                default,
                html: source.html,
                line_feed: source.line_feed,
                first_of: source.first_of,
                rating_from: source.rating_from,
            };
            fields.insert(rule.name, field);
        }
        let is_bound = |name| fields.get(name).is_some_and(BoundField::is_bound);
        if !is_bound("product") && !is_bound("product_id") {
            return Err("no column for product or product_id".to_owned());
        }
        let filters = [(&mapping.skip, false), (&mapping.only, true)];
        let filters = filters.into_iter().flat_map(|(columns, is_only)| {
            columns.iter().filter_map(move |(name, values)| {
                Some(RowFilter {
                    column: position(name)?,
                    name: name.clone(),
                    values: lower(values),
                    is_only,
                })
            })
        });
        let options = mapping.variants.options.iter();
        let options = options.filter_map(|(name, value)| position(name).zip(position(value)));
        let features = mapping.features.iter();
        let features =
            features.filter_map(|(column, name)| Some((position(column)?, name.clone())));
        Ok(Self {
            forms: mapping.values()?,
            columns_used: fields.values().map(|field| field.columns.len()).sum(),
            filters: filters.collect(),
            options: options.collect(),
            sizes: lower(&mapping.variants.size),
            no_options: lower(&mapping.variants.none),
            features: features.collect(),
            defaults,
            fields,
        })
    }

    /// Returns the position of a field.
    pub(crate) fn field(&self, name: &str) -> BoundField {
        self.fields.get(name).cloned().unwrap_or(BoundField {
            columns: Vec::new(),
            default: None,
            html: false,
            line_feed: None,
            first_of: None,
            rating_from: None,
        })
    }

    /// The reason for which a row is passed over, if there is one.
    pub(crate) fn passed_over(&self, row: &impl RowTexts) -> Option<String> {
        self.filters.iter().find_map(|filter| {
            let text = row.text(filter.column).trim().to_lowercase();
            let is_listed = filter.values.contains(&text);
            if filter.is_only {
                let values = filter.values.join(" or ");
                (!is_listed && !text.is_empty())
                    .then(|| format!("{} is not {values:?}", filter.name))
            } else {
                is_listed.then(|| format!("{} is {text:?}", filter.name))
            }
        })
    }
}

impl BoundField {
    /// Returns true if a column gives it.
    pub(crate) fn is_bound(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The name of its column, or its own where it has none.
    pub(crate) fn column<'f>(&'f self, name: &'f str) -> &'f str {
        self.columns.first().map_or(name, |(_, column)| column)
    }

    /// The text of a row: of the first column that has one, or the default.
    pub(crate) fn find<'r>(
        &'r self,
        row: &'r impl RowTexts,
        forms: &ValueForms,
    ) -> Option<FoundText<'r>> {
        let mut columns = self.columns.iter();
        let found = columns.find_map(|(at, column)| {
            let text = row.text(*at);
            (!forms.is_empty(text)).then_some((text, column.as_str()))
        });
        let (text, column) = match found {
            Some(found) => found,
            None => (self.default.as_deref()?, self.column("")),
        };
        let text = match &self.first_of {
            Some(end) => text
                .split_once(end.as_str())
                .map_or(text, |(first, _)| first)
                .trim(),
            None => text,
        };
        let text = match &self.line_feed {
            Some(mark) if text.contains(mark.as_str()) => Cow::Owned(text.replace(mark, "\n")),
            _ => Cow::Borrowed(text),
        };
        let text = match text {
            text if !self.html => text,
            Cow::Borrowed(text) => html::words(text),
            Cow::Owned(text) => Cow::Owned(html::words(&text).into_owned()),
        };
        Some(FoundText { text, column })
    }

    /// The texts of a row in all of its columns.
    pub(crate) fn all<'r>(&'r self, row: &'r impl RowTexts) -> impl Iterator<Item = &'r str> {
        self.columns.iter().map(|(at, _)| row.text(*at))
    }
}

fn lower(words: &[String]) -> Vec<String> {
    words
        .iter()
        .map(|word| word.trim().to_lowercase())
        .collect()
}
