//! JSON, an object a line: for other programs than this one.
//!
//! Owns the names of the files and of their fields. Must not know where rows come from. Invariant: a
//! line is a whole object, and says everything that the store has of what it is about.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::model::Style;
use crate::model::record::FullReview;
use crate::store::rows::Row;

use super::Sink;
use super::files::{self, ExportFile};

/// The files.
pub(super) struct JsonlFiles {
    reviews: ExportFile,
    characteristics: ExportFile,
    products: ExportFile,
    styles: ExportFile,
    related: ExportFile,
    line: Vec<u8>,
}

impl JsonlFiles {
    /// Begins all files in a directory.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            reviews: ExportFile::create(dir, "reviews.jsonl")?,
            characteristics: ExportFile::create(dir, "characteristics.jsonl")?,
            products: ExportFile::create(dir, "products.jsonl")?,
            styles: ExportFile::create(dir, "styles.jsonl")?,
            related: ExportFile::create(dir, "related.jsonl")?,
            line: Vec::new(),
        })
    }
}

impl Sink for JsonlFiles {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let line = &mut self.line;
        match row {
            Row::Review(product, id, review) => put(
                &mut self.reviews,
                line,
                &FullReview::of(*product, *id, review),
            ),
            Row::Summary(product, summary) => {
                let mut all = summary.characteristics.iter();
                all.try_for_each(|one| {
                    let object = json!({"id": one.id, "product_id": product.0, "name": one.name});
                    put(&mut self.characteristics, line, &object)
                })
            }
            Row::Product(id, product) => {
                let features = product.features.iter();
                let features =
                    features.map(|one| json!({"feature": one.feature, "value": one.value}));
                let object = json!({
                    "id": id.0,
                    "name": product.name,
                    "slogan": product.slogan,
                    "description": product.description,
                    "category": product.category,
                    "default_price": product.default_price,
                    "features": features.collect::<Vec<_>>(),
                });
                put(&mut self.products, line, &object)
            }
            Row::Styles(product, styles) => {
                let styles: Vec<Value> = styles.iter().map(style).collect();
                let object = json!({"product_id": product.0, "styles": styles});
                put(&mut self.styles, line, &object)
            }
            Row::Related(product, related) => {
                let related: Vec<u64> = related.iter().map(|product| product.0).collect();
                let object = json!({"product_id": product.0, "related": related});
                put(&mut self.related, line, &object)
            }
        }
    }

    fn finish(self: Box<Self>) -> io::Result<(BTreeMap<String, u64>, u64)> {
        let all = [
            self.reviews,
            self.characteristics,
            self.products,
            self.styles,
            self.related,
        ];
        files::finish(all)
    }
}

fn put(to: &mut ExportFile, line: &mut Vec<u8>, object: &impl Serialize) -> io::Result<()> {
    line.clear();
    serde_json::to_writer(&mut *line, object)?;
    line.push(b'\n');
    to.row(line)
}

fn style(style: &Style<'_>) -> Value {
    let photos = style.photos.iter();
    let photos =
        photos.map(|photo| json!({"url": photo.url, "thumbnail_url": photo.thumbnail_url}));
    let skus = style.skus.iter();
    let skus = skus.map(|sku| json!({"id": sku.id, "size": sku.size, "quantity": sku.quantity}));
    json!({
        "id": style.id,
        "name": style.name,
        "original_price": style.original_price,
        "sale_price": style.sale_price,
        "default": style.default,
        "photos": photos.collect::<Vec<_>>(),
        "skus": skus.collect::<Vec<_>>(),
    })
}
