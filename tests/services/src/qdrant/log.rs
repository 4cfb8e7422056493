//! The log: every change that was confirmed, in order. It is read from the start when a folder is opened.

use prost::Message;
use qdrant_client::qdrant::{
    ChangeAliases, CreateCollection, CreateFieldIndexCollection, DeleteCollection, DeletePoints, UpsertPoints,
};
use std::{
    fs::{File, OpenOptions},
    io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write},
    path::Path,
};

/// A change, as its request had it.
#[expect(clippy::large_enum_variant, reason = "one lives for one request")]
#[derive(Debug, Clone)]
pub(super) enum Change {
    Create(CreateCollection),
    Remove(DeleteCollection),
    Aliases(ChangeAliases),
    Index(CreateFieldIndexCollection),
    Upsert(UpsertPoints),
    Delete(DeletePoints),
}

impl Change {
    fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Create(request) => (0, request.encode_to_vec()),
            Self::Remove(request) => (1, request.encode_to_vec()),
            Self::Aliases(request) => (2, request.encode_to_vec()),
            Self::Index(request) => (3, request.encode_to_vec()),
            Self::Upsert(request) => (4, request.encode_to_vec()),
            Self::Delete(request) => (5, request.encode_to_vec()),
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Self> {
        Ok(match kind {
            0 => Self::Create(CreateCollection::decode(body)?),
            1 => Self::Remove(DeleteCollection::decode(body)?),
            2 => Self::Aliases(ChangeAliases::decode(body)?),
            3 => Self::Index(CreateFieldIndexCollection::decode(body)?),
            4 => Self::Upsert(UpsertPoints::decode(body)?),
            5 => Self::Delete(DeletePoints::decode(body)?),
            other => return Err(Error::new(ErrorKind::InvalidData, format!("a change of the unknown kind {other}"))),
        })
    }
}

/// Kind and length.
const HEAD: usize = 1 + size_of::<u32>();

pub(super) struct Log {
    file: File,
}

impl Log {
    /// Opens or makes the log in `folder` and hands out what it holds. A change that was cut off at the end was never
    /// confirmed and is removed.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Change>)> {
        std::fs::create_dir_all(folder)?;
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join("changes.log"))?;
        File::open(folder)?.sync_all()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (mut changes, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((head, tail)) = rest.split_at_checked(HEAD) {
            let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let Some((body, tail)) = tail.split_at_checked(length) else { break };
            changes.push(Change::decode(head[0], body)?);
            rest = tail;
        }
        let whole = (bytes.len() - rest.len()) as u64;
        file.set_len(whole)?;
        file.seek(SeekFrom::Start(whole))?;
        Ok((Self { file }, changes))
    }

    /// On disk on return.
    pub(super) fn append(&mut self, change: &Change) -> Result<()> {
        let (kind, body) = change.encode();
        let mut record = Vec::with_capacity(HEAD + body.len());
        record.push(kind);
        record.extend((body.len() as u32).to_le_bytes());
        record.extend(body);
        self.file.write_all(&record)?;
        self.file.sync_data()
    }
}
