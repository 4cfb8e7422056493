//! The proxy that links are broken with.

use imagefleet_tests::chaos::proxy::{Mode, Proxy};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A server that says back what it hears.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    address
}

async fn ask(stream: &mut TcpStream) -> Option<u8> {
    stream.write_all(b"x").await.ok()?;
    let mut answer = [0];
    stream.read_exact(&mut answer).await.ok().map(|_| answer[0])
}

#[tokio::test]
async fn what_is_cut_or_half_open_stays_so_and_new_connections_pass_when_it_is_healed() {
    let proxy = Proxy::start(echo().await).await;
    let mut one = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(ask(&mut one).await, Some(b'x'));
    proxy.set(Mode::Cut);
    proxy.set(Mode::Pass);
    assert_eq!(ask(&mut one).await, None);
    let mut two = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(ask(&mut two).await, Some(b'x'));
    proxy.set(Mode::HalfOpen);
    let silent = timeout(Duration::from_millis(200), ask(&mut two)).await;
    assert!(silent.is_err(), "the client is told nothing: {silent:?}");
    proxy.set(Mode::Pass);
    let silent = timeout(Duration::from_millis(200), ask(&mut two)).await;
    assert!(silent.is_err(), "not even when the link is whole again: {silent:?}");
    let mut three = TcpStream::connect(proxy.address).await.unwrap();
    assert_eq!(ask(&mut three).await, Some(b'x'));
    assert_eq!(proxy.open(), 2, "the cut one is gone");
}
