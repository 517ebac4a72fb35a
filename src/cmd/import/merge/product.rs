//! A product of the store with what the files have of it.
//!
//! Must not know how rows are read or changes sent. Invariants: a file that is not given changes nothing of its
//! rows; a row with an id of its own goes only where its file is given and no longer has it, and that is asked
//! for.

use std::collections::{BTreeMap, BTreeSet};

use reviewsd_import::{File, ProductRow, ProductRows, SkuRow, StyleRow, StyleRows};

use crate::model::{Feature, Product, ProductId, Sku, Style, StylePhoto};

use super::tally::{GivenFiles, Tallies};

/// A product as the store has it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ProductInStore<'a> {
    pub(super) product: Option<Product<'a>>,
    pub(super) styles: Vec<Style<'a>>,
    pub(super) related: Vec<ProductId>,
}

/// The outcome for a product, and for the rows of the files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MergedProduct<'a> {
    /// It is, or becomes, so.
    There(ProductInStore<'a>),
    /// It goes.
    Gone,
    /// No file and no store has the product that the rows are of.
    Orphaned,
}

/// The files that are given, and the styles that they have of other products than before.
#[derive(Clone, Copy)]
pub(super) struct MergeRules<'r> {
    pub(super) given: GivenFiles,
    /// Returns true if styles.csv has a row of this style.
    pub(super) has_style: &'r dyn Fn(u64) -> bool,
}

/// Merges what the files have into what the store has.
pub(super) fn merge<'a>(
    rules: MergeRules<'_>,
    rows: &ProductRows<'a>,
    stored: &ProductInStore<'a>,
) -> (MergedProduct<'a>, Tallies) {
    let given = rules.given;
    let mut tallies = Tallies::default();
    if let Some(product) = &stored.product
        && rows.product.is_none()
        && given.prunes(File::Products)
    {
        count_gone(&mut tallies, product, stored);
        return (MergedProduct::Gone, tallies);
    }
    let Some(own) = own(rows, stored) else {
        let is_there = stored != &ProductInStore::default();
        let merged = if is_there || has_none(rows) {
            // Styles or relations of a product that is not in the catalogue are not the files' affair.
            MergedProduct::There(stored.clone())
        } else {
            MergedProduct::Orphaned
        };
        return (merged, tallies);
    };
    if rows.product.is_some() {
        let before = stored.product.as_ref().map(without_features);
        tallies.row(File::Products, before, Some(without_features(&own)));
    }
    let product = Product {
        features: features(given, rows, stored, &mut tallies),
        ..own
    };
    let mut related: Vec<_> = rows.related.iter().copied().map(ProductId).collect();
    if given.replaces(File::Related, &related) {
        tallies.list(File::Related, &stored.related, &related);
    } else {
        related.clone_from(&stored.related);
    }
    let merged = ProductInStore {
        product: Some(product),
        styles: styles(rules, rows, stored, &mut tallies),
        related,
    };
    (MergedProduct::There(merged), tallies)
}

impl ProductInStore<'_> {
    /// Keeps only those of its skus that the product has in the store, so that others can be given to the products
    /// that they move to.
    pub(super) fn keep_skus_of(&mut self, stored: &Self) {
        let skus = stored.styles.iter().flat_map(|style| &style.skus);
        let own: BTreeSet<u64> = skus.map(|sku| sku.id).collect();
        for style in &mut self.styles {
            style.skus.retain(|sku| own.contains(&sku.id));
        }
    }
}

fn has_none(rows: &ProductRows<'_>) -> bool {
    rows.features.is_empty() && rows.related.is_empty() && rows.styles.is_empty()
}

/// The product without its features, from the file if it has the product.
fn own<'a>(rows: &ProductRows<'a>, stored: &ProductInStore<'a>) -> Option<Product<'a>> {
    let stored = stored.product.as_ref().map(without_features);
    rows.product.map(product_of).or(stored)
}

fn product_of(row: ProductRow<'_>) -> Product<'_> {
    Product {
        name: row.name,
        slogan: row.slogan,
        description: row.description,
        category: row.category,
        default_price: row.default_price,
        features: Vec::new(),
    }
}

fn without_features<'a>(product: &Product<'a>) -> Product<'a> {
    Product {
        features: Vec::new(),
        ..*product
    }
}

fn features<'a>(
    given: GivenFiles,
    rows: &ProductRows<'a>,
    stored: &ProductInStore<'a>,
    tallies: &mut Tallies,
) -> Vec<Feature<'a>> {
    let before = stored.product.as_ref();
    let before = before.map_or(&[] as &[_], |product| &product.features);
    if !given.replaces(File::Features, &rows.features) {
        return before.to_vec();
    }
    let filed = rows.features.iter().map(|row| Feature {
        feature: row.feature,
        value: row.value,
    });
    let filed: Vec<_> = filed.collect();
    tallies.list(File::Features, before, &filed);
    filed
}

