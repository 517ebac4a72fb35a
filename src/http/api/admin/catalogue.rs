//! The catalogue: products put, patched and removed whole, and the stock of single units.
//!
//! Must not know how a change is written. Invariants: a product is checked whole before it is handed over; what
//! `If-Match` names is compared by the writer, so that no change between a read and a write is lost; the bodies
//! of requests under way keep within their budget until they are answered.

mod bulk;
mod document;
mod line_change;
pub(super) mod lines;
mod preconditions;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use hyper::StatusCode;
use hyper::body::Body;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use tokio::sync::Semaphore;

use crate::body::Bodies;
use crate::endpoints::ReadQuery;
use crate::error::ApiError;
use crate::model::ProductId;
use crate::model::catalogue::{ProductEtag, WholeProduct};
use crate::model::moderation::Actor;
use crate::reads::parameters;
use crate::reply::{Reply, TEXT};
use crate::store::{Change, ChangeOutcome, ExpectedProduct, LogPosition, ProductOutcome, Reader};
use crate::validation::{FaultLocation, ValidationError};
use crate::writes::document::{Json, Members, parse};
use crate::writes::submit;

use super::guard;
use super::operator::{DetachedWork, Operator, PACE, invalid};

/// Bytes of the document of a product at most.
pub(super) const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Bytes of all documents under way.
const DOCUMENTS_BYTES_MAX: u64 = 4 << 20;
/// Bulk requests under way at most; each holds some MiB.
const BULKS_MAX: usize = 4;
/// Attempts at a patch whose product is changed meanwhile, each time.
const PATCHES_MAX: usize = 16;

/// A task of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CatalogueTask {
    /// Return a product.
    Show,
    /// Put a product.
    Put,
    /// Change a product.
    Patch,
    /// Remove a product.
    Remove,
    /// Change a stock keeping unit.
    PatchSku,
    /// Do many of these.
    Bulk,
}

/// The state that the tasks of the catalogue share.
pub(super) struct CatalogueWork {
    documents: Bodies,
    bulks: Arc<Semaphore>,
    /// One at a time enters skus.
    entering: Semaphore,
    are_entered: AtomicBool,
}

impl CatalogueWork {
    pub(super) fn new() -> Self {
        Self {
            documents: Bodies::of_large(DOCUMENTS_BYTES_MAX, DOCUMENT_BYTES_MAX),
            bulks: Arc::new(Semaphore::new(BULKS_MAX)),
            entering: Semaphore::new(1),
            are_entered: AtomicBool::new(false),
        }
    }
}

/// The outcome of a change of the catalogue, and the position from which on readers see it.
type Changed = Result<(ProductOutcome, LogPosition), ApiError>;

impl Operator {
    /// Executes a task, which `actor` asks for, with the argument of its path.
    pub(super) async fn catalogue<B>(
        &self,
        task: CatalogueTask,
        named: &str,
        head: &Parts,
        body: B,
        actor: Actor,
    ) -> Result<Reply, ApiError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        guard::admit(head)?;
        if task != CatalogueTask::Show {
            self.work.changes()?;
        }
        let product = || parameters::product_id(named).ok_or_else(|| invalid("product_id"));
        let reply = match task {
            CatalogueTask::Show => self.show_product(product()?).await?,
            CatalogueTask::Put => self.put_product(product()?, head, body, &actor).await?,
            CatalogueTask::Patch => self.patch_product(product()?, head, body, &actor).await?,
            CatalogueTask::Remove => self.remove_product(product()?, head, &actor).await?,
            CatalogueTask::PatchSku => self.patch_sku(named, head, body).await?,
            CatalogueTask::Bulk => bulk::answer(Arc::clone(&self.work), head, body, actor).await?,
        };
        Ok(reply.with(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
    }

    async fn show_product(&self, id: ProductId) -> Result<Reply, ApiError> {
        let (etag, product) = self.work.product(id).await?.ok_or_else(|| none(id))?;
        Ok(tagged(Reply::json(document::write(&product)), etag))
    }

    async fn put_product<B>(
        &self,
        id: ProductId,
        head: &Parts,
        body: B,
        actor: &Actor,
    ) -> Result<Reply, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        guard::admit_json(&head.headers)?;
        let expected = preconditions::of(&head.headers)?;
        // Held until it is answered, so that the budget counts the change as well.
        let body = self.work.read_document(body).await?;
        let members = parse(body.as_ref()).map_err(ApiError::Unreadable)?;
        let product = document::read(members, Some(id)).map_err(ApiError::Unfit)?;
        let changed = self.work.put(product, expected, actor).await?;
        answered(id, changed, actor)
    }

