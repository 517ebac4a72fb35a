//! A service that is asked about reviews, and answers as a test wants.
//!
//! Invariant: it ends with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::Value;

/// A service on a port of its own.
pub(super) struct CheckService {
    address: SocketAddr,
    /// The heads and the bodies of its requests.
    asked: Receiver<(String, Value)>,
}

impl CheckService {
    /// One whose answers have this status line and body.
    pub(super) fn answering(status: &str, body: &str) -> Self {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self::start(Some(answer))
    }

    /// One that reads requests and never answers.
    pub(super) fn silent() -> Self {
        Self::start(None)
    }

    fn start(answer: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = channel();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (tell, answer) = (tell.clone(), answer.clone());
                thread::spawn(move || serve(socket.unwrap(), &tell, answer.as_deref()));
            }
        });
        Self { address, asked }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub(super) fn asked(&self) -> Vec<(String, Value)> {
        self.asked.try_iter().collect()
    }
}

/// Answers the requests of one connection, until the client closes it.
fn serve(socket: TcpStream, tell: &Sender<(String, Value)>, answer: Option<&str>) {
    let mut socket = BufReader::new(socket);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if matches!(socket.read_line(&mut head), Ok(0) | Err(_)) {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        if socket.read_exact(&mut body).is_err() {
            return;
        }
        // A test that has ended does not ask.
        let _ = tell.send((head, serde_json::from_slice(&body).unwrap()));
        if let Some(answer) = answer
            && socket.get_mut().write_all(answer.as_bytes()).is_err()
        {
            return;
        }
    }
}
