//! The interface of the store to replication, without processes: commits from memory and from the log, and
//! their application to another store.

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use proptest::prelude::*;
use reviewsd::model::{NewReview, ProductId, ReviewId};
use reviewsd::store::{
    Applier, Backlog, Change, Checkpoint, Committed, Error, Fallback, History, HistoryLookup,
    IDEMPOTENCY_KEYS_MAX, Lineage, LogPosition, ModerationSettings, OpenOptions, Store, Writer,
    WriterOptions, contents, lineage,
};

use super::PATIENCE;
use crate::support::{once_let_go, report, shop_dir};

const OPENING: OpenOptions = OpenOptions {
    memory: 64 << 20,
    log_keep_time: Some(Duration::from_hours(1)),
    as_copy: true,
    accept_loss: false,
    fallback: Fallback::Refuse,
};

fn open(dir: &Path) -> Store {
    once_let_go(|| Store::open_as(dir, "a test", OPENING, 0))
}

fn writer(store: &Store, loss_time_max: Option<Duration>) -> Writer {
    let options = WriterOptions {
        loss_time_max,
        queue_max: 1000,
        free_space_min: 0,
        idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
        moderation: ModerationSettings::DEFAULT,
    };
    Writer::start(
        store,
        options,
        || 1_700_000_000_000,
        |_| {},
        |error| panic!("{error}"),
    )
    .unwrap()
}

fn post(text: String) -> Change {
    Change::Post {
        review: NewReview {
            product: ProductId(2),
            rating: 4,
            recommend: true,
            summary: "Copied".to_owned(),
            body: text,
            reviewer_name: "pine".to_owned(),
            reviewer_email: "pine@example.org".to_owned(),
            photos: Vec::new(),
            ratings: Vec::new(),
        },
        retry: None,
        held: None,
    }
}

/// Makes a change and gives where the store is then.
fn write(writer: &Writer, change: Change) -> LogPosition {
    let (send, settled) = channel();
    writer.submit(change, move |settled| send.send(settled).unwrap());
    settled.recv_timeout(PATIENCE).unwrap().unwrap().at
}

fn fill(writer: &Writer, count: usize) -> LogPosition {
    let mut at = None;
    for number in 0..count {
        at = Some(write(writer, post(format!("a text {number}"))));
    }
    at.unwrap()
}

fn all(found: HistoryLookup) -> Vec<Committed> {
    match found {
        HistoryLookup::Commits(commits) => commits,
        other => panic!("{other:?}"),
    }
}

/// Everything that follows a position, from the log, in pieces.
fn from_log(store: &Store, mut at: LogPosition) -> Vec<Committed> {
    let mut history = History::of(store);
    let mut read = Vec::new();
    loop {
        let piece = all(history.read(at, 2000).unwrap());
        let Some(last) = piece.last() else {
            return read;
        };
        at = last.after;
        read.extend(piece);
    }
}

fn copy_of(store: &Store, dir: &Path) -> LogPosition {
    let checkpoint = Checkpoint::make(store).unwrap();
    let place = dir.join("store-00000000000000000000000000000007");
    fs::create_dir(&place).unwrap();
    for file in checkpoint.files() {
        let mut from = checkpoint.open(&file.name, 0).unwrap().unwrap();
        let mut to = fs::File::create(place.join(&file.name)).unwrap();
        assert_eq!(std::io::copy(&mut from, &mut to).unwrap(), file.bytes);
    }
    std::os::unix::fs::symlink(place.file_name().unwrap(), dir.join("store")).unwrap();
    checkpoint.position()
}

#[test]
fn feed_and_log_have_the_same_commits_and_make_one_store() {
    let dir = shop_dir();
    let store = open(dir.path());
    store.feed().keep(1 << 20);
    let start = *store.feed().applied().borrow();
    assert_eq!(
        start,
        LogPosition::genesis(start.seq),
        "an import writes no history"
    );
    let writer = writer(&store, None);
    fill(&writer, 30);

    let copied = tempfile::tempdir().unwrap();
    let at = copy_of(&store, copied.path());
    assert_eq!(at, *store.feed().applied().borrow());
    write(&writer, Change::Helpful(ReviewId(3)));
    write(&writer, report(ReviewId(4)));
    let end = fill(&writer, 30);

    let Backlog::Commits(remembered) = store.feed().behind(start, usize::MAX) else {
        panic!("not in memory");
    };
    assert_eq!(remembered.last().unwrap().after, end);
    assert_eq!(from_log(&store, start), remembered);
    for commit in &remembered {
        assert_eq!(from_log(&store, commit.before)[0], *commit);
    }
    let copy = open(copied.path());
    assert_eq!(*copy.feed().applied().borrow(), at);
    let mut applier = Applier::resume(copy.clone(), |_| {}).unwrap();
    let behind = remembered
        .iter()
        .filter(|commit| commit.before.seq >= at.seq);
    for commit in behind {
        assert_eq!(applier.apply(&commit.batch).unwrap(), commit.after);
        assert_eq!(*copy.feed().applied().borrow(), commit.after);
    }
    assert_eq!(*copy.feed().durable().borrow(), at);
    assert_eq!(applier.sync().unwrap(), end);
    assert_eq!(*copy.feed().durable().borrow(), end);
    assert_eq!(contents(&copy).unwrap(), contents(&store).unwrap());
    // It can be followed itself one day: its log says the same.
    assert_eq!(from_log(&copy, at), from_log(&store, at));
}

