//! The families of reviews, from reviews in order: their order rows are sorted here, their summaries added up.
//!
//! Must not know where reviews come from. Invariant: no more than [`ORDER_ROWS_MAX`] order rows of a
//! product, and rows by state, are in memory at once.

use std::cmp::Reverse;
use std::path::Path;

use super::family_writer::{FamilyWriter, WrittenFamily};
use super::finish;
use crate::error::Error;
use crate::key::{Family, HelpfulKey, IdKey, NewestKey, ReviewKey};
use crate::model::moderation::ReviewState;
use crate::model::{Characteristic, ProductId, Review, ReviewId, Summary};
use crate::moderation::keys::StateKey;
use crate::value::{Counters, encode};

/// Order rows of one product that are sorted in memory; more go into overlapping segments.
const ORDER_ROWS_MAX: usize = 1 << 20;

/// Takes products in order, the reviews of each in order of their ids, and owners in order of
/// review.
pub struct ReviewLoader {
    reviews: FamilyWriter,
    newest: FamilyWriter,
    helpful: FamilyWriter,
    summaries: FamilyWriter,
    owners: FamilyWriter,
    moderation: FamilyWriter,
    /// The rows by state, until they are sorted.
    states: Vec<(ReviewState, i64, ReviewId)>,
    orders: Orders,
    tally: SummaryTally,
    counters: Counters,
}

/// The summary of the product at hand, as its reviews come.
#[derive(Default)]
struct SummaryTally {
    product: Option<ProductId>,
    /// The names of its characteristics, in order.
    names: Vec<String>,
    /// The rest.
    summary: Summary<'static>,
}

/// The order rows of one product, until they are sorted.
struct Orders {
    product: ProductId,
    rows: Vec<OrderRow>,
}

#[derive(Clone, Copy)]
struct OrderRow {
    helpfulness: u32,
    date_ms: i64,
    review: ReviewId,
}

/// The review families' files, durable.
pub struct LoadedReviews {
    pub(super) written: Vec<WrittenFamily>,
    pub(super) counters: Counters,
}

impl LoadedReviews {
    /// Gives no id below these: they were given before, also if no row has them any more.
    pub fn go_on_from(&mut self, next_review_id: u64, next_photo_id: u64) {
        let counters = &mut self.counters;
        counters.next_review_id = counters.next_review_id.max(next_review_id);
        counters.next_photo_id = counters.next_photo_id.max(next_photo_id);
    }
}

impl ReviewLoader {
    pub(super) fn start(dir: &Path) -> Result<Self, Error> {
        let start = |family| FamilyWriter::start(family, dir);
        Ok(Self {
            reviews: start(Family::Reviews)?,
            newest: start(Family::Newest)?,
            helpful: start(Family::Helpful)?,
            summaries: start(Family::Summaries)?,
            owners: start(Family::Owners)?,
            moderation: start(Family::Moderation)?,
            states: Vec::new(),
            orders: Orders {
                product: ProductId(0),
                rows: Vec::new(),
            },
            tally: SummaryTally::default(),
            counters: Counters::NONE,
        })
    }

    /// Begins a product: its reviews follow, if it has any.
    pub fn product<'a>(
        &mut self,
        product: ProductId,
        characteristics: impl Iterator<Item = (u64, &'a str)>,
    ) -> Result<(), Error> {
        self.write_summary()?;
        self.tally.product = Some(product);
        for (id, name) in characteristics {
            self.tally.names.push(name.to_owned());
            let name = "";
            let (sum, count) = (0, 0);
            let characteristics = &mut self.tally.summary.characteristics;
            characteristics.push(Characteristic {
                id,
                name,
                sum,
                count,
            });
        }
        Ok(())
    }

    /// Adds a review of the product that has begun.
    pub fn review(
        &mut self,
        product: ProductId,
        id: ReviewId,
        review: &Review<'_>,
    ) -> Result<(), Error> {
        self.reviews
            .put(ReviewKey::new(product, id), |out| encode(review, out))?;
        self.tally.summary.add(review);
        let counters = &mut self.counters;
        counters.reviews += 1;
        counters.next_review_id = counters.next_review_id.max(id.0.saturating_add(1));
        let last_photo = review.photos.iter().map(|photo| photo.id).max();
        let after_photos = last_photo.unwrap_or(0).saturating_add(1);
        counters.next_photo_id = counters.next_photo_id.max(after_photos);
        *counters.of_state(review.state) += 1;
        if !review.is_published() {
            return self.not_published(id, review);
        }
        if product != self.orders.product {
            self.write_orders()?;
            self.orders.product = product;
        } else if self.orders.rows.len() >= ORDER_ROWS_MAX {
            self.write_orders()?;
            self.newest.new_segment()?;
            self.helpful.new_segment()?;
        }
        self.orders.rows.push(OrderRow {
            helpfulness: review.helpfulness,
            date_ms: review.date_ms,
            review: id,
        });
        Ok(())
    }

    /// Adds the row by state of a review.
    fn not_published(&mut self, id: ReviewId, review: &Review<'_>) -> Result<(), Error> {
        if self.states.len() >= ORDER_ROWS_MAX {
            self.write_states()?;
            self.moderation.new_segment()?;
        }
        self.states.push((review.state, review.since_ms(), id));
        Ok(())
    }

    /// Adds which product a review belongs to.
    pub fn owner(&mut self, review: ReviewId, product: ProductId) -> Result<(), Error> {
        self.owners.put(IdKey::from(review), |out| {
            out.extend_from_slice(IdKey::from(product).as_ref());
            Ok(())
        })
    }

    /// Waits until everything is in durable files.
    pub fn finish(mut self) -> Result<LoadedReviews, Error> {
        self.write_orders()?;
        self.write_summary()?;
        self.write_states()?;
        let writers = [
            self.reviews,
            self.newest,
            self.helpful,
            self.summaries,
            self.owners,
            self.moderation,
        ];
        Ok(LoadedReviews {
            written: finish(writers)?,
            counters: self.counters,
        })
    }

    fn write_summary(&mut self) -> Result<(), Error> {
        let SummaryTally {
            product,
            names,
            summary,
        } = std::mem::take(&mut self.tally);
        let Some(product) = product else {
            return Ok(());
        };
        let mut summary: Summary<'_> = summary;
        for (characteristic, name) in summary.characteristics.iter_mut().zip(&names) {
            characteristic.name = name;
        }
        self.summaries
            .put(IdKey::from(product), |out| encode(&summary, out))
    }

    fn write_states(&mut self) -> Result<(), Error> {
        let states = &mut self.states;
        states.sort_unstable_by_key(|(state, since_ms, id)| (*state, Reverse((*since_ms, *id))));
        for (state, since_ms, id) in states.drain(..) {
            let key = StateKey::new(state, since_ms, id);
            self.moderation.put(key, |_| Ok(()))?;
        }
        Ok(())
    }

    fn write_orders(&mut self) -> Result<(), Error> {
        let Orders { product, rows, .. } = &mut self.orders;
        rows.sort_unstable_by_key(|row| Reverse((row.date_ms, row.review)));
        for row in &*rows {
            let key = NewestKey::new(*product, row.date_ms, row.review);
            self.newest.put(key, |_| Ok(()))?;
        }
        rows.sort_unstable_by_key(|row| Reverse((row.helpfulness, row.date_ms, row.review)));
        for row in &*rows {
            let key = HelpfulKey::new(*product, row.helpfulness, row.date_ms, row.review);
            self.helpful.put(key, |_| Ok(()))?;
        }
        rows.clear();
        Ok(())
    }
}
