//! The ten CSV files, as `reviewsd import` reads them.
//!
//! Owns what becomes of a row in which file. Must not know where rows come from. Invariants: a line is
//! a row, whatever a text holds; rows that the store has no id for are numbered in its order, which is the
//! order that an import gives them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use reviewsd_import::{File, escape};

use crate::model::{Product, ProductId, Review, ReviewId, Style, Summary};
use crate::store::rows::Row;

use super::files::{self, ExportFile};
use super::{LeftOut, Sink};

/// The files, each with the line at hand.
pub(super) struct CsvFiles {
    reviews: ExportFile,
    photos: ExportFile,
    ratings: ExportFile,
    characteristics: ExportFile,
    catalogue: Option<(ExportFile, ExportFile)>,
    styles: ExportFile,
    skus: ExportFile,
    style_photos: ExportFile,
    related: ExportFile,
    line: CsvLine,
    left_out: LeftOut,
}

impl CsvFiles {
    /// Begins all files in a directory; those of products only where there are any.
    pub(super) fn create(dir: &Path, has_catalogue: bool) -> io::Result<Self> {
        let create = |file: File| {
            let mut rows = ExportFile::create(dir, file.name())?;
            rows.head((file.columns().join(",") + "\n").as_bytes())?;
            Ok::<_, io::Error>(rows)
        };
        let catalogue = if has_catalogue {
            Some((create(File::Products)?, create(File::Features)?))
        } else {
            None
        };
        Ok(Self {
            reviews: create(File::Reviews)?,
            photos: create(File::ReviewPhotos)?,
            ratings: create(File::Ratings)?,
            characteristics: create(File::Characteristics)?,
            catalogue,
            styles: create(File::Styles)?,
            skus: create(File::Skus)?,
            style_photos: create(File::StylePhotos)?,
            related: create(File::Related)?,
            line: CsvLine::default(),
            left_out: LeftOut::default(),
        })
    }

    fn review(&mut self, product: ProductId, id: ReviewId, review: &Review<'_>) -> io::Result<()> {
        if !review.state.is_counted() {
            // An import would publish it.
            self.left_out.count(review.state);
            return Ok(());
        }
        let line = &mut self.line;
        line.number(id.0).number(product.0);
        line.number(review.rating.into())
            .bare(&review.date_ms.to_string());
        line.text(review.summary).text(review.body);
        line.flag(review.recommend).flag(!review.is_published());
        line.text(review.reviewer_name).text(review.reviewer_email);
        line.nullable(review.response);
        line.number(review.helpfulness.into());
        line.write(&mut self.reviews)?;
        for photo in &review.photos {
            line.number(photo.id).number(id.0).text(photo.url);
            line.write(&mut self.photos)?;
        }
        for rating in &review.ratings {
            line.number(self.ratings.count() + 1);
            line.number(rating.characteristic_id).number(id.0);
            line.number(rating.value.into());
            line.write(&mut self.ratings)?;
        }
        Ok(())
    }

    fn summary(&mut self, product: ProductId, summary: &Summary<'_>) -> io::Result<()> {
        for characteristic in &summary.characteristics {
            let line = &mut self.line;
            line.number(characteristic.id).number(product.0);
            line.text(characteristic.name);
            line.write(&mut self.characteristics)?;
        }
        Ok(())
    }

    fn product(&mut self, id: ProductId, product: &Product<'_>) -> io::Result<()> {
        let Some((products, features)) = &mut self.catalogue else {
            return Err(io::Error::other(
                "a catalogue was imported during the export",
            ));
        };
        let line = &mut self.line;
        line.number(id.0);
        for text in [
            product.name,
            product.slogan,
            product.description,
            product.category,
        ] {
            line.text(text);
        }
        line.bare(product.default_price);
        line.write(products)?;
        for feature in &product.features {
            line.number(features.count() + 1).number(id.0);
            line.text(feature.feature).nullable(feature.value);
            line.write(features)?;
        }
        Ok(())
    }

    fn style(&mut self, product: ProductId, style: &Style<'_>) -> io::Result<()> {
        let line = &mut self.line;
        line.number(style.id).number(product.0).text(style.name);
        line.bare(style.sale_price.unwrap_or("null"));
        line.bare(style.original_price);
        line.number(style.default.into());
        line.write(&mut self.styles)?;
        for sku in &style.skus {
            line.number(sku.id).number(style.id);
            line.text(sku.size).number(sku.quantity);
            line.write(&mut self.skus)?;
        }
        for photo in &style.photos {
            line.number(self.style_photos.count() + 1).number(style.id);
            line.text(photo.url).text(photo.thumbnail_url);
            line.write(&mut self.style_photos)?;
        }
        Ok(())
    }

    fn related(&mut self, product: ProductId, related: &[ProductId]) -> io::Result<()> {
        for to in related {
            let line = &mut self.line;
            line.number(self.related.count() + 1);
            line.number(product.0).number(to.0);
            line.write(&mut self.related)?;
        }
        Ok(())
    }
}

impl Sink for CsvFiles {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        match row {
            Row::Review(product, id, review) => self.review(*product, *id, review),
            Row::Summary(product, summary) => self.summary(*product, summary),
            Row::Product(id, product) => self.product(*id, product),
            Row::Styles(product, styles) => styles
                .iter()
                .try_for_each(|style| self.style(*product, style)),
            Row::Related(product, related) => self.related(*product, related),
        }
    }

    fn left_out(&self) -> Option<String> {
        self.left_out.sentence()
    }

    fn finish(self: Box<Self>) -> io::Result<(BTreeMap<String, u64>, u64)> {
        let catalogue = self.catalogue.into_iter();
        let catalogue = catalogue.flat_map(|(products, features)| [products, features]);
        let others = [
            self.reviews,
            self.photos,
            self.ratings,
            self.characteristics,
            self.styles,
            self.skus,
            self.style_photos,
            self.related,
        ];
        files::finish(others.into_iter().chain(catalogue))
    }
}

/// A line on its way. Each ends with a line end, so that rows can be added behind the last.
#[derive(Default)]
struct CsvLine {
    bytes: Vec<u8>,
}

impl CsvLine {
    fn number(&mut self, number: u64) -> &mut Self {
        self.bare(itoa::Buffer::new().format(number))
    }

    fn flag(&mut self, flag: bool) -> &mut Self {
        self.bare(if flag { "true" } else { "false" })
    }

    /// A field without quotes.
    fn bare(&mut self, field: &str) -> &mut Self {
        if !self.bytes.is_empty() {
            self.bytes.push(b',');
        }
        self.bytes.extend_from_slice(field.as_bytes());
        self
    }

    /// A text, in quotes.
    fn text(&mut self, text: &str) -> &mut Self {
        self.bare("\"");
        escape(text, &mut self.bytes);
        self.bytes.push(b'"');
        self
    }

    /// A text, or `null`, which in quotes is a word.
    fn nullable(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.bare("null"),
        }
    }

    fn write(&mut self, to: &mut ExportFile) -> io::Result<()> {
        self.bytes.push(b'\n');
        let written = to.row(&self.bytes);
        self.bytes.clear();
        written
    }
}
