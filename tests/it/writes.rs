//! The writer against a model: every interleaving of writes, reads and restarts gives the results of plain
//! maps.
//!
//! Invariant: after every restart a verification of the whole store finds no difference.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use proptest::prelude::*;
use reviewsd::model::filed::{
    FiledChange, FiledCharacteristics, FiledName, FiledOutcome, FiledReview, FiledText,
};
use reviewsd::model::moderation::{Actor, ReasonCode, ReviewState};
use reviewsd::model::record::RecordRating;
use reviewsd::model::{CharacteristicRating, NewReview, Order, Page, ProductId, Review, ReviewId};
use reviewsd::store::bulk::{Bulk, Replace};
use reviewsd::store::erase::Traces;
use reviewsd::store::reported::ReportedFilter;
use reviewsd::store::{
    Change, ChangeOutcome, IDEMPOTENCY_KEYS_MAX, IdempotencyKey, ModerationSettings, ReadTier,
    Rejected, Store, WriteResult, Writer, WriterOptions, verify,
};

use crate::support::{HOT_REVIEW_FIRST, open_store, report, shop_dir};

const OPTIONS: WriterOptions = WriterOptions {
    loss_time_max: None,
    queue_max: 1000,
    free_space_min: 0,
    idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
    moderation: ModerationSettings::DEFAULT,
};
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The time at which tests begin.
const BEGUN_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Longer than any group takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store with a writer, and a clock that tests turn.
struct Shop {
    store: Store,
    writer: Writer,
    now_ms: Arc<AtomicI64>,
}

type Answered = Receiver<Result<ChangeOutcome, Rejected>>;

impl Shop {
    fn open(dir: &Path) -> Self {
        Self::open_with(dir, OPTIONS, Arc::new(AtomicI64::new(BEGUN_MS)))
    }

    fn open_with(dir: &Path, options: WriterOptions, now_ms: Arc<AtomicI64>) -> Self {
        let store = open_store(dir);
        let clock = Arc::clone(&now_ms);
        let now = move || clock.load(Relaxed);
        let failed = |error| panic!("{error}");
        let writer = Writer::start(&store, options, now, |_| {}, failed).unwrap();
        Self {
            store,
            writer,
            now_ms,
        }
    }

    fn submit(&self, change: Change) -> Answered {
        let (send, answered) = channel();
        // A test that does not wait for the answer has gone on.
        let answer = move |settled: Result<WriteResult, Rejected>| {
            drop(send.send(settled.map(|settled| settled.outcome)));
        };
        self.writer.submit(change, answer);
        answered
    }

    fn do_now(&self, change: Change) -> Result<ChangeOutcome, Rejected> {
        self.submit(change).recv_timeout(PATIENCE).unwrap()
    }

    fn list(&self, product: u64, order: Order) -> Vec<u64> {
        let all = Page {
            skip: 0,
            rows: usize::MAX,
        };
        let mut ids = Vec::new();
        let reader = self.store.reader(ReadTier::Disk);
        let push = |id: ReviewId, _: &Review<'_>| {
            ids.push(id.0);
            ControlFlow::Continue(())
        };
        reader.list(ProductId(product), order, all, push).unwrap();
        ids
    }
}

fn new_review(product: u64, rating: u8) -> NewReview {
    NewReview {
        product: ProductId(product),
        rating,
        recommend: rating > 3,
        summary: "A headline".to_owned(),
        body: "A text".to_owned(),
        reviewer_name: "pine".to_owned(),
        reviewer_email: "pine@example.org".to_owned(),
        photos: vec!["https://example.org/1".to_owned(); usize::from(rating % 3)],
        ratings: vec![CharacteristicRating {
            characteristic_id: product * 10,
            value: rating,
        }],
    }
}

fn post(product: u64, rating: u8) -> Change {
    Change::Post {
        review: new_review(product, rating),
        retry: None,
        held: None,
    }
}

fn retried(key: &str, body: u128) -> Change {
    retried_by(CLIENT, key, body)
}

fn retried_by(client: IpAddr, key: &str, body: u128) -> Change {
    let retry = IdempotencyKey {
        key: key.as_bytes().to_vec(),
        body,
        client,
    };
    Change::Post {
        review: new_review(1, 5),
        retry: Some(retry),
        held: None,
    }
}

