//! The signals that ask the process to end, or to read its configuration again, as futures.
//!
//! Must not know what either takes. Invariant: a signal that comes while nobody listens, because one
//! runtime has ended and the next has not begun, is heard by whoever listens next.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

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

/// The signals that arrive from when this was made, or did when nobody listened any more.
#[derive(Debug)]
pub struct Ends {
    earlier: Option<End>,
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
        let noted = noted()?;
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        // One that comes right here is heard twice, and a second one is a wish for haste: rather
        // that than one that is not heard.
        let earlier = match noted.swap(0, Ordering::SeqCst) {
            TERMINATE => Some(End::Terminate),
            INTERRUPT => Some(End::Interrupt),
            _ => None,
        };
        Ok(Self {
            earlier,
            terminate,
            interrupt,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> End {
        if let Some(earlier) = self.earlier.take() {
            return earlier;
        }
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

const TERMINATE: usize = 1;
const INTERRUPT: usize = 2;

/// The last signal that came since somebody began to listen.
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
