//! `imagefleet search`: a text or a picture against a collection, now.

use crate::{
    args::{Global, Output, SearchArgs},
    encode,
    exit::Exit,
    logging::{print, say},
    run::blocking,
    site::{Sited, folder_of_revision},
    table::table,
    world::World,
};
use imagefleet_common::{
    Context, Error, Result,
    filter::Filter,
    job::spec::{CollectionSpec, CorpusSpec},
    ports::{
        catalog::{named_collection, whole_scope},
        index::Queries,
    },
};
use imagefleet_models::{Device, Vectors, checkpoint::open_checkpoint};
use imagefleet_pictures::{processor::Processor, thumbnail::thumbnail};
use imagefleet_retrieval::{
    report::{self, Picture, THUMBNAIL_SIDE},
    results::picture_path,
};
use imagefleet_worker::{
    search::{Found, Shown, look_up, shown},
    thumbnails::thumbnails,
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Stdio},
};

pub(crate) async fn command(global: &Global, args: SearchArgs) -> Result<Exit> {
    let query = Query::of(&args)?;
    let mut filter = Filter::default();
    let mut given = BTreeSet::new();
    for (key, value) in &args.filters {
        filter.set(key, value)?;
        if !given.insert(key) {
            return Err(Error::permanent(format!(
                "filter {key}={value}: {key} is given twice; name its values once, with commas"
            )));
        }
    }
    let Sited { site, models } = Sited::of(global)?;
    let world = site.look().await?;
    let collection = named_collection(world.catalog.as_ref(), args.collection.as_deref()).await?;
    let corpus = world.catalog.corpus(&collection.corpus).await?;
    let corpus =
        corpus.ok_or_else(|| Error::permanent(format!("search {}: its corpus is not on record", collection.id)))?;
    let (asked, space) = (query.clone(), collection.clone());
    let vectors = blocking(move || asked.encode(&space, &models)).await?;
    let query_vector = Queries { dims: vectors.dims, values: vectors.values };
    let (index, catalog) = (world.index.as_ref(), world.catalog.as_ref());
    let found = look_up(index, catalog, &corpus, &collection, &query_vector, filter, args.top.into()).await?;
    show(global, &query, &collection, &found)?;
    if args.open {
        open(&gallery(&world, &corpus, &collection, &query, &found).await?)?;
    }
    Ok(Exit::Done)
}

/// What is searched for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum Query {
    Text(String),
    Image(PathBuf),
}

impl Query {
    fn of(args: &SearchArgs) -> Result<Self> {
        match (&args.text, &args.image) {
            (Some(text), None) => Ok(Self::Text(text.clone())),
            (None, Some(image)) => Ok(Self::Image(image.clone())),
            _ => Err(Error::permanent("search: give a text or --image FILE")),
        }
    }

    /// Its unit vector in the collection's space: with this machine's copy of the model among `models`, or with the one
    /// that the job was submitted with.
    fn encode(&self, collection: &CollectionSpec, models: &[String]) -> Result<Vectors> {
        let here = folder_of_revision(models, &collection.revision)?;
        let model = &here.unwrap_or_else(|| PathBuf::from(&collection.model_path));
        let doing = || format!("search {} with its model {}", collection.id, model.display());
        let revision = open_checkpoint(model).and_then(|_| imagefleet_models::revision(model)).map_err(|error| {
            error.while_doing(format_args!("{} (IMAGEFLEET_MODELS may name this machine's copy of it)", doing()))
        })?;
        if revision != collection.revision {
            return Err(Error::permanent(format!(
                "{}: its files are not those that the vectors were made with; name this machine's copy of the model with IMAGEFLEET_MODELS, or run the job again, which makes a collection of the new model",
                doing()
            )));
        }
        let mut encoder = imagefleet_models::load(model, Device::Cpu)?;
        let vectors = match self {
            Self::Text(text) => encoder.encode_texts(std::slice::from_ref(text))?,
            Self::Image(file) => {
                let processor = Processor::read(model)?.with_decoding(collection.decoding);
                processor.must_fit(encoder.picture_side())?;
                encoder.encode_pictures(&encode::pixels(&processor, file)?)?
            }
        };
        match vectors.values.iter().all(|value| value.is_finite()) {
            true => Ok(vectors),
            false => Err(Error::permanent("search: the model gave no vector of any length")),
        }
    }
}

