//! `reviewsd import`, the program itself: CSV files in; a store, a report and an exit code out.

mod contents;
mod damage;
mod dirt;
mod disk;
mod export;
mod files;
mod forms;
mod interrupt;
mod made;
mod merge;
mod refusals;
mod replace;
mod report;
mod same;
mod shops;
mod shops_export;
mod vintages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{copy_tree, no_forks};
use contents::{Contents, contents};

/// Ids of products in the fixtures are below this.
const FIXTURE_PRODUCTS: u64 = 20;

/// A directory of CSV files. None of the fixtures' files ends with a line end.
struct Csv(TempDir);

impl Csv {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A copy of a fixture, `v1` or `v2`.
    fn fixture(vintage: &str) -> Self {
        let csv = Self::empty();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/csv");
        for file in fs::read_dir(fixtures.join(vintage)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), csv.path(file.file_name())).unwrap();
        }
        csv
    }

    fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(file)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap()
    }

    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(file), bytes).unwrap();
    }

    /// Adds a row; gives its line.
    fn add(&self, file: &str, row: impl AsRef<[u8]>) -> usize {
        let mut bytes = self.read(file);
        bytes.push(b'\n');
        let line = bytes.split(|byte| *byte == b'\n').count();
        bytes.extend_from_slice(row.as_ref());
        self.write(file, bytes);
        line
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    fn files(&self) -> Vec<String> {
        names(self.0.path())
    }
}

/// A data directory, which is not there at first.
struct Data(TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn names(&self) -> Vec<String> {
        names(&self.path())
    }

    /// A copy with everything that is in it: opening a store changes the directory.
    fn copy(&self) -> Self {
        let copy = Self::new();
        copy_tree(&self.path(), &copy.path());
        copy
    }

    /// The lines of the rejects file after its header; none when there is no file.
    fn rejects(&self) -> Vec<u8> {
        let Ok(bytes) = fs::read(self.path().join("rejects.csv")) else {
            return Vec::new();
        };
        let rows = bytes.strip_prefix(b"file,line,field,reason,row\n");
        rows.unwrap().to_vec()
    }

    fn contents(&self) -> Contents {
        contents(&self.path(), FIXTURE_PRODUCTS)
    }

    /// Asserts that there is only a store, the lock and perhaps rejected rows.
    fn assert_swept(&self) {
        let mut names = self.names();
        names.retain(|name| name != "rejects.csv");
        let [lock, link, store] = names.as_slice() else {
            panic!("{names:?}");
        };
        assert_eq!([lock, link], ["LOCK", "store"]);
        let target = fs::read_link(self.path().join("store")).unwrap();
        assert_eq!(Path::new(store), target);
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// `reviewsd import`, about to be run.
struct Import(Command);

impl Import {
    fn new(csv: &Csv, data: &Data) -> Self {
        Self::of(csv.0.path(), &data.path())
    }

    fn of(csv: &Path, data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
        command.arg("import").arg("--csv").arg(csv);
        command.arg("--data").arg(data).arg("--quiet");
        // The fixtures are so small that a row or two is a large share.
        command.args(["--max-rejects", "100%"]);
        Self(command)
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    fn start(mut self) -> Child {
        let _no_forks = no_forks();
        self.0.stdin(Stdio::null());
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.0.spawn().unwrap()
    }

    fn run(self) -> Ended {
        Ended::of(self.start())
    }

    /// Runs it, and it must succeed.
    fn report(self) -> Report {
        let ended = self.with(&["--report", "json"]).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let report = Report(serde_json::from_str(&ended.stdout).unwrap());
        report.assert_adds_up();
        report
    }

    /// Runs it, and it must fail; gives the one sentence that says why.
    fn refusal(self) -> String {
        self.run().refusal()
    }

    /// The same, because the command line is wrong.
    fn misuse(self) -> String {
        self.run().sentence(2)
    }
}

/// The result of a run.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn refusal(self) -> String {
        self.sentence(1)
    }

    fn sentence(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""));
        let sentence = self.stderr.strip_suffix('\n').unwrap();
        assert!(!sentence.contains('\n'), "{sentence}");
        let sentence = sentence.strip_prefix("reviewsd: ").unwrap();
        assert!(!sentence.contains("panicked"), "{sentence}");
        sentence.to_owned()
    }
}

/// Numbers of rows, by reason.
type Reasons = BTreeMap<String, u64>;

/// The closing report, as programs read it.
struct Report(Value);

impl Report {
    fn store_id(&self) -> u128 {
        u128::from_str_radix(self.0["store_id"].as_str().unwrap(), 16).unwrap()
    }

    fn files(&self) -> &[Value] {
        self.0["files"].as_array().unwrap()
    }

    fn file(&self, name: &str) -> &Value {
        let mut files = self.files().iter();
        files.find(|file| file["file"] == name).unwrap()
    }

    /// The rows of a file: read and stored.
    fn rows(&self, file: &str) -> (u64, u64) {
        let file = self.file(file);
        (number(&file["rows_read"]), number(&file["rows_stored"]))
    }

    fn repaired(&self, file: &str) -> Reasons {
        reasons(&self.file(file)["rows_repaired"])
    }

    fn skipped(&self, file: &str) -> Reasons {
        reasons(&self.file(file)["rows_skipped"])
    }

    fn rejected(&self, file: &str) -> Reasons {
        reasons(&self.file(file)["rows_rejected"])
    }

    fn assert_adds_up(&self) {
        let sum = |reasons: &Value| -> u64 { self::reasons(reasons).values().sum() };
        let names = self.files().iter().map(|file| file["file"].as_str());
        let names: BTreeSet<_> = names.collect();
        assert_eq!(names.len(), 10);
        for file in self.files() {
            let (read, stored) = (number(&file["rows_read"]), number(&file["rows_stored"]));
            let (skipped, rejected) = (sum(&file["rows_skipped"]), sum(&file["rows_rejected"]));
            assert_eq!(read, stored + skipped + rejected, "{file}");
            assert!(sum(&file["rows_repaired"]) <= stored, "{file}");
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn reasons(value: &Value) -> Reasons {
    let reasons = value.as_object().unwrap().iter();
    reasons
        .map(|(reason, rows)| (reason.clone(), number(rows)))
        .collect()
}

fn reasons_of(expected: &[(&str, u64)]) -> Reasons {
    let expected = expected.iter();
    expected
        .map(|(reason, rows)| ((*reason).to_owned(), *rows))
        .collect()
}

/// The contents of the fixtures without dirt: the store of `v2`.
fn fixture_contents() -> Contents {
    let data = Data::new();
    Import::new(&Csv::fixture("v2"), &data).report();
    data.contents()
}
