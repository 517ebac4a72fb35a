//! Read-only replicas of a store: the protocol, and what it guarantees.
//!
//! A primary takes writes. Replicas hold the same store, answer reads from it, and follow: each of
//! the primary's commits is applied as it is, byte for byte, in order. So a replica's position
//! (store, epoch, sequence number, chain) is one that the primary was at, and at the same position
//! all rows are the same. How positions come about is in `store/log/position.rs` and `store/log/commit.rs`.
//!
//! # Protocol
//!
//! HTTP/1.1 on the admin port, over TLS where that has a certificate, each request with `Authorization:
//! Bearer` and the shared token. Without a token there are no replicas, and only programs on the same
//! machine are answered: backups are taken that way.
//!
//! ```text
//! GET  /internal/repl/v1/stream?protocol=&format=&store=&epoch=&seq=&chain=[&for=backup][&admin=]
//!        200  frames (see wire/frame.rs), without an end: handshake, batches, and a heartbeat every second
//!        409  why not, as JSON: gap, unknown_epoch, diverged, ahead, other_store, later
//!        426  another protocol, or another format of the store
//! POST /internal/repl/v1/ack?session=&seq=       204: up to there the replica is durable
//! GET  /internal/repl/v1/checkpoint              200  the files that make up a checkpoint of the store;
//! with
//!                                                the parameters of a stream, one that has more
//! GET  /internal/repl/v1/checkpoint/{id}/{file}  200, 206: from any offset on; 404: ask again
//!        401  another token; counted
//! ```
//!
//! A replica applies a batch only when it extends its own position and is consistent in itself, so nothing
//! that was damaged, dropped, repeated or made up on the way reaches the store. If it cannot follow, it
//! says so, once and loudly, and it fetches a checkpoint: while only behind (`gap`) it serves its old store
//! until one with more is there, and otherwise it serves nothing, for its store is no state the primary was
//! ever in. A primary of an earlier epoch than its own (`later`) it refuses, and goes on serving its store.
//!
//! # Backups
//!
//! A backup (`backup/`) is taken as a replica is fed: from a checkpoint, whose files never change, and from
//! the stream, whose commits it stores in segments. It says so when it asks for a stream, so that its
//! acknowledgements show how far it is and are not counted as a replica's. A replica serves backups as a
//! primary does, and feeds no replicas.
//!
//! # Guarantees
//!
//! - A replica shows some state that the primary was in, durably: never parts of one, never another.
//!   `/readyz` reports how old that is; beyond `lag_max` it shows it only if it may (`serve_stale`).
//! - Only commits that are durable on the primary are sent. So a primary that lost what was not durable,
//!   after a crash with `durability = "interval"`, is never behind its replicas.
//! - Replication is asynchronous. A promoted replica lacks the commits that the primary acknowledged and
//!   had not sent; with `acks = 1` a write is acknowledged only when a replica has it on its disk, so the
//!   replica that is furthest has all that was acknowledged. Reads of the primary may show a write before
//!   that.
//! - A replica that has been where a write left the primary shows that write, and so a client that passes
//!   that position on reads its own writes from any of them. Epochs tell a write that was lost from one
//!   that has not come yet.
//! - A store whose commits may be nowhere else is moved aside before another takes its place: a store that
//!   was a primary's since it last followed.
//! - The primary never waits for a replica, but for the acknowledgements it is configured to wait for. The
//!   resources that it holds for replicas are bounded: the ring, some chunks for each stream, and on the
//!   disk the log within `wal_keep_time` and `wal_keep_size` and two checkpoints.
//!
//! # Choices
//!
//! - Acknowledgements are requests of their own: the stream stays one way, and one that is stuck does not
//!   hold them up. They name the session that the handshake named, whose start was verified.
//! - A request in `api` waits for an acknowledgement, not the writer's thread, which commits the next group
//!   meanwhile.
//! - Heartbeats report where the primary is, not where the stream is: lag is measured against that. Seconds
//!   of lag are counted by the replica's own clock since it was last up to date, so that clocks that differ
//!   do not matter.
//! - A replica syncs when nothing more is waiting to be applied if the primary waits for it, and otherwise
//!   every `SYNC_TIME`: commits that it loses in a crash are sent again.
//! - A new store takes the place of the old one by closing the one and opening the other within the
//!   process; connections that come meanwhile wait in the listen queue.
//!
//! Must not know the API, configuration or how a store keeps its rows. `wire/frame.rs` knows nothing at
//! all, so that it can be fuzzed.

#[cfg(test)]
mod captures;
mod client;
#[cfg(test)]
#[path = "../corpus.rs"]
mod corpus;
mod disconnect;
mod meters;
mod primary;
mod replica;
#[cfg(test)]
mod simulation;
mod token;
pub mod wire;

use {::metrics, ::model, ::net, ::store};

pub use client::{Dial, NoAnswer, PrimaryAddress, PrimaryConnection, whole};
pub use disconnect::SILENCE_MAX;
pub use meters::ReplicaMeters;
pub use primary::body::Body;
pub use primary::sessions::SessionStatus;
pub use primary::{PeerProof, Primary, PrimaryOptions, RoleTokens};
pub use replica::bootstrap::{Fetched, fetch};
pub use replica::progress::ReplicaProgress;
pub use replica::{Replica, ReplicaExit, ReplicaOptions};
pub use token::{Token, TokenError};