/// A page with the pictures.
async fn gallery(
    world: &World,
    corpus: &CorpusSpec,
    collection: &CollectionSpec,
    query: &Query,
    found: &[Found],
) -> Result<Vec<u8>> {
    let wanted = found.iter().map(|found| (found.key.as_str(), &found.payload)).collect();
    let thumbnails = thumbnails(world.sources.as_ref(), corpus, wanted, collection.limits).await;
    let (title, picture) = match query {
        Query::Text(text) => (text.clone(), None),
        Query::Image(file) => {
            let doing = || format!("read picture {}", file.display());
            let bytes = std::fs::read(file).permanent(doing)?;
            let small = thumbnail(&bytes, &collection.limits, THUMBNAIL_SIDE);
            (file.display().to_string(), small.ok().map(|small| small.jpeg))
        }
    };
    let shown = (1..).zip(found).map(|(rank, Found { key, score, payload, .. })| {
        let path = picture_path(&payload.shard_path, &payload.entry);
        let picture = match corpus.metadata {
            Some(_) => Picture::credited(key, &path, &payload.attribution),
            None => Picture::own(key, &path),
        };
        report::Found { picture, before: rank, after: rank, similarity: *score, ..report::Found::default() }
    });
    let query =
        report::Query { id: "search".to_owned(), title, picture, found: shown.collect(), ..report::Query::default() };
    let points = world.index.counts(&collection.id, &whole_scope(world.catalog.as_ref(), &corpus.id).await?).await?;
    let search = report::Search {
        model: collection.model_path.clone(),
        collection: collection.id.0.clone(),
        index_size: points.iter().map(|(_, count)| count).sum(),
        version: format!("{} ({})", env!("CARGO_PKG_VERSION"), env!("IMAGEFLEET_COMMIT")),
        ..report::Search::default()
    };
    Ok(report::gallery(&search, &[query], &thumbnails))
}

/// Writes the page where it may be lost, says where, and shows it in the browser if there is one.
fn open(page: &[u8]) -> Result<()> {
    let file = std::env::temp_dir().join(format!("imagefleet-search-{}.html", std::process::id()));
    std::fs::write(&file, page).permanent(|| format!("write the page {}", file.display()))?;
    say(format_args!("page: {}", file.display()));
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started =
        Command::new(opener).arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = started {
        say(format_args!("{opener} could not be started ({error}): open the page yourself"));
    }
    Ok(())
}

fn show(global: &Global, query: &Query, collection: &CollectionSpec, found: &[Found]) -> Result<()> {
    let rows = shown(found);
    if global.output == Output::Json {
        #[derive(Serialize)]
        struct Answer<'a> {
            query: &'a Query,
            collection: &'a str,
            results: Vec<Shown<'a>>,
        }
        let answer = Answer { query, collection: &collection.id.0, results: rows };
        let text = serde_json::to_string_pretty(&answer).permanent(|| "print the results".to_owned())?;
        print(format_args!("{text}"));
        return Ok(());
    }
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let licence = row.licence_code.unwrap_or(row.licence).to_owned();
            vec![
                row.rank.to_string(),
                format!("{:.4}", row.score),
                row.key.to_owned(),
                row.title,
                row.author,
                licence,
                row.link.to_owned(),
            ]
        })
        .collect();
    print(format_args!("{}", table(&["RANK", "SCORE", "KEY", "TITLE", "AUTHOR", "LICENCE", "LINK"], &cells)));
    Ok(())
}
