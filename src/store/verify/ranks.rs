//! Verification of the ranks of products, in both forms: the rows of an import, and the tree of a catalogue that
//! changed since.
//!
//! Must not know what products hold. Invariant: products and ranks are read along with each other, so that
//! memory is bounded by a path of the tree.

use super::super::error::Error;
use super::super::key::{Family, RANK_STRIDE, number_of};
use super::super::ranks::{RankEntry, RankKey, RankNode, RankWalk};
use super::order::FamilyRows;
use super::{ALL, Verifier, hex};
use crate::model::ProductId;

/// The ranks, read along with the products.
pub(super) struct RankCheck<'v, 'r> {
    form: RankForm<'v, 'r>,
    /// Products so far.
    products: u64,
}

enum RankForm<'v, 'r> {
    /// Each 64th product has a row.
    Imported(FamilyRows<'v, 'r>),
    Tree(TreeCheck),
    /// The tree is known to be wrong.
    Wrong,
}

/// The tree of ranks, read along.
struct TreeCheck {
    walk: RankWalk,
    /// The bucket of the products at hand, and the one behind it.
    bucket: Option<RankEntry>,
    next: Option<RankEntry>,
    /// Products of the bucket so far.
    counted: u64,
}

impl<'v, 'r> RankCheck<'v, 'r> {
    /// Begins with no product.
    pub(super) fn begin(check: &mut Verifier<'v, 'r>) -> Result<Self, Error> {
        let root = check.view.get(Family::Ranks, RankKey::Root.bytes())?;
        let form = match root {
            None => RankForm::Imported(FamilyRows::of(check.view, Family::Ranks, &check.gaps)?),
            Some(value) => {
                let tree = RankNode::of_value(RankKey::Root, &value)
                    .and_then(|root| TreeCheck::begin(check, root));
                tree.map_or_else(
                    |error| {
                        check.found.derived(Family::Ranks, error.to_string());
                        RankForm::Wrong
                    },
                    RankForm::Tree,
                )
            }
        };
        Ok(Self { form, products: 0 })
    }

    /// Compares the ranks with one more product.
    pub(super) fn product(
        &mut self,
        check: &mut Verifier<'v, 'r>,
        product: u64,
    ) -> Result<(), Error> {
        let rank = self.products;
        self.products += 1;
        match &mut self.form {
            RankForm::Imported(rows) if rank.is_multiple_of(RANK_STRIDE) => {
                check.rank(rank, product, rows)
            }
            RankForm::Tree(tree) => {
                let wrong = tree.product(check, product);
                self.note(check, wrong);
                Ok(())
            }
            RankForm::Imported(_) | RankForm::Wrong => Ok(()),
        }
    }

    /// Compares the ranks with the end of the products.
    pub(super) fn finish(mut self, check: &mut Verifier<'v, 'r>) -> Result<(), Error> {
        match &mut self.form {
            RankForm::Imported(rows) => {
                while let Some((key, _)) = rows.take_until(ALL)? {
                    check.count(Family::Ranks);
                    check.stray_rank(&key);
                }
                Ok(())
            }
            RankForm::Tree(tree) => {
                let wrong = tree.finish(check);
                let nodes = tree.walk.nodes;
                self.note(check, wrong);
                check.tree_rows(Some(nodes).filter(|_| matches!(self.form, RankForm::Tree(_))))
            }
            RankForm::Wrong => check.tree_rows(None),
        }
    }

    /// Notes what is wrong with the tree; one sentence is enough, since it is rebuilt as a whole.
    fn note(&mut self, check: &mut Verifier<'v, 'r>, wrong: Result<Option<String>, Error>) {
        let sentence = match wrong {
            Ok(None) => return,
            Ok(Some(sentence)) => sentence,
            Err(error) => error.to_string(),
        };
        self.form = RankForm::Wrong;
        // Ranks count all products before theirs.
        if !check.gaps.any_of(Family::Products) {
            check.found.derived(Family::Ranks, sentence);
        }
    }
}

