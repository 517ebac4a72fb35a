//! The ten files: their names, their columns, and which file holds whose parents.
//!
//! Must not know what fields mean. Invariant: columns are found by the header's names, so their
//! order and spelling (`productId`, `product_id`) do not matter, and a column that is missing is
//! named.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::line::{CsvRow, FIELDS_MAX};

/// One of the ten files, in the order in which they are read: parents first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// `product.csv`
    Products,
    /// `reviews.csv`
    Reviews,
    /// `characteristics.csv`
    Characteristics,
    /// `reviews_photos.csv`
    ReviewPhotos,
    /// `characteristic_reviews.csv`
    Ratings,
    /// `styles.csv`
    Styles,
    /// `skus.csv`
    Skus,
    /// `photos.csv`
    StylePhotos,
    /// `features.csv`
    Features,
    /// `related.csv`
    Related,
}

impl File {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Products,
        Self::Reviews,
        Self::Characteristics,
        Self::ReviewPhotos,
        Self::Ratings,
        Self::Styles,
        Self::Skus,
        Self::StylePhotos,
        Self::Features,
        Self::Related,
    ];

    /// Its name; older exports' names after it.
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Products => &["product.csv"],
            Self::Reviews => &["reviews.csv"],
            Self::Characteristics => &["characteristics.csv"],
            Self::ReviewPhotos => &["reviews_photos.csv"],
            Self::Ratings => &["characteristic_reviews.csv", "characteristics_reviews.csv"],
            Self::Styles => &["styles.csv"],
            Self::Skus => &["skus.csv"],
            Self::StylePhotos => &["photos.csv"],
            Self::Features => &["features.csv"],
            Self::Related => &["related.csv"],
        }
    }

    /// Its current name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.names().first().copied().unwrap_or_default()
    }

    /// Its columns, in the order of the current export.
    #[must_use]
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Products => &[
                "id",
                "name",
                "slogan",
                "description",
                "category",
                "default_price",
            ],
            Self::Reviews => &[
                "id",
                "product_id",
                "rating",
                "date",
                "summary",
                "body",
                "recommend",
                "reported",
                "reviewer_name",
                "reviewer_email",
                "response",
                "helpfulness",
            ],
            Self::Characteristics => &["id", "product_id", "name"],
            Self::ReviewPhotos => &["id", "review_id", "url"],
            Self::Ratings => &["id", "characteristic_id", "review_id", "value"],
            Self::Styles => &[
                "id",
                "productId",
                "name",
                "sale_price",
                "original_price",
                "default_style",
            ],
            Self::Skus => &["id", "styleId", "size", "quantity"],
            Self::StylePhotos => &["id", "styleId", "url", "thumbnail_url"],
            Self::Features => &["id", "product_id", "feature", "value"],
            Self::Related => &["id", "current_product_id", "related_product_id"],
        }
    }

    /// The files without which its rows would all be orphans.
    pub(crate) const fn needs(self) -> &'static [Self] {
        match self {
            Self::ReviewPhotos => &[Self::Reviews],
            Self::Ratings => &[Self::Reviews, Self::Characteristics],
            Self::Skus | Self::StylePhotos => &[Self::Styles],
            Self::Features => &[Self::Products],
            _ => &[],
        }
    }

    /// The files that its rows name rows of.
    pub(crate) const fn parents(self) -> &'static [Self] {
        match self {
            Self::Products => &[],
            Self::Reviews
            | Self::Characteristics
            | Self::Styles
            | Self::Features
            | Self::Related => &[Self::Products],
            Self::ReviewPhotos => &[Self::Reviews],
            Self::Ratings => &[Self::Reviews, Self::Characteristics],
            Self::Skus | Self::StylePhotos => &[Self::Styles],
        }
    }

    /// Returns its path in a directory, under any of its names; `None` when it is not there.
    pub(crate) fn find(self, dir: &Path) -> Result<Option<PathBuf>, Error> {
        let mut found = None;
        for name in self.names() {
            let path = dir.join(name);
            match path.symlink_metadata() {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                // A file that cannot be looked up may still exist.
                Err(e) => return Err(Error::read(&path)(e)),
                Ok(_) => {}
            }
            if let Some(other) = found.replace(path.clone()) {
                return Err(Error::Twice {
                    one: other,
                    other: path,
                });
            }
        }
        Ok(found)
    }
}

/// The places of a file's columns in its lines.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// For each of [`File::columns`], the field's position in a line.
    positions: Vec<usize>,
    /// The number of fields in a line.
    pub(crate) count: usize,
}

impl Columns {
    /// Reads the columns off a file's first line. The second value says whether that line was a
    /// header: older exports of features.csv have none.
    pub(crate) fn of(file: File, path: &Path, first: &CsvRow<'_>) -> Result<(Self, bool), Error> {
        let names = file.columns();
        let starts_with_number = first.field(0).bare().parse::<u64>().is_ok();
        if file == File::Features && starts_with_number && first.count == names.len() {
            let columns = Self {
                positions: (0..names.len()).collect(),
                count: names.len(),
            };
            return Ok((columns, false));
        }
        let header = |why| Error::Header {
            path: path.to_owned(),
            why,
        };
        let expected = names.join(",");
        if starts_with_number {
            return Err(header(format!(
                "this is a row, not a header; put the line `{expected}` before it"
            )));
        }
        if first.count > FIELDS_MAX {
            return Err(header(format!("{} columns are too many", first.count)));
        }
        let found: Vec<String> = (0..first.count)
            .map(|at| spelled(&first.field(at).text()))
            .collect();
        let position = |name: &&str| {
            let at = found.iter().position(|column| *column == spelled(name));
            at.ok_or_else(|| {
                header(format!(
                    "the column {name} is missing; the header must name {expected}, or --from must say which other program wrote the file"
                ))
            })
        };
        let columns = Self {
            positions: names.iter().map(position).collect::<Result<_, _>>()?,
            count: first.count,
        };
        Ok((columns, true))
    }

    /// The name of the column at a position in a line.
    pub(crate) fn name_at(&self, file: File, position: usize) -> Option<&'static str> {
        let index = self.positions.iter().position(|at| *at == position)?;
        file.columns().get(index).copied()
    }

    /// The position in a line of the column at `index` in [`File::columns`].
    pub(crate) fn position(&self, index: usize) -> usize {
        self.positions.get(index).copied().unwrap_or(usize::MAX)
    }
}

fn spelled(name: &str) -> String {
    name.trim().replace('_', "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::split;

    fn columns(file: File, first: &str) -> Result<(Columns, bool), String> {
        Columns::of(file, Path::new("x.csv"), &split(first).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn columns_are_found_in_any_order_and_spelling() {
        let (columns, header) = columns(File::Skus, "size, style_id,quantity , ID, note").unwrap();
        assert!(header);
        let positions: Vec<_> = (0..4).map(|index| columns.position(index)).collect();
        assert_eq!(positions, [3, 1, 0, 2]);
        assert_eq!(columns.count, 5);
    }

    #[test]
    fn features_may_lack_a_header_and_no_other_file_may() {
        let (_, header) = columns(File::Features, "1,1,\"Sole\",\"Rubber\"").unwrap();
        assert!(!header);
        let why = columns(File::Related, "1,1,2").unwrap_err();
        assert!(why.contains("this is a row, not a header"), "{why}");
    }

    #[test]
    fn a_missing_column_is_named() {
        let why = columns(File::Related, "id,current_product_id").unwrap_err();
        assert!(
            why.contains("the column related_product_id is missing"),
            "{why}"
        );
    }
}
