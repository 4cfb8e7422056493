//! The one binary, `imagefleet`, as a library: the only place that wires adapters to ports.
//!
//! [`args`] and [`config`] → [`embedded`] or `fleet` (adapters to the ports of a [`world`]) → one file a command.
//! [`run::Run`] is the embedded run itself, which tests drive with layers of their own around the ports; `fleet` (of the
//! feature of that name) has the processes of a fleet.

pub mod args;
pub mod config;
pub mod data_dir;
mod diff;
pub mod embedded;
mod encode;
pub mod exit;
#[cfg(feature = "fleet")]
pub mod fleet;
mod jobs;
pub mod logging;
mod models;
mod patience;
mod plan;
mod progress;
pub mod results;
pub mod run;
mod search;
mod signals;
mod site;
pub mod submission;
mod table;
mod vectors;
pub mod verify;
pub mod watch;
pub mod world;

use args::{Args, Command, ResultsCommand, VectorsCommand};
use exit::Exit;
use imagefleet_common::Result;

/// Does what the command line says.
pub async fn main(args: Args) -> Result<Exit> {
    let Args { global, command } = args;
    match command {
        Command::Run(run) => run::command(&global, run).await,
        Command::Plan { file } => plan::command(&global, &file).await,
        Command::Verify { file, repair } => verify::command(&global, &file, repair).await,
        Command::Models { command } => models::command(&global, command).await,
        Command::Encode(args) => encode::command(args).await,
        Command::Vectors { command: VectorsCommand::Export { collection, folder } } => {
            vectors::export(&global, &collection, &folder).await
        }
        Command::Vectors { command: VectorsCommand::Import(args) } => vectors::import(&global, &args).await,
        Command::Search(args) => search::command(&global, args).await,
        Command::Diff { left, right } => diff::command(&global, &left, &right),
        Command::Jobs { command } => jobs::command(&global, command).await,
        Command::Results { command: ResultsCommand::Get { job, folder } } => results::get(&global, &job, folder).await,
        #[cfg(feature = "fleet")]
        Command::Submit(args) => fleet::submit::command(&global, args).await,
        #[cfg(feature = "fleet")]
        Command::Coordinator(args) => fleet::coordinator::command(&global, args).await,
        #[cfg(feature = "fleet")]
        Command::Worker(args) => fleet::worker::command(&global, args).await,
        #[cfg(feature = "fleet")]
        Command::Migrate => fleet::migrate(&global).await,
        #[cfg(not(feature = "fleet"))]
        Command::Submit(_) | Command::Coordinator(_) | Command::Worker(_) | Command::Migrate => Err(site::not_built()),
    }
}
