//! A writer that meets damage, a queue that is never empty, and an end without warning.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::change::{Change, ChangeOutcome, IdempotencyKey, Rejected};
use super::idempotency::{IDEMPOTENCY_KEYS_MAX, by_name, by_time};
use super::queue::{WriteResult, Writer, WriterOptions};
use crate::error::Error;
use crate::key::{Family, state};
use crate::model::moderation::{Actor, ReasonCode};
use crate::model::{NewReview, ProductId, ReviewId};
use crate::moderation::keys::INDEXED;
use crate::moderation::settings::ModerationSettings;
use crate::store::Store;
use crate::value::encode;
use crate::verify;

const MEMORY_BYTES: u64 = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const OPTIONS: WriterOptions = WriterOptions {
    loss_time_max: None,
    queue_max: 1 << 20,
    free_space_min: 0,
    idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
    moderation: ModerationSettings::DEFAULT,
};

fn open(dir: &Path) -> Store {
    Store::open(dir, "a test", MEMORY_BYTES, 0).unwrap()
}

fn writer(store: &Store, options: WriterOptions) -> Writer {
    let failed = |error| panic!("{error}");
    Writer::start(store, options, || 2 * DAY_MS, |_| {}, failed).unwrap()
}

fn post(key: Option<&str>) -> Change {
    let retry = key.map(|key| IdempotencyKey {
        key: key.into(),
        body: 1,
        client: Ipv4Addr::LOCALHOST.into(),
    });
    Change::Post {
        review: NewReview {
            product: ProductId(1),
            rating: 5,
            recommend: true,
            summary: "A headline".to_owned(),
            body: "A text".to_owned(),
            reviewer_name: "pine".to_owned(),
            reviewer_email: "pine@example.org".to_owned(),
            photos: Vec::new(),
            ratings: Vec::new(),
        },
        retry,
        held: None,
    }
}

fn write(writer: &Writer, change: Change) -> Result<WriteResult, Rejected> {
    let (send, settled) = channel();
    writer.submit(change, move |told| send.send(told).unwrap());
    settled.recv_timeout(PATIENCE).unwrap()
}

/// A copy of a data directory as a process leaves it that is killed now.
fn killed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let name = fs::read_link(dir.join("store")).unwrap();
    fs::create_dir(copy.path().join(&name)).unwrap();
    std::os::unix::fs::symlink(&name, copy.path().join("store")).unwrap();
    for entry in fs::read_dir(dir.join(&name)).unwrap() {
        let file = entry.unwrap().file_name();
        fs::copy(
            dir.join(&name).join(&file),
            copy.path().join(&name).join(&file),
        )
        .unwrap();
    }
    copy
}

#[test]
fn a_damaged_record_of_a_retry_ends_no_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut batch = store.rocks().batch();
    for (name, made_ms) in [(b"bad", 1), (b"old", 2)] {
        let value = [b"no record".as_slice(), name].concat();
        batch
            .put(Family::IdempotencyKeys, by_name(name), &value)
            .unwrap();
        let key = by_time(made_ms, name);
        batch.put(Family::IdempotencyKeys, key, &[]).unwrap();
    }
    batch.commit(true).unwrap();
    let writer = writer(&store, OPTIONS);
    for key in ["a", "b", "c", "d"] {
        let outcome = write(&writer, post(Some(key))).unwrap().outcome;
        assert!(matches!(outcome, ChangeOutcome::Created(_)), "{outcome:?}");
    }
    // Each is passed over once, and only a request for it is answered that it is damaged.
    assert_eq!(writer.meters().passed_over.get(), 2);
    let refused = write(&writer, post(Some("bad")));
    assert!(matches!(refused, Err(Rejected::Damaged(_))), "{refused:?}");
}

#[test]
fn a_count_that_is_too_low_does_not_keep_reports_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = writer(&store, OPTIONS);
    let ChangeOutcome::Created(review) = write(&first, post(None)).unwrap().outcome else {
        panic!("it is not there");
    };
    drop(first);
    let mut counters = store.counters().unwrap();
    counters.reviews_visible = 0;
    let mut value = Vec::new();
    encode(&counters, &mut value).unwrap();
    let mut batch = store.rocks().batch();
    batch.put(Family::State, state::COUNTERS, &value).unwrap();
    batch.commit(true).unwrap();
    let writer = writer(&store, OPTIONS);
    let settled = write(
        &writer,
        Change::Report {
            review,
            client: Ipv4Addr::LOCALHOST.into(),
            reason: ReasonCode::Unstated,
            hides: true,
        },
    )
    .unwrap();
    assert_eq!(settled.outcome, ChangeOutcome::Changed);
    assert_eq!(store.counters().unwrap().reviews_visible, 0);
}

