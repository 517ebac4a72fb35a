//! Moderation in the store: states, reports, votes, undo, and what the audit log says of them.
//!
//! Invariant: the model is too simple to be wrong.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use reviewsd::model::moderation::{Actor, AuditAction, ReasonCode, ReviewState, Role};
use reviewsd::model::{CharacteristicRating, NewReview, Order, Page, ProductId, ReviewId};
use reviewsd::store::{
    Change, ChangeOutcome, IDEMPOTENCY_KEYS_MAX, ModerationOutcome, ModerationSettings,
    QueueFilter, QueueList, ReadTier, Rejected, Store, UndoRefusal, Writer, WriterOptions, verify,
};

use crate::support::open_store;

const BEGUN_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Longer than any group takes.
const PATIENCE: Duration = Duration::from_secs(30);
const SETTINGS: ModerationSettings = ModerationSettings {
    keep_votes: true,
    ..ModerationSettings::DEFAULT
};

/// A store with a writer, and a clock that tests turn.
struct Desk {
    store: Store,
    writer: Writer,
    now_ms: Arc<AtomicI64>,
}

impl Desk {
    fn open(dir: &Path, moderation: ModerationSettings) -> Self {
        let store = open_store(dir);
        let now_ms = Arc::new(AtomicI64::new(BEGUN_MS));
        let clock = Arc::clone(&now_ms);
        let now = move || clock.load(Relaxed);
        let options = WriterOptions {
            loss_time_max: None,
            queue_max: 1000,
            free_space_min: 0,
            idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
            moderation,
        };
        let failed = |error| panic!("{error}");
        let writer = Writer::start(&store, options, now, |_| {}, failed).unwrap();
        Self {
            store,
            writer,
            now_ms,
        }
    }

    fn ask(&self, change: Change) -> Result<ChangeOutcome, Rejected> {
        let (send, answered) = channel();
        self.writer.submit(change, move |settled| {
            drop(send.send(settled.map(|settled| settled.outcome)));
        });
        answered.recv_timeout(PATIENCE).unwrap()
    }

    fn make(&self, change: Change) -> ChangeOutcome {
        self.ask(change).unwrap()
    }

    fn tick(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Relaxed);
    }

    /// Lets the writer do its own work, until something is so.
    fn until(&self, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "it never comes");
            self.make(Change::Helpful(ReviewId(u64::MAX)));
        }
    }

    fn state(&self, id: u64) -> Option<ReviewState> {
        let reader = self.store.reader(ReadTier::Disk);
        reader
            .review(ReviewId(id), |_, review| review.state)
            .unwrap()
    }

    fn list(&self, product: u64) -> Vec<u64> {
        let mut ids = Vec::new();
        let all = Page {
            skip: 0,
            rows: usize::MAX,
        };
        let reader = self.store.reader(ReadTier::Disk);
        let each = |id: ReviewId, _: &reviewsd::model::Review<'_>| {
            ids.push(id.0);
            ControlFlow::Continue(())
        };
        let product = ProductId(product);
        reader.list(product, Order::Newest, all, each).unwrap();
        ids
    }

    /// The entries of the audit log: number, action, subject, actor, and the state after it.
    fn entries(&self) -> Vec<(u64, AuditAction, u64, String, Option<ReviewState>)> {
        let mut all = Vec::new();
        let reader = self.store.reader(ReadTier::Disk);
        reader
            .audit(None, |number, entry| {
                let after = entry.after.map(|after| after.state);
                let actor = entry.actor.to_owned();
                all.push((number, entry.action, entry.subject, actor, after));
                ControlFlow::Continue(())
            })
            .unwrap();
        all
    }

    fn assert_sound(&self) {
        let differences = verify::differences(&self.store).unwrap();
        assert_eq!(differences, Vec::<String>::new());
    }
}

fn ana() -> Actor {
    Actor {
        name: "ana".to_owned(),
        role: Role::Moderator,
    }
}

fn client(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}

fn post(product: u64, email: &str, held: Option<ReasonCode>) -> Change {
    Change::Post {
        review: NewReview {
            product: ProductId(product),
            rating: 4,
            recommend: true,
            summary: "A headline".to_owned(),
            body: "A text".to_owned(),
            reviewer_name: "pine".to_owned(),
            reviewer_email: email.to_owned(),
            photos: Vec::new(),
            ratings: vec![CharacteristicRating {
                characteristic_id: 1,
                value: 3,
            }],
        },
        retry: None,
        held,
    }
}

