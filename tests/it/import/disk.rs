//! A disk that is full.

use std::process::Command;

use super::contents::{Contents, identified};
use super::made::Made;
use super::{Csv, Data, Ended, Import};
use crate::support::no_forks;

/// The store that is there before.
const OLD: Made = Made {
    products: 50,
    reviews: 200,
    body_bytes: 20,
    grouped: false,
};
/// The shop that does not fit.
const NEW: Made = Made {
    products: 2000,
    reviews: 40_000,
    body_bytes: 500,
    grouped: false,
};

/// A small file system in memory, mounted on the directory above a data directory.
struct Tmpfs(Data);

impl Tmpfs {
    /// `None` where this user may not mount.
    #[expect(
        clippy::print_stderr,
        reason = "a test that was not run must not pass for one that was"
    )]
    fn mount() -> Option<Self> {
        let data = Data::new();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]);
        if !run(command.arg(data.0.path())) {
            eprintln!("skipped: only root may mount a small file system to fill");
            return None;
        }
        Some(Self(data))
    }

    fn resize(&self, size_kib: u64) {
        assert!(self.try_resize(size_kib));
    }

    /// False where more is in it.
    fn try_resize(&self, size_kib: u64) -> bool {
        let options = format!("remount,size={size_kib}k");
        let mut command = Command::new("mount");
        run(command.args(["-o", &options]).arg(self.0.0.path()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.0.0.path()));
    }
}

/// True if a command ran with success.
fn run(command: &mut Command) -> bool {
    let _no_forks = no_forks();
    let output = command.output();
    output.is_ok_and(|output| output.status.success())
}

/// The import must fail for want of space, and leave the old store and nothing else.
fn assert_full(ended: Ended, data: &Data, before: &(u128, Contents), size_kib: u64) {
    let sentence = ended.refusal();
    let says = |words| sentence.contains(words);
    assert!(
        says("No space left on device") || says("the disk is full"),
        "with {size_kib} KiB: {sentence}"
    );
    data.assert_swept();
    // Opening a store takes space, too.
    let after = identified(&data.copy().path(), NEW.products_end());
    assert!(after == *before, "with {size_kib} KiB");
}

#[test]
fn a_full_disk_is_said_in_one_sentence_and_the_old_store_stays() {
    let Some(disk) = Tmpfs::mount() else {
        return;
    };
    let (old, new) = (Csv::empty(), Csv::empty());
    OLD.write(&old);
    NEW.write(&new);
    let data = &disk.0;
    Import::new(&old, data).report();
    let before = identified(&data.copy().path(), NEW.products_end());
    for size_kib in [2, 8, 12, 16, 20].map(|mib| mib << 10) {
        disk.resize(size_kib);
        for memory in ["16MiB", "256MiB"] {
            let import = Import::new(&new, data).with(&["--memory", memory, "--replace"]);
            assert_full(import.run(), data, &before, size_kib);
        }
    }
    disk.resize(400 << 10);
    Import::new(&new, data).with(&["--replace"]).report();
    data.assert_swept();
}

#[test]
fn a_full_disk_at_any_step_leaves_the_old_store() {
    const PAGE_KIB: u64 = 4;
    let Some(disk) = Tmpfs::mount() else {
        return;
    };
    let (csv, data) = (Csv::fixture("v2"), &disk.0);
    Import::new(&csv, data).report();
    let before = identified(&data.copy().path(), NEW.products_end());
    let mut size_kib = 2 * PAGE_KIB;
    let mut refused = 0;
    loop {
        size_kib += PAGE_KIB;
        if !disk.try_resize(size_kib) {
            // The old store alone is larger.
            continue;
        }
        let ended = Import::new(&csv, data).with(&["--replace"]).run();
        if ended.code == Some(0) {
            break;
        }
        refused += 1;
        assert_full(ended, data, &before, size_kib);
    }
    assert!(refused > 10, "{refused}");
    let after = identified(&data.copy().path(), NEW.products_end());
    assert!(after.0 != before.0 && after.1 == before.1);
}
