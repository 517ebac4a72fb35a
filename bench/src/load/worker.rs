//! The thread that sends: starts requests when they are due, and reads what comes back. Beside it, the
//! thread that checks bodies.
//!
//! Owns the loop and the sockets. In an open loop a request starts at its time if a connection is free,
//! whether or not earlier answers have come; if none is, it waits with its intended start, which its
//! latency counts from. It must not know what a right body is, nor what is made of the figures.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::thread::set_current_timer_slack;

use crate::load::check::check;
use crate::load::client::Target;
use crate::load::clock::{Clock, nanoseconds};
use crate::load::mix::{Asked, Mix};
use crate::load::poll::{self, Poll, Ready};
use crate::load::record::{Fault, Flight, Record};
use crate::load::response::{self, Answer, Reading};
use crate::load::schedule::{Due, Schedule};

/// The period at which time-outs, the end and the wish to stop are looked for.
const TICK_NS: u64 = 10_000_000;
/// In a closed loop a connection that is refused rests, instead of asking as fast as it can.
const REST_NS: u64 = 10_000_000;
/// After a wish to stop, answers on their way are waited for so long.
const STOP_PATIENCE_NS: u64 = 1_000_000_000;
/// Requests of a phase that could not start so long after its end are given up, so that no phase
/// suffers from the one before.
const GRACE_NS: u64 = 10_000_000;
/// A read has so much room at least.
const READ_BYTES_MIN: usize = 16 << 10;
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// An unexpected answer's body is shown so far.
const EXCERPT_BYTES_MAX: usize = 200;
/// The lowest priority there is.
const NICE: i32 = 19;

/// All that a run is made of.
pub(crate) struct Shared<'a> {
    pub(crate) schedule: &'a Schedule,
    pub(crate) mix: &'a Mix,
    pub(crate) target: &'a Target,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) timeout: Duration,
    pub(crate) check_one_in: u64,
}

/// An answer that is to be checked.
pub(crate) struct Sample {
    asked: Asked,
    phase: usize,
    body: Vec<u8>,
}

/// The results of the checks.
#[derive(Default)]
pub(crate) struct Checked {
    /// Bodies looked at, of each phase.
    pub(crate) bodies: Vec<u64>,
    /// The answers found wrong, by phase and kind of request.
    pub(crate) wrong: BTreeMap<(usize, usize), u64>,
    /// The first that was wrong.
    pub(crate) example: Option<String>,
}

/// Checks bodies at the lowest priority, so that a large one holds up no request.
pub(crate) fn check_all(mix: &Mix, phases: usize, samples: Receiver<Sample>) -> Checked {
    // Without the priority it only costs the load some of its time.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut checked = Checked {
        bodies: vec![0; phases],
        ..Checked::default()
    };
    for Sample { asked, phase, body } in samples {
        let Some(request) = mix.request(&asked) else {
            continue;
        };
        if let Some(bodies) = checked.bodies.get_mut(phase) {
            *bodies += 1;
        }
        if let Err(why) = check(request, &asked, &body) {
            *checked.wrong.entry((phase, asked.part)).or_default() += 1;
            checked.example.get_or_insert_with(|| {
                let (mut out, mut room) = (Vec::new(), Vec::new());
                mix.write(asked.number, &mut out, &mut room);
                format!("{}: {why}{}", request_line(&out), excerpt(&body))
            });
        }
    }
    checked
}

/// One connection: a request out, its answer in.
#[derive(Default)]
struct Connection {
    stream: Option<TcpStream>,
    state: State,
    /// The socket's generation, which tells its events from those of the one before.
    generation: u32,
    /// The request, and how much of it has been written.
    out: Vec<u8>,
    written: usize,
    /// The bytes of the answer, and how many there must be before it can be whole.
    answer: Vec<u8>,
    needed: Option<usize>,
    flight: Flight,
    free_since_ns: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Without a request, and perhaps without a socket.
    #[default]
    Free,
    Connecting,
    Busy,
}

/// An answer, once it is whole, or the reason why none will come.
type Progress = Result<Option<Answer>, (Fault, String)>;