fn report(id: u64, by: u8) -> Change {
    Change::Report {
        review: ReviewId(id),
        client: client(by),
        reason: ReasonCode::Spam,
        hides: true,
    }
}

fn withdraw(id: u64, by: u8) -> Change {
    Change::WithdrawReport {
        review: ReviewId(id),
        client: client(by),
    }
}

fn moderate(ids: &[u64], to: ReviewState) -> Change {
    Change::Moderate {
        reviews: ids.iter().copied().map(ReviewId).collect(),
        to,
        reason: ReasonCode::OffTopic,
        note: Some("as the rules say".to_owned()),
        by: ana(),
    }
}

fn undo(entry: u64) -> Change {
    Change::Undo { entry, by: ana() }
}

#[test]
fn as_many_clients_as_the_settings_say_hide_a_review() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ModerationSettings {
        reports_to_hide: 3,
        ..SETTINGS
    };
    let desk = Desk::open(dir.path(), settings);
    desk.make(post(1, "a@x.org", None));
    for by in [1, 1, 2, 2] {
        assert_eq!(desk.make(report(1, by)), ChangeOutcome::Changed);
        assert_eq!(desk.state(1), Some(ReviewState::Published));
        desk.assert_sound();
    }
    desk.make(report(1, 3));
    assert_eq!(desk.state(1), Some(ReviewState::Hidden));
    assert!(desk.list(1).is_empty());
    desk.assert_sound();
    // A client that did not report it takes nothing back.
    desk.make(withdraw(1, 9));
    assert_eq!(desk.state(1), Some(ReviewState::Hidden));
    desk.make(withdraw(1, 1));
    assert_eq!(desk.state(1), Some(ReviewState::Published));
    desk.assert_sound();
    // Fewer are enough from now on.
    let fewer = ModerationSettings {
        reports_to_hide: 1,
        ..SETTINGS
    };
    desk.writer.set_moderation(fewer);
    desk.make(report(1, 4));
    assert_eq!(desk.state(1), Some(ReviewState::Hidden));
    // What a moderator decided is not for clients to take back.
    let hidden = desk.make(moderate(&[1], ReviewState::Hidden));
    assert!(matches!(hidden, ChangeOutcome::Moderated(ref done) if done.len() == 1));
    for by in 1..5 {
        desk.make(withdraw(1, by));
    }
    assert_eq!(desk.state(1), Some(ReviewState::Hidden));
    desk.assert_sound();
}

#[test]
fn a_client_takes_back_the_votes_that_it_gave() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::open(dir.path(), SETTINGS);
    desk.make(post(1, "a@x.org", None));
    let (review, client) = (ReviewId(1), client(1));
    let votes = || {
        let reader = desk.store.reader(ReadTier::Disk);
        let votes = reader.review(review, |_, review| review.helpfulness);
        votes.unwrap().unwrap()
    };
    desk.make(Change::Helpful(review));
    for expected in [2, 3] {
        desk.make(Change::Vote { review, client });
        assert_eq!(votes(), expected);
    }
    for expected in [2, 1, 1] {
        desk.make(Change::WithdrawVote { review, client });
        assert_eq!(votes(), expected);
        desk.assert_sound();
    }
    // Where votes are not kept by client none is taken back.
    desk.writer.set_moderation(ModerationSettings::DEFAULT);
    desk.make(Change::Vote { review, client });
    desk.make(Change::WithdrawVote { review, client });
    assert_eq!(votes(), 2);
}

#[test]
fn a_product_takes_one_review_of_each_address_if_so_configured() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ModerationSettings {
        one_review_per_email: true,
        ..SETTINGS
    };
    let desk = Desk::open(dir.path(), settings);
    let created = |id| ChangeOutcome::Created(ReviewId(id));
    assert_eq!(desk.make(post(1, "a@x.org", None)), created(1));
    let refused = ChangeOutcome::AlreadyReviewed(ReviewId(1));
    assert_eq!(desk.make(post(1, " A@X.org", None)), refused);
    assert_eq!(desk.make(post(1, "b@x.org", None)), created(2));
    assert_eq!(desk.make(post(2, "a@x.org", None)), created(3));
    // Those without an address are nobody's.
    assert_eq!(desk.make(post(2, "", None)), created(4));
    assert_eq!(desk.make(post(2, "", None)), created(5));
    let reader = desk.store.reader(ReadTier::Disk);
    assert!(reader.has_published("A@x.org").unwrap());
    assert!(!reader.has_published("c@x.org").unwrap());
    let found = reader.reviewed("b@x.org", ProductId(1)).unwrap();
    assert_eq!(found, Some(ReviewId(2)));
    desk.make(moderate(&[1, 2], ReviewState::Removed));
    assert!(!reader.has_published("b@x.org").unwrap());
    assert_eq!(desk.make(post(1, "a@x.org", None)), created(6));
    desk.assert_sound();
}

