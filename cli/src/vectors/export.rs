//! `imagefleet vectors export`

use super::{COLLECTION, Origin, ROWS, Row, VECTORS, file_error, npy};
use crate::{
    args::{Global, Output},
    exit::Exit,
    logging::print,
    site::Site,
    world::World,
};
use imagefleet_adapters::objects::fs::durable::{self, Draft};
use imagefleet_common::{
    Context, Error, Result,
    ids::CollectionId,
    ports::{
        catalog::{named_collection, whole_scope},
        index::Stored,
    },
    work::ChunkRef,
};
use serde_json::json;
use std::{
    io::{BufWriter, Write},
    path::Path,
};

/// Points that are read together.
const BATCH: usize = 1024;

pub(crate) async fn export(global: &Global, name: &str, folder: &Path) -> Result<Exit> {
    let world = Site::of(global)?.look().await?;
    let collection = named_collection(world.catalog.as_ref(), Some(name)).await?;
    let doing = || format!("export {} to {}", collection.id, folder.display());
    let corpus = world.catalog.corpus(&collection.corpus).await?;
    let corpus = corpus.ok_or_else(|| Error::permanent(format!("{}: its corpus is not on record", doing())))?;
    let scope = whole_scope(world.catalog.as_ref(), &corpus.id).await?;
    let chunks = world.index.counts(&collection.id, &scope).await?;
    let count: u64 = chunks.iter().map(|(_, count)| count).sum();

    let failed = |error| file_error(doing())(error);
    durable::create_folders(folder).map_err(failed)?;
    match std::fs::remove_file(folder.join(COLLECTION)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut vectors = Draft::new(&folder.join(VECTORS)).map_err(failed)?;
    let mut rows = Draft::new(&folder.join(ROWS)).map_err(failed)?;
    let written = {
        let (mut matrix, mut lines) = (BufWriter::new(vectors.file()), BufWriter::new(rows.file()));
        npy::write_header(&mut matrix, count, collection.dims).map_err(failed)?;
        let mut written = 0;
        for (at, _) in chunks {
            written += write_chunk(&world, &collection.id, at, &mut matrix, &mut lines)
                .await
                .map_err(|error| error.while_doing(doing()))?;
        }
        matrix.flush().and_then(|()| lines.flush()).map_err(failed)?;
        written
    };
    if written != count {
        return Err(Error::transient(format!("{}: the collection changed while it was read; try again", doing())));
    }
    vectors.place().and_then(|()| rows.place()).map_err(failed)?;
    let origin = serde_json::to_vec_pretty(&Origin { corpus, collection: collection.clone() }).permanent(doing)?;
    durable::write(&folder.join(COLLECTION), &origin).map_err(failed)?;
    match global.output {
        Output::Json => print(format_args!(
            "{:#}",
            json!({"collection": collection.id, "vectors": count, "dims": collection.dims, "folder": folder.to_string_lossy()})
        )),
        Output::Table => {
            print(format_args!("{count} vectors of {} numbers: {}", collection.dims, folder.join(VECTORS).display()));
        }
    }
    Ok(Exit::Done)
}

async fn write_chunk(
    world: &World,
    collection: &CollectionId,
    at: ChunkRef,
    matrix: &mut impl Write,
    lines: &mut impl Write,
) -> Result<u64> {
    let heads = world.index.chunk(collection, at.shard, at.chunk).await?;
    let keys: Vec<String> = heads.into_iter().filter(|head| head.at == at).map(|head| head.key).collect();
    let mut written = 0;
    for keys in keys.chunks(BATCH) {
        let payloads = world.index.payloads(collection, keys).await?;
        let values = world.index.vectors(collection, keys).await?;
        for (stored, vector) in payloads.into_iter().zip(values) {
            let (Some(Stored { head, payload }), Some(vector)) = (stored, vector) else { continue };
            let failed = |error| file_error(format!("write {}", head.key))(error);
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            matrix.write_all(&bytes).map_err(failed)?;
            let line = serde_json::to_string(&Row { key: head.key.clone(), payload })
                .permanent(|| format!("write {}", head.key))?;
            writeln!(lines, "{line}").map_err(failed)?;
            written += 1;
        }
    }
    Ok(written)
}
