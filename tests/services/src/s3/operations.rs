//! The operations that an object store needs. An upload's body is taken in before a fault is asked for: a client that
//! is still sending would see a broken connection in place of the answer.

use super::{
    faults::{Call, Fault, Faults, body},
    files::{self, Files, is_absent, tag},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{
    S3, S3Error, S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
        CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition, EncodingType,
        GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
        ListObjectsV2Input, ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput, UploadPartInput,
        UploadPartOutput,
    },
    s3_error,
};
use std::{fs::Metadata, io::ErrorKind};
use tokio::fs;

/// What keys in a listing keep; the space becomes `+`, as Amazon has it.
const KEY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');
const PAGE: i32 = 1_000;

pub(super) struct Store {
    pub(super) files: Files,
    pub(super) faults: Faults,
}

fn size(told: &Metadata) -> S3Result<i64> {
    i64::try_from(told.len()).map_err(S3Error::internal_error)
}

fn modified(told: &Metadata) -> Option<s3s::dto::Timestamp> {
    told.modified().ok().map(Into::into)
}

#[async_trait::async_trait]
impl S3 for Store {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        self.files.create_bucket(&request.input.bucket).await?;
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let fault = self.faults.before(Call::new("HeadBucket", "", &request)).await?;
        self.files.bucket(&request.input.bucket)?;
        Faults::after(fault, Ok(S3Response::new(HeadBucketOutput::default())))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let fault = self.faults.before(Call::new("HeadObject", &request.input.key, &request)).await?;
        let HeadObjectInput { bucket, key, .. } = request.input;
        let (_, told) = files::open(self.files.object(&bucket, &key)?).await?;
        let output = HeadObjectOutput {
            content_length: Some(size(&told)?),
            e_tag: Some(tag(&told)),
            last_modified: modified(&told),
            ..Default::default()
        };
        Faults::after(fault, Ok(S3Response::new(output)))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let fault = self.faults.before(Call::new("GetObject", &request.input.key, &request)).await?;
        let GetObjectInput { bucket, key, range, if_match, .. } = request.input;
        let (file, told) = files::open(self.files.object(&bucket, &key)?).await?;
        let e_tag = tag(&told);
        if let Some(ETagCondition::ETag(wanted)) = if_match
            && fault != Some(Fault::Unpinned)
            && !wanted.strong_cmp(&e_tag)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let asked = range.map(|range| range.check(told.len())).transpose()?;
        let bytes = files::read(file, asked.clone().unwrap_or(0..told.len())).await?;
        let (body, length) = body(fault, bytes);
        let output = GetObjectOutput {
            body: Some(body),
            content_length: length.map(i64::try_from).transpose().map_err(S3Error::internal_error)?,
            content_range: asked.map(|asked| format!("bytes {}-{}/{}", asked.start, asked.end - 1, told.len())),
            e_tag: Some(e_tag),
            last_modified: modified(&told),
            ..Default::default()
        };
        Faults::after(fault, Ok(S3Response::new(output)))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let call = Call::new("ListObjectsV2", request.input.prefix.as_deref().unwrap_or_default(), &request);
        let fault = self.faults.before(call).await?;
        let ListObjectsV2Input { bucket, prefix, start_after, continuation_token, max_keys, .. } = request.input;
        if request.input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented, "there are no delimiters here"));
        }
        let after = continuation_token.or(start_after).unwrap_or_default();
        let found = self.files.walk(&bucket, prefix.as_deref().unwrap_or_default()).await?;
        let first = found.partition_point(|object| object.key <= after);
        let page = usize::try_from(max_keys.unwrap_or(PAGE).clamp(1, PAGE)).map_err(S3Error::internal_error)?;
        let encoded = request.input.encoding_type.as_ref().is_some_and(|asked| asked.as_str() == EncodingType::URL);
        let mut contents = Vec::new();
        for object in found.iter().skip(first).take(page) {
            let told = match fs::metadata(&object.file).await {
                Err(error) if is_absent(&error) => continue,
                told => told.map_err(files::fault)?,
            };
            let key = if encoded {
                utf8_percent_encode(&object.key, &KEY).to_string().replace("%20", "+")
            } else {
                object.key.clone()
            };
            contents.push(Object {
                key: Some(key),
                size: Some(size(&told)?),
                e_tag: Some(tag(&told)),
                last_modified: modified(&told),
                ..Default::default()
            });
        }
        if fault == Some(Fault::Backwards) {
            contents.reverse();
        }
        let next = found.get(first + page).and_then(|_| found.get(first + page - 1));
        let output = ListObjectsV2Output {
            name: Some(bucket),
            prefix,
            key_count: i32::try_from(contents.len()).ok(),
            max_keys: i32::try_from(page).ok(),
            is_truncated: Some(next.is_some()),
            next_continuation_token: next.map(|last| last.key.clone()),
            contents: Some(contents),
            encoding_type: request.input.encoding_type,
            ..Default::default()
        };
        Faults::after(fault, Ok(S3Response::new(output)))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let call = Call::new("PutObject", &request.input.key, &request);
        let PutObjectInput { bucket, key, body, .. } = request.input;
        let object = self.files.object(&bucket, &key)?;
        let file = self.files.unfinished().await?;
        let done = async {
            files::write(&file, body).await?;
            let fault = self.faults.before(call).await?;
            self.files.finish(&file, &object).await?;
            Ok(fault)
        };
        match done.await {
            Ok(fault) => Faults::after(fault, Ok(S3Response::new(PutObjectOutput::default()))),
            Err(error) => {
                let _ = fs::remove_file(&file).await;
                Err(error)
            }
        }
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let fault = self.faults.before(Call::new("DeleteObject", &request.input.key, &request)).await?;
        let DeleteObjectInput { bucket, key, .. } = request.input;
        match fs::remove_file(self.files.object(&bucket, &key)?).await {
            Err(error) if !is_absent(&error) && error.kind() != ErrorKind::IsADirectory => {
                return Err(files::fault(error));
            }
            _ => {}
        }
        Faults::after(fault, Ok(S3Response::new(DeleteObjectOutput::default())))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let fault = self.faults.before(Call::new("CreateMultipartUpload", &request.input.key, &request)).await?;
        let CreateMultipartUploadInput { bucket, key, .. } = request.input;
        self.files.object(&bucket, &key)?;
        let upload_id = Some(self.files.begin().await?);
        let output =
            CreateMultipartUploadOutput { bucket: Some(bucket), key: Some(key), upload_id, ..Default::default() };
        Faults::after(fault, Ok(S3Response::new(output)))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let call = Call::new("UploadPart", &request.input.key, &request);
        let UploadPartInput { upload_id, part_number, body, .. } = request.input;
        let e_tag = self.files.part(&upload_id, part_number, body).await?;
        let fault = self.faults.before(call).await?;
        let output = UploadPartOutput { e_tag: Some(ETag::Strong(e_tag)), ..Default::default() };
        Faults::after(fault, Ok(S3Response::new(output)))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let fault = self.faults.before(Call::new("CompleteMultipartUpload", &request.input.key, &request)).await?;
        let CompleteMultipartUploadInput { bucket, key, upload_id, multipart_upload, .. } = request.input;
        let parts = multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        self.files.complete(&upload_id, &parts, &self.files.object(&bucket, &key)?).await?;
        let output = CompleteMultipartUploadOutput { bucket: Some(bucket), key: Some(key), ..Default::default() };
        Faults::after(fault, Ok(S3Response::new(output)))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let fault = self.faults.before(Call::new("AbortMultipartUpload", &request.input.key, &request)).await?;
        fs::remove_dir_all(self.files.upload(&request.input.upload_id)?).await.map_err(files::fault)?;
        Faults::after(fault, Ok(S3Response::new(AbortMultipartUploadOutput::default())))
    }
}
