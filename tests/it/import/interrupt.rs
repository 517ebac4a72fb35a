//! Imports that are killed or interrupted, at any instant: the old store is there or the new one,
//! complete, and the next import clears the rest away.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use rustix::process::{Pid, Signal, kill_process};

use super::contents::{Contents, identified};
use super::made::Made;
use super::{Csv, Data, Ended, Import};
use crate::chance::Random;

/// The number of times that an import is stopped.
const ROUNDS: u32 = 14;
const TICK: Duration = Duration::from_millis(1);

/// The store that is there before.
const OLD: Made = Made {
    products: 50,
    reviews: 200,
    body_bytes: 20,
    grouped: false,
};
/// The store that is to replace it.
const NEW: Made = Made {
    products: 2000,
    reviews: 15_000,
    body_bytes: 800,
    grouped: false,
};

pub(super) fn make_fifo(path: &Path) {
    mkfifoat(CWD, path, Mode::RWXU).unwrap();
}

/// Opens a fifo so that neither side waits for the other.
pub(super) fn open_both_ways(fifo: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(fifo)
        .unwrap()
}

/// Waits until a child reads from the fifo; gives the end to write to.
fn open_when_read(fifo: &Path, child: &mut Child) -> File {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    loop {
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(fifo);
        if let Ok(fifo) = opened {
            return fifo;
        }
        assert_eq!(child.try_wait().unwrap(), None);
        wait(TICK);
    }
}

pub(super) fn wait(time: Duration) {
    let (_never, nothing) = channel::<()>();
    assert_eq!(nothing.recv_timeout(time), Err(RecvTimeoutError::Timeout));
}

pub(super) fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A data directory with the old store, and the files of both.
struct Scene {
    data: Data,
    old_csv: Csv,
    new_csv: Csv,
    old: Contents,
    new: Contents,
    /// The time that an import of the new shop takes.
    full_time: Duration,
}

impl Scene {
    fn new() -> Self {
        let (data, old_csv, new_csv) = (Data::new(), Csv::empty(), Csv::empty());
        OLD.write(&old_csv);
        NEW.write(&new_csv);
        let begun = Instant::now();
        Import::new(&new_csv, &data).report();
        let full_time = begun.elapsed();
        let new = identified(&data.path(), NEW.products_end()).1;
        Import::new(&old_csv, &data).with(&["--replace"]).report();
        let old = identified(&data.path(), NEW.products_end()).1;
        Self {
            data,
            old_csv,
            new_csv,
            old,
            new,
            full_time,
        }
    }

    fn replace(&self) -> Import {
        Import::new(&self.new_csv, &self.data).with(&["--replace"])
    }

    /// Stops an import at a random instant of each part of its time, and of what comes after;
    /// `check` gets how it ended, and whether the new store is there.
    fn stop_at_any_instant(&self, with: Signal, check: impl Fn(Ended, bool)) {
        let mut random = Random::new(7);
        for round in 0..ROUNDS {
            let part = self.full_time * 4 / 3 / ROUNDS;
            let within = part * u32::try_from(random.below(100)).unwrap() / 100;
            let child = self.replace().start();
            wait(part * round + within);
            signal(&child, with);
            let ended = Ended::of(child);
            check(ended, self.new_is_there());
            Import::new(&self.old_csv, &self.data)
                .with(&["--replace"])
                .report();
            self.data.assert_swept();
        }
    }

    /// Opens a copy, since opening a store removes the remains of an import.
    fn new_is_there(&self) -> bool {
        let copy = self.data.copy();
        let (_, found) = identified(&copy.path(), NEW.products_end());
        copy.assert_swept();
        let is_new = found.counters == self.new.counters;
        found.assert_same(if is_new { &self.new } else { &self.old });
        is_new
    }
}

#[test]
fn a_killed_import_leaves_the_old_store_or_the_new_one() {
    let scene = Scene::new();
    scene.stop_at_any_instant(Signal::KILL, |ended, new_is_there| {
        // One that succeeded was not killed in time.
        assert!(ended.code != Some(0) || new_is_there);
    });
}

#[test]
fn an_interrupted_import_leaves_the_old_store_or_the_new_one() {
    let scene = Scene::new();
    scene.stop_at_any_instant(Signal::INT, |ended, new_is_there| {
        match ended.code {
            Some(0) => assert!(new_is_there),
            Some(130) => assert!(!new_is_there && ended.stderr.contains("is as it was")),
            // It had not even begun.
            None => assert!(!new_is_there && ended.stderr.is_empty()),
            code => panic!("{code:?}"),
        }
    });
}

/// An import that waits for the rest of its reviews, of which it has the first line.
fn waiting(scene: &Scene) -> (Child, File) {
    let fifo = scene.new_csv.path("reviews.csv");
    let reviews = scene.new_csv.read("reviews.csv");
    scene.new_csv.remove("reviews.csv");
    make_fifo(&fifo);
    let mut child = scene.replace().start();
    let mut writer = open_when_read(&fifo, &mut child);
    let header = reviews.split_inclusive(|byte| *byte == b'\n').next();
    writer.write_all(header.unwrap()).unwrap();
    (child, writer)
}

#[test]
fn both_signals_end_an_import_with_130_and_nothing_left_behind() {
    for by in [Signal::INT, Signal::TERM] {
        let scene = Scene::new();
        let before = identified(&scene.data.path(), NEW.products_end());
        let (child, mut rest) = waiting(&scene);
        assert_eq!(scene.data.names().len(), 5, "it has begun");
        signal(&child, by);
        rest.write_all(b"1,1").unwrap();
        drop(rest);
        let ended = Ended::of(child);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""));
        let data = scene.data.path();
        assert_eq!(
            ended.stderr,
            format!(
                "reviewsd: interrupted: the store in {} is as it was; nothing else is left behind\n",
                data.display()
            )
        );
        scene.data.assert_swept();
        let after = identified(&scene.data.path(), NEW.products_end());
        assert!(after == before);
    }
}

#[test]
fn a_second_signal_ends_an_import_and_the_next_cleans_up() {
    let scene = Scene::new();
    // What is not written is waited for.
    let (mut child, _rest) = waiting(&scene);
    while child.try_wait().unwrap().is_none() {
        signal(&child, Signal::INT);
        wait(TICK);
    }
    assert_eq!(Ended::of(child).code, Some(130));
    assert_eq!(scene.data.names().len(), 5, "it left something behind");
    Import::new(&scene.old_csv, &scene.data)
        .with(&["--replace"])
        .report();
    scene.data.assert_swept();
}

#[test]
fn an_interrupted_first_import_leaves_no_store() {
    let scene = Scene::new();
    let data = Data::new();
    let scene = Scene { data, ..scene };
    let (child, rest) = waiting(&scene);
    signal(&child, Signal::INT);
    drop(rest);
    assert_eq!(Ended::of(child).code, Some(130));
    assert_eq!(scene.data.names(), ["LOCK"]);
}
