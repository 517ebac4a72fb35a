//! The review side: reviews with their photos and ratings, and the characteristics of products.
//!
//! Must not know the catalogue or the store. Invariants: owners come in review order, all of them
//! before the first review; then products ascend, each with its characteristics first and its
//! reviews by ascending id.

use crate::ReviewSink;
use crate::error::Error;
use crate::join::{Cursor, Group, Joining};
use crate::progress::Progress;
use crate::rows::{Characteristic, Photo, Rating, Review, unpack_number, unpack_text};
use crate::sort::{Rows, Sorted};

/// The four review files, sorted.
#[derive(Default)]
pub(crate) struct ReviewFiles {
    pub(crate) reviews: Sorted,
    pub(crate) owners: Sorted,
    pub(crate) photos: Sorted,
    pub(crate) ratings: Sorted,
    pub(crate) characteristics: Sorted,
}

/// How often progress is told, in reviews.
const PROGRESS_ROWS: u64 = 4096;

/// Puts the review files together. Gives how many ratings named a characteristic of another
/// product than their review's, and were passed over.
pub(crate) fn put_together(
    files: &ReviewFiles,
    joining: Joining<'_>,
    progress: &Progress,
    sink: &mut dyn ReviewSink,
) -> Result<u64, Error> {
    let in_order = send_owners(files, joining, sink)?;
    let mut sides = Sides {
        reviews: joining.cursor(&files.reviews)?,
        characteristics: joining.cursor(&files.characteristics)?,
        photos: joining.with_product(&files.photos, &files.owners, in_order)?,
        ratings: joining.with_product(&files.ratings, &files.owners, in_order)?,
        named: Group::default(),
        attached: Group::default(),
        foreign_ratings: 0,
        rows: 0,
    };
    while let Some(product) = sides.next_product() {
        sides.send_product(product, progress, sink)?;
    }
    progress.add_written(sides.rows);
    Ok(sides.foreign_ratings)
}

/// Sends which product each review belongs to; gives whether products ascend with reviews.
fn send_owners(
    files: &ReviewFiles,
    joining: Joining<'_>,
    sink: &mut dyn ReviewSink,
) -> Result<bool, Error> {
    let mut owners = files.owners.merge(joining.memory)?;
    let (mut in_order, mut before) = (true, 0);
    while let Some(([review, ..], packed)) = owners.next()? {
        let product = unpack_number(packed);
        in_order &= before <= product;
        before = product;
        sink.owner(review, product).map_err(Error::Sink)?;
    }
    Ok(in_order)
}

struct Sides {
    reviews: Cursor,
    characteristics: Cursor,
    photos: Cursor,
    ratings: Cursor,
    /// The characteristics of the product at hand.
    named: Group,
    /// The photos of the review at hand.
    attached: Group,
    foreign_ratings: u64,
    rows: u64,
}

impl Sides {
    fn next_product(&self) -> Option<u64> {
        let products = [self.reviews.product(), self.characteristics.product()];
        products.into_iter().flatten().min()
    }

    fn send_product(
        &mut self,
        product: u64,
        progress: &Progress,
        sink: &mut dyn ReviewSink,
    ) -> Result<(), Error> {
        self.named.clear();
        while let Some([of, id, _]) = self.characteristics.key() {
            if of != product {
                break;
            }
            self.named.push(id, self.characteristics.packed());
            self.characteristics.advance()?;
        }
        let named = self.named.all().map(|(id, packed)| Characteristic {
            id,
            name: unpack_text(packed),
        });
        let named: Vec<_> = named.collect();
        sink.product(product, &named).map_err(Error::Sink)?;
        self.rows += named.len() as u64;
        let is_named = |id| named.binary_search_by_key(&id, |named| named.id).is_ok();
        let mut ratings = Vec::new();
        while let Some([of, review, _]) = self.reviews.key() {
            if of != product {
                break;
            }
            self.attached.clear();
            while self.photos.is_of(product, review) {
                let id = self.photos.key().map_or(0, |key| key[2]);
                self.attached.push(id, self.photos.packed());
                self.photos.advance()?;
            }
            ratings.clear();
            while self.ratings.is_of(product, review) {
                let rating = Rating::unpack(self.ratings.packed());
                if is_named(rating.characteristic_id) {
                    ratings.push(rating);
                } else {
                    self.foreign_ratings += 1;
                }
                self.ratings.advance()?;
            }
            let photos = self.attached.all().map(|(id, packed)| Photo {
                id,
                url: unpack_text(packed),
            });
            let photos: Vec<_> = photos.collect();
            let row = Review::unpack(self.reviews.packed());
            sink.review(product, review, &row, &photos, &ratings)
                .map_err(Error::Sink)?;
            self.rows += 1 + photos.len() as u64 + ratings.len() as u64;
            if self.rows >= PROGRESS_ROWS {
                progress.add_written(std::mem::take(&mut self.rows));
                if progress.stopped() {
                    return Err(Error::Interrupted);
                }
            }
            self.reviews.advance()?;
        }
        Ok(())
    }
}
