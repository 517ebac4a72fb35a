//! The catalogue side: products with their features, styles with photos and skus, relations.
//!
//! Must not know reviews or the store. Invariants: products ascend in each of the three streams;
//! styles and skus ascend by id, photos and relations keep the file's order.

use crate::CatalogueSink;
use crate::error::Error;
use crate::join::{Cursor, Group, Joining};
use crate::progress::Progress;
use crate::rows::{Feature, Product, Sku, Style, StylePhoto, unpack_number};
use crate::sort::{Rows, Sorted};

/// The six catalogue files, sorted.
#[derive(Default)]
pub(crate) struct CatalogueFiles {
    pub(crate) products: Sorted,
    pub(crate) features: Sorted,
    pub(crate) related: Sorted,
    pub(crate) styles: Sorted,
    pub(crate) style_owners: Sorted,
    pub(crate) skus: Sorted,
    pub(crate) photos: Sorted,
}

/// Puts the catalogue files together.
pub(crate) fn put_together(
    files: &CatalogueFiles,
    joining: Joining<'_>,
    progress: &Progress,
    sink: &mut dyn CatalogueSink,
) -> Result<(), Error> {
    let mut tell = Tell { progress, rows: 0 };
    send_products(files, joining, &mut tell, sink)?;
    send_related(files, joining, &mut tell, sink)?;
    send_styles(files, joining, &mut tell, sink)?;
    progress.add_written(tell.rows);
    Ok(())
}

/// Tells the progress now and then.
struct Tell<'a> {
    progress: &'a Progress,
    rows: u64,
}

impl Tell<'_> {
    const ROWS: u64 = 4096;

    fn add(&mut self, rows: usize) -> Result<(), Error> {
        self.rows += rows as u64;
        if self.rows < Self::ROWS {
            return Ok(());
        }
        self.progress.add_written(std::mem::take(&mut self.rows));
        if self.progress.stopped() {
            return Err(Error::Interrupted);
        }
        Ok(())
    }
}

fn send_products(
    files: &CatalogueFiles,
    joining: Joining<'_>,
    tell: &mut Tell<'_>,
    sink: &mut dyn CatalogueSink,
) -> Result<(), Error> {
    let mut products = joining.cursor(&files.products)?;
    let mut features = joining.cursor(&files.features)?;
    let mut group = Group::default();
    while let Some(product) = products.product() {
        group.clear();
        take_group(&mut features, product, &mut group)?;
        let rows = group.all().map(|(_, packed)| Feature::unpack(packed));
        let rows: Vec<_> = rows.collect();
        sink.product(product, &Product::unpack(products.packed()), &rows)
            .map_err(Error::Sink)?;
        tell.add(1 + rows.len())?;
        products.advance()?;
    }
    Ok(())
}

fn send_related(
    files: &CatalogueFiles,
    joining: Joining<'_>,
    tell: &mut Tell<'_>,
    sink: &mut dyn CatalogueSink,
) -> Result<(), Error> {
    let mut related = joining.cursor(&files.related)?;
    let mut group = Group::default();
    while let Some(product) = related.product() {
        group.clear();
        take_group(&mut related, product, &mut group)?;
        let ids: Vec<_> = group
            .all()
            .map(|(_, packed)| unpack_number(packed))
            .collect();
        sink.related(product, &ids).map_err(Error::Sink)?;
        tell.add(ids.len())?;
    }
    Ok(())
}

fn send_styles(
    files: &CatalogueFiles,
    joining: Joining<'_>,
    tell: &mut Tell<'_>,
    sink: &mut dyn CatalogueSink,
) -> Result<(), Error> {
    let in_order = products_ascend(&files.style_owners, joining)?;
    let mut styles = joining.cursor(&files.styles)?;
    let mut skus = joining.with_product(&files.skus, &files.style_owners, in_order)?;
    let mut photos = joining.with_product(&files.photos, &files.style_owners, in_order)?;
    let mut kept = [Group::default(), Group::default(), Group::default()];
    while let Some(product) = styles.product() {
        let [styles_kept, skus_kept, photos_kept] = &mut kept;
        styles_kept.clear();
        skus_kept.clear();
        photos_kept.clear();
        // Where the skus and photos of each style end.
        let mut ends = Vec::new();
        while let Some([of, style, _]) = styles.key() {
            if of != product {
                break;
            }
            styles_kept.push(style, styles.packed());
            take_children(&mut skus, product, style, skus_kept)?;
            take_children(&mut photos, product, style, photos_kept)?;
            ends.push((skus_kept.len(), photos_kept.len()));
            styles.advance()?;
        }
        let mut from = (0, 0);
        let mut rows = Vec::with_capacity(ends.len());
        for ((id, packed), to) in styles_kept.all().zip(ends) {
            let skus = skus_kept.rows(from.0, to.0);
            let photos = photos_kept.rows(from.1, to.1);
            rows.push(StyleRow {
                id,
                style: Style::unpack(packed),
                skus: skus.map(|(id, packed)| Sku::unpack(id, packed)).collect(),
                photos: photos
                    .map(|(_, packed)| StylePhoto::unpack(packed))
                    .collect(),
            });
            from = to;
        }
        tell.add(rows.len() + skus_kept.len() + photos_kept.len())?;
        sink.styles(product, rows).map_err(Error::Sink)?;
    }
    Ok(())
}

/// A style with its photos and skus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyleRow<'a> {
    /// Its id.
    pub id: u64,
    /// What styles.csv says of it.
    pub style: Style<'a>,
    /// Its photos, in the file's order.
    pub photos: Vec<StylePhoto<'a>>,
    /// Its skus, ids ascending.
    pub skus: Vec<Sku<'a>>,
}

fn products_ascend(owners: &Sorted, joining: Joining<'_>) -> Result<bool, Error> {
    let mut owners = owners.merge(joining.memory)?;
    let mut before = 0;
    while let Some((_, packed)) = owners.next()? {
        let product = unpack_number(packed);
        if product < before {
            return Ok(false);
        }
        before = product;
    }
    Ok(true)
}

/// Takes all rows of a product.
fn take_group(rows: &mut Cursor, product: u64, group: &mut Group) -> Result<(), Error> {
    while let Some([of, own, _]) = rows.key() {
        if of != product {
            break;
        }
        group.push(own, rows.packed());
        rows.advance()?;
    }
    Ok(())
}

/// Takes all rows of a parent.
fn take_children(
    rows: &mut Cursor,
    product: u64,
    parent: u64,
    group: &mut Group,
) -> Result<(), Error> {
    while rows.is_of(product, parent) {
        let own = rows.key().map_or(0, |key| key[2]);
        group.push(own, rows.packed());
        rows.advance()?;
    }
    Ok(())
}
