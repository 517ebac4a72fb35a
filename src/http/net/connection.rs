//! One connection from its first byte to its last.
//!
//! Invariant: it ends when the client ends it, when the client takes longer than it may, when it is idle
//! and another one needs its slot, or, once the shutdown has begun, with the request under way; one that waits
//! for a request then is returned or ends, as the shutdown says.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until};

use super::clock::{ConnectionClock, ConnectionPhase, Since};
use super::shutdown::ShutdownSignal;
use super::tracked_body::TrackedBody;
use super::tracked_io::TrackedIo;
use super::{Idle, Limits, ResponseBody};

/// The time after the beginning of a shutdown in which an idle connection may still get a request.
const LAST_REQUEST_TIME: Duration = Duration::from_secs(1);

/// The time for which a connection that is to give way is listened to, since a request may have been received
/// already that was not read yet.
const GIVING_WAY_TIME: Duration = Duration::from_millis(10);

/// Serves requests from `socket` until the connection ends. Its progress is noted on `clock`.
///
/// Returns the socket if the shutdown keeps connections open that wait for a request.
pub(super) async fn run<S, H, F, B>(
    socket: S,
    clock: &Arc<ConnectionClock>,
    limits: Limits,
    handler: H,
    draining: ShutdownSignal,
) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: ResponseBody,
{
    let io = TokioIo::new(TrackedIo::new(socket, Arc::clone(clock)));
    let ending = &draining;
    let service = service_fn(move |request| {
        clock.asked();
        let answer = handler(request);
        async move {
            let mut response = answer.await;
            if ends_connection(&response) {
                clock.cut_short();
            }
            if ending.ends_connections() {
                let headers = response.headers_mut();
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let response = response.map(|body| TrackedBody::new(body, Arc::clone(clock)));
            clock.answered(response.body().goes_on());
            Ok::<_, Infallible>(response)
        }
    });
    // Invalid HTTP, or too much of it, never becomes a request: hyper answers it with 400 or 431 by itself,
    // without a body, and without a way to set one.
    let mut http = http1::Builder::new();
    http.max_buf_size(limits.head_bytes_max)
        // This timer would run while a connection idles, too, and be made anew every request.
        .header_read_timeout(None);
    let mut connection = http.serve_connection(io, service);
    let mut parting = pin!(parting(draining.clone(), limits.drain_time_max));
    let (mut idle, mut told) = (None, false);
    let mut since = Since::now();
    let mut alarm = pin!(sleep_until(Instant::now() + limits.idle_time_max));
    let (mut is_known, mut way) = (false, None::<Instant>);
    let is_kept = poll_fn(|cx| {
        if !is_known {
            clock.belongs_to(cx);
            is_known = true;
        }
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                if let Err(error) = ended {
                    tracing::debug!("a connection broke: {error}");
                }
                return Poll::Ready(false);
            }
            if idle.is_none()
                && let Poll::Ready(disconnect) = parting.as_mut().poll(cx)
            {
                idle = Some(disconnect);
            }
            match (idle, clock.phase()) {
                // Bytes received from now on wait in the socket.
                (Some(Idle::Keep), ConnectionPhase::Idle | ConnectionPhase::Fresh) => {
                    return Poll::Ready(true);
                }
                // A request that has begun to come in is under way: if the connection were notified now, it
                // would count as idle.
                (Some(Idle::End), phase) if !told && phase != ConnectionPhase::Head => {
                    told = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                _ => break,
            }
        }
        let now = Instant::now;
        way = clock
            .gives_way()
            .then(|| way.unwrap_or_else(|| now() + GIVING_WAY_TIME));
        clock.bring_forward(&mut since);
        let due = clock.deadline(since, &limits);
        let Some(deadline) = due.into_iter().chain(way).min() else {
            return Poll::Pending;
        };
        // The alarm is left where it is as long as it rings early enough: mostly it rings once an
        // idle time and finds that there were requests since.
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if alarm.deadline() >= deadline {
                tracing::debug!("a client was too slow: {:?}", clock.phase());
                return Poll::Ready(false);
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await;
    let left = is_kept.then(|| connection.into_parts())?;
    // Requests sent ahead cannot be given back; a client that sends ahead has to be prepared for an end.
    let is_empty = left.read_buf.iter().all(u8::is_ascii_whitespace);
    is_empty.then(|| left.io.into_inner().into_inner())
}

/// Completes when a connection that waits for a request is to be left to itself, with the way to treat it.
async fn parting(draining: ShutdownSignal, drain_time_max: Duration) -> Idle {
    let idle = draining.begun().await;
    if idle == Idle::End {
        sleep(LAST_REQUEST_TIME.min(drain_time_max / 2)).await;
    }
    idle
}

/// True if a request is refused with so much of it unread that no other can follow.
fn ends_connection<B>(response: &Response<B>) -> bool {
    let status = response.status();
    let is_refused = status.is_client_error() || status.is_server_error();
    is_refused && response.headers().contains_key(CONNECTION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::drain;
    use bytes::Bytes;
    use http_body_util::Full;
    use std::convert::Infallible;
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;
    use tokio::task::{JoinHandle, yield_now};

    const LIMITS: Limits = Limits {
        head_bytes_max: 8192,
        head_time_max: Duration::from_mins(1),
        idle_time_max: Duration::from_mins(1),
        write_time_max: Duration::from_mins(1),
        rate_min: 0,
        connections_max: 1,
        drain_time_max: Duration::from_mins(1),
    };

    /// A client, and the connection to it being served.
    async fn connected(
        limits: Limits,
        draining: ShutdownSignal,
    ) -> (
        TcpStream,
        Arc<ConnectionClock>,
        JoinHandle<Option<TcpStream>>,
    ) {
        let whole = || Full::new(Bytes::from_static(b"answer"));
        answered(limits, draining, whole).await
    }

    async fn answered<B: ResponseBody + Sync>(
        limits: Limits,
        draining: ShutdownSignal,
        body: impl Fn() -> B + Send + Sync + 'static,
    ) -> (
        TcpStream,
        Arc<ConnectionClock>,
        JoinHandle<Option<TcpStream>>,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let clock = Arc::new(ConnectionClock::new());
        let noted = Arc::clone(&clock);
        let answer = move |_| std::future::ready(Response::new(body()));
        let served = async move { run(socket, &noted, limits, answer, draining).await };
        (client, clock, tokio::spawn(served))
    }

    async fn send(client: &TcpStream, bytes: &[u8]) {
        client.writable().await.unwrap();
        assert_eq!(client.try_write(bytes).unwrap(), bytes.len());
    }

    /// Returns all bytes received until the connection ends.
    async fn received(client: &TcpStream) -> String {
        let mut all = Vec::new();
        loop {
            client.readable().await.unwrap();
            let mut some = [0; 1024];
            match client.try_read(&mut some) {
                Ok(0) => return String::from_utf8(all).unwrap(),
                Ok(bytes) => all.extend_from_slice(&some[..bytes]),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
    }

    async fn reaches(clock: &ConnectionClock, phase: ConnectionPhase) {
        while clock.phase() != phase {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_request_half_received_at_shutdown_is_answered() {
        let (ending, draining) = drain();
        let (client, clock, served) = connected(LIMITS, draining).await;
        send(&client, b"GET /1 HTTP/1.1\r\n\r\n").await;
        client.readable().await.unwrap();
        send(&client, b"GET /2 HTTP/1.1\r\n").await;
        reaches(&clock, ConnectionPhase::Head).await;
        ending.begin(Idle::End);
        yield_now().await;
        send(&client, b"\r\n").await;
        let answers = received(&client).await;
        assert_eq!(answers.matches("answer").count(), 2, "{answers}");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_idles_ends_with_the_drain() {
        let (ending, draining) = drain();
        let (client, clock, served) = connected(LIMITS, draining).await;
        reaches(&clock, ConnectionPhase::Fresh).await;
        ending.begin(Idle::End);
        assert_eq!(received(&client).await, "");
        assert!(served.await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_request_just_after_shutdown_began_is_answered_as_the_last() {
        let (ending, draining) = drain();
        let (client, clock, served) = connected(LIMITS, draining).await;
        reaches(&clock, ConnectionPhase::Fresh).await;
        ending.begin(Idle::End);
        yield_now().await;
        send(&client, b"GET / HTTP/1.1\r\n\r\n").await;
        let answer = received(&client).await;
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.ends_with("answer"), "{answer}");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_retained_connection_has_every_unanswered_byte() {
        let (ending, draining) = drain();
        let (client, clock, served) = connected(LIMITS, draining).await;
        send(&client, b"GET /1 HTTP/1.1\r\n").await;
        reaches(&clock, ConnectionPhase::Head).await;
        ending.begin(Idle::Keep);
        yield_now().await;
        send(&client, b"\r\n").await;
        let kept = served.await.unwrap().unwrap();
        send(&client, b"GET /2 HTTP/1.1\r\n\r\n").await;
        let (ending, draining) = drain();
        let clock = Arc::new(ConnectionClock::new());
        let answer = |_| async { Response::new(Full::new(Bytes::from_static(b"next"))) };
        let served = async move { run(kept, &clock, LIMITS, answer, draining).await };
        let served = tokio::spawn(served);
        client.readable().await.unwrap();
        ending.begin(Idle::End);
        let answers = received(&client).await;
        assert_eq!(answers.matches("answer").count(), 1, "{answers}");
        assert_eq!(answers.matches("next").count(), 1, "{answers}");
        served.await.unwrap();
    }

    /// A body whose pieces come when a test sends them.
    struct TestBody(mpsc::Receiver<Bytes>);

    impl hyper::body::Body for TestBody {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
            let piece = self.0.poll_recv(cx);
            piece.map(|piece| Some(Ok(hyper::body::Frame::data(piece?))))
        }
    }

    #[tokio::test]
    async fn a_streamed_response_lasts_while_its_client_reads() {
        let (_ending, draining) = drain();
        let limits = Limits {
            write_time_max: Duration::from_secs(2),
            ..LIMITS
        };
        let (send, receive) = mpsc::channel(1);
        let once = std::sync::Mutex::new(Some(receive));
        let body = move || TestBody(once.lock().unwrap().take().unwrap());
        let (client, clock, served) = answered(limits, draining, body).await;
        super::tests::send(&client, b"GET / HTTP/1.1\r\n\r\n").await;
        // Between two pieces only the server is waited for.
        for _ in 0..2 {
            send.send(Bytes::from_static(b"piece")).await.unwrap();
            reaches(&clock, ConnectionPhase::Pausing).await;
            client.readable().await.unwrap();
            let mut some = [0; 1024];
            while client.try_read(&mut some).is_ok() {}
            tokio::time::sleep(limits.write_time_max * 5 / 4).await;
            assert!(!served.is_finished());
        }
        // A client that reads no more is disconnected in its time.
        let large = Bytes::from(vec![0; 1 << 20]);
        while send.send(large.clone()).await.is_ok() {}
        served.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_too_slowly_ends_though_it_is_taken() {
        const BYTES: usize = 64 << 20;
        let (_ending, draining) = drain();
        let limits = Limits {
            write_time_max: Duration::from_millis(300),
            rate_min: u64::MAX,
            ..LIMITS
        };
        let body = || Full::new(Bytes::from(vec![0; BYTES]));
        let (client, _, served) = answered(limits, draining, body).await;
        send(&client, b"GET / HTTP/1.1\r\n\r\n").await;
        let (mut taken, mut some) = (0, vec![0; 64 << 10]);
        // All of it would take seconds, and there is no tenth of a second without a byte.
        while client.readable().await.is_ok() {
            match client.try_read(&mut some) {
                Ok(0) => break,
                Ok(bytes) => taken += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => break,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(taken < BYTES, "{taken}");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn an_idle_connection_gives_way_once_its_request_is_answered() {
        let (_ending, draining) = drain();
        let (client, clock, served) = connected(LIMITS, draining.clone()).await;
        send(&client, b"GET /1 HTTP/1.1\r\n\r\n").await;
        client.readable().await.unwrap();
        reaches(&clock, ConnectionPhase::Idle).await;
        send(&client, b"GET /2 HTTP/1.1\r\n\r\n").await;
        // The request has arrived, and may not have been read yet.
        clock.evict();
        while clock.is_evicted() && !served.is_finished() {
            yield_now().await;
        }
        reaches(&clock, ConnectionPhase::Idle).await;
        clock.evict();
        let answers = received(&client).await;
        assert_eq!(answers.matches("answer").count(), 2, "{answers}");
        assert!(served.await.unwrap().is_none() && clock.is_evicted());
    }

    #[tokio::test]
    async fn every_phase_that_depends_on_the_client_ends_in_its_time() {
        let short = Duration::from_millis(20);
        let (_ending, draining) = drain();
        let idle = Limits {
            idle_time_max: short,
            ..LIMITS
        };
        let (client, _, served) = connected(idle, draining.clone()).await;
        assert_eq!(received(&client).await, "");
        served.await.unwrap();
        let head = Limits {
            head_time_max: short,
            ..LIMITS
        };
        let (client, _, served) = connected(head, draining).await;
        send(&client, b"GET / HTTP/1.1\r\n").await;
        assert_eq!(received(&client).await, "");
        served.await.unwrap();
    }
}
