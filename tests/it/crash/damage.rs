//! Damage to the write-ahead log: a store loses no acknowledged write without saying so.
//!
//! A server is killed in the middle of its work, so that its log holds the acknowledged writes, and its files
//! are damaged in every way there is. Each time it opens with all of that, or is refused with a report of the
//! loss and the remedy, and is then as it was: with its log repaired it is whole.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::{Duration, Instant};

use reviewsd::model::{NewReview, ProductId, ReviewId};
use reviewsd::store::verify;
use reviewsd::store::{
    Change, ChangeOutcome, Error, IDEMPOTENCY_KEYS_MAX, LogPosition, ModerationSettings,
    OpenOptions, ReadTier, Store, Writer, WriterOptions,
};
use tempfile::TempDir;

use super::logs::{Damage, TO_THE_NEWEST, bytes_of, cut, flip, logs_of, newest, store_of, write};
use super::power::Shim;
use super::{FSYNC, PATIENCE, Trial, seed};
use crate::chance::say;
use crate::support::{copy_tree, no_forks};

const MEMORY: u64 = 32 << 20;
/// Bytes of the newest log that hold acknowledged writes, at least.
const NEWEST_BYTES_MIN: u64 = 40 << 10;
/// Ids that are given again at the earliest behind those that were lost.
const SKIPPED_IDS: u64 = 1_000_000;

/// A data directory as a killed server leaves it, and the writes that it acknowledged.
struct Image {
    dir: TempDir,
    acknowledged: BTreeSet<u64>,
}

impl Image {
    /// Makes the image of a server that is killed while it has so many logs with something in them.
    fn with_logs(count: usize) -> Option<Self> {
        let shim = Shim::compile()?;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut trial = Trial::new(shim, data.clone(), seed(), 0);
        let mut acknowledged = BTreeSet::new();
        let server = trial.start(FSYNC);
        let mut client = server.client();
        let is_enough = || {
            let logs = logs_of(&data);
            let newest = logs.last().map_or(0, |log| bytes_of(log));
            logs.len() == count && newest >= NEWEST_BYTES_MIN
        };
        let deadline = Instant::now() + 4 * PATIENCE;
        for key in 1.. {
            let answer = client.post(key).unwrap();
            assert_eq!(answer.status, 201);
            acknowledged.insert(answer.review.unwrap());
            if is_enough() {
                // It must finish no write between the look and the kill.
                server.pause();
                if is_enough() {
                    break;
                }
                server.resume();
            }
            assert!(Instant::now() < deadline, "it never has {count} logs");
        }
        server.kill();
        Some(Self { dir, acknowledged })
    }

    /// A copy of the directory with its log damaged.
    fn damaged(&self, damage: Damage) -> Damaged<'_> {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        copy_tree(&self.dir.path().join("data"), &data);
        let logs = logs_of(&data);
        damage(&logs);
        Damaged {
            image: self,
            data,
            _dir: dir,
        }
    }
}

struct Damaged<'i> {
    image: &'i Image,
    data: PathBuf,
    _dir: TempDir,
}

impl Damaged<'_> {
    fn open(&self, accept_loss: bool) -> Result<Store, Error> {
        let opening = OpenOptions {
            accept_loss,
            ..OpenOptions::own(MEMORY)
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Store::open_existing(&self.data, "a test", opening) {
                // A process that another test is starting may hold it for a moment.
                Err(Error::InUse { .. }) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(1));
                }
                opened => return opened,
            }
        }
    }

    /// The number of the acknowledged reviews that a store lacks.
    fn missing(&self, store: &Store) -> usize {
        let reader = store.reader(ReadTier::Disk);
        let is_missing = |id: &&u64| reader.review(ReviewId(**id), |_, _| ()).unwrap().is_none();
        self.image.acknowledged.iter().filter(is_missing).count()
    }

    /// Opens the store with all that was acknowledged, or is refused; whether it was refused.
    fn is_refused(&self, what: &str) -> bool {
        let loss = match self.open(false) {
            Ok(store) => {
                assert_eq!(self.missing(&store), 0, "{what}: lost without a word");
                return false;
            }
            Err(Error::Lost(loss)) => loss,
            Err(error) => panic!("{what}: {error}"),
        };
        let sentence = loss.to_string();
        for part in [
            self.data.to_str().unwrap(),
            "lacks acknowledged writes",
            "promote a replica, restore a backup, or start with `reviewsd serve --accept-loss`",
        ] {
            assert!(sentence.contains(part), "{what}: {sentence}");
        }
        // It is refused until an operator acts on it.
        assert!(matches!(self.open(false), Err(Error::Lost(_))), "{what}");
        true
    }

    /// Puts the logs back as they were: a store that was refused is otherwise as it was.
    fn mend(&self, what: &str) {
        for log in logs_of(&self.data) {
            fs::remove_file(log).unwrap();
        }
        for log in logs_of(&self.image.dir.path().join("data")) {
            let place = store_of(&self.data).join(log.file_name().unwrap());
            fs::copy(log, place).unwrap();
        }
        let store = self.open(false).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(self.missing(&store), 0, "{what}");
    }

    /// Accepts the loss: the rest is sound, and no later commit can be taken for a lost one.
    fn accept(&self, what: &str) {
        let store = self.open(true).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(store.loss().is_some(), "{what}");
        assert!(self.missing(&store) > 0, "{what}: nothing is missing");
        let recounted = verify::run(&store, false, &|_| {}).unwrap();
        assert!(recounted.is_sound(), "{what}: {:?}", recounted.differences);
        let (review, at) = post(&store);
        let newest = self.image.acknowledged.last().unwrap();
        assert!(review >= newest + SKIPPED_IDS, "{what}: {review}");
        assert_eq!(at.epoch, 2, "{what}");
        drop(store);
        // That was that.
        let store = self.open(true).unwrap();
        assert_eq!(
            (store.loss(), store.feed().applied().borrow().epoch),
            (None, 2)
        );
    }
}