fn styles<'a>(
    rules: MergeRules<'_>,
    rows: &ProductRows<'a>,
    stored: &ProductInStore<'a>,
    tallies: &mut Tallies,
) -> Vec<Style<'a>> {
    let before: BTreeMap<_, _> = stored.styles.iter().map(|one| (one.id, one)).collect();
    let filed: BTreeMap<_, _> = rows.styles.iter().map(|one| (one.id, one)).collect();
    let ids: BTreeSet<u64> = before.keys().chain(filed.keys()).copied().collect();
    let merged = ids.into_iter().filter_map(|id| {
        let (before, filed) = (before.get(&id).copied(), filed.get(&id).copied());
        style(rules, id, before, filed, tallies)
    });
    merged.collect()
}

fn style<'a>(
    rules: MergeRules<'_>,
    id: u64,
    before: Option<&Style<'a>>,
    filed: Option<&StyleRows<'a>>,
    tallies: &mut Tallies,
) -> Option<Style<'a>> {
    let given = rules.given;
    let row = filed.and_then(|filed| filed.style);
    let row = row.map(|row| style_of(id, row));
    if row.is_none() && (given.prunes(File::Styles) || (rules.has_style)(id)) {
        if let Some(before) = before {
            count_style_gone(tallies, before);
        }
        return None;
    }
    let own_before = before.map(alone);
    if row.is_some() {
        tallies.row(File::Styles, own_before.as_ref(), row.as_ref());
    }
    let mut style = row.or(own_before)?;
    let (photos, skus) = before.map_or((&[] as &[_], &[] as &[_]), |one| (&one.photos, &one.skus));
    let filed_photos = filed.map_or(&[] as &[_], |filed| &filed.photos);
    style.photos = if given.replaces(File::StylePhotos, filed_photos) {
        let filed = filed_photos.iter().map(|row| StylePhoto {
            url: row.url,
            thumbnail_url: row.thumbnail_url,
        });
        let filed: Vec<_> = filed.collect();
        tallies.list(File::StylePhotos, photos, &filed);
        filed
    } else {
        photos.to_vec()
    };
    style.skus = self::skus(given, skus, filed.map_or(&[], |filed| &filed.skus), tallies);
    Some(style)
}

fn style_of(id: u64, row: StyleRow<'_>) -> Style<'_> {
    Style {
        id,
        name: row.name,
        original_price: row.original_price,
        sale_price: row.sale_price,
        default: row.default,
        photos: Vec::new(),
        skus: Vec::new(),
    }
}

/// A style without its photos and skus.
fn alone<'a>(style: &Style<'a>) -> Style<'a> {
    Style {
        photos: Vec::new(),
        skus: Vec::new(),
        ..*style
    }
}

fn skus<'a>(
    given: GivenFiles,
    before: &[Sku<'a>],
    filed: &[SkuRow<'a>],
    tallies: &mut Tallies,
) -> Vec<Sku<'a>> {
    let filed = filed.iter().map(|row| Sku {
        id: row.id,
        size: row.size,
        quantity: row.quantity,
    });
    let filed: BTreeMap<_, _> = filed.map(|sku| (sku.id, sku)).collect();
    let before: BTreeMap<_, _> = before.iter().map(|sku| (sku.id, *sku)).collect();
    for (id, sku) in &filed {
        tallies.row(File::Skus, before.get(id), Some(sku));
    }
    let mut merged = filed;
    for (id, sku) in before {
        if given.prunes(File::Skus) {
            if !merged.contains_key(&id) {
                tallies.row(File::Skus, Some(sku), None);
            }
        } else {
            merged.entry(id).or_insert(sku);
        }
    }
    merged.into_values().collect()
}

fn count_gone(tallies: &mut Tallies, product: &Product<'_>, stored: &ProductInStore<'_>) {
    tallies.row(File::Products, Some(()), None);
    tallies.list(File::Features, &product.features, &[]);
    tallies.list(File::Related, &stored.related, &[]);
    for style in &stored.styles {
        count_style_gone(tallies, style);
    }
}

fn count_style_gone(tallies: &mut Tallies, style: &Style<'_>) {
    tallies.row(File::Styles, Some(()), None);
    tallies.list(File::Skus, &style.skus, &[]);
    tallies.list(File::StylePhotos, &style.photos, &[]);
}

#[cfg(test)]
mod tests;
