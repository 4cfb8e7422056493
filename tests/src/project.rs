//! A folder with a job file and all it names, and runs of it in this process.

use imagefleet::{
    args::Global,
    data_dir::{DataDir, Lock},
    run::{Ended, Run, load},
    submission::{Opened, object_path},
    verify::{Verified, verify},
    world::World,
};
use imagefleet_common::Result;
use imagefleet_coordinator::submit::Submission;
use imagefleet_worker::stop;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// A job in a folder of its own: `job.toml`, `articles.csv`, `corpus/`, and results in `out/`.
pub struct Project {
    folder: PathBuf,
    /// Removes the folder at the end, where it is this project's own.
    _temporary: Option<TempDir>,
}

/// The tiny checkpoint that the models' own tests use.
pub fn tiny_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fixtures/clip-tiny")
}

impl Project {
    /// With `titles` made-up articles and a corpus of this layout, still empty.
    pub fn new(layout: &str, titles: usize) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let project = Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) };
        fs::create_dir(project.corpus()).unwrap();
        let rows = (0..titles).map(|n| format!("a{n},http://example.org/{n},\"Title number {n}, of things\",,,\n"));
        let header = "article_id,article_url,article_title,article_tags,image_id,image_url\n";
        fs::write(project.path().join("articles.csv"), header.to_owned() + &rows.collect::<String>()).unwrap();
        project.write_job(layout, "");
        project
    }

    /// The project that another process made in `folder`.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), _temporary: None }
    }

    /// Writes the job file anew, with `more` sections at its end.
    pub fn write_job(&self, layout: &str, more: &str) {
        let model = tiny_model();
        let job = format!(
            "name = \"test\"\n[corpus]\nname = \"test\"\nsource = \"corpus\"\nlayout = \"{layout}\"\n\
             [model]\npath = {model:?}\nbatch = 8\n[articles]\nfile = \"articles.csv\"\n\
             [retrieval]\ncandidates = 5\n[output]\ndirectory = \"out\"\n{more}"
        );
        fs::write(self.job_file(), job).unwrap();
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    pub fn job_file(&self) -> PathBuf {
        self.path().join("job.toml")
    }

    pub fn corpus(&self) -> PathBuf {
        self.path().join("corpus")
    }

    pub fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    pub fn data(&self) -> DataDir {
        DataDir::new(None, self.path())
    }

    fn opened(&self) -> Result<Opened> {
        let global = Global {
            data: None,
            object_root: None,
            config: None,
            set: Vec::new(),
            log: "off".into(),
            output: imagefleet::args::Output::Table,
        };
        Opened::read(&global, &self.job_file())
    }

    /// Takes the data directory, as a run of the binary does.
    pub async fn take_over(&self) -> Result<(Lock, World)> {
        let lock = self.data().lock()?;
        let world = World::take_over(&self.data()).await?;
        Ok((lock, world))
    }

    /// A run over `world` with the shipped settings; fields may be changed before it starts.
    pub fn prepare(&self, world: World) -> Result<Run> {
        let opened = self.opened()?;
        let submission = Submission { ..opened.submission()? };
        Ok(Run {
            world,
            submission,
            output: object_path(&opened.file.output)?,
            accept_dead: false,
            retry_dead: false,
            load: Arc::new(load),
            coordinator: imagefleet_coordinator::Settings::default(),
            worker: |_| {},
        })
    }

    /// Runs to the end with the shipped retries, as `imagefleet run` does.
    pub async fn run(&self) -> Result<Ended> {
        self.run_changed(|_| {}).await
    }

    /// The same, with some of the run's fields changed.
    pub async fn run_changed(&self, change: impl FnOnce(&mut Run)) -> Result<Ended> {
        let (_lock, world) = self.take_over().await?;
        let mut run = self.prepare(world.retrying())?;
        change(&mut run);
        let (_stopper, stop) = stop::channel();
        run.run(stop).await
    }

    /// What `imagefleet verify` finds.
    pub async fn verify(&self) -> Result<Verified> {
        let world = World::open(&self.data()).await?;
        let job = world.jobs.jobs().await?.pop().expect("a job has run");
        verify(&world, &job).await
    }
}
