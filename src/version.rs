//! Which program this is. A free leaf.

/// The program's version.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from; `unknown` where the sources did not tell.
pub const COMMIT: &str = env!("BUILT_COMMIT");
/// The version of RocksDB that it was built with.
pub const ROCKSDB: &str = env!("BUILT_ROCKSDB");
/// All of these, as `--version` tells them.
pub const WHOLE: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("BUILT_COMMIT"),
    ", RocksDB ",
    env!("BUILT_ROCKSDB"),
    ")"
);
