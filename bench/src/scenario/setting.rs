//! What all scenarios of a run share: sizes, directories, processors, and the word to stop.
//!
//! Owns no behaviour beyond finding things.

use std::env;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cage::Room;
use crate::text::cannot;

/// The memory of the micro instance.
const MICRO_BYTES: u64 = 1 << 30;
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Everything that is decided once.
pub(crate) struct Setting {
    pub(crate) products: u64,
    /// The time for which one figure is measured.
    pub(crate) time: Duration,
    /// True if everything is made anew, however much is there from before.
    pub(crate) fresh: bool,
    /// Stays between runs: what takes long to make.
    pub(crate) work: PathBuf,
    /// Goes with this run: logs, configurations, caches, sockets.
    pub(crate) scratch: Scratch,
    /// The peers' sources.
    pub(crate) peers: PathBuf,
    pub(crate) reviewsd: PathBuf,
    /// This program.
    pub(crate) bench: PathBuf,
    pub(crate) server_cpu: usize,
    pub(crate) load_cpus: Vec<usize>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// A directory of this run alone, which goes with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// In the system's place for such, because a socket's path has to be short.
    pub(crate) fn create() -> Result<Self> {
        let mut number = 0;
        loop {
            let name = format!("reviewsd-bench-{}-{number}", process::id());
            let path = env::temp_dir().join(name);
            match fs::create_dir(&path) {
                // Of a run that was killed, or of somebody else: not ours to use.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error).with_context(cannot("create", &path)),
                Ok(()) => {
                    // Servers run as users of their own, and what is here is no secret.
                    fs::set_permissions(&path, Permissions::from_mode(0o755))
                        .with_context(cannot("open to all", &path))?;
                    return Ok(Self(path));
                }
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Setting {
    /// The free-tier machine: one processor and 1 GiB.
    pub(crate) fn micro(&self) -> Room {
        Room {
            cpus: vec![self.server_cpu],
            memory_max: Some(MICRO_BYTES),
        }
    }

    /// All there is.
    pub(crate) fn whole_machine(&self) -> Room {
        let mut cpus = self.load_cpus.clone();
        cpus.push(self.server_cpu);
        cpus.sort_unstable();
        cpus.dedup();
        Room {
            cpus,
            memory_max: None,
        }
    }

    /// The directory of what was made for a shop of this size.
    pub(crate) fn shop(&self) -> PathBuf {
        self.work.join(format!("products-{}", self.products))
    }

    pub(crate) fn csv(&self) -> PathBuf {
        self.shop().join("csv")
    }

    pub(crate) fn stopped(&self) -> Result<()> {
        let stopped = self.stop.load(Ordering::Relaxed);
        ensure!(!stopped, "interrupted; what was started has been ended");
        Ok(())
    }

    /// Throws out what the system keeps of files; false where only root may. It is done before every
    /// start, so that what a server reads is charged to it, and not to whoever read it before.
    pub(crate) fn drop_page_cache() -> bool {
        let synced = Command::new("sync").status();
        synced.is_ok_and(|status| status.success()) && fs::write(DROP_CACHES, "3").is_ok()
    }
}

/// The processors this program may use, apart: the first for the server, the rest for the load. With
/// only one both share it.
pub(crate) fn share_processors(allowed: &[usize]) -> (usize, Vec<usize>) {
    match allowed {
        [] => (0, vec![0]),
        [only] => (*only, vec![*only]),
        [first, rest @ ..] => (*first, rest.to_vec()),
    }
}

/// The processors this program may use.
pub(crate) fn allowed_processors() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    processors_in(list.unwrap_or_default())
}

/// Reads a list such as `0,2-3`.
fn processors_in(ranges: &str) -> Vec<usize> {
    let parts = ranges.trim().split(',');
    parts
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

/// Removes a directory of ours, and that there is none is fine.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(cannot("remove", path))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_has_ranges() {
        assert_eq!(processors_in("0,2-4\n"), [0, 2, 3, 4]);
        assert_eq!(processors_in("7"), [7]);
        assert!(processors_in("").is_empty());
    }

    #[test]
    fn server_and_load_are_on_different_processors_if_possible() {
        assert_eq!(share_processors(&[0, 1]), (0, vec![1]));
        assert_eq!(share_processors(&[3, 5, 6]), (3, vec![5, 6]));
        assert_eq!(share_processors(&[2]), (2, vec![2]));
    }
}