impl TreeCheck {
    fn begin(check: &Verifier<'_, '_>, root: RankNode) -> Result<Self, Error> {
        let mut walk = RankWalk::of(root);
        let bucket = walk.next(check.view)?;
        let next = walk.next(check.view)?;
        Ok(Self {
            walk,
            bucket,
            next,
            counted: 0,
        })
    }

    /// Returns what is wrong with a product's bucket, or with one before it.
    fn product(&mut self, check: &Verifier<'_, '_>, product: u64) -> Result<Option<String>, Error> {
        while let Some(next) = self.next.filter(|next| next.from <= product) {
            if let Some(sentence) = self.closed() {
                return Ok(Some(sentence));
            }
            self.bucket = Some(next);
            self.next = self.walk.next(check.view)?;
            self.counted = 0;
        }
        self.counted += 1;
        let fits = self.bucket.is_some_and(|bucket| bucket.from <= product);
        Ok((!fits).then(|| format!("ranks has no bucket for product {product}")))
    }

    /// Returns what is wrong with the bucket at hand, which has no further product.
    fn closed(&self) -> Option<String> {
        let RankEntry { from, count } = self.bucket?;
        let counted = self.counted;
        (counted != count).then(|| {
            format!("the bucket of ranks from product {from} on has {counted} products, and ranks says {count}")
        })
    }

    fn finish(&mut self, check: &Verifier<'_, '_>) -> Result<Option<String>, Error> {
        let closed = self.closed();
        if closed.is_some() || self.next.is_none() {
            return Ok(closed);
        }
        while self.walk.next(check.view)?.is_some() {}
        Ok(Some(
            "ranks has a bucket behind the last product".to_owned(),
        ))
    }
}

impl<'v, 'r> Verifier<'v, 'r> {
    /// Compares the rows of ranks with the nodes of the tree, where all of those were found.
    fn tree_rows(&mut self, nodes: Option<u64>) -> Result<(), Error> {
        let mut rows = FamilyRows::of(self.view, Family::Ranks, &self.gaps)?;
        let mut found = 0;
        while rows.take_until(ALL)?.is_some() {
            self.count(Family::Ranks);
            found += 1;
        }
        if let Some(nodes) = nodes.filter(|nodes| *nodes != found) {
            let sentence = format!("ranks has {found} rows, and its tree {nodes} nodes");
            self.found.derived(Family::Ranks, sentence);
        }
        Ok(())
    }

    /// Compares the ranks up to this one with the one there should be.
    fn rank(
        &mut self,
        rank: u64,
        product: u64,
        ranks: &mut FamilyRows<'v, 'r>,
    ) -> Result<(), Error> {
        let mut found = None;
        while let Some((key, value)) = ranks.take_until(ProductId(rank))? {
            self.count(Family::Ranks);
            if number_of(&key) == Some(rank) {
                found = Some(number_of(&value));
            } else {
                self.stray_rank(&key);
            }
        }
        // Ranks count all products before theirs.
        if self.gaps.any_of(Family::Products) || self.gaps.touch(Family::Ranks, ProductId(rank)) {
            return Ok(());
        }
        let sentence = match found {
            Some(Some(of)) if of == product => return Ok(()),
            Some(Some(of)) => {
                format!("the product of rank {rank} is {product}, and ranks has {of}")
            }
            Some(None) => format!("the product of rank {rank} is not eight bytes"),
            None => format!("ranks lacks rank {rank}"),
        };
        self.found.derived(Family::Ranks, sentence);
        Ok(())
    }

    fn stray_rank(&mut self, key: &[u8]) {
        if self.gaps.any_of(Family::Products) {
            return;
        }
        let sentence = format!("ranks has the row {} without a product", hex(key));
        self.found.derived(Family::Ranks, sentence);
    }
}
