//! The review files, product by product: characteristics first, then each review with its photos and ratings.
//!
//! Must not know the catalogue or the store. Invariants: a review comes once, with all of its rows; photos and
//! ratings whose review has no row in reviews.csv come with that review's id alone.

use super::{MergeSink, ReviewRows};
use crate::error::Error;
use crate::join::{Cursor, JoinContext, JoinProgress, RowGroup, products_ascend};
use crate::progress::ImportProgress;
use crate::reviews::ReviewFiles;
use crate::rows::unpack_text;
use crate::values::{CharacteristicRow, PhotoRow, RatingRow, ReviewRow};

/// Hands the reviews over.
pub(super) fn hand_over(
    files: &ReviewFiles,
    joining: JoinContext<'_>,
    progress: &ImportProgress,
    sink: &mut dyn MergeSink,
) -> Result<(), Error> {
    let owners = &files.owners;
    let in_order = products_ascend(owners, joining, progress, |_, _| Ok(()))?;
    let mut sides = ReviewSides {
        reviews: joining.cursor(&files.reviews)?,
        characteristics: joining.cursor(&files.characteristics)?,
        photos: joining.with_product(&files.photos, owners, in_order, progress)?,
        ratings: joining.with_product(&files.ratings, owners, in_order, progress)?,
        named: RowGroup::default(),
        attached: RowGroup::default(),
        rated: RowGroup::default(),
        tell: JoinProgress::new(progress),
    };
    while let Some(product) = sides.next_product() {
        sides.send_product(product, sink)?;
    }
    sides.tell.finish();
    Ok(())
}

/// The files, each at its next row, and the rows at hand.
struct ReviewSides<'a> {
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
    tell: JoinProgress<'a>,
}

impl ReviewSides<'_> {
    fn next_product(&self) -> Option<u64> {
        let sides = [
            &self.reviews,
            &self.characteristics,
            &self.photos,
            &self.ratings,
        ];
        sides.into_iter().filter_map(Cursor::product).min()
    }

    /// The next review of a product that any file has a row of.
    fn next_review(&self, product: u64) -> Option<u64> {
        let sides = [&self.reviews, &self.photos, &self.ratings];
        let keys = sides.into_iter().filter_map(Cursor::key);
        let of_it = keys.filter(|[of, ..]| *of == product);
        of_it.map(|[_, review, _]| review).min()
    }

    fn send_product(&mut self, product: u64, sink: &mut dyn MergeSink) -> Result<(), Error> {
        self.named.clear();
        self.named
            .take_product(&mut self.characteristics, product)?;
        let named = self.named.all().map(|(id, packed)| CharacteristicRow {
            id,
            name: unpack_text(packed),
        });
        let named: Vec<_> = named.collect();
        sink.reviewed(product, &named).map_err(Error::Sink)?;
        self.tell.add(named.len())?;
        while let Some(review) = self.next_review(product) {
            self.send_review(product, review, sink)?;
        }
        Ok(())
    }

    fn send_review(
        &mut self,
        product: u64,
        id: u64,
        sink: &mut dyn MergeSink,
    ) -> Result<(), Error> {
        self.attached.clear();
        self.attached.take_children(&mut self.photos, product, id)?;
        self.rated.clear();
        self.rated.take_children(&mut self.ratings, product, id)?;
        let row = self.reviews.key();
        let has_row = row.is_some_and(|[of, review, _]| (of, review) == (product, id));
        let photos = self.attached.all().map(|(id, packed)| PhotoRow {
            id,
            url: unpack_text(packed),
        });
        let ratings = self.rated.all();
        let rows = ReviewRows {
            review: has_row.then(|| ReviewRow::unpack(self.reviews.packed())),
            photos: photos.collect(),
            ratings: ratings
                .map(|(id, packed)| (id, RatingRow::unpack(packed).0))
                .collect(),
        };
        sink.review(product, id, &rows).map_err(Error::Sink)?;
        let count = usize::from(has_row) + rows.photos.len() + rows.ratings.len();
        if has_row {
            self.reviews.advance()?;
        }
        self.tell.add(count)
    }
}
