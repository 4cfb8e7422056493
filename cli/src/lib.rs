//! The one binary, `imagefleet`, as a library: the only place that wires adapters to ports.
//!
//! [`args`] and [`config`] → [`embedded`] or `fleet` (adapters to the ports of a [`world`]) → one file a command.
//! [`run::Run`] is the embedded run itself, which tests drive with layers of their own around the ports; `fleet` (of the
//! feature of that name) has the processes of a fleet.

pub mod args;
mod bench;
mod collections;
mod colour;
pub mod config;
pub mod data_dir;
mod diff;
mod doctor;
pub mod embedded;
mod encode;
pub mod exit;
#[cfg(feature = "fleet")]
pub mod fleet;
mod jobs;
mod line;
pub mod logging;
mod models;
mod patience;
mod plan;
mod progress;
pub mod results;
pub mod run;
mod search;
mod shell;
mod signals;
mod site;
mod speed;
pub mod submission;
mod table;
pub mod takedown;
mod tasks;
mod times;
mod vectors;
pub mod verify;
pub mod watch;
mod workers;
pub mod world;

use args::{Args, BenchCommand, Command, ConfigCommand, ResultsCommand, VectorsCommand};
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
        Command::Tasks { command } => tasks::command(&global, command).await,
        Command::Workers { command } => workers::command(&global, command).await,
        Command::Dead { command } => tasks::dead(&global, command).await,
        Command::Collections { command } => collections::command(&global, command).await,
        Command::Takedown(args) => takedown::command(&global, args).await,
        Command::Doctor => doctor::command(&global).await,
        Command::Config { command: ConfigCommand::Show } => config::show(&global),
        Command::Config { command: ConfigCommand::Check } => config::check(&global),
        Command::Bench { command: BenchCommand::Worker(args) } => bench::worker(&global, args).await,
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { folder } => shell::man(&global, &folder),
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
