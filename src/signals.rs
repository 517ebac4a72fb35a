//! The signals that ask the process to end, or to read its configuration again, as futures.
//!
//! Must not know what either takes.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A wish that the process end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `SIGTERM`: from a supervisor.
    Terminate,
    /// `SIGINT`: from a keyboard.
    Interrupt,
}

impl End {
    /// The exit code of a process that the signal ended on the spot.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }

    /// The signal's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

/// The signals that arrive from when this was made.
#[derive(Debug)]
pub struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// Takes the signals over from the system, which would end the process. Must be called within
    /// a runtime.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> End {
        tokio::select! {
            _ = self.terminate.recv() => End::Terminate,
            _ = self.interrupt.recv() => End::Interrupt,
        }
    }
}

/// The wishes to read the configuration again that arrive from when this was made.
#[derive(Debug)]
pub struct Reloads(Signal);

impl Reloads {
    /// Takes `SIGHUP` over from the system, which would end the process. Must be called within a
    /// runtime.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one; those that come close together are one.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}
