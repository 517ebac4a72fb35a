//! Snapshots, taken and restored.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Yard, contents, eventually, kill, position};
use crate::replication::node::{self, Node};
use crate::support::write_secret;

#[test]
fn what_is_restored_is_what_was_backed_up_under_load() {
    let yard = Yard::new();
    let server = yard.serve();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers = [0, 1].map(|_| {
            scope.spawn(|| {
                let agent = node::agent();
                let mut written = 0;
                while !over.load(Ordering::Relaxed) {
                    let (status, _) = node::post(&agent, server.api(), "under load").unwrap();
                    assert_eq!(status, 201);
                    written += 1;
                }
                written
            })
        });
        yard.backup(&server, &[]);
        yard.backup(&server, &[]);
        over.store(true, Ordering::Relaxed);
        for writer in writers {
            assert!(writer.join().unwrap() > 0, "there was no load");
        }
    });
    yard.backup(&server, &[]);
    let ids = yard.ids();
    assert_eq!(ids.len(), 3);
    server.stop();
    yard.assert_restores("latest");
    // Each that was taken meanwhile is a state on the way: sound, and behind the one before.
    let listed = yard.listed();
    let mut seqs = vec![];
    for (id, backup) in ids.iter().zip(listed["backups"].as_array().unwrap()) {
        let restored = yard.restore(id, &["--backup", id]);
        let said = contents(&restored);
        let seq = backup["at"]["seq"].as_u64().unwrap();
        assert!(said.contains(&format!("seq       {seq}\n")), "{said}");
        seqs.push(seq);
    }
    assert!(
        seqs.is_sorted_by(|later, earlier| later > earlier),
        "{seqs:?}"
    );
}

#[test]
fn a_restored_store_is_served_written_and_backed_up() {
    let yard = Yard::new();
    let server = yard.serve();
    server.fill(3);
    yard.backup(&server, &[]);
    server.kill();
    let setup = super::Setup {
        data: yard.restore("restored", &[]),
        ..yard.setup()
    };
    let server = Node::start(&setup);
    server.fill(2);
    yard.backup(&server, &[]);
    server.stop();
    assert_eq!(contents(&yard.restore("again", &[])), contents(&setup.data));
}

#[test]
fn a_store_that_nobody_serves_is_backed_up_too() {
    let yard = Yard::new();
    let data = yard.shop.path().to_str().unwrap();
    yard.said(&["backup", "--data", data, "--to", &yard.to]);
    yard.assert_restores("restored");
    let server = yard.serve();
    let why = yard.refused(&["backup", "--data", data, "--to", &yard.to]);
    assert!(why.contains("which --server can ask"), "{why}");
    server.stop();
}