/// A data directory with two products that have one characteristic each and one review.
fn begin(dir: &Path) {
    let bulk = Bulk::begin(dir, "a test", Replace::Never).unwrap();
    let mut loader = bulk.reviews().unwrap();
    for id in [1, 2] {
        loader.owner(ReviewId(id), ProductId(id)).unwrap();
    }
    for id in [1, 2] {
        let product = ProductId(id);
        loader
            .product(product, [(id * 10, "Fit")].into_iter())
            .unwrap();
        let review = Review {
            rating: 4,
            date_ms: 1_600_000_000_000,
            recommend: true,
            state: ReviewState::Published,
            report: None,
            decision: None,
            helpfulness: 2,
            summary: "Old",
            body: "An old one",
            reviewer_name: "oak",
            reviewer_email: "oak@example.org",
            response: None,
            photos: Vec::new(),
            ratings: Vec::new(),
        };
        loader.review(product, ReviewId(id), &review).unwrap();
    }
    let catalogue = bulk.catalogue().unwrap().finish().unwrap();
    bulk.assemble(&loader.finish().unwrap(), &catalogue, 0)
        .unwrap();
    bulk.publish().unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    /// Submitted together, so that they may share a group.
    Writes(Vec<Write>),
    Restart,
    /// The clock goes on.
    Tick(i64),
}

#[derive(Debug, Clone, Copy)]
enum Write {
    Post {
        product: u64,
        rating: u8,
    },
    Helpful(u64),
    /// By one of two clients.
    Report(u64, u8),
    Restore(u64),
    /// All of a client, or all, that were reported at this time after the beginning or later.
    RestoreReported(Option<u8>, Option<i64>),
    Respond(u64, Option<&'static str>),
    Erase(u64),
    /// The shop's files have it of this product, with a date and votes.
    File(u64, u64, (i64, u32)),
    /// They no longer have it.
    Unfile(u64),
    /// They have another name for a characteristic of a product.
    Name(u64, u64, &'static str),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = prop_oneof![
        (1_u64..4, 1_u8..=5).prop_map(|(product, rating)| Write::Post { product, rating }),
        (0_u64..30).prop_map(Write::Helpful),
        (0_u64..30, 0_u8..2).prop_map(|(id, client)| Write::Report(id, client)),
        (0_u64..30).prop_map(Write::Restore),
        (prop::option::of(0_u8..2), prop::option::of(0_i64..3))
            .prop_map(|(client, since)| Write::RestoreReported(client, since)),
        (0_u64..30, prop::option::of(Just("Thanks")))
            .prop_map(|(id, response)| Write::Respond(id, response)),
        (0_u64..12).prop_map(Write::Erase),
        (1_u64..30, 1_u64..4, (0_i64..3, 0_u32..5))
            .prop_map(|(id, product, said)| Write::File(id, product, said)),
        (1_u64..30).prop_map(Write::Unfile),
        (
            1_u64..4,
            prop_oneof![Just(10), Just(11), Just(30)],
            prop_oneof![Just("Fit"), Just("Size")],
        )
            .prop_map(|(product, id, name)| Write::Name(product, id, name)),
    ];
    let step = prop_oneof![
        6 => prop::collection::vec(write, 1..20).prop_map(Step::Writes),
        1 => Just(Step::Restart),
        2 => (0_i64..3).prop_map(Step::Tick),
    ];
    prop::collection::vec(step, 1..12)
}

#[derive(Debug, Clone, Copy)]
struct Row {
    product: u64,
    date_ms: i64,
    helpfulness: u32,
    /// The time, and the client.
    reported: Option<(i64, u8)>,
    response: Option<&'static str>,
    /// True if it is as the files have it.
    filed: bool,
}

/// The expected contents of the shop.
struct Model {
    rows: BTreeMap<u64, Row>,
    /// The ids that the shop gave, and those of them that were erased.
    shops: BTreeSet<u64>,
    gone: BTreeSet<u64>,
    /// Ids that were passed over, and that no review ever had.
    free: BTreeSet<u64>,
    names: BTreeMap<(u64, u64), &'static str>,
    /// The id the next review gets, also when the last one is deleted.
    next: u64,
}

impl Model {
    fn new() -> Self {
        let old = |id| Row {
            product: id,
            date_ms: 1_600_000_000_000,
            helpfulness: 2,
            reported: None,
            response: None,
            filed: false,
        };
        Self {
            rows: [1, 2].map(|id| (id, old(id))).into(),
            shops: [1, 2].into(),
            gone: BTreeSet::new(),
            free: BTreeSet::new(),
            names: [((1, 10), "Fit"), ((2, 20), "Fit")].into(),
            next: 3,
        }
    }

