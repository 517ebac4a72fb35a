//! Products within a group: put whole, removed, and the stock of a single unit.
//!
//! Must not know the queue or how clients are answered. Invariants: a product is put or removed with its styles
//! and relations in one commit, and its rank and its skus follow in the same; what leaves every row as it is,
//! is no change; a change that fails leaves the group as it was.

use std::collections::btree_map::{BTreeMap, Entry};

use super::CommitGroup;
use super::states::AuditedAction;
use crate::committed_change::CommittedChange;
use crate::decoding::{number, read};
use crate::error::Error;
use crate::key::{Family, IdKey};
use crate::model::ProductId;
use crate::model::catalogue::{ProductEtag, WholeProduct};
use crate::model::moderation::{Actor, AuditAction, ReasonCode};
use crate::ranks::{PendingRanks, RankChange};
use crate::rocks::{RocksView, Scan, WriteBatch};
use crate::skus::{PendingSkus, SkuChanges, TakenSku, runs_in};
use crate::stored_product::{PARTS, StoredProduct, value_of};
use crate::value::Styles;
use crate::writer::catalogue::{ExpectedProduct, ProductOutcome, SkuUpdate};
use crate::writer::change::ChangeOutcome;

/// The bytes that entering skus once counts as, so that a group takes few others beside.
const ENTERED_BYTES: usize = 1 << 20;

/// The catalogue as a group leaves it so far.
#[derive(Debug, Default)]
pub(super) struct PendingCatalogue {
    products: BTreeMap<ProductId, PendingProduct>,
    ranks: PendingRanks,
    skus: PendingSkus,
}

/// A product that a group read, and perhaps changed.
#[derive(Debug)]
struct PendingProduct {
    before: StoredProduct,
    now: StoredProduct,
}

impl PendingCatalogue {
    /// Returns true if there is anything to commit.
    pub(super) fn is_changed(&self) -> bool {
        let mut products = self.products.values();
        self.skus.is_changed() || products.any(|product| product.before != product.now)
    }

    /// Adds the rows to a batch.
    pub(super) fn write(&self, batch: &mut WriteBatch<'_>) -> Result<(), Error> {
        for (id, product) in &self.products {
            for ChangedValue { family, now, .. } in product.changed() {
                match now {
                    Some(value) => batch.put(family, IdKey::from(*id), value)?,
                    None => batch.delete(family, IdKey::from(*id))?,
                }
            }
        }
        self.ranks.write(batch)?;
        self.skus.write(batch)
    }

    /// Adds the parts of the catalogue that it changes.
    pub(super) fn changed(&self, into: &mut Vec<CommittedChange>) {
        for (id, product) in &self.products {
            let families = product.changed().map(|value| value.family);
            let parts = families.flat_map(|family| CommittedChange::of_row(family, *id));
            into.extend(parts.flatten());
        }
    }
}

/// The ids of so many products of the catalogue from one on, as the group and one more change leave them.
fn ids_from(
    products: &BTreeMap<ProductId, PendingProduct>,
    view: &RocksView<'_>,
    change: RankChange,
    from: u64,
    count: u64,
) -> Result<Vec<u64>, Error> {
    let pending = products.range(ProductId(from)..);
    let pending = pending.map(|(id, product)| (id.0, product.now.is_there()));
    let mut pending: BTreeMap<u64, bool> = pending.collect();
    match change {
        RankChange::Added(id) => pending.insert(id, true),
        RankChange::Removed(id) => pending.insert(id, false),
    };
    let mut pending = pending.range(from..).peekable();
    let mut rows = view.scan(Family::Products, IdKey::from(from), None::<IdKey>)?;
    let mut stored = next_id(&mut rows)?;
    let mut ids = Vec::new();
    while (ids.len() as u64) < count {
        match (stored, pending.peek()) {
            (Some(id), Some((next, _))) if id < **next => {
                ids.push(id);
                stored = next_id(&mut rows)?;
            }
            (_, Some((id, is_there))) => {
                if **is_there {
                    ids.push(**id);
                }
                if stored == Some(**id) {
                    stored = next_id(&mut rows)?;
                }
                pending.next();
            }
            (Some(id), None) => {
                ids.push(id);
                stored = next_id(&mut rows)?;
            }
            (None, None) => break,
        }
    }
    Ok(ids)
}

