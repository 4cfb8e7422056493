//! A coordinator's API, as a program asks it.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// Where a coordinator says that it listens.
pub fn address(log: &str) -> Option<String> {
    let listens = log.lines().find_map(|line| line.split_once("http://"));
    listens.map(|(_, address)| address.trim().to_owned())
}

/// Status and body of the answer.
pub fn post(address: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