#[test]
fn only_durable_commits_are_in_the_feed_and_the_log() {
    let dir = shop_dir();
    let store = open(dir.path());
    let start = *store.feed().applied().borrow();
    let writer = writer(&store, Some(Duration::from_hours(1)));
    let end = fill(&writer, 3);
    assert_eq!(*store.feed().applied().borrow(), end);
    assert_eq!(*store.feed().durable().borrow(), start);
    assert_eq!(from_log(&store, start), []);
    // At its end the writer makes all durable.
    drop(writer);
    assert_eq!(from_log(&store, start).last().unwrap().after, end);
}

#[test]
fn a_diverged_position_differs_from_one_that_is_too_old() {
    let dir = shop_dir();
    let store = open(dir.path());
    let start = *store.feed().applied().borrow();
    let writer = writer(&store, None);
    let (mid, end) = (fill(&writer, 5), fill(&writer, 5));
    let read = |position| History::of(&store).read(position, 1000).unwrap();
    let other = |position: LogPosition| LogPosition {
        chain: position.chain ^ 1,
        ..position
    };
    for astray in [
        other(start),
        other(mid),
        other(end),
        LogPosition { epoch: 2, ..mid },
    ] {
        assert_eq!(read(astray), HistoryLookup::Elsewhere, "{astray}");
    }
    let ahead = LogPosition {
        seq: end.seq + 1,
        ..end
    };
    assert_eq!(read(ahead), HistoryLookup::Elsewhere);
    let old = LogPosition::genesis(start.seq - 1);
    assert_eq!(read(old), HistoryLookup::Gap);
    assert_eq!(lineage(&store, mid).unwrap(), Lineage::Shared);
    assert_eq!(
        lineage(&store, LogPosition { epoch: 2, ..mid }).unwrap(),
        Lineage::Later
    );
    assert_eq!(
        lineage(&store, LogPosition { epoch: 0, ..mid }).unwrap(),
        Lineage::Unknown
    );
}

#[test]
fn a_commit_is_applied_once_in_order_and_atomically() {
    let dir = shop_dir();
    let store = open(dir.path());
    store.feed().keep(1 << 20);
    let copied = tempfile::tempdir().unwrap();
    let at = copy_of(&store, copied.path());
    fill(&writer(&store, None), 4);
    let commits = from_log(&store, at);
    let copy = open(copied.path());
    let mut applier = Applier::resume(copy.clone(), |_| {}).unwrap();
    let refuses = |applier: &mut Applier, batch: &[u8]| {
        let before = (applier.position(), contents(&copy).unwrap());
        let refused = applier.apply(batch);
        assert!(matches!(refused, Err(Error::Unfit { .. })), "{refused:?}");
        assert_eq!((applier.position(), contents(&copy).unwrap()), before);
    };
    refuses(&mut applier, &commits[1].batch);
    applier.apply(&commits[0].batch).unwrap();
    refuses(&mut applier, &commits[0].batch);
    refuses(&mut applier, &commits[2].batch);
    let mut damaged = commits[1].batch.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    refuses(&mut applier, &damaged);
    refuses(&mut applier, &commits[1].batch[..middle]);
    refuses(&mut applier, b"");
    applier.apply(&commits[1].batch).unwrap();
    applier.apply(&commits[2].batch).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn reading_the_log_in_any_pieces_leaves_nothing_out(
        writes in 1_usize..40, bytes_max in 1_usize..3000, restart: bool,
    ) {
        let dir = shop_dir();
        let store = open(dir.path());
        let start = *store.feed().applied().borrow();
        let mut end = fill(&writer(&store, None), writes);
        let mut store = store;
        if restart {
            drop(store);
            store = open(dir.path());
            end = fill(&writer(&store, None), writes);
        }
        let mut history = History::of(&store);
        let mut at = start;
        while at != end {
            let piece = all(history.read(at, bytes_max).unwrap());
            prop_assert!(!piece.is_empty(), "it ends at {} before {}", at, end);
            for commit in piece {
                prop_assert_eq!(commit.before, at);
                at = commit.after;
            }
        }
    }
}