fn next_id(rows: &mut Scan<'_>) -> Result<Option<u64>, Error> {
    let row = rows.next()?;
    row.map(|(key, _)| number(Family::Products, key))
        .transpose()
}

/// A value of a product, as the group leaves it.
struct ChangedValue<'p> {
    family: Family,
    now: Option<&'p [u8]>,
}

impl PendingProduct {
    /// The values that the group changes.
    fn changed(&self) -> impl Iterator<Item = ChangedValue<'_>> {
        let values = self.before.values().into_iter().zip(self.now.values());
        let values = PARTS.into_iter().zip(values);
        values
            .filter(|(_, (before, now))| before != now)
            .map(|(family, (_, now))| ChangedValue { family, now })
    }
}

impl CommitGroup<'_> {
    /// Puts a product into the catalogue.
    pub(super) fn put_product(
        &mut self,
        product: WholeProduct,
        expected: &ExpectedProduct,
        by: &Actor,
    ) -> Result<ChangeOutcome, Error> {
        let id = product.id;
        let before = self.product(id)?;
        if !expected.admits(before.etag()) {
            return Ok(ProductOutcome::Differs(before.etag()).into());
        }
        let Some(now) = StoredProduct::of(product) else {
            return Ok(ProductOutcome::TooLarge.into());
        };
        let outcome = match (before.etag(), now.etag()) {
            (Some(_), Some(etag)) if before == now => {
                return Ok(ProductOutcome::Unchanged(id, etag).into());
            }
            (Some(_), Some(etag)) => ProductOutcome::Updated(id, etag),
            (_, etag) => ProductOutcome::Created(etag.unwrap_or(ProductEtag(0))),
        };
        let entry = self.entry_of(AuditAction::PutProduct, id, by)?;
        let refused = self.replace(id, before, now)?;
        if refused.is_none() {
            self.push_entry(entry);
        }
        Ok(refused.unwrap_or(outcome).into())
    }

    /// Removes a product from the catalogue. Its reviews stay.
    pub(super) fn remove_product(
        &mut self,
        id: ProductId,
        expected: &ExpectedProduct,
        by: &Actor,
    ) -> Result<ChangeOutcome, Error> {
        let before = self.product(id)?;
        if !expected.admits(before.etag()) {
            return Ok(ProductOutcome::Differs(before.etag()).into());
        }
        if before == StoredProduct::default() {
            return Ok(ProductOutcome::NoSuchProduct.into());
        }
        let entry = self.entry_of(AuditAction::RemoveProduct, id, by)?;
        let refused = self.replace(id, before, StoredProduct::default())?;
        if refused.is_none() {
            self.push_entry(entry);
        }
        Ok(refused.unwrap_or(ProductOutcome::Removed).into())
    }

    /// The entry of the audit log of a change of a product.
    fn entry_of(&self, action: AuditAction, id: ProductId, by: &Actor) -> Result<Vec<u8>, Error> {
        let action = AuditedAction {
            action,
            reason: ReasonCode::Unstated,
            note: None,
            by,
        };
        self.entry(id.0, &action, None, None)
    }

    /// Gives a stock keeping unit other values.
    pub(super) fn update_sku(
        &mut self,
        sku: u64,
        update: &SkuUpdate,
    ) -> Result<ChangeOutcome, Error> {
        if !self.catalogue.skus.is_complete(&self.view)? {
            return Ok(ProductOutcome::SkusNotEntered.into());
        }
        let Some(product) = self.catalogue.skus.owner(&self.view, sku)? else {
            return Ok(ProductOutcome::NoSuchSku.into());
        };
        let id = ProductId(product);
        let before = self.product(id)?;
        let value = before.styles.as_deref().unwrap_or_default();
        let Styles(mut styles) = read(Family::Styles, id, value)?;
        let mut units = styles.iter_mut().flat_map(|style| &mut style.skus);
        let Some(unit) = units.find(|unit| unit.id == sku) else {
            return Ok(ProductOutcome::NoSuchSku.into());
        };
        unit.quantity = update.quantity.unwrap_or(unit.quantity);
        unit.size = update.size.as_deref().unwrap_or(unit.size);
        let Some(styles) = value_of(&Styles(styles)) else {
            return Ok(ProductOutcome::TooLarge.into());
        };
        let now = StoredProduct {
            styles: Some(styles),
            ..before.clone()
        };
        // Styles may be there whose product the catalogue does not have.
        let etag = now.etag().unwrap_or(ProductEtag(0));
        if now == before {
            return Ok(ProductOutcome::Unchanged(id, etag).into());
        }
        let refused = self.replace(id, before, now)?;
        Ok(refused.unwrap_or(ProductOutcome::Updated(id, etag)).into())
    }

    /// Enters the skus of some more products of a store that was imported.
    pub(super) fn enter_skus(&mut self) -> Result<ChangeOutcome, Error> {
        let all = self.catalogue.skus.enter(&self.view)?;
        self.bytes += ENTERED_BYTES;
        Ok(ProductOutcome::SkusEntered { all }.into())
    }

    /// Returns a product as the group leaves it so far.
    fn product(&self, id: ProductId) -> Result<StoredProduct, Error> {
        match self.catalogue.products.get(&id) {
            Some(pending) => Ok(pending.now.clone()),
            None => StoredProduct::read(&self.view, id),
        }
    }

    /// Puts other values in the place of a product's, and returns why not, if so.
    fn replace(
        &mut self,
        id: ProductId,
        before: StoredProduct,
        now: StoredProduct,
    ) -> Result<Option<ProductOutcome>, Error> {
        let (view, catalogue) = (&self.view, &mut self.catalogue);
        let runs = runs_in(id.0, before.styles.as_deref())?;
        let other_runs = runs_in(id.0, now.styles.as_deref())?;
        let mut skus = SkuChanges::default();
        if runs != other_runs {
            if !catalogue.skus.is_complete(view)? {
                return Ok(Some(ProductOutcome::SkusNotEntered));
            }
            match catalogue.skus.plan(view, id.0, &runs, &other_runs)? {
                Ok(changes) => skus = changes,
                Err(TakenSku { sku, product }) => {
                    let product = ProductId(product);
                    return Ok(Some(ProductOutcome::SkuTaken { sku, product }));
                }
            }
        }
        let change = match (before.is_there(), now.is_there()) {
            (false, true) => Some(RankChange::Added(id.0)),
            (true, false) => Some(RankChange::Removed(id.0)),
            _ => None,
        };
        if let Some(change) = change {
            let products = &catalogue.products;
            let ids_from = |from, count| ids_from(products, view, change, from, count);
            catalogue.ranks.change(view, change, &ids_from)?;
        }
        // Nothing fails from here on.
        catalogue.skus.apply(skus);
        self.bytes += before.bytes() + now.bytes();
        let counters = &mut self.counters;
        let counts = [
            &mut counters.products,
            &mut counters.styled,
            &mut counters.related,
        ];
        for ((count, before), now) in counts.into_iter().zip(before.values()).zip(now.values()) {
            // A count that is wrong is for `verify` to find.
            *count = match (before, now) {
                (None, Some(_)) => count.saturating_add(1),
                (Some(_), None) => count.saturating_sub(1),
                _ => *count,
            };
        }
        match catalogue.products.entry(id) {
            Entry::Occupied(mut pending) => pending.get_mut().now = now,
            Entry::Vacant(place) => {
                place.insert(PendingProduct { before, now });
            }
        }
        Ok(None)
    }
}
