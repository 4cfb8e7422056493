//! Reads a job file and checks it, before anything starts.
//!
//! Past [`read`] nothing in a spec can be wrong: every key is known, every value has its type and lies within its
//! bounds, every pattern can be matched, every file and directory that is named is there. Otherwise there is one
//! permanent error, a line for each problem: `file:line:column: key: found …, expected …`.

mod checks;
mod paths;
mod table;
#[cfg(test)]
mod tests;

use super::spec::{
    AESTHETICS_WEIGHT, ArticlesSection, CorpusSection, Decoding, EvaluationSection, Hnsw, IndexKind, IndexSection,
    JobSpec, Layout, Limits, ModelFiles, ModelSection, OutputSection, Part, Precision, Quantization, ReportSection,
    RerankSection, RetrievalSection, Searched, VectorType, default_batch, default_pictures,
};
use crate::{
    error::{Context, Error, Result},
    filter::{Filter, Key},
};
use paths::Upwards::{self, Allowed, Embedded};
use std::path::{Path, PathBuf};
use table::{Found, Need::Optional, Need::Required, Report, Section, line_and_column};
use toml::de::DeTable;

/// Where the job will run: decides which paths a job file may hold, and where they start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this process. `corpus.source` starts at `object_root` (by default the job file's folder), the other paths
    /// at the job file's folder; `~/…` and absolute paths are allowed.
    Embedded { object_root: PathBuf },
    /// On other machines. The articles and the output belong to the submitter's machine and start at the job file's
    /// folder; the source and the model are only known to the workers and are not looked for. No path may be absolute.
    Fleet,
}

impl Place {
    /// An embedded run whose objects stand beside its job file.
    pub fn beside(job_file: &Path) -> Self {
        Self::Embedded { object_root: folder_of(job_file).to_path_buf() }
    }
}

/// A job file that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct JobFile {
    /// The file itself, absolute.
    pub path: PathBuf,
    pub spec: JobSpec,
    /// The articles' CSV file, absolute.
    pub articles: PathBuf,
    /// For each reranker the file of its head, absolute, where it has one.
    pub heads: Vec<Option<PathBuf>>,
    pub model: ModelAt,
    /// The corpus: absolute, and not necessarily below the object root (see [`source_below`](Self::source_below));
    /// or as the file has it, below the fleet's object root.
    pub source: PathBuf,
    /// Where results are written, absolute; need not be there yet.
    pub output: PathBuf,
}

/// Where to look for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelAt {
    /// Absolute, or as the file has it where the job goes to a fleet.
    Directory(PathBuf),
    /// `owner/name[@revision]`; whether it is in the cache is not looked at.
    Hub(String),
}

impl JobFile {
    /// The source as a path of objects below `root`: `/`-separated, empty for the root itself; `None` outside of it.
    pub fn source_below(&self, root: &Path) -> Option<String> {
        let root = std::path::absolute(root).ok()?;
        let below = self.source.strip_prefix(paths::normal(&root)).ok()?;
        let parts: Option<Vec<&str>> = below.components().map(|part| part.as_os_str().to_str()).collect();
        Some(parts?.join("/"))
    }
}

/// Reads the job file at `path`. Errors are permanent.
pub fn read(path: &Path, place: Place) -> Result<JobFile> {
    let doing = || format!("read job file {}", path.display());
    let bytes = std::fs::read(path).permanent(doing)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| not_utf8(path, &bytes, error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let absolute = std::path::absolute(path).permanent(doing)?;

    let document = DeTable::parse(text).map_err(|error| not_toml(path, text, &error))?;
    let report = Report::new(path, text);
    let reader = Reader { report: &report, place, folder: folder_of(&absolute).to_path_buf() };
    let (spec, files) = reader.job(Section::root(&report, document.get_ref()));
    let (spec, files) = report.finish((spec, files))?;

    let Files { articles, heads, model, source, output } = files;
    Ok(JobFile { path: absolute, spec, articles, heads, model, source, output })
}

/// The folder that a file's relative paths start from.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn not_utf8(path: &Path, bytes: &[u8], valid: usize) -> Error {
    let good = std::str::from_utf8(&bytes[..valid]).expect("valid up to there");
    let (line, column) = line_and_column(good, valid);
    let byte = bytes[valid];
    Error::permanent(format!("{}:{line}:{column}: found the byte {byte:#04x}, expected UTF-8", path.display()))
}

fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
    let message = error.message().replace('\n', ", ");
    Error::permanent(format!("{}:{line}:{column}: not TOML: {message}", path.display()))
}

/// What the spec's paths lead to.
struct Files {
    articles: PathBuf,
    heads: Vec<Option<PathBuf>>,
    model: ModelAt,
    source: PathBuf,
    output: PathBuf,
}

struct Reader<'a> {
    report: &'a Report<'a>,
    place: Place,
    /// The job file's own folder, absolute.
    folder: PathBuf,
}

impl Reader<'_> {
    fn job(&self, root: Section<'_>) -> (JobSpec, Files) {
        let name = value(root.string("name", Required, checks::name));
        let priority = root.integer("priority", i32::MIN..=i32::MAX).unwrap_or_default();
        let nothing = PathBuf::new;
        let model = ModelAt::Directory(nothing());
        let mut files = Files { articles: nothing(), heads: Vec::new(), model, source: nothing(), output: nothing() };
        let corpus = self.corpus(root.table("corpus", Required), &mut files);
        let model = self.model(root.table("model", Required), &mut files);
        let (index, index_filter) = self.index(root.table("index", Optional), corpus.layout);
        let spec = JobSpec {
            name,
            priority,
            model,
            index,
            index_filter,
            limits: limits(root.table("limits", Optional)),
            articles: self.articles(root.table("articles", Required), &mut files),
            retrieval: retrieval(root.table("retrieval", Optional), corpus.layout),
            corpus,
            rerank: self.rerank(root.tables("rerank"), &mut files),
            evaluation: evaluation(root.table("evaluation", Optional)),
            report: report(root.table("report", Optional)),
            output: self.output(root.table("output", Required), &mut files),
        };
        root.close();
        (spec, files)
    }

    fn corpus(&self, section: Section<'_>, files: &mut Files) -> CorpusSection {
        let name = value(section.string("name", Required, checks::name));
        let source = section.string("source", Required, checks::anything);
        let layout = section.choice(
            "layout",
            Required,
            &[("yfcc", Layout::Yfcc), ("zip", Layout::Zip), ("tar", Layout::Tar), ("folder", Layout::Folder)],
        );
        // Where it was reported as wrong: the one that refuses nothing else.
        let layout = layout.map_or(Layout::Yfcc, |layout| layout.value);
        let shards = section.string("shards", Optional, checks::glob);
        let metadata = section.string("metadata", Optional, checks::metadata);
        for pattern in [&shards, &metadata].into_iter().flatten() {
            if layout == Layout::Folder {
                self.report.wrong(&pattern.at, "nothing: the folder layout has neither shard files nor metadata");
            }
        }
        if let Some(source) = &source {
            files.source = self.directory(source, Embedded);
        }
        let pictures = section.strings("pictures", checks::glob).unwrap_or_else(default_pictures);
        section.close();
        let (shards, metadata) = (shards.map(|found| found.value), metadata.map(|found| found.value));
        CorpusSection { name, source: value(source), layout, shards, metadata, pictures }
    }

    fn model(&self, section: Section<'_>, files: &mut Files) -> ModelSection {
        let hub = section.string("hub", Optional, checks::hub_name);
        let path = section.string("path", if hub.is_some() { Optional } else { Required }, checks::not_empty);
        match (&hub, &path) {
            (Some(hub), Some(_)) => self.report.wrong(&hub.at, "either path or hub"),
            (Some(hub), None) => files.model = ModelAt::Hub(hub.value.clone()),
            (None, Some(path)) => files.model = ModelAt::Directory(self.directory(path, Allowed)),
            (None, None) => {}
        }
        let precision = section.choice("precision", Optional, &[("f32", Precision::F32)]);
        let decoding = section.choice("decoding", Optional, &[("exact", Decoding::Exact), ("fast", Decoding::Fast)]);
        let batch = section.integer("batch", 1..=1024).unwrap_or_else(default_batch);
        section.close();
        let precision = precision.map_or_else(Precision::default, |precision| precision.value);
        let decoding = decoding.map_or_else(Decoding::default, |decoding| decoding.value);
        let files = hub.map_or_else(|| ModelFiles::Path(value(path)), |hub| ModelFiles::Hub(hub.value));
        ModelSection { files, precision, decoding, batch }
    }

    fn index(&self, section: Section<'_>, layout: Layout) -> (IndexSection, Filter) {
        let default = IndexSection::default();
        let kind = section.choice("type", Optional, &[("flat_ip", IndexKind::FlatIp), ("hnsw", IndexKind::Hnsw)]);
        let kind = kind.map_or(default.kind, |kind| kind.value);
        let vectors = section.choice("vectors", Optional, &VectorType::ALL.map(|it| (it.name(), it)));
        let quantization = section.choice("quantization", Optional, &Quantization::ALL.map(|it| (it.name(), it)));
        let smaller = vectors.iter().filter(|found| found.value != VectorType::F32).map(|found| (&found.at, "\"f32\""));
        let coarser =
            quantization.iter().filter(|found| found.value != Quantization::None).map(|found| (&found.at, "\"none\""));
        for (at, expected) in smaller.chain(coarser) {
            if kind == IndexKind::FlatIp {
                let remedy = "flat_ip is exact over f32 vectors; leave this out, or give index.type \"hnsw\"";
                self.report.wrong(at, format_args!("{expected}: {remedy}"));
            } else if matches!(self.place, Place::Embedded { .. }) {
                let remedy = "a run on this machine keeps vectors as they are; leave this out, or submit to a fleet";
                self.report.wrong(at, format_args!("{expected}: {remedy}"));
            }
        }
        let index = IndexSection {
            kind,
            hnsw: hnsw(section.table("hnsw", Optional)),
            vectors: vectors.map_or(default.vectors, |found| found.value),
            on_disk: section.boolean("on_disk").unwrap_or(default.on_disk),
            quantization: quantization.map_or(default.quantization, |found| found.value),
            shards: section.integer("shards", 1..=1024).unwrap_or(default.shards),
            replicas: section.integer("replicas", 1..=64).unwrap_or(default.replicas),
        };
        let filter = filter(section.table("filter", Optional), layout);
        section.close();
        (index, filter)
    }

    fn articles(&self, section: Section<'_>, files: &mut Files) -> ArticlesSection {
        let file = section.string("file", Required, checks::not_empty);
        if let Some(found) = &file {
            files.articles = self.readable(found);
        }
        section.close();
        ArticlesSection { file: value(file) }
    }

    /// The path of a file of the submitter's machine.
    fn readable(&self, found: &Found<String>) -> PathBuf {
        let path = self.path(found, &self.folder, Allowed);
        match std::fs::File::open(&path) {
            Ok(_) => {}
            // A path that was refused has been reported already.
            Err(_) if path == Path::new("") => {}
            Err(error) => {
                self.report.wrong(&found.at, format_args!("a file that can be read (read {}: {error})", path.display()))
            }
        }
        path
    }

    fn rerank(&self, sections: Vec<Section<'_>>, files: &mut Files) -> Vec<RerankSection> {
        let mut rerankers: Vec<RerankSection> = Vec::new();
        for section in sections {
            let kind = section.choice("type", Required, &[("identity", false), ("aesthetics", true)]);
            if let Some(Found { value: has_head, at }) = kind {
                let reranker = if has_head { self.aesthetics(&section, files) } else { RerankSection::Identity };
                if !has_head {
                    files.heads.push(None);
                }
                if rerankers.iter().any(|other| other.name() == reranker.name()) {
                    let name = reranker.name();
                    let expected = format!("one that is not there yet: each writes to a folder of its own, {name}");
                    self.report.wrong(&at, expected);
                }
                rerankers.push(reranker);
            }
            section.close();
        }
        rerankers
    }

    fn aesthetics(&self, section: &Section<'_>, files: &mut Files) -> RerankSection {
        let weight = section.number("weight", 0.0..=1.0).unwrap_or(AESTHETICS_WEIGHT);
        let head = section.string("head", Required, checks::not_empty);
        files.heads.push(head.as_ref().map(|found| self.readable(found)));
        RerankSection::Aesthetics { weight, head: value(head) }
    }

    fn output(&self, section: Section<'_>, files: &mut Files) -> OutputSection {
        let directory = section.string("directory", Required, checks::not_empty);
        if let Some(found) = &directory {
            files.output = self.path(found, &self.folder, Allowed);
            if files.output.exists() && !files.output.is_dir() {
                let expected = format!("a directory, or one that can be made ({} is a file)", files.output.display());
                self.report.wrong(&found.at, expected);
            }
        }
        section.close();
        OutputSection { directory: value(directory) }
    }

    /// The path that `found` means; empty, and reported, where it may not stand there.
    fn path(&self, found: &Found<String>, base: &Path, upwards: Upwards) -> PathBuf {
        paths::resolve(&found.value, base, &self.place, upwards).unwrap_or_else(|expected| {
            self.report.wrong(&found.at, expected);
            PathBuf::new()
        })
    }

    /// A directory of the machine that runs the job; looked for where that is this one.
    fn directory(&self, found: &Found<String>, upwards: Upwards) -> PathBuf {
        let Place::Embedded { object_root } = &self.place else {
            return self.path(found, Path::new(""), upwards);
        };
        let object_root = std::path::absolute(object_root).unwrap_or_else(|_| object_root.clone());
        let base = if upwards == Embedded { &object_root } else { &self.folder };
        let path = self.path(found, base, upwards);
        if path != Path::new("") && !path.is_dir() {
            let state = if path.exists() { "is not a directory" } else { "is not there" };
            self.report.wrong(&found.at, format_args!("a directory ({} {state})", path.display()));
        }
        path
    }
}

