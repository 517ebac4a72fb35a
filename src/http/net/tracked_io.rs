//! A socket that notes its progress on its connection's clock.
//!
//! Invariant: bytes pass unchanged, and nothing is decided here.

use std::io::{IoSlice, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::ConnectionClock;

/// The most bytes that are read and thrown away.
const UNREAD_BYTES_MAX: usize = 1 << 20;

/// The socket and the clock.
pub(super) struct TrackedIo<T> {
    socket: T,
    clock: Arc<ConnectionClock>,
    unread_bytes_max: usize,
}

impl<T> TrackedIo<T> {
    pub(super) fn new(socket: T, clock: Arc<ConnectionClock>) -> Self {
        Self {
            socket,
            clock,
            unread_bytes_max: UNREAD_BYTES_MAX,
        }
    }

    pub(super) fn into_inner(self) -> T {
        self.socket
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TrackedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.clock.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TrackedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        self.clock.sending();
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, buf))?;
        self.clock.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.clock.sending();
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bufs))?;
        self.clock.sent(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // The server flushes the socket only when it has handed over all that it has.
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.clock.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        if !self.clock.left() {
            return Poll::Ready(Ok(()));
        }
        // A socket that is closed with bytes unread is reset, and the reset may reach the client
        // before it has read why: so bytes that it is still sending are read, for a moment, and discarded.
        let mut room = [MaybeUninit::uninit(); 4096];
        while self.unread_bytes_max > 0 {
            let mut buf = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
            let read = buf.filled().len();
            if read == 0 {
                break;
            }
            self.unread_bytes_max = self.unread_bytes_max.saturating_sub(read);
        }
        Poll::Ready(Ok(()))
    }
}