    fn apply(&mut self, write: Write, now_ms: i64) -> ChangeOutcome {
        let id = match write {
            Write::Post { product, .. } => {
                let id = self.next;
                self.next += 1;
                let row = Row {
                    product,
                    date_ms: now_ms,
                    helpfulness: 0,
                    reported: None,
                    response: None,
                    filed: false,
                };
                self.rows.insert(id, row);
                return ChangeOutcome::Created(ReviewId(id));
            }
            Write::Erase(id) => {
                return match self.rows.remove(&id) {
                    Some(_) => {
                        if self.shops.contains(&id) {
                            self.gone.insert(id);
                        }
                        ChangeOutcome::Changed
                    }
                    None => ChangeOutcome::NoSuchReview,
                };
            }
            Write::File(id, product, said) => {
                return ChangeOutcome::Filed(self.file(id, product, said));
            }
            Write::Unfile(id) => return ChangeOutcome::Filed(self.unfile(id)),
            Write::Name(product, id, name) => {
                let before = self.names.insert((product, id), name);
                return ChangeOutcome::Filed(if before == Some(name) {
                    FiledOutcome::Unchanged
                } else {
                    FiledOutcome::Changed
                });
            }
            Write::RestoreReported(client, since) => {
                let is_meant = |(at_ms, by): (i64, u8)| {
                    client.is_none_or(|client| client == by)
                        && since.is_none_or(|since| at_ms >= BEGUN_MS + since)
                };
                let mut restored = 0;
                for row in self.rows.values_mut() {
                    if row.reported.is_some_and(is_meant) {
                        row.reported = None;
                        restored += 1;
                    }
                }
                return ChangeOutcome::Restored(restored);
            }
            Write::Helpful(id)
            | Write::Report(id, _)
            | Write::Restore(id)
            | Write::Respond(id, _) => id,
        };
        let Some(row) = self.rows.get_mut(&id) else {
            return ChangeOutcome::NoSuchReview;
        };
        match write {
            Write::Helpful(_) => row.helpfulness += 1,
            Write::Report(_, client) => {
                row.reported.get_or_insert((now_ms, client));
            }
            Write::Restore(_) => row.reported = None,
            Write::Respond(_, response) => row.response = response,
            Write::Post { .. }
            | Write::RestoreReported(..)
            | Write::Erase(_)
            | Write::File(..)
            | Write::Unfile(_)
            | Write::Name(..) => {}
        }
        ChangeOutcome::Changed
    }

    fn file(&mut self, id: u64, product: u64, (later_ms, votes): (i64, u32)) -> FiledOutcome {
        let date_ms = FILED_MS + later_ms;
        let is_shops = self.shops.contains(&id);
        match self.rows.get_mut(&id) {
            Some(_) if !is_shops => FiledOutcome::Customers,
            Some(row) => {
                let is_same = (row.product, row.date_ms, row.filed) == (product, date_ms, true);
                if is_same && row.helpfulness >= votes {
                    return FiledOutcome::Unchanged;
                }
                row.helpfulness = row.helpfulness.max(votes);
                (row.product, row.date_ms, row.filed) = (product, date_ms, true);
                FiledOutcome::Changed
            }
            None if self.gone.contains(&id) => FiledOutcome::Erased,
            None if id < self.next && !is_shops && !self.free.contains(&id) => FiledOutcome::Erased,
            None => {
                self.free.extend(self.next..id);
                self.next = self.next.max(id + 1);
                self.shops.insert(id);
                let row = Row {
                    product,
                    date_ms,
                    helpfulness: votes,
                    reported: None,
                    response: None,
                    filed: true,
                };
                self.rows.insert(id, row);
                FiledOutcome::Inserted
            }
        }
    }

