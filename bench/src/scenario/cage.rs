//! Where a server runs: on which processors, in how much memory; and what it uses there.
//!
//! Owns the way a command is put in its place, and must not know what the command is. Where a
//! control group cannot be made, the memory is not limited, and everything that is measured says so.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cgroup::Cgroup;
pub(crate) use super::cgroup::Used;
use super::proctree;

/// The resources of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) cpus: Vec<usize>,
    pub(crate) memory_max: Option<u64>,
}

/// A place for the processes of one server.
pub(crate) struct Cage {
    cpus: Vec<usize>,
    cgroup: Option<Cgroup>,
    /// Why there is no group, where there is none.
    pub(crate) unlimited: Option<String>,
}

/// The signal that the kernel sends a process when this program dies without ending it, as `setpriv` has
/// it: TERM for programs that have children of their own to end, INT for a fast shutdown of PostgreSQL.
pub(crate) type OrphanSignal = &'static str;

impl Cage {
    pub(crate) fn new(room: &Room) -> Self {
        // Every server has a group of its own, so that none answers for another's page cache.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (cgroup, unlimited) = match Cgroup::create(number, room.memory_max) {
            Ok(cgroup) => (Some(cgroup), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            cpus: room.cpus.clone(),
            cgroup,
            unlimited,
        }
    }

    /// A command that will run `program` in here, as the user named, and not outlive this program.
    ///
    /// A shell joins the group before anything of the program runs; `taskset`, `chrt` and `setpriv` stand
    /// in for system calls that take `unsafe` code between fork and exec. All are scheduled as batch, as
    /// the unit of reviewsd has it.
    pub(crate) fn command(
        &self,
        program: &OsStr,
        user: Option<&str>,
        signal: OrphanSignal,
    ) -> Command {
        let entrances: Vec<PathBuf> = match &self.cgroup {
            Some(cgroup) => cgroup.entrances().collect(),
            None => Vec::new(),
        };
        let mut command = Command::new("sh");
        let script = "n=$1; shift; while [ $n -gt 0 ]; do echo $$ >\"$1\" || exit; shift; n=$((n-1)); \
                      done; exec \"$@\"";
        command.args(["-c", script, "sh", &entrances.len().to_string()]);
        command.args(entrances);
        let cpus: Vec<String> = self.cpus.iter().map(usize::to_string).collect();
        command.args(["taskset", "--cpu-list", &cpus.join(",")]);
        command.args(["chrt", "--batch", "0"]);
        command.args(["setpriv", "--pdeathsig", signal]);
        if let Some(user) = user {
            command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        }
        command.arg("--").arg(program);
        command
    }

    /// Returns the use of resources in here; `pids` are the processes that were started, for where there is
    /// no group to ask.
    pub(crate) fn used(&self, pids: &[u32]) -> Used {
        let grouped = self.cgroup.as_ref().and_then(|cgroup| cgroup.used().ok());
        grouped.unwrap_or_else(|| proctree::used(pids))
    }
}
