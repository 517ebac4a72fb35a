//! The catalogue under changes, against a map of whole products.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::bulk::{Bulk, Replace};
use crate::committed_change::CommittedChange;
use crate::model::Page;
use crate::model::catalogue::{WholeFeature, WholePhoto, WholeProduct, WholeSku, WholeStyle};
use crate::model::moderation::{Actor, AuditAction, Role};
use crate::moderation::settings::ModerationSettings;
use crate::rocks::ReadTier;
use crate::store::Store;
use crate::verify;
use crate::writer::change::{Change, Rejected};
use crate::writer::idempotency::IDEMPOTENCY_KEYS_MAX;
use crate::writer::queue::{Writer, WriterOptions};

const PATIENCE: Duration = Duration::from_secs(30);
const OPTIONS: WriterOptions = WriterOptions {
    loss_time_max: None,
    queue_max: 1 << 16,
    free_space_min: 0,
    idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
    moderation: ModerationSettings::DEFAULT,
};

/// A product with so many units in its second style, whose ids no other product has.
fn product(id: u64, price: u64, skus: u64) -> WholeProduct {
    let style = |style: u64, skus: u64| WholeStyle {
        id: id * 10 + style,
        name: "Olive".to_owned(),
        original_price: price.to_string(),
        sale_price: price.is_multiple_of(2).then(|| "9.50".to_owned()),
        default: style == 1,
        photos: vec![WholePhoto {
            url: "u".to_owned(),
            thumbnail_url: "t".to_owned(),
        }],
        skus: (0..skus)
            .map(|sku| WholeSku {
                id: id * 100 + style * 10 + sku,
                size: "XS".to_owned(),
                quantity: 8,
            })
            .collect(),
    };
    WholeProduct {
        id: ProductId(id),
        name: format!("Coat {id}"),
        slogan: String::new(),
        description: String::new(),
        category: "Jackets".to_owned(),
        default_price: price.to_string(),
        features: vec![WholeFeature {
            feature: "Fabric".to_owned(),
            value: None,
        }],
        styles: if skus == 0 {
            Vec::new()
        } else {
            vec![style(1, 2), style(2, skus)]
        },
        related: (1..=price % 3).map(ProductId).collect(),
    }
}

/// A store with a writer.
struct Shop {
    store: Store,
    writer: Writer,
}

impl Shop {
    fn open(dir: &Path) -> Self {
        let store = Store::open(dir, "a test", 32 << 20, 0).unwrap();
        let failed = |error| panic!("{error}");
        let writer = Writer::start(&store, OPTIONS, || 5, |_| {}, failed).unwrap();
        Self { store, writer }
    }

    /// A store as an import leaves it.
    fn imported(dir: &Path, products: &[WholeProduct]) -> Self {
        let bulk = Bulk::begin(dir, "a test", Replace::Never).unwrap();
        let reviews = bulk.reviews().unwrap().finish().unwrap();
        let mut catalogue = bulk.catalogue().unwrap();
        for product in products {
            catalogue.product(product.id, &product.product()).unwrap();
            if !product.styles.is_empty() {
                catalogue.styles(product.id, product.styles()).unwrap();
            }
            if !product.related.is_empty() {
                let related = product.related.clone();
                catalogue.related(product.id, related).unwrap();
            }
        }
        let catalogue = catalogue.finish().unwrap();
        bulk.assemble(&reviews, &catalogue, 1).unwrap();
        bulk.publish().unwrap();
        Self::open(dir)
    }

    /// An empty store whose skus are entered.
    fn empty() -> (TempDir, Self) {
        let dir = tempfile::tempdir().unwrap();
        let shop = Self::open(dir.path());
        shop.enter();
        (dir, shop)
    }

