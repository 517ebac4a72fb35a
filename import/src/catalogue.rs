//! The catalogue side: products with their features, styles with photos and skus, relations.
//!
//! Must not know reviews or the store. Invariants: products ascend in each of the three streams;
//! styles and skus ascend by id, photos and relations keep the file's order.

use crate::CatalogueSink;
use crate::error::Error;
use crate::join::{JoinContext, JoinProgress, RowGroup, products_ascend};
use crate::progress::ImportProgress;
use crate::rows::unpack_number;
use crate::sort::Sorted;
use crate::values::{FeatureRow, ProductRow, SkuRow, StylePhotoRow, StyleRow};

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
    joining: JoinContext<'_>,
    progress: &ImportProgress,
    sink: &mut dyn CatalogueSink,
) -> Result<(), Error> {
    let mut tell = JoinProgress::new(progress);
    send_products(files, joining, &mut tell, sink)?;
    send_related(files, joining, &mut tell, sink)?;
    send_styles(files, joining, progress, &mut tell, sink)?;
    tell.finish();
    Ok(())
}

fn send_products(
    files: &CatalogueFiles,
    joining: JoinContext<'_>,
    tell: &mut JoinProgress<'_>,
    sink: &mut dyn CatalogueSink,
) -> Result<(), Error> {
    let mut products = joining.cursor(&files.products)?;
    let mut features = joining.cursor(&files.features)?;
    let mut group = RowGroup::default();
    while let Some(product) = products.product() {
        group.clear();
        group.take_product(&mut features, product)?;
        let rows = group.all().map(|(_, packed)| FeatureRow::unpack(packed));
        let rows: Vec<_> = rows.collect();
        sink.product(product, &ProductRow::unpack(products.packed()), &rows)
            .map_err(Error::Sink)?;
        tell.add(1 + rows.len())?;
        products.advance()?;
    }
    Ok(())
}

fn send_related(
    files: &CatalogueFiles,
    joining: JoinContext<'_>,
    tell: &mut JoinProgress<'_>,
    sink: &mut dyn CatalogueSink,
) -> Result<(), Error> {
    let mut related = joining.cursor(&files.related)?;
    let mut group = RowGroup::default();
    while let Some(product) = related.product() {
        group.clear();
        group.take_product(&mut related, product)?;
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
    joining: JoinContext<'_>,
    progress: &ImportProgress,
    tell: &mut JoinProgress<'_>,
    sink: &mut dyn CatalogueSink,
) -> Result<(), Error> {
    let owners = &files.style_owners;
    let in_order = products_ascend(owners, joining, progress, |_, _| Ok(()))?;
    let mut styles = joining.cursor(&files.styles)?;
    let mut skus = joining.with_product(&files.skus, owners, in_order, progress)?;
    let mut photos = joining.with_product(&files.photos, owners, in_order, progress)?;
    let mut kept = [
        RowGroup::default(),
        RowGroup::default(),
        RowGroup::default(),
    ];
    while let Some(product) = styles.product() {
        let [styles_kept, skus_kept, photos_kept] = &mut kept;
        styles_kept.clear();
        skus_kept.clear();
        photos_kept.clear();
        // The end of the skus and of the photos of each style.
        let mut ends = Vec::new();
        while let Some([of, style, _]) = styles.key() {
            if of != product {
                break;
            }
            styles_kept.push(style, styles.packed());
            skus_kept.take_children(&mut skus, product, style)?;
            photos_kept.take_children(&mut photos, product, style)?;
            ends.push((skus_kept.len(), photos_kept.len()));
            styles.advance()?;
        }
        let mut from = (0, 0);
        let mut rows = Vec::with_capacity(ends.len());
        for ((id, packed), to) in styles_kept.all().zip(ends) {
            let skus = skus_kept.rows(from.0, to.0);
            let photos = photos_kept.rows(from.1, to.1);
            rows.push(FullStyle {
                id,
                style: StyleRow::unpack(packed),
                skus: skus
                    .map(|(id, packed)| SkuRow::unpack(id, packed))
                    .collect(),
                photos: photos
                    .map(|(_, packed)| StylePhotoRow::unpack(packed))
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
pub struct FullStyle<'a> {
    /// Its id.
    pub id: u64,
    /// The style's own columns, from styles.csv.
    pub style: StyleRow<'a>,
    /// Its photos, in the file's order.
    pub photos: Vec<StylePhotoRow<'a>>,
    /// Its skus, ids ascending.
    pub skus: Vec<SkuRow<'a>>,
}
