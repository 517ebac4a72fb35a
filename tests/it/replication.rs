//! Read-only replicas, as real processes: their content was the content of their primary, whatever happens to
//! them, to it, and to the network between.
//!
//! Invariant: two stores are compared by the output of `reviewsd position --contents`, which is position,
//! history hash, and a hash of every family.

mod bootstrap;
mod catalogue;
mod chaos;
mod cluster;
mod edge;
mod failover;
mod follow;
mod forward;
pub(crate) mod front;
mod host;
mod init;
mod merge;
pub(crate) mod node;
mod operator;
mod primary;
mod proxy;
mod store;
mod strangers;
mod tls;
mod tokens;
mod visitor;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{shop_dir, write_secret};
use node::{Node, Setup, agent};
use proxy::Proxy;

/// The time after which a test gives up; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(30);
/// Makes a replica stop answering once it lags.
const STRICT: &str = "[replica]\nlag_max = \"1500ms\"\nserve_stale = false\n";
/// An address without a listener, which no other test uses.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Data directories, a token, and an address at which the primary can always be found.
struct Cluster {
    dir: TempDir,
    shop: Option<TempDir>,
    token: PathBuf,
    /// The token, which no other cluster has: the port of a server that ended may be another's soon.
    secret: String,
    /// The address that replicas follow, wherever the primary is.
    link: Proxy,
}

impl Cluster {
    /// A cluster whose first primary has the shop.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        let secret = format!("a-token-{:016x}", getrandom::u64().unwrap());
        write_secret(&token, &format!("{secret}\n"));
        Self {
            dir,
            shop: Some(shop_dir()),
            token,
            secret,
            link: Proxy::start(),
        }
    }

    /// A data directory.
    fn data(&self, name: &str) -> PathBuf {
        match &self.shop {
            Some(shop) if name == "primary" => shop.path().to_owned(),
            _ => self.dir.path().join(name),
        }
    }

    /// The setup of a primary on this data.
    fn primary(&self, name: &str) -> Setup {
        Setup {
            data: self.data(name),
            token: Some(self.token.clone()),
            ..Setup::default()
        }
    }

    /// The setup of a replica on this data.
    fn replica(&self, name: &str) -> Setup {
        Setup {
            follow: Some(self.link.address()),
            ..self.primary(name)
        }
    }

    /// Starts the primary, which replicas find from now on.
    fn start_primary(&self, setup: &Setup) -> Node {
        let node = Node::start(setup);
        self.link.lead_to(Some(node.admin()));
        node
    }
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not happen that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a replica is where its primary is, and durably.
fn catches_up(replica: &Node, primary: &Node) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (own, there) = (replica.status(), primary.status());
        if let (Some(own), Some(there)) = (&own, &there)
            && ["store", "epoch", "seq", "chain"]
                .iter()
                .all(|key| own[key] == there[key])
            && own["durable_seq"] == own["seq"]
        {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the replica is not where its primary is: {own:?}, {there:?}: {}",
            replica.log()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A server shows every review that was acknowledged.
fn assert_none_lost(server: &Node, acknowledged: &[String]) {
    let mut shown = HashSet::new();
    for page in 1.. {
        // Reviews that are added meanwhile move the others to later pages.
        let path = format!("/reviews?product_id=2&sort=newest&count=1000&page={page}");
        let answer: Value = serde_json::from_str(&server.get(&path).1).unwrap();
        let rows = answer["results"].as_array().unwrap();
        if rows.is_empty() {
            break;
        }
        let bodies = rows.iter().map(|row| row["body"].as_str().unwrap());
        shown.extend(bodies.map(str::to_owned));
    }
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|text| !shown.contains(*text))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {}: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
}

/// Asserts that the stores of stopped servers are equal.
fn assert_same(stores: &[&Path]) {
    let contents: Vec<String> = stores.iter().map(|data| node::contents(data)).collect();
    for (store, other) in stores.iter().zip(&contents) {
        assert_eq!(contents[0], *other, "{}", store.display());
    }
}

/// Waits until a replica reports that it follows no more, and checks every sign of that.
fn is_held(replica: &Node, why: &str) {
    replica.says("and serving the store as it is");
    eventually("the replica is held", || {
        replica.status().is_some_and(|status| {
            status["held"]
                .as_str()
                .is_some_and(|held| held.contains(why))
        })
    });
    let (ready, said) = replica.ask("/readyz").unwrap();
    assert!(ready == 503 && said.contains(why), "{said}");
    let page = replica.ask("/metrics").unwrap().1;
    assert!(page.contains("reviewsd_replication_held 1\n"), "{page}");
    assert_eq!(replica.get("/reviews?product_id=2").0, 200);
}

/// Checks every sign of a primary that takes no writes.
fn is_fenced(primary: &Node, why: &str) {
    // The log shows why it is not.
    primary.says(why);
    let status = primary.status().unwrap();
    assert!(status["fenced"].as_str().unwrap().contains(why), "{status}");
    let vote = format!("http://{}/reviews/3/helpful", primary.api());
    let mut vote = agent().put(vote).send_empty().unwrap();
    let voted = vote.body_mut().read_to_string().unwrap();
    // An empty store knows neither the product nor its characteristics.
    let posted = primary.post("not to be taken");
    for (status, answer) in [(vote.status().as_u16(), voted), posted] {
        assert!(
            status == 503 && answer.contains("writes are fenced"),
            "{status}: {answer}"
        );
    }
    let (ready, said) = primary.ask("/readyz").unwrap();
    assert!(ready == 503 && said.contains(why), "{said}");
    let page = primary.ask("/metrics").unwrap().1;
    assert!(page.contains("reviewsd_store_fenced 1\n"), "{page}");
    assert_eq!(primary.get("/products").0, 200);
}