    fn write(&self, change: Change) -> ProductOutcome {
        let (send, told) = channel();
        self.writer.submit(change, move |told| {
            let told: Result<_, Rejected> = told;
            send.send(told).unwrap();
        });
        match told.recv_timeout(PATIENCE).unwrap().unwrap().outcome {
            ChangeOutcome::Product(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn enter(&self) -> u64 {
        for commits in 1.. {
            match self.write(Change::EnterSkus) {
                ProductOutcome::SkusEntered { all: true } => return commits,
                ProductOutcome::SkusEntered { all: false } => {}
                other => panic!("{other:?}"),
            }
        }
        0
    }

    fn put(&self, product: WholeProduct) -> ProductOutcome {
        self.write(put(product, ExpectedProduct::Any))
    }

    fn remove(&self, id: u64) -> ProductOutcome {
        self.write(remove(id))
    }

    fn stock(&self, sku: u64, quantity: u64) -> ProductOutcome {
        self.write(stock(sku, quantity))
    }

    fn whole(&self, id: u64) -> Option<(ProductEtag, WholeProduct)> {
        let read = self.store.reader(ReadTier::Disk);
        read.whole_product(ProductId(id)).unwrap()
    }

    fn seq(&self) -> u64 {
        self.store.feed().applied().borrow().seq
    }

    fn page(&self, skip: u64, rows: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        let read = self.store.reader(ReadTier::Disk);
        let done = read.products(Page { skip, rows }, |id, product| {
            assert_eq!(product.name, format!("Coat {id}"));
            ids.push(id.0);
            ControlFlow::Continue(())
        });
        done.unwrap();
        ids
    }

    /// The store is what `model` says: each product, pages at every position, and what follows from them.
    fn hold(&self, model: &BTreeMap<u64, WholeProduct>) {
        for (id, product) in model {
            let whole = self.whole(*id).map(|(_, whole)| whole);
            assert_eq!(whole.as_ref(), Some(product));
        }
        let ids: Vec<u64> = model.keys().copied().collect();
        for skip in 0..=ids.len() + 1 {
            let expected: Vec<u64> = ids.iter().skip(skip).take(3).copied().collect();
            assert_eq!(self.page(skip as u64, 3), expected, "behind {skip}");
        }
        assert_eq!(verify::differences(&self.store).unwrap(), [""; 0]);
    }
}

fn merchant() -> Actor {
    Actor {
        name: "ana".to_owned(),
        role: Role::Catalogue,
    }
}

fn put(product: WholeProduct, expected: ExpectedProduct) -> Change {
    Change::PutProduct {
        product: Box::new(product),
        expected,
        by: merchant(),
    }
}

fn remove(id: u64) -> Change {
    Change::RemoveProduct {
        product: ProductId(id),
        expected: ExpectedProduct::Any,
        by: merchant(),
    }
}

fn stock(sku: u64, quantity: u64) -> Change {
    let update = SkuUpdate {
        quantity: Some(quantity),
        size: None,
    };
    Change::UpdateSku { sku, update }
}

#[test]
fn a_product_that_is_the_same_is_not_written_again() {
    let (_dir, shop) = Shop::empty();
    let ProductOutcome::Created(etag) = shop.put(product(7, 2, 3)) else {
        panic!("it is not created");
    };
    assert_eq!(shop.whole(7), Some((etag, product(7, 2, 3))));
    let read = shop.store.reader(ReadTier::Disk);
    assert_eq!(read.product_etag(ProductId(7)).unwrap(), Some(etag));
    assert_eq!(crate::etag_of(product(7, 2, 3)), Some(etag));
    let seq = shop.seq();
    let unchanged = ProductOutcome::Unchanged(ProductId(7), etag);
    assert_eq!(shop.put(product(7, 2, 3)), unchanged);
    assert_eq!(shop.stock(710, 8), unchanged);
    assert_eq!(shop.remove(8), ProductOutcome::NoSuchProduct);
    assert_eq!(shop.seq(), seq);
    assert_eq!(shop.remove(7), ProductOutcome::Removed);
    assert_eq!(shop.whole(7), None);
    shop.hold(&BTreeMap::new());
}

#[test]
fn a_product_that_is_not_the_expected_one_stays() {
    let (_dir, shop) = Shop::empty();
    let stale = ExpectedProduct::OneOf(vec![ProductEtag(1)]);
    let outcome = shop.write(put(product(7, 2, 3), stale.clone()));
    assert_eq!(outcome, ProductOutcome::Differs(None));
    let outcome = shop.write(put(product(7, 2, 3), ExpectedProduct::Present));
    assert_eq!(outcome, ProductOutcome::Differs(None));
    let outcome = shop.write(put(product(7, 2, 3), ExpectedProduct::Absent));
    let ProductOutcome::Created(etag) = outcome else {
        panic!("{outcome:?}");
    };
    for expected in [stale, ExpectedProduct::Absent] {
        let outcome = shop.write(put(product(7, 3, 3), expected.clone()));
        assert_eq!(outcome, ProductOutcome::Differs(Some(etag)));
        let outcome = shop.write(Change::RemoveProduct {
            product: ProductId(7),
            expected,
            by: merchant(),
        });
        assert_eq!(outcome, ProductOutcome::Differs(Some(etag)));
    }
    let expected = ExpectedProduct::OneOf(vec![ProductEtag(1), etag]);
    let outcome = shop.write(put(product(7, 3, 3), expected));
    assert!(
        matches!(outcome, ProductOutcome::Updated(..)),
        "{outcome:?}"
    );
    shop.hold(&BTreeMap::from([(7, product(7, 3, 3))]));
}

#[test]
fn a_sku_is_of_one_product_alone() {
    let (_dir, shop) = Shop::empty();
    shop.put(product(7, 2, 3));
    let mut other = product(8, 2, 3);
    other.styles[1].skus[2].id = 722;
    let taken = ProductOutcome::SkuTaken {
        sku: 722,
        product: ProductId(7),
    };
    assert_eq!(shop.put(other.clone()), taken);
    assert_eq!(shop.whole(8), None);
    // Once the other product does without it, it is free.
    shop.put(product(7, 2, 2));
    assert!(matches!(shop.put(other), ProductOutcome::Created(_)));
    assert!(matches!(shop.stock(722, 5), ProductOutcome::Updated(of, _) if of == ProductId(8)));
    assert_eq!(shop.stock(799, 5), ProductOutcome::NoSuchSku);
    let (_, whole) = shop.whole(8).unwrap();
    // Units are in the order of their ids.
    assert_eq!(whole.styles[1].skus[0].quantity, 5);
    assert_eq!(verify::differences(&shop.store).unwrap(), [""; 0]);
}

#[test]
fn the_skus_of_an_imported_store_are_entered_before_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let products: Vec<_> = (1..=2500).map(|id| product(id, 2, 3)).collect();
    let shop = Shop::imported(dir.path(), &products);
    assert_eq!(shop.stock(710, 5), ProductOutcome::SkusNotEntered);
    assert_eq!(shop.put(product(7, 2, 1)), ProductOutcome::SkusNotEntered);
    assert_eq!(shop.remove(7), ProductOutcome::SkusNotEntered);
    // A price does not need them.
    let outcome = shop.put(product(7, 4, 3));
    assert!(
        matches!(outcome, ProductOutcome::Updated(..)),
        "{outcome:?}"
    );
    assert_eq!(
        shop.write(Change::EnterSkus),
        ProductOutcome::SkusEntered { all: false }
    );
    assert_eq!(verify::differences(&shop.store).unwrap(), [""; 0]);
    drop(shop);
    let shop = Shop::open(dir.path());
    assert_eq!(shop.enter(), 2);
    let seq = shop.seq();
    assert_eq!(shop.enter(), 1);
    assert_eq!(shop.seq(), seq);
    assert!(matches!(
        shop.stock(250_021, 5),
        ProductOutcome::Updated(..)
    ));
    let mut model: BTreeMap<_, _> = (1..).zip(products).collect();
    model.insert(7, product(7, 4, 3));
    model.get_mut(&2500).unwrap().styles[1].skus[1].quantity = 5;
    shop.hold(&model);
}

#[test]
fn the_audit_log_has_the_changes_of_products_and_none_of_stock() {
    let (_dir, shop) = Shop::empty();
    shop.put(product(7, 2, 3));
    shop.put(product(7, 2, 3));
    shop.put(product(7, 4, 3));
    shop.stock(720, 1);
    shop.write(put(product(7, 5, 3), ExpectedProduct::Absent));
    shop.remove(7);
    shop.remove(7);
    let mut entries = Vec::new();
    let read = shop.store.reader(ReadTier::Disk);
    let done = read.audit(None, |_, entry| {
        assert_eq!((entry.actor, entry.role), ("ana", Role::Catalogue));
        entries.push((entry.action, entry.subject));
        ControlFlow::Continue(())
    });
    done.unwrap();
    let put = (AuditAction::PutProduct, 7);
    assert_eq!(entries, [put, put, (AuditAction::RemoveProduct, 7)]);
}

#[test]
fn a_commit_names_the_parts_of_the_catalogue_that_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "a test", 32 << 20, 0).unwrap();
    let (send, named) = channel();
    let named_by = move |part| send.send(part).unwrap();
    let writer = Writer::start(&store, OPTIONS, || 5, named_by, |error| panic!("{error}"));
    let shop = Shop {
        store,
        writer: writer.unwrap(),
    };
    let parts = || named.try_iter().collect::<Vec<_>>();
    shop.enter();
    assert_eq!(parts(), []);
    let of = CommittedChange::Product(ProductId(7));
    shop.put(product(7, 2, 3));
    assert_eq!(parts(), [of, CommittedChange::ProductList]);
    shop.stock(720, 3);
    assert_eq!(parts(), [of]);
    shop.stock(720, 3);
    assert_eq!(parts(), []);
    shop.remove(7);
    assert_eq!(parts(), [of, CommittedChange::ProductList]);
}