    async fn patch_product<B>(
        &self,
        id: ProductId,
        head: &Parts,
        body: B,
        actor: &Actor,
    ) -> Result<Reply, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        guard::admit_merge_patch(&head.headers)?;
        let expected = preconditions::of(&head.headers)?;
        let body = self.work.read_document(body).await?;
        let patch = parse(body.as_ref()).map_err(ApiError::Unreadable)?;
        let changed = self.work.patch(id, patch, &expected, actor).await?;
        answered(id, changed, actor)
    }

    async fn remove_product(
        &self,
        id: ProductId,
        head: &Parts,
        actor: &Actor,
    ) -> Result<Reply, ApiError> {
        let expected = preconditions::of(&head.headers)?;
        let change = Change::RemoveProduct {
            product: id,
            expected,
            by: actor.clone(),
        };
        answered(id, self.work.change(change).await?, actor)
    }

    async fn patch_sku<B>(&self, named: &str, head: &Parts, body: B) -> Result<Reply, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        guard::admit_merge_patch(&head.headers)?;
        let sku = parameters::id(named).ok_or_else(|| invalid("sku_id"))?;
        let body = self.work.read_document(body).await?;
        let members = parse(body.as_ref()).map_err(ApiError::Unreadable)?;
        let update = document::read_sku(members).map_err(ApiError::Unfit)?;
        let (outcome, at) = self.work.change(Change::UpdateSku { sku, update }).await?;
        match outcome {
            ProductOutcome::NoSuchSku => Err(ApiError::NoSuchSku(sku)),
            _ => Ok(Reply::empty().at(at.into())),
        }
    }
}

impl DetachedWork {
    async fn read_document<B>(&self, body: B) -> Result<impl AsRef<[u8]> + use<B>, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let read = self.catalogue.documents.read(body, PACE).await;
        read.map_err(|error| match error {
            ApiError::LargeBody => ApiError::LargeDocument,
            other => other,
        })
    }

    /// A product with its hash; `None` if the catalogue does not have it.
    async fn product(
        &self,
        id: ProductId,
    ) -> Result<Option<(ProductEtag, WholeProduct)>, ApiError> {
        let read = move |reader: &Reader<'_>| reader.whole_product(id);
        self.reads.read(read).await
    }

    /// Hands a change of the catalogue to the writer, and again once the skus are entered, if it needs them.
    async fn change(&self, change: Change) -> Changed {
        let (writer, acks) = self.changes()?;
        let mut next = Some(change);
        while let Some(change) = next.take() {
            if !self.catalogue.are_entered.load(Relaxed) {
                next = Some(change.clone());
            }
            let settled = acks.settled(submit(writer, change, |_| {})).await?;
            match settled.outcome {
                ChangeOutcome::Product(ProductOutcome::SkusNotEntered) => {
                    self.enter_skus().await?;
                }
                ChangeOutcome::Product(outcome) => return Ok((outcome, settled.at)),
                other => return Err(unexpected(other)),
            }
        }
        Err(unexpected(ChangeOutcome::Product(
            ProductOutcome::SkusNotEntered,
        )))
    }

    /// Enters the skus of a store that was imported, if they are not.
    async fn enter_skus(&self) -> Result<(), ApiError> {
        let (writer, acks) = self.changes()?;
        let entering = self.catalogue.entering.acquire().await;
        let _alone = entering.map_err(ApiError::internal)?;
        while !self.catalogue.are_entered.load(Relaxed) {
            let settled = acks
                .settled(submit(writer, Change::EnterSkus, |_| {}))
                .await?;
            match settled.outcome {
                ChangeOutcome::Product(ProductOutcome::SkusEntered { all }) => {
                    self.catalogue.are_entered.store(all, Relaxed);
                }
                other => return Err(unexpected(other)),
            }
        }
        Ok(())
    }

    /// Puts a product, which has no faults.
    async fn put(
        &self,
        product: WholeProduct,
        expected: ExpectedProduct,
        actor: &Actor,
    ) -> Changed {
        let pointers = SkuPointers::of(&product);
        let change = Change::PutProduct {
            product: Box::new(product),
            expected,
            by: actor.clone(),
        };
        let (outcome, at) = self.change(change).await?;
        pointers.refuse(outcome)?;
        Ok((outcome, at))
    }

    /// Applies a merge patch to a product, as long as it is an expected one.
    async fn patch(
        &self,
        id: ProductId,
        patch: Members,
        expected: &ExpectedProduct,
        actor: &Actor,
    ) -> Changed {
        for _ in 0..PATCHES_MAX {
            let (product, found) = self.patched(id, patch.clone(), expected).await?;
            let (outcome, at) = self.put(product, found, actor).await?;
            if !matches!(outcome, ProductOutcome::Differs(_)) {
                return Ok((outcome, at));
            }
        }
        Err(ApiError::Busy)
    }

    /// Returns a product as a merge patch leaves it, and the version that it was made of.
    async fn patched(
        &self,
        id: ProductId,
        patch: Members,
        expected: &ExpectedProduct,
    ) -> Result<(WholeProduct, ExpectedProduct), ApiError> {
        let found = self.product(id).await?;
        if !expected.admits(found.as_ref().map(|(etag, _)| *etag)) {
            return Err(ApiError::OtherProduct);
        }
        let (etag, product) = found.ok_or_else(|| none(id))?;
        let before = parse(&document::write(&product)).map_err(unreadable)?;
        let merged = document::merge(Json::Object(before), Json::Object(patch));
        let Json::Object(members) = merged else {
            return Err(unreadable("a merged object is none".to_owned()));
        };
        let product = document::read(members, Some(id)).map_err(ApiError::Unfit)?;
        if document::write(&product).len() > DOCUMENT_BYTES_MAX {
            return Err(ApiError::LargeDocument);
        }
        Ok((product, ExpectedProduct::OneOf(vec![etag])))
    }
}

