//! Requests that no client would send by mistake, and stores that a disk has changed.
//!
//! Neither ends the server nor makes it say something wrong. `REVIEWSD_HOSTILE_ROUNDS` is how many
//! requests and how many flipped bits there are, for more than the short run;
//! `REVIEWSD_HOSTILE_SEED` repeats the run that named it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::{Client, PATIENCE, Running, command, listening, started};
use crate::chance::{Random, number_from_environment, say, seed};
use crate::support::{copy_tree, shop_dir};

/// Requests of the short run.
const REQUESTS: u64 = 2_000;
/// Flipped bits of the short run; each is a server.
const FLIPS: u64 = 20;

/// Whole requests, each of a kind of its own.
const GOOD: [&str; 12] = [
    "GET /reviews?product_id=2&page=1&count=5&sort=newest HTTP/1.1\r\nHost: shop\r\n\r\n",
    "GET /reviews/meta?product_id=2 HTTP/1.1\r\nHost: shop\r\nAccept: application/json\r\n\r\n",
    "GET /api/fec2/hr-rfp/reviews/2/list/ HTTP/1.1\r\nHost: shop\r\nIf-None-Match: \"x\"\r\n\r\n",
    "GET /products/1/styles HTTP/1.1\r\nHost: shop\r\nX-Min-Seq: 1.5\r\nRange: bytes=0-\r\n\r\n",
    "HEAD /products?page=2&count=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "OPTIONS /reviews HTTP/1.1\r\nHost: shop\r\nOrigin: https://shop.example\r\n\
     Access-Control-Request-Headers: content-type\r\n\r\n",
    "POST /reviews HTTP/1.1\r\nHost: shop\r\nIdempotency-Key: one\r\nContent-Length: 118\r\n\r\n\
     {\"product_id\":1,\"rating\":5,\"summary\":\"A\",\"body\":\"B\",\"recommend\":true,\
     \"name\":\"n\",\"email\":\"n@example.org\",\"characteristics\":{}}",
    "POST /reviews HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n\
     e\r\n{\"rating\":\"9\"}\r\n0\r\n\r\n",
    "PUT /reviews/5/helpful HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n",
    "PUT /reviews/report/6 HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: ::1, 10.0.0.1\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: shop\r\n\r\n",
    "POST /internal/repl/ack?session=1&seq=1 HTTP/1.1\r\nHost: shop\r\n\r\n",
];

/// Pieces that parsers have stumbled over.
const PIECES: [&str; 16] = [
    "\r\n",
    "\n",
    "\0",
    "%00",
    "%",
    "../",
    "//",
    "?",
    "\u{feff}",
    "\r\nContent-Length: 99999999999999999999\r\n",
    "\r\nContent-Length: -1\r\n",
    "\r\nTransfer-Encoding: chunked\r\n",
    "\r\nHost: other\r\n",
    "18446744073709551616",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\\ud800",
];

/// Changes a request in one to four places.
fn mutate(request: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.index(request.len() + 1);
        let end = (at + random.index(40)).min(request.len());
        match random.below(7) {
            0 => {
                if let Some(byte) = request.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => drop(request.drain(at..end)),
            2 => {
                let again: Vec<u8> = request[at..end].repeat(1 + random.index(3));
                request.splice(at..at, again);
            }
            3 => {
                let piece = *random.pick(&PIECES).unwrap();
                request.splice(at..at, piece.bytes());
            }
            4 => {
                let byte = u8::try_from(random.below(256)).unwrap();
                let bits = random.below(17);
                let many = random.index(1 << bits);
                request.splice(at..at, std::iter::repeat_n(byte, many));
            }
            5 => {
                let other = random.pick(&GOOD).unwrap().as_bytes();
                let from = random.index(other.len());
                request.splice(at.., other[from..].iter().copied());
            }
            _ => request.truncate(at),
        }
    }
}

/// Sends bytes and reads what comes until the server closes the connection, which it must.
fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may close before all is written.
    let _ = socket.write_all(request);
    let _ = socket.shutdown(Shutdown::Write);
    let (mut answer, begun) = (Vec::new(), Instant::now());
    let mut piece = [0; 4096];
    loop {
        let said = || {
            format!(
                "after {}: {}",
                request.escape_ascii(),
                answer.escape_ascii()
            )
        };
        assert!(begun.elapsed() < PATIENCE, "no end {}", said());
        match socket.read(&mut piece) {
            Ok(0) => return answer,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return answer,
            Err(e) => panic!("{e} {}", said()),
        }
    }
}

