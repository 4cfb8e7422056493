//! A page of a listing.

use super::{S3Objects, settings::Settings, size_of, tag_of};
use crate::objects::path::is_path;
use aws_sdk_s3::types::EncodingType;
use imagefleet_common::{
    error::{Error, Result},
    ports::objects::{ObjectMeta, Page},
};
use percent_encoding::percent_decode_str;

impl S3Objects {
    /// Keys that end in `/` stand for folders and are left out. So are keys that are no path of the port, with a
    /// warning: a store of files could not hold them.
    pub(super) async fn page(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let doing = self.doing("list", prefix);
        let Settings { bucket, header_timeout, .. } = &self.settings;
        let request = self.client.list_objects_v2().bucket(bucket).prefix(self.key(prefix));
        let request = request.set_start_after(after.map(|after| self.key(after))).set_request_payer(self.payer());
        // XML holds no control characters, so keys come percent-encoded.
        let request = request.encoding_type(EncodingType::Url);
        // The answer is parsed as it comes in, so the limit is that of its head and of its body.
        let answer = self.ask(&doing, *header_timeout + self.settings.body_timeout, request.send()).await?;

        let encoded = answer.encoding_type() == Some(&EncodingType::Url);
        let mut objects = Vec::with_capacity(answer.contents().len());
        let mut last = after.map(str::to_owned);
        for object in answer.contents() {
            let key = object.key().unwrap_or_default();
            let key = if encoded { decoded(&doing, key)? } else { key.to_owned() };
            let Some(path) = key.strip_prefix(&self.root) else {
                return Err(Error::permanent(format!("{doing}: the server lists {key:?}, which does not begin so")));
            };
            // A page is continued after its last path: that is only right in this order.
            if last.as_deref().is_some_and(|last| path <= last) {
                let why = "bucket is not listed in byte order, as a directory bucket is not";
                return Err(Error::permanent(format!("{doing}: {path:?} comes too late: the {why}")));
            }
            last = Some(path.to_owned());
            if !is_path(path) {
                if !path.is_empty() && !path.ends_with('/') {
                    tracing::warn!(bucket, key, "left out of a listing: the key has empty parts, `.` or `..`");
                }
                continue;
            }
            let etag = tag_of(&doing, object.e_tag())?;
            objects.push(ObjectMeta { path: path.to_owned(), size: size_of(&doing, object.size())?, etag });
        }
        match answer.is_truncated() {
            Some(true) if answer.contents().is_empty() => Err(Error::transient(format!("{doing}: a page was empty"))),
            Some(true) => Ok(Page { objects, next: last }),
            _ => Ok(Page { objects, next: None }),
        }
    }
}

/// As forms are encoded: `+` is a space.
fn decoded(doing: &str, key: &str) -> Result<String> {
    match percent_decode_str(&key.replace('+', " ")).decode_utf8() {
        Ok(key) => Ok(key.into_owned()),
        Err(_) => Err(Error::permanent(format!("{doing}: {key:?} is not UTF-8: rename the object"))),
    }
}
