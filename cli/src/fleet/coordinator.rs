//! `imagefleet coordinator`

use super::Fleet;
use crate::{
    args::{CoordinatorArgs, Global},
    config::{self, Flag, Key},
    exit::Exit,
    logging::say,
    signals::stop_on_signals,
    world::World,
};
use imagefleet_common::{Context, Error, Result};
use imagefleet_coordinator::{
    Settings,
    api::{Api, router, serve},
    stats::Stats,
};
use imagefleet_worker::stop::{self, Stop};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// Requests that are under way at the end may take this long.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

pub(crate) async fn command(global: &Global, args: CoordinatorArgs) -> Result<Exit> {
    let stop = stop_on_signals("the coordinator ends")?;
    let flags = args.listen.map(|value| Flag { key: Key::Listen, name: "--listen", value });
    let config = config::load(global, flags.into_iter().collect())?;
    let fleet = config.clone().into_fleet()?;
    let token = config.coordinator.token()?.map(|token| token.reveal().to_owned());
    let listener = listen(Key::Listen, config.coordinator.listen).await?;
    // Who has not claimed after two leases is gone, and so may be the message.
    let settings = Settings { lease: fleet.lease, republish_after: 2 * fleet.lease, ..Settings::default() };
    let Some(fleet) = Fleet::connect_patiently(&fleet, &stop).await? else { return Ok(Exit::Done) };
    let ended = coordinate(&fleet.world, settings, listener, token, stop).await;
    fleet.close().await;
    ended.map(|()| Exit::Done)
}

/// Coordinates and serves the API until `shutdown`.
pub async fn coordinate(
    world: &World,
    settings: Settings,
    listener: TcpListener,
    token: Option<String>,
    shutdown: Stop,
) -> Result<()> {
    let address = listener.local_addr().permanent(|| "listen".to_owned())?;
    let stats = Arc::new(Stats::default());
    let version = format!("{} ({})", env!("CARGO_PKG_VERSION"), env!("IMAGEFLEET_COMMIT"));
    let changed = world.changed.clone();
    let api = Api { ports: world.coordinator(), changed, stats: Arc::clone(&stats), token, version };
    // Not the shutdown itself: what ends before this is given has ended by itself.
    let (stopper, stop) = stop::channel();
    let mut serving = tokio::spawn(serve(listener, router(api), async move { stop.stopped().await }));
    say(format_args!("coordinating; http://{address}"));
    let stopped = async { shutdown.stopped().await };
    tokio::select! {
        () = imagefleet_coordinator::run(world.coordinator(), settings, stats, world.changed.clone(), stopped) => {}
        ended = &mut serving => return Err(http_ended(ended)),
    }
    stopper.stop();
    // Whoever still asks by then asks another coordinator.
    let _ = tokio::time::timeout(LAST_ANSWERS, serving).await;
    Ok(())
}

/// A listener of this process.
pub(super) async fn listen(key: Key, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.permanent(|| format!("listen on {key} = {address}"))
}

/// A server ends when it is told to; whatever else ends it is an error.
pub(super) fn http_ended(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Error {
    match ended {
        Ok(Ok(())) => Error::permanent("serve HTTP: it ended by itself"),
        Ok(Err(error)) => error,
        Err(error) => Error::permanent("serve HTTP").because(error),
    }
}