impl Connection {
    /// Takes a socket.
    fn adopt(&mut self, stream: TcpStream, poll: &Poll, index: u32) -> io::Result<()> {
        self.generation = self.generation.wrapping_add(1);
        let token = (u64::from(self.generation) << 32) | u64::from(index);
        poll.add(&stream, token)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Sends what is in `out`, after connecting where there is no connection.
    fn start(&mut self, target: &Target, poll: &Poll, index: u32) -> Progress {
        self.written = 0;
        self.answer.clear();
        self.needed = Some(1);
        if self.stream.is_some() {
            self.state = State::Busy;
            return self.send();
        }
        self.state = State::Connecting;
        let opened = poll::connect(target.address);
        opened
            .and_then(|stream| self.adopt(stream, poll, index))
            .map_err(|error| (Fault::Refused, error.to_string()))?;
        Ok(None)
    }

    fn send(&mut self) -> Progress {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        while let Some(rest @ [_, ..]) = self.out.get(self.written..) {
            match stream.write(rest) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err((Fault::Closed, error.to_string())),
            }
        }
        Ok(None)
    }

    /// Does what an event allows.
    fn go_on(&mut self, ready: &Ready) -> Progress {
        match self.state {
            State::Free => {
                // An idle connection that says something is not used again.
                if ready.readable {
                    self.stream = None;
                }
                return Ok(None);
            }
            State::Connecting => {
                let stream = self.stream.as_ref();
                match stream.and_then(|stream| stream.take_error().transpose()) {
                    Some(Ok(error) | Err(error)) => {
                        return Err((Fault::Refused, error.to_string()));
                    }
                    None if ready.writable => self.state = State::Busy,
                    None => return Ok(None),
                }
            }
            State::Busy => {}
        }
        if ready.writable {
            self.send()?;
        }
        if ready.readable {
            self.receive(ready.ended)
        } else {
            Ok(None)
        }
    }

    fn receive(&mut self, ended: bool) -> Progress {
        loop {
            let Some(stream) = &self.stream else {
                return Ok(None);
            };
            if self.answer.capacity() - self.answer.len() < READ_BYTES_MIN {
                self.answer
                    .reserve(self.answer.len().max(2 * READ_BYTES_MIN));
            }
            let room = self.answer.capacity() - self.answer.len();
            let read = match rustix::io::read(stream, spare_capacity(&mut self.answer)) {
                Ok(read) => read,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(error) => return Err((Fault::Closed, error.to_string())),
            };
            let is_enough = self
                .needed
                .is_some_and(|needed| self.answer.len() >= needed);
            if read == 0 || is_enough {
                match response::read(&self.answer, read == 0) {
                    Ok(Reading::Whole(answer)) => return Ok(Some(answer)),
                    Ok(Reading::Short(needed)) => self.needed = needed,
                    Err(why) => return Err((Fault::Malformed, why)),
                }
            }
            if read == 0 || self.answer.len() > ANSWER_BYTES_MAX {
                let why = "the connection was closed before the answer was whole".to_owned();
                return Err((Fault::Closed, why));
            }
            // A read that left room has read all there was; an end would be another event.
            if read < room && !ended {
                return Ok(None);
            }
        }
    }
}

/// The thread that sends.
pub(crate) struct Worker<'a> {
    shared: Shared<'a>,
    /// The clock's time when the run began.
    origin_ns: u64,
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections without a request, the one that has been so longest first.
    free: VecDeque<u32>,
    /// Connections that were refused, until they may try again.
    resting: VecDeque<(u64, u32)>,
    /// The number of the next request.
    number: u64,
    in_flight: usize,
    /// Requests whose answer is not waited for any more.
    given_up: usize,
    request_body: Vec<u8>,
    samples: SyncSender<Sample>,
    record: Record<'a>,
    stopped_ns: Option<u64>,
}

impl<'a> Worker<'a> {
    /// A worker with connections that are open; those without a socket are opened when they are needed.
    pub(crate) fn new(
        shared: Shared<'a>,
        streams: Vec<Option<TcpStream>>,
        samples: SyncSender<Sample>,
        record: Record<'a>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(streams.len());
        for (index, stream) in (0..).zip(streams) {
            let mut connection = Connection::default();
            if let Some(stream) = stream {
                stream.set_nonblocking(true)?;
                connection.adopt(stream, &poll, index)?;
            }
            connections.push(connection);
        }
        Ok(Self {
            origin_ns: shared.clock.now_ns(),
            shared,
            poll,
            free: (0..).take(connections.len()).collect(),
            connections,
            resting: VecDeque::new(),
            number: 0,
            in_flight: 0,
            given_up: 0,
            request_body: Vec::new(),
            samples,
            record,
            stopped_ns: None,
        })
    }

