//! The server's connections: no more than it can bear, and none that keeps it waiting.

use super::refusal::Refusal;
use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn},
    response::IntoResponse,
    serve::Listener,
};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
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
/// Until a request is answered, if only by a refusal: more than a search takes.
const ANSWER: Duration = Duration::from_secs(45);
/// From a request's first byte until its answer moves on, and from there to the next request: longer than an answer may
/// take, and than what scrapers and balancers leave between two requests.
const PATIENCE: Duration = Duration::from_secs(90);

/// Every route answers in time: a service that it needs may not.
pub(super) fn in_time(router: Router) -> Router {
    within(router, ANSWER)
}

fn within(router: Router, limit: Duration) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| async move {
        let answer = tokio::time::timeout(limit, next.run(request)).await;
        answer.unwrap_or_else(|_| {
            let why = format!("no answer within {limit:?}: a service that it needs is slow or away; ask again");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        })
    }))
}

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
        (Connection { stream, deadline, patience: self.patience, awaits_request: true, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

pub(super) struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    patience: Duration,
    /// Nothing of the next request has been read.
    awaits_request: bool,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn wait_anew(&mut self, awaits_request: bool) {
        self.awaits_request = awaits_request;
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
        if self.awaits_request {
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    /// Long beside what a busy machine may lose between two steps of a test.
    const PATIENCE: Duration = Duration::from_secs(2);
    /// More than the sockets between take.
    const LARGE: usize = 64 << 20;

    async fn served(connections: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async || "ok"))
            .route("/slow", get(async || sleep(PATIENCE * 3 / 4).await))
            .route("/never", get(std::future::pending::<()>))
            .route("/large", get(async || vec![b'x'; LARGE]));
        let router = within(router, PATIENCE * 7 / 8);
        tokio::spawn(async move { axum::serve(Bounded::of(listener, connections, PATIENCE), router).await });
        address
    }

    fn request(path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n").into_bytes()
    }

    /// The first part of the answer, with its status; empty where the server ended the connection.
    async fn ask(stream: &mut TcpStream, path: &str) -> String {
        stream.write_all(&request(path)).await.unwrap();
        let mut answer = [0; 512];
        let read = timeout(20 * PATIENCE, stream.read(&mut answer)).await.expect("an answer, or the end");
        String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned()
    }

    #[tokio::test]
    async fn a_connection_that_asks_now_and_then_and_late_and_slowly_lives_on() {
        let mut stream = TcpStream::connect(served(1).await).await.unwrap();
        for path in ["/slow", "/", "/slow"] {
            sleep(PATIENCE * 3 / 4).await;
            let answer = ask(&mut stream, path).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        }
    }

    #[tokio::test]
    async fn what_takes_too_long_is_refused_and_not_cut_off() {
        let mut stream = TcpStream::connect(served(1).await).await.unwrap();
        let answer = ask(&mut stream, "/never").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("ask again"), "{answer}");
    }

    #[tokio::test]
    async fn who_waits_is_let_in_once_one_has_ended_that_asks_nothing() {
        let address = served(2).await;
        let _silent = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let began = Instant::now();
        let mut third = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut third, "/").await.ends_with("ok"));
        assert!(began.elapsed() >= PATIENCE / 2, "it was let in at once: nothing is bounded");
    }

    #[tokio::test]
    async fn who_sends_a_request_byte_by_byte_or_reads_no_answer_is_left() {
        let address = served(8).await;
        let (reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
        let trickling = tokio::spawn(async move {
            while writer.write_all(b"x").await.is_ok() {
                sleep(PATIENCE / 20).await;
            }
        });
        timeout(20 * PATIENCE, trickling).await.expect("it was left").unwrap();
        drop(reader);

        let mut deaf = TcpStream::connect(address).await.unwrap();
        // The second one stands in the server's buffer, so that it reads nothing more.
        deaf.write_all(&[request("/large"), request("/")].concat()).await.unwrap();
        sleep(2 * PATIENCE).await;
        let mut read = Vec::new();
        // Whether it is told or merely cut off, it does not get all.
        let _ = timeout(20 * PATIENCE, deaf.read_to_end(&mut read)).await.expect("it was left");
        assert!(read.len() < LARGE, "{} bytes", read.len());
    }
}