#[test]
fn a_verification_finds_and_repairs_ranks_and_skus_that_differ() {
    use crate::key::{Family, IdKey};
    let (_dir, shop) = Shop::empty();
    for id in 1..=300 {
        shop.put(product(id, 2, 3));
    }
    let model: BTreeMap<_, _> = (1..=300).map(|id| (id, product(id, 2, 3))).collect();
    shop.hold(&model);
    let mut batch = shop.store.rocks().batch();
    batch.delete(Family::Products, IdKey::from(150)).unwrap();
    batch.delete(Family::Styles, IdKey::from(151)).unwrap();
    batch.commit(true).unwrap();
    let found = verify::differences(&shop.store).unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    for (sentence, family) in found
        .iter()
        .zip(["the bucket of ranks", "skus", "the counters"])
    {
        assert!(sentence.starts_with(family), "{found:?}");
    }
    let repaired = verify::run(&shop.store, true, &|_| ()).unwrap();
    assert!(repaired.is_sound(), "{repaired:?}");
    assert_eq!(verify::differences(&shop.store).unwrap(), [""; 0]);
    assert_eq!(shop.page(148, 2), [149, 151]);
}

/// One change of a random run.
#[derive(Debug, Clone)]
enum Step {
    Put(u64, u64, u64),
    Remove(u64),
    Stock(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..400, 1_u64..6, 0_u64..4).prop_map(|(id, price, skus)| Step::Put(id, price, skus)),
        2 => (1_u64..400).prop_map(Step::Remove),
        1 => (1_u64..400, 0_u64..9).prop_map(|(id, quantity)| Step::Stock(id, quantity)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_catalogue_is_what_a_map_would_be(
        imported in prop::collection::btree_set(1_u64..400, 0..300),
        runs in prop::collection::vec(prop::collection::vec(step(), 1..150), 1..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let imported: Vec<_> = imported.into_iter().map(|id| product(id, 1, 2)).collect();
        let mut shop = Shop::imported(dir.path(), &imported);
        shop.enter();
        let all = imported.into_iter().map(|product| (product.id.0, product));
        let mut model: BTreeMap<_, _> = all.collect();
        for steps in runs {
            let (send, told) = channel();
            for step in &steps {
                let change = match *step {
                    Step::Put(id, price, skus) => {
                        model.insert(id, product(id, price, skus));
                        put(product(id, price, skus), ExpectedProduct::Any)
                    }
                    Step::Remove(id) => {
                        model.remove(&id);
                        remove(id)
                    }
                    Step::Stock(id, quantity) => {
                        let style = model.get_mut(&id).and_then(|of| of.styles.first_mut());
                        if let Some(sku) = style.and_then(|style| style.skus.first_mut()) {
                            sku.quantity = quantity;
                        }
                        stock(id * 100 + 10, quantity)
                    }
                };
                // Many wait at once, so that one commit has several of them.
                let send = send.clone();
                shop.writer.submit(change, move |told| send.send(told).unwrap());
            }
            for _ in &steps {
                told.recv_timeout(PATIENCE).unwrap().unwrap();
            }
            shop.hold(&model);
            drop(shop);
            shop = Shop::open(dir.path());
            shop.hold(&model);
        }
    }
}
