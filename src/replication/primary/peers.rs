//! The replicas that a primary served, and what they know that it does not.
//!
//! A primary that was replaced while it was away, or that lost writes, learns it from the replicas that
//! followed it: before it takes writes, whenever a stream ends, and now and then. It requests
//! `/replication`, which is answered without the token, so that the token is sent to no peer. Must not know
//! how streams are served. Invariants: at most [`PEERS_MAX`] addresses are known, durably, and only such as
//! a replica with the token gave; all are asked at once, within [`FIRST_ANSWER_TIME_MAX`].

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::put_up;
use crate::client::Dial;
use crate::store::{Fence, Store};
use crate::wire::protocol::{id, position};

/// The number of replicas that are remembered.
const PEERS_MAX: usize = 16;
/// The time that all of them together may take, once one has answered.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// The time that the first answer may take: a primary that was replaced and learns it from no replica takes
/// writes, so a replica that is slow is waited for, and one that is down refuses at once.
const FIRST_ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// The maximum length of an address.
const URL_BYTES_MAX: usize = 255;

/// The replicas that a primary served last.
pub(crate) struct Peers {
    store: Store,
    dial: Dial,
    known: Arc<Mutex<Vec<String>>>,
    /// Held while the file is written: the last write has all that are known.
    writing: Arc<Mutex<()>>,
}

/// A server's status, as it reports it.
#[derive(Debug, Deserialize)]
struct PeerStatus {
    store: String,
    epoch: u64,
    seq: u64,
    chain: String,
}

impl Peers {
    /// Reads the replicas that the store's directory records.
    pub(crate) fn of(store: Store, dial: Dial) -> Result<Self, crate::store::Error> {
        let known = Arc::new(Mutex::new(store.replicas()?));
        Ok(Self {
            store,
            dial,
            known,
            writing: Arc::default(),
        })
    }

    /// Remembers the admin port that a replica at `peer` reports, durably.
    pub(crate) async fn remember(&self, said: &str, peer: IpAddr) {
        let Some(url) = reachable(said, peer).filter(|url| self.dial.takes(url)) else {
            return;
        };
        {
            let mut known = locked(&self.known);
            if known.contains(&url) {
                return;
            }
            known.insert(0, url);
            known.truncate(PEERS_MAX);
        }
        let store = self.store.clone();
        let (known, writing) = (Arc::clone(&self.known), Arc::clone(&self.writing));
        let noted = tokio::task::spawn_blocking(move || {
            let _writing = locked(&writing);
            let all = locked(&known).clone();
            store.set_replicas(&all)
        });
        let noted = noted.await;
        if let Err(error) = noted.unwrap_or(Ok(())) {
            tracing::warn!("the replica at {peer} will be forgotten after a restart: {error}");
        }
    }

    /// Asks all known replicas, and takes no writes any more if one of them has seen more. Returns whether
    /// any answered, if there are any.
    pub(crate) async fn ask(&self) -> bool {
        let mut asked = JoinSet::new();
        let known = locked(&self.known).clone();
        let is_alone = known.is_empty();
        for url in known {
            let dial = self.dial.clone();
            asked.spawn(async move { dial.ask(&url, "/replication").await });
        }
        let mut is_answered = is_alone;
        let asked_at = Instant::now();
        let mut until = asked_at + FIRST_ANSWER_TIME_MAX;
        // The replicas that take longer are cut off with the set.
        while let Ok(Some(answer)) = timeout_at(until, asked.join_next()).await {
            let status = answer.ok().flatten();
            let status = status.and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(status) = status {
                is_answered = true;
                until = asked_at + ANSWER_TIME_MAX;
                self.heed(&status).await;
            }
        }
        is_answered
    }

    async fn heed(&self, status: &PeerStatus) {
        // Read after the answer: all that a replica has of this store was durable here before.
        let own = *self.store.feed().durable().borrow();
        let chain = u64::from_str_radix(&status.chain, 16).unwrap_or(0);
        let replica = position([status.epoch, status.seq, chain]);
        if id(&status.store) != Some(self.store.identity().store_id) {
            return;
        }
        if replica.epoch > own.epoch {
            let epoch = replica.epoch;
            put_up(&self.store, Fence::Superseded { epoch }).await;
        } else if replica.epoch == own.epoch && replica.seq > own.seq {
            put_up(&self.store, Fence::Ahead { replica }).await;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the address at which a replica can be asked that reports to listen at `said`: an unspecified
/// address is replaced by the one it connected from; its loopback is reached from the same machine alone.
fn reachable(said: &str, peer: IpAddr) -> Option<String> {
    let (scheme, authority) = said.split_once("://")?;
    let (host, port) = authority.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if said.len() > URL_BYTES_MAX || !host.bytes().all(is_plain) {
        return None;
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let peer = peer.to_canonical();
    match bare.parse::<IpAddr>() {
        Ok(at) if at.is_unspecified() => {
            let host = match peer {
                IpAddr::V4(at) => at.to_string(),
                IpAddr::V6(at) => format!("[{at}]"),
            };
            Some(format!("{scheme}://{host}:{port}"))
        }
        Ok(at) if at.is_loopback() && !peer.is_loopback() => None,
        _ => Some(said.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn replicas_that_come_at_once_are_all_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "a test", 32 << 20, 0).unwrap();
        let dial = Dial::plain();
        let peers = Arc::new(Peers::of(store.clone(), dial).unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        runtime.block_on(async {
            let mut all = JoinSet::new();
            for host in 0..PEERS_MAX {
                let peers = Arc::clone(&peers);
                let said = format!("http://10.0.0.{host}:8081");
                all.spawn(async move { peers.remember(&said, peer).await });
            }
            all.join_all().await;
        });
        let known = locked(&peers.known).clone();
        assert_eq!(known.len(), PEERS_MAX);
        assert_eq!(store.replicas().unwrap(), known);
    }

    #[test]
    fn a_replica_is_asked_where_it_can_be_reached() {
        let (far, near) = ("10.0.0.2".parse().unwrap(), "127.0.0.1".parse().unwrap());
        for (said, peer, reached) in [
            ("http://10.0.0.2:81", far, Some("http://10.0.0.2:81")),
            ("http://0.0.0.0:81", far, Some("http://10.0.0.2:81")),
            ("https://[::]:81", far, Some("https://10.0.0.2:81")),
            ("http://127.0.0.1:81", far, None),
            ("http://127.0.0.1:81", near, Some("http://127.0.0.1:81")),
            (
                "https://replica.shop:81",
                far,
                Some("https://replica.shop:81"),
            ),
            ("http://a b:81", far, None),
            ("http://10.0.0.2", far, None),
            ("10.0.0.2:81", far, None),
            ("http://10.0.0.2:81/x", far, None),
        ] {
            assert_eq!(reachable(said, peer).as_deref(), reached, "{said}");
        }
    }
}