#[test]
fn a_held_review_counts_once_it_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::open(dir.path(), SETTINGS);
    let reviews = || {
        let reader = desk.store.reader(ReadTier::Disk);
        let sum = |summary: &reviewsd::model::Summary<'_>| summary.ratings.iter().sum::<u64>();
        reader.summary(ProductId(1), sum).unwrap()
    };
    let held = post(1, "a@x.org", Some(ReasonCode::Held));
    assert_eq!(desk.make(held), ChangeOutcome::Created(ReviewId(1)));
    assert_eq!(
        (desk.state(1), reviews()),
        (Some(ReviewState::Pending), None)
    );
    assert_eq!(
        desk.make(Change::Helpful(ReviewId(1))),
        ChangeOutcome::NoSuchReview
    );
    assert_eq!(desk.make(report(1, 1)), ChangeOutcome::NoSuchReview);
    desk.assert_sound();
    let done = desk.make(moderate(&[1, 9], ReviewState::Published));
    let expected = vec![ModerationOutcome::Done(2), ModerationOutcome::NoSuchReview];
    assert_eq!(done, ChangeOutcome::Moderated(expected));
    assert_eq!((desk.list(1), reviews()), (vec![1], Some(1)));
    desk.make(moderate(&[1], ReviewState::Hidden));
    assert_eq!(reviews(), Some(1), "a hidden review counts");
    desk.make(moderate(&[1], ReviewState::Removed));
    assert_eq!(reviews(), None);
    desk.assert_sound();
}

#[test]
fn a_removed_review_is_erased_when_its_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::open(dir.path(), SETTINGS);
    for id in 1..=3 {
        desk.make(post(1, &format!("{id}@x.org"), None));
        desk.make(report(id, 1));
    }
    desk.make(moderate(&[1, 2], ReviewState::Removed));
    desk.tick(6 * DAY_MS);
    desk.make(moderate(&[3], ReviewState::Removed));
    let back = desk.make(moderate(&[2], ReviewState::Published));
    assert!(
        matches!(back, ChangeOutcome::Moderated(ref done) if done[0] != ModerationOutcome::Already)
    );
    desk.assert_sound();
    desk.tick(DAY_MS);
    desk.until(|| desk.state(1).is_none());
    assert_eq!(desk.state(2), Some(ReviewState::Published));
    assert_eq!(desk.state(3), Some(ReviewState::Removed));
    desk.assert_sound();
    let last = desk.entries().pop().unwrap();
    assert_eq!((last.1, last.2, last.4), (AuditAction::Expire, 1, None));
    // A shorter time counts for those that are removed already.
    let at_once = ModerationSettings {
        undo_time: Duration::ZERO,
        ..SETTINGS
    };
    desk.writer.set_moderation(at_once);
    desk.until(|| desk.state(3).is_none());
    desk.assert_sound();
}

#[test]
fn an_action_is_undone_unless_the_review_stands_otherwise_since() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::open(dir.path(), SETTINGS);
    let refused = |why| ChangeOutcome::NotUndone(why);
    desk.make(post(1, "a@x.org", None));
    desk.make(report(1, 1));
    desk.make(moderate(&[1], ReviewState::Published));
    assert_eq!(desk.make(undo(1)), refused(UndoRefusal::Changed));
    // Hidden by the same report again, and then published again.
    assert_eq!(desk.make(undo(2)), ChangeOutcome::Undone(3));
    assert_eq!(desk.state(1), Some(ReviewState::Hidden));
    desk.assert_sound();
    assert_eq!(desk.make(undo(1)), ChangeOutcome::Undone(4));
    assert_eq!(desk.list(1), [1]);
    assert_eq!(desk.make(undo(99)), refused(UndoRefusal::NoSuchEntry));
    desk.make(moderate(&[1], ReviewState::Removed));
    let erased = Change::Erase {
        review: ReviewId(1),
        idempotency_keys: Vec::new(),
        by: ana(),
    };
    desk.make(erased);
    assert_eq!(desk.make(undo(5)), refused(UndoRefusal::Erased));
    assert_eq!(desk.make(undo(6)), refused(UndoRefusal::Final));
    desk.assert_sound();
    let actions: Vec<_> = desk.entries().into_iter().map(|entry| entry.1).collect();
    let expected = [
        AuditAction::Report,
        AuditAction::Moderate,
        AuditAction::Undo,
        AuditAction::Undo,
        AuditAction::Moderate,
        AuditAction::Erase,
    ];
    assert_eq!(actions, expected);
}

