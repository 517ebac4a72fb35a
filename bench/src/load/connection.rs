//! One connection: a request out, its answer in, and what became of it.
//!
//! Owns the socket and its buffers. It must not know the schedule, nor what is counted.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::{io, mem};

use crate::load::mix::Asked;
use crate::load::poll::{self, Poll, Ready};
use crate::load::record::{Fault, Times};
use crate::load::response::{Answer, Reader};

/// A larger body is not looked at.
const KEPT_BYTES_MAX: usize = 16 << 20;

pub(crate) struct Connection {
    stream: Option<TcpStream>,
    state: State,
    /// The socket's generation, which tells its events from those of the one before.
    generation: u32,
    /// The request, and how much of it has been written.
    pub(crate) out: Vec<u8>,
    written: usize,
    reader: Reader,
    /// The answer's body, where it is to be checked.
    body: Vec<u8>,
    pub(crate) flight: Flight,
    pub(crate) free_since_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Without a socket, or with one, and without a request.
    Free,
    Connecting,
    Busy,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) asked: Asked,
    pub(crate) phase: usize,
    pub(crate) times: Times,
    /// True if the body is to be checked.
    pub(crate) checked: bool,
}

/// The progress that an event brought.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing yet.
    Pending,
    /// The whole answer.
    Answered(Answer),
    /// None will come.
    Failed(Fault, String),
}

impl Connection {
    pub(crate) fn new() -> Self {
        Self {
            stream: None,
            state: State::Free,
            generation: 0,
            out: Vec::new(),
            written: 0,
            reader: Reader::default(),
            body: Vec::new(),
            flight: Flight {
                asked: Asked::default(),
                phase: 0,
                times: Times {
                    intended_ns: 0,
                    ready_ns: 0,
                    started_ns: 0,
                },
                checked: false,
            },
            free_since_ns: 0,
        }
    }

    pub(crate) fn is_free(&self) -> bool {
        self.state == State::Free
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Takes a socket that is connected already.
    pub(crate) fn adopt(&mut self, stream: TcpStream, poll: &Poll, index: u32) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        self.generation = self.generation.wrapping_add(1);
        poll.add(&stream, self.token(index))?;
        self.stream = Some(stream);
        Ok(())
    }

    fn token(&self, index: u32) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(index)
    }

    /// True if an event is of the socket there is now.
    pub(crate) fn is_meant(&self, ready: &Ready) -> bool {
        self.stream.is_some() && ready.token >> 32 == u64::from(self.generation)
    }

    /// Sends what is in `out`, after connecting where there is no connection.
    pub(crate) fn start(&mut self, address: SocketAddr, poll: &Poll, index: u32) -> Progress {
        self.written = 0;
        self.body.clear();
        self.reader.reset();
        if self.stream.is_some() {
            self.state = State::Busy;
            return self.send();
        }
        self.state = State::Connecting;
        self.generation = self.generation.wrapping_add(1);
        let opened = poll::connect(address).and_then(|stream| {
            poll.add(&stream, self.token(index))?;
            Ok(stream)
        });
        match opened {
            Ok(stream) => {
                self.stream = Some(stream);
                Progress::Pending
            }
            Err(error) => Progress::Failed(Fault::Refused, error.to_string()),
        }
    }

    fn send(&mut self) -> Progress {
        let Some(stream) = &mut self.stream else {
            return Progress::Pending;
        };
        while let Some(rest @ [_, ..]) = self.out.get(self.written..) {
            match stream.write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Progress::Failed(Fault::Closed, error.to_string()),
            }
        }
        Progress::Pending
    }

    /// Does what an event allows.
    pub(crate) fn go_on(&mut self, ready: &Ready, buffer: &mut [u8]) -> Received {
        let nothing = Received {
            bytes: 0,
            progress: Progress::Pending,
        };
        match self.state {
            State::Free => {
                // Whatever an idle connection says, it is not used again.
                if ready.readable {
                    self.close();
                }
                nothing
            }
            State::Connecting => {
                let failed = self
                    .stream
                    .as_ref()
                    .and_then(|stream| stream.take_error().transpose());
                match failed {
                    Some(Ok(error) | Err(error)) => Received {
                        bytes: 0,
                        progress: Progress::Failed(Fault::Refused, error.to_string()),
                    },
                    None if ready.writable => {
                        self.state = State::Busy;
                        Received {
                            bytes: 0,
                            progress: self.send(),
                        }
                    }
                    None => nothing,
                }
            }
            State::Busy => {
                if ready.writable && self.written < self.out.len() {
                    let sent = self.send();
                    if !matches!(sent, Progress::Pending) {
                        return Received {
                            bytes: 0,
                            progress: sent,
                        };
                    }
                }
                if ready.readable {
                    return self.receive(ready.ended, buffer);
                }
                nothing
            }
        }
    }

    fn receive(&mut self, ended: bool, buffer: &mut [u8]) -> Received {
        let mut bytes = 0;
        let progress = loop {
            let Some(stream) = &mut self.stream else {
                break Progress::Pending;
            };
            match stream.read(buffer) {
                Ok(0) => {
                    break match self.reader.end() {
                        Ok(answer) => Progress::Answered(answer),
                        Err(_) => Progress::Failed(
                            Fault::Closed,
                            "the connection was closed before the answer was whole".to_owned(),
                        ),
                    };
                }
                Ok(read) => {
                    bytes += read;
                    let came = buffer.get(..read).unwrap_or_default();
                    let kept = self.flight.checked && self.body.len() < KEPT_BYTES_MAX;
                    match self.reader.feed(came, kept.then_some(&mut self.body)) {
                        Ok(Some(answer)) => break Progress::Answered(answer),
                        Ok(None) => {}
                        Err(error) => break Progress::Failed(Fault::Malformed, error.to_string()),
                    }
                    // A read that left room has read all there was; an end would be another event.
                    if read < buffer.len() && !ended {
                        break Progress::Pending;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Progress::Pending,
                Err(error) => break Progress::Failed(Fault::Closed, error.to_string()),
            }
        };
        Received { bytes, progress }
    }

    /// The body of the answer; `None` when it was too large to keep.
    pub(crate) fn take_body(&mut self) -> Option<Vec<u8>> {
        let body = mem::take(&mut self.body);
        (body.len() < KEPT_BYTES_MAX).then_some(body)
    }

    /// The request is over.
    pub(crate) fn release(&mut self, now_ns: u64) {
        self.state = State::Free;
        self.free_since_ns = now_ns;
    }

    pub(crate) fn close(&mut self) {
        self.stream = None;
    }
}

/// The bytes that an event brought.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: usize,
    pub(crate) progress: Progress,
}
