//! Storage settings, from the job file to the server and back.
//!
//! The server keeps them as the job file had them, as metadata of the collection: what a search is asked with
//! (`ef_search`) is no setting of its own.

use imagefleet_common::{
    error::{Context, Error, Result},
    job::spec::{IndexKind, IndexSection, Quantization, VectorType},
};
use qdrant_client::qdrant::{
    BinaryQuantization, CollectionInfo, CreateCollection, Datatype, Distance, HnswConfigDiff, QuantizationConfig,
    QuantizationSearchParams, QuantizationType, ScalarQuantization, SearchParams, Value, VectorParams, VectorsConfig,
    quantization_config, value::Kind, vectors_config,
};

/// The metadata's key.
const STORAGE: &str = "imagefleet_storage";
/// Share of a vector's values that scalar quantisation keeps the range of: the rest are outliers.
const QUANTILE: f32 = 0.99;

/// How a collection stores and is searched; none of it ever changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) dims: usize,
    pub(super) storage: IndexSection,
}

impl std::fmt::Display for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} dimensions, {}", self.dims, self.storage)
    }
}

#[expect(deprecated, reason = "servers before 1.18 know no other word for what stays on disk")]
pub(super) fn creation(name: &str, Stored { dims, storage }: &Stored, timeout: u64) -> CreateCollection {
    let hnsw = match storage.kind {
        // No graph is built, and none is needed: every search is exact.
        IndexKind::FlatIp => HnswConfigDiff { m: Some(0), ..HnswConfigDiff::default() },
        IndexKind::Hnsw => HnswConfigDiff {
            m: Some(storage.hnsw.m as u64),
            // The server's least.
            ef_construct: Some(storage.hnsw.ef_construct.max(4) as u64),
            ..HnswConfigDiff::default()
        },
    };
    let quantization = match storage.quantization {
        Quantization::None => None,
        Quantization::Scalar => Some(quantization_config::Quantization::Scalar(ScalarQuantization {
            r#type: QuantizationType::Int8 as i32,
            quantile: Some(QUANTILE),
            always_ram: Some(true),
            ..ScalarQuantization::default()
        })),
        Quantization::Binary => Some(quantization_config::Quantization::Binary(BinaryQuantization {
            always_ram: Some(true),
            ..BinaryQuantization::default()
        })),
    };
    let vectors = VectorParams {
        size: *dims as u64,
        distance: Distance::Dot as i32,
        on_disk: Some(storage.on_disk),
        datatype: Some(datatype(storage.vectors) as i32),
        ..VectorParams::default()
    };
    let text = serde_json::to_string(storage).expect("settings have string keys");
    CreateCollection {
        collection_name: name.to_owned(),
        vectors_config: Some(VectorsConfig { config: Some(vectors_config::Config::Params(vectors)) }),
        hnsw_config: Some(hnsw),
        quantization_config: quantization.map(|quantization| QuantizationConfig { quantization: Some(quantization) }),
        on_disk_payload: Some(true),
        shard_number: Some(storage.shards),
        replication_factor: Some(storage.replicas),
        write_consistency_factor: Some(storage.replicas),
        metadata: [(STORAGE.to_owned(), Value::from(text))].into(),
        timeout: Some(timeout),
        ..CreateCollection::default()
    }
}

fn datatype(vectors: VectorType) -> Datatype {
    match vectors {
        VectorType::F32 => Datatype::Float32,
        VectorType::F16 => Datatype::Float16,
    }
}

/// What the server says of a collection. Permanent error where imagefleet did not make it, or it was changed since.
pub(super) fn read(name: &str, info: CollectionInfo) -> Result<Stored> {
    let refused = |why: String| Error::permanent(format!("use the collection {name}: {why}"));
    let config = info.config.unwrap_or_default();
    let Some(Kind::StringValue(text)) = config.metadata.get(STORAGE).and_then(|value| value.kind.as_ref()) else {
        return Err(refused(
            "it does not say how it is stored: imagefleet did not make it; remove or rename it".to_owned(),
        ));
    };
    let storage: IndexSection =
        serde_json::from_str(text).permanent(|| format!("read the settings of the collection {name}"))?;
    let vectors = config.params.and_then(|params| params.vectors_config).and_then(|vectors| vectors.config);
    let Some(vectors_config::Config::Params(vectors)) = vectors else {
        return Err(refused("it has named vectors, and should have one without a name".to_owned()));
    };
    if vectors.distance() != Distance::Dot {
        let found = vectors.distance().as_str_name();
        return Err(refused(format!("it compares by {found}, and should by Dot")));
    }
    let (found, wanted) = (vectors.datatype(), datatype(storage.vectors));
    if found != wanted && (found, wanted) != (Datatype::Default, Datatype::Float32) {
        let (found, wanted) = (found.as_str_name(), wanted.as_str_name());
        return Err(refused(format!("it stores {found}, and should store {wanted}")));
    }
    let dims = usize::try_from(vectors.size).permanent(|| format!("use the collection {name}"))?;
    Ok(Stored { dims, storage })
}

/// How a search is asked: exactly, or through the graph and what quantisation there is.
pub(super) fn params(storage: &IndexSection, is_filtered: bool) -> SearchParams {
    if storage.kind == IndexKind::FlatIp || is_filtered {
        let whole = QuantizationSearchParams { ignore: Some(true), ..QuantizationSearchParams::default() };
        return SearchParams { exact: Some(true), quantization: Some(whole), ..SearchParams::default() };
    }
    // How many times more than asked for are scored again: the coarser the copies, the more.
    let oversampling = match storage.quantization {
        Quantization::None => None,
        Quantization::Scalar => Some(2.0),
        Quantization::Binary => Some(4.0),
    };
    let quantization = oversampling.map(|factor| QuantizationSearchParams {
        ignore: Some(false),
        rescore: Some(true),
        oversampling: Some(factor),
    });
    SearchParams { hnsw_ef: Some(storage.hnsw.ef_search as u64), quantization, ..SearchParams::default() }
}
