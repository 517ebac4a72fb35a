//! Retention of backups: no file is removed that a retained backup needs.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Yard, contents, end, is_shipped, position};

/// Makes everything there is look as if it had been written three days ago.
pub(super) fn age(yard: &Yard) {
    let then = SystemTime::now() - Duration::from_hours(72);
    for file in yard.objects("") {
        let file = File::options().write(true).open(file).unwrap();
        file.set_modified(then).unwrap();
    }
}

/// Every backup that there is can be restored.
fn all_are_whole(yard: &Yard, round: &str) {
    for id in yard.ids() {
        let restored = yard.restore(&format!("{id} {round}"), &["--backup", &id]);
        assert!(contents(&restored).contains("reviews"));
    }
}

#[test]
fn the_latest_stay_and_what_only_others_need_goes() {
    let yard = Yard::new();
    let server = yard.serve();
    for _ in 0..4 {
        server.fill(2);
        yard.backup(&server, &[]);
    }
    let ids = yard.ids();
    assert_eq!(ids.len(), 4);
    let before = yard.objects("files");
    yard.backup(&server, &["--keep", "3"]);
    let left = yard.ids();
    assert_eq!(&left[1..], &ids[..2]);
    // A file that may be a part of a backup in progress is no leftover yet.
    assert!(before.iter().all(|file| file.exists()));
    all_are_whole(&yard, "young");
    age(&yard);
    let said = yard.backup(&server, &["--keep", "1"]);
    assert!(said.contains("removed 3 backups"), "{said}");
    assert!(before.iter().any(|file| !file.exists()));
    all_are_whole(&yard, "old");
    server.stop();
    let data = contents(yard.shop.path());
    assert_eq!(contents(&yard.restore("latest", &[])), data);
    // Every file left is one that the one backup needs.
    let objects = yard.objects("files");
    let names = fs::read_to_string(&yard.objects("snapshots")[0]).unwrap();
    for object in objects {
        let name = object.file_name().unwrap().to_str().unwrap();
        let hash = name.split('-').next().unwrap();
        assert!(names.contains(hash), "{name}");
    }
}

#[test]
fn what_is_not_too_old_stays_whatever_its_number() {
    let yard = Yard::new();
    let server = yard.serve();
    for _ in 0..3 {
        yard.backup(&server, &["--keep", "1", "--keep-for", "1h"]);
    }
    assert_eq!(yard.ids().len(), 3);
    yard.backup(&server, &["--keep-for", "1ms"]);
    assert_eq!(yard.ids().len(), 1, "the latest stays however old");
    yard.backup(&server, &[]);
    assert_eq!(yard.ids().len(), 2, "nothing says that any should go");
    server.stop();
}

#[test]
fn segments_stay_as_long_as_a_backup_before_them_does() {
    let yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    server.fill(2);
    is_shipped(&server);
    let then = position(&server);
    yard.backup(&server, &[]);
    server.fill(2);
    is_shipped(&server);
    let before = yard.objects("log");
    yard.backup(&server, &["--keep", "2"]);
    let restored = contents(&yard.restore("end", &[]));
    let after = yard.objects("log");
    assert!(
        after.len() < before.len() && !after.is_empty(),
        "{before:?} {after:?}"
    );
    server.fill(2);
    is_shipped(&server);
    end(follower);
    server.stop();
    assert_ne!(restored, contents(yard.shop.path()));
    yard.assert_restores("later");
    let at = yard.restore("then", &["--at", &then[1].to_string()]);
    assert!(contents(&at).contains(then[2].as_str().unwrap()));
}

#[test]
fn pending_backups_stop_pruning_and_dead_ones_are_cleaned_up() {
    let yard = Yard::new();
    let server = yard.serve();
    yard.backup(&server, &[]);
    server.fill(3);
    let to = PathBuf::from(&yard.to);
    // A backup that died in the middle: it is pending, and no manifest names its files.
    let leftover = format!("files/{:032x}-5-0000000b", 0xbad);
    fs::write(to.join(&leftover), "12345").unwrap();
    fs::write(to.join("files/half#1"), "12345").unwrap();
    age(&yard);
    fs::write(to.join("pending/20261121T120059.123Z-0000000b"), "").unwrap();
    let said = yard.backup(&server, &["--keep", "1"]);
    assert!(
        said.contains("no files were removed: pending/2026"),
        "{said}"
    );
    assert!(to.join(&leftover).exists());
    age(&yard);
    // One that was killed two hours ago, and renewed its note until then.
    let killed = to.join("pending/20261121T130059.123Z-0000000c");
    fs::write(&killed, "A backup is being taken.").unwrap();
    let then = SystemTime::now() - Duration::from_hours(2);
    let file = File::options().write(true).open(killed).unwrap();
    file.set_modified(then).unwrap();
    yard.backup(&server, &["--keep", "1"]);
    assert!(!to.join(&leftover).exists() && !to.join("files/half#1").exists());
    assert_eq!(yard.objects("pending"), Vec::<PathBuf>::new());
    all_are_whole(&yard, "after");
    server.stop();
}

#[test]
fn check_names_every_object_that_is_missing_or_damaged() {
    let yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    for _ in 0..2 {
        server.fill(2);
        is_shipped(&server);
    }
    end(follower);
    yard.backup(&server, &[]);
    server.stop();
    let check = ["backups", "--in", &yard.to, "--check"];
    let said = yard.said(&check);
    assert!(said.contains("2 backups"), "{said}");
    assert!(said.contains("are complete and intact"), "{said}");

    let (files, segments) = (yard.objects("files"), yard.objects("log"));
    let snapshot = yard.objects("snapshots").pop().unwrap();
    let flip = |path: &PathBuf| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let cut = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    };
    // The files of the backup that can still be read.
    let first = fs::read_to_string(&yard.objects("snapshots")[0]).unwrap();
    let is_needed = |path: &&PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        first.contains(name.split('-').next().unwrap()) && path.metadata().unwrap().len() > 1
    };
    let large = files.iter().filter(is_needed);
    let [damaged, short, gone] = &large.take(3).collect::<Vec<_>>()[..] else {
        panic!("{files:?}");
    };
    flip(damaged);
    cut(short);
    fs::remove_file(gone).unwrap();
    flip(&segments[0]);
    cut(&segments[1]);
    flip(&snapshot);
    let output = yard.run(&check);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let about = |path: &PathBuf, what: &str| {
        let line = said.lines().find(|line| line.contains(&name(path)));
        assert!(
            line.is_some_and(|line| line.contains(what)),
            "{path:?}: {said}"
        );
    };
    for path in [*damaged, *short, &segments[0], &segments[1], &snapshot] {
        about(path, "is damaged");
    }
    about(gone, "is missing");
    assert!(said.contains("6 objects cannot be used"), "{said}");
    assert_eq!(said.lines().count(), 7, "{said}");
}

#[test]
fn while_a_backup_cannot_be_read_no_file_goes() {
    let yard = Yard::new();
    let server = yard.serve();
    yard.backup(&server, &[]);
    let first = yard.objects("snapshots").pop().unwrap();
    let text = fs::read(&first).unwrap();
    fs::write(&first, &text[1..]).unwrap();
    age(&yard);
    let files = yard.objects("files");
    server.fill(1);
    yard.backup(&server, &[]);
    let said = yard.backup(&server, &["--keep", "1"]);
    assert!(
        said.contains("no files were removed") && said.contains("cannot be read"),
        "{said}"
    );
    assert!(files.iter().all(|file| file.exists()));
    fs::write(&first, &text).unwrap();
    all_are_whole(&yard, "after");
    server.stop();
}