#[test]
fn entries_of_the_audit_log_go_when_they_are_too_old() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::open(dir.path(), SETTINGS);
    desk.make(post(1, "a@x.org", None));
    for _ in 0..2 {
        desk.make(moderate(&[1], ReviewState::Hidden));
        desk.tick(DAY_MS);
        desk.make(moderate(&[1], ReviewState::Published));
    }
    assert_eq!(desk.entries().len(), 4);
    desk.writer.set_moderation(ModerationSettings {
        audit_time: Some(Duration::from_hours(24)),
        ..SETTINGS
    });
    desk.until(|| desk.entries().first().is_some_and(|entry| entry.0 == 4));
    desk.assert_sound();
    desk.tick(DAY_MS);
    desk.until(|| desk.entries().is_empty());
    desk.make(moderate(&[1], ReviewState::Hidden));
    assert_eq!(desk.entries()[0].0, 5, "numbers are not given again");
    desk.assert_sound();
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Post(bool),
    Report(u64, u8),
    Withdraw(u64, u8),
    Moderate(u64, ReviewState),
    Restore(u64),
    Undo(u64),
    Erase(u64),
    Tick,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let id = || 0_u64..8;
    let state = (0_u8..4).prop_map(|number| ReviewState::of_number(number).unwrap());
    let act = prop_oneof![
        3 => any::<bool>().prop_map(Act::Post),
        4 => (id(), 0_u8..4).prop_map(|(id, by)| Act::Report(id, by)),
        3 => (id(), 0_u8..4).prop_map(|(id, by)| Act::Withdraw(id, by)),
        4 => (id(), state).prop_map(|(id, state)| Act::Moderate(id, state)),
        1 => id().prop_map(Act::Restore),
        3 => (0_u64..20).prop_map(Act::Undo),
        1 => id().prop_map(Act::Erase),
        2 => Just(Act::Tick),
    ];
    prop::collection::vec(act, 1..60)
}

/// A state, the report that gave it, and the time and the ground of a decision.
type Standing = (ReviewState, Option<(i64, u8)>, Option<(i64, ReasonCode)>);

/// The expected contents of the store.
#[derive(Default)]
struct Model {
    reviews: BTreeMap<u64, (Standing, BTreeMap<u8, i64>)>,
    next: u64,
    /// Review, and how it stood before and after each action.
    log: Vec<(u64, Option<Standing>, Option<Standing>)>,
    now_ms: i64,
    reports_to_hide: usize,
}

impl Model {
    fn stand(&mut self, id: u64, to: Standing) -> u64 {
        let Some((standing, reports)) = self.reviews.get_mut(&id) else {
            panic!("it is not there");
        };
        if let ((ReviewState::Hidden, Some((at_ms, by)), None), true) =
            (*standing, reports.is_empty())
        {
            reports.insert(by, at_ms);
        }
        if to.2.is_some() {
            reports.clear();
        }
        self.log.push((id, Some(*standing), Some(to)));
        *standing = to;
        self.log.len() as u64
    }

