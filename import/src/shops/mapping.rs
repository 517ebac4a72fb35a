//! Mappings: the column that each field of a review or a product comes from, as a small TOML.
//!
//! Owns the form of the file and the mappings of the vendors. Must not know rows. Invariant: a mapping
//! that was read names no field that its kind of rows does not have, and lacks none without which no row
//! can be stored.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use encoding_rs::Encoding;
use serde::Deserialize;

use super::forms::{DateForm, DateOrder, ValueForms, offset_ms};
use crate::error::Error;

/// The vendors whose exports have mappings of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// Products of Shopify.
    Shopify,
    /// Reviews of Judge.me.
    Judgeme,
    /// Products and reviews of WooCommerce.
    Woocommerce,
    /// Reviews of Yotpo.
    Yotpo,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Shopify, Self::Judgeme, Self::Woocommerce, Self::Yotpo];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shopify => "shopify",
            Self::Judgeme => "judgeme",
            Self::Woocommerce => "woocommerce",
            Self::Yotpo => "yotpo",
        }
    }

    /// The texts of its mappings, which a user may copy and change.
    #[must_use]
    pub const fn texts(self) -> &'static [&'static str] {
        match self {
            Self::Shopify => &[include_str!("../../mappings/shopify.toml")],
            Self::Judgeme => &[include_str!("../../mappings/judgeme.toml")],
            Self::Woocommerce => &[
                include_str!("../../mappings/woocommerce.toml"),
                include_str!("../../mappings/woocommerce-reviews.toml"),
            ],
            Self::Yotpo => &[
                include_str!("../../mappings/yotpo.toml"),
                include_str!("../../mappings/yotpo-template.toml"),
            ],
        }
    }

    /// Its mappings.
    pub fn mappings(self) -> Result<Vec<Mapping>, Error> {
        let texts = self.texts().iter();
        texts
            .map(|text| {
                let path = Path::new(self.name());
                Mapping::parse(text).map_err(|why| refuse(path, &why))
            })
            .collect()
    }
}

/// The kind of rows that a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowKind {
    /// A row is a product, a variant of one, or a picture of one.
    Products,
    /// A row is a review.
    Reviews,
}

/// The treatment of a field that no column gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// No row can be stored without it.
    Needed,
    /// Another field does as well.
    Other,
    /// The field has this text.
    Text(&'static str),
    /// The field has no value.
    Nothing,
}

/// A field that rows of a kind have.
pub(crate) struct FieldRule {
    pub(crate) name: &'static str,
    pub(crate) missing: IfMissing,
}

const fn field(name: &'static str, missing: IfMissing) -> FieldRule {
    FieldRule { name, missing }
}

impl RowKind {
    /// The fields of its rows.
    pub(crate) const fn fields(self) -> &'static [FieldRule] {
        use IfMissing::{Needed, Nothing, Other, Text};
        match self {
            Self::Reviews => {
                &const {
                    [
                        field("id", Other),
                        field("product", Other),
                        field("product_id", Other),
                        field("rating", Needed),
                        field("date", Needed),
                        field("summary", Text("")),
                        field("body", Text("")),
                        field("recommend", Text("true")),
                        field("reported", Text("false")),
                        field("reviewer_name", Text("")),
                        field("reviewer_email", Text("")),
                        field("response", Nothing),
                        field("helpfulness", Text("0")),
                        field("photos", Nothing),
                    ]
                }
            }
            Self::Products => {
                &const {
                    [
                        field("product", Other),
                        field("product_id", Other),
                        field("parent", Other),
                        field("name", Needed),
                        field("slogan", Text("")),
                        field("description", Text("")),
                        field("category", Text("")),
                        field("price", Text("0")),
                        field("compare_at_price", Nothing),
                        field("sale_price", Nothing),
                        field("sku_id", Other),
                        field("quantity", Text("0")),
                        field("in_stock", Text("true")),
                        field("photos", Nothing),
                        field("variant_photo", Nothing),
                        field("related", Nothing),
                    ]
                }
            }
        }
    }
}

/// A mapping of a file's columns.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The name that the report calls it by.
    pub(crate) name: String,
    pub(crate) rows: RowKind,
    #[serde(default)]
    pub(crate) file: FileForm,
    #[serde(default)]
    values: ValueSettings,
    /// Values of columns whose rows are skipped.
    #[serde(default)]
    pub(crate) skip: BTreeMap<String, Vec<String>>,
    /// Values of columns beside which all rows are skipped.
    #[serde(default)]
    pub(crate) only: BTreeMap<String, Vec<String>>,
    pub(crate) fields: BTreeMap<String, FieldSource>,
    #[serde(default)]
    pub(crate) variants: VariantForm,
    /// Columns of products, and the features that they become.
    #[serde(default)]
    pub(crate) features: BTreeMap<String, String>,
}

