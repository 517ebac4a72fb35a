//! Control groups, version 1 and 2: a limit of memory, and what the processes within use.
//!
//! Owns the files below `/sys/fs/cgroup` and how they are read. It must not know what runs in a group.
//! Invariant: a group that was made is removed, and what still runs in it is killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const ROOT: &str = "/sys/fs/cgroup";
/// Begins the name of every group of this program; the id of its process follows.
const NAME: &str = "reviewsd-bench-";
/// The time for killed processes to end; the kernel takes milliseconds.
const EMPTY_TIME_MAX: Duration = Duration::from_secs(5);
const EMPTY_PAUSE: Duration = Duration::from_millis(5);

/// The version of the kernel's control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// A hierarchy for each controller.
    One,
    /// One hierarchy for all.
    Two,
}

/// The resources that processes used: in total since the group was made, and now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) cpu_us: u64,
    /// Anonymous and shared memory, once for all processes.
    pub(crate) resident_bytes: u64,
    /// The page cache of files they read.
    pub(crate) page_cache_bytes: u64,
}

/// A group of its own for the processes of one server.
#[derive(Debug)]
pub(crate) struct Cgroup {
    version: Version,
    /// The directories that are the group: one in version 2, one for each controller in version 1.
    memory: PathBuf,
    cpu: PathBuf,
}

impl Used {
    /// Notes the highest use of memory; returns what there is now.
    pub(crate) fn grow(&mut self, now: Self) -> Self {
        self.resident_bytes = self.resident_bytes.max(now.resident_bytes);
        self.page_cache_bytes = self.page_cache_bytes.max(now.page_cache_bytes);
        now
    }
}

impl Cgroup {
    /// Makes a group whose processes may use so much memory, page cache included.
    pub(crate) fn create(number: u64, memory_max: Option<u64>) -> io::Result<Self> {
        let name = format!("{NAME}{}-{number}", process::id());
        let root = Path::new(ROOT);
        let group = if root.join("cgroup.controllers").exists() {
            // The controllers that children of the root may have; there already on most systems.
            fs::write(root.join("cgroup.subtree_control"), "+memory +cpu")?;
            Self {
                version: Version::Two,
                memory: root.join(&name),
                cpu: root.join(&name),
            }
        } else {
            Self {
                version: Version::One,
                memory: root.join("memory").join(&name),
                cpu: root.join("cpuacct").join(&name),
            }
        };
        for dir in group.dirs() {
            fs::create_dir(dir)?;
        }
        if let Some(bytes) = memory_max {
            let file = match group.version {
                Version::One => "memory.limit_in_bytes",
                Version::Two => "memory.max",
            };
            fs::write(group.memory.join(file), bytes.to_string())?;
        }
        Ok(group)
    }

    /// The files that a process writes its id into to join.
    pub(crate) fn entrances(&self) -> impl Iterator<Item = PathBuf> {
        self.dirs().map(|dir| dir.join("cgroup.procs"))
    }

    /// Returns the resources that its processes used.
    pub(crate) fn used(&self) -> io::Result<Used> {
        let memory = fs::read_to_string(self.memory.join("memory.stat"))?;
        let cpu_file = match self.version {
            Version::One => "cpuacct.usage",
            Version::Two => "cpu.stat",
        };
        let cpu = fs::read_to_string(self.cpu.join(cpu_file))?;
        parse(self.version, &cpu, &memory)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a figure is missing"))
    }

    /// Kills what runs in it and waits until it is gone.
    pub(crate) fn kill_all(&self) {
        let since = Instant::now();
        loop {
            let pids = members(&self.memory);
            if pids.is_empty() || since.elapsed() > EMPTY_TIME_MAX {
                return;
            }
            kill(&pids);
            thread::sleep(EMPTY_PAUSE);
        }
    }

    fn dirs(&self) -> impl Iterator<Item = &PathBuf> {
        let second = (self.cpu != self.memory).then_some(&self.cpu);
        [Some(&self.memory), second].into_iter().flatten()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.kill_all();
        for dir in self.dirs() {
            // One that stays is swept by the next run.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Removes groups that a run left behind which was killed, with what still runs in them.
pub(crate) fn sweep() {
    for dir in ["", "memory", "cpuacct"] {
        let Ok(entries) = fs::read_dir(Path::new(ROOT).join(dir)) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(owner);
            if owner.is_some_and(|owner| test_kill_process(owner).is_err()) {
                kill(&members(&entry.path()));
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

/// The process that made the group of this name.
fn owner(name: &str) -> Option<Pid> {
    let (owner, _) = name.strip_prefix(NAME)?.split_once('-')?;
    Pid::from_raw(owner.parse().ok()?)
}

fn members(dir: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let ids = text.lines().filter_map(|line| line.parse().ok());
    ids.filter_map(Pid::from_raw).collect()
}

fn kill(pids: &[Pid]) {
    for pid in pids {
        // It may have ended by itself.
        let _ = kill_process(*pid, Signal::KILL);
    }
}

/// Reads `cpuacct.usage` or `cpu.stat`, and `memory.stat`.
fn parse(version: Version, cpu: &str, memory: &str) -> Option<Used> {
    let of = |text: &str, key: &str| -> Option<u64> {
        let mut values = text.lines().filter_map(|line| line.split_once(' '));
        values.find(|(name, _)| *name == key)?.1.trim().parse().ok()
    };
    Some(match version {
        Version::One => {
            let shared = of(memory, "total_shmem")?;
            Used {
                cpu_us: cpu.trim().parse::<u64>().ok()? / 1000,
                resident_bytes: of(memory, "total_rss")? + shared,
                // Version 1 counts shared memory as cache.
                page_cache_bytes: of(memory, "total_cache")?.saturating_sub(shared),
            }
        }
        Version::Two => {
            let shared = of(memory, "shmem")?;
            Used {
                cpu_us: of(cpu, "usage_usec")?,
                resident_bytes: of(memory, "anon")? + shared,
                page_cache_bytes: of(memory, "file")?.saturating_sub(shared),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_v1_counts_shared_memory_as_resident() {
        let memory = "cache 9\nrss 1\ntotal_cache 5000\ntotal_rss 700\ntotal_shmem 1000\n";
        let used = parse(Version::One, "1234567\n", memory);
        let expected = Used {
            cpu_us: 1234,
            resident_bytes: 1700,
            page_cache_bytes: 4000,
        };
        assert_eq!(used, Some(expected));
    }

    #[test]
    fn version_2_counts_the_same() {
        let memory = "anon 700\nfile 5000\nkernel 12\nshmem 1000\n";
        let cpu = "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n";
        let expected = Used {
            cpu_us: 1234,
            resident_bytes: 1700,
            page_cache_bytes: 4000,
        };
        assert_eq!(parse(Version::Two, cpu, memory), Some(expected));
    }

    #[test]
    fn a_figure_that_is_missing_is_no_zero() {
        assert_eq!(parse(Version::Two, "usage_usec 1\n", "anon 700\n"), None);
        assert_eq!(parse(Version::One, "", "total_rss 1\n"), None);
    }

    #[test]
    fn a_group_names_its_owner() {
        assert_eq!(owner("reviewsd-bench-42-7"), Pid::from_raw(42));
        assert_eq!(owner("reviewsd-bench-x-7"), None);
        assert_eq!(owner("system.slice"), None);
    }
}