    fn act(&mut self, act: Act) -> Option<ChangeOutcome> {
        let changed = Some(ChangeOutcome::Changed);
        let missing = Some(ChangeOutcome::NoSuchReview);
        let now_ms = self.now_ms;
        match act {
            Act::Post(is_held) => {
                self.next += 1;
                let id = self.next;
                let standing = if is_held {
                    let decided = Some((now_ms, ReasonCode::Held));
                    (ReviewState::Pending, None, decided)
                } else {
                    (ReviewState::Published, None, None)
                };
                self.reviews.insert(id, (standing, BTreeMap::new()));
                if is_held {
                    self.log.push((id, None, Some(standing)));
                }
                Some(ChangeOutcome::Created(ReviewId(id)))
            }
            Act::Report(id, by) => {
                let Some((standing, reports)) = self.counted(id) else {
                    return missing;
                };
                let count = reports.len() + 1;
                if !reports.contains_key(&by) {
                    if standing.0 == ReviewState::Published && count >= self.reports_to_hide {
                        let report = Some((now_ms, by));
                        self.stand(id, (ReviewState::Hidden, report, None));
                    }
                    self.reviews.get_mut(&id)?.1.insert(by, now_ms);
                }
                changed
            }
            Act::Withdraw(id, by) => {
                let Some((standing, reports)) = self.counted(id) else {
                    return missing;
                };
                if reports.contains_key(&by) {
                    let left = reports.len() - 1;
                    let is_by_reports = standing.0 == ReviewState::Hidden && standing.2.is_none();
                    if is_by_reports && left < self.reports_to_hide {
                        self.stand(id, (ReviewState::Published, None, None));
                    }
                    self.reviews.get_mut(&id)?.1.remove(&by);
                }
                changed
            }
            Act::Moderate(id, to) => {
                let outcome = match self.reviews.get(&id).map(|review| review.0) {
                    None => ModerationOutcome::NoSuchReview,
                    Some((state, _, decided))
                        if state == to && (state != ReviewState::Hidden || decided.is_some()) =>
                    {
                        ModerationOutcome::Already
                    }
                    Some(_) => {
                        let decided = Some((now_ms, ReasonCode::OffTopic));
                        ModerationOutcome::Done(self.stand(id, (to, None, decided)))
                    }
                };
                Some(ChangeOutcome::Moderated(vec![outcome]))
            }
            Act::Restore(id) => {
                let Some((standing, _)) = self.reviews.get(&id) else {
                    return missing;
                };
                if standing.0 == ReviewState::Hidden {
                    let decided = Some((now_ms, ReasonCode::Acceptable));
                    self.stand(id, (ReviewState::Published, None, decided));
                }
                changed
            }
            Act::Undo(entry) => {
                let refused = |why| Some(ChangeOutcome::NotUndone(why));
                let at = usize::try_from(entry).unwrap().checked_sub(1);
                let Some((id, before, after)) = at.and_then(|at| self.log.get(at)).copied() else {
                    return refused(UndoRefusal::NoSuchEntry);
                };
                let (Some(before), Some(after)) = (before, after) else {
                    return refused(UndoRefusal::Final);
                };
                match self.reviews.get(&id).map(|review| review.0) {
                    None => refused(UndoRefusal::Erased),
                    Some(now) if now != after => refused(UndoRefusal::Changed),
                    Some(_) => Some(ChangeOutcome::Undone(self.stand(id, before))),
                }
            }
            Act::Erase(id) => {
                let Some((standing, _)) = self.reviews.remove(&id) else {
                    return missing;
                };
                self.log.push((id, Some(standing), None));
                changed
            }
            Act::Tick => {
                self.now_ms += 1;
                None
            }
        }
    }

    /// A review that clients see, with its open reports: that of one which an undo brought back is there as well.
    fn counted(&mut self, id: u64) -> Option<(Standing, BTreeMap<u8, i64>)> {
        let found = self.reviews.get_mut(&id);
        let found = found.filter(|(standing, _)| standing.0.is_counted())?;
        if let ((ReviewState::Hidden, Some((at_ms, by)), None), true) =
            (found.0, found.1.is_empty())
        {
            found.1.insert(by, at_ms);
        }
        Some(found.clone())
    }
}

