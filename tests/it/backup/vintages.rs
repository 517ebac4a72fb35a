//! Backups whose segments earlier versions wrote, restored by this one.
//!
//! Each is in `tests/fixtures/backups/segments-N/` as a target, beside the output of `reviewsd position
//! --contents` for the store at its end. Versions 1 to 3 of segments were the frames of the replication
//! protocol of that number. To add one for a new version, run this before the change is taken:
//!
//! ```sh
//! cargo test --release --workspace --test it backup::vintages::make_backups_to_keep -- --ignored
//! ```

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use reviewsd::store::key::FORMAT;
use xxhash_rust::xxh3::xxh3_64;

use super::{Yard, contents, end, is_shipped};
use crate::replication::node::Node;

/// The target, as tar writes it.
const BACKUPS: &str = "backups.tar.gz";
const CONTENTS: &str = "contents.txt";
/// The protocol that is captured.
const PROTOCOL: u16 = 3;
/// The version that is written now.
const VERSION: u8 = 4;

fn kept(version: u8) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/backups");
    fixtures.join(format!("segments-{version}"))
}

fn tar(args: &[&str]) {
    let status = Command::new("tar").args(args).status().unwrap();
    assert!(status.success(), "tar {args:?}");
}

#[test]
fn backups_with_segments_of_every_version_are_restored() {
    for version in 1..=VERSION {
        let kept = kept(version);
        let mut yard = Yard::new();
        let archive = kept.join(BACKUPS);
        let dir = yard.dir.path().to_str().unwrap().to_owned();
        tar(&["-xzf", archive.to_str().unwrap(), "-C", &dir]);
        yard.to = yard.path("backups").to_str().unwrap().to_owned();
        let segments = yard.objects("log");
        assert!(segments.len() >= 2);
        let is_old = |path: &PathBuf| !fs::read(path).unwrap().starts_with(b"reviewsd-segment ");
        assert_eq!(segments.iter().all(is_old), version < 4);
        let restored = contents(&yard.restore("restored", &[]));
        let expected = fs::read_to_string(kept.join(CONTENTS)).unwrap();
        assert_eq!(restored, expected, "version {version}");
        // A damaged one is reported as such, whatever its version.
        let mut damaged = fs::read(&segments[0]).unwrap();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(&segments[0], damaged).unwrap();
        let why = yard.restore_refused("none", &[]);
        assert!(why.contains("is damaged"), "version {version}: {why}");
    }
}

/// The parts of a recording.
struct Recorded {
    begin: Vec<u8>,
    batches: Vec<Vec<u8>>,
    end: Vec<u8>,
}

/// Reads a segment of version 4.
fn read(segment: &[u8]) -> Recorded {
    let mut left = segment.strip_prefix(b"reviewsd-segment 4\n").unwrap();
    let mut records = vec![];
    while !left.is_empty() {
        let length = u32::from_be_bytes(left[..4].try_into().unwrap());
        let (content, rest) = left[12..].split_at(usize::try_from(length).unwrap());
        records.push(content.to_vec());
        left = rest;
    }
    let begin = records.remove(0)[1..].to_vec();
    let end = records.pop().unwrap()[1..].to_vec();
    let batches = records.into_iter().map(|record| record[1..].to_vec());
    Recorded {
        begin,
        batches: batches.collect(),
        end,
    }
}

/// A frame as the protocol of this version wrote it.
fn frame(version: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let mut frame = length.to_vec();
    if version == 3 {
        frame.extend_from_slice(&xxh3_64(&length).to_be_bytes()[4..]);
    }
    frame.extend_from_slice(&xxh3_64(content).to_be_bytes());
    frame.extend_from_slice(content);
    frame
}

/// The same recording as programs of the protocol of this version wrote it.
fn as_of(version: u8, segment: &[u8]) -> Vec<u8> {
    let Recorded {
        begin,
        batches,
        end,
    } = read(segment);
    let (format, store_and_at) = begin.split_at(4);
    let hello = [&[1, 0, version][..], format, &[0; 9], store_and_at].concat();
    let mut bytes = frame(version, &hello);
    for batch in batches {
        let store = if version == 1 {
            &[]
        } else {
            &store_and_at[..16]
        };
        // Epoch, first, count and previous history hash, which the batch has as well.
        let content = [&[2][..], store, &[0; 28], &batch].concat();
        bytes.extend(frame(version, &content));
    }
    bytes.extend(frame(version, &[&[3][..], &end].concat()));
    bytes
}

/// Captures the stream of a server after the one backup: commits, and some heartbeats.
fn capture(yard: &Yard, server: &Node) {
    let listed = yard.listed();
    let backup = &listed["backups"][0];
    let (store, at) = (backup["store"].as_str().unwrap(), &backup["at"]);
    let path = format!(
        "/internal/repl/v1/stream?protocol={PROTOCOL}&format={FORMAT}&store={store}&epoch={}&seq={}&chain={}",
        at["epoch"],
        at["seq"],
        at["chain"].as_str().unwrap()
    );
    let url = format!("http://{}{path}", server.admin());
    let mut answer = crate::replication::node::agent().get(&url).call().unwrap();
    assert_eq!(answer.status(), 200);
    let mut stream = answer.body_mut().as_reader();
    let mut bytes = vec![];
    // A frame is a header of 16 bytes and the content whose length that begins with.
    let mut kinds = String::new();
    while kinds.matches('3').count() < 2 {
        let mut header = [0; 16];
        stream.read_exact(&mut header).unwrap();
        let length = u32::from_be_bytes(header[..4].try_into().unwrap());
        let mut content = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut content).unwrap();
        kinds += &content[0].to_string();
        bytes.extend(header);
        bytes.extend(content);
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire");
    fs::create_dir_all(&fixtures).unwrap();
    fs::write(fixtures.join(format!("protocol-{PROTOCOL}")), bytes).unwrap();
}

#[test]
#[ignore = "it writes the fixtures"]
fn make_backups_to_keep() {
    let yard = Yard::new();
    let server = yard.serve();
    let follower = yard.follow(&server);
    for _ in 0..2 {
        server.fill(3);
        is_shipped(&server);
    }
    end(follower);
    capture(&yard, &server);
    server.stop();
    let expected = contents(yard.shop.path());
    let segments = yard.objects("log");
    let written: Vec<_> = segments
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    for version in 1..=VERSION {
        for (path, own) in segments.iter().zip(&written) {
            let bytes = match version {
                VERSION => own.clone(),
                earlier => as_of(earlier, own),
            };
            fs::write(path, bytes).unwrap();
        }
        let kept = kept(version);
        fs::create_dir_all(&kept).unwrap();
        let archive = kept.join(BACKUPS);
        let dir = yard.dir.path().to_str().unwrap();
        tar(&["-czf", archive.to_str().unwrap(), "-C", dir, "backups"]);
        fs::write(kept.join(CONTENTS), &expected).unwrap();
    }
}
