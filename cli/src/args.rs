//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Embed a photo collection and search it by text, from one job file.
#[derive(Debug, Parser)]
#[command(name = "imagefleet", version)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Where state is kept [default: .imagefleet beside the job file]
    #[arg(long, global = true, env = "IMAGEFLEET_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where `corpus.source` starts [default: the job file's folder]
    #[arg(long, global = true, env = "IMAGEFLEET_OBJECT_ROOT", value_name = "DIR")]
    pub object_root: Option<PathBuf>,
    /// What is logged, as tracing's filter directives
    #[arg(long, global = true, env = "IMAGEFLEET_LOG", value_name = "FILTER", default_value = "warn")]
    pub log: String,
    /// How data is printed
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job file to its end, here, without any service
    Run(RunArgs),
    /// Show what a run would do: stages, shards, tasks, and what is done already
    Plan {
        /// The job file
        file: PathBuf,
    },
    /// Prove from the index that every picture is accounted for
    Verify {
        /// The job file
        file: PathBuf,
        /// Embed again the chunks in which something is wrong, do anew what comes after, and verify once more
        #[arg(long)]
        repair: bool,
    },
    /// Look at jobs
    Jobs {
        #[command(subcommand)]
        command: JobsCommand,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// The job file
    pub file: PathBuf,
    /// Go on without what is dead; the summary says so
    #[arg(long, conflicts_with = "retry_dead")]
    pub accept_dead: bool,
    /// Try what is dead once more
    #[arg(long)]
    pub retry_dead: bool,
    /// Remove pictures of shards that are gone, however many
    #[arg(long)]
    pub allow_delete: bool,
}

#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// List jobs, oldest first
    Ls,
    /// Show one job: its stages, tasks and ledger
    Show {
        /// The job's id, or its name (the newest of that name)
        job: String,
    },
}