/// Adds a review, and gives its id and where the store is then.
fn post(store: &Store) -> (u64, LogPosition) {
    let options = WriterOptions {
        loss_time_max: None,
        queue_max: 1,
        free_space_min: 0,
        idempotency_keys_per_client_max: IDEMPOTENCY_KEYS_MAX,
        moderation: ModerationSettings::DEFAULT,
    };
    let writer = Writer::start(store, options, || 5, |_| {}, |error| panic!("{error}")).unwrap();
    let review = NewReview {
        product: ProductId(2),
        rating: 4,
        recommend: true,
        summary: "Fits".to_owned(),
        body: "As it should".to_owned(),
        reviewer_name: "ana".to_owned(),
        reviewer_email: "ana@example.org".to_owned(),
        photos: Vec::new(),
        ratings: Vec::new(),
    };
    let (tell, told) = channel();
    let change = Change::Post {
        review,
        retry: None,
        held: None,
    };
    writer.submit(change, move |outcome| tell.send(outcome).unwrap());
    let settled = told.recv().unwrap().unwrap();
    match settled.outcome {
        ChangeOutcome::Created(id) => (id.0, settled.at),
        other => panic!("{other:?}"),
    }
}

/// Damage that costs nothing.
const HARMLESS: [(&str, Damage); 3] = [
    ("none", |_| {}),
    ("room reserved behind the end", |logs| {
        cut(newest(logs), bytes_of(newest(logs)) + 100_000);
    }),
    ("half of a write that nobody was told of", |logs| {
        let log = newest(logs);
        let begun = fs::read(log).unwrap()[..300].to_vec();
        write(log, bytes_of(log), &begun[..200]);
    }),
];

/// Damage to the content of an older log, which the next one continues.
const TO_AN_OLDER: [(&str, Damage); 7] = [
    ("a bit flipped", |logs| {
        flip(&logs[0], bytes_of(&logs[0]) / 2);
    }),
    ("cut in the middle", |logs| {
        cut(&logs[0], bytes_of(&logs[0]) / 2);
    }),
    ("cut by one byte", |logs| {
        cut(&logs[0], bytes_of(&logs[0]) - 1);
    }),
    ("cut to nothing", |logs| cut(&logs[0], 0)),
    ("the file is gone", |logs| {
        fs::remove_file(&logs[0]).unwrap();
    }),
    ("a sector of zeros", |logs| {
        write(&logs[0], bytes_of(&logs[0]) / 2, &[0; 4096]);
    }),
    ("swapped with the newest", |logs| {
        let aside = logs[0].with_extension("aside");
        fs::rename(&logs[0], &aside).unwrap();
        fs::rename(newest(logs), &logs[0]).unwrap();
        fs::rename(aside, newest(logs)).unwrap();
    }),
];

#[test]
fn damage_to_the_newest_log_is_refused() {
    let Some(image) = Image::with_logs(1) else {
        return;
    };
    for (what, damage) in TO_THE_NEWEST {
        let damaged = image.damaged(damage);
        assert!(damaged.is_refused(what), "{what}: nothing was said");
        damaged.mend(what);
        let damaged = image.damaged(damage);
        damaged.accept(what);
    }
    for (what, damage) in HARMLESS {
        assert!(!image.damaged(damage).is_refused(what), "{what}");
    }
    say(&format!(
        "crash: {} kinds of damage to a log with {} acknowledged writes, 0 lost silently",
        TO_THE_NEWEST.len() + HARMLESS.len(),
        image.acknowledged.len()
    ));
}

