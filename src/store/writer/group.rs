//! Changes that are committed together: each sees those before it, the store none before the end.
//!
//! Must not know the queue or how clients are answered. Invariants: a change that fails leaves the group as
//! it was; the writes of the batch are decided once for every row it touches, so order rows move from where
//! the store has them to where they end, however often they were voted on in between; a summary is what a
//! verification would give.

mod amend;
mod audit;
mod catalogue;
mod filed;
mod house;
mod moderate;
mod post;
pub(crate) mod reports;
pub(crate) mod states;
mod summaries;
mod votes;

use std::collections::btree_map::{BTreeMap, Entry};

use super::change::{Change, ChangeOutcome, Rejected};
use super::idempotency::{IdempotencyKeys, PrunedKeys};
use crate::committed_change::CommittedChange;
use crate::decoding::{damaged, number, read};
use crate::error::Error;
use crate::key::{Family, HelpfulKey, IdKey, NewestKey, ReviewKey, state};
use crate::log::commit_log::{CommitLog, Committed};
use crate::model::moderation::{AuditAction, Decision, ReasonCode};
use crate::model::{ClientHash, ProductId, Review, ReviewId};
use crate::moderation::keys::EmailKey;
use crate::moderation::settings::ModerationSettings;
use crate::rocks::{RocksView, WriteBatch};
use crate::store::Store;
use crate::value::{Counters, IdempotencyRecord, ReviewHead, StoredValue, decode_head, encode};
use catalogue::PendingCatalogue;
use filed::PendingFiled;
use reports::PendingReports;
use states::AuditedAction;
use votes::PendingVotes;

/// Changes on their way into one batch.
pub(crate) struct CommitGroup<'s> {
    store: &'s Store,
    view: RocksView<'s>,
    times: Times,
    counters: Counters,
    reviews: BTreeMap<ReviewId, PendingReview>,
    /// The summaries' values; `None` for one that is removed.
    summaries: BTreeMap<ProductId, Option<Vec<u8>>>,
    idempotency_keys: BTreeMap<Vec<u8>, IdempotencyRecord>,
    /// The idempotency records that are removed with the reviews they made, or had expired before they were
    /// used again.
    forgotten: BTreeMap<Vec<u8>, IdempotencyRecord>,
    /// The reporters of the reviews that it hides, one for each.
    hidden_by: Vec<ClientHash>,
    catalogue: PendingCatalogue,
    filed: PendingFiled,
    settings: ModerationSettings,
    reports: BTreeMap<ReviewId, PendingReports>,
    votes: BTreeMap<(ReviewId, ClientHash), PendingVotes>,
    /// The reviews that it adds, by the hash of the e-mail address and the product.
    emails: BTreeMap<(u64, ProductId), ReviewId>,
    /// The values of the entries of the audit log that it adds, by number.
    entries: BTreeMap<u64, Vec<u8>>,
    /// The entries of the audit log that it removes.
    pruned_entries: Vec<u64>,
    /// Rows of `moderation` that were missing.
    missing_rows: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

/// The result of a group.
pub(crate) struct GroupResult {
    /// The counters as they are now.
    pub(crate) counters: Counters,
    /// The parts of the store that changed.
    pub(crate) changed: Vec<CommittedChange>,
    /// The commit.
    pub(crate) commit: Committed,
    /// The errors for which rows stay that were to be removed.
    pub(crate) passed_over: Vec<Error>,
    /// The reporters of the reviews that it hid, one for each.
    pub(crate) hidden_by: Vec<ClientHash>,
    /// True if it added entries to the audit log.
    pub(crate) is_audited: bool,
}

/// A review that the group adds or changes.
struct PendingReview {
    product: ProductId,
    /// The product that the store has it of, if that is another one.
    moved_from: Option<ProductId>,
    /// The head in the store; `None` for a new one.
    before: Option<ReviewHead>,
    head: ReviewHead,
    /// The name of the actor that decided on its state; empty where nobody did.
    decided_by: String,
    /// The hash of the e-mail address of one that is added, or erased.
    email: Option<u64>,
    /// Its value but for the head.
    value: Vec<u8>,
    review_change: ReviewChange,
}

/// The change of a review beside its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReviewChange {
    /// Nothing.
    Kept,
    /// Another value.
    Amended,
    /// It is deleted, and so is its id: it is no longer found, and never reused.
    Erased,
}

/// The times of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// The time by the clock.
    pub(crate) now_ms: i64,
    /// The date of the reviews that are added.
    pub(crate) date_ms: i64,
}

impl<'s> CommitGroup<'s> {
    /// An empty group of changes made now, to a store that counts so much.
    pub(crate) fn new(
        store: &'s Store,
        counters: Counters,
        times: Times,
        settings: ModerationSettings,
    ) -> Self {
        Self {
            store,
            view: store.rocks().view(),
            times,
            counters,
            reviews: BTreeMap::new(),
            summaries: BTreeMap::new(),
            idempotency_keys: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            hidden_by: Vec::new(),
            catalogue: PendingCatalogue::default(),
            filed: PendingFiled::default(),
            settings,
            reports: BTreeMap::new(),
            votes: BTreeMap::new(),
            emails: BTreeMap::new(),
            entries: BTreeMap::new(),
            pruned_entries: Vec::new(),
            missing_rows: Vec::new(),
            bytes: 0,
        }
    }

