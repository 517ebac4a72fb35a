//! A data directory at the start of a process, whatever happened to it before.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _first = DataDir::lock(dir.path(), "reviewsd serve").unwrap();
    let second = DataDir::lock(dir.path(), "reviewsd import").err().unwrap();
    let sentence = second.to_string();
    assert!(
        sentence.contains("in use by reviewsd serve (process"),
        "{sentence}"
    );
}

#[test]
fn a_published_store_is_current_and_the_one_before_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::lock(dir.path(), "test").unwrap();
    assert_eq!(data.current().unwrap(), None);
    for id in [1, 2] {
        let place = data.place(id);
        fs::create_dir(&place).unwrap();
        data.publish(&place).unwrap().remove().unwrap();
        assert_eq!(data.current().unwrap(), Some(place));
    }
    assert!(!data.place(1).exists());
}

#[test]
fn leftovers_are_swept_and_the_current_store_stays() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::lock(dir.path(), "test").unwrap();
    let (kept, left) = (data.place(1), data.place(2));
    fs::create_dir(&kept).unwrap();
    data.publish(&kept).unwrap().remove().unwrap();
    fs::create_dir(&left).unwrap();
    symlink("store-nowhere", dir.path().join(NEXT_LINK)).unwrap();
    data.sweep().unwrap();
    assert!(kept.exists() && !left.exists());
    assert!(fs::symlink_metadata(dir.path().join(NEXT_LINK)).is_err());
}

#[test]
fn a_store_to_keep_is_moved_aside_though_the_process_dies() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::lock(dir.path(), "test").unwrap();
    for (id, dies) in [(1, false), (3, true)] {
        let (old, new) = (data.place(id), data.place(id + 1));
        fs::create_dir(&old).unwrap();
        fs::create_dir(&new).unwrap();
        fs::write(old.join("row"), "kept").unwrap();
        data.publish(&old).unwrap().remove().unwrap();
        let kept = data.keep_current_as(&format!("{id}")).unwrap().unwrap();
        let before = data.publish(&new).unwrap();
        if dies {
            data.sweep().unwrap();
        } else {
            before.remove().unwrap();
        }
        assert!(!old.exists());
        assert_eq!(fs::read_to_string(kept.join("row")).unwrap(), "kept");
        data.sweep().unwrap();
        assert!(kept.exists());
        assert_eq!(data.foreign().unwrap(), None);
    }
}

#[test]
fn whom_a_store_follows_goes_where_the_store_goes() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::lock(dir.path(), "test").unwrap();
    assert_eq!(data.follows().unwrap(), None);
    let (first, second) = (data.place(1), data.place(2));
    for place in [&first, &second] {
        fs::create_dir(place).unwrap();
    }
    DataDir::mark_follows(&first, "http://primary:1").unwrap();
    assert_eq!(data.follows().unwrap(), None);
    data.publish(&first).unwrap().remove().unwrap();
    assert_eq!(data.follows().unwrap().as_deref(), Some("http://primary:1"));
    data.publish(&second).unwrap().remove().unwrap();
    assert_eq!(data.follows().unwrap(), None);
    data.set_follows(Some("http://primary:2")).unwrap();
    assert_eq!(data.follows().unwrap().as_deref(), Some("http://primary:2"));
    for _ in 0..2 {
        data.set_follows(None).unwrap();
        assert_eq!(data.follows().unwrap(), None);
    }
}

#[test]
fn what_only_looks_like_a_store_is_somebody_else_s() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::lock(dir.path(), "test").unwrap();
    fs::create_dir(dir.path().join("store-frontend")).unwrap();
    data.sweep().unwrap();
    assert_eq!(data.foreign().unwrap().as_deref(), Some("store-frontend"));
}

#[test]
fn a_link_to_a_store_that_is_gone_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::lock(dir.path(), "test").unwrap();
    symlink("store-nowhere", dir.path().join(LINK)).unwrap();
    let sentence = data.current().unwrap_err().to_string();
    assert!(sentence.contains("does not exist"), "{sentence}");
}

#[test]
fn a_file_of_somebody_else_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::lock(dir.path(), "test").unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    assert_eq!(data.foreign().unwrap(), None);
    fs::write(dir.path().join("thesis.odt"), "").unwrap();
    assert_eq!(data.foreign().unwrap().as_deref(), Some("thesis.odt"));
}