/// An image whose older log holds data that are in no other file yet.
fn with_an_older_log() -> Option<Image> {
    let gone: Damage = |logs| fs::remove_file(&logs[0]).unwrap();
    for _ in 0..10 {
        let image = Image::with_logs(2)?;
        if image.damaged(gone).is_refused("gone") {
            return Some(image);
        }
    }
    panic!("what was in the older log was always in other files by then");
}

#[test]
fn damage_to_an_older_log_is_refused() {
    let Some(image) = with_an_older_log() else {
        return;
    };
    for (what, damage) in TO_AN_OLDER {
        let damaged = image.damaged(damage);
        assert!(damaged.is_refused(what), "{what}: nothing was said");
        damaged.mend(what);
        image.damaged(damage).accept(what);
    }
}

#[test]
fn after_a_clean_stop_the_log_holds_nothing() {
    let Some(shim) = Shim::compile() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut trial = Trial::new(shim, data.clone(), seed(), 0);
    let server = trial.start(FSYNC);
    let mut client = server.client();
    let mut acknowledged = BTreeSet::new();
    for key in 1..50 {
        acknowledged.insert(client.post(key).unwrap().review.unwrap());
    }
    drop(client);
    server.stop();
    assert_eq!(logs_of(&data), [] as [PathBuf; 0]);
    let image = Image { dir, acknowledged };
    let without = image.damaged(|_| {});
    for entry in fs::read_dir(store_of(&without.data)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "log") {
            fs::remove_file(path).unwrap();
        }
    }
    assert!(!without.is_refused("no log at all"));
}

#[test]
fn a_replica_that_lacks_writes_fetches_them_again_when_told_to() {
    let Some(image) = Image::with_logs(1) else {
        return;
    };
    let damaged = image.damaged(|logs| flip(newest(logs), bytes_of(newest(logs)) / 2));
    fs::write(damaged.data.join("FOLLOWS"), "http://primary:8081").unwrap();
    let opening = OpenOptions::to_look(MEMORY);
    let refused = Store::open_existing(&damaged.data, "a test", opening);
    let sentence = refused.err().unwrap().to_string();
    let remedy = "if http://primary:8081 still has them, start with --accept-loss";
    assert!(sentence.contains(remedy), "{sentence}");
    let opening = OpenOptions {
        accept_loss: true,
        ..opening
    };
    let store = Store::open_existing(&damaged.data, "a test", opening).unwrap();
    assert!(store.loss().is_some() && damaged.missing(&store) > 0);
    // It is where its primary once was, and writes nothing of its own.
    assert_eq!(store.feed().applied().borrow().epoch, 1);
    assert!(verify::run(&store, false, &|_| {}).unwrap().is_sound());
}

#[test]
fn commands_say_what_a_damaged_store_lacks() {
    let Some(image) = Image::with_logs(1) else {
        return;
    };
    let damaged = image.damaged(|logs| flip(newest(logs), 20));
    let data = damaged.data.to_str().unwrap();
    fs::set_permissions(data, Permissions::from_mode(0o700)).unwrap();
    let ended = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = {
            let _no_forks = no_forks();
            command.spawn().unwrap()
        };
        let output = child.wait_with_output().unwrap();
        let text = [output.stderr, output.stdout].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let listen = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let doctor = ["doctor", "--config", "/dev/null", "--data", data];
    let space = ["--set", "writes.free_space_min=64MiB"];
    let doctor = [&doctor[..], &listen, &space].concat();
    let csv = tempfile::tempdir().unwrap();
    let products = "id,name,slogan,description,category,default_price\n1,Kettle,S,D,C,10\n";
    fs::write(csv.path().join("product.csv"), products).unwrap();
    let csv = csv.path().to_str().unwrap();
    for arguments in [
        vec!["import", "--csv", csv, "--data", data, "--replace"],
        vec!["verify", "--data", data, "--quiet"],
        vec!["promote", "--data", data],
        [vec!["serve", "--data", data], listen.to_vec()].concat(),
    ] {
        let (code, text) = ended(&arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {text}");
        assert!(text.contains("lacks acknowledged writes"), "{text}");
    }
    let (code, text) = ended(&doctor);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("store: the store in "), "{text}");
    assert!(text.contains("  to do: promote a replica, "), "{text}");
    let (code, text) = ended(&["promote", "--data", data, "--accept-loss"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = ended(&["verify", "--data", data, "--quiet"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = ended(&doctor);
    assert_eq!(code, Some(0), "{text}");
}
