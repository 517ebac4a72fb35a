//! Tells the program which commit and which RocksDB it is built from.
//!
//! Invariant: it runs again only when one of these may have changed, and never fails: a tarball has
//! no commit, unless whoever packs it names one in `REVIEWSD_COMMIT`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

const UNKNOWN: &str = "unknown";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-env-changed=REVIEWSD_COMMIT");
    let commit = env::var("REVIEWSD_COMMIT").ok().or_else(commit_of_git);
    let rocksdb = rocksdb_of_lock();
    println!(
        "cargo:rustc-env=BUILT_COMMIT={}",
        commit.as_deref().unwrap_or(UNKNOWN)
    );
    println!(
        "cargo:rustc-env=BUILT_ROCKSDB={}",
        rocksdb.as_deref().unwrap_or(UNKNOWN)
    );
}

/// The commit that is checked out here; none where the sources lie in somebody else's repository.
fn commit_of_git() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = fs::canonicalize(env::var_os("CARGO_MANIFEST_DIR")?).ok()?;
    if fs::canonicalize(top).ok()? != here {
        return None;
    }
    // Each commit and each checkout adds a line to the log of HEAD.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        // A file that is not there would count as changed at every build.
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// RocksDB's own version, which the version of the crate that carries its sources ends with.
fn rocksdb_of_lock() -> Option<String> {
    let lock = fs::read_to_string("Cargo.lock").ok()?;
    let (_, after) = lock.split_once("name = \"librocksdb-sys\"\nversion = \"")?;
    let (version, _) = after.split_once('"')?;
    Some(version.split_once('+')?.1.to_owned())
}
