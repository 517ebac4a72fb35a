//! Where and with what it was measured: the machine, the versions, the commit.
//!
//! Owns the places where these are looked up. What cannot be found is left out or said to be unknown.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::peers::express;
use super::process::{find, find_postgresql, output, version_of};
use super::results::Machine;
use super::setting::Setting;
use crate::text::cannot;

/// The lock file, which says which RocksDB was compiled.
const LOCK: &str = include_str!("../../../Cargo.lock");
const UNKNOWN: &str = "unknown";
/// About the bytes that one review takes in a log.
const SYNC_BYTES: usize = 600;
const SYNC_TIME: Duration = Duration::from_secs(1);

/// Describes this machine, and measures how fast the disk of `work` makes small writes durable.
pub(crate) fn look(work: &Path) -> Result<Machine> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(
            line.trim_start_matches([' ', '\t', ':', '='])
                .trim_matches(['"', ' '])
                .to_owned(),
        )
    };
    let unknown = || UNKNOWN.to_owned();
    let memory_kib = after(&read("/proc/meminfo"), "MemTotal:")
        .and_then(|text| text.strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(Machine {
        processor: after(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
        processors: thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory_kib.unwrap_or(0) * 1024,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        system: after(&read("/etc/os-release"), "PRETTY_NAME").unwrap_or_else(unknown),
        file_system: say(Command::new("findmnt")
            .args(["-no", "FSTYPE", "-T"])
            .arg(work))
        .unwrap_or_else(unknown),
        syncs_per_second: syncs_per_second(work)?,
    })
}

/// The versions of everything that took part, as far as it is here.
pub(crate) fn versions(setting: &Setting) -> BTreeMap<String, String> {
    let found = |name: &str| find(name, "").ok();
    let of = |name: &str, flag| version_of(&found(name)?, flag);
    let postgres = || version_of(&find_postgresql().ok()?.join("postgres"), "--version");
    let all = [
        ("reviewsd", version_of(&setting.reviewsd, "--version")),
        ("RocksDB", rocksdb_in(LOCK)),
        ("Node", of("node", "--version")),
        ("Express", express::package_version(setting, "express")),
        ("pg", express::package_version(setting, "pg")),
        ("PostgreSQL", postgres()),
        ("nginx", of("nginx", "-v")),
    ];
    let known = all.into_iter();
    known
        .filter_map(|(name, version)| Some((name.to_owned(), version?)))
        .collect()
}

/// The commit that was checked out where this was compiled, and whether anything was changed since.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| {
        say(Command::new("git")
            .args(["-C", env!("CARGO_MANIFEST_DIR")])
            .args(args))
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return UNKNOWN.to_owned();
    };
    // What a run like this one writes is no change.
    let ours = [":!RESULTS.md", ":!results"];
    let mut status = vec!["status", "--porcelain", "--", ":/"];
    status.extend(ours);
    match git(&status) {
        Some(changed) if changed.is_empty() => commit,
        _ => format!("{commit}, and changes that are not committed"),
    }
}

/// The time, as reports have it.
pub(crate) fn now() -> String {
    say(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))
        .unwrap_or_else(|| UNKNOWN.to_owned())
}

/// The bytes of all files of a directory.
pub(crate) fn size_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum()
}

fn say(command: &mut Command) -> Option<String> {
    Some(output("a command", command).ok()?.trim().to_owned())
}

/// `librocksdb-sys` has the version of the library behind a plus sign.
fn rocksdb_in(lock: &str) -> Option<String> {
    let mut lines = lock.lines();
    lines.find(|line| *line == "name = \"librocksdb-sys\"")?;
    let version = lines
        .next()?
        .strip_prefix("version = \"")?
        .strip_suffix('"')?;
    Some(version.split_once('+')?.1.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn syncs_per_second(work: &Path) -> Result<f64> {
    let path = work.join("syncs");
    let mut file = File::create(&path).with_context(cannot("create", &path))?;
    let since = Instant::now();
    let mut times = 0_u64;
    while since.elapsed() < SYNC_TIME {
        let written = file.write_all(&[b'x'; SYNC_BYTES]);
        written
            .and_then(|()| file.sync_data())
            .with_context(cannot("write", &path))?;
        times += 1;
    }
    let seconds = since.elapsed().as_secs_f64();
    fs::remove_file(&path).with_context(cannot("remove", &path))?;
    Ok(times as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_tells_which_rocksdb_was_compiled() {
        let lock = "[[package]]\nname = \"librocksdb-sys\"\nversion = \"0.19.0+11.8.1\"\n";
        assert_eq!(rocksdb_in(lock).as_deref(), Some("11.8.1"));
        assert!(rocksdb_in(LOCK).is_some());
        assert_eq!(rocksdb_in(""), None);
    }

    #[test]
    fn a_disk_makes_writes_durable() {
        let dir = tempfile::tempdir().unwrap();
        assert!(look(dir.path()).unwrap().syncs_per_second > 1.0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
