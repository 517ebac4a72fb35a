//! Clients of every manner, which count each request that is not answered as it should be. None
//! tries a request again.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time after which a request counts as failed: longer than any restart.
const PATIENCE: Duration = Duration::from_secs(30);

/// The manner of a client.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// Sends reviews, not questions.
    writes: bool,
    /// Connects anew for each request.
    fresh: bool,
    /// Waits up to so many milliseconds between an answer and the next request.
    pause_ms_max: u64,
}

const fn manner(writes: bool, fresh: bool, pause_ms_max: u64) -> Manner {
    Manner {
        writes,
        fresh,
        pause_ms_max,
    }
}

/// One thread each.
const MANNERS: [Manner; 14] = [
    manner(false, false, 0),
    manner(false, false, 0),
    manner(false, false, 2),
    manner(false, false, 20),
    manner(false, false, 200),
    manner(false, false, 1000),
    manner(false, true, 0),
    manner(false, true, 20),
    manner(true, false, 0),
    manner(true, false, 2),
    manner(true, false, 20),
    manner(true, false, 200),
    manner(true, false, 1000),
    manner(true, true, 5),
];

/// The outcomes of all requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) failures: Vec<String>,
    longest: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} reads and {} writes answered, {} failed, the longest took {:.0?}",
            self.read,
            self.written,
            self.failures.len(),
            self.longest
        )
    }
}

/// Prints it for a script.
#[allow(clippy::print_stdout, reason = "a script shows it to people")]
pub(super) fn report(tally: &Tally) {
    println!("{tally}");
}

/// Clients at work.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Tally>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    requests: AtomicU64,
    answered: Mutex<u64>,
    more: Condvar,
}

impl Clients {
    /// Sets all of them on a server.
    pub(super) fn start(address: SocketAddr, product: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = MANNERS.map(|manner| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || work(address, product, manner, &shared))
        });
        Self {
            shared,
            threads: threads.into(),
        }
    }

    /// Waits until so many more requests are answered, or failed.
    pub(super) fn wait_for_answers(&self, more: u64) {
        let mut answered = self.shared.answered.lock().unwrap();
        let enough = *answered + more;
        while *answered < enough {
            answered = self.shared.more.wait(answered).unwrap();
        }
    }

    /// Ends the work.
    pub(super) fn stop(self) -> Tally {
        self.shared.is_over.store(true, Relaxed);
        let mut all = Tally::default();
        for thread in self.threads {
            let tally = thread.join().unwrap();
            all.read += tally.read;
            all.written += tally.written;
            all.longest = all.longest.max(tally.longest);
            all.failures.extend(tally.failures);
        }
        all
    }
}

fn work(address: SocketAddr, product: u64, manner: Manner, shared: &Shared) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    while !shared.is_over.load(Relaxed) {
        let number = shared.requests.fetch_add(1, Relaxed);
        let begun = Instant::now();
        let expected = if manner.writes { 201 } else { 200 };
        match ask(&mut connection, address, product, manner, number) {
            Ok(answer) if answer.status == expected && manner.writes => tally.written += 1,
            Ok(answer) if answer.status == expected => tally.read += 1,
            Ok(answer) => tally
                .failures
                .push(format!("{manner:?}: status {}", answer.status)),
            Err(error) => {
                tally.failures.push(format!("{manner:?}: {error}"));
                connection = None;
            }
        }
        tally.longest = tally.longest.max(begun.elapsed());
        *shared.answered.lock().unwrap() += 1;
        shared.more.notify_all();
        if manner.pause_ms_max > 0 {
            // Every length there is, in no order.
            let pause_ms = number.wrapping_mul(7919) % manner.pause_ms_max;
            thread::sleep(Duration::from_millis(pause_ms));
        }
    }
    tally
}

fn ask(
    connection: &mut Option<Connection>,
    address: SocketAddr,
    product: u64,
    manner: Manner,
    number: u64,
) -> io::Result<Answer> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(address)?,
    };
    let close = if manner.fresh {
        "Connection: close\r\n"
    } else {
        ""
    };
    let answer = if manner.writes {
        let body = format!(
            r#"{{"product_id":{product},"rating":4,"summary":"restart {number}","body":"Still there.","recommend":true,"name":"pine","email":"pine@example.org"}}"#
        );
        let length = body.len();
        open.send(&format!(
            "POST /reviews HTTP/1.1\r\nHost: shop\r\n{close}Content-Length: {length}\r\n\r\n{body}"
        ))?
    } else {
        let page = number % 3 + 1;
        open.send(&format!(
            "GET /reviews?product_id={product}&page={page} HTTP/1.1\r\nHost: shop\r\n{close}\r\n"
        ))?
    };
    if !answer.closes {
        *connection = Some(open);
    }
    Ok(answer)
}

/// The number of reviews of a product that count.
pub(super) fn reviews_of(address: SocketAddr, product: u64) -> u64 {
    let mut connection = Connection::open(address).unwrap();
    let answer = connection.get(&format!("/reviews/meta?product_id={product}"));
    let meta: serde_json::Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    let ratings = meta["ratings"].as_object().unwrap().values();
    ratings
        .map(|n| n.as_str().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// A connection of a client.
pub(crate) struct Connection {
    socket: BufReader<TcpStream>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// True if the server says that it is the last on its connection.
    closes: bool,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket: BufReader::new(socket),
        })
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n"))
    }

    /// Asks the server to end the connection with its answer.
    pub(crate) fn get_last(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
        ))
    }

    /// True if the server ends it without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.socket.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    fn send(&mut self, request: &str) -> io::Result<Answer> {
        self.socket.get_mut().write_all(request.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.socket.read_line(&mut head)? == 0 {
                return Err(io::Error::other(format!("ended after {head:?}")));
            }
        }
        let head = head.to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = header("content-length: ").map_or(Ok(0), str::parse);
        let mut body = vec![0; length.map_err(io::Error::other)?];
        self.socket.read_exact(&mut body)?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Ok(Answer {
            status: status.unwrap_or(0),
            closes: header("connection: close").is_some(),
            body,
        })
    }
}
