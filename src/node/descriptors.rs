//! File descriptors: the number that the process may have, and their use.
//!
//! Invariant: connections never take descriptors that the store needs for its files.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Error;

/// With fewer the store and a handful of clients get in each other's way.
const FEWEST: u64 = 512;
/// Descriptors for later use that are no connections of the API: files that the store makes, the admin port,
/// and the connections by which a replica passes writes on.
const RESERVED: u64 = 320;

/// The process' limit of descriptors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptors {
    limit: u64,
}

impl Descriptors {
    /// As many as the system lets: the store wants one a file, every connection one, and the usual
    /// soft limit of 1,024 is for programs that use `select`.
    pub(super) fn raise() -> Result<Self, Error> {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        let limit = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => maximum,
            Err(error) => {
                tracing::warn!("cannot raise the limit of open files: {error}");
                current
            }
        };
        // None is no limit.
        let limit = limit.unwrap_or(u64::MAX);
        Self { limit }.at_least(FEWEST)
    }

    /// Returns the number of connections that fit beside the open descriptors, at most `wanted`.
    pub(super) fn for_connections(self, wanted: usize) -> Result<usize, Error> {
        let taken = open().saturating_add(RESERVED);
        let left = self.at_least(taken + 1)?.limit - taken;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if left < wanted {
            tracing::warn!(
                "the limit of open files, {}, allows {left} connections instead of {wanted}; \
                 raise it with `ulimit -n`, or LimitNOFILE= in the unit, or lower net.connections_max",
                self.limit
            );
        }
        Ok(left.min(wanted))
    }

    fn at_least(self, wanted: u64) -> Result<Self, Error> {
        if self.limit < wanted {
            return Err(Error::FewDescriptors {
                limit: self.limit,
                wanted,
            });
        }
        Ok(self)
    }
}

/// Returns the number of open descriptors; 0 if the system does not report it.
fn open() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64)
}
