//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use imagefleet_common::{filter::Filter, ids::TaskId, task::State, work::Kind};
use imagefleet_models::Device;
use std::{path::PathBuf, time::Duration};

/// Embed a photo collection and search it by text, from one job file.
#[derive(Debug, Parser)]
#[command(name = "imagefleet", version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("IMAGEFLEET_COMMIT"), ")"))]
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
    /// Settings of a fleet, as TOML; see docs/fleet.md
    #[arg(long, global = true, env = "IMAGEFLEET_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A setting of a fleet, before what the environment and the file say; may be given again
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
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
    /// Fetch, list and check models
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Print the unit vectors of texts and pictures, as JSON
    Encode(EncodeArgs),
    /// Write a collection's vectors to files that other programs read, or take such files in
    Vectors {
        #[command(subcommand)]
        command: VectorsCommand,
    },
    /// Search a collection for a text or a picture
    Search(SearchArgs),
    /// Say why two runs differ: compares their run.json
    Diff {
        /// A run.json, or the folder of results that it is in
        left: PathBuf,
        /// The other run's
        right: PathBuf,
    },
    /// Look at jobs, and control them
    Jobs {
        #[command(subcommand)]
        command: JobsCommand,
    },
    /// Look at tasks
    Tasks {
        #[command(subcommand)]
        command: TasksCommand,
    },
    /// Look at workers, and drain them
    Workers {
        #[command(subcommand)]
        command: WorkersCommand,
    },
    /// Look at what has failed for good
    Dead {
        #[command(subcommand)]
        command: DeadCommand,
    },
    /// Look at collections, and remove them
    Collections {
        #[command(subcommand)]
        command: CollectionsCommand,
    },
    /// Take one picture out of every collection, for good: it is never embedded again
    Takedown(TakedownArgs),
    /// Check everything that this process would work with, and say what to do about what is wrong
    Doctor,
    /// Look at the settings
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Measure this machine
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
    /// Print a script that completes commands in a shell
    Completions { shell: clap_complete::Shell },
    /// Write manual pages, one for each command
    Man {
        /// Where they go
        folder: PathBuf,
    },
    /// Fetch what jobs have made
    Results {
        #[command(subcommand)]
        command: ResultsCommand,
    },
    /// Send a job file to the fleet
    Submit(SubmitArgs),
    /// Run a coordinator of the fleet, until SIGTERM; any number may run at once
    Coordinator(CoordinatorArgs),
    /// Run a worker of the fleet, until SIGTERM; one process for each GPU
    Worker(WorkerArgs),
    /// Bring the tables of the fleet's database up to date
    Migrate,
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
pub enum ModelsCommand {
    /// List the models in the cache that Hugging Face's tools share (HF_HOME, HF_HUB_CACHE)
    Ls,
    /// Fetch a model into that cache, or go on with a fetch that was cut; prints its folder
    Pull {
        /// owner/name, or owner/name@revision for a branch, a tag or a commit
        model: String,
    },
    /// Read all of a model and encode a title and a picture with it
    Check {
        /// A folder, or owner/name or owner/name@revision of the hub
        model: String,
    },
}

#[derive(Debug, Clone, clap::Args)]
#[command(group(clap::ArgGroup::new("input").required(true).multiple(true)))]
pub struct EncodeArgs {
    /// The model: a folder, or owner/name or owner/name@revision of the hub, which must have been pulled
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// A text; may be given again
    #[arg(long = "text", value_name = "TEXT", group = "input")]
    pub texts: Vec<String>,
    /// A picture's file; may be given again
    #[arg(long = "image", value_name = "FILE", group = "input")]
    pub images: Vec<PathBuf>,
}

#[derive(Debug, Clone, clap::Args)]
#[command(group(clap::ArgGroup::new("query").required(true)))]
pub struct SearchArgs {
    /// What the pictures are to show
    #[arg(group = "query")]
    pub text: Option<String>,
    /// A picture whose like is searched for
    #[arg(long, value_name = "FILE", group = "query")]
    pub image: Option<PathBuf>,
    /// The collection's id, or its corpus's name where it is the only one over that corpus [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub collection: Option<String>,
    /// Pictures to show
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub top: u16,
    /// Which pictures may be found, as [retrieval.filter] of a job file; once for each of its keys: licence=by,cc0,
    /// licence_without=nc,nd, taken_from=2010-01-01, taken_before=2014-01-01, text=harbour,night
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = filter_rule)]
    pub filters: Vec<(String, String)>,
    /// Write a page with the pictures and open it in the browser
    #[arg(long)]
    pub open: bool,
}

#[derive(Debug, Subcommand)]
pub enum VectorsCommand {
    /// Write vectors.npy, vectors.jsonl and collection.json
    Export {
        /// The collection's id, or its corpus's name where it is the only one over that corpus
        collection: String,
        /// Where the files go
        folder: PathBuf,
    },
    /// Take in vectors.npy and vectors.jsonl as a collection of its own
    Import(ImportArgs),
}

