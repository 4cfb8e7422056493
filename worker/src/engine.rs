//! Engines: a loaded model with its thread, its processor and the pipeline in front of it. One per model, shared.

use crate::pipeline::{Pipeline, stats::Stats};
use imagefleet_common::{
    Error, Result,
    job::spec::{CollectionSpec, Decoding},
};
use imagefleet_models::Encoder;
use imagefleet_pictures::processor::Processor;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Loads the encoder of a model directory. Called on a thread that may block.
pub type Load = dyn Fn(&Path) -> Result<Box<dyn Encoder>> + Send + Sync;

/// A model that some task is loading, or has loaded.
type Loading = Arc<tokio::sync::OnceCell<Arc<Pipeline>>>;

/// The models of this worker, loaded when they are first needed.
pub struct Engines {
    load: Arc<Load>,
    decoders: usize,
    stats: Arc<Stats>,
    /// Where this machine has a model, by revision.
    folders: HashMap<String, PathBuf>,
    /// By revision, and by how pictures are decoded for it.
    loaded: Mutex<HashMap<(String, Decoding), Loading>>,
}

impl Engines {
    pub fn new(load: Arc<Load>, decoders: usize) -> Self {
        Self { load, decoders, stats: Arc::default(), folders: HashMap::new(), loaded: Mutex::default() }
    }

    /// With the folders of this machine's models by revision. A model that is not among them is looked for where its
    /// job's submitter had it.
    #[must_use]
    pub fn with_folders(self, folders: HashMap<String, PathBuf>) -> Self {
        Self { folders, ..self }
    }

    /// What all pipelines did so far.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// The pipeline of a collection's model. It is loaded in a task of its own: a caller that goes away meanwhile leaves it to
    /// those that come after.
    pub async fn pipeline(&self, collection: &CollectionSpec) -> Result<Arc<Pipeline>> {
        let name = (collection.revision.clone(), collection.decoding);
        let cell = {
            let mut loaded = self.loaded.lock().expect("nothing panics while it holds this lock");
            // A thread of it that has panicked never comes back.
            if loaded.get(&name).and_then(|cell| cell.get()).is_some_and(|pipeline| pipeline.has_ended()) {
                loaded.remove(&name);
            }
            Arc::clone(loaded.entry(name).or_default())
        };
        if let Some(pipeline) = cell.get() {
            return Ok(Arc::clone(pipeline));
        }
        let here = self.folders.get(&collection.revision);
        let start = Start {
            path: here.cloned().unwrap_or_else(|| PathBuf::from(&collection.model_path)),
            collection: collection.clone(),
            load: Arc::clone(&self.load),
            decoders: self.decoders,
            stats: Arc::clone(&self.stats),
        };
        let loading = tokio::spawn(async move { cell.get_or_try_init(|| start.run()).await.cloned() });
        loading.await.map_err(|error| Error::permanent("load the model").because(error))?
    }
}

/// What it takes to load a model.
struct Start {
    path: PathBuf,
    collection: CollectionSpec,
    load: Arc<Load>,
    decoders: usize,
    stats: Arc<Stats>,
}

impl Start {
    async fn run(self) -> Result<Arc<Pipeline>> {
        let Self { path, collection, load, decoders, stats } = self;
        let decoding = collection.decoding;
        let opened =
            tokio::task::spawn_blocking(move || Ok((load(&path)?, Processor::read(&path)?.with_decoding(decoding))));
        let (encoder, processor) =
            opened.await.map_err(|error| Error::permanent("load the model").because(error)).flatten()?;
        same("preprocessing", &collection.preprocessing, &processor.identity())?;
        same("vector width", &collection.dims.to_string(), &encoder.dims().to_string())?;
        processor.must_fit(encoder.picture_side())?;
        Pipeline::start(encoder, processor, collection.batch, decoders, stats).map(Arc::new)
    }
}

/// The model that was loaded is the one that the collection was made for.
fn same(what: &str, collection: &str, model: &str) -> Result<()> {
    if collection == model {
        return Ok(());
    }
    Err(Error::permanent(format!(
        "use the model: its {what} is {model}, the collection's is {collection}; the model's files have changed since the job was submitted"
    )))
}
