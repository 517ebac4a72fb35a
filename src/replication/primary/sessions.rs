//! The sessions: the streams there are, and how far each replica is.
//!
//! Invariant: there are never more than [`SESSIONS_MAX`]; a stream has a session as long as it lasts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Streams at once.
const SESSIONS_MAX: usize = 32;

/// All streams.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: Mutex<BTreeMap<u64, SessionStatus>>,
}

/// The state of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStatus {
    /// The client that receives it.
    pub peer: IpAddr,
    /// True if the client is a backup, which is no replica that could take over.
    pub is_backup: bool,
    /// The last row that was handed to the socket.
    pub sent: u64,
    /// The last row that the replica reported as durable.
    pub acked: u64,
}

/// A stream that lasts until this is dropped.
pub(crate) struct Session {
    sessions: Arc<Sessions>,
    id: u64,
}

impl Sessions {
    /// Begins a stream from row `seq` on; `None` when there are too many.
    pub(crate) fn begin(
        self: &Arc<Self>,
        peer: IpAddr,
        is_backup: bool,
        seq: u64,
    ) -> Option<Session> {
        let mut all = self.all();
        if all.len() >= SESSIONS_MAX {
            return None;
        }
        // Zero is no session's name, and a name is not used twice by one process or, mostly, by two.
        let mut id = getrandom::u64().unwrap_or(1).max(1);
        while all.contains_key(&id) {
            id = id.wrapping_add(1).max(1);
        }
        let status = SessionStatus {
            peer,
            is_backup,
            sent: seq,
            acked: seq,
        };
        all.insert(id, status);
        Some(Session {
            sessions: Arc::clone(self),
            id,
        })
    }

    /// Notes the row that a replica acknowledged, if there is such a stream, and it was sent as much.
    pub(crate) fn ack(&self, id: u64, seq: u64) -> Option<SessionStatus> {
        let mut all = self.all();
        let status = all.get_mut(&id).filter(|status| seq <= status.sent)?;
        status.acked = status.acked.max(seq);
        Some(*status)
    }

    /// Every stream.
    pub(crate) fn list(&self) -> Vec<SessionStatus> {
        self.all().values().copied().collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, SessionStatus>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Notes that more was handed to the socket.
    pub(crate) fn sent(&self, seq: u64) {
        if let Some(status) = self.sessions.all().get_mut(&self.id) {
            status.sent = seq;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.all().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn only_a_live_stream_acknowledges_only_what_it_was_sent() {
        let sessions = Arc::new(Sessions::default());
        let session = sessions.begin(PEER, false, 10).unwrap();
        let id = session.id();
        let acks = |id, seq| sessions.ack(id, seq).is_some();
        assert!(!acks(id, 11));
        session.sent(12);
        assert!(acks(id, 11) && !acks(id ^ 1, 11) && !acks(0, 11));
        assert_eq!(sessions.list().first().map(|status| status.acked), Some(11));
        drop(session);
        assert!(!acks(id, 11) && sessions.list().is_empty());
    }

    #[test]
    fn streams_are_bounded() {
        let sessions = Arc::new(Sessions::default());
        let mut all: Vec<_> = (0..SESSIONS_MAX)
            .map(|_| sessions.begin(PEER, false, 0).unwrap())
            .collect();
        assert!(sessions.begin(PEER, true, 0).is_none());
        all.pop();
        assert!(sessions.begin(PEER, true, 0).is_some());
    }
}
