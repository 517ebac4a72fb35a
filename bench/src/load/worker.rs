//! One thread's share of the load: starts requests when they are due, and reads what comes back.
//!
//! Owns the loop. In an open loop a request starts at its time if a connection is free, whether or
//! not earlier answers have come; if none is, it waits with its intended start, which its latency
//! counts from. It must not know what a right body is, nor what is made of the figures.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::Sender;
use rustix::thread::set_current_timer_slack;

use crate::load::accounts::Accounts;
use crate::load::checker::Desk;
use crate::load::clock::Clock;
use crate::load::connection::{Connection, Flight, Progress};
use crate::load::mix::Mix;
use crate::load::poll::{Poll, Ready};
use crate::load::record::{Fault, Record, SecondTally, Times};
use crate::load::response::Answer;
use crate::load::schedule::{Cursor, Due, Schedule};
use crate::load::target::Target;

/// The period at which time-outs, the end and the wish to stop are looked for.
const TICK_NS: u64 = 10_000_000;
/// In a closed loop a connection that is refused rests, instead of asking as fast as it can.
const REST_NS: u64 = 10_000_000;
/// After a wish to stop, answers on their way are waited for so long.
const STOP_PATIENCE_NS: u64 = 1_000_000_000;
/// Requests of a phase that could not start so long after its end are given up, so that no phase
/// suffers from the one before.
const GRACE_NS: u64 = 10_000_000;
const BUFFER_BYTES: usize = 256 << 10;
/// An unexpected answer's body is shown so far.
const EXCERPT_BYTES_MAX: usize = 200;

/// The state that all threads of a run share.
pub(crate) struct Shared<'a> {
    pub(crate) schedule: &'a Schedule,
    pub(crate) mix: &'a Mix,
    pub(crate) target: &'a Target,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) timeout: Duration,
    pub(crate) check_one_in: u64,
    pub(crate) threads: u64,
}

pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections without a request, the one that has been so longest first.
    free: VecDeque<u32>,
    /// Connections that were refused, until they may try again.
    resting: VecDeque<(u64, u32)>,
    cursor: Cursor,
    next: Option<Due>,
    /// The number of the next request of a closed loop.
    number: u64,
    in_flight: usize,
    /// Requests whose answer is not waited for any more.
    given_up: usize,
    buffer: Box<[u8]>,
    request_body: Vec<u8>,
    desk: Desk,
    accounts: Accounts<'a>,
    stopped_ns: Option<u64>,
}

impl<'a> Worker<'a> {
    /// The worker of this number, with connections that are open; those without a socket are opened
    /// when they are needed.
    pub(crate) fn new(
        shared: &'a Shared<'a>,
        thread: u64,
        streams: Vec<Option<TcpStream>>,
        desk: Desk,
        seconds: Sender<SecondTally>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(streams.len());
        for (index, stream) in (0..).zip(streams) {
            let mut connection = Connection::new();
            if let Some(stream) = stream {
                connection.adopt(stream, &poll, index)?;
            }
            connections.push(connection);
        }
        let schedule = shared.schedule;
        let mut cursor = Cursor::new(thread, shared.threads);
        Ok(Self {
            shared,
            poll,
            free: (0..).take(connections.len()).collect(),
            connections,
            resting: VecDeque::new(),
            next: cursor.peek(schedule),
            cursor,
            number: thread,
            in_flight: 0,
            given_up: 0,
            buffer: vec![0; BUFFER_BYTES].into(),
            request_body: Vec::new(),
            desk,
            accounts: Accounts::new(schedule, shared.clock, shared.mix.labels().count(), seconds),
            stopped_ns: None,
        })
    }