    fn unfile(&mut self, id: u64) -> FiledOutcome {
        match (self.rows.contains_key(&id), self.shops.contains(&id)) {
            (false, _) => FiledOutcome::Unchanged,
            (true, false) => FiledOutcome::Customers,
            (true, true) => {
                self.rows.remove(&id);
                FiledOutcome::Removed
            }
        }
    }

    fn list(&self, product: u64, order: Order) -> Vec<u64> {
        let of = |(_, row): &(&u64, &Row)| row.product == product && row.reported.is_none();
        let mut rows: Vec<_> = self.rows.iter().filter(of).collect();
        rows.sort_by_key(|(id, row)| match order {
            Order::Newest => Reverse((0, row.date_ms, **id)),
            Order::Helpful => Reverse((row.helpfulness, row.date_ms, **id)),
        });
        rows.into_iter().map(|(id, _)| *id).collect()
    }
}

fn erase(id: u64) -> Change {
    Change::Erase {
        review: ReviewId(id),
        idempotency_keys: Vec::new(),
        by: Actor::operator(),
    }
}

fn restore(review: ReviewId) -> Change {
    let by = Actor::operator();
    Change::Restore { review, by }
}

fn restore_reported(reviews: Vec<ReviewId>, which: ReportedFilter) -> Change {
    let by = Actor::operator();
    Change::RestoreReported { reviews, which, by }
}

fn client(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}

fn change_of(write: Write, store: &Store) -> Change {
    match write {
        Write::Post { product, rating } => post(product, rating),
        Write::Helpful(id) => Change::Helpful(ReviewId(id)),
        Write::Report(id, by) => Change::Report {
            review: ReviewId(id),
            client: client(by),
            reason: ReasonCode::Spam,
            hides: true,
        },
        Write::Restore(id) => restore(ReviewId(id)),
        Write::RestoreReported(by, since) => {
            let which = ReportedFilter {
                since_ms: since.map(|since| BEGUN_MS + since),
                until_ms: None,
                reporter: by.map(|by| store.client_hash(client(by))),
            };
            // More than there are.
            restore_reported((0..40).map(ReviewId).collect(), which)
        }
        Write::Respond(id, response) => Change::Respond {
            review: ReviewId(id),
            response: response.map(str::to_owned),
            by: Actor::operator(),
        },
        Write::Erase(id) => erase(id),
        Write::File(id, product, said) => Change::File(Box::new(filed(id, product, said))),
        Write::Unfile(review_id) => Change::File(Box::new(FiledChange::RemoveReview { review_id })),
        Write::Name(product_id, id, name) => {
            let name = name.into();
            let names = vec![FiledName { id, name }];
            let filed = FiledCharacteristics { product_id, names };
            Change::File(Box::new(FiledChange::Characteristics(filed)))
        }
    }
}

/// The dates of reviews in files begin here.
const FILED_MS: i64 = 1_650_000_000_000;

fn filed(id: u64, product: u64, (later_ms, votes): (i64, u32)) -> FiledChange<'static> {
    FiledChange::Review(FiledReview {
        review_id: id,
        product_id: product,
        text: Some(FiledText {
            rating: 2,
            date_ms: FILED_MS + later_ms,
            summary: "Filed".into(),
            body: "As the shop's files have it".into(),
            recommend: false,
            reported: false,
            reviewer_name: "elm".into(),
            reviewer_email: "elm@example.org".into(),
            response: None,
            helpfulness: votes,
        }),
        photos: None,
        characteristics: Some(vec![RecordRating {
            id: product * 10,
            value: 3,
        }]),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn interleaved_writes_reads_and_restarts_match_the_model(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        begin(dir.path());
        let mut model = Model::new();
        let mut shop = Shop::open(dir.path());
        for step in steps {
            match step {
                Step::Writes(writes) => {
                    let now_ms = shop.now_ms.load(Relaxed);
                    let answers: Vec<_> =
                        writes.iter().map(|write| shop.submit(change_of(*write, &shop.store))).collect();
                    for (write, answer) in writes.iter().zip(answers) {
                        let outcome = answer.recv_timeout(PATIENCE).unwrap();
                        prop_assert_eq!(outcome, Ok(model.apply(*write, now_ms)));
                    }
                }
                Step::Restart => {
                    let now_ms = Arc::clone(&shop.now_ms);
                    drop(shop);
                    shop = Shop::open_with(dir.path(), OPTIONS, now_ms);
                }
                Step::Tick(ms) => {
                    shop.now_ms.fetch_add(ms, Relaxed);
                }
            }
            for product in 1..4 {
                for order in [Order::Newest, Order::Helpful] {
                    prop_assert_eq!(shop.list(product, order), model.list(product, order));
                }
            }
            let reader = shop.store.reader(ReadTier::Disk);
            for id in 0..model.next + 2 {
                let response = |_, review: &Review<'_>| review.response.map(str::to_owned);
                let found = reader.review(ReviewId(id), response).unwrap();
                let row = model.rows.get(&id);
                prop_assert_eq!(found, row.map(|row| row.response.map(str::to_owned)));
            }
            prop_assert_eq!(verify::differences(&shop.store).unwrap(), Vec::<String>::new());
        }
    }
}

/// The sound of a store that adds up.
fn assert_sound(shop: &Shop) {
    assert_eq!(
        verify::differences(&shop.store).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn a_review_posted_and_erased_in_one_group_uses_up_its_id() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let shop = Shop::open(dir.path());
    let changes = [
        retried("a", 1),
        erase(3),
        Change::Helpful(ReviewId(3)),
        erase(3),
        retried("a", 1),
        restore(ReviewId(3)),
    ];
    let answers = changes.map(|change| shop.submit(change));
    let outcomes = answers.map(|answer| answer.recv_timeout(PATIENCE).unwrap().unwrap());
    let expected = [
        ChangeOutcome::Created(ReviewId(3)),
        ChangeOutcome::Changed,
        ChangeOutcome::NoSuchReview,
        ChangeOutcome::NoSuchReview,
        ChangeOutcome::Created(ReviewId(4)),
        ChangeOutcome::NoSuchReview,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(shop.list(1, Order::Newest), [4, 1]);
    assert_sound(&shop);
}

#[test]
fn what_came_of_a_retry_is_forgotten_with_the_review_it_made() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let shop = Shop::open(dir.path());
    assert_eq!(
        shop.do_now(retried("a", 1)),
        Ok(ChangeOutcome::Created(ReviewId(3)))
    );
    assert_eq!(
        shop.do_now(retried("b", 1)),
        Ok(ChangeOutcome::Created(ReviewId(4)))
    );
    let traces = |id| shop.store.traces(&[ReviewId(id)].into()).unwrap();
    let mut of_three = traces(3);
    let (id, change) = of_three.take_changes(&Actor::operator()).pop().unwrap();
    let named = Change::Erase {
        review: ReviewId(3),
        idempotency_keys: vec![b"a".to_vec()],
        by: Actor::operator(),
    };
    assert_eq!((id, &change), (ReviewId(3), &named));
    // The key of another review's retry is not accepted.
    let other = Change::Erase {
        review: ReviewId(3),
        idempotency_keys: vec![b"a".to_vec(), b"b".to_vec(), b"none".to_vec()],
        by: Actor::operator(),
    };
    assert_eq!(shop.do_now(other), Ok(ChangeOutcome::Changed));
    assert_eq!(shop.do_now(change), Ok(ChangeOutcome::NoSuchReview));
    assert_eq!(shop.store.counters().unwrap().idempotency_keys, 1);
    assert_sound(&shop);
    assert_eq!(
        shop.do_now(retried("b", 1)),
        Ok(ChangeOutcome::Created(ReviewId(4)))
    );
    assert_eq!(
        shop.do_now(retried("a", 1)),
        Ok(ChangeOutcome::Created(ReviewId(5)))
    );
    assert!(traces(3).take_changes(&Actor::operator()).is_empty());
    assert_sound(&shop);
}

#[test]
fn the_next_erasure_finishes_an_interrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let review = NewReview {
        body: "Zq8vXw3k".to_owned(),
        ..new_review(1, 5)
    };
    let held = || {
        let store = std::fs::read_link(dir.path().join("store")).unwrap();
        let files = std::fs::read_dir(dir.path().join(store)).unwrap();
        let bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default());
        bytes
            .filter(|bytes| bytes.windows(8).any(|word| word == b"Zq8vXw3k"))
            .count()
    };
    let shop = Shop::open(dir.path());
    let posted = Change::Post {
        review,
        retry: None,
        held: None,
    };
    assert_eq!(shop.do_now(posted), Ok(ChangeOutcome::Created(ReviewId(3))));
    drop(shop);
    let shop = Shop::open(dir.path());
    assert_eq!(shop.do_now(erase(3)), Ok(ChangeOutcome::Changed));
    drop(shop);
    assert_ne!(held(), 0);
    let shop = Shop::open(dir.path());
    assert_eq!(shop.store.scrub(&Traces::default()).unwrap(), 0);
    assert_eq!(held(), 0);
    assert_sound(&shop);
    // Without work there is no wait.
    assert_eq!(shop.store.scrub(&Traces::default()).unwrap(), 0);
}

#[test]
fn an_erasure_rewrites_each_file_that_could_hold_the_review() {
    let dir = shop_dir();
    let shop = Shop::open(dir.path());
    let id = HOT_REVIEW_FIRST + 11;
    let reviews = BTreeSet::from([ReviewId(id)]);
    let traces = shop.store.traces(&reviews).unwrap();
    assert_eq!(shop.do_now(erase(id)), Ok(ChangeOutcome::Changed));
    // After the first time its rows are in no file, and within the bounds of some all the same.
    for _ in 0..2 {
        assert_eq!(shop.store.scrub(&traces).unwrap(), 0);
    }
}

#[test]
fn the_last_review_takes_an_otherwise_empty_summary_along() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let shop = Shop::open(dir.path());
    let summaries = || shop.store.counters().unwrap().summaries;
    assert_eq!(
        shop.do_now(post(3, 5)),
        Ok(ChangeOutcome::Created(ReviewId(3)))
    );
    assert_eq!(summaries(), 3);
    // In one group it is deleted and comes back.
    let answers = [erase(3), post(3, 4), erase(1)].map(|change| shop.submit(change));
    for answer in answers {
        answer.recv_timeout(PATIENCE).unwrap().unwrap();
    }
    assert_eq!(summaries(), 3);
    assert_sound(&shop);
    assert_eq!(shop.do_now(erase(4)), Ok(ChangeOutcome::Changed));
    // The characteristics of product 1 stay without reviews.
    assert_eq!(summaries(), 2);
    assert_sound(&shop);
}

