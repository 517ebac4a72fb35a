//! A bucket of a real S3 server: moto's, which `pip install 'moto[server]'` brings. Its path is in
//! `REVIEWSD_MOTO_SERVER`, or `moto_server` is in `PATH`; without it these tests say so and pass.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::{Yard, contents, end, eventually, is_shipped, position};
use crate::replication::node;
use crate::support::no_forks;

/// An S3 server that ends with the test.
struct Moto {
    child: Child,
    url: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server with a bucket. `open` is the number of requests that any client may make, if it is limited.
fn moto(open: Option<u32>) -> Option<Moto> {
    let program = env::var("REVIEWSD_MOTO_SERVER").unwrap_or_else(|_| "moto_server".to_owned());
    let mut command = Command::new(&program);
    command.args(["-H", "127.0.0.1", "-p", "0"]);
    if let Some(open) = open {
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", open.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let started = {
        let _no_forks = no_forks();
        command.stderr(Stdio::piped()).spawn()
    };
    let mut child = match started {
        Ok(child) => child,
        Err(why) => {
            let said = format!("SKIPPED: there is no S3 server ({program}: {why})\n");
            std::io::stderr().write_all(said.as_bytes()).unwrap();
            return None;
        }
    };
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, rest) = line.split_once("Running on ")?;
        Some(rest.trim().to_owned())
    });
    // It must not stop at a pipe that is full.
    thread::spawn(move || lines.for_each(drop));
    let moto = Moto {
        child,
        url: url.unwrap(),
    };
    let made = node::agent()
        .put(format!("{}/backups", moto.url))
        .send_empty();
    assert_eq!(made.unwrap().status(), 200);
    Some(moto)
}

fn yard(moto: &Moto) -> Yard {
    let mut yard = Yard::new();
    "s3://backups/a shop/reviews".clone_into(&mut yard.to);
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    yard.variables = vec![
        of("AWS_ENDPOINT_URL", &moto.url),
        of("AWS_ALLOW_HTTP", "true"),
        of("AWS_ACCESS_KEY_ID", "testing"),
        of("AWS_SECRET_ACCESS_KEY", "testing"),
        of("AWS_REGION", "us-east-1"),
    ];
    yard
}

#[test]
fn a_bucket_is_a_target_like_a_directory() {
    let Some(moto) = moto(None) else {
        return;
    };
    let yard = yard(&moto);
    let server = yard.serve();
    yard.backup(&server, &[]);
    server.fill(3);
    let follower = yard.follow(&server);
    server.fill(3);
    is_shipped(&server);
    let then = position(&server);
    server.fill(3);
    is_shipped(&server);
    end(follower);
    assert_eq!(yard.ids().len(), 1);
    yard.backup(&server, &[]);
    let listed = yard.listed();
    let backup = &listed["backups"][0];
    assert!(
        backup["new_bytes"].as_u64() < backup["bytes"].as_u64(),
        "{listed}"
    );
    server.stop();
    yard.assert_restores("end");
    let restored = contents(&yard.restore("then", &["--at", &then[1].to_string()]));
    assert!(restored.contains(then[2].as_str().unwrap()), "{restored}");
    let server = yard.serve();
    let said = yard.backup(&server, &["--keep", "1"]);
    assert!(said.contains("removed 2 backups"), "{said}");
    server.stop();
    yard.assert_restores("last");
}

#[test]
fn a_large_file_goes_to_a_bucket_in_parts() {
    let Some(moto) = moto(None) else {
        return;
    };
    let yard = yard(&moto);
    let server = yard.serve();
    // Incompressible data, more of it than one part holds, in one family.
    let agent = node::agent();
    let mut state = 1_u64;
    for _ in 0..2200 {
        let body = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from_u32(0x4e00 + u32::try_from(state >> 50).unwrap()).unwrap()
        });
        let body: String = body.take(2000).collect();
        let (status, _) = node::post(&agent, server.api(), &body).unwrap();
        assert_eq!(status, 201);
    }
    yard.backup(&server, &[]);
    server.stop();
    yard.assert_restores("restored");
}