fn hnsw(section: Section<'_>) -> Hnsw {
    let default = Hnsw::default();
    let settings = Hnsw {
        m: section.integer("m", 2..=512).unwrap_or(default.m),
        ef_construct: section.integer("ef_construct", 1..=65_536).unwrap_or(default.ef_construct),
        ef_search: section.integer("ef_search", 1..=65_536).unwrap_or(default.ef_search),
    };
    section.close();
    settings
}

fn limits(section: Section<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        max_bytes: section.integer("max_bytes", 1..=1 << 40).unwrap_or(default.max_bytes),
        max_pixels: section.integer("max_pixels", 1..=1 << 30).unwrap_or(default.max_pixels),
        max_side: section.integer("max_side", 1..=1_000_000).unwrap_or(default.max_side),
    };
    section.close();
    limits
}

fn retrieval(section: Section<'_>, layout: Layout) -> RetrievalSection {
    let default = RetrievalSection::default();
    let candidates = section.integer("candidates", 1..=10_000).unwrap_or(default.candidates);
    let filter = filter(section.table("filter", Optional), layout);
    section.close();
    RetrievalSection { candidates, filter }
}

fn filter(section: Section<'_>, layout: Layout) -> Filter {
    let mut filter = Filter::default();
    for key in Key::ALL {
        let check = |value: &str| filter.clone().add(key, value);
        let values: Vec<String> = match key.is_list() {
            true => section.strings(key.name(), check).unwrap_or_default(),
            false => section.string(key.name(), Optional, check).map(|found| found.value).into_iter().collect(),
        };
        values.iter().for_each(|value| filter.add(key, value).expect("it was checked"));
    }
    if !filter.is_empty() && !layout.says_whose_pictures() {
        section.wrong("nothing: only the yfcc layout has metadata to filter by; give the corpus that layout, or leave the filter out");
    }
    section.close();
    filter
}

fn evaluation(section: Section<'_>) -> Option<EvaluationSection> {
    let is_there = section.is_there();
    let default = EvaluationSection::default();
    let parts = [("all", Part::All), ("train", Part::Train), ("validation", Part::Validation), ("test", Part::Test)];
    let split = section.choice("split", Optional, &parts).map_or(default.split, |found| found.value);
    let searched = [("all", Searched::All), ("split", Searched::Split)];
    let index = section.choice("index", Optional, &searched).map_or(default.index, |found| found.value);
    let seed = section.integer("seed", 0..=u32::MAX).unwrap_or(default.seed);
    let sweep = section.boolean("sweep").unwrap_or(default.sweep);
    section.close();
    is_there.then_some(EvaluationSection { split, index, seed, sweep })
}

fn report(section: Section<'_>) -> ReportSection {
    let pictures = section.integer("pictures", 0..=100).unwrap_or(ReportSection::default().pictures);
    section.close();
    ReportSection { pictures }
}

/// The string that was found; a stand-in where that was reported as wrong.
fn value(found: Option<Found<String>>) -> String {
    found.map(|found| found.value).unwrap_or_default()
}
