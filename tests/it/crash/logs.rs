//! The write-ahead logs of a closed store, and damage to them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::chance::Random;

/// The damage that is done to the logs, of which the last is the newest.
pub(crate) type Damage = fn(&[PathBuf]);

/// Damage to the last acknowledged writes, which are in no file but the newest log.
pub(crate) const TO_THE_NEWEST: [(&str, Damage); 11] = [
    ("a bit flipped in the head", |logs| flip(newest(logs), 20)),
    ("a bit flipped in the middle", |logs| {
        flip(newest(logs), bytes_of(newest(logs)) / 2);
    }),
    ("a bit flipped in the last record", |logs| {
        flip(newest(logs), bytes_of(newest(logs)) - 5);
    }),
    ("cut in the middle", |logs| {
        cut(newest(logs), bytes_of(newest(logs)) / 2);
    }),
    ("cut by one byte", |logs| {
        cut(newest(logs), bytes_of(newest(logs)) - 1);
    }),
    ("cut to nothing", |logs| cut(newest(logs), 0)),
    ("the file is gone", |logs| {
        fs::remove_file(newest(logs)).unwrap();
    }),
    ("a sector of zeros", |logs| {
        write(newest(logs), bytes_of(newest(logs)) / 2, &[0; 4096]);
    }),
    ("zeros to the end", |logs| {
        let (log, bytes) = (newest(logs), bytes_of(newest(logs)));
        cut(log, bytes / 2);
        cut(log, bytes);
    }),
    ("the first header overwritten", |logs| {
        write(newest(logs), 0, &[0xff; 7]);
    }),
    ("another file in its place", |logs| {
        fs::write(newest(logs), vec![b'x'; 100_000]).unwrap();
    }),
];

pub(crate) fn newest(logs: &[PathBuf]) -> &Path {
    logs.last().unwrap()
}

/// The logs with something in them, oldest first.
pub(crate) fn logs_of(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store_of(data)).unwrap();
    let mut logs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    logs.retain(|path| path.extension().is_some_and(|end| end == "log") && bytes_of(path) > 0);
    logs.sort();
    logs
}

pub(crate) fn store_of(data: &Path) -> PathBuf {
    data.join(fs::read_link(data.join("store")).unwrap())
}

pub(crate) fn bytes_of(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

pub(crate) fn write(file: &Path, at: u64, bytes: &[u8]) {
    let open = OpenOptions::new().write(true).open(file).unwrap();
    open.write_all_at(bytes, at).unwrap();
}

pub(crate) fn flip(file: &Path, at: u64) {
    let mut byte = [fs::read(file).unwrap()[usize::try_from(at).unwrap()]];
    byte[0] ^= 0x04;
    write(file, at, &byte);
}

pub(crate) fn cut(file: &Path, bytes: u64) {
    let open = OpenOptions::new().write(true).open(file).unwrap();
    open.set_len(bytes).unwrap();
}

/// Damages the logs at a random place; returns a description of the damage.
pub(crate) fn damage_somehow(logs: &[PathBuf], random: &mut Random) -> String {
    let log = random.pick(logs).unwrap();
    let (name, at) = (log.display(), random.below(bytes_of(log)));
    match random.below(4) {
        0 => {
            flip(log, at);
            format!("a bit flipped at {at} of {name}")
        }
        1 => {
            cut(log, at);
            format!("{name} cut to {at} bytes")
        }
        2 => {
            fs::remove_file(log).unwrap();
            format!("{name} is gone")
        }
        _ => {
            let (what, damage) = random.pick(&TO_THE_NEWEST).unwrap();
            damage(logs);
            format!("{what}, of {}", newest(logs).display())
        }
    }
}

/// Logs as they were, to be restored. A log stays the same file, so that its durable part stays known.
pub(crate) struct Kept {
    /// The directory of the files while they have no other name.
    dir: TempDir,
    logs: Vec<(PathBuf, Vec<u8>)>,
}

impl Kept {
    pub(crate) fn of(logs: &[PathBuf]) -> Self {
        let beside = logs[0].parent().unwrap().parent().unwrap();
        let kept = Self {
            dir: tempfile::tempdir_in(beside.parent().unwrap()).unwrap(),
            logs: logs
                .iter()
                .map(|log| (log.clone(), fs::read(log).unwrap()))
                .collect(),
        };
        for log in logs {
            fs::hard_link(log, kept.place_of(log)).unwrap();
        }
        kept
    }

    fn place_of(&self, log: &Path) -> PathBuf {
        self.dir.path().join(log.file_name().unwrap())
    }

    pub(crate) fn put_back(self) {
        for (log, bytes) in &self.logs {
            if !log.exists() {
                fs::hard_link(self.place_of(log), log).unwrap();
            }
            fs::write(log, bytes).unwrap();
        }
    }
}
