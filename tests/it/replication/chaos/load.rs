//! Clients that write to the server that they are led to, and the answers that they got.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ureq::Agent;

use super::super::eventually;
use super::super::node::{Node, agent, post};

/// The pause of a client between two writes, and while there is no server.
const PAUSE: Duration = Duration::from_millis(10);
/// A server that refuses so many writes is taken to refuse all.
const REFUSALS_MIN: u64 = 12;

/// The state that the clients share.
#[derive(Default)]
pub(super) struct Load {
    told: Mutex<Told>,
    ends: AtomicBool,
}

#[derive(Default)]
struct Told {
    /// The server that writes go to; none while there is none.
    api: Option<SocketAddr>,
    /// Writes without an outcome yet.
    under_way: usize,
    acknowledged: Vec<String>,
    /// The number of the writes that each server refused.
    refused: HashMap<SocketAddr, u64>,
}

impl Load {
    /// Writes until [`Ends`] is dropped.
    pub(super) fn run(&self, client: usize) {
        let agent = agent();
        for number in 0.. {
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            self.write(&agent, format!("chaos {client}-{number}."));
        }
    }

    fn write(&self, agent: &Agent, text: String) {
        let Some(api) = self.begin() else {
            return thread::sleep(PAUSE);
        };
        let answer = post(agent, api, &text);
        let mut told = self.told();
        told.under_way -= 1;
        match answer {
            Some((201, _)) => told.acknowledged.push(text),
            Some((503, _)) => *told.refused.entry(api).or_default() += 1,
            Some(other) => panic!("{other:?}"),
            // The server is down for a moment; the outcome is unknown.
            None => {}
        }
        drop(told);
        thread::sleep(PAUSE);
    }

    fn begin(&self) -> Option<SocketAddr> {
        let mut told = self.told();
        told.under_way += usize::from(told.api.is_some());
        told.api
    }

    /// Leads the clients to a server.
    pub(super) fn lead_to(&self, server: &Node) {
        self.told().api = Some(server.api());
    }

    /// Leads the clients nowhere: their server is down, and another server may get its port.
    pub(super) fn lead_nowhere(&self) {
        self.told().api = None;
    }

    /// Has the clients pause, and waits until no write is under way.
    pub(super) fn pause(&self) {
        self.lead_nowhere();
        eventually("no write is under way", || self.told().under_way == 0);
    }

    /// The writes that were acknowledged so far.
    pub(super) fn acknowledged(&self) -> Vec<String> {
        self.told().acknowledged.clone()
    }

    fn count(&self) -> u64 {
        self.told().acknowledged.len() as u64
    }

    pub(super) fn wait_for_more(&self, writes: u64) {
        let enough = self.count() + writes;
        eventually("writes go on", || self.count() >= enough);
    }

    /// Waits until a server, which the clients are led to, refused some of their writes.
    pub(super) fn is_refused_by(&self, server: &Node) {
        let api = server.api();
        let refused = || self.told().refused.get(&api).copied().unwrap_or(0);
        let enough = refused() + REFUSALS_MIN;
        eventually("writes are refused", || refused() >= enough);
    }

    /// Ends the clients when it is dropped, so that a panic does not leave them behind.
    pub(super) fn ends(&self) -> Ends<'_> {
        Ends(&self.ends)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends clients when it is dropped.
pub(in super::super) struct Ends<'a>(pub(in super::super) &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
