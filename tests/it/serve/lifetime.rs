//! How the program starts and ends.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use rustix::process::Signal;

use super::{Client, Server, command, output};

/// Whether somebody accepts connections, other than the client itself: on a port that is free the
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
fn an_answer_under_way_comes_whole_while_the_server_is_no_longer_ready() {
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
    assert!(log.contains("1 connections were cut off"), "{log}");
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
    assert_eq!(ended.status.code(), Some(1), "{said}");
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
    assert_eq!(run(&["serve"]), Some(1));
    assert_eq!(run(&["serve", "--data", "x", "--memory", "1MiB"]), Some(1));
    assert_eq!(run(&["serve", "--help"]), Some(0));
    assert_eq!(run(&["import", "--help"]), Some(0));
}