#[test]
fn the_configuration_says_which_store_and_where_to() {
    let mut yard = Yard::new();
    let data = yard.shop.path().to_str().unwrap().to_owned();
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    yard.variables = vec![
        of("REVIEWSD_STORE_DATA", &data),
        of("REVIEWSD_BACKUP_TO", &yard.to),
        of("REVIEWSD_BACKUP_KEEP", "1"),
    ];
    // No server runs, so the store is opened; then one does, and is asked.
    yard.said(&["backup"]);
    let server = yard.serve();
    server.fill(1);
    yard.variables
        .push(of("REVIEWSD_NET_ADMIN", &server.admin().to_string()));
    let said = yard.said(&["backup"]);
    assert!(said.contains("removed 1 backup,"), "{said}");
    server.stop();
    let table = yard.said(&["backups"]);
    assert_eq!(table.lines().count(), 2, "{table}");
    let why = yard.refused(&["backup", "--server", "127.0.0.1:1"]);
    assert!(
        why.contains("the server at http://127.0.0.1:1 does not answer"),
        "{why}"
    );
    let restored = yard.path("restored");
    yard.said(&["restore", "--data", restored.to_str().unwrap()]);
    assert_eq!(contents(&restored), contents(yard.shop.path()));
    yard.variables.clear();
    // systemd does not retry errors that a retry does not fix.
    for args in [&["backups"][..], &["backup"], &["restore", "--data", &data]] {
        let why = yard.misconfigured(args);
        assert!(why.contains("set backup.to"), "{why}");
    }
    for (args, expected) in [
        (&["backup", "--to", "s4://shop/reviews"][..], "s3://"),
        (
            &["backup", "--to", &yard.to, "--server", "a/b"],
            "is not an address such as",
        ),
        (&["backups", "--set", "backup.too=x"], "backup.to"),
    ] {
        let why = yard.misconfigured(args);
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let yard = Yard::new();
    let server = yard.serve();
    yard.backup(&server, &[]);
    let before = yard.objects("files");
    server.fill(1);
    yard.backup(&server, &[]);
    server.stop();
    let after = yard.objects("files");
    assert!(before.iter().all(|file| after.contains(file)));
    let listed = yard.listed();
    let [second, first] = &listed["backups"].as_array().unwrap()[..] else {
        panic!("{listed}");
    };
    assert_eq!(first["new_bytes"], first["bytes"]);
    let (new, all) = (second["new_bytes"].as_u64(), second["bytes"].as_u64());
    assert!(new > Some(0) && new.unwrap() < all.unwrap() / 2, "{listed}");
    let written: u64 = after
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    let told = first["bytes"].as_u64().unwrap() + new.unwrap();
    assert_eq!(written, told);
}

/// A server that gives its files slowly.
fn slow(yard: &Yard) -> Node {
    let setup = super::Setup {
        replication: "bootstrap_rate = \"128KiB\"\n".to_owned(),
        ..yard.setup()
    };
    Node::start(&setup)
}

#[test]
fn a_backup_that_is_killed_is_none_and_the_next_one_goes_on() {
    let yard = Yard::new();
    let server = slow(&yard);
    let address = format!("http://{}", server.admin());
    let child = yard.start(&["backup", "--server", &address, "--to", &yard.to]);
    eventually("some files are written", || {
        let files = yard.objects("files");
        // A file in progress has a number behind its name.
        let whole = files
            .iter()
            .filter(|file| !file.to_str().unwrap().contains('#'));
        whole.count() >= 3
    });
    kill(child);
    assert_eq!(yard.ids(), Vec::<String>::new());
    let why = yard.restore_refused("none", &[]);
    assert!(why.contains("there is no backup"), "{why}");
    let before = yard.objects("files");
    yard.backup(&server, &[]);
    server.stop();
    let listed = yard.listed();
    let backup = &listed["backups"][0];
    assert!(
        backup["new_bytes"].as_u64() < backup["bytes"].as_u64(),
        "{listed}"
    );
    let after = yard.objects("files");
    assert!(before.iter().all(|file| after.contains(file)));
    yard.assert_restores("restored");
}

#[test]
fn two_backups_at_once_are_two_backups() {
    let yard = Yard::new();
    let server = slow(&yard);
    let address = format!("http://{}", server.admin());
    let both = [0, 1].map(|_| yard.start(&["backup", "--server", &address, "--to", &yard.to]));
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    server.stop();
    let ids = yard.ids();
    assert_eq!(ids.len(), 2);
    assert_eq!(yard.objects("pending"), Vec::<std::path::PathBuf>::new());
    for id in ids {
        let restored = yard.restore(&id, &["--backup", &id]);
        assert_eq!(contents(&restored), contents(yard.shop.path()));
    }
}

#[test]
fn a_killed_restore_leaves_no_store_and_resumes() {
    let yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    server.fill(300);
    super::is_shipped(&server);
    super::end(follower);
    server.stop();
    let data = yard.path("restored");
    let (from, to) = (yard.to.as_str(), data.to_str().unwrap());
    let (mut unfinished, mut wait) = (0, 0);
    while unfinished < 3 {
        let child = yard.start(&["restore", "--from", from, "--data", to, "--quiet"]);
        let place = data.join(format!("restore/store-{:032x}", 0));
        let there = || fs::read_dir(&place).map_or(0, Iterator::count);
        eventually("something is there", || {
            there() > wait || data.join("store").exists()
        });
        kill(child);
        if data.join("store").exists() {
            // The command was quicker.
            fs::remove_dir_all(&data).unwrap();
            wait = 0;
            continue;
        }
        unfinished += 1;
        wait += 2;
        let refused = node::run("serve", &data, &["--listen", "127.0.0.1:0"]);
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && why.contains("an incomplete restored store"),
            "{why}"
        );
    }
    yard.assert_restores("restored");
    assert!(!data.join("restore").exists());
}

