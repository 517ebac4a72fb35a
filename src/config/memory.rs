//! The memory that the process may count on: the machine's, or less if a cgroup limits it.
//!
//! Invariant: an unreadable limit limits nothing; only a machine without any readable number leaves the memory
//! unknown.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::ByteSize;

const MIB: u64 = 1 << 20;

/// Returns the store's default memory: 65 % of the machine's, in whole MiB. The rest is for
/// sockets and the page cache that the store reads through.
#[must_use]
pub fn share_of_machine() -> Option<ByteSize> {
    machine_memory().map(|bytes| ByteSize(bytes / 20 * 13 / MIB * MIB))
}

/// Returns the memory that the process may count on, if it is known.
#[must_use]
pub fn machine_memory() -> Option<u64> {
    allowed(Path::new("/"))
}

/// The least of the machine's memory and the limits of every cgroup that the process is in.
fn allowed(root: &Path) -> Option<u64> {
    let limits = cgroup_files(root);
    let limits = limits.iter().filter_map(|file| number(file));
    limits.chain(machine(root)).min()
}

fn machine(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The files that may hold a limit: of the process's own cgroups and all above them.
fn cgroup_files(root: &Path) -> Vec<PathBuf> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut files = Vec::new();
    for group in groups.lines() {
        // `0::/path` is version 2, `7:cpu,memory:/path` version 1.
        let mut fields = group.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (mount, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        // Seen from within a namespace a path may begin with `..`, which leads nowhere here.
        let path: PathBuf = Path::new(path)
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect();
        let mount = root.join(mount);
        files.extend(path.ancestors().map(|group| mount.join(group).join(file)));
    }
    files
}

/// The number in a file; `max` is none.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root directory with these files; the machine has 1,000 KiB.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemTotal:        1000 kB\nMemFree: 10 kB\n");
        for (path, text) in files.iter().chain([&meminfo]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn allowed_in(files: &[(&str, &str)]) -> Option<u64> {
        allowed(root(files).path())
    }

    #[test]
    fn without_a_cgroup_it_is_the_machines() {
        assert_eq!(allowed_in(&[]), Some(1_024_000));
        assert_eq!(allowed(Path::new("/nonexistent")), None);
    }

    #[test]
    fn a_cgroup_of_version_2_limits_it() {
        let files = [
            ("proc/self/cgroup", "0::/system.slice/reviewsd.service\n"),
            (
                "sys/fs/cgroup/system.slice/reviewsd.service/memory.max",
                "4096\n",
            ),
            ("sys/fs/cgroup/system.slice/memory.max", "max\n"),
        ];
        assert_eq!(allowed_in(&files), Some(4096));
    }

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        let files = [
            ("proc/self/cgroup", "0::/a/b/c\n"),
            ("sys/fs/cgroup/a/b/c/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.max", "9000\n"),
            ("sys/fs/cgroup/a/memory.max", "8000\n"),
        ];
        assert_eq!(allowed_in(&files), Some(8000));
    }

    #[test]
    fn a_cgroup_of_version_1_limits_it() {
        let unlimited = "9223372036854771712\n";
        let files = [
            (
                "proc/self/cgroup",
                "9:name=systemd:/x\n5:cpu,memory:/docker/abc\n0::/\n",
            ),
            (
                "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
                "5000\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", unlimited),
        ];
        assert_eq!(allowed_in(&files), Some(5000));
    }

    #[test]
    fn within_a_namespace_the_root_of_the_mount_counts() {
        let files = [
            ("proc/self/cgroup", "0::/../../other\n"),
            ("sys/fs/cgroup/memory.max", "7000\n"),
        ];
        assert_eq!(allowed_in(&files), Some(7000));
    }

    #[test]
    fn a_limit_above_the_machine_is_none() {
        let files = [
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "99999999999\n"),
        ];
        assert_eq!(allowed_in(&files), Some(1_024_000));
    }
}
