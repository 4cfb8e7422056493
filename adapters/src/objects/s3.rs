//! A bucket of S3, or of a service that speaks its protocol, as an object store.
//!
//! A read is one request for one bounded range, pinned by `If-Match` to the tag that a listing gave, and its body is
//! taken at once and as a whole: no connection waits for a consumer. Not every server honours `If-Match` or `Range`, so
//! the answer's own tag and length are compared too. What is short, long, late or cut off is a transient error, and the
//! [`Retry`](imagefleet_common::ports::layered::Retry) layer asks for the whole range again; nothing here asks twice,
//! but for the parts of a large upload.
//!
//! Tags are kept without the quotes that some servers put around them in one answer and not in another.

mod client;
mod failure;
mod listing;
mod settings;
mod upload;

pub use settings::{Keys, Settings};

use super::path::{checked, checked_prefix};
use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_object::GetObjectOutput,
    types::RequestPayer,
};
use bytes::{Bytes, BytesMut};
use failure::Failure;
use imagefleet_common::{
    error::{Context, Error, Result},
    ports::objects::{ObjectMeta, Objects, Page},
};
use std::{
    error::Error as StdError,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// An upload may take [`Settings::body_timeout`] for each of these many bytes.
pub const UPLOAD_STEP: usize = 8 << 20;

/// The objects of a bucket whose keys begin with a prefix.
pub struct S3Objects {
    client: Client,
    settings: Settings,
    /// What keys begin with: empty, or the prefix and a `/`.
    root: String,
    /// An answer has shown that the bucket is there.
    found: AtomicBool,
}

impl S3Objects {
    /// Asks nothing of the server.
    ///
    /// # Errors
    ///
    /// Permanent, with the setting that is wrong and what it wants.
    pub async fn open(mut settings: Settings) -> Result<Self> {
        settings.check()?;
        let client = client::connect(&settings).await?;
        settings.region = client.config().region().map(ToString::to_string);
        let root = if settings.prefix.is_empty() { String::new() } else { format!("{}/", settings.prefix) };
        Ok(Self { client, settings, root, found: AtomicBool::new(false) })
    }

    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    fn doing(&self, what: &str, path: &str) -> String {
        format!("{what} s3://{}/{}{path}", self.settings.bucket, self.root)
    }

    fn payer(&self) -> Option<RequestPayer> {
        self.settings.requester_pays.then_some(RequestPayer::Requester)
    }

    /// One request, whose answer's head must come within `limit`.
    async fn ask<T, E>(
        &self,
        doing: &str,
        limit: Duration,
        request: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match tokio::time::timeout(limit, request).await {
            Ok(Ok(answer)) => {
                self.found.store(true, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(failed)) => Err(Failure::new(&self.settings, doing, failed)),
            Err(_) => Err(Failure::silence(doing, limit)),
        }
    }

    /// [`Objects::head`] of a path that was checked.
    async fn look(&self, doing: &str, path: &str) -> Result<Option<ObjectMeta>> {
        let Settings { bucket, header_timeout, .. } = &self.settings;
        let request = self.client.head_object().bucket(bucket).key(self.key(path)).set_request_payer(self.payer());
        match self.ask(doing, *header_timeout, request.send()).await {
            Ok(found) => {
                let size = size_of(doing, found.content_length())?;
                Ok(Some(ObjectMeta { path: path.to_owned(), size, etag: tag_of(doing, found.e_tag())? }))
            }
            Err(failure) if failure.is_absent() => self.find_bucket(doing).await.map(|()| None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The answer to a HEAD does not say whether the object is missing or the whole bucket.
    async fn find_bucket(&self, doing: &str) -> Result<()> {
        if self.found.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Settings { bucket, header_timeout, .. } = &self.settings;
        match self.ask(doing, *header_timeout, self.client.head_bucket().bucket(bucket).send()).await {
            Err(failure) if failure.is_absent() => {
                let remedy = "create it, or correct the name and the endpoint";
                Err(Error::permanent(format!("{doing}: there is no bucket {bucket}: {remedy}")))
            }
            // Who may read objects may not be allowed to look at the bucket.
            Err(failure) if failure.error.is_permanent() => Ok(()),
            answer => answer.map(drop).map_err(Error::from),
        }
    }

    /// A range past the end, or of nothing: the object's head tells whether it is still the one that was listed.
    async fn look_pinned(&self, doing: &str, path: &str, etag: &str, range: &Range<u64>) -> Result<()> {
        match self.look(doing, path).await? {
            Some(found) if found.etag == etag && range.end > found.size => Err(outside(doing, range, found.size)),
            Some(found) if found.etag == etag => Ok(()),
            _ => Err(changed(doing)),
        }
    }
}

#[async_trait]
impl Objects for S3Objects {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.page(checked_prefix(prefix)?, after).await
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        self.look(&self.doing("look at", path), checked(path)?).await
    }

    async fn read(&self, path: &str, etag: &str, range: Range<u64>) -> Result<Bytes> {
        let doing = self.doing("read", checked(path)?);
        let Range { start, end } = range;
        if start >= end {
            if start > end {
                return Err(Error::permanent(format!("{doing}: bytes {start}..{end} are no range")));
            }
            return self.look_pinned(&doing, path, etag, &range).await.map(|()| Bytes::new());
        }
        let Settings { bucket, header_timeout, .. } = &self.settings;
        let request = self.client.get_object().bucket(bucket).key(self.key(path)).set_request_payer(self.payer());
        let request = request.range(format!("bytes={start}-{}", end - 1)).if_match(quoted(etag));
        match self.ask(&doing, *header_timeout, request.send()).await {
            Ok(answer) => take(&doing, etag, &range, answer, self.settings.body_timeout).await,
            Err(failure) if failure.is_changed() || failure.is_absent() => Err(changed(&doing)),
            Err(failure) if failure.is_past_the_end() => {
                self.look_pinned(&doing, path, etag, &range).await?;
                Err(failure.into())
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.upload(checked(path)?, bytes).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let doing = self.doing("delete", checked(path)?);
        let Settings { bucket, header_timeout, .. } = &self.settings;
        let request = self.client.delete_object().bucket(bucket).key(self.key(path)).set_request_payer(self.payer());
        match self.ask(&doing, *header_timeout, request.send()).await {
            Err(failure) if failure.is_absent() => Ok(()),
            done => done.map(drop).map_err(Error::from),
        }
    }
}

/// The body of an answer to a ranged read, if it is what was asked for.
async fn take(
    doing: &str,
    etag: &str,
    range: &Range<u64>,
    mut answer: GetObjectOutput,
    patience: Duration,
) -> Result<Bytes> {
    if tag_of(doing, answer.e_tag())? != etag {
        return Err(changed(doing));
    }
    // "bytes 0-9/10": the last figure is the object's size.
    let size = answer.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    if let Some(size) = size.filter(|size| range.end > *size) {
        return Err(outside(doing, range, size));
    }
    let wanted = usize::try_from(range.end - range.start).permanent(|| doing.to_owned())?;
    let unlike = |got: usize| Error::transient(format!("{doing}: {got} bytes came and {wanted} were asked for"));
    let mut bytes = BytesMut::with_capacity(wanted);
    loop {
        let Ok(next) = tokio::time::timeout(patience, answer.body.try_next()).await else {
            let got = bytes.len();
            return Err(Error::transient(format!(
                "{doing}: nothing came for {patience:?} after {got} bytes of {wanted}"
            )));
        };
        match next.transient(|| doing.to_owned())? {
            Some(more) if bytes.len() + more.len() > wanted => return Err(unlike(bytes.len() + more.len())),
            Some(more) => bytes.extend_from_slice(&more),
            None if bytes.len() == wanted => return Ok(bytes.freeze()),
            None => return Err(unlike(bytes.len())),
        }
    }
}

fn changed(doing: &str) -> Error {
    Error::changed(format!("{doing}: it is not what it was when it was listed"))
}

fn outside(doing: &str, range: &Range<u64>, size: u64) -> Error {
    Error::permanent(format!("{doing}: bytes {}..{} are outside its {size} bytes", range.start, range.end))
}

fn tag_of(doing: &str, etag: Option<&str>) -> Result<String> {
    let etag = etag
        .ok_or_else(|| Error::permanent(format!("{doing}: the server names no ETag, and nothing else pins bytes")))?;
    let strong = etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"'));
    Ok(strong.unwrap_or(etag).to_owned())
}

fn quoted(etag: &str) -> String {
    if etag.starts_with("W/") { etag.to_owned() } else { format!("\"{etag}\"") }
}

fn size_of(doing: &str, size: Option<i64>) -> Result<u64> {
    let size = size.and_then(|size| u64::try_from(size).ok());
    size.ok_or_else(|| Error::permanent(format!("{doing}: the server names no size")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_without_the_quotes_that_some_answers_have() {
        let tag = |etag| tag_of("look", Some(etag)).expect("there is a tag");
        assert_eq!(tag("\"abc-2\""), tag("abc-2"));
        assert_eq!(quoted(&tag("\"abc-2\"")), "\"abc-2\"");
        assert_eq!(quoted(&tag("W/\"abc\"")), "W/\"abc\"", "a weak tag is sent back as it came");
        assert!(tag_of("look", None).is_err());
    }
}
