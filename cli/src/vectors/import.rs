//! `imagefleet vectors import`

use super::{COLLECTION, Origin, ROWS, Row, VECTORS, file_error, npy};
use crate::{
    args::{Global, ImportArgs, Output},
    exit::Exit,
    logging::{print, say},
    models::folder_of,
    site::Site,
    submission::identify,
    takedown::take_out,
    world::World,
};
use imagefleet_common::{
    Context, Error, Result,
    filter::Filter,
    ids::{CollectionId, CorpusId},
    job::spec::{
        CollectionSpec, CorpusSection, CorpusSpec, Decoding, IndexSection, Layout, Limits, ModelIdentity, Precision,
    },
    ports::index::{Doomed, Point, Scope},
    work::ChunkRef,
};
use serde_json::json;
use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// Points a chunk.
const CHUNK: usize = 1024;
const LONGEST_LINE: u64 = 1 << 20;
/// A vector's length may be off by this much.
const UNIT: f64 = 1e-3;

pub(crate) async fn import(global: &Global, args: &ImportArgs) -> Result<Exit> {
    let ImportArgs { folder, name, model } = args;
    let site = Site::of(global)?;
    let doing = || format!("import {}", folder.display());
    // Ids of our own end in a hash behind a hyphen; nothing that a person calls a collection may look like one.
    let is_ours = name.rsplit_once('-').is_some_and(|(_, hash)| {
        hash.len() >= 12 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if name.is_empty() || !name.chars().all(allowed) || is_ours {
        return Err(Error::permanent(format!(
            "{}: a collection cannot be called {name:?}; use letters, digits, . _ and -, and no id of another collection",
            doing()
        )));
    }
    let mut matrix = open(&folder.join(VECTORS))?;
    let (count, dims) = npy::read_header(&mut matrix)
        .map_err(|error| error.while_doing(format!("read {}", folder.join(VECTORS).display())))?;
    let origin = origin(folder, name, model.as_deref()).map_err(|error| error.while_doing(doing()))?;
    if origin.collection.dims != dims {
        return Err(Error::permanent(format!(
            "{}: {VECTORS} has {dims} numbers a row and the model's vectors have {}",
            doing(),
            origin.collection.dims
        )));
    }
    // All rows are looked at before anything is made.
    check(folder, count, dims)?;

    let (_lock, world) = match &site {
        Site::Here(data) => (Some(data.lock()?), World::take_over(data).await?.retrying()),
        Site::Fleet(_) => (None, site.look().await?),
    };
    let (id, none) = (&origin.collection.id, ChunkRef { shard: 0, version: 0, chunk: 0 });
    if world.catalog.collection(id).await?.is_some() || world.catalog.corpus(&origin.corpus.id).await?.is_some() {
        return Err(Error::permanent(format!(
            "{}: there is a collection called {name}; give it another name",
            doing()
        )));
    }
    world.index.ensure(&origin.collection).await?;
    // What an import that died has left.
    world.index.delete(id, &Doomed::Shard { shard: none.shard, up_to: i64::MAX }).await?;
    let takedowns = world.catalog.takedowns(0).await?;
    let taken: HashSet<&str> = takedowns.iter().map(|takedown| takedown.key.as_str()).collect();
    let (mut rows, mut left_out) = (Rows::open(folder, dims)?, 0);
    for chunk in 0.. {
        let mut points = rows.take(CHUNK)?;
        if points.is_empty() {
            break;
        }
        let read = points.len();
        points.retain(|point| !taken.contains(point.key.as_str()));
        left_out += (read - points.len()) as u64;
        if !points.is_empty() {
            world.index.put(id, ChunkRef { chunk, ..none }, 0, &points).await?;
        }
    }
    world.index.seal(id, &[none.shard]).await?;
    let stored: u64 = world.index.counts(id, &Scope::All).await?.iter().map(|(_, count)| count).sum();
    if stored + left_out != count {
        let due = count - left_out;
        return Err(Error::permanent(format!("{}: {stored} of {due} vectors are in the index", doing())));
    }
    // On record last: where it is, all of it is there.
    world.catalog.adopt(&origin.corpus, &origin.collection).await?;
    // Whoever took a picture down meanwhile did not see this collection.
    for takedown in world.catalog.takedowns(takedowns.last().map_or(0, |last| last.number)).await? {
        take_out(&world, &origin.collection, &takedown.key).await?;
    }
    if left_out > 0 {
        say(format_args!("{left_out} were taken down and are left out"));
    }
    let found = json!({"collection": id, "vectors": stored, "dims": dims, "taken_down": left_out});
    match global.output {
        Output::Json => print(format_args!("{found:#}")),
        Output::Table => print(format_args!("{stored} vectors of {dims} numbers: collection {id}")),
    }
    Ok(Exit::Done)
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(file_error(format!("read {}", path.display())))
}

/// What the collection becomes: what `collection.json` says, under another name; or a model that a person names.
fn origin(folder: &Path, name: &str, model: Option<&str>) -> Result<Origin> {
    let path = folder.join(COLLECTION);
    let id = CollectionId(name.to_owned());
    if let Some(model) = model {
        let ModelIdentity { path, revision, preprocessing, dims, .. } = identify(&folder_of(model)?, Decoding::Exact)?;
        let section = CorpusSection {
            name: name.to_owned(),
            source: String::new(),
            layout: Layout::Folder,
            shards: None,
            metadata: None,
            pictures: Vec::new(),
        };
        let corpus = CorpusSpec { id: CorpusId(name.to_owned()), ..CorpusSpec::new(&section, "", "") };
        let collection = CollectionSpec {
            id,
            corpus: corpus.id.clone(),
            model_path: path,
            revision,
            precision: Precision::default(),
            decoding: Decoding::Exact,
            preprocessing,
            limits: Limits::default(),
            filter: Filter::default(),
            dims,
            batch: imagefleet_common::job::spec::default_batch(),
            storage: IndexSection::default(),
        };
        return Ok(Origin { corpus, collection });
    }
    let text = std::fs::read(&path).map_err(file_error(format!(
        "read {}: without it, name the model that made the vectors with --model",
        path.display()
    )))?;
    let Origin { mut corpus, mut collection } =
        serde_json::from_slice(&text).permanent(|| format!("read {}", path.display()))?;
    // The vectors' pictures are the exporter's: no shard of a corpus here is theirs.
    corpus.id = CorpusId(name.to_owned());
    collection.corpus = corpus.id.clone();
    collection.id = id;
    Ok(Origin { corpus, collection })
}

/// Refuses what an index must not hold, naming the line.
fn check(folder: &Path, count: u64, dims: usize) -> Result<()> {
    let mut rows = Rows::open(folder, dims)?;
    let mut keys = HashSet::new();
    loop {
        let points = rows.take(CHUNK)?;
        if points.is_empty() {
            break;
        }
        let first = rows.number - points.len() as u64;
        for (number, point) in (first + 1..).zip(points) {
            let length = point.vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            let wrong = |what: &str| {
                Err(Error::permanent(format!(
                    "read {}: line {number}, {:?}: {what}",
                    folder.join(ROWS).display(),
                    point.key
                )))
            };
            if !(length - 1.0).abs().le(&UNIT) {
                return wrong(&format!("its vector has length {length}; scale all vectors to length 1 first"));
            }
            if point.key.is_empty() || point.key.contains('\0') {
                return wrong("this is no key");
            }
            if !keys.insert(point.key.clone()) {
                return wrong("this key stands twice");
            }
        }
    }
    if rows.number != count || rows.matrix.bytes().next().is_some() {
        return Err(Error::permanent(format!(
            "read {}: {VECTORS} has {count} rows and {ROWS} has {} lines",
            folder.display(),
            rows.number
        )));
    }
    Ok(())
}

/// Lines and rows, side by side.
struct Rows {
    matrix: BufReader<File>,
    lines: BufReader<File>,
    dims: usize,
    number: u64,
    path: String,
}

impl Rows {
    fn open(folder: &Path, dims: usize) -> Result<Self> {
        let mut matrix = open(&folder.join(VECTORS))?;
        npy::read_header(&mut matrix)?;
        let path = folder.join(ROWS);
        Ok(Self { matrix, lines: open(&path)?, dims, number: 0, path: path.display().to_string() })
    }

    /// Up to `most` more; fewer only at the end.
    fn take(&mut self, most: usize) -> Result<Vec<Point>> {
        let mut points = Vec::new();
        let mut bytes = vec![0; self.dims * size_of::<f32>()];
        while points.len() < most {
            let doing = |number: u64| format!("read {}: line {number}", self.path);
            let mut line = Vec::new();
            let read = (&mut self.lines).take(LONGEST_LINE).read_until(b'\n', &mut line);
            if read.permanent(|| doing(self.number + 1))? == 0 {
                break;
            }
            self.number += 1;
            if line.len() as u64 == LONGEST_LINE {
                return Err(Error::permanent(format!("{}: it is longer than a mebibyte", doing(self.number))));
            }
            let Row { key, payload } = serde_json::from_slice(&line).permanent(|| doing(self.number))?;
            self.matrix
                .read_exact(&mut bytes)
                .permanent(|| format!("read {VECTORS}: it ends before row {}", self.number))?;
            let vector = bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
            points.push(Point { key, vector, payload });
        }
        Ok(points)
    }
}