#[test]
fn mutated_requests_are_answered_or_closed_and_never_500() {
    let rounds = number_from_environment("REVIEWSD_HOSTILE_ROUNDS").unwrap_or(REQUESTS);
    let mut random = Random::new(seed("REVIEWSD_HOSTILE_SEED"));
    let shop = shop_dir();
    let (mut server, [api, admin]) = starts(shop.path()).unwrap();
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..rounds {
        let mut request = random.pick(&GOOD).unwrap().as_bytes().to_vec();
        mutate(&mut request, &mut random);
        let address = if random.one_in(4) { admin } else { api };
        let answer = exchange(address, &request);
        let status = answer
            .get(..12)
            .unwrap_or_default()
            .escape_ascii()
            .to_string();
        let said = format!("{} to {}", status, request.escape_ascii());
        assert!(answer.is_empty() || status.starts_with("HTTP/1."), "{said}");
        assert!(!status.ends_with(" 500"), "{said}");
        *statuses.entry(status).or_default() += 1;
        if round % 100 == 0 {
            assert_eq!(Client::to(api).ask("/livez").status, 200);
        }
    }
    say(&format!("{rounds} requests: {statuses:?}"));
    // Not all of the requests are rejected before they are parsed.
    assert!(statuses.len() > 5, "{statuses:?}");
    let pid = Pid::from_child(&server.0);
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

/// Everything that the shop shows.
fn paths() -> Vec<String> {
    let products = (1..=20).flat_map(|id| {
        ["newest", "helpful"]
            .map(|sort| format!("/reviews?product_id={id}&count=50&sort={sort}"))
            .into_iter()
            .chain([
                format!("/reviews/meta?product_id={id}"),
                format!("/products/{id}"),
                format!("/products/{id}/styles"),
                format!("/products/{id}/related"),
            ])
    });
    let reviews = (1..=20).map(|id| format!("/reviews/{id}"));
    products
        .chain(reviews)
        .chain(["/products?count=50".to_owned()])
        .collect()
}

fn sorted_tables(dir: &Path) -> Vec<PathBuf> {
    let mut tables = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tables.extend(sorted_tables(&path));
        } else if path.extension().is_some_and(|extension| extension == "sst") {
            tables.push(path);
        }
    }
    tables.sort();
    tables
}

fn flip_a_bit(dir: &Path, random: &mut Random) -> String {
    let tables = sorted_tables(dir);
    let bytes: Vec<u64> = tables
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .collect();
    let mut at = random.below(bytes.iter().sum());
    let (table, _) = tables
        .iter()
        .zip(bytes)
        .find(|(_, bytes)| {
            let is_here = at < *bytes;
            at -= if is_here { 0 } else { *bytes };
            is_here
        })
        .unwrap();
    let mut contents = fs::read(table).unwrap();
    contents[usize::try_from(at).unwrap()] ^= 1 << random.below(8);
    fs::write(table, contents).unwrap();
    format!("byte {at} of {}", table.display())
}

/// The addresses of a server, if it starts: of its API and of the admin port.
fn starts(data: &Path) -> Option<(Running, [SocketAddr; 2])> {
    let mut child = started(command(data).args(["--listen", "127.0.0.1:0"]));
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let running = Running(child);
    let (mut api, mut admin, mut line) = (None, None, String::new());
    while log.read_line(&mut line).unwrap() > 0 {
        match listening(&line) {
            Some((address, "(api)")) => api = Some(address),
            Some((address, "(admin)")) => admin = Some(address),
            _ => {}
        }
        if let (Some(api), Some(admin)) = (api, admin) {
            // It may log a line for every request.
            thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return Some((running, [api, admin]));
        }
        line.clear();
    }
    None
}

#[test]
fn answers_over_flipped_bits_are_right_or_refused() {
    let flips = number_from_environment("REVIEWSD_HOSTILE_ROUNDS").unwrap_or(FLIPS);
    let mut random = Random::new(seed("REVIEWSD_HOSTILE_SEED"));
    let (shop, dir) = (shop_dir(), tempfile::tempdir().unwrap());
    let data = dir.path().join("data");
    let copy = |from: &Path| {
        let _ = fs::remove_dir_all(&data);
        copy_tree(from, &data);
    };
    copy(shop.path());
    let (server, [api, _]) = starts(&data).unwrap();
    let mut client = Client::to(api);
    let right: Vec<_> = paths()
        .into_iter()
        .map(|path| (client.ask(&path), path))
        .collect();
    drop(server);
    let (mut same, mut refused, mut unopened) = (0, 0, 0);
    for _ in 0..flips {
        copy(shop.path());
        let flipped = flip_a_bit(&data, &mut random);
        let Some((_server, [api, _])) = starts(&data) else {
            unopened += 1;
            continue;
        };
        let mut client = Client::to(api);
        for (expected, path) in &right {
            let answer = client.ask(path);
            if answer.status == 500 {
                refused += 1;
                continue;
            }
            let is_right = answer.status == expected.status && answer.body == expected.body;
            assert!(is_right, "{path}: {} with {flipped}", answer.status);
            same += 1;
        }
    }
    say(&format!(
        "{flips} bits: {same} answers right, {refused} refused, {unopened} stores not opened, 0 wrong"
    ));
    assert!(same > 0 && refused + unopened > 0, "no bit was in the way");
}
