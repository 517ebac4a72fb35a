//! A machine whose power fails: the durable part of its files, and the part that is left of them.
//!
//! A preloaded shim notes every sync of the server. When the server has ended, each file is cut back to its
//! durable part, and all that is left then is durable. If only the process died and the power stayed, files
//! retain all they have and the rest still is not durable. Names count as durable at once: files that were
//! made, renamed or removed stay so.

use std::collections::{HashMap, HashSet};
use std::env;
use std::fs::{self, File, OpenOptions};
use std::ops::AddAssign;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::chance::{Random, say};
use crate::support::no_forks;

/// The rest of a log beyond its durable part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing.
    Nothing,
    /// A random part: nothing, some of it, or zeros in place of it.
    Some,
    /// Everything, and no more of it is durable than was: the power did not fail.
    All,
}

/// The compiled shim, and where it notes.
pub(super) struct Shim {
    dir: TempDir,
}

impl Shim {
    /// Compiles it; returns `None`, and prints why, if there is no C compiler.
    pub(super) fn compile() -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/crash/shim.c");
        let shim = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]);
        command.arg(shim.library()).arg(source);
        let started = {
            let _no_forks = no_forks();
            command.spawn()
        };
        match started {
            Ok(mut compiler) => {
                assert!(compiler.wait().unwrap().success(), "the shim is not C");
                Some(shim)
            }
            Err(error) => {
                say(&format!("skipped: {command:?} cannot be run: {error}"));
                None
            }
        }
    }

    fn library(&self) -> PathBuf {
        self.dir.path().join("shim.so")
    }

    fn notes(&self) -> PathBuf {
        self.dir.path().join("notes")
    }
}

/// A file, whatever its name.
type FileId = (u64, u64);

/// A data directory, and the durable part of it.
pub(super) struct Disk {
    shim: Shim,
    data: PathBuf,
    /// The durable bytes of each file, as the last server that ended left them.
    durable: HashMap<FileId, u64>,
    /// True if a server was started whose notes have not been read.
    watched: bool,
}

/// A note of the shim on one file.
pub(super) struct Note {
    what: String,
    file: FileId,
    bytes: u64,
    path: String,
}

/// The effects of a power failure.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Cut {
    /// Syncs of logs that succeeded.
    pub(super) log_syncs: u64,
    /// Logs that were begun: one at every start, and one whenever memtables are flushed.
    pub(super) logs: u64,
    /// Bytes of logs that were there and not durable.
    pub(super) log_bytes: u64,
}

impl AddAssign for Cut {
    fn add_assign(&mut self, other: Self) {
        self.log_syncs += other.log_syncs;
        self.logs += other.logs;
        self.log_bytes += other.log_bytes;
    }
}

impl Disk {
    /// The directory `data`, all of which is durable.
    pub(super) fn new(shim: Shim, data: PathBuf) -> Self {
        let mut disk = Self {
            shim,
            data,
            durable: HashMap::new(),
            watched: false,
        };
        disk.settle();
        disk
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Marks all of it as durable, since another process worked on it.
    pub(super) fn settle(&mut self) {
        self.durable = files(&self.data)
            .iter()
            .map(|path| identify(path))
            .collect();
    }

    /// Prepares a server that is about to be started.
    pub(super) fn watch(&mut self, command: &mut Command) {
        assert!(!self.watched, "what the last server did is not known");
        self.watched = true;
        File::create(self.shim.notes()).unwrap();
        command.env("LD_PRELOAD", self.shim.library());
        command.env("POWERLOSS_LOG", self.shim.notes());
    }

    /// The server's acts since it was started, in order.
    pub(super) fn notes(&self) -> Vec<Note> {
        let notes = fs::read(self.shim.notes()).unwrap();
        let notes = String::from_utf8_lossy(&notes);
        // A call that the end cut short had not happened yet.
        let lines = notes
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'));
        lines.map(Note::parse).collect()
    }

    /// Cuts every file back. To be called once for every server, when it has ended.
    pub(super) fn fail(&mut self, left: Left, random: &mut Random) -> Cut {
        self.watched = false;
        let notes = self.notes();
        let durable = &mut self.durable;
        let mut doubtful = HashSet::new();
        let mut cut = Cut::default();
        for note in notes {
            let bytes = durable.entry(note.file).or_insert(0);
            match note.what.as_str() {
                "new" => {
                    cut.logs += u64::from(note.is_log());
                    *bytes = 0;
                    doubtful.remove(&note.file);
                }
                "cut" => *bytes = note.bytes.min(*bytes),
                // Once a sync has failed, later ones of the file prove nothing.
                "fail" => {
                    doubtful.insert(note.file);
                }
                "sync" if !doubtful.contains(&note.file) => {
                    *bytes = note.bytes.max(*bytes);
                    cut.log_syncs += u64::from(note.is_log());
                }
                "sync" => {}
                what => unreachable!("the shim notes {what}"),
            }
        }
        for path in files(&self.data) {
            let (file, bytes) = identify(&path);
            let durable = durable.get(&file).copied().unwrap_or(0);
            let Some(more) = bytes.checked_sub(durable).filter(|more| *more > 0) else {
                continue;
            };
            let is_log = is_log(&path.to_string_lossy());
            cut.log_bytes += more * u64::from(is_log);
            if left == Left::All {
                continue;
            }
            let open = OpenOptions::new().write(true).open(&path).unwrap();
            let kept = match left {
                Left::Some if is_log => random.below(more + 1) * random.below(2),
                _ => 0,
            };
            open.set_len(durable + kept).unwrap();
            if left == Left::Some && is_log && random.one_in(4) {
                open.set_len(bytes).unwrap();
            }
        }
        if left != Left::All {
            self.settle();
        }
        cut
    }
}

impl Note {
    fn parse(line: &str) -> Self {
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().unwrap().to_owned();
        Self {
            what: word(),
            file: (word().parse().unwrap(), word().parse().unwrap()),
            bytes: word().parse().unwrap(),
            path: word(),
        }
    }

    /// True if it is about a write-ahead log.
    pub(super) fn is_log(&self) -> bool {
        is_log(&self.path)
    }

    /// True if a sync was tried.
    pub(super) fn is_sync(&self) -> bool {
        self.what == "sync" || self.is_failure()
    }

    /// True if a sync failed.
    pub(super) fn is_failure(&self) -> bool {
        self.what == "fail"
    }

    /// True if both are about the same file.
    pub(super) fn is_of_the_file_of(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

fn is_log(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "log")
}

fn identify(path: &Path) -> (FileId, u64) {
    let file = fs::metadata(path).unwrap();
    ((file.dev(), file.ino()), file.len())
}

/// Every file of a directory and those in it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    // The same seed is to meet the files in the same order.
    found.sort();
    found
}
