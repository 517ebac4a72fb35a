//! The version of this program. A free leaf.

/// The program's version.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from; `unknown` if the sources did not state it.
pub const COMMIT: &str = env!("BUILT_COMMIT");
/// The version of RocksDB that it was built with.
pub const ROCKSDB: &str = env!("BUILT_ROCKSDB");
/// All of these, as `--version` prints them.
pub const WHOLE: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("BUILT_COMMIT"),
    ", RocksDB ",
    env!("BUILT_ROCKSDB"),
    ")"
);
