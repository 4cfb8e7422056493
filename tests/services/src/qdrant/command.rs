//! `qdrant --listen ADDRESS [--data DIR] [--api-key KEY]`.

use super::{Settings, Store, serve};
use std::{error::Error, io::Write, path::Path};
use tokio::net::TcpListener;

/// Serves until the process ends. Prints `qdrant ADDRESS` once it listens.
pub async fn run(arguments: impl IntoIterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (mut listen, mut data, mut settings) = (None, None, Settings::default());
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--listen" => listen = Some(value),
            "--data" => data = Some(value),
            "--api-key" => settings.api_key = Some(value),
            _ => return Err(format!("{name}: expected --listen, --data or --api-key").into()),
        }
    }
    let listen = listen.ok_or("--listen ADDRESS is missing")?;
    let store = match data {
        Some(folder) => Store::open(Path::new(&folder)).map_err(|error| format!("open {folder}: {error}"))?,
        None => Store::in_memory(),
    };
    let listener = TcpListener::bind(&listen).await.map_err(|error| format!("listen on {listen}: {error}"))?;
    writeln!(std::io::stdout(), "qdrant {}", listener.local_addr()?)?;
    Ok(serve(listener, store, settings).await?)
}
