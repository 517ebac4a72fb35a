//! The signals that ask the process to end, or to read its configuration again, as futures; and its end.
//!
//! Must not know the steps of either. Invariant: a signal that arrives while there is no listener, because one
//! runtime has ended and the next has not begun, is heard by the next listener.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A wish that the process end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminationSignal {
    /// `SIGTERM`: from a supervisor.
    Terminate,
    /// `SIGINT`: from a keyboard.
    Interrupt,
}

impl TerminationSignal {
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

/// Ends the process on the spot. The exit handlers of C and C++ are not run: a thread that was cut off in the
/// middle of its work may still need what they take down.
pub fn leave(code: u8) -> ! {
    signal_hook::low_level::exit(code.into())
}

/// The signals that arrive after the first listener was made, each heard once, by the listener of that time.
#[derive(Debug)]
pub struct TerminationSignals {
    noted: Arc<AtomicUsize>,
    terminate: Signal,
    interrupt: Signal,
}

impl TerminationSignals {
    /// Takes the signals over from the system, which would end the process. Must be called within
    /// a runtime.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            // First, so that a signal is noted before any task is woken by it.
            noted: noted()?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> TerminationSignal {
        loop {
            match self.noted.swap(0, Ordering::SeqCst) {
                TERMINATE => return TerminationSignal::Terminate,
                INTERRUPT => return TerminationSignal::Interrupt,
                _ => {}
            }
            // The reactor of a runtime may report again a signal that came to the one before.
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
        }
    }
}

/// The wishes to read the configuration again that arrive from when this was made.
#[derive(Debug)]
pub struct ReloadSignals(Signal);

impl ReloadSignals {
    /// Takes `SIGHUP` over from the system, which would end the process. Must be called within a
    /// runtime.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one; signals that arrive close together are one.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

const TERMINATE: usize = 1;
const INTERRUPT: usize = 2;

/// The last signal that arrived and was not heard yet.
fn noted() -> io::Result<Arc<AtomicUsize>> {
    static NOTED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();
    if let Some(noted) = NOTED.get() {
        return Ok(Arc::clone(noted));
    }
    let noted = Arc::new(AtomicUsize::new(0));
    for (signal, name) in [
        (SignalKind::terminate(), TERMINATE),
        (SignalKind::interrupt(), INTERRUPT),
    ] {
        signal_hook::flag::register_usize(signal.as_raw_value(), Arc::clone(&noted), name)?;
    }
    Ok(Arc::clone(NOTED.get_or_init(|| noted)))
}