#[test]
fn a_vote_on_a_review_of_the_same_group_counts() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let shop = Shop::open(dir.path());
    let changes = [
        post(1, 5),
        Change::Helpful(ReviewId(3)),
        Change::Helpful(ReviewId(3)),
        report(ReviewId(3)),
        Change::Helpful(ReviewId(3)),
    ];
    let answers = changes.map(|change| shop.submit(change));
    let outcomes = answers.map(|answer| answer.recv_timeout(PATIENCE).unwrap().unwrap());
    assert_eq!(outcomes[0], ChangeOutcome::Created(ReviewId(3)));
    assert!(
        outcomes[1..]
            .iter()
            .all(|outcome| *outcome == ChangeOutcome::Changed)
    );
    let found = shop
        .store
        .reader(ReadTier::Disk)
        .review(ReviewId(3), |product, review| {
            (product.0, review.helpfulness, !review.is_published())
        });
    assert_eq!(found.unwrap(), Some((1, 3, true)));
    assert_eq!(shop.list(1, Order::Newest), [1]);
    assert_eq!(
        verify::differences(&shop.store).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn a_review_sent_again_is_there_once_for_a_day() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let shop = Shop::open(dir.path());
    let first = Ok(ChangeOutcome::Created(ReviewId(3)));
    assert_eq!(shop.do_now(retried("a", 1)), first);
    assert_eq!(shop.do_now(retried("a", 1)), first);
    assert_eq!(shop.do_now(retried("a", 2)), Ok(ChangeOutcome::OtherBody));
    let now_ms = Arc::clone(&shop.now_ms);
    drop(shop);
    let shop = Shop::open_with(dir.path(), OPTIONS, now_ms);
    now_and_later(&shop, DAY_MS - 1);
    assert_eq!(shop.do_now(retried("a", 1)), first, "it survives a restart");
    now_and_later(&shop, 1);
    assert_eq!(
        shop.do_now(retried("a", 1)),
        Ok(ChangeOutcome::Created(ReviewId(4)))
    );
    assert_eq!(shop.list(1, Order::Newest), [4, 3, 1]);
    assert_eq!(
        shop.store.counters().unwrap().idempotency_keys,
        1,
        "the old one is gone"
    );
}

