//! Clients that write, and record the answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::PATIENCE;
use super::draft::{Draft, may_be_sent_again, thanks};
use super::tail::Tail;
use crate::chance::Random;

/// A client that was refused so often for want of space writes no more.
const REFUSALS_MAX: u32 = 20;

/// A connection.
pub(super) struct Client {
    socket: BufReader<TcpStream>,
    /// The server's log.
    tail: Tail,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The review that `Location` names.
    pub(super) review: Option<u64>,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) fn to(address: SocketAddr, tail: &Tail) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket: BufReader::new(socket),
            tail: tail.clone(),
        })
    }

    pub(super) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n"))
    }

    /// Reads JSON that must be there.
    pub(super) fn read<T: DeserializeOwned>(&mut self, path: &str) -> T {
        let answer = self.get(path).unwrap();
        if answer.status != 200 {
            let why = self.tail.explain(&answer.body);
            panic!("{path} is answered {}: {why}", answer.status);
        }
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Sends the review of a number.
    pub(super) fn post(&mut self, key: u64) -> io::Result<Answer> {
        let body = Draft::of(key).json().to_string();
        let length = body.len();
        let again = if may_be_sent_again(key) {
            format!("Idempotency-Key: {key:016x}\r\n")
        } else {
            String::new()
        };
        self.ask(&format!(
            "POST /reviews HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n\
             {again}Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Changes something, without a body.
    pub(super) fn put(&mut self, path: &str) -> io::Result<Answer> {
        self.ask(&format!(
            "PUT {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n"
        ))
    }

    /// Removes something.
    pub(super) fn delete(&mut self, path: &str) -> io::Result<Answer> {
        self.ask(&format!("DELETE {path} HTTP/1.1\r\nHost: shop\r\n\r\n"))
    }

    /// Changes a review; the merchant's changes are made on the admin port.
    fn change(&mut self, review: u64, what: What) -> io::Result<Answer> {
        let (method, of, body) = match what {
            What::Vote => ("PUT", "/helpful", String::new()),
            What::Report => ("PUT", "/report", String::new()),
            What::Restore => ("PUT", "/restore", String::new()),
            What::Respond => {
                let body = json!({"response": thanks(review)});
                ("PUT", "/response", body.to_string())
            }
            What::Erase => ("DELETE", "", String::new()),
        };
        let length = body.len();
        self.ask(&format!(
            "{method} /reviews/{review}{of} HTTP/1.1\r\nHost: shop\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn ask(&mut self, request: &str) -> io::Result<Answer> {
        self.socket.get_mut().write_all(request.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.socket.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let head = head.to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = field("content-length: ").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body)?;
        Ok(Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            review: field("location: /reviews/").map(|id| id.parse().unwrap()),
            body,
        })
    }
}

/// A request of a client, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// The review of this number; acknowledged under an id, or its outcome is unknown.
    Post { key: u64, review: Option<u64> },
    /// A change of a review that was there once.
    Change { review: u64, what: What, told: Told },
}

/// A change of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Vote,
    Report,
    Restore,
    Respond,
    Erase,
}

/// The answer that a client had to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Its outcome is unknown.
    Nothing,
    Done,
    /// There is no such review.
    Missing,
}

impl Deed {
    pub(super) fn is_acknowledged(&self) -> bool {
        match self {
            Self::Post { review, .. } => review.is_some(),
            Self::Change { told, .. } => *told == Told::Done,
        }
    }
}

impl What {
    fn is_the_merchant_s(self) -> bool {
        matches!(self, Self::Restore | Self::Respond | Self::Erase)
    }
}

/// The state that all clients of one round share.
pub(super) struct Load<'a> {
    pub(super) api: SocketAddr,
    pub(super) admin: SocketAddr,
    /// The server's log.
    pub(super) tail: Tail,
    /// The reviews there were at the start.
    pub(super) known: &'a [u64],
    /// The reviews that were acknowledged since.
    pub(super) recent: &'a Mutex<Vec<u64>>,
    /// Set before the server is killed, or from the start where it is to end by itself.
    pub(super) may_end: &'a AtomicBool,
}

/// The acts of one client, until the server closed.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) deeds: Vec<Deed>,
    /// The time of the first answer that the server cannot write.
    pub(super) refused: Option<Instant>,
    /// True if the server still called itself ready after that.
    pub(super) ready_afterwards: bool,
    /// True if the server acknowledged a write after that.
    pub(super) acknowledged_afterwards: bool,
}

