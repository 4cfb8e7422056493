//! Where a command looks: in the data directory of embedded runs, or, where a database is configured, in the fleet.

use crate::{
    args::Global,
    config::{self, Config, FleetConfig},
    data_dir::{DataDir, Lock},
    world::World,
};
use imagefleet_common::{
    Error, Result,
    ports::{jobs::Jobs, tasks::Tasks},
};
use std::{path::PathBuf, sync::Arc};

pub(crate) enum Site {
    Here(DataDir),
    Fleet(
        #[cfg_attr(not(feature = "fleet"), expect(dead_code, reason = "without adapters it is only refused"))]
        Box<FleetConfig>,
    ),
}

/// The site of a command, and this machine's models.
pub(crate) struct Sited {
    pub(crate) site: Site,
    /// Folders, or models of the hub that are in the cache.
    pub(crate) models: Vec<String>,
}

impl Site {
    /// Of a command that has no job file.
    pub(crate) fn of(global: &Global) -> Result<Self> {
        Ok(Sited::of(global)?.site)
    }

    /// The world to look at. Nobody publishes or works in it.
    pub(crate) async fn look(&self) -> Result<World> {
        match self {
            Self::Here(data) => World::open(must_be_there(data)?).await,
            #[cfg(feature = "fleet")]
            Self::Fleet(config) => crate::fleet::look(config).await,
            #[cfg(not(feature = "fleet"))]
            Self::Fleet(_) => Err(not_built()),
        }
    }

    /// The world to change: whoever does has a data directory for itself.
    pub(crate) async fn take(&self) -> Result<(Option<Lock>, World)> {
        match self {
            Self::Here(data) => {
                let lock = must_be_there(data)?.lock()?;
                Ok((Some(lock), World::take_over(data).await?.retrying()))
            }
            Self::Fleet(_) => Ok((None, self.look().await?)),
        }
    }

    /// Tasks and workers alone.
    pub(crate) async fn tasks(&self) -> Result<Arc<dyn Tasks>> {
        match self {
            Self::Here(_) => Ok(self.look().await?.tasks),
            #[cfg(feature = "fleet")]
            Self::Fleet(config) => crate::fleet::tasks(config).await,
            #[cfg(not(feature = "fleet"))]
            Self::Fleet(_) => Err(not_built()),
        }
    }

    /// The jobs alone, so that nothing else needs to be in reach.
    pub(crate) async fn jobs(&self) -> Result<Arc<dyn Jobs>> {
        match self {
            Self::Here(_) => Ok(self.look().await?.jobs),
            #[cfg(feature = "fleet")]
            Self::Fleet(config) => crate::fleet::jobs(config).await,
            #[cfg(not(feature = "fleet"))]
            Self::Fleet(_) => Err(not_built()),
        }
    }
}

impl Sited {
    pub(crate) fn of(global: &Global) -> Result<Self> {
        let Config { fleet, worker, .. } = config::load(global, Vec::new())?;
        let site = fleet.map_or_else(|| Site::Here(DataDir::here(global)), |fleet| Site::Fleet(Box::new(fleet)));
        Ok(Self { site, models: worker.models })
    }
}

fn must_be_there(data: &DataDir) -> Result<&DataDir> {
    if data.is_there()? {
        return Ok(data);
    }
    let path = data.path().display();
    Err(Error::permanent(format!("look into {path}: nothing has run there; name the directory with --data")))
}

/// Of a binary without the fleet's adapters.
#[cfg(not(feature = "fleet"))]
pub(crate) fn not_built() -> Error {
    Error::permanent("use a fleet: this imagefleet was built without it; build with --features fleet")
}

/// This machine's folder of the model of `revision`, among `models`; hashes each of them, a second or so for each gigabyte.
pub(crate) fn folder_of_revision(models: &[String], revision: &str) -> Result<Option<PathBuf>> {
    for model in models {
        let folder = crate::models::folder_of(model)?;
        if imagefleet_models::revision(&folder)? == revision {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}
