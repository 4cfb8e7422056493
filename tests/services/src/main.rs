//! `imagefleet-test-services SERVER --NAME VALUE …` runs one server until it is killed, and prints its name and address
//! once it listens:
//!
//! - `s3 --root DIR --listen ADDR`, where each folder of DIR is a bucket
//! - `qdrant --listen ADDR [--data DIR] [--api-key KEY]`

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument.strip_prefix("--") == Some(name));
        at.and_then(|at| arguments.get(at + 1)).ok_or_else(|| format!("--{name} is missing"))
    };
    match arguments.first().map(String::as_str) {
        Some("s3") => {
            let server = imagefleet_test_services::s3::Server::new(option("root")?.into());
            let listener = TcpListener::bind(option("listen")?).await?;
            ready("s3", listener.local_addr()?)?;
            server.serve(listener).await?;
        }
        Some("qdrant") => imagefleet_test_services::qdrant::run(arguments.into_iter().skip(1)).await?,
        _ => return Err("the first argument names a server: s3 or qdrant".into()),
    }
    Ok(())
}

fn ready(server: &str, address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{server} {address}")?;
    out.flush()
}
