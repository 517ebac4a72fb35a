//! A server on a free port that answers as a test has it, and ends with the test; and the time of both,
//! which stands still while anything is being computed and jumps when everybody waits. So the figures of a
//! run are the same on every machine, however busy.
//!
//! Owns the agreement of load and server on when both wait. Every request without an answer is either
//! being computed, and then time stands still, or the server sits on it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::load::clock::Clock;
use crate::load::poll::Poll;

/// The time that the load looks at its sockets before it looks again at what the server does.
const LOOK: Duration = Duration::from_micros(200);
/// If nobody gets on for so long, a test has asked for something that this clock cannot do.
const PATIENCE: Duration = Duration::from_mins(1);

/// The reply to a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// These bytes, and the connection stays open.
    Bytes(Vec<u8>),
    /// These bytes after a while, in simulated time.
    Late(Duration, Vec<u8>),
    /// These bytes, and the connection is closed.
    Last(Vec<u8>),
    /// Nothing, ever; the connection stays open.
    Silence,
}

impl Reply {
    pub(super) fn ok(body: &str) -> Self {
        Self::Bytes(answer("200 OK", body))
    }

    /// The list that is right for product 2.
    pub(super) fn list() -> Self {
        Self::ok(LIST)
    }
}

pub(super) const LIST: &str = r#"{"product":"2","page":0,"count":5,"results":[]}"#;

pub(super) fn answer(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    ended: AtomicBool,
    requests: AtomicU64,
    /// The first line of each request and its body.
    seen: Mutex<Vec<(String, String)>>,
    streams: Mutex<Vec<TcpStream>>,
    time: Simulated,
    reply: Box<Answering>,
}

type Answering = dyn Fn(u64, &str) -> Reply + Send + Sync;

impl Server {
    /// `reply` gets the number of a request, counted from 0, and its first line.
    pub(super) fn new(reply: impl Fn(u64, &str) -> Reply + Send + Sync + 'static) -> Self {
        Self::taking(usize::MAX, reply)
    }

    /// Takes no more than so many connections and refuses the rest.
    pub(super) fn taking(
        connections: usize,
        reply: impl Fn(u64, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            ended: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            seen: Mutex::default(),
            streams: Mutex::default(),
            time: Simulated::default(),
            reply: Box::new(reply),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(listener, connections, &accepting));
        Self { address, shared }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The time in which it answers.
    pub(super) fn time(&self) -> &Simulated {
        &self.shared.time
    }

    /// First lines and bodies of all requests, in the order they came.
    pub(super) fn seen(&self) -> Vec<(String, String)> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // The loop that accepts looks at the flag when a connection comes.
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.streams.lock().unwrap().iter() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn accept(listener: TcpListener, connections: usize, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    for left in (0..connections).rev() {
        let (stream, _) = listener.as_ref().unwrap().accept().unwrap();
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        // Before the last one is answered, so that connections after its answer are refused.
        if left == 0 {
            listener = None;
        }
        stream.set_nodelay(true).unwrap();
        let own = stream.try_clone().unwrap();
        shared.streams.lock().unwrap().push(own);
        let shared = Arc::clone(shared);
        thread::spawn(move || converse(stream, &shared));
    }
}

/// One connection until its end.
fn converse(mut stream: TcpStream, shared: &Shared) {
    let mut unread = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut unread) {
        let line = head.lines().next().unwrap_or_default().to_owned();
        shared.time.state().busy += 1;
        let number = shared.requests.fetch_add(1, Ordering::SeqCst);
        shared.seen.lock().unwrap().push((line.clone(), body));
        let (bytes, goes_on) = match (shared.reply)(number, &line) {
            Reply::Bytes(bytes) => (bytes, true),
            Reply::Late(time, bytes) => {
                shared.time.sleep(Some(time));
                (bytes, true)
            }
            Reply::Last(bytes) => (bytes, false),
            Reply::Silence => {
                shared.time.sleep(None);
                continue;
            }
        };
        let written = stream.write_all(&bytes).is_ok();
        if !goes_on {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        shared.time.state().busy -= 1;
        if !(written && goes_on) {
            return;
        }
    }
}

fn request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<(String, String)> {
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8(unread.clone()).unwrap();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            if let Some(body) = rest.get(..length) {
                unread.drain(..head.len() + 4 + length);
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(read) => unread.extend_from_slice(&buffer[..read]),
        }
    }
}

#[derive(Default)]
pub(super) struct Simulated {
    state: Mutex<Waiting>,
    advanced: Condvar,
}

#[derive(Default, Debug)]
struct Waiting {
    now_ns: u64,
    /// Requests that the server is computing an answer to.
    busy: usize,
    /// When each answer is due that the server sits on; `u64::MAX` for one that never comes.
    parked: Vec<u64>,
}

impl Waiting {
    /// True if nothing happens any more unless time goes on.
    fn is_quiet(&self, unanswered: usize) -> bool {
        self.busy == 0 && unanswered == self.parked.len()
    }

    /// Goes on to the next moment that somebody waits for. Answers that are due then are being computed.
    fn advance(&mut self, until_ns: u64) {
        let next_ns = self.parked.iter().copied().min();
        self.now_ns = self.now_ns.max(until_ns.min(next_ns.unwrap_or(u64::MAX)));
        let before = self.parked.len();
        self.parked.retain(|due_ns| *due_ns > self.now_ns);
        self.busy += before - self.parked.len();
    }
}

impl Simulated {
    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap()
    }

    /// The server sits on an answer that it computes for so long, which must be less than the load's
    /// time-out; without a time, for ever.
    fn sleep(&self, time: Option<Duration>) {
        let mut state = self.state();
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        let due_ns = time.map_or(u64::MAX, |time| state.now_ns + nanoseconds(time));
        state.busy -= 1;
        state.parked.push(due_ns);
        while time.is_some() && state.now_ns < due_ns {
            state = self.advanced.wait(state).unwrap();
        }
    }
}

impl Clock for Simulated {
    fn now_ns(&self) -> u64 {
        self.state().now_ns
    }

    /// No machine computes in simulated time.
    fn cpu_ns(&self) -> u64 {
        0
    }

    fn wait(&self, poll: &mut Poll, until_ns: u64, unanswered: usize) -> io::Result<usize> {
        let begun = Instant::now();
        loop {
            // In this order: what was sent before it was quiet is there to be seen.
            let quiet = self.state().is_quiet(unanswered);
            let events = poll.wait(if quiet { Duration::ZERO } else { LOOK })?;
            let mut state = self.state();
            if events == 0 && quiet {
                state.advance(until_ns);
                self.advanced.notify_all();
            }
            if events > 0 || state.now_ns >= until_ns {
                return Ok(events);
            }
            assert!(begun.elapsed() < PATIENCE, "nobody gets on: {state:?}");
        }
    }
}