#[test]
fn a_killed_backup_does_not_count_and_the_next_one_resumes() {
    let Some(moto) = moto(None) else {
        return;
    };
    let yard = yard(&moto);
    let setup = super::Setup {
        replication: "bootstrap_rate = \"128KiB\"\n".to_owned(),
        ..yard.setup()
    };
    let server = node::Node::start(&setup);
    let address = format!("http://{}", server.admin());
    let child = yard.start(&["backup", "--server", &address, "--to", &yard.to]);
    let list = format!("{}/backups?list-type=2", moto.url);
    let agent = node::agent();
    eventually("some files are written", || {
        let mut answer = agent.get(&list).call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        text.matches("/files/").count() >= 3
    });
    super::kill(child);
    assert_eq!(yard.ids(), Vec::<String>::new());
    yard.backup(&server, &[]);
    let listed = yard.listed();
    let backup = &listed["backups"][0];
    assert!(
        backup["new_bytes"].as_u64() < backup["bytes"].as_u64(),
        "{listed}"
    );
    server.stop();
    yard.assert_restores("restored");
}

#[test]
fn what_a_bucket_refuses_is_one_sentence() {
    let Some(open) = moto(None) else {
        return;
    };
    let mut yard = yard(&open);
    let data = yard.shop.path().to_str().unwrap().to_owned();
    let why = yard.refused(&["backup", "--data", &data, "--to", "s3://nothing/here"]);
    assert!(why.contains("there is no such bucket"), "{why}");
    let why = yard.refused(&["backups", "--in", "s3://nothing/here"]);
    assert!(why.contains("there is no such bucket"), "{why}");
    let why = yard.refused(&["restore", "--from", &yard.to, "--data", &data]);
    assert!(why.contains("there is no backup in s3://backups/"), "{why}");
    // A server that authenticates its clients, once its bucket is made.
    let guarded = moto(Some(1)).unwrap();
    yard.variables[0].1.clone_from(&guarded.url);
    let why = yard.refused(&["backup", "--data", &data, "--to", &yard.to]);
    assert!(why.contains("AWS_ACCESS_KEY_ID"), "{why}");
    let gone = "http://127.0.0.1:1".to_owned();
    let there = std::mem::replace(&mut yard.variables[0].1, gone);
    let why = yard.refused(&["backups", "--in", &yard.to]);
    assert!(
        why.contains("the bucket's server cannot be reached"),
        "{why}"
    );
    yard.variables[0].1 = there;
    yard.variables[1].1 = "false".to_owned();
    let why = yard.refused(&["backup", "--data", &data, "--to", &yard.to]);
    assert!(why.contains("AWS_ALLOW_HTTP=true"), "{why}");
}

/// A way to a server on which requests for a part of an object become requests for all of it.
fn rangeless(url: &str) -> String {
    let server = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let (mut back, mut answers) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut answers, &mut back);
                let _ = back.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let mut piece = vec![0; 64 << 10];
                while let Ok(read @ 1..) = client.read(&mut piece) {
                    let sent = &mut piece[..read];
                    let name = b"\r\nrange: bytes=";
                    if let Some(at) = sent.windows(name.len()).position(|bytes| bytes == name) {
                        sent[at + 2] = b'x';
                    }
                    if server.write_all(sent).is_err() {
                        break;
                    }
                }
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn server_that_gives_no_ranges_is_found_by_the_first_backup() {
    let Some(moto) = moto(None) else {
        return;
    };
    let mut yard = yard(&moto);
    let data = yard.shop.path().to_str().unwrap().to_owned();
    let there = std::mem::replace(&mut yard.variables[0].1, rangeless(&moto.url));
    let why = yard.refused(&["backup", "--data", &data, "--to", &yard.to]);
    assert!(why.contains("does not return a part of an object"), "{why}");
    assert_eq!(yard.ids(), Vec::<String>::new());
    yard.variables[0].1 = there;
    yard.said(&["backup", "--data", &data, "--to", &yard.to]);
    yard.assert_restores("restored");
}
