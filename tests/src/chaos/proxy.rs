//! A TCP proxy whose connections can be cut, made half-open or slowed down while they are in use.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What a slow link carries at a time, and how long it takes for it: 64 KiB/s.
const SLOW_BYTES: usize = 2048;
const SLOW_STEP: Duration = Duration::from_millis(32);

/// How a proxy treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Those that are open are closed on both sides; new ones are closed as soon as they are made.
    Cut,
    /// The server's side is closed and the client is not told, now or later; new ones are taken and never answered.
    HalfOpen,
    Slow,
}

#[derive(Clone, Copy)]
struct Treatment {
    mode: Mode,
    /// How often connections were broken: a short break is not missed.
    breaks: usize,
}

/// Passes connections on to one server, until it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    treatment: watch::Sender<Treatment>,
    open: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (treatment, treated) = watch::channel(Treatment { mode: Mode::Pass, breaks: 0 });
        let open = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn(accept(listener, server, treated, Arc::clone(&open)));
        Self { address, treatment, open, accepting }
    }

    pub fn set(&self, mode: Mode) {
        let breaks = usize::from(matches!(mode, Mode::Cut | Mode::HalfOpen));
        self.treatment.send_modify(|now| *now = Treatment { mode, breaks: now.breaks + breaks });
    }

    /// Connections that their clients have not closed.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    treated: watch::Receiver<Treatment>,
    open: Arc<AtomicUsize>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (treated, open) = (treated.clone(), Arc::clone(&open));
        open.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            carry(client, server, treated).await;
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Returns when the client's side is closed.
async fn carry(mut client: TcpStream, server: SocketAddr, mut treated: watch::Receiver<Treatment>) {
    let begun = *treated.borrow_and_update();
    match begun.mode {
        Mode::Cut => return,
        Mode::HalfOpen => return silence(&mut client).await,
        Mode::Pass | Mode::Slow => {}
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    // Small messages go at once, as they would without a proxy.
    let (Ok(()), Ok(())) = (client.set_nodelay(true), server.set_nodelay(true)) else { return };
    let watched = treated.clone();
    let broken = async {
        let changed = treated.wait_for(|now| now.breaks > begun.breaks).await;
        // Without its proxy a connection is cut.
        changed.map_or(Mode::Cut, |now| now.mode)
    };
    let how = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let both = async {
            tokio::join!(pump(from_client, to_server, &watched), pump(from_server, to_client, &watched));
        };
        tokio::select! {
            () = both => Mode::Cut,
            how = broken => how,
        }
    };
    drop(server);
    if how == Mode::HalfOpen {
        silence(&mut client).await;
    }
}

/// Takes what comes until the client goes away.
async fn silence(client: &mut TcpStream) {
    let mut thrown_away = [0; 4096];
    while matches!(client.read(&mut thrown_away).await, Ok(1..)) {}
}

async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, treated: &watch::Receiver<Treatment>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let slow = treated.borrow().mode == Mode::Slow;
        let room = if slow { SLOW_BYTES } else { buffer.len() };
        let Ok(count @ 1..) = from.read(&mut buffer[..room]).await else { break };
        if slow {
            tokio::time::sleep(SLOW_STEP).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    // The other direction may still have something to say.
    let _ = to.shutdown().await;
}
