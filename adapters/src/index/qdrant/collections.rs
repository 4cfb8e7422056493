//! Collections: made once, known by their settings, put in service under aliases.

use super::{
    super::check::no_collection,
    QdrantIndex,
    fields::INDEXED,
    status::{confirmed, failed},
    storage::{self, Stored},
};
use imagefleet_common::{
    error::{Error, Result},
    ids::CollectionId,
    job::spec::{CollectionSpec, IndexKind, Quantization, VectorType},
    ports::index::Sealed,
};
use qdrant_client::qdrant::{
    AliasOperations, ChangeAliases, CollectionInfo, CollectionStatus, CreateAlias, CreateFieldIndexCollection,
    DeleteAlias, DeleteCollection, FieldType, GetCollectionInfoRequest, ListAliasesRequest, OptimizersConfigDiff,
    PayloadSchemaType, UpdateCollection, WriteOrdering, WriteOrderingType, alias_operations::Action,
};
use std::sync::{Arc, PoisonError};
use tonic::Code;

/// A collection as it is used: its name on the server, and how it stores.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) stored: Stored,
}

/// Later changes of a point come after earlier ones, on every replica.
pub(super) fn in_order() -> WriteOrdering {
    WriteOrdering { r#type: WriteOrderingType::Strong as i32 }
}

impl QdrantIndex {
    /// Whoever makes the collection first makes it for all; each sees to it that all indexes are there before it puts
    /// points, whoever else may be about to make them.
    pub(super) async fn ensure_collection(&self, spec: &CollectionSpec) -> Result<()> {
        let (id, wanted) = (&spec.id, Stored { dims: spec.dims, storage: spec.storage.effective() });
        let storage = &wanted.storage;
        if wanted.dims == 0 {
            return Err(Error::permanent(format!("make collection {id}: vectors need a dimension")));
        }
        let is_whole = (storage.vectors, storage.quantization) == (VectorType::F32, Quantization::None);
        if storage.kind == IndexKind::FlatIp && !is_whole {
            return Err(Error::permanent(format!(
                "make collection {id}: flat_ip is exact over f32 vectors, and cannot be with {storage}; leave \
                 index.vectors and index.quantization out, or give index.type \"hnsw\""
            )));
        }
        let name = self.name(&id.0);
        let info = match self.info(&name).await? {
            Some(info) => info,
            None => self.create(&name, &wanted).await?,
        };
        let indexes = info.payload_schema.clone();
        let found = storage::read(&name, info)?;
        if found != wanted {
            return Err(Error::permanent(format!(
                "collection {id} was made with {found}; the job file asks for {wanted}"
            )));
        }
        for (field, kind) in INDEXED {
            if indexes.get(field).is_none_or(|index| index.data_type() != schema_of(kind)) {
                self.create_index(&name, field, kind).await?;
            }
        }
        self.remember(id, found);
        Ok(())
    }

    /// Makes the collection, unless another worker is faster; what is there then is what counts.
    async fn create(&self, name: &str, wanted: &Stored) -> Result<CollectionInfo> {
        let doing = || format!("make the collection {name}");
        let made = self.wire.collections().create(storage::creation(name, wanted, self.wire.seconds())).await;
        match (self.info(name).await?, made) {
            (Some(info), _) => Ok(info),
            (None, Err(status)) => Err(failed(doing(), status)),
            (None, Ok(_)) => Err(Error::transient(doing()).because("it was made and is not there")),
        }
    }

    async fn create_index(&self, name: &str, field: &str, kind: FieldType) -> Result<()> {
        let doing = || format!("index the field {field} of the collection {name}");
        let request = CreateFieldIndexCollection {
            collection_name: name.to_owned(),
            wait: Some(true),
            field_name: field.to_owned(),
            field_type: Some(kind as i32),
            ordering: Some(in_order()),
            timeout: Some(self.wire.seconds()),
            ..CreateFieldIndexCollection::default()
        };
        let answer = self.wire.points().create_field_index(request).await;
        confirmed(doing(), answer.map_err(|status| failed(doing(), status))?.into_inner())
    }

    async fn info(&self, name: &str) -> Result<Option<CollectionInfo>> {
        let request = GetCollectionInfoRequest { collection_name: name.to_owned() };
        match self.wire.collections().get(request).await {
            Ok(answer) => Ok(answer.into_inner().result),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(failed(format!("look at the collection {name}"), status)),
        }
    }

    /// Permanent error where there is none of this id.
    pub(super) async fn known(&self, id: &CollectionId) -> Result<Arc<Known>> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(Arc::clone(known));
        }
        let name = self.name(&id.0);
        let info = self.info(&name).await?;
        let info = info.ok_or_else(|| no_collection(id))?;
        Ok(self.remember(id, storage::read(&name, info)?))
    }

    fn remember(&self, id: &CollectionId, stored: Stored) -> Arc<Known> {
        let known = Arc::new(Known { name: self.name(&id.0), stored });
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Arc::clone(&known));
        known
    }

    /// Green is ready. Grey waits for somebody to change something before it goes on: it is told to.
    pub(super) async fn state(&self, name: &str) -> Result<Sealed> {
        let info = self.info(name).await?;
        let info = info.ok_or_else(|| Error::permanent(format!("there is no collection {name}")))?;
        let state = match info.status() {
            CollectionStatus::Green => return Ok(Sealed::Ready),
            CollectionStatus::Yellow => "yellow, it optimises".to_owned(),
            CollectionStatus::Red => {
                let error = info.optimizer_status.map(|status| status.error).unwrap_or_default();
                format!("red, optimising failed: {error}")
            }
            CollectionStatus::Grey => {
                self.wake(name).await?;
                "grey, it is about to optimise".to_owned()
            }
            CollectionStatus::UnknownCollectionStatus => "unknown".to_owned(),
        };
        Ok(Sealed::Building(format!("the collection {name} is {state}")))
    }

    /// Changes nothing, which starts optimisers that wait.
    async fn wake(&self, name: &str) -> Result<()> {
        let request = UpdateCollection {
            collection_name: name.to_owned(),
            optimizers_config: Some(OptimizersConfigDiff::default()),
            ..UpdateCollection::default()
        };
        let answer = self.wire.collections().update(request).await;
        answer.map(drop).map_err(|status| failed(format!("wake the collection {name}"), status))
    }

    /// A server drops the aliases of a collection with it.
    pub(super) async fn remove_collection(&self, id: &CollectionId) -> Result<()> {
        let collection_name = self.name(&id.0);
        let request = DeleteCollection { collection_name, timeout: Some(self.wire.seconds()) };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        match self.wire.collections().delete(request).await {
            // What is not there is told by `false`.
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(failed(format!("remove the collection {id}"), status)),
        }
    }

    pub(super) async fn set_alias(&self, alias: &str, collection: &CollectionId) -> Result<()> {
        let alias_name = self.name(alias);
        let create = CreateAlias { collection_name: self.name(&collection.0), alias_name: alias_name.clone() };
        // Removing one that is not there is no error. Both happen in one step.
        let actions = [Action::DeleteAlias(DeleteAlias { alias_name }), Action::CreateAlias(create)];
        let actions = actions.map(|action| AliasOperations { action: Some(action) }).to_vec();
        let request = ChangeAliases { actions, timeout: Some(self.wire.seconds()) };
        let answer = self.wire.collections().update_aliases(request).await;
        answer.map(drop).map_err(|status| failed(format!("put {collection} in service as {alias}"), status))
    }

    pub(super) async fn resolve_alias(&self, alias: &str) -> Result<Option<CollectionId>> {
        let answer = self.wire.collections().list_aliases(ListAliasesRequest {}).await;
        let answer = answer.map_err(|status| failed(format!("look for the alias {alias}"), status))?.into_inner();
        let wanted = self.name(alias);
        let Some(found) = answer.aliases.into_iter().find(|described| described.alias_name == wanted) else {
            return Ok(None);
        };
        match found.collection_name.strip_prefix(&self.name("")) {
            Some(id) => Ok(Some(CollectionId(id.to_owned()))),
            None => Err(Error::permanent(format!(
                "look for the alias {alias}: it names {}, which is outside of the namespace {}",
                found.collection_name, self.namespace
            ))),
        }
    }
}

fn schema_of(kind: FieldType) -> PayloadSchemaType {
    match kind {
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
