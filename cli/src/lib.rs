//! The one binary, `imagefleet`, as a library: the only place that wires adapters to ports.
//!
//! [`args`] → [`embedded`] (adapters to ports) → one file a command. [`run::Run`] is the embedded run itself, which tests
//! drive with layers of their own around the ports.

pub mod args;
mod collections;
pub mod data_dir;
mod diff;
pub mod embedded;
mod encode;
pub mod exit;
mod jobs;
pub mod logging;
mod models;
mod plan;
mod progress;
pub mod results;
pub mod run;
mod search;
pub mod submission;
mod table;
mod vectors;
pub mod verify;

use args::{Args, Command, JobsCommand, VectorsCommand};
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
        Command::Jobs { command: JobsCommand::Ls } => jobs::ls(&global).await,
        Command::Jobs { command: JobsCommand::Show { job } } => jobs::show(&global, &job).await,
    }
}