    /// The same for changes that are not to be committed, to the store as it is now.
    pub(crate) fn rehearsal(store: &'s Store, counters: Counters, times: Times) -> Self {
        Self {
            view: store.rocks().view().still(),
            ..Self::new(store, counters, times, ModerationSettings::DEFAULT)
        }
    }

    /// Bytes of the reviews in it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns true if there is anything to commit.
    pub(crate) fn is_changed(&self) -> bool {
        self.reviews.values().any(PendingReview::is_changed)
            || self.reports.values().any(PendingReports::is_changed)
            || self.votes.values().any(PendingVotes::is_changed)
            || !self.entries.is_empty()
            || self.catalogue.is_changed()
            || self.filed.is_changed()
            || !self.pruned_entries.is_empty()
            || !self.missing_rows.is_empty()
    }

    /// Returns true if reviews are added to a store that counted so much before.
    pub(crate) fn is_added_to(&self, before: Counters) -> bool {
        self.counters.next_review_id > before.next_review_id
    }

    /// Makes a change within the group.
    pub(crate) fn apply(&mut self, change: Change) -> Result<ChangeOutcome, Rejected> {
        let outcome = match change {
            Change::Post {
                review,
                retry,
                held,
            } => self.post(&review, retry, held),
            Change::Helpful(id) => self.vote(id, None),
            Change::Vote { review, client } => self.vote(review, Some(client)),
            Change::WithdrawVote { review, client } => self.withdraw_vote(review, client),
            Change::Report {
                review,
                client,
                reason,
                hides,
            } => self.report(review, client, reason, hides),
            Change::WithdrawReport { review, client } => self.withdraw_report(review, client),
            Change::Restore { review, by } => self.restore(review, &by),
            Change::RestoreReported { reviews, which, by } => {
                self.restore_all(&reviews, which, &by)
            }
            Change::Moderate {
                reviews,
                to,
                reason,
                note,
                by,
            } => {
                let action = AuditedAction {
                    action: AuditAction::Moderate,
                    reason,
                    note: note.as_deref(),
                    by: &by,
                };
                Ok(self.moderate(&reviews, to, &action))
            }
            Change::Undo { entry, by } => self.undo(entry, &by),
            Change::Respond {
                review,
                response,
                by,
            } => self.respond(review, response.as_deref(), &by),
            Change::Erase {
                review,
                idempotency_keys,
                by,
            } => {
                let action = AuditedAction {
                    action: AuditAction::Erase,
                    reason: ReasonCode::Request,
                    note: None,
                    by: &by,
                };
                self.erase(review, idempotency_keys, &action)
            }
            Change::PutProduct {
                product,
                expected,
                by,
            } => self.put_product(*product, &expected, &by),
            Change::RemoveProduct {
                product,
                expected,
                by,
            } => self.remove_product(product, &expected, &by),
            Change::UpdateSku { sku, update } => self.update_sku(sku, &update),
            Change::EnterSkus => self.enter_skus(),
            Change::File(change) => self.file(&change).map(ChangeOutcome::Filed),
        };
        // A read is all that can fail here, and the change that needed it is not begun.
        outcome.map_err(|damaged| Rejected::Damaged(damaged.to_string()))
    }

    /// Returns the review as the group leaves it so far; `None` when there is none.
    fn reach(&mut self, id: ReviewId) -> Result<Option<&mut PendingReview>, Error> {
        let pending = match self.reviews.entry(id) {
            Entry::Occupied(pending) => pending.into_mut(),
            Entry::Vacant(place) => {
                let Some(found) = find(&self.view, id)? else {
                    return Ok(None);
                };
                self.bytes += found.value.len();
                place.insert(found)
            }
        };
        Ok((pending.review_change != ReviewChange::Erased).then_some(pending))
    }