#[test]
fn a_client_has_its_share_of_keys_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let options = WriterOptions {
        idempotency_keys_per_client_max: 3,
        ..OPTIONS
    };
    let now_ms = Arc::new(AtomicI64::new(1_700_000_000_000));
    let open = || Shop::open_with(dir.path(), options, Arc::clone(&now_ms));
    let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    let created = |id| Ok(ChangeOutcome::Created(ReviewId(id)));
    let shop = open();
    assert_eq!(shop.do_now(retried("a", 1)), created(3));
    for (key, id) in [("b1", 4), ("b2", 5), ("b3", 6)] {
        now_and_later(&shop, 1);
        assert_eq!(shop.do_now(retried_by(other, key, 1)), created(id));
    }
    drop(shop);
    let shop = open();
    now_and_later(&shop, 1);
    assert_eq!(shop.do_now(retried_by(other, "b4", 1)), created(7));
    for (key, id) in [("a", 3), ("b2", 5), ("b3", 6), ("b4", 7)] {
        assert_eq!(shop.do_now(retried(key, 1)), created(id), "{key}");
    }
    assert_eq!(shop.do_now(retried_by(other, "b1", 1)), created(8));
    let differences = verify::differences(&shop.store).unwrap();
    assert_eq!(differences, Vec::<String>::new());
}

