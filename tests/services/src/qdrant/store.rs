//! All collections and aliases. One change at a time: checked, logged, and then seen.

use super::{
    collection::{Collection, New},
    config,
    fault::{Call, Hook, Verdict},
    filter::Filter,
    id::Id,
    log::{Change, Log},
};
use qdrant_client::qdrant::{
    AliasOperations, CollectionStatus, CreateCollection, FieldType, alias_operations::Action,
    points_selector::PointsSelectorOneOf,
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};
use tonic::Status;

/// What a server serves.
pub struct Store {
    tables: RwLock<Tables>,
    /// Held while a change is made. Without one nothing outlasts the process.
    log: Mutex<Option<Log>>,
    hook: RwLock<Option<Arc<Hook>>>,
    status: Mutex<CollectionStatus>,
}

#[derive(Default)]
pub(super) struct Tables {
    pub(super) collections: BTreeMap<String, Collection>,
    pub(super) aliases: BTreeMap<String, String>,
}

/// A change that was checked: it can be done.
#[expect(clippy::large_enum_variant, reason = "one lives for one request")]
enum Checked {
    Create(CreateCollection, usize),
    Remove(String),
    Aliases(BTreeMap<String, String>),
    Index(String, String, FieldType),
    Upsert(String, Vec<New>, Filter),
    Delete(String, Vec<Id>),
}

impl Store {
    /// An empty one in memory.
    pub fn in_memory() -> Arc<Self> {
        Arc::new(Self::new(Tables::default(), None))
    }

    /// The one in `folder`, made where there is none. One process at a time may have it open.
    pub fn open(folder: &Path) -> std::io::Result<Arc<Self>> {
        let (log, changes) = Log::open(folder)?;
        let mut tables = Tables::default();
        for change in changes {
            let checked = tables.check(change).map_err(|status| std::io::Error::other(status.to_string()))?;
            tables.apply(checked, true);
        }
        Ok(Arc::new(Self::new(tables, Some(log))))
    }

    fn new(tables: Tables, log: Option<Log>) -> Self {
        let status = Mutex::new(CollectionStatus::Green);
        Self { tables: RwLock::new(tables), log: Mutex::new(log), hook: RwLock::default(), status }
    }

    /// From now on `hook` is asked for every call; `None`: every call goes.
    pub fn set_hook(&self, hook: Option<Hook>) {
        *self.hook.write().unwrap_or_else(PoisonError::into_inner) = hook.map(Arc::new);
    }