/// The styles of the skus of a product, to say where in its document one stands.
#[derive(Debug, Default)]
struct SkuPointers(Vec<(u64, u64)>);

impl SkuPointers {
    fn of(product: &WholeProduct) -> Self {
        let styles = product.styles.iter();
        let skus = styles.flat_map(|style| style.skus.iter().map(|sku| (sku.id, style.id)));
        Self(skus.collect())
    }

    /// Returns an error where another product has a sku, or a product is too large.
    fn refuse(&self, outcome: ProductOutcome) -> Result<(), ApiError> {
        match outcome {
            ProductOutcome::SkuTaken { sku, product } => {
                let mut skus = self.0.iter();
                let style = skus
                    .find(|(id, _)| *id == sku)
                    .map_or(0, |(_, style)| *style);
                let pointer = format!("/styles/{style}/skus/{sku}");
                let detail = format!("{pointer} is a sku of product {product} already");
                let fault = ValidationError::new(FaultLocation::Pointer(pointer), detail);
                Err(ApiError::Unfit(vec![fault]))
            }
            ProductOutcome::TooLarge => Err(ApiError::LargeDocument),
            _ => Ok(()),
        }
    }
}

/// The answer to a change of a product.
fn answered(
    id: ProductId,
    (outcome, at): (ProductOutcome, LogPosition),
    actor: &Actor,
) -> Result<Reply, ApiError> {
    let by = &actor.name;
    let reply = match outcome {
        ProductOutcome::Created(etag) => {
            tracing::info!("product {id} was created, by {by}");
            let reply = Reply::new(StatusCode::CREATED, TEXT, "Created".to_owned());
            let location = HeaderValue::try_from(format!("/products/{id}"));
            let location = location.map_err(ApiError::internal)?;
            tagged(reply.with(header::LOCATION, location), etag)
        }
        ProductOutcome::Updated(_, etag) => {
            tracing::info!("product {id} was changed, by {by}");
            tagged(Reply::empty(), etag)
        }
        ProductOutcome::Unchanged(_, etag) => tagged(Reply::empty(), etag),
        ProductOutcome::Removed => {
            tracing::info!("product {id} was removed, by {by}");
            Reply::empty()
        }
        ProductOutcome::NoSuchProduct => return Err(none(id)),
        ProductOutcome::Differs(_) => return Err(ApiError::OtherProduct),
        other => return Err(unexpected(other.into())),
    };
    Ok(reply.at(at.into()))
}

/// The same answer with the hash of a product.
fn tagged(reply: Reply, etag: ProductEtag) -> Reply {
    match HeaderValue::try_from(format!("\"{etag}\"")) {
        Ok(etag) => reply.with(header::ETAG, etag),
        Err(_) => reply,
    }
}

fn none(id: ProductId) -> ApiError {
    ApiError::NoSuch(ReadQuery::Product(id, None))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the outcome ends here, and callers have it from an answer"
)]
fn unexpected(outcome: ChangeOutcome) -> ApiError {
    unreadable(format!("the writer answered {outcome:?}"))
}

fn unreadable(what: String) -> ApiError {
    ApiError::internal(std::io::Error::other(what))
}