fn now_and_later(shop: &Shop, ms: i64) {
    shop.now_ms.fetch_add(ms, Relaxed);
}

#[test]
fn a_retry_in_the_same_group_is_known() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let shop = Shop::open(dir.path());
    let answers = [1, 1, 2].map(|body| shop.submit(retried("a", body)));
    let outcomes = answers.map(|answer| answer.recv_timeout(PATIENCE).unwrap().unwrap());
    let created = ChangeOutcome::Created(ReviewId(3));
    assert_eq!(
        outcomes,
        [created.clone(), created, ChangeOutcome::OtherBody]
    );
}

#[test]
fn a_clock_that_jumps_dates_no_later_review_by_it() {
    const NOW: i64 = 1_700_000_000_000;
    const YEARS_300: i64 = 300 * 365 * 86_400_000;
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let now_ms = Arc::new(AtomicI64::new(NOW));
    let mut open = None;
    let mut dated = |at: i64, is_restarted: bool| {
        now_ms.store(at, Relaxed);
        if is_restarted {
            drop(open.take());
        }
        let shop =
            open.get_or_insert_with(|| Shop::open_with(dir.path(), OPTIONS, Arc::clone(&now_ms)));
        let Ok(ChangeOutcome::Created(id)) = shop.do_now(post(1, 5)) else {
            panic!("a review is refused");
        };
        let reader = shop.store.reader(ReadTier::Disk);
        reader.review(id, |_, review| review.date_ms).unwrap()
    };
    for (at, is_restarted, date) in [
        (NOW, false, NOW),
        (NOW - 30_000, false, NOW),
        (NOW - 30_000, true, NOW),
        (NOW + YEARS_300, false, NOW + YEARS_300),
        (NOW + 1000, false, NOW + 1000),
        (NOW + YEARS_300, false, NOW + YEARS_300),
        (NOW + 2000, true, NOW + 2000),
    ] {
        assert_eq!(dated(at, is_restarted), Some(date), "{at}");
    }
}

#[test]
fn clients_do_not_write_on_a_full_disk_and_an_operator_does() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let options = WriterOptions {
        free_space_min: u64::MAX,
        ..OPTIONS
    };
    let shop = Shop::open_with(dir.path(), options, Arc::new(AtomicI64::new(0)));
    let one = ReviewId(1);
    for change in [post(1, 5), Change::Helpful(one), report(one)] {
        assert_eq!(shop.do_now(change), Err(Rejected::DiskFull));
    }
    let response = Some("Thank you".to_owned());
    for change in [
        restore(one),
        Change::Respond {
            review: one,
            response,
            by: Actor::operator(),
        },
        Change::Erase {
            review: one,
            idempotency_keys: Vec::new(),
            by: Actor::operator(),
        },
    ] {
        assert_eq!(shop.do_now(change), Ok(ChangeOutcome::Changed));
    }
}

