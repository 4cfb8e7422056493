//! One request for an object of usual size, parts for a large one. Either way it is seen as a whole or not at all.

use super::{S3Objects, UPLOAD_STEP, settings::Settings};
use aws_sdk_s3::{
    config::{Builder, retry::RetryConfig},
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use imagefleet_common::error::{Error, Result};
use std::time::Duration;

/// Larger objects go up in parts. One request may hold 5 GiB, but one that fails late is sent all over again.
const WHOLE: usize = 64 << 20;
/// At least 5 MiB, at most 10,000 of them: 160 GB, which is more than memory holds.
const PART: usize = 16 << 20;
/// The layer around the port would send all parts again for one that failed.
const PART_TRIES: u32 = 4;

impl S3Objects {
    pub(super) async fn upload(&self, path: &str, bytes: Bytes) -> Result<()> {
        let doing = self.doing("write", path);
        if bytes.len() > WHOLE {
            return self.upload_parts(&doing, self.key(path), bytes).await;
        }
        let limit = self.upload_limit(bytes.len());
        let request = self.client.put_object().bucket(&self.settings.bucket).key(self.key(path));
        let request = request.set_request_payer(self.payer()).body(ByteStream::from(bytes));
        self.ask(&doing, limit, request.send()).await.map(drop).map_err(Error::from)
    }

    fn upload_limit(&self, length: usize) -> Duration {
        let steps = u32::try_from(length / UPLOAD_STEP).unwrap_or(u32::MAX).saturating_add(1);
        self.settings.header_timeout + self.settings.body_timeout.saturating_mul(steps)
    }

    /// What a killed process leaves of an upload is nobody's object: the bucket's rule for incomplete uploads removes it.
    async fn upload_parts(&self, doing: &str, key: String, bytes: Bytes) -> Result<()> {
        let Settings { bucket, header_timeout, .. } = &self.settings;
        let request = self.client.create_multipart_upload().bucket(bucket).key(&key).set_request_payer(self.payer());
        let upload = self.ask(doing, *header_timeout, request.send()).await?;
        let id = upload.upload_id().ok_or_else(|| Error::transient(format!("{doing}: the upload got no id")))?;
        let sent = self.send_parts(doing, &key, id, bytes).await;
        if sent.is_err() {
            let request = self.client.abort_multipart_upload().bucket(bucket).key(&key).upload_id(id);
            let request = request.set_request_payer(self.payer());
            if let Err(failure) = self.ask(doing, *header_timeout, request.send()).await {
                tracing::debug!(error = %failure.error, upload = id, "an upload that failed was not removed");
            }
        }
        sent
    }

    async fn send_parts(&self, doing: &str, key: &str, id: &str, bytes: Bytes) -> Result<()> {
        let Settings { bucket, .. } = &self.settings;
        let retried = Builder::new().retry_config(RetryConfig::standard().with_max_attempts(PART_TRIES));
        let mut parts = CompletedMultipartUpload::builder();
        for (number, start) in (1..).zip((0..bytes.len()).step_by(PART)) {
            let part = bytes.slice(start..bytes.len().min(start + PART));
            let limit = self.upload_limit(part.len()).saturating_mul(PART_TRIES);
            let request = self.client.upload_part().bucket(bucket).key(key).upload_id(id).part_number(number);
            let request = request.set_request_payer(self.payer()).body(ByteStream::from(part));
            let sent = request.customize().config_override(retried.clone()).send();
            let sent = self.ask(doing, limit, sent).await?;
            parts = parts.parts(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
        }
        let request = self.client.complete_multipart_upload().bucket(bucket).key(key).upload_id(id);
        let request = request.set_request_payer(self.payer()).multipart_upload(parts.build());
        let answer = self.ask(doing, self.upload_limit(bytes.len()), request.send()).await;
        answer.map(drop).map_err(Error::from)
    }
}
