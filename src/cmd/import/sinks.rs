//! From the importer's rows to the store's values.
//!
//! Must not know files or RocksDB. Invariant: nothing is decided here, only renamed.

use reviewsd_import as csv;
use reviewsd_import::{CatalogueSink, ReviewSink, SinkError};

use crate::model::moderation::ReviewState;
use crate::model::{
    CharacteristicRating, Feature, Product, ProductId, Review, ReviewId, ReviewPhoto, Sku, Style,
    StylePhoto,
};
use crate::store::bulk::{CatalogueLoader, ReviewLoader};

/// The review families.
pub(super) struct Reviews(pub(super) ReviewLoader);

/// The catalogue families.
pub(super) struct Catalogue(pub(super) CatalogueLoader);

impl ReviewSink for Reviews {
    fn owner(&mut self, review: u64, product: u64) -> Result<(), SinkError> {
        Ok(self.0.owner(ReviewId(review), ProductId(product))?)
    }

    fn product(
        &mut self,
        product: u64,
        characteristics: &[csv::CharacteristicRow<'_>],
    ) -> Result<(), SinkError> {
        let characteristics = characteristics.iter().map(|one| (one.id, one.name));
        Ok(self.0.product(ProductId(product), characteristics)?)
    }

    fn review(
        &mut self,
        product: u64,
        id: u64,
        review: &csv::ReviewRow<'_>,
        photos: &[csv::PhotoRow<'_>],
        ratings: &[csv::RatingRow],
    ) -> Result<(), SinkError> {
        let photos = photos.iter().map(|photo| ReviewPhoto {
            id: photo.id,
            url: photo.url,
        });
        let ratings = ratings.iter().map(|rating| CharacteristicRating {
            characteristic_id: rating.characteristic_id,
            value: rating.value,
        });
        let review = Review {
            rating: review.rating,
            date_ms: review.date_ms,
            recommend: review.recommend,
            state: ReviewState::of_reported(review.reported),
            // No file has the time and the client of a report, or who decided.
            report: None,
            decision: None,
            helpfulness: review.helpfulness,
            summary: review.summary,
            body: review.body,
            reviewer_name: review.reviewer_name,
            reviewer_email: review.reviewer_email,
            response: review.response,
            photos: photos.collect(),
            ratings: ratings.collect(),
        };
        Ok(self.0.review(ProductId(product), ReviewId(id), &review)?)
    }
}

impl CatalogueSink for Catalogue {
    fn product(
        &mut self,
        id: u64,
        product: &csv::ProductRow<'_>,
        features: &[csv::FeatureRow<'_>],
    ) -> Result<(), SinkError> {
        let features = features.iter().map(|feature| Feature {
            feature: feature.feature,
            value: feature.value,
        });
        let product = Product {
            name: product.name,
            slogan: product.slogan,
            description: product.description,
            category: product.category,
            default_price: product.default_price,
            features: features.collect(),
        };
        Ok(self.0.product(ProductId(id), &product)?)
    }

    fn related(&mut self, product: u64, related: &[u64]) -> Result<(), SinkError> {
        let related = related.iter().copied().map(ProductId).collect();
        Ok(self.0.related(ProductId(product), related)?)
    }

    fn styles(&mut self, product: u64, styles: Vec<csv::FullStyle<'_>>) -> Result<(), SinkError> {
        let styles = styles.into_iter().map(|row| Style {
            id: row.id,
            name: row.style.name,
            original_price: row.style.original_price,
            sale_price: row.style.sale_price,
            default: row.style.default,
            photos: row.photos.iter().map(photo).collect(),
            skus: row.skus.iter().map(sku).collect(),
        });
        Ok(self.0.styles(ProductId(product), styles.collect())?)
    }
}

fn photo<'a>(photo: &csv::StylePhotoRow<'a>) -> StylePhoto<'a> {
    StylePhoto {
        url: photo.url,
        thumbnail_url: photo.thumbnail_url,
    }
}

fn sku<'a>(sku: &csv::SkuRow<'a>) -> Sku<'a> {
    Sku {
        id: sku.id,
        size: sku.size,
        quantity: sku.quantity,
    }
}