#[derive(Debug, Clone, clap::Args)]
pub struct ImportArgs {
    /// The folder with vectors.npy (f32, a unit vector a row) and vectors.jsonl (a line a row, with its "key")
    pub folder: PathBuf,
    /// What the collection is called here
    pub name: String,
    /// The model that made the vectors, as for encode [default: what collection.json says]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
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
    /// Watch one job until it ends; exits 1 where it cannot be watched, 3 where it is blocked, 4 where it was cancelled
    Watch {
        /// The job's id, or its name (the newest of that name)
        job: String,
    },
    /// Cancel a job; what other jobs need goes on
    Cancel {
        /// The job's id, or its name (the newest of that name)
        job: String,
    },
    /// Hold a job: what of it runs is handed back
    Pause {
        /// The job's id, or its name (the newest of that name)
        job: String,
    },
    /// Let a job that was paused or is blocked go on
    Resume {
        /// The job's id, or its name (the newest of that name)
        job: String,
        /// Without the shards and chunks that are dead, now or later; its summary says so
        #[arg(long)]
        accept_dead: bool,
    },
    /// Try what is dead of a job once more, after mending its cause
    Retry {
        /// The job's id, or its name (the newest of that name)
        job: String,
        /// Instead embed the chunks again in which pictures were rejected for this reason (truncated, crashes, …)
        #[arg(long, value_name = "REASON")]
        rejected: Option<String>,
    },
    /// Remove a job that has ended, with what it left; vectors stay in their collection
    Rm {
        /// The job's id, or its name (the newest of that name)
        job: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// List the tasks that a job needs
    Ls {
        /// The job's id, or its name (the newest of that name)
        job: String,
        /// Only those in this state: pending, ready, running, succeeded, superseded, dead, cancelled
        #[arg(long, value_parser = state)]
        state: Option<State>,
        /// Only this kind of work: list, embed, seal, retrieve, rerank, finalize
        #[arg(long, value_parser = kind)]
        kind: Option<Kind>,
    },
    /// Show one task: its attempts, errors and times, and where its log is
    Show {
        /// The task's id
        #[arg(value_parser = task)]
        task: TaskId,
    },
}

/// Of `--filter`.
fn filter_rule(rule: &str) -> Result<(String, String), String> {
    let (key, value) = rule.split_once('=').ok_or("expected KEY=VALUE, as in licence_without=nc,nd")?;
    Filter::default().set(key, value).map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value.to_owned()))
}

fn task(id: &str) -> Result<TaskId, String> {
    id.parse().map_err(|_| "expected a task's id, as `imagefleet tasks ls JOB` prints them".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected a number from 0.01 to 600".to_owned())
}

fn state(name: &str) -> Result<State, String> {
    State::from_name(name).ok_or_else(|| format!("expected one of {}", State::ALL.map(State::name).join(", ")))
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::from_name(name).ok_or_else(|| format!("expected one of {}", Kind::ALL.map(Kind::name).join(", ")))
}

#[derive(Debug, Subcommand)]
pub enum WorkersCommand {
    /// List workers that live, and what they run
    Ls,
    /// Ask workers to end: they take nothing new, end or hand back what runs, and exit with 0
    Drain {
        /// A worker's name or its session's id; may be given again
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "NAME|ID")]
        workers: Vec<String>,
        /// All that live now
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// List dead tasks of all jobs, with their errors
    Ls,
}

#[derive(Debug, Subcommand)]
pub enum CollectionsCommand {
    /// List collections
    Ls,
    /// Show one collection: its model, its storage, what it holds
    Show {
        /// The collection's id, or its corpus's name where it is the only one over that corpus
        collection: String,
    },
    /// Remove a collection that no job needs: its vectors, its ledger and its artifacts
    Rm {
        /// The collection's id
        collection: String,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub struct TakedownArgs {
    /// The picture's key, as results and search print it
    pub key: String,
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting, its value and where it comes from; secrets are hidden
    Show,
    /// Say whether the settings are right, for which processes they are enough, and what is wrong with them
    Check,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Find the batch size and the bottleneck of a worker of this machine, without any service
    Worker(BenchWorkerArgs),
}

#[derive(Debug, Clone, clap::Args)]
pub struct BenchWorkerArgs {
    /// The model: a folder, or owner/name or owner/name@revision of the hub, which must have been pulled
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Where the model computes: cpu or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: Device,
    /// A folder with pictures to read and decode [default: pictures drawn at random, 500 × 375 pixels]
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// The largest batch to try
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub max_batch: u32,
    /// Seconds for each measurement
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub seconds: Duration,
}

#[derive(Debug, Subcommand)]
pub enum ResultsCommand {
    /// Copy a finished job's result files to a folder
    Get {
        /// The job's id, or its name (the newest of that name)
        job: String,
        /// Where the files go [default: the job file's output.directory, from here]
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub struct SubmitArgs {
    /// The job file
    pub file: PathBuf,
    /// Watch the job until it ends
    #[arg(long)]
    pub wait: bool,
    /// Before jobs of a lower number, in place of what the job file says; may be negative
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// At most so many tasks of the job are handed out or run at a time, so no more workers than that work for it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_workers: Option<u32>,
    /// Remove pictures of shards that are gone, however many
    #[arg(long)]
    pub allow_delete: bool,
}

#[derive(Debug, Clone, clap::Args)]
pub struct CoordinatorArgs {
    /// Where the HTTP API is served; other than on loopback it needs a token [default: 127.0.0.1:7300]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
}

#[derive(Debug, Clone, clap::Args)]
pub struct WorkerArgs {
    /// Kinds of work that it takes: of list, embed, seal, retrieve, rerank, finalize [default: all]
    #[arg(long, value_name = "KIND,…")]
    pub queues: Option<String>,
    /// Models that it serves, each a folder of this machine or owner/name of the hub
    #[arg(long, value_name = "MODEL,…")]
    pub models: Option<String>,
    /// Where models compute: cpu or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Tasks at a time; they share one encoder [default: 3]
    #[arg(long, value_name = "N")]
    pub slots: Option<String>,
    /// From SIGTERM until what still runs is handed back [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub grace: Option<String>,
    /// Where health and metrics are served [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
}