#[test]
fn a_full_queue_does_not_put_off_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let options = WriterOptions {
        loss_time_max: Some(Duration::from_millis(20)),
        ..OPTIONS
    };
    let writer = writer(&store, options);
    let is_over = AtomicBool::new(false);
    // What changes nothing, without end.
    let nothing = |writer: &Writer| {
        for _ in 0..1000 {
            writer.submit(Change::Helpful(ReviewId(999)), |_| {});
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            let (writer, is_over) = (writer.clone(), &is_over);
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    nothing(&writer);
                }
            });
        }
        let at = write(&writer, post(None)).unwrap().at;
        let deadline = Instant::now() + PATIENCE;
        let is_durable = || *store.feed().durable().borrow() == at;
        while !is_durable() && Instant::now() < deadline {
            thread::yield_now();
        }
        is_over.store(true, Relaxed);
        assert!(is_durable(), "it was never made durable");
    });
}

#[test]
fn after_an_unclean_end_lossy_writes_are_of_another_epoch() {
    let lossy = WriterOptions {
        loss_time_max: Some(Duration::from_hours(1)),
        ..OPTIONS
    };
    let epoch = |dir: &Path, options: WriterOptions| {
        let store = open(dir);
        let writer = writer(&store, options);
        write(&writer, post(None)).unwrap().at.epoch
    };
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = writer(&store, lossy);
    write(&first, post(None)).unwrap();
    let unclean = killed(dir.path());
    drop((first, store));
    assert_eq!(epoch(dir.path(), lossy), 1, "it ended cleanly");
    // Reading it does not change that, nor does another durability.
    drop(open(unclean.path()));
    assert_eq!(epoch(unclean.path(), OPTIONS), 2);
    assert_eq!(epoch(unclean.path(), lossy), 2, "it ended cleanly");
}

#[test]
fn after_an_unclean_end_durable_writes_are_of_the_same_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = writer(&store, OPTIONS);
    let before = write(&first, post(None)).unwrap().at;
    let unclean = killed(dir.path());
    let store = open(unclean.path());
    assert_eq!(*store.feed().applied().borrow(), before);
    let writer = writer(&store, OPTIONS);
    assert_eq!(write(&writer, post(None)).unwrap().at.epoch, 1);
}

#[test]
fn a_store_that_ran_full_takes_no_change_and_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let writer = writer(&store, OPTIONS);
    let before = write(&writer, post(None)).unwrap().at;
    let full = Error::io("write")(std::io::ErrorKind::StorageFull.into());
    store.run_full(&full, false);
    let restored = Change::Restore {
        review: ReviewId(1),
        by: Actor::operator(),
    };
    for change in [post(None), restored] {
        assert_eq!(write(&writer, change.clone()), Err(Rejected::DiskFull));
        let other = Writer::of_full(&store, OPTIONS);
        assert_eq!(write(&other, change), Err(Rejected::DiskFull));
    }
    assert_eq!(*store.feed().applied().borrow(), before);
    assert_eq!(store.counters().unwrap().reviews, 1);
    assert_eq!(store.fence(), None);
    // As little as this is free; as much as that is not.
    assert!(store.has_space_again(0));
    assert!(!store.has_space_again(u64::MAX));
}

#[test]
fn hidden_reviews_of_a_store_of_format_1_get_the_rows_they_lack() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = writer(&store, OPTIONS);
    for _ in 0..3 {
        write(&first, post(None)).unwrap();
    }
    let report = |id| Change::Report {
        review: ReviewId(id),
        client: Ipv4Addr::LOCALHOST.into(),
        reason: ReasonCode::Unstated,
        hides: true,
    };
    write(&first, report(2)).unwrap();
    drop(first);
    let rows = || {
        let (view, mut all) = (store.rocks().view(), Vec::new());
        let mut rows = view.sweep(Family::Moderation, []).unwrap();
        while let Some((key, value)) = rows.next().unwrap() {
            all.push((key.to_vec(), value.to_vec()));
        }
        all.retain(|(key, _)| key != INDEXED);
        all
    };
    let with_all = rows();
    let mut batch = store.rocks().batch();
    let format = 1_u32.to_be_bytes();
    batch.put(Family::State, state::FORMAT, &format).unwrap();
    for (key, _) in &with_all {
        if key[0] != b'e' {
            batch.delete(Family::Moderation, key).unwrap();
        }
    }
    batch.commit(true).unwrap();
    let sound = Vec::<String>::new();
    assert_eq!(verify::differences(&store).unwrap(), sound);
    assert!(rows().len() < with_all.len());
    // The writer does its own work before the second change.
    let second = writer(&store, OPTIONS);
    for _ in 0..3 {
        write(&second, Change::Helpful(ReviewId(9))).unwrap();
    }
    drop(second);
    assert_eq!(rows(), with_all);
    assert_eq!(verify::differences(&store).unwrap(), sound);
    let mut batch = store.rocks().batch();
    let of_reports = with_all.iter().find(|(key, _)| key[0] == b'n').unwrap();
    batch.delete(Family::Moderation, &of_reports.0).unwrap();
    batch.commit(true).unwrap();
    assert_eq!(verify::differences(&store).unwrap().len(), 1);
}