#[test]
fn what_is_missing_or_damaged_is_named_and_nothing_is_restored() {
    let yard = Yard::new();
    let server = yard.serve();
    yard.backup(&server, &[]);
    server.fill(2);
    yard.backup(&server, &[]);
    server.stop();
    let ids = yard.ids();
    let mut files = yard.objects("files");
    files.sort_by_key(|file| file.metadata().unwrap().len());
    let largest = files.pop().unwrap();
    let name = largest.file_name().unwrap().to_str().unwrap();
    let whole = fs::read(&largest).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&largest, &damaged).unwrap();
    let why = yard.restore_refused("1", &[]);
    assert!(why.contains(name) && why.contains("is damaged"), "{why}");
    fs::write(&largest, &whole[..whole.len() - 1]).unwrap();
    let why = yard.restore_refused("1", &[]);
    assert!(why.contains(name) && why.contains("is damaged"), "{why}");
    fs::remove_file(&largest).unwrap();
    let why = yard.restore_refused("1", &[]);
    assert!(why.contains(name) && why.contains("is missing"), "{why}");
    // A backup that builds on it writes it anew.
    let server = yard.serve();
    yard.backup(&server, &[]);
    server.stop();
    yard.assert_restores("1");
    fs::write(&largest, &whole).unwrap();
    // Of the manifests, the latest is the wanted one, even if it is damaged.
    let manifest = yard.objects("snapshots").pop().unwrap();
    let text = fs::read_to_string(&manifest).unwrap();
    for (changed, why) in [
        (
            text.replacen("\"seq\": ", "\"seq\": 1", 1),
            "its checksum differs",
        ),
        (text[..100].to_owned(), "is damaged"),
        (
            text.replacen("snapshot 1 ", "snapshot 2 ", 1),
            "has version 2 of backups",
        ),
    ] {
        fs::write(&manifest, changed).unwrap();
        let said = yard.restore_refused("2", &[]);
        assert!(said.contains(why) && said.contains("snapshots/"), "{said}");
    }
    let table = yard.said(&["backups", "--in", &yard.to]);
    assert!(
        table.contains("cannot be used: a newer reviewsd wrote it"),
        "{table}"
    );
    yard.restore("2", &["--backup", &ids[0]]);
}

#[test]
fn a_restore_does_not_touch_what_is_there() {
    let yard = Yard::new();
    let data = yard.shop.path().to_str().unwrap();
    yard.said(&["backup", "--data", data, "--to", &yard.to]);
    let before = contents(yard.shop.path());
    let why = yard.refused(&["restore", "--from", &yard.to, "--data", data]);
    assert!(why.contains("already contains a store"), "{why}");
    assert_eq!(contents(yard.shop.path()), before);
    let full = yard.path("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("thesis.odt"), "").unwrap();
    let why = yard.restore_refused("full", &[]);
    assert!(
        why.contains("thesis.odt") && why.contains("directory that is empty"),
        "{why}"
    );
    let why = yard.restore_refused("none", &["--backup", "20200101T000000.000Z-00000000"]);
    assert!(why.contains("there is no backup 2020"), "{why}");
    let gone = yard.path("gone");
    let why = yard.refused(&["backups", "--in", gone.to_str().unwrap()]);
    assert!(why.contains("look into"), "{why}");
    assert!(!gone.exists());
}

#[test]
fn only_local_programs_are_answered_without_a_token() {
    let yard = Yard::new();
    let server = yard.serve();
    let url = format!("http://{}/internal/repl/v1/checkpoint", server.admin());
    let agent = node::agent();
    let asked = |name: &str, value: &str| {
        let answer = agent.get(&url).header(name, value).call();
        answer.unwrap().status().as_u16()
    };
    assert_eq!(asked("accept", "*/*"), 200);
    // Headers that a page in a browser cannot help sending.
    assert_eq!(asked("origin", "https://evil.example"), 404);
    assert_eq!(asked("sec-fetch-site", "same-origin"), 404);
    assert_eq!(asked("host", "evil.example:8081"), 404);
    // A replica has a token, and gets the answer that there are none.
    assert_eq!(asked("authorization", "Bearer 0123456789abcdef"), 404);
    server.stop();
}

#[test]
fn a_server_with_a_token_wants_it() {
    let yard = Yard::new();
    let token = yard.path("token");
    write_secret(&token, "a-token-of-24-characters\n");
    let setup = super::Setup {
        token: Some(token.clone()),
        ..yard.setup()
    };
    let server = Node::start(&setup);
    let address = format!("http://{}", server.admin());
    let why = yard.refused(&["backup", "--server", &address, "--to", &yard.to]);
    assert!(why.contains("the server has another token"), "{why}");
    let given = format!("replication.token_file={}", token.display());
    yard.backup(&server, &["--set", &given]);
    let at = position(&server);
    server.stop();
    let restored = contents(&yard.restore("restored", &[]));
    assert!(restored.contains(at[2].as_str().unwrap()), "{restored}");
}
