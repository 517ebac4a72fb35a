//! Writes: one thread owns every change.
//!
//! Requests reach it through a bounded queue ([`queue`]); the thread ([`writer_loop`]) takes all that
//! waits, makes one batch of it ([`group`]), commits it durably, and answers every request. No timer: the
//! next group forms while the last is made durable. Must not know HTTP. Invariants: an answered change is
//! durable, or the process ends, or, where the disk has no space, nothing is written any more; a batch
//! holds all that its changes touch, so after a crash all of it is there or none.

pub(crate) mod bursts;
pub(crate) mod catalogue;
pub(crate) mod change;
pub(crate) mod dates;
pub(crate) mod disk_space;
pub(crate) mod group;
pub(crate) mod housekeeping;
pub(crate) mod idempotency;
pub(crate) mod meters;
pub(crate) mod queue;
mod rehearsal;
mod writer_loop;

#[cfg(test)]
mod tests;
