//! The template of Judge.me's import: a row a review.
//!
//! Owns the columns. Must not know where rows come from. Invariants: a reported review is left out, since
//! it would be shown there; a file that is imported again gives equal reviews but for the fields that the
//! template has no column for.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::model::calendar::timestamp;
use crate::model::{ProductId, Review};
use crate::store::rows::Row;

use super::files::{self, ExportFile};
use super::{LeftOut, Sink};

const HEADER: &[u8] = b"title,body,rating,review_date,reviewer_name,reviewer_email,product_id,product_handle,reply,picture_urls\n";

/// The file.
pub(super) struct JudgemeFile {
    reviews: ExportFile,
    handles: BTreeMap<u64, String>,
    line: Vec<u8>,
    left_out: LeftOut,
}

impl JudgemeFile {
    /// Begins the file in a directory.
    pub(super) fn create(dir: &Path, handles: BTreeMap<u64, String>) -> io::Result<Self> {
        let mut reviews = ExportFile::create(dir, "judgeme.csv")?;
        reviews.head(HEADER)?;
        Ok(Self {
            reviews,
            handles,
            line: Vec::new(),
            left_out: LeftOut::default(),
        })
    }

    fn review(&mut self, product: ProductId, review: &Review<'_>) -> io::Result<()> {
        if !review.is_published() {
            self.left_out.count(review.state);
            return Ok(());
        }
        let photos = review.photos.iter();
        // A comma stands between two of them.
        let photos = photos.map(|photo| photo.url.replace(',', "%2C"));
        let photos: Vec<_> = photos.collect();
        let handle = self.handles.get(&product.0).map_or("", String::as_str);
        let fields = [
            review.summary,
            review.body,
            &review.rating.to_string(),
            &moment(review.date_ms),
            review.reviewer_name,
            review.reviewer_email,
            &product.0.to_string(),
            handle,
            review.response.unwrap_or_default(),
            &photos.join(","),
        ];
        self.line.clear();
        for (at, field) in fields.into_iter().enumerate() {
            if at > 0 {
                self.line.push(b',');
            }
            quote(field, &mut self.line);
        }
        self.line.push(b'\n');
        self.reviews.row(&self.line)
    }
}

impl Sink for JudgemeFile {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        match row {
            Row::Review(product, _, review) => self.review(*product, review),
            _ => Ok(()),
        }
    }

    fn finish(self: Box<Self>) -> io::Result<(BTreeMap<String, u64>, u64)> {
        files::finish([self.reviews])
    }

    fn left_out(&self) -> Option<String> {
        self.left_out.sentence()
    }
}

/// A field of a CSV, in quotes where it needs them.
fn quote(field: &str, line: &mut Vec<u8>) {
    if !field.contains(['"', ',', '\n', '\r']) {
        line.extend_from_slice(field.as_bytes());
        return;
    }
    line.push(b'"');
    line.extend_from_slice(field.replace('"', "\"\"").as_bytes());
    line.push(b'"');
}

/// A moment such as `2021-03-17 13:28:37 UTC`, with milliseconds where there are some.
fn moment(date_ms: i64) -> String {
    let text = timestamp(date_ms).replacen('T', " ", 1);
    let text = text.trim_end_matches('Z');
    format!("{} UTC", text.strip_suffix(".000").unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_milliseconds_only_where_there_are_some() {
        assert_eq!(moment(1_615_987_717_000), "2021-03-17 13:28:37 UTC");
        assert_eq!(moment(1_615_987_717_620), "2021-03-17 13:28:37.620 UTC");
    }

    #[test]
    fn fields_are_quoted_where_they_need_it() {
        let mut line = Vec::new();
        for field in ["plain", "a, b", "say \"so\"", "two\nlines"] {
            quote(field, &mut line);
            line.push(b'|');
        }
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text, "plain|\"a, b\"|\"say \"\"so\"\"\"|\"two\nlines\"|");
    }
}