fn change_of(act: Act) -> Option<Change> {
    Some(match act {
        Act::Post(is_held) => post(1, "a@x.org", is_held.then_some(ReasonCode::Held)),
        Act::Report(id, by) => report(id, by),
        Act::Withdraw(id, by) => withdraw(id, by),
        Act::Moderate(id, to) => moderate(&[id], to),
        Act::Restore(id) => Change::Restore {
            review: ReviewId(id),
            by: ana(),
        },
        Act::Undo(entry) => undo(entry),
        Act::Erase(id) => Change::Erase {
            review: ReviewId(id),
            idempotency_keys: Vec::new(),
            by: ana(),
        },
        Act::Tick => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn states_reports_and_undo_match_the_model(acts in acts(), reports_to_hide in 1_usize..4) {
        let dir = tempfile::tempdir().unwrap();
        let settings = ModerationSettings { reports_to_hide, ..SETTINGS };
        let desk = Desk::open(dir.path(), settings);
        let mut model = Model { now_ms: BEGUN_MS, reports_to_hide, ..Model::default() };
        for act in acts {
            let expected = model.act(act);
            match change_of(act) {
                Some(change) => prop_assert_eq!(Some(desk.make(change)), expected, "{:?}", act),
                None => desk.tick(1),
            }
        }
        for id in 0..=model.next {
            let expected = model.reviews.get(&id).map(|review| review.0.0);
            prop_assert_eq!(desk.state(id), expected, "{}", id);
        }
        let shown = model.reviews.iter().rev();
        let shown = shown.filter(|(_, review)| review.0.0 == ReviewState::Published);
        let mut shown: Vec<u64> = shown.map(|(id, _)| *id).collect();
        let mut listed = desk.list(1);
        shown.sort_unstable();
        listed.sort_unstable();
        prop_assert_eq!(listed, shown);
        prop_assert_eq!(verify::differences(&desk.store).unwrap(), Vec::<String>::new());
        // Replayed from the states in which reviews begin, the audit log ends in those that there are.
        let mut replayed: BTreeMap<u64, ReviewState> =
            (1..=model.next).map(|id| (id, ReviewState::Published)).collect();
        for (_, _, subject, _, after) in desk.entries() {
            match after {
                Some(after) => replayed.insert(subject, after),
                None => replayed.remove(&subject),
            };
        }
        let states = model.reviews.iter().map(|(id, review)| (*id, review.0.0));
        prop_assert_eq!(replayed, states.collect::<BTreeMap<_, _>>());
    }
}

/// All pages of a list, of one row each, as ids and numbers of reports.
fn queue(desk: &Desk, list: QueueList, filter: &QueueFilter) -> Vec<(u64, usize)> {
    let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let reader = desk.store.reader(ReadTier::Disk);
        let page = reader.queue(list, filter, after.as_deref(), |item| {
            found.push((item.id.0, item.reports));
            ControlFlow::Break(())
        });
        after = page.unwrap().next;
        if after.is_none() {
            return found;
        }
    }
}

#[test]
fn lists_of_a_moderator_are_in_order_and_as_filtered() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ModerationSettings {
        reports_to_hide: 3,
        ..SETTINGS
    };
    let desk = Desk::open(dir.path(), settings);
    for id in 1..=6 {
        let held = (id > 4).then_some(ReasonCode::Held);
        desk.make(post(id % 2, &format!("{id}@x.org"), held));
        desk.tick(1000);
    }
    for (id, by) in [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)] {
        desk.make(report(id, by));
        desk.tick(1000);
    }
    let all = QueueFilter::default();
    let state = QueueList::State;
    let pending = queue(&desk, state(ReviewState::Pending), &all);
    assert_eq!(pending, [(6, 0), (5, 0)]);
    let published = queue(&desk, state(ReviewState::Published), &all);
    assert_eq!(published, [(4, 0), (2, 2), (1, 1)]);
    assert_eq!(queue(&desk, state(ReviewState::Hidden), &all), [(3, 3)]);
    assert_eq!(queue(&desk, state(ReviewState::Removed), &all), []);
    assert_eq!(
        queue(&desk, QueueList::Reports, &all),
        [(3, 3), (2, 2), (1, 1)]
    );
    let of = |filter| queue(&desk, QueueList::Reports, &filter);
    let product = Some(ProductId(1));
    assert_eq!(
        of(QueueFilter {
            product,
            ..all.clone()
        }),
        [(3, 3), (1, 1)]
    );
    assert_eq!(
        of(QueueFilter {
            reports_min: 2,
            ..all.clone()
        }),
        [(3, 3), (2, 2)]
    );
    let until_ms = Some(BEGUN_MS + 2000);
    assert_eq!(
        of(QueueFilter {
            until_ms,
            ..all.clone()
        }),
        [(2, 2), (1, 1)]
    );
    assert_eq!(
        of(QueueFilter {
            ratings: Some(1..=3),
            ..all.clone()
        }),
        []
    );
    for (text, found) in [("HEAD", 3), ("pine", 3), ("none", 0)] {
        let text = Some(text.to_owned());
        assert_eq!(
            of(QueueFilter {
                text,
                ..all.clone()
            })
            .len(),
            found
        );
    }
}