#[test]
fn reviews_that_come_back_do_so_in_whole_pages() {
    let dir = shop_dir();
    let shop = Shop::open(dir.path());
    let which = ReportedFilter::default();
    let restore = |shop: &Shop, after| {
        let page = shop.store.reported(after, which);
        let page = page.unwrap();
        let expected = page.reviews.len() as u64;
        let restored = shop.do_now(restore_reported(page.reviews, which));
        assert_eq!(restored, Ok(ChangeOutcome::Restored(expected)));
        (expected, page.next)
    };
    // One of product 7, and all of product 20 but one.
    let (restored, next) = restore(&shop, None);
    assert_eq!(restored, 500);
    assert!(next.is_some());
    drop(shop);
    let shop = Shop::open(dir.path());
    assert_sound(&shop);
    let counters = shop.store.counters().unwrap();
    assert_eq!(counters.reviews - counters.reviews_visible, 1);
    // From the beginning, as a client that was interrupted does.
    assert_eq!(restore(&shop, None).0, 1);
    assert_eq!(restore(&shop, None), (0, None));
    assert_sound(&shop);
}

#[test]
fn what_waits_is_written_before_the_writer_ends() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let shop = Shop::open(dir.path());
    let answers: Vec<_> = (0..500).map(|_| shop.submit(post(2, 3))).collect();
    drop(shop);
    for answer in answers {
        assert!(matches!(
            answer.recv_timeout(PATIENCE),
            Ok(Ok(ChangeOutcome::Created(_)))
        ));
    }
    let shop = Shop::open(dir.path());
    assert_eq!(shop.list(2, Order::Newest).len(), 501);
    assert_eq!(
        verify::differences(&shop.store).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn a_full_queue_refuses_at_once() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let options = WriterOptions {
        queue_max: 1,
        ..OPTIONS
    };
    let shop = Shop::open_with(dir.path(), options, Arc::new(AtomicI64::new(0)));
    let answers: Vec<_> = (0..200).map(|_| shop.submit(post(2, 3))).collect();
    let outcomes: Vec<_> = answers
        .iter()
        .map(|answer| answer.recv_timeout(PATIENCE).unwrap())
        .collect();
    let written = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let busy = outcomes
        .iter()
        .filter(|outcome| **outcome == Err(Rejected::Busy))
        .count();
    assert_eq!(written + busy, 200);
    assert!(written > 0 && busy > 0, "{written} written, {busy} refused");
    assert_eq!(shop.list(2, Order::Newest).len(), written + 1);
}

#[test]
fn what_may_be_lost_is_visible_at_once() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path());
    let options = WriterOptions {
        loss_time_max: Some(Duration::from_millis(1)),
        ..OPTIONS
    };
    let shop = Shop::open_with(dir.path(), options, Arc::new(AtomicI64::new(0)));
    for id in 3..20 {
        assert_eq!(
            shop.do_now(post(1, 5)),
            Ok(ChangeOutcome::Created(ReviewId(id)))
        );
        assert!(shop.list(1, Order::Newest).contains(&id));
    }
}

#[test]
fn a_product_that_was_large_is_listed_right_once_it_is_small() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path());
    for id in 1..=40 {
        let outcome = shop.do_now(post(1, 5));
        assert_eq!(outcome, Ok(ChangeOutcome::Created(ReviewId(id))));
    }
    let all: Vec<u64> = (1..=40).rev().collect();
    assert_eq!(shop.list(1, Order::Newest), all);
    for id in 1..=38 {
        assert_eq!(shop.do_now(erase(id)), Ok(ChangeOutcome::Changed));
    }
    assert_eq!(shop.list(1, Order::Helpful), [40, 39]);
    shop.do_now(post(1, 5)).unwrap();
    assert_eq!(shop.list(1, Order::Newest), [41, 40, 39]);
}
