//! The link between a replica and its primary, which breaks as a test requires.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The time after which a change is noticed.
const MOMENT: Duration = Duration::from_millis(10);

/// A fault of the bytes from the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// After so many more bytes the connection ends.
    Cut(usize),
    /// After so many more bytes one bit is another.
    Flip(usize),
    /// After so many more bytes of files, and not of a stream beside them, one bit is another.
    FlipInFile(usize),
}

/// A stream without commits comes in smaller pieces.
const FILE_PIECE_BYTES_MIN: usize = 1 << 10;

#[derive(Default)]
struct State {
    target: Option<SocketAddr>,
    /// Counts up whenever all connections are to end.
    cuts: u64,
    stalled: bool,
    fault: Option<Fault>,
    faults: u64,
    bytes: u64,
}

/// A proxy at an address of its own; it ends with the test.
pub(super) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// One that leads nowhere.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::downgrade(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Some(state)) = (client, shared.upgrade()) else {
                    return;
                };
                let target = state.lock().unwrap().target;
                if let Some(server) = target.and_then(|target| TcpStream::connect(target).ok()) {
                    let _ = (server.set_nodelay(true), client.set_nodelay(true));
                    let up = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    let of = Arc::clone(&state);
                    thread::spawn(move || pass(up.0, up.1, &of, false));
                    thread::spawn(move || pass(server, client, &state, true));
                }
            }
        });
        Self { address, state }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections there, or nowhere, and ends the old ones.
    pub(super) fn lead_to(&self, target: Option<SocketAddr>) {
        let mut state = self.state.lock().unwrap();
        state.target = target;
        state.cuts += 1;
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.state.lock().unwrap().cuts += 1;
    }

    /// Lets no byte through, and closes no connection.
    pub(super) fn stall(&self, stalled: bool) {
        self.state.lock().unwrap().stalled = stalled;
    }

    /// Something goes wrong once, soon.
    pub(super) fn break_once(&self, fault: Fault) {
        self.state.lock().unwrap().fault = Some(fault);
    }

    /// The number of faults so far.
    pub(super) fn faults(&self) -> u64 {
        self.state.lock().unwrap().faults
    }

    /// The number of bytes from the primary so far.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().unwrap().bytes
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.lead_to(None);
        // The listener notices that it is alone.
        let _ = TcpStream::connect(self.address);
    }
}

/// Passes bytes on until either side ends or everything is cut.
fn pass(mut from: TcpStream, mut to: TcpStream, state: &Mutex<State>, breaks: bool) {
    let cuts = state.lock().unwrap().cuts;
    from.set_read_timeout(Some(MOMENT)).unwrap();
    let mut piece = vec![0; 16 << 10];
    // Checked behind every read: bytes sent after a cut never get through.
    let may_pass = || loop {
        let state = state.lock().unwrap();
        if state.cuts != cuts {
            return false;
        }
        if !state.stalled {
            return true;
        }
        drop(state);
        thread::sleep(MOMENT);
    };
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if may_pass() {
                    continue;
                }
                break;
            }
            Err(_) => break,
        };
        if !may_pass() {
            break;
        }
        let (keep, ends) = if breaks {
            damage(&mut piece[..read], &mut state.lock().unwrap())
        } else {
            (read, false)
        };
        if to.write_all(&piece[..keep]).is_err() || ends {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Damages a piece if it is its turn; returns how much of it goes on, and whether it is the last.
fn damage(piece: &mut [u8], state: &mut State) -> (usize, bool) {
    state.bytes += piece.len() as u64;
    let whole = (piece.len(), false);
    let Some(fault) = &mut state.fault else {
        return whole;
    };
    if matches!(fault, Fault::FlipInFile(_)) && piece.len() < FILE_PIECE_BYTES_MIN {
        return whole;
    }
    let (Fault::Cut(left) | Fault::Flip(left) | Fault::FlipInFile(left)) = fault;
    if *left >= piece.len() {
        *left -= piece.len();
        return whole;
    }
    let (at, is_cut) = (*left, matches!(fault, Fault::Cut(_)));
    state.fault = None;
    state.faults += 1;
    if is_cut {
        return (at, true);
    }
    piece[at] ^= 0x10;
    whole
}
