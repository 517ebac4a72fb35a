//! Recounts a whole store: what is derived must follow from what is not.
//!
//! Must not change anything. Invariant: memory is bounded by the reviews of one product and by
//! `DIFFERENCES_MAX`, however large or broken the store is.

use std::collections::BTreeSet;

use super::error::Error;
use super::key::{Family, HelpfulKey, IdKey, NewestKey, number_of, review_of_row};
use super::read::{Store, number, read};
use super::rocks::{Reach, Scan, View};
use super::value::{Counters, Related, Styles};
use crate::model::{Product, ProductId, Review, ReviewId, Summary};

/// Further differences are not listed.
const DIFFERENCES_MAX: usize = 1000;

/// What differs between the rows of a store and what follows from its reviews, as sentences; a
/// value that does not decode is one too. The store must not be written meanwhile.
pub fn differences(store: &Store) -> Result<Vec<String>, Error> {
    let view = store.rocks().view(Reach::Disk);
    let mut check = Check {
        newest: Rows::of(&view, Family::Newest)?,
        helpful: Rows::of(&view, Family::Helpful)?,
        summaries: Rows::of(&view, Family::Summaries)?,
        view: &view,
        counted: Counters::NONE,
        found: Vec::new(),
    };
    check.reviews()?;
    check.others()?;
    check.counters(&store.counters()?);
    Ok(check.found)
}

struct Check<'v, 'r> {
    view: &'v View<'r>,
    newest: Rows<'r>,
    helpful: Rows<'r>,
    summaries: Rows<'r>,
    counted: Counters,
    found: Vec<String>,
}

/// What follows from the reviews of one product.
#[derive(Default)]
struct Derived {
    newest: BTreeSet<Vec<u8>>,
    helpful: BTreeSet<Vec<u8>>,
    reviews: Vec<(ReviewId, Vec<u8>)>,
}

impl Check<'_, '_> {
    fn reviews(&mut self) -> Result<(), Error> {
        let mut rows = self.view.scan(Family::Reviews, [], None::<IdKey>)?;
        let (mut product, mut derived) = (None, Derived::default());
        while let Some((key, value)) = rows.next()? {
            let of = key
                .first_chunk()
                .copied()
                .map(u64::from_be_bytes)
                .map(ProductId);
            let (Some(of), Some(id)) = (of, review_of_row(key)) else {
                self.differ(format!("reviews has a key of {} bytes", key.len()));
                continue;
            };
            if product != Some(of) {
                self.product(product.replace(of), &std::mem::take(&mut derived))?;
            }
            self.review(of, id, value, &mut derived)?;
        }
        self.product(product, &derived)?;
        // Rows behind those of the last product with reviews.
        self.product(Some(ProductId(u64::MAX)), &Derived::default())
    }

