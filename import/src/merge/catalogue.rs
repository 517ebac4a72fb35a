//! The catalogue's files, product by product: the product with its features, relations and styles at once.
//!
//! Must not know reviews or the store. Invariants: a product comes once, with all of its rows; skus and photos
//! whose style has no row in styles.csv come with that style's id alone.

use super::{MergeSink, ProductRows, StyleRows};
use crate::catalogue::CatalogueFiles;
use crate::error::Error;
use crate::join::{Cursor, JoinContext, JoinProgress, RowGroup, products_ascend};
use crate::progress::ImportProgress;
use crate::rows::unpack_number;
use crate::values::{FeatureRow, ProductRow, SkuRow, StylePhotoRow, StyleRow};

/// Hands the products over.
pub(super) fn hand_over(
    files: &CatalogueFiles,
    joining: JoinContext<'_>,
    progress: &ImportProgress,
    sink: &mut dyn MergeSink,
) -> Result<(), Error> {
    let owners = &files.style_owners;
    let in_order = products_ascend(owners, joining, progress, |_, _| Ok(()))?;
    let mut sides = CatalogueSides {
        products: joining.cursor(&files.products)?,
        features: joining.cursor(&files.features)?,
        related: joining.cursor(&files.related)?,
        styles: joining.cursor(&files.styles)?,
        skus: joining.with_product(&files.skus, owners, in_order, progress)?,
        photos: joining.with_product(&files.photos, owners, in_order, progress)?,
    };
    let mut kept = ProductGroups::default();
    let mut tell = JoinProgress::new(progress);
    while let Some(product) = sides.next_product() {
        kept.take(&mut sides, product)?;
        let (rows, count) = kept.rows();
        sink.product(product, &rows).map_err(Error::Sink)?;
        tell.add(count)?;
    }
    tell.finish();
    Ok(())
}

/// The files, each at its next row.
struct CatalogueSides {
    products: Cursor,
    features: Cursor,
    related: Cursor,
    styles: Cursor,
    skus: Cursor,
    photos: Cursor,
}

impl CatalogueSides {
    fn next_product(&self) -> Option<u64> {
        let sides = [
            &self.products,
            &self.features,
            &self.related,
            &self.styles,
            &self.skus,
            &self.photos,
        ];
        sides.into_iter().filter_map(Cursor::product).min()
    }

    /// The next style of a product that any file has a row of.
    fn next_style(&self, product: u64) -> Option<u64> {
        let sides = [&self.styles, &self.skus, &self.photos];
        let keys = sides.into_iter().filter_map(Cursor::key);
        let of_it = keys.filter(|[of, ..]| *of == product);
        of_it.map(|[_, style, _]| style).min()
    }
}

/// The rows of one product.
#[derive(Default)]
struct ProductGroups {
    product: RowGroup,
    features: RowGroup,
    related: RowGroup,
    styles: RowGroup,
    skus: RowGroup,
    photos: RowGroup,
    ends: Vec<StyleEnd>,
}

/// The ends of a style's rows among those of its product.
struct StyleEnd {
    id: u64,
    styles: usize,
    skus: usize,
    photos: usize,
}

impl ProductGroups {
    fn take(&mut self, sides: &mut CatalogueSides, product: u64) -> Result<(), Error> {
        for group in [
            &mut self.product,
            &mut self.features,
            &mut self.related,
            &mut self.styles,
            &mut self.skus,
            &mut self.photos,
        ] {
            group.clear();
        }
        self.ends.clear();
        self.product.take_product(&mut sides.products, product)?;
        self.features.take_product(&mut sides.features, product)?;
        self.related.take_product(&mut sides.related, product)?;
        while let Some(style) = sides.next_style(product) {
            let row = sides.styles.key();
            if row.is_some_and(|[of, id, _]| (of, id) == (product, style)) {
                self.styles.push(style, sides.styles.packed());
                sides.styles.advance()?;
            }
            self.skus.take_children(&mut sides.skus, product, style)?;
            let photos = &mut sides.photos;
            self.photos.take_children(photos, product, style)?;
            self.ends.push(StyleEnd {
                id: style,
                styles: self.styles.len(),
                skus: self.skus.len(),
                photos: self.photos.len(),
            });
        }
        Ok(())
    }

    /// The rows, and their number.
    fn rows(&self) -> (ProductRows<'_>, usize) {
        let mut rows = ProductRows::default();
        let mut product = self.product.all();
        rows.product = product.next().map(|(_, packed)| ProductRow::unpack(packed));
        let features = self.features.all();
        rows.features = features
            .map(|(_, packed)| FeatureRow::unpack(packed))
            .collect();
        let related = self.related.all();
        rows.related = related.map(|(_, packed)| unpack_number(packed)).collect();
        let (mut styles, mut skus, mut photos) = (0, 0, 0);
        for end in &self.ends {
            let mut style = self.styles.rows(styles, end.styles);
            let of_skus = self.skus.rows(skus, end.skus);
            let of_photos = self.photos.rows(photos, end.photos);
            rows.styles.push(StyleRows {
                id: end.id,
                style: style.next().map(|(_, packed)| StyleRow::unpack(packed)),
                photos: of_photos
                    .map(|(_, packed)| StylePhotoRow::unpack(packed))
                    .collect(),
                skus: of_skus
                    .map(|(id, packed)| SkuRow::unpack(id, packed))
                    .collect(),
            });
            (styles, skus, photos) = (end.styles, end.skus, end.photos);
        }
        let groups = [&self.product, &self.features, &self.related];
        let counted: usize = groups.into_iter().map(RowGroup::len).sum();
        (rows, counted + styles + skus + photos)
    }
}
