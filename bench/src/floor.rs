//! The yardstick: what hyper can do when the answer costs nothing.
//!
//! Owns a server that gives every request the same bytes. It must not know
//! the API: no routing, no parsing, no limits beyond hyper's own, so that the
//! distance between it and the real server is the real server's work.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{FloorArgs, threads_or_cores};
use crate::text::cannot;

/// The pause when no connection can be accepted, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(args: &FloorArgs) -> Result<()> {
    let body = fs::read(&args.body).with_context(cannot("read", &args.body))?;
    let body = Bytes::from(body);
    let (listener, address) =
        bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;

    // All that can fail is done here, before the first thread exists.
    let mut workers = Vec::new();
    for _ in 0..threads_or_cores(args.threads) {
        let listener = listener.try_clone()?;
        workers.push((runtime()?, listener));
    }
    let waiting = runtime()?;
    let (mut interrupt, mut terminate) = {
        let _guard = waiting.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        (interrupt, terminate)
    };
    for (runtime, listener) in workers {
        let body = body.clone();
        thread::spawn(move || runtime.block_on(serve(listener, body)));
    }
    writeln!(io::stdout().lock(), "listening on http://{address}")?;

    // Returning from here ends the process, and the threads with it.
    waiting.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    Ok(())
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// One thread's loop: accepts from the shared socket for ever.
async fn serve(listener: TcpListener, body: Bytes) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Without it small answers wait for acknowledgements; a refusal only costs speed.
        let _ = stream.set_nodelay(true);
        let body = body.clone();
        let service = service_fn(move |_request: Request<hyper::body::Incoming>| {
            let answer = answer(&body);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .keep_alive(true)
            .serve_connection(TokioIo::new(stream), service);
        // A client that breaks off is the client's affair.
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

fn answer(body: &Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.clone()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpStream;

    #[test]
    fn every_request_on_a_connection_gets_the_file() {
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let runtime = runtime().unwrap();
        thread::spawn(move || {
            runtime.block_on(serve(listener, Bytes::from_static(b"{\"ok\":true}")))
        });

        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET /any HTTP/1.1\r\nhost: x\r\n\r\nGET /thing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();

        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2);
        assert_eq!(text.matches("content-type: application/json").count(), 2);
        assert_eq!(text.matches("{\"ok\":true}").count(), 2);
    }
}