    fn review(
        &mut self,
        product: ProductId,
        id: ReviewId,
        value: &[u8],
        derived: &mut Derived,
    ) -> Result<(), Error> {
        self.counted.reviews += 1;
        let next = &mut self.counted.next_review_id;
        *next = (*next).max(id.0.saturating_add(1));
        let owner = self.view.get(Family::Owners, IdKey::from(id))?;
        let owner = owner.and_then(|owner| number_of(&owner));
        if owner != Some(product.0) {
            self.differ(format!(
                "review {id} of product {product} has the owner {owner:?}"
            ));
        }
        let review: Review<'_> = match read(Family::Reviews, id, value) {
            Ok(review) => review,
            Err(damaged) => {
                self.differ(damaged.to_string());
                return Ok(());
            }
        };
        for photo in &review.photos {
            let next = &mut self.counted.next_photo_id;
            *next = (*next).max(photo.id.saturating_add(1));
        }
        if !review.reported {
            self.counted.reviews_visible += 1;
            let newest = NewestKey::new(product, review.date_ms, id);
            derived.newest.insert(newest.as_ref().to_vec());
            let helpful = HelpfulKey::new(product, review.helpfulness, review.date_ms, id);
            derived.helpful.insert(helpful.as_ref().to_vec());
        }
        derived.reviews.push((id, value.to_vec()));
        Ok(())
    }

    /// Compares a product's derived rows, and what stands before them, with those there are.
    fn product(&mut self, product: Option<ProductId>, derived: &Derived) -> Result<(), Error> {
        let Some(product) = product else {
            return Ok(());
        };
        let mut found = Vec::new();
        self.newest.compare(product, &derived.newest, &mut found)?;
        self.helpful
            .compare(product, &derived.helpful, &mut found)?;
        for difference in found {
            self.differ(difference);
        }
        while let Some((of, value)) = self.summaries.take_until(product)? {
            self.counted.summaries += 1;
            let stored: Summary<'_> = match read(Family::Summaries, of, &value) {
                Ok(stored) => stored,
                Err(damaged) => {
                    self.differ(damaged.to_string());
                    continue;
                }
            };
            let mut counted = Summary {
                characteristics: stored.characteristics.clone(),
                ..Summary::default()
            };
            for characteristic in &mut counted.characteristics {
                (characteristic.sum, characteristic.count) = (0, 0);
            }
            let reviews = if of == product {
                derived.reviews.as_slice()
            } else {
                &[]
            };
            for (id, value) in reviews {
                if let Ok(review) = read(Family::Reviews, id, value) {
                    counted.add(&review);
                }
            }
            if stored != counted {
                self.differ(format!(
                    "the summary of product {of} is {stored:?} where its reviews give {counted:?}"
                ));
            }
        }
        Ok(())
    }

    /// The families that nothing is derived from.
    fn others(&mut self) -> Result<(), Error> {
        let owners = self.count(Family::Owners, |_, _| Ok(()))?;
        if owners != self.counted.reviews {
            let reviews = self.counted.reviews;
            self.differ(format!("there are {owners} owners of {reviews} reviews"));
        }
        self.counted.products = self.count(Family::Products, |id, value| {
            read::<Product<'_>>(Family::Products, id, value).map(drop)
        })?;
        self.counted.styled = self.count(Family::Styles, |id, value| {
            read::<Styles<'_>>(Family::Styles, id, value).map(drop)
        })?;
        self.counted.related = self.count(Family::Related, |id, value| {
            read::<Related>(Family::Related, id, value).map(drop)
        })?;
        Ok(())
    }

    fn count(
        &mut self,
        family: Family,
        decode: impl Fn(u64, &[u8]) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let mut rows = self.view.scan(family, [], None::<IdKey>)?;
        let mut count = 0;
        while let Some((key, value)) = rows.next()? {
            count += 1;
            let decoded = number(family, key).and_then(|id| decode(id, value));
            if let Err(damaged) = decoded {
                self.differ(damaged.to_string());
            }
        }
        Ok(count)
    }

    fn counters(&mut self, stored: &Counters) {
        let counted = Counters {
            // Ids are never given again, so those of rows that are gone count on.
            next_review_id: self.counted.next_review_id.max(stored.next_review_id),
            next_photo_id: self.counted.next_photo_id.max(stored.next_photo_id),
            retries: stored.retries,
            ..self.counted
        };
        if counted != *stored {
            self.differ(format!(
                "the counters are {stored:?} where the rows give {counted:?}"
            ));
        }
    }

    fn differ(&mut self, difference: String) {
        if self.found.len() < DIFFERENCES_MAX {
            self.found.push(difference);
        }
    }
}

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// The rows of a family whose keys begin with a product, read along.
struct Rows<'r> {
    family: Family,
    scan: Scan<'r>,
    /// The row that has been read and not yet taken.
    next: Option<Row>,
}

impl<'r> Rows<'r> {
    fn of(view: &View<'r>, family: Family) -> Result<Self, Error> {
        let scan = view.scan(family, [], None::<IdKey>)?;
        let mut rows = Self {
            family,
            scan,
            next: None,
        };
        rows.advance()?;
        Ok(rows)
    }

