//! The review side: reviews with their photos and ratings, and the characteristics of products.
//!
//! Must not know the catalogue or the store. Invariants: owners come in review order, all of them
//! before the first review; then products ascend, each with its characteristics first and its
//! reviews by ascending id; a rating goes on only if its characteristic is one of the product's.

use crate::ReviewSink;
use crate::error::Error;
use crate::join::{Cursor, JoinContext, JoinProgress, RowGroup, products_ascend};
use crate::progress::ImportProgress;
use crate::rows::unpack_text;
use crate::sort::Sorted;
use crate::values::{CharacteristicRow, PhotoRow, RatingRow, ReviewRow};

/// The four review files, sorted.
#[derive(Default)]
pub(crate) struct ReviewFiles {
    pub(crate) reviews: Sorted,
    pub(crate) owners: Sorted,
    pub(crate) photos: Sorted,
    pub(crate) ratings: Sorted,
    pub(crate) characteristics: Sorted,
}

/// The offsets, in their file, of ratings that name a characteristic of another product than their
/// review's.
pub(crate) struct Foreign {
    pub(crate) offsets: Vec<u64>,
    /// One more than this ends the join.
    pub(crate) max: u64,
}

/// Puts the review files together.
pub(crate) fn put_together(
    files: &ReviewFiles,
    joining: JoinContext<'_>,
    progress: &ImportProgress,
    foreign: &mut Foreign,
    sink: &mut dyn ReviewSink,
) -> Result<(), Error> {
    let owners = &files.owners;
    let in_order = products_ascend(owners, joining, progress, |review, product| {
        sink.owner(review, product).map_err(Error::Sink)
    })?;
    let mut sides = Sides {
        reviews: joining.cursor(&files.reviews)?,
        characteristics: joining.cursor(&files.characteristics)?,
        photos: joining.with_product(&files.photos, owners, in_order, progress)?,
        ratings: joining.with_product(&files.ratings, owners, in_order, progress)?,
        named: RowGroup::default(),
        attached: RowGroup::default(),
        rated: RowGroup::default(),
        foreign,
        tell: JoinProgress::new(progress),
    };
    while let Some(product) = sides.next_product() {
        sides.send_product(product, sink)?;
    }
    sides.tell.finish();
    Ok(())
}

struct Sides<'a> {
    reviews: Cursor,
    characteristics: Cursor,
    photos: Cursor,
    ratings: Cursor,
    /// The characteristics of the product at hand.
    named: RowGroup,
    /// The photos of the review at hand.
    attached: RowGroup,
    /// The ratings of the review at hand.
    rated: RowGroup,
    foreign: &'a mut Foreign,
    tell: JoinProgress<'a>,
}

impl Sides<'_> {
    fn next_product(&self) -> Option<u64> {
        let products = [self.reviews.product(), self.characteristics.product()];
        products.into_iter().flatten().min()
    }

    fn send_product(&mut self, product: u64, sink: &mut dyn ReviewSink) -> Result<(), Error> {
        self.named.clear();
        self.named
            .take_product(&mut self.characteristics, product)?;
        let named = self.named.all().map(|(id, packed)| CharacteristicRow {
            id,
            name: unpack_text(packed),
        });
        let named: Vec<_> = named.collect();
        sink.product(product, &named).map_err(Error::Sink)?;
        let ids: Vec<u64> = named.iter().map(|named| named.id).collect();
        self.tell.add(ids.len())?;
        while let Some([of, review, _]) = self.reviews.key() {
            if of != product {
                break;
            }
            self.send_review(product, review, &ids, sink)?;
            self.reviews.advance()?;
        }
        Ok(())
    }

    /// Sends the review in view, of a product with these characteristics, ascending.
    fn send_review(
        &mut self,
        product: u64,
        id: u64,
        characteristics: &[u64],
        sink: &mut dyn ReviewSink,
    ) -> Result<(), Error> {
        self.attached.clear();
        self.attached.take_children(&mut self.photos, product, id)?;
        self.rated.clear();
        self.rated.take_children(&mut self.ratings, product, id)?;
        let photos = self.attached.all().map(|(id, packed)| PhotoRow {
            id,
            url: unpack_text(packed),
        });
        let photos: Vec<_> = photos.collect();
        let mut ratings = Vec::with_capacity(self.rated.len());
        for (_, packed) in self.rated.all() {
            let (rating, offset) = RatingRow::unpack(packed);
            if characteristics
                .binary_search(&rating.characteristic_id)
                .is_ok()
            {
                ratings.push(rating);
            } else {
                self.foreign.add(offset)?;
            }
        }
        let review = ReviewRow::unpack(self.reviews.packed());
        sink.review(product, id, &review, &photos, &ratings)
            .map_err(Error::Sink)?;
        self.tell.add(1 + photos.len() + ratings.len())
    }
}

impl Foreign {
    fn add(&mut self, offset: u64) -> Result<(), Error> {
        self.offsets.push(offset);
        if self.offsets.len() as u64 > self.max {
            // The caller that rejects them reports that they are too many.
            return Err(Error::Interrupted);
        }
        Ok(())
    }
}
