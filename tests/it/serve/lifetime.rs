//! The start and the end of the program.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Client, PATIENCE, Running, Server, command, line_with, output, started};
use crate::support::{no_forks, shop_dir};

/// True if a server accepts connections, and not the client itself: on a port that is free the
/// two ends of a connection can be one.
fn is_taken(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok_and(|socket| {
        let peer = socket.peer_addr();
        peer.is_ok_and(|peer| socket.local_addr().is_ok_and(|own| own != peer))
    })
}

#[test]
fn both_signals_end_it_with_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::with("");
        let mut idle = server.connect();
        assert_eq!(idle.ask("/livez").status, 200);
        let mut silent = server.connect();
        server.signal(signal);
        assert!(idle.is_closed());
        assert!(silent.is_closed());
        let (code, log) = server.ended();
        assert_eq!(code, Some(0), "{log}");
    }
}

#[test]
fn a_response_in_flight_completes_after_readiness_is_lost() {
    let server = Server::with("[net]\ndrain_time_max = \"60s\"\n");
    let mut client = Client::in_the_middle_of_an_answer(server.api);
    let mut probe = Client::to(server.admin);
    assert_eq!(probe.ask("/readyz").status, 200);
    server.signal(Signal::TERM);
    while probe.ask("/readyz").status != 503 {}
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.body.ends_with(b"]}"));
    assert!(client.is_closed());
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn whoever_comes_while_it_drains_is_refused() {
    let server = Server::with("[net]\ndrain_time_max = \"60s\"\n");
    let mut client = Client::in_the_middle_of_an_answer(server.api);
    let mut probe = Client::to(server.admin);
    server.signal(Signal::TERM);
    while probe.ask("/readyz").status != 503 {}
    while is_taken(server.api) {}
    assert_eq!(client.answer().status, 200);
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn a_drain_is_bounded() {
    let server = Server::with("[net]\ndrain_time_max = \"300ms\"\n");
    let _client = Client::in_the_middle_of_an_answer(server.api);
    server.signal(Signal::TERM);
    let (code, log) = server.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("closed 1 connection"), "{log}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Server::with("[net]\ndrain_time_max = \"1h\"\nwrite_time_max = \"1h\"\n");
    let _client = Client::in_the_middle_of_an_answer(server.api);
    let mut probe = Client::to(server.admin);
    server.signal(Signal::TERM);
    while probe.ask("/readyz").status != 503 {}
    server.signal(Signal::INT);
    assert_eq!(server.ended().0, Some(130));
}

/// A server whose store does not finish opening: it waits for the name of the manifest that counts.
struct Opening {
    server: Running,
    log: BufReader<ChildStderr>,
    dir: TempDir,
    /// The server's input; kept open, so that it waits.
    told: File,
}

impl Opening {
    fn with(drain_time_max: &str) -> Self {
        let dir = shop_dir();
        let current = dir.path().join("store/CURRENT");
        fs::rename(&current, current.with_extension("real")).unwrap();
        mknodat(CWD, &current, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let set = format!("net.drain_time_max={drain_time_max}");
        let mut command = command(dir.path());
        command.args(["--listen", "127.0.0.1:0", "--set", &set]);
        let mut server = Running(started(&mut command));
        let log = BufReader::new(server.0.stderr.take().unwrap());
        // A pipe can be opened for writing only while a process reads it.
        let nonblocking = OFlags::WRONLY | OFlags::NONBLOCK;
        let told = loop {
            if let Ok(told) = open(&current, nonblocking, Mode::empty()) {
                break File::from(told);
            }
            assert_eq!(server.0.try_wait().unwrap(), None, "it ended");
        };
        Self {
            server,
            log,
            dir,
            told,
        }
    }

    fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.server.0.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.server.0.wait().unwrap().code()
    }
}