    fn advance(&mut self) -> Result<Option<Row>, Error> {
        let next = self.scan.next()?;
        let next = next.map(|(key, value)| (key.to_vec(), value.to_vec()));
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// Whether the next row is of this product or one before it.
    fn is_until(&self, product: ProductId) -> bool {
        let key = self.next.as_ref().and_then(|(key, _)| key.first_chunk());
        key.is_some_and(|key| u64::from_be_bytes(*key) <= product.0)
    }

    /// The next row of this product or one before it, with its product.
    fn take_until(&mut self, product: ProductId) -> Result<Option<(ProductId, Vec<u8>)>, Error> {
        if !self.is_until(product) {
            return Ok(None);
        }
        let row = self.advance()?;
        row.map(|(key, value)| Ok((ProductId(number(self.family, &key)?), value)))
            .transpose()
    }

    /// Lists the rows until this product that should not be there, and those that are missing.
    fn compare(
        &mut self,
        product: ProductId,
        expected: &BTreeSet<Vec<u8>>,
        found: &mut Vec<String>,
    ) -> Result<(), Error> {
        let mut seen = 0;
        let name = self.family.name();
        while self.is_until(product) {
            let Some((key, _)) = self.advance()? else {
                break;
            };
            if expected.contains(&key) {
                seen += 1;
            } else {
                found.push(format!(
                    "{name} has the row {key:02x?}, which no review gives"
                ));
            }
        }
        if seen != expected.len() {
            let missing = expected.len() - seen;
            found.push(format!("{name} lacks {missing} rows of product {product}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bulk::Bulk;
    use crate::store::key::state;
    use crate::store::rocks::Batch;
    use crate::store::value::encode;

    const MEMORY_BYTES: u64 = 32 << 20;

    fn review() -> Review<'static> {
        Review {
            rating: 4,
            date_ms: 1,
            recommend: true,
            reported: false,
            helpfulness: 2,
            summary: "",
            body: "",
            reviewer_name: "",
            reviewer_email: "",
            response: None,
            photos: Vec::new(),
            ratings: Vec::new(),
        }
    }

    /// What is found in a store of two reviews of two products after a change.
    fn found_after(change: impl FnOnce(&mut Batch<'_>)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let bulk = Bulk::begin(dir.path(), "a test", false).unwrap();
        let mut loader = bulk.reviews().unwrap();
        for id in [1, 2] {
            let (product, id) = (ProductId(id), ReviewId(id));
            loader.owner(id, product).unwrap();
            loader.product(product, std::iter::empty()).unwrap();
            loader.review(product, id, &review()).unwrap();
        }
        let catalogue = bulk.catalogue().unwrap().finish().unwrap();
        bulk.assemble(&loader.finish().unwrap(), &catalogue, 0)
            .unwrap();
        bulk.publish().unwrap();
        let store = Store::open(dir.path(), "a test", MEMORY_BYTES).unwrap();
        let mut batch = store.rocks().batch();
        change(&mut batch);
        batch.commit(false).unwrap();
        differences(&store).unwrap()
    }

    #[test]
    fn a_sound_store_has_no_differences() {
        assert_eq!(found_after(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        type Change = Box<dyn Fn(&mut Batch<'_>)>;
        let (one, product) = (ReviewId(1), ProductId(1));
        let newest = NewestKey::new(product, 1, one);
        let stray = HelpfulKey::new(ProductId(9), 0, 0, one);
        let mut other = review();
        other.rating = 1;
        let mut changed = Vec::new();
        encode(&other, &mut changed).unwrap();
        let row = super::super::key::ReviewKey::new(product, one);
        let cases: [(&str, Change); 6] = [
            (
                "newest lacks 1 rows",
                Box::new(move |batch| batch.delete(Family::Newest, newest).unwrap()),
            ),
            (
                "which no review gives",
                Box::new(move |batch| batch.put(Family::Helpful, stray, &[]).unwrap()),
            ),
            (
                "has the owner None",
                Box::new(move |batch| batch.delete(Family::Owners, IdKey::from(one)).unwrap()),
            ),
            (
                "the summary of product 1 is",
                Box::new(move |batch| batch.put(Family::Reviews, row, &changed).unwrap()),
            ),
            (
                "reviews 1 is damaged",
                Box::new(move |batch| batch.put(Family::Reviews, row, &[1, 1]).unwrap()),
            ),
            (
                "the counters are",
                Box::new(move |batch| {
                    let mut value = Vec::new();
                    encode(&Counters::NONE, &mut value).unwrap();
                    batch.put(Family::State, state::COUNTERS, &value).unwrap();
                }),
            ),
        ];
        for (sentence, change) in cases {
            let found = found_after(|batch| change(batch));
            assert!(
                found.iter().any(|difference| difference.contains(sentence)),
                "{sentence}: {found:?}"
            );
        }
    }
}