impl Journal {
    /// The server refused a write, because it can not.
    fn refuse(&mut self, admin: io::Result<Client>) {
        self.refused.get_or_insert_with(Instant::now);
        let ready = admin.and_then(|mut admin| admin.get("/readyz"));
        self.ready_afterwards |= ready.is_ok_and(|ready| ready.status == 200);
    }
}

impl Load<'_> {
    /// Writes until the server closes. `keys` begins a range of numbers that no other client uses;
    /// `acknowledged` receives every acknowledged write.
    pub(super) fn run(&self, mut random: Random, keys: u64, acknowledged: &Sender<()>) -> Journal {
        let mut journal = Journal::default();
        let to = |address| Client::to(address, &self.tail);
        let (Ok(mut client), Ok(mut operator)) = (to(self.api), to(self.admin)) else {
            assert!(self.may_end.load(Ordering::SeqCst), "it does not listen");
            return journal;
        };
        let mut refusals = 0;
        for key in keys.. {
            let deed = self.choose(&mut random, key);
            let answer = match deed {
                Deed::Post { key, .. } => client.post(key),
                Deed::Change { review, what, .. } if what.is_the_merchant_s() => {
                    operator.change(review, what)
                }
                Deed::Change { review, what, .. } => client.change(review, what),
            };
            let told = answer.as_ref().ok();
            if told.is_some_and(|told| told.status == 507) {
                assert!(
                    self.may_end.load(Ordering::SeqCst),
                    "{deed:?} finds no space"
                );
                // The write was not done; a client that goes on gets the same answer.
                journal.refuse(to(self.admin));
                refusals += 1;
                if refusals == REFUSALS_MAX {
                    return journal;
                }
                continue;
            }
            let deed = self.settle(deed, told);
            journal.deeds.push(deed);
            if deed.is_acknowledged() {
                // The receiver may be dropped once the kill is decided.
                let _ = acknowledged.send(());
                journal.acknowledged_afterwards |= journal.refused.is_some();
            }
            match answer {
                Ok(answer) if answer.status == 503 => journal.refuse(to(self.admin)),
                Ok(_) => {}
                Err(error) => {
                    let may_end = self.may_end.load(Ordering::SeqCst);
                    assert!(may_end, "a server that lives ends a connection: {error}");
                    return journal;
                }
            }
        }
        journal
    }

    fn choose(&self, random: &mut Random, key: u64) -> Deed {
        let what = match random.below(256) {
            0..=143 => None,
            144..=207 => Some(What::Vote),
            208..=223 => Some(What::Report),
            224..=231 => Some(What::Restore),
            232..=254 => Some(What::Respond),
            // It takes longest by far, since files are rewritten.
            _ => Some(What::Erase),
        };
        match what.and_then(|what| Some((what, self.target(random)?))) {
            None => Deed::Post { key, review: None },
            Some((what, review)) => Deed::Change {
                review,
                what,
                told: Told::Nothing,
            },
        }
    }

    /// A review that is there, or was: often one of the newest, so that several writes meet on it.
    fn target(&self, random: &mut Random) -> Option<u64> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = recent.get(recent.len().saturating_sub(8)..).unwrap_or(&[]);
        match random.below(4) {
            0 => random.pick(self.known),
            1 => random.pick(&recent),
            _ => random.pick(newest),
        }
        .copied()
    }

    fn settle(&self, deed: Deed, told: Option<&Answer>) -> Deed {
        let status = told.map(|answer| answer.status);
        match (deed, status) {
            (_, None | Some(503)) => deed,
            (Deed::Post { key, .. }, Some(201)) => {
                let review = told.and_then(|answer| answer.review);
                let id = review.unwrap_or_else(|| panic!("201 without Location"));
                let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
                recent.push(id);
                Deed::Post { key, review }
            }
            (Deed::Change { review, what, .. }, Some(204 | 404)) => Deed::Change {
                review,
                what,
                told: if status == Some(204) {
                    Told::Done
                } else {
                    Told::Missing
                },
            },
            // A review whose files could not be rewritten is erased all the same, or not: it is unknown.
            (
                Deed::Change {
                    what: What::Erase, ..
                },
                Some(500),
            ) if self.may_end.load(Ordering::SeqCst) => deed,
            _ => {
                let why = told.map(|answer| self.tail.explain(&answer.body));
                panic!(
                    "{deed:?} is answered {status:?}: {}",
                    why.unwrap_or_default()
                )
            }
        }
    }
}
