//! The server's connections: no more than it can bear, and none that keeps it waiting.

use axum::serve::Listener;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// Open at a time. Who comes then waits until one of them ends.
const CONNECTIONS: usize = 512;
/// From a request's first byte until its answer moves on, and from an answer to the next request: more than any takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Bounded {
    listener: TcpListener,
    left: Arc<Semaphore>,
    patience: Duration,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self::of(listener, CONNECTIONS, PATIENCE)
    }

    fn of(listener: TcpListener, connections: usize, patience: Duration) -> Self {
        Self { listener, left: Arc::new(Semaphore::new(connections)), patience }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let permit = Arc::clone(&self.left).acquire_owned().await.expect("nobody closes the semaphore");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let deadline = Box::pin(sleep(self.patience));
        (Connection { stream, deadline, patience: self.patience, has_answered: false, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

pub(super) struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    patience: Duration,
    /// Since something was read last.
    has_answered: bool,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn wait_anew(&mut self, has_answered: bool) {
        self.has_answered = has_answered;
        self.deadline.as_mut().reset(Instant::now() + self.patience);
    }

    /// While nothing moves: an error once that lasts too long.
    fn waits<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) else { return self.waits(cx) };
        // Only the first bytes of a request are waited for anew: who sends it one by one gets no more time than others.
        if self.has_answered {
            self.wait_anew(false);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, buf) else { return self.waits(cx) };
        self.wait_anew(true);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(ready!(Pin::new(&mut self.stream).poll_shutdown(cx)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use axum::{Router, routing::get};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PATIENCE: Duration = Duration::from_millis(500);
    /// More than the sockets between take.
    const LARGE: usize = 64 << 20;
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

    async fn served(connections: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "ok")).route("/large", get(async || vec![b'x'; LARGE]));
        tokio::spawn(async move { axum::serve(Bounded::of(listener, connections, PATIENCE), router).await });
        address
    }

    async fn answers(stream: &mut TcpStream) -> bool {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = [0; 512];
        matches!(stream.read(&mut answer).await, Ok(read) if answer[..read].ends_with(b"ok"))
    }

    #[tokio::test]
    async fn a_connection_that_asks_now_and_then_lives_on() {
        let mut stream = TcpStream::connect(served(1).await).await.unwrap();
        for _ in 0..5 {
            assert!(answers(&mut stream).await);
            tokio::time::sleep(PATIENCE / 2).await;
        }
    }

    #[tokio::test]
    async fn who_waits_is_let_in_once_those_have_ended_that_ask_nothing() {
        let address = served(2).await;
        let _silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        let trickle = async {
            for byte in REQUEST.iter().cycle().filter(|byte| **byte != b'\n') {
                if slow.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(PATIENCE / 10).await;
            }
        };
        let began = Instant::now();
        let mut third = TcpStream::connect(address).await.unwrap();
        tokio::select! {
            is_answered = answers(&mut third) => assert!(is_answered),
            () = async { trickle.await; std::future::pending().await } => {}
            () = tokio::time::sleep(20 * PATIENCE) => panic!("it was never let in"),
        }
        assert!(began.elapsed() >= PATIENCE / 2, "it was let in at once: nothing is bounded");
    }

    #[tokio::test]
    async fn who_sends_a_request_byte_by_byte_or_reads_no_answer_is_left() {
        let address = served(8).await;
        let (reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
        let trickling = tokio::spawn(async move {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(PATIENCE / 10).await;
            }
        });
        tokio::time::timeout(20 * PATIENCE, trickling).await.expect("it was left").unwrap();
        drop(reader);

        let mut deaf = TcpStream::connect(address).await.unwrap();
        // The second one stands in the server's buffer, so that it reads nothing more.
        deaf.write_all(b"GET /large HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        deaf.write_all(REQUEST).await.unwrap();
        tokio::time::sleep(4 * PATIENCE).await;
        let mut read = Vec::new();
        // Whether it is told or merely cut off, it does not get all.
        let _ = tokio::time::timeout(20 * PATIENCE, deaf.read_to_end(&mut read)).await.expect("it was left");
        assert!(read.len() < LARGE, "{} bytes", read.len());
    }
}
