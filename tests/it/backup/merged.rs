//! Small segments become larger ones, and no commit is lost by that.

use std::fs;
use std::mem;
use std::path::PathBuf;

use super::retention::age;
use super::{Yard, contents, end, is_shipped, position};
use crate::support::copy_tree;

/// Enough small segments to be merged.
const SEGMENTS: usize = 18;

#[test]
fn restore_from_merged_segments_equals_one_from_small() {
    let mut yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    let mut moments = vec![];
    for _ in 0..SEGMENTS {
        server.fill(2);
        is_shipped(&server);
        moments.push(position(&server)[1].to_string());
    }
    end(follower);
    let first = yard.ids().pop().unwrap();
    let small = yard.objects("log").len();
    assert!(small >= SEGMENTS);
    // Young segments are left as they are.
    assert_eq!(merged_lines(&yard.backup(&server, &[])), "");
    let (merged, before) = (yard.to.clone(), yard.path("before"));
    let before = before.to_str().unwrap().to_owned();
    copy_tree(merged.as_ref(), before.as_ref());
    age(&yard);
    let said = merged_lines(&yard.backup(&server, &[]));
    assert_eq!(said, format!("merged {small} segments of the log into 1"));
    assert_eq!(yard.objects("log").len(), small + 1);
    restores_beside_a_damaged_one(&mut yard, &first, &before);
    age(&yard);
    let said = merged_lines(&yard.backup(&server, &[]));
    let expected = format!("removed {small} segments of the log that larger ones hold");
    assert_eq!(said, expected);
    let left = yard.objects("log");
    assert_eq!(left.len(), 1);
    // Every version of the program that reads small ones reads it.
    let object = fs::read(&left[0]).unwrap();
    assert!(object.starts_with(b"reviewsd-segment 4\n"));
    server.stop();
    yard.said(&["backups", "--in", &merged, "--check"]);
    for moment in [&moments[0], &moments[7], &moments[SEGMENTS - 1]] {
        let of = ["--backup", &first, "--at", moment];
        let is = contents(&yard.restore(&format!("merged {moment}"), &of));
        yard.to.clone_from(&before);
        let was = contents(&yard.restore(&format!("small {moment}"), &of));
        yard.to.clone_from(&merged);
        assert_eq!(is, was, "at {moment}");
    }
    yard.assert_restores("all");
}

/// The lines about merging.
fn merged_lines(said: &str) -> String {
    let lines = said.lines().filter(|line| line.contains("of the log"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A merged segment that is damaged takes nothing away while its parts are there.
fn restores_beside_a_damaged_one(yard: &mut Yard, first: &str, before: &str) {
    let segments = yard.objects("log").into_iter();
    let bytes = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let merged = segments.max_by_key(bytes).unwrap();
    let whole = fs::read(&merged).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&merged, damaged).unwrap();
    let is = contents(&yard.restore("beside a damaged one", &["--backup", first]));
    fs::write(&merged, whole).unwrap();
    let to = mem::replace(&mut yard.to, before.to_owned());
    assert_eq!(
        is,
        contents(&yard.restore("from parts alone", &["--backup", first]))
    );
    yard.to = to;
}
