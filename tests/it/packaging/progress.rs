//! The progress of the build, as `packaging/progress.sh` reports it, of a build that is made up.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::no_forks;

/// The beginning of a build that compiles two files of RocksDB; it goes on when a line comes.
const BEGUN: &str =
    "out=release/build/librocksdb-sys-1/out; mkdir -p $out; touch $out/1.o $out/2.o; read -r _";

/// Starts a build in a directory, with a report every tenth of a second.
fn build(target: &Path, commands: &str) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/progress.sh");
    let mut command = Command::new(script);
    command.current_dir(target).env("PROGRESS_SECONDS", "0.1");
    command.arg(target).args(["bash", "-c", commands]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let _no_forks = no_forks();
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn build_reports_how_many_files_are_compiled() {
    let target = tempfile::tempdir().unwrap();
    let ended = "touch $out/librocksdb.a; read -r _; exit 7";
    let mut building = build(target.path(), &format!("{BEGUN}; {ended}"));
    let mut lines = BufReader::new(building.stderr.take().unwrap()).lines();
    let mut go_on = building.stdin.take().unwrap();
    let mut find = |wanted: &str| {
        loop {
            let line = lines.next().unwrap().unwrap();
            if line.starts_with(wanted) {
                return line;
            }
            assert!(line.starts_with("Compiling RocksDB, once: "), "{line}");
        }
    };
    find("Compiling RocksDB, once: 2 of ");
    go_on.write_all(b"\n").unwrap();
    let last = find("RocksDB is");
    assert_eq!(last, "RocksDB is compiled, in a minute.");
    go_on.write_all(b"\n").unwrap();
    assert!(lines.next().is_none());
    assert_eq!(building.wait().unwrap().code(), Some(7));
}

#[test]
fn build_that_compiles_no_rocksdb_reports_nothing() {
    let target = tempfile::tempdir().unwrap();
    let mut before = build(target.path(), BEGUN);
    drop(before.stdin.take());
    before.wait().unwrap();
    // The files are older than this build.
    let mut building = build(target.path(), "sync; exit 0");
    let mut said = String::new();
    let mut stderr = building.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(
        (building.wait().unwrap().code(), said.as_str()),
        (Some(0), "")
    );
}