    /// Works until the plan is over, or `stop` is set. Also says when that was.
    pub(crate) fn run(mut self) -> io::Result<(Record<'a>, Option<u64>)> {
        // The kernel may be late by 50 µs unless it is told otherwise; where it may not be told, the
        // lateness shows it.
        let _ = set_current_timer_slack(NonZero::new(1));
        let clock = self.shared.clock;
        let mut next_tick_ns = 0;
        loop {
            let now_ns = self.now_ns();
            if now_ns >= next_tick_ns {
                self.tick(now_ns);
                next_tick_ns = now_ns + TICK_NS;
            }
            let due_ns = self.dispatch();
            if self.is_over(self.now_ns()) {
                break;
            }
            let until_ns = self.origin_ns + due_ns.unwrap_or(u64::MAX).min(next_tick_ns);
            let unanswered = self.in_flight + self.given_up;
            let events = clock.wait(&mut self.poll, until_ns, unanswered)?;
            for index in 0..events {
                if let Some(ready) = self.poll.event(index) {
                    self.handle(&ready);
                    // A batch of answers must not hold up what is due meanwhile.
                    self.dispatch();
                }
            }
        }
        for connection in &self.connections {
            if connection.state != State::Free {
                self.record.abandoned(&connection.flight);
            }
        }
        let now_ns = self.now_ns();
        self.record.finish(now_ns);
        Ok((self.record, self.stopped_ns))
    }

    fn now_ns(&self) -> u64 {
        self.shared.clock.now_ns() - self.origin_ns
    }

    /// No request is to come and none is on its way.
    fn is_over(&self, now_ns: u64) -> bool {
        if let Some(stopped_ns) = self.stopped_ns {
            return self.in_flight == 0 || now_ns > stopped_ns + STOP_PATIENCE_NS;
        }
        let schedule = self.shared.schedule;
        let none_left = schedule.is_closed() || schedule.due(self.number).is_none();
        now_ns >= schedule.end_ns() && none_left && self.in_flight == 0
    }

    /// Starts whatever may start now, and returns when the next request is due that can start by itself.
    fn dispatch(&mut self) -> Option<u64> {
        let schedule = self.shared.schedule;
        let timeout_ns = nanoseconds(self.shared.timeout);
        let closed = schedule.is_closed();
        while self.stopped_ns.is_none() {
            let now_ns = self.now_ns();
            let due = if closed {
                let phase = schedule.phase_at(now_ns);
                phase.map(|phase| Due {
                    number: self.number,
                    phase,
                    intended_ns: now_ns,
                })
            } else {
                schedule.due(self.number)
            };
            let due = due?;
            let phase_end_ns = schedule
                .phases
                .get(due.phase)
                .map_or(0, |phase| phase.end_ns);
            if due.intended_ns > now_ns {
                return (!self.free.is_empty()).then_some(due.intended_ns);
            } else if now_ns > phase_end_ns + GRACE_NS {
                self.number = schedule.after_phase(&due);
            } else if now_ns > due.intended_ns + timeout_ns {
                self.number += 1;
            } else {
                let index = self.free.pop_front()?;
                self.number += 1;
                self.start(index, due, now_ns);
            }
        }
        None
    }

    fn start(&mut self, index: u32, due: Due, now_ns: u64) {
        let Some(connection) = self.connections.get_mut(index as usize) else {
            return;
        };
        let mix = self.shared.mix;
        let asked = mix.write(due.number, &mut connection.out, &mut self.request_body);
        connection.flight = Flight {
            asked,
            phase: due.phase,
            intended_ns: due.intended_ns,
            ready_ns: due.intended_ns.max(connection.free_since_ns),
            started_ns: now_ns,
        };
        self.in_flight += 1;
        let connects = connection.stream.is_none();
        self.record.started(&connection.flight, connects);
        let started = connection.start(self.shared.target, &self.poll, index);
        if let Err((fault, why)) = started {
            self.fail(index, fault, &why);
        }
    }