    /// What every collection says of its state.
    pub fn set_status(&self, status: CollectionStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    pub(super) fn status(&self) -> CollectionStatus {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn verdict(&self, call: Call) -> Verdict {
        let hook = self.hook.read().unwrap_or_else(PoisonError::into_inner).clone();
        match hook {
            Some(hook) => hook(call).await,
            None => Verdict::Go,
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stored on return, on all replicas or on one only.
    pub(super) fn change(&self, change: Change, everywhere: bool) -> Result<(), Status> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let checked = self.read().check(change.clone())?;
        if let Some(log) = log.as_mut() {
            log.append(&change).map_err(|error| Status::internal(format!("append to the log: {error}")))?;
        }
        self.tables.write().unwrap_or_else(PoisonError::into_inner).apply(checked, everywhere);
        Ok(())
    }

    /// Would the change be refused?
    pub(super) fn check(&self, change: Change) -> Result<(), Status> {
        self.read().check(change).map(drop)
    }
}

impl Tables {
    /// The collection of this name or alias.
    pub(super) fn collection(&self, name: &str) -> Result<&Collection, Status> {
        self.collections.get(self.real_name(name)).ok_or_else(|| no_collection(name))
    }

    fn real_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    fn check(&self, change: Change) -> Result<Checked, Status> {
        Ok(match change {
            Change::Create(request) => {
                let name = &request.collection_name;
                if self.collections.contains_key(name) || self.aliases.contains_key(name) {
                    let message = format!("Wrong input: Collection `{name}` already exists!");
                    return Err(Status::already_exists(message));
                }
                let dims = config::dims(&request)?;
                Checked::Create(request, dims)
            }
            Change::Remove(request) => Checked::Remove(request.collection_name),
            Change::Aliases(request) => Checked::Aliases(self.aliases_after(request.actions)?),
            Change::Index(request) => {
                self.collection(&request.collection_name)?;
                let Some(index) = request.field_type.and_then(|index| FieldType::try_from(index).ok()) else {
                    return Err(Status::invalid_argument("field_type: an index needs one"));
                };
                Checked::Index(self.real_name(&request.collection_name).to_owned(), request.field_name, index)
            }
            Change::Upsert(request) => {
                if request.update_mode.is_some_and(|mode| mode != 0) {
                    return Err(Status::unimplemented("the test server knows no update mode but upsert"));
                }
                let points = self.collection(&request.collection_name)?.read(&request.points)?;
                let condition = Filter::read(request.update_filter.as_ref())?;
                Checked::Upsert(self.real_name(&request.collection_name).to_owned(), points, condition)
            }
            Change::Delete(request) => {
                let collection = self.collection(&request.collection_name)?;
                let ids = match request.points.and_then(|selector| selector.points_selector_one_of) {
                    Some(PointsSelectorOneOf::Points(list)) => Id::all(&list.ids)?,
                    Some(PointsSelectorOneOf::Filter(filter)) => {
                        let filter = Filter::read(Some(&filter))?;
                        collection.found(&filter, false).map(|(id, _)| id).collect()
                    }
                    None => return Err(Status::invalid_argument("PointSelector is missing")),
                };
                Checked::Delete(self.real_name(&request.collection_name).to_owned(), ids)
            }
        })
    }

    /// All actions in order, or none of them.
    fn aliases_after(&self, actions: Vec<AliasOperations>) -> Result<BTreeMap<String, String>, Status> {
        let mut aliases = self.aliases.clone();
        for action in actions {
            match action.action {
                Some(Action::CreateAlias(create)) => {
                    if self.collections.contains_key(&create.alias_name) {
                        let message = format!("Wrong input: Collection `{}` already exists!", create.alias_name);
                        return Err(Status::already_exists(message));
                    }
                    if !self.collections.contains_key(&create.collection_name) {
                        return Err(no_collection(&create.collection_name));
                    }
                    aliases.insert(create.alias_name, create.collection_name);
                }
                Some(Action::DeleteAlias(delete)) => drop(aliases.remove(&delete.alias_name)),
                Some(Action::RenameAlias(rename)) => {
                    let Some(collection) = aliases.remove(&rename.old_alias_name) else {
                        let message = format!("Not found: Alias {} does not exists!", rename.old_alias_name);
                        return Err(Status::not_found(message));
                    };
                    aliases.insert(rename.new_alias_name, collection);
                }
                None => return Err(Status::invalid_argument("Malformed AliasOperation type")),
            }
        }
        Ok(aliases)
    }

    fn apply(&mut self, checked: Checked, everywhere: bool) {
        match checked {
            Checked::Create(request, dims) => {
                self.collections.insert(request.collection_name.clone(), Collection::new(request, dims));
            }
            Checked::Remove(name) => {
                self.collections.remove(&name);
                self.aliases.retain(|_, collection| *collection != name);
            }
            Checked::Aliases(aliases) => self.aliases = aliases,
            Checked::Index(name, field, index) => {
                self.with(&name, |collection| {
                    collection.indexes.insert(field, index);
                });
            }
            Checked::Upsert(name, points, condition) => {
                self.with(&name, |collection| collection.upsert(points, &condition, everywhere));
            }
            Checked::Delete(name, ids) => {
                self.with(&name, |collection| ids.iter().for_each(|id| drop(collection.points.remove(id))));
            }
        }
    }

    fn with(&mut self, name: &str, change: impl FnOnce(&mut Collection)) {
        if let Some(collection) = self.collections.get_mut(name) {
            change(collection);
        }
    }
}

fn no_collection(name: &str) -> Status {
    Status::not_found(format!("Not found: Collection `{name}` doesn't exist!"))
}