    /// Works until the plan is over, or somebody wishes it to stop. Also says when that was.
    pub(crate) fn run(mut self) -> io::Result<(Record, Option<u64>)> {
        // The kernel may be late by 50 µs unless it is told otherwise; where it may not be told, the
        // lateness shows it.
        let _ = set_current_timer_slack(NonZero::new(1));
        let mut next_tick_ns = 0;
        loop {
            let mut now_ns = self.now_ns();
            if now_ns >= next_tick_ns {
                self.tick(now_ns);
                next_tick_ns = now_ns + TICK_NS;
            }
            self.dispatch(&mut now_ns);
            if self.is_over(now_ns) {
                break;
            }
            let until_ns = self.wake_at_ns(next_tick_ns);
            let unanswered = self.in_flight + self.given_up;
            let clock = self.shared.clock;
            let events = clock.wait(&mut self.poll, until_ns, unanswered)?;
            for index in 0..events {
                let Some(ready) = self.poll.event(index) else {
                    break;
                };
                self.handle(&ready);
                // A batch of answers must not hold up what is due meanwhile.
                let mut now_ns = self.now_ns();
                self.dispatch(&mut now_ns);
            }
        }
        let busy = self
            .connections
            .iter()
            .filter(|connection| !connection.is_free());
        for connection in busy {
            self.accounts.abandoned(&connection.flight);
        }
        let now_ns = self.now_ns();
        self.shared.clock.leave();
        Ok((self.accounts.finish(now_ns), self.stopped_ns))
    }

    fn now_ns(&self) -> u64 {
        self.shared.clock.now_ns()
    }

    /// No request is to come and none is on its way.
    fn is_over(&self, now_ns: u64) -> bool {
        if let Some(stopped_ns) = self.stopped_ns {
            return self.in_flight == 0 || now_ns > stopped_ns + STOP_PATIENCE_NS;
        }
        let ended = now_ns >= self.shared.schedule.end_ns();
        ended && self.next.is_none() && self.in_flight == 0
    }

    /// When to look again even if nothing happens.
    fn wake_at_ns(&self, next_tick_ns: u64) -> u64 {
        let due_ns = self.next.map_or(u64::MAX, |due| due.intended_ns);
        let can_start = !self.free.is_empty() && self.stopped_ns.is_none();
        if can_start {
            due_ns.min(next_tick_ns)
        } else {
            next_tick_ns
        }
    }

    /// Starts whatever may start now. `now_ns` goes on with the clock.
    fn dispatch(&mut self, now_ns: &mut u64) {
        if self.stopped_ns.is_some() {
            return;
        }
        if self.shared.schedule.is_closed() {
            self.dispatch_closed(now_ns);
            return;
        }
        let phases = self.shared.schedule.phases();
        let timeout_ns = nanoseconds(self.shared.timeout);
        while let Some(due) = self.next {
            if due.intended_ns > *now_ns {
                return;
            }
            let phase_end_ns = phases.get(due.phase).map_or(0, |phase| phase.end_ns);
            if *now_ns > phase_end_ns + GRACE_NS {
                self.cursor.skip_phase(self.shared.schedule);
            } else if *now_ns > due.intended_ns + timeout_ns {
                self.cursor.advance();
            } else {
                let Some(index) = self.free.pop_front() else {
                    return;
                };
                self.cursor.advance();
                self.start(index, due, *now_ns);
                *now_ns = self.now_ns();
            }
            self.next = self.cursor.peek(self.shared.schedule);
        }
    }

    fn dispatch_closed(&mut self, now_ns: &mut u64) {
        let schedule = self.shared.schedule;
        while let Some(phase) = schedule.phase_at(*now_ns) {
            let Some(index) = self.free.pop_front() else {
                return;
            };
            let due = Due {
                number: self.number,
                phase,
                intended_ns: *now_ns,
            };
            self.number += self.shared.threads;
            self.start(index, due, *now_ns);
            *now_ns = self.now_ns();
        }
    }

    fn start(&mut self, index: u32, due: Due, now_ns: u64) {
        let Some(connection) = self.connections.get_mut(index as usize) else {
            return;
        };
        let mix = self.shared.mix;
        let asked = mix.write(due.number, &mut connection.out, &mut self.request_body);
        let times = Times {
            intended_ns: due.intended_ns,
            ready_ns: due.intended_ns.max(connection.free_since_ns),
            started_ns: now_ns,
        };
        let one_in = self.shared.check_one_in;
        connection.flight = Flight {
            asked,
            phase: due.phase,
            times,
            checked: one_in > 0 && due.number.is_multiple_of(one_in),
        };
        self.in_flight += 1;
        let (bytes, connects) = (connection.out.len(), !connection.is_open());
        self.accounts.started(&connection.flight, bytes, connects);
        let started = connection.start(self.shared.target.address, &self.poll, index);
        if let Progress::Failed(fault, why) = started {
            self.fail(index, fault, &why);
        }
    }