#[test]
fn a_signal_while_the_store_is_opened_ends_it_in_order() {
    let mut opening = Opening::with("60s");
    opening.terminate();
    line_with(
        &mut opening.log,
        "SIGTERM: stopping before the store is open",
    );
    let current = opening.dir.path().join("store/CURRENT");
    fs::rename(current.with_extension("real"), &current).unwrap();
    let manifest = fs::read(current).unwrap();
    opening.told.write_all(&manifest).unwrap();
    drop(opening.told);
    assert_eq!(opening.server.0.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    opening.log.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    let server = Server::of(opening.dir, "");
    assert_eq!(server.connect().ask("/reviews/5").status, 200);
}

#[test]
fn a_store_that_takes_long_to_open_is_told_of() {
    let mut opening = Opening::with("300ms");
    line_with(&mut opening.log, "INFO still opening the store: ");
    opening.terminate();
    assert_eq!(opening.exit_code(), Some(0));
}

#[test]
fn a_store_that_takes_too_long_to_open_is_not_waited_for() {
    let mut opening = Opening::with("300ms");
    opening.terminate();
    assert_eq!(opening.exit_code(), Some(0));
}

#[test]
fn a_second_signal_while_the_store_is_opened_ends_it_at_once() {
    let mut opening = Opening::with("1h");
    opening.terminate();
    line_with(&mut opening.log, "before the store is open");
    opening.terminate();
    assert_eq!(opening.exit_code(), Some(143));
}

/// The process that works on a data directory, as it has written there; ended if the test fails.
struct Worker(Pid);

impl Worker {
    fn on(data: &Path) -> Self {
        let lock = fs::read_to_string(data.join("LOCK")).unwrap();
        let pid = lock.rsplit(' ').next().unwrap().trim_end_matches(')');
        Self(Pid::from_raw(pid.parse().unwrap()).unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = kill_process(self.0, Signal::KILL);
        }
    }
}

#[test]
fn a_terminal_shows_the_addresses_and_the_store_being_served() {
    let dir = shop_dir();
    let data = dir.path().display();
    let serve = format!(
        "{} serve --config /dev/null --data {data} --memory 64MiB --listen 127.0.0.1:0 \
         --admin 127.0.0.1:0",
        env!("CARGO_BIN_EXE_reviewsd"),
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", &serve, "/dev/null"]);
    script.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut terminal = {
        let _no_forks = no_forks();
        Running(script.spawn().unwrap())
    };
    let mut shown = BufReader::new(terminal.0.stdout.take().unwrap());
    let first = line_with(&mut shown, "serves");
    let _server = Worker::on(dir.path());
    let what = format!("serves {data}: 10 products, 5,012 reviews, atelier dialect");
    assert!(first.contains(&what), "{first}");
    let api = line_with(&mut shown, "api    http://");
    let api: SocketAddr = api.rsplit('/').next().unwrap().trim().parse().unwrap();
    line_with(&mut shown, "admin  http://127.0.0.1:");
    line_with(&mut shown, "try    curl 'http://");
    line_with(&mut shown, "listening on");
    assert!(is_taken(api));
    // Closing the terminal is no wish to read the configuration again.
    drop(terminal);
    let begun = Instant::now();
    while is_taken(api) {
        assert!(
            begun.elapsed() < PATIENCE,
            "it goes on without its terminal"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let ended = output(command(dir.path()).args(["--listen", &address]));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert_eq!(
        said,
        format!(
            "reviewsd: another program listens at {address}; end it, or give another address with \
             --listen\n"
        )
    );
}

#[test]
fn a_data_directory_that_is_in_use_is_named() {
    let server = Server::with("");
    let ended = output(command(server.dir.path()).args(["--listen", "127.0.0.1:0"]));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by reviewsd serve"), "{said}");
}

#[test]
fn a_wrong_configuration_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.toml");
    std::fs::write(&file, "[net]\nheadtime = \"1s\"\n").unwrap();
    let ended = output(command(dir.path()).arg("--config").arg(&file));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let start = format!(
        "reviewsd: {}, line 2, net.headtime: unknown key; did you mean net.head_time_max?",
        file.display()
    );
    assert!(said.starts_with(&start), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn wrong_usage_is_told_apart() {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
        output(command.args(args)).status.code()
    };
    assert_eq!(run(&["serve", "--dat", "x"]), Some(2));
    assert_eq!(run(&["serve", "--data", "x", "--memory", "lots"]), Some(2));
    assert_eq!(run(&["serve"]), Some(2));
    assert_eq!(run(&["serve", "--data", "x", "--memory", "1MiB"]), Some(2));
    assert_eq!(run(&["serve", "--data", "/proc/none"]), Some(1));
    assert_eq!(run(&["serve", "--help"]), Some(0));
    assert_eq!(run(&["import", "--help"]), Some(0));
}