    /// Commits everything in one batch.
    pub(crate) fn commit(
        self,
        idempotency_keys: &mut IdempotencyKeys,
        commit_log: &mut CommitLog,
        durable: bool,
    ) -> Result<GroupResult, Error> {
        let rocks = self.store.rocks();
        let mut batch = commit_log.begin_at(rocks, self.times.now_ms);
        let mut counters = self.counters;
        for (id, pending) in &self.reviews {
            pending.write(*id, &mut batch)?;
        }
        for (product, summary) in &self.summaries {
            let key = IdKey::from(*product);
            match summary {
                Some(summary) => batch.put(Family::Summaries, key, summary)?,
                None => batch.delete(Family::Summaries, key)?,
            }
        }
        self.catalogue.write(&mut batch)?;
        self.filed.write(&mut batch)?;
        let mut records =
            idempotency_keys.change(&self.view, &mut batch, counters.idempotency_keys);
        for (name, retried) in &self.forgotten {
            records.forget(name, retried)?;
        }
        if !self.idempotency_keys.is_empty() {
            records.prune(self.times.now_ms, self.idempotency_keys.values());
        }
        // After the removed ones: an expired name may come again.
        for (name, retried) in &self.idempotency_keys {
            records.add(name, retried)?;
        }
        let PrunedKeys { left, passed_over } = records.finish();
        counters.idempotency_keys = left;
        self.write_reports(&mut batch)?;
        self.write_votes(&mut batch)?;
        self.write_audit(&mut batch)?;
        self.write_missing(&mut batch)?;
        let value = value_of(Family::State, "counters", &counters)?;
        batch.put(Family::State, state::COUNTERS, &value)?;
        let commit = commit_log.commit(rocks, batch, durable)?;
        let reviews = self.reviews.values();
        let mut changed: Vec<_> = reviews
            .flat_map(|pending| [pending.product, pending.stored_product()])
            .map(CommittedChange::ReviewsOf)
            .collect();
        self.catalogue.changed(&mut changed);
        self.filed.changed(&mut changed);
        changed.sort_unstable();
        changed.dedup();
        Ok(GroupResult {
            counters,
            changed,
            commit,
            passed_over,
            hidden_by: self.hidden_by,
            is_audited: !self.entries.is_empty(),
        })
    }
}

impl PendingReview {
    fn is_changed(&self) -> bool {
        self.before != Some(self.head) || self.review_change != ReviewChange::Kept
    }

    /// The product that the store has it of; its own if it is new.
    fn stored_product(&self) -> ProductId {
        self.moved_from.unwrap_or(self.product)
    }

    /// The review as the group leaves it so far.
    fn review(&self, id: ReviewId) -> Result<Review<'_>, Error> {
        let mut review: Review<'_> = read(Family::Reviews, id, &self.value)?;
        review.helpfulness = self.head.helpfulness;
        review.state = self.head.state;
        review.report = self.head.report;
        review.decision = self.head.decided.map(|decided| Decision {
            at_ms: decided.at_ms,
            reason: decided.reason,
            by: &self.decided_by,
        });
        Ok(review)
    }

    fn write(&self, id: ReviewId, batch: &mut WriteBatch<'_>) -> Result<(), Error> {
        if self.review_change == ReviewChange::Erased {
            return self.write_erased(id, batch);
        }
        if !self.is_changed() {
            return Ok(());
        }
        let (product, stored) = (self.product, self.stored_product());
        let value = value_of(Family::Reviews, id, &self.review(id)?)?;
        if stored != product {
            batch.delete(Family::Reviews, ReviewKey::new(stored, id))?;
        }
        batch.put(Family::Reviews, ReviewKey::new(product, id), &value)?;
        if self.before.is_none() || stored != product {
            let owner = IdKey::from(product);
            batch.put(Family::Owners, IdKey::from(id), owner.as_ref())?;
            if let Some(email) = self.email {
                let key = EmailKey::new(email, product, id);
                batch.put(Family::Moderation, key, &[])?;
            }
        }
        let newest = |of: ProductId, head: &ReviewHead| NewestKey::new(of, head.date_ms, id);
        let helpful = |of: ProductId, head: &ReviewHead| {
            HelpfulKey::new(of, head.helpfulness, head.date_ms, id)
        };
        if let Some(before) = self.before.filter(ReviewHead::is_published) {
            batch.delete(Family::Newest, newest(stored, &before))?;
            batch.delete(Family::Helpful, helpful(stored, &before))?;
        }
        if self.head.is_published() {
            batch.put(Family::Newest, newest(product, &self.head), &[])?;
            batch.put(Family::Helpful, helpful(product, &self.head), &[])?;
        }
        self.write_state(id, Some(&self.head), batch)
    }
}

fn find(view: &RocksView<'_>, id: ReviewId) -> Result<Option<PendingReview>, Error> {
    let Some(owner) = view.get(Family::Owners, IdKey::from(id))? else {
        return Ok(None);
    };
    let product = ProductId(number(Family::Owners, &owner)?);
    let value = view
        .get(Family::Reviews, ReviewKey::new(product, id))?
        .ok_or_else(|| damaged(Family::Owners, id, "its review is missing"))?;
    let head = decode_head(&value).map_err(|why| damaged(Family::Reviews, id, &why))?;
    // The value is decoded whole, so that a damaged one is refused now and not when its group is committed.
    let review: Review<'_> = read(Family::Reviews, id, &value)?;
    Ok(Some(PendingReview {
        product,
        moved_from: None,
        before: Some(head),
        head,
        decided_by: decided_by(&review),
        email: None,
        value: value.to_vec(),
        review_change: ReviewChange::Kept,
    }))
}

fn decided_by(review: &Review<'_>) -> String {
    let by = review.decision.map(|decision| decision.by.to_owned());
    by.unwrap_or_default()
}

fn value_of<'v, R: StoredValue<'v>>(
    family: Family,
    id: impl std::fmt::Display,
    record: &R,
) -> Result<Vec<u8>, Error> {
    let mut value = Vec::new();
    encode(record, &mut value).map_err(|why| damaged(family, id, &why))?;
    Ok(value)
}
