//! The inputs of the fuzz targets, made by hand or found by them: the tests hold each.
//!
//! Must not know what must hold of them.

use std::fs;
use std::panic;
use std::path::Path;

/// Holds every input of a corpus, and names those that do not.
pub(crate) fn replay(corpus: &str, hold: fn(&[u8])) {
    // The crates that include this file stand at different depths.
    let mut dirs = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let dir = dirs.find_map(|dir| Some(dir.join("fuzz/corpus")).filter(|dir| dir.is_dir()));
    let dir = dir.expect("the corpora stand at the root");
    let mut broken = Vec::new();
    let mut replayed = 0;
    for entry in fs::read_dir(dir.join(corpus)).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        if panic::catch_unwind(|| hold(&input)).is_err() {
            broken.push(path);
        } else {
            replayed += 1;
        }
    }
    assert!(broken.is_empty(), "what must hold does not for {broken:?}");
    assert!(replayed >= 20, "the corpus {corpus} is not there");
}
