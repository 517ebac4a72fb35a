//! Read-only copies of a store: the protocol, and what it guarantees.
//!
//! A primary takes writes. Replicas hold the same store, answer reads from it, and follow: each of
//! the primary's commits is applied as it is, byte for byte, in order. So a replica's position
//! (store, epoch, sequence number, chain) is one that the primary was at, and at the same position
//! all rows are the same. How positions come about is in `store/log/position.rs` and `store/log/commit.rs`.
//!
//! # Protocol
//!
//! HTTP/1.1 on the operator's port, over TLS where that has a certificate, each request with
//! `Authorization: Bearer` and the shared token. Without a token there are no replicas, and only
//! programs on the same machine are answered: that is what backups are taken by.
//!
//! ```text
//! GET  /internal/repl/v1/stream?protocol=&format=&store=&epoch=&seq=&chain=[&for=backup][&admin=]
//!        200  frames (see wire/frame.rs), without an end: hello, then batches, and a beat every second
//!        409  why not, as JSON: gap, unknown_epoch, diverged, ahead, other_store, later
//!        426  another protocol, or another format of the store
//! POST /internal/repl/v1/ack?session=&seq=       204: up to there the replica is durable
//! GET  /internal/repl/v1/checkpoint              200  what files make up a copy of the store; with
//!                                                the parameters of a stream, one that has more
//! GET  /internal/repl/v1/checkpoint/{id}/{file}  200, 206: from any offset on; 404: ask again
//!        401  another token; counted
//! ```
//!
//! A replica applies a batch only when it extends its own position and is consistent in itself, so
//! nothing that was damaged, dropped, repeated or made up on the way reaches the store. What it
//! cannot follow it says, once and loudly, and it fetches a checkpoint: while only behind
//! (`gap`) it serves its old store until one with more is there, and otherwise it serves nothing, for
//! what it has is no state the primary was ever in. A primary of an earlier epoch than its own
//! (`later`) it refuses, and goes on serving what it has.
//!
//! # Backups
//!
//! A backup (`backup/`) is taken as a replica is fed: from a checkpoint, whose files never change, and
//! from the stream, whose commits it keeps in segments. It says so when it asks for a stream, so
//! that its acknowledgements show how far it is and make nobody believe that there is a replica. A
//! replica serves backups as a primary does, and feeds no replicas.
//!
//! # Guarantees
//!
//! - A replica shows some state that the primary was in, durably: never parts of one, never another.
//!   How old that is it says on `/readyz`; beyond `lag_max` it shows it only if it may
//!   (`serve_stale`).
//! - Only what is durable on the primary is sent. So a primary that lost what was not durable, after
//!   a crash with `durability = "interval"`, is never behind its replicas.
//! - Replication is asynchronous. A promoted replica lacks what the primary acknowledged and had not
//!   sent; with `acks = 1` a write is acknowledged only when a replica has it on its disk, so the
//!   replica that is furthest has all that was acknowledged. Reads of the primary may show a write
//!   before that.
//! - A replica that has been where a write left the primary shows that write, and so a client that
//!   hands that position on reads what it wrote from any of them. Epochs tell a write that was lost
//!   from one that has not come yet.
//! - A store whose commits may be nowhere else is moved aside before another takes its place. That
//!   is one which was a primary since it last followed.
//! - The primary never waits for a replica, but for the acknowledgements it was told to wait for.
//!   What it holds for replicas is bounded: the ring, some chunks for each stream, and on the disk
//!   the log within `wal_keep_time` and `wal_keep_size` and two checkpoints.
//!
//! # Choices
//!
//! - Acknowledgements are requests of their own: the stream stays one way, and one that is stuck
//!   does not hold them up. They name the session that the hello named, whose start was verified.
//! - Whoever waits for an acknowledgement is a request in `api`, not the writer's thread, which
//!   commits the next group meanwhile.
//! - Beats tell where the primary is, not where the stream is: lag is measured against that. Seconds
//!   of lag are counted by the replica's own clock since it was last up to date, so that clocks that
//!   differ do not matter.
//! - A replica syncs when nothing more is waiting to be applied if the primary waits for it, and
//!   otherwise every `SYNC_TIME`: what it loses in a crash it is sent again.
//! - A new store takes the place of the old one by closing the one and opening the other within the
//!   process; connections that come meanwhile wait in the listener's backlog.
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
pub use primary::{Primary, PrimaryOptions};
pub use replica::bootstrap::{Fetched, fetch};
pub use replica::progress::ReplicaProgress;
pub use replica::{Replica, ReplicaExit, ReplicaOptions};
pub use token::{Token, TokenError};