    fn handle(&mut self, ready: &Ready) {
        let index = ready.index();
        let Some(connection) = self.connections.get_mut(index as usize) else {
            return;
        };
        let is_meant = ready.token >> 32 == u64::from(connection.generation);
        if connection.stream.is_none() || !is_meant {
            return;
        }
        match connection.go_on(ready) {
            Ok(None) => {}
            Ok(Some(answer)) => self.answered(index, &answer, ready.ended),
            Err((fault, why)) => self.fail(index, fault, &why),
        }
    }

    fn answered(&mut self, index: u32, answer: &Answer, ended: bool) {
        let now_ns = self.now_ns();
        let Some(connection) = self.connections.get_mut(index as usize) else {
            return;
        };
        let Flight { asked, phase, .. } = connection.flight;
        let status = answer.status;
        let request = self.shared.mix.request(&asked);
        let is_success = request.is_some_and(|request| status == request.success());
        if is_success || request.is_some_and(|request| request.also_right.contains(&status)) {
            self.record.right(&connection.flight, now_ns);
            let one_in = self.shared.check_one_in;
            if is_success && one_in > 0 && asked.number.is_multiple_of(one_in) {
                let body = answer.body(&connection.answer);
                let sample = Sample { asked, phase, body };
                self.record.checks_skipped += u64::from(self.samples.try_send(sample).is_err());
            }
        } else {
            self.record
                .wrong(&connection.flight, Fault::Status(status), now_ns, || {
                    let body = answer.body(&connection.answer);
                    let line = request_line(&connection.out);
                    format!(
                        "{line}: {status} instead of the right status{}",
                        excerpt(&body)
                    )
                });
        }
        self.release(index, answer.keeps_open && !ended, now_ns);
    }

    /// Gives the connection back.
    fn release(&mut self, index: u32, keeps_open: bool, now_ns: u64) {
        if let Some(connection) = self.connections.get_mut(index as usize) {
            if !keeps_open {
                connection.stream = None;
            }
            connection.state = State::Free;
            connection.free_since_ns = now_ns;
            self.in_flight -= 1;
            self.free.push_back(index);
        }
    }

    /// The request on this connection failed, and the connection with it.
    fn fail(&mut self, index: u32, fault: Fault, why: &str) {
        let now_ns = self.now_ns();
        if let Some(connection) = self.connections.get(index as usize) {
            let example = || format!("{}: {why}", request_line(&connection.out));
            self.record
                .wrong(&connection.flight, fault, now_ns, example);
        }
        self.release(index, false, now_ns);
        if self.shared.schedule.is_closed() && fault == Fault::Refused {
            let last = self.free.pop_back();
            self.resting
                .extend(last.map(|index| (now_ns + REST_NS, index)));
        }
    }

    /// Looks at what need not be looked at all the time.
    fn tick(&mut self, now_ns: u64) {
        if self.stopped_ns.is_none() && self.shared.stop.load(Ordering::Relaxed) {
            self.stopped_ns = Some(now_ns);
            self.record.stop();
        }
        self.record.tick(now_ns);
        while let Some((_, index)) = self
            .resting
            .pop_front_if(|(until_ns, _)| *until_ns <= now_ns)
        {
            self.free.push_back(index);
        }
        let timeout_ns = nanoseconds(self.shared.timeout);
        for index in (0..).take(self.connections.len()) {
            let connection = self.connections.get(index as usize);
            if connection.is_some_and(|connection| {
                let deadline_ns = connection.flight.started_ns + timeout_ns;
                connection.state != State::Free && now_ns > deadline_ns
            }) {
                self.given_up += 1;
                self.fail(index, Fault::Timeout, "no whole answer in time");
            }
        }
    }
}

fn request_line(out: &[u8]) -> String {
    let line = out.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = line.strip_suffix(b" HTTP/1.1").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

/// Returns the beginning of an answer's body, for a person to read.
fn excerpt(body: &[u8]) -> String {
    let shown = body.get(..EXCERPT_BYTES_MAX).unwrap_or(body).trim_ascii();
    if shown.is_empty() {
        return String::new();
    }
    format!(" ({})", String::from_utf8_lossy(shown).escape_debug())
}