    fn handle(&mut self, ready: &Ready) {
        let index = ready.index();
        let Some(connection) = self.connections.get_mut(index as usize) else {
            return;
        };
        if !connection.is_meant(ready) {
            return;
        }
        let received = connection.go_on(ready, &mut self.buffer);
        self.accounts.received(&connection.flight, received.bytes);
        match received.progress {
            Progress::Pending => {}
            Progress::Answered(answer) => self.answered(index, answer, ready.ended, received.bytes),
            Progress::Failed(fault, why) => self.fail(index, fault, &why),
        }
    }

    fn answered(&mut self, index: u32, answer: Answer, ended: bool, bytes: usize) {
        let now_ns = self.now_ns();
        let Some(connection) = self.connections.get_mut(index as usize) else {
            return;
        };
        let flight = connection.flight;
        let mix = self.shared.mix;
        let keeps_open = answer.keeps_open && !ended;
        if mix.is_right(&flight.asked, answer.status) {
            self.accounts.right(&flight, now_ns);
            if flight.checked && mix.is_success(&flight.asked, answer.status) {
                let body = connection.take_body();
                if !body.is_some_and(|body| self.desk.take(flight.asked, flight.phase, body)) {
                    self.accounts.passed_over();
                }
            }
        } else {
            let fault = Fault::Status(answer.status);
            let came = self.buffer.get(..bytes).unwrap_or_default();
            self.accounts.wrong(&flight, fault, now_ns, || {
                let (line, excerpt) = (request_line(&connection.out), excerpt(came));
                format!(
                    "{line}: {} instead of the right status{excerpt}",
                    answer.status
                )
            });
        }
        self.release(index, keeps_open, now_ns);
    }

    /// Gives the connection back.
    fn release(&mut self, index: u32, keeps_open: bool, now_ns: u64) {
        if let Some(connection) = self.connections.get_mut(index as usize) {
            if !keeps_open {
                connection.close();
            }
            connection.release(now_ns);
            self.in_flight -= 1;
            self.free.push_back(index);
        }
    }

    /// The request on this connection failed, and the connection with it.
    fn fail(&mut self, index: u32, fault: Fault, why: &str) {
        let now_ns = self.now_ns();
        if let Some(connection) = self.connections.get(index as usize) {
            self.accounts.wrong(&connection.flight, fault, now_ns, || {
                format!("{}: {why}", request_line(&connection.out))
            });
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
            self.accounts.stop();
        }
        self.accounts.tick(now_ns);
        while let Some((until_ns, index)) = self.resting.front().copied() {
            if until_ns > now_ns {
                break;
            }
            self.resting.pop_front();
            self.free.push_back(index);
        }
        let timeout_ns = nanoseconds(self.shared.timeout);
        for index in (0..).take(self.connections.len()) {
            let late = self
                .connections
                .get(index as usize)
                .is_some_and(|connection| {
                    let deadline_ns = connection.flight.times.started_ns + timeout_ns;
                    !connection.is_free() && now_ns > deadline_ns
                });
            if late {
                self.given_up += 1;
                self.fail(index, Fault::Timeout, "no whole answer in time");
            }
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn request_line(out: &[u8]) -> String {
    let line = out.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = line.strip_suffix(b" HTTP/1.1").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

/// Returns the beginning of an answer's body, for a person to read.
fn excerpt(answer: &[u8]) -> String {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return String::new();
    };
    let body = answer.get(head + 4..).unwrap_or_default();
    let body = body.get(..EXCERPT_BYTES_MAX).unwrap_or(body).trim_ascii();
    if body.is_empty() {
        return String::new();
    }
    format!(" ({})", String::from_utf8_lossy(body).escape_debug())
}