/// The form of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileForm {
    /// The character between fields; found out where there is none.
    pub(crate) separator: Option<char>,
    /// The label of an encoding; UTF-8 where there is none, or what a byte order mark says.
    pub(crate) encoding: Option<String>,
}

/// The forms of values, as a mapping gives them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ValueSettings {
    #[serde(rename = "true")]
    yes: Vec<String>,
    #[serde(rename = "false")]
    no: Vec<String>,
    empty: Vec<String>,
    list: Vec<String>,
    decimal: char,
    date: String,
    date_min: String,
    utc_offset: String,
}

impl Default for ValueSettings {
    fn default() -> Self {
        let all = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            yes: all(&["true", "yes", "y", "t", "1", "on"]),
            no: all(&["false", "no", "n", "f", "0", "off"]),
            empty: Vec::new(),
            list: all(&[",", ";", "|"]),
            decimal: '.',
            date: "auto".to_owned(),
            date_min: "1990-01-01".to_owned(),
            utc_offset: "+00:00".to_owned(),
        }
    }
}

/// The options of variants.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VariantForm {
    /// The column of an option's name, and that of its value.
    pub(crate) options: Vec<(String, String)>,
    /// Names of options that are sizes.
    pub(crate) size: Vec<String>,
    /// Values that stand for no option.
    pub(crate) none: Vec<String>,
}

/// The source of a field.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum FieldSource {
    /// A column.
    Column(String),
    /// Columns, of which the first that is not empty counts.
    Columns(Vec<String>),
    /// A source with further settings.
    Full(FullSource),
}

/// The source of a field, in full.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FullSource {
    pub(crate) column: Option<String>,
    pub(crate) columns: Vec<String>,
    /// The text where the columns are empty or missing.
    pub(crate) default: Option<String>,
    /// True if the text is HTML, of which only the text is stored.
    pub(crate) html: bool,
    /// A text that stands for a line break, as `\\n` does in files of WooCommerce.
    pub(crate) line_feed: Option<String>,
    /// If set, only the text before its first occurrence is stored.
    pub(crate) first_of: Option<String>,
    /// For `recommend`: the stars from which it is true, where the columns say nothing.
    pub(crate) rating_from: Option<u8>,
}

impl FieldSource {
    /// The source in full, its columns all in one list.
    pub(crate) fn full(&self) -> FullSource {
        match self {
            Self::Column(column) => FullSource {
                columns: vec![column.clone()],
                ..FullSource::default()
            },
            Self::Columns(columns) => FullSource {
                columns: columns.clone(),
                ..FullSource::default()
            },
            Self::Full(full) => {
                let columns = full.column.iter().chain(&full.columns);
                FullSource {
                    column: None,
                    columns: columns.cloned().collect(),
                    ..full.clone()
                }
            }
        }
    }
}

impl Mapping {
    /// Reads a mapping from a file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::read(path))?;
        Self::parse(&text).map_err(|why| refuse(path, &why))
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mapping: Self = toml::from_str(text).map_err(|e| one_line(&e))?;
        mapping.check()?;
        Ok(mapping)
    }

    fn check(&self) -> Result<(), String> {
        let rules = self.rows.fields();
        for (name, source) in &self.fields {
            if !rules.iter().any(|rule| rule.name == name) {
                let names: Vec<_> = rules.iter().map(|rule| rule.name).collect();
                return Err(format!(
                    "fields.{name} is no field of {}; these are: {}",
                    self.rows,
                    names.join(", ")
                ));
            }
            let source = source.full();
            if source.columns.is_empty() && source.default.is_none() && source.rating_from.is_none()
            {
                return Err(format!(
                    "fields.{name} names neither a column nor a default"
                ));
            }
            if source.rating_from.is_some() && name != "recommend" {
                return Err(format!("fields.{name}: rating_from is for recommend alone"));
            }
        }
        let is_given = |name: &str| self.fields.contains_key(name);
        for rule in rules {
            if rule.missing == IfMissing::Needed && !is_given(rule.name) {
                return Err(format!("fields.{} is missing, and is needed", rule.name));
            }
        }
        if !is_given("product") && !is_given("product_id") {
            return Err(
                "fields.product and fields.product_id are missing, and one of them is needed"
                    .to_owned(),
            );
        }
        self.encoding()?;
        self.values().map(|_| ())
    }

    /// The encoding that it names.
    pub(crate) fn encoding(&self) -> Result<Option<&'static Encoding>, String> {
        let Some(label) = &self.file.encoding else {
            return Ok(None);
        };
        let found = Encoding::for_label(label.as_bytes());
        found.map(Some).ok_or_else(|| {
            format!("file.encoding is {label:?}, which is no encoding; utf-8, utf-16le and windows-1252 are some")
        })
    }

    /// The forms of its values.
    pub(crate) fn values(&self) -> Result<ValueForms, String> {
        let ValueSettings {
            yes,
            no,
            empty,
            list,
            decimal,
            date,
            date_min,
            utc_offset,
        } = &self.values;
        let lower = |words: &[String]| words.iter().map(|word| word.to_lowercase()).collect();
        let order = DateOrder::named(date)
            .ok_or_else(|| format!("values.date is {date:?}; it may be {}", DateOrder::names()))?;
        let offset_ms = offset_ms(utc_offset).ok_or_else(|| {
            format!("values.utc_offset is {utc_offset:?}; it is written as in +01:00")
        })?;
        let any = DateForm {
            order,
            offset_ms,
            min_ms: i64::MIN,
        };
        let min_ms = any
            .read(date_min)
            .map_err(|why| format!("values.date_min {why}"))?;
        Ok(ValueForms {
            yes: lower(yes),
            no: lower(no),
            empty: lower(empty),
            list: list.iter().filter(|one| !one.is_empty()).cloned().collect(),
            decimal: *decimal,
            date: DateForm { min_ms, ..any },
        })
    }
}

