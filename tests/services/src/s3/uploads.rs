//! Uploads in parts: a folder of what is unfinished, with a file for each part.

use super::files::{Files, fault, write};
use s3s::{S3Result, dto::CompletedPart, dto::StreamingBlob, s3_error};
use std::path::Path;
use tokio::{fs, io};

/// Of each part but the last, as Amazon has it.
const SMALLEST: u64 = 5 << 20;

impl Files {
    pub(super) async fn begin(&self) -> S3Result<String> {
        let folder = self.unfinished().await?;
        fs::create_dir(&folder).await.map_err(fault)?;
        Ok(folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
    }

    /// The part's tag: a name that no other part has, of this number or another.
    pub(super) async fn part(&self, id: &str, number: i32, body: Option<StreamingBlob>) -> S3Result<String> {
        if !(1..=10_000).contains(&number) {
            return Err(s3_error!(InvalidArgument, "parts are numbered from 1 to 10000"));
        }
        let folder = self.upload(id)?;
        let file = self.unfinished().await?;
        let tag = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        write(&file, body).await?;
        fs::rename(&file, folder.join(format!("{number}-{tag}"))).await.map_err(fault)?;
        Ok(tag)
    }

    pub(super) async fn complete(&self, id: &str, parts: &[CompletedPart], object: &Path) -> S3Result<()> {
        let folder = self.upload(id)?;
        let numbers: Vec<i32> = parts.iter().filter_map(|part| part.part_number).collect();
        if numbers.is_empty() || !numbers.is_sorted_by(|a, b| a < b) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let whole = folder.join("whole");
        let mut to = fs::File::create(&whole).await.map_err(fault)?;
        for (at, part) in parts.iter().enumerate() {
            let (number, tag) =
                (part.part_number.unwrap_or_default(), part.e_tag.as_ref().map_or("", |tag| tag.value()));
            let mut from =
                fs::File::open(folder.join(format!("{number}-{tag}"))).await.map_err(|_| s3_error!(InvalidPart))?;
            let size = io::copy(&mut from, &mut to).await.map_err(fault)?;
            if size < SMALLEST && at + 1 < parts.len() {
                return Err(s3_error!(EntityTooSmall));
            }
        }
        io::AsyncWriteExt::flush(&mut to).await.map_err(fault)?;
        drop(to);
        self.finish(&whole, object).await?;
        fs::remove_dir_all(folder).await.map_err(fault)
    }
}
