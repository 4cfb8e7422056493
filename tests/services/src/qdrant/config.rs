//! What a collection says of itself.

use super::collection::Collection;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionInfo, CollectionParams, CollectionStatus, CreateCollection, Distance, FieldType,
    HnswConfigDiff, OptimizerStatus, PayloadSchemaInfo, PayloadSchemaType, vectors_config,
};
use tonic::Status;

/// Values of the vectors that the request wants, where this server can do it.
pub(super) fn dims(request: &CreateCollection) -> Result<usize, Status> {
    let name = &request.collection_name;
    if name.is_empty() || name.len() > 255 || name.contains(['<', '>', ':', '"', '/', '\\', '|', '?', '*', '\0']) {
        return Err(Status::invalid_argument(format!("collection_name: {name:?} is no name of a collection")));
    }
    let vectors = request.vectors_config.as_ref().and_then(|config| config.config.as_ref());
    let Some(vectors_config::Config::Params(params)) = vectors else {
        return Err(Status::unimplemented("the test server knows collections of one unnamed vector only"));
    };
    if params.distance() != Distance::Dot {
        return Err(Status::unimplemented("the test server knows the dot product only"));
    }
    if params.size == 0 || params.size > 65_536 {
        return Err(Status::invalid_argument(format!("size: value {} invalid, must be from 1 to 65536", params.size)));
    }
    Ok(params.size as usize)
}

pub(super) fn info(collection: &Collection, status: CollectionStatus) -> CollectionInfo {
    let made = &collection.made;
    let given = made.hnsw_config.unwrap_or_default();
    let hnsw = HnswConfigDiff {
        m: given.m.or(Some(16)),
        ef_construct: given.ef_construct.or(Some(100)),
        full_scan_threshold: given.full_scan_threshold.or(Some(10_000)),
        ..given
    };
    let points = collection.points.len() as u64;
    let schema = collection.indexes.iter().map(|(field, index)| {
        let data_type = schema_of(*index) as i32;
        (field.clone(), PayloadSchemaInfo { data_type, params: None, points: Some(points) })
    });
    #[expect(deprecated, reason = "clients read it")]
    let params = CollectionParams {
        shard_number: made.shard_number.unwrap_or(1),
        on_disk_payload: made.on_disk_payload.unwrap_or(true),
        vectors_config: made.vectors_config.clone(),
        replication_factor: made.replication_factor.or(Some(1)),
        write_consistency_factor: made.write_consistency_factor.or(Some(1)),
        ..CollectionParams::default()
    };
    CollectionInfo {
        status: status as i32,
        optimizer_status: Some(OptimizerStatus { ok: status != CollectionStatus::Red, error: String::new() }),
        segments_count: 1,
        config: Some(CollectionConfig {
            params: Some(params),
            hnsw_config: Some(hnsw),
            optimizer_config: made.optimizers_config,
            quantization_config: made.quantization_config,
            metadata: made.metadata.clone(),
            ..CollectionConfig::default()
        }),
        payload_schema: schema.collect(),
        points_count: Some(points),
        indexed_vectors_count: Some(points),
        ..CollectionInfo::default()
    }
}

fn schema_of(index: FieldType) -> PayloadSchemaType {
    match index {
        FieldType::Keyword => PayloadSchemaType::Keyword,
        FieldType::Integer => PayloadSchemaType::Integer,
        FieldType::Float => PayloadSchemaType::Float,
        FieldType::Geo => PayloadSchemaType::Geo,
        FieldType::Text => PayloadSchemaType::Text,
        FieldType::Bool => PayloadSchemaType::Bool,
        FieldType::Datetime => PayloadSchemaType::Datetime,
        FieldType::Uuid => PayloadSchemaType::Uuid,
    }
}
