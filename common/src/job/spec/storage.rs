//! `[index]`: how a collection is stored and searched.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Storage settings: they belong to the collection and are fixed by the job that creates it.
///
/// What came after `hnsw` is left out of the text where it has its default, so that the texts of older jobs and
/// collections, and their hashes, stay what they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndexSection {
    #[serde(rename = "type")]
    pub kind: IndexKind,
    pub hnsw: Hnsw,
    #[serde(skip_serializing_if = "is_default")]
    pub vectors: VectorType,
    /// Vectors stay on disk and are read through the system's cache; else all of them are held in memory.
    #[serde(skip_serializing_if = "is_true")]
    pub on_disk: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub quantization: Quantization,
    /// Parts that a served collection is spread over.
    #[serde(skip_serializing_if = "is_one")]
    pub shards: u32,
    /// Copies of each part; a write is confirmed by all of them.
    #[serde(skip_serializing_if = "is_one")]
    pub replicas: u32,
}

impl Default for IndexSection {
    fn default() -> Self {
        Self {
            kind: IndexKind::default(),
            hnsw: Hnsw::default(),
            vectors: VectorType::default(),
            on_disk: true,
            quantization: Quantization::default(),
            shards: 1,
            replicas: 1,
        }
    }
}

impl IndexSection {
    /// The settings that matter: an exact index has none of a graph's.
    pub fn effective(&self) -> Self {
        match self.kind {
            IndexKind::FlatIp => Self { hnsw: Hnsw::default(), ..self.clone() },
            IndexKind::Hnsw => self.clone(),
        }
    }
}

/// For people: `type hnsw (m 32, ef_construct 128, ef_search 128), vectors f16, on_disk true, …`.
impl fmt::Display for IndexSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            IndexKind::FlatIp => f.write_str("type flat_ip")?,
            IndexKind::Hnsw => {
                let Hnsw { m, ef_construct, ef_search } = self.hnsw;
                write!(f, "type hnsw (m {m}, ef_construct {ef_construct}, ef_search {ef_search})")?;
            }
        }
        let Self { kind: _, hnsw: _, vectors, on_disk, quantization, shards, replicas } = self;
        let (vectors, quantization) = (vectors.name(), quantization.name());
        write!(f, ", vectors {vectors}, on_disk {on_disk}, quantization {quantization}")?;
        write!(f, ", shards {shards}, replicas {replicas}")
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_one(value: &u32) -> bool {
    *value == 1
}

/// What an index keeps of each of a vector's values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VectorType {
    #[default]
    F32,
    /// Half the size; scores are off by some 1e-3.
    F16,
}

impl VectorType {
    pub const ALL: [Self; 2] = [Self::F32, Self::F16];

    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

/// Small copies of the vectors, held in memory, that an approximate search looks at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    #[default]
    None,
    /// A byte a value.
    Scalar,
    /// A bit a value.
    Binary,
}

impl Quantization {
    pub const ALL: [Self; 3] = [Self::None, Self::Scalar, Self::Binary];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Scalar => "scalar",
            Self::Binary => "binary",
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexKind {
    /// Exact inner product over f32 vectors.
    #[default]
    FlatIp,
    /// Approximate, by a navigable graph.
    Hnsw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hnsw {
    /// Neighbours a node keeps.
    pub m: usize,
    /// Candidates looked at when a node is added.
    pub ef_construct: usize,
    /// Candidates looked at by a search.
    pub ef_search: usize,
}

impl Default for Hnsw {
    fn default() -> Self {
        Self { m: 32, ef_construct: 128, ef_search: 128 }
    }
}