impl fmt::Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Products => "products",
            Self::Reviews => "reviews",
        })
    }
}

/// A name in the form in which names of columns are compared: in any case, and with any separator between
/// words.
pub(crate) fn spelled(name: &str) -> String {
    let words = name.split(|one: char| !one.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.collect::<String>().to_lowercase()
}

fn refuse(path: &Path, why: &str) -> Error {
    Error::Refused {
        path: path.to_owned(),
        why: format!("the mapping is not usable: {why}"),
    }
}

/// The message of an error, which TOML gives with the text around it, as one line.
fn one_line(error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', ", ");
    if message.contains("untagged enum FieldSource") {
        return "a field is a column (\"title\"), columns ([\"a\", \"b\"]) or a table of column, columns, \
                default, html, line_feed, first_of and rating_from"
            .to_owned();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "name = \"x\"\nrows = \"reviews\"\n[fields]\nproduct = \"p\"\nrating = \"r\"\ndate = \"d\"\n";

    #[test]
    fn the_mappings_of_all_vendors_are_usable() {
        for vendor in Vendor::ALL {
            let mappings = vendor.mappings().unwrap();
            assert!(
                mappings
                    .iter()
                    .all(|one| one.name.starts_with(vendor.name()))
            );
        }
    }

    #[test]
    fn a_wrong_mapping_is_refused_in_one_sentence() {
        assert!(Mapping::parse(SMALLEST).is_ok());
        for (from, to, why) in [
            ("date = \"d\"", "", "fields.date is missing, and is needed"),
            (
                "product = \"p\"",
                "",
                "fields.product and fields.product_id are missing",
            ),
            (
                "rows = \"reviews\"",
                "rows = \"orders\"",
                "unknown variant `orders`",
            ),
            (
                "rating =",
                "ratings =",
                "fields.ratings is no field of reviews",
            ),
            (
                "\"r\"",
                "{ html = true }",
                "fields.rating names neither a column nor a default",
            ),
            (
                "\"r\"",
                "{ rating_from = 4 }",
                "rating_from is for recommend alone",
            ),
            ("\"r\"", "5", "a field is a column"),
            (
                "[fields]",
                "[file]\nencoding = \"klingon\"\n[fields]",
                "no encoding",
            ),
            (
                "[fields]",
                "[file]\nquote = \"'\"\n[fields]",
                "unknown field `quote`",
            ),
            (
                "[fields]",
                "[values]\ndate = \"backwards\"\n[fields]",
                "it may be auto",
            ),
            (
                "[fields]",
                "[values]\nutc_offset = \"noon\"\n[fields]",
                "as in +01:00",
            ),
            (
                "[fields]",
                "[values]\ndate_min = \"never\"\n[fields]",
                "values.date_min is not a date",
            ),
        ] {
            let text = SMALLEST.replacen(from, to, 1);
            let found = Mapping::parse(&text).unwrap_err();
            assert!(
                found.contains(why) && !found.contains('\n'),
                "{text}: {found}"
            );
        }
    }

    #[test]
    fn names_of_columns_are_compared_without_case_and_punctuation() {
        assert_eq!(spelled("Body (HTML)"), spelled("body_html"));
        assert_eq!(spelled(" Größe "), spelled("GRÖSSE").replace("ss", "ß"));
        assert_ne!(spelled("Option1 Name"), spelled("Option2 Name"));
    }
}
