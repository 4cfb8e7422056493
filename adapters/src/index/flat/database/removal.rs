//! Collections that are removed, in steps that may each be done again.

use super::{Collection, DELETE_PART, Database, failed};
use imagefleet_common::{error::Result, ids::CollectionId};
use std::sync::PoisonError;

impl Database {
    /// Everything of the collection but the row that names it, so that an interrupted removal can be done again.
    pub(in crate::index::flat) async fn empty(&self, collection: &Collection) -> Result<()> {
        let doing = "empty a collection";
        loop {
            let mut write = self.write().await?;
            let deleted = sqlx::query(
                "DELETE FROM point WHERE rowid IN (SELECT rowid FROM point WHERE collection = $1 LIMIT $2)",
            )
            .bind(collection.id)
            .bind(DELETE_PART)
            .execute(&mut *write)
            .await
            .map_err(failed(doing))?
            .rows_affected();
            if deleted == 0 {
                for sql in ["DELETE FROM graph WHERE collection = $1", "DELETE FROM shard WHERE collection = $1"] {
                    sqlx::query(sql).bind(collection.id).execute(&mut *write).await.map_err(failed(doing))?;
                }
            }
            write.commit().await.map_err(failed(doing))?;
            if deleted == 0 {
                return Ok(());
            }
        }
    }

    /// An empty collection's name, and what it is in service as.
    pub(in crate::index::flat) async fn forget(&self, id: &CollectionId) -> Result<()> {
        let mut write = self.write().await?;
        for sql in ["DELETE FROM alias WHERE collection = $1", "DELETE FROM collection WHERE name = $1"] {
            sqlx::query(sql).bind(&id.0).execute(&mut *write).await.map_err(failed("remove a collection"))?;
        }
        write.commit().await.map_err(failed("remove a collection"))?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }

    pub(in crate::index::flat) async fn is_there(&self, id: &CollectionId) -> Result<bool> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM collection WHERE name = $1)")
            .bind(&id.0)
            .fetch_one(&self.readers)
            .await
            .map_err(failed("look for a collection"))
    }
}
