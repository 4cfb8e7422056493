//! Answers that go wrong, as a test asks for them.

use bytes::Bytes;
use futures::{StreamExt, stream};
use s3s::{
    Body, S3Error, S3ErrorCode, S3Request, S3Result,
    dto::{Range, StreamingBlob},
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// A request, as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// As S3 names it: `GetObject`.
    pub operation: &'static str,
    /// Of the object; of a listing, its prefix.
    pub key: String,
    pub range: Option<Range>,
    pub signed: bool,
    pub requester_pays: bool,
    pub host: String,
}

impl Call {
    pub(super) fn new<T>(operation: &'static str, key: &str, request: &S3Request<T>) -> Self {
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            operation,
            key: key.to_owned(),
            range: header("range").and_then(|range| Range::parse(range).ok()),
            signed: request.credentials.is_some(),
            requester_pays: header("x-amz-request-payer") == Some("requester"),
            host: header("host").unwrap_or_default().to_owned(),
        }
    }
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 503 SlowDown in place of doing it; the seconds of `Retry-After`.
    SlowDown(Option<u32>),
    /// This status and code in place of doing it, and `x-amz-bucket-region`.
    Refused(u16, &'static str, Option<&'static str>),
    /// Nothing is done and no answer comes.
    Silent,
    /// It is done, and the answer is 500.
    Lost,
    /// Of a GET: the connection breaks after so many bytes of the body.
    Cut(usize),
    /// Of a GET: after so many bytes of the body, no more come.
    Stalled(usize),
    /// Of a GET: a whole answer of so many bytes of the range.
    Part(usize),
    /// Of a GET: a body whose length the head leaves open, of so many bytes fewer than the range; or of so many more
    /// (zeros), after which it does not end.
    Undeclared(isize),
    /// Of a GET: the range's first byte is another.
    Flipped,
    /// Of a GET: `If-Match` is not looked at.
    Unpinned,
    /// Of a listing: the page's objects come in the opposite order.
    Backwards,
}

type Rule = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

/// The handle on a server's faults and on the calls it saw. Cloning gives another handle on the same.
#[derive(Clone, Default)]
pub struct Faults {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    rule: Option<Rule>,
    calls: Vec<Call>,
}

impl Faults {
    /// From now on asks `rule` about each call, and no longer what was asked before.
    pub fn set(&self, rule: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.lock().rule = Some(Box::new(rule));
    }

    /// The next call of this operation goes wrong, and no other.
    pub fn once(&self, operation: &'static str, fault: Fault) {
        let mut fault = Some(fault);
        self.set(move |call| if call.operation == operation { fault.take() } else { None });
    }

    /// The calls since this was asked last.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.lock().calls)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong with a call that may be done; an error or no end where it may not.
    pub(super) async fn before(&self, call: Call) -> S3Result<Option<Fault>> {
        let fault = {
            let mut shared = self.lock();
            let fault = shared.rule.as_mut().and_then(|rule| rule(&call));
            shared.calls.push(call);
            fault
        };
        match fault {
            Some(Fault::SlowDown(after)) => {
                let mut error = S3Error::new(S3ErrorCode::SlowDown);
                if let Some(Ok(seconds)) = after.map(|seconds| seconds.to_string().parse()) {
                    error.set_headers(
                        [("retry-after".parse().map_err(S3Error::internal_error)?, seconds)].into_iter().collect(),
                    );
                }
                Err(error)
            }
            Some(Fault::Refused(status, code, region)) => {
                let mut error = S3Error::new(S3ErrorCode::Custom(code.into()));
                error.set_status_code(status.try_into().map_err(S3Error::internal_error)?);
                if let Some(Ok(region)) = region.map(str::parse) {
                    let name = "x-amz-bucket-region".parse().map_err(S3Error::internal_error)?;
                    error.set_headers([(name, region)].into_iter().collect());
                }
                Err(error)
            }
            Some(Fault::Silent) => std::future::pending().await,
            fault => Ok(fault),
        }
    }

    /// What a call that was done is told.
    pub(super) fn after<T>(fault: Option<Fault>, answer: S3Result<T>) -> S3Result<T> {
        match fault {
            Some(Fault::Lost) => answer.and(Err(S3Error::new(S3ErrorCode::InternalError))),
            _ => answer,
        }
    }
}

/// A body and the length that its head declares.
pub(super) fn body(fault: Option<Fault>, bytes: Bytes) -> (StreamingBlob, Option<usize>) {
    let length = bytes.len();
    let whole = |bytes: Bytes| StreamingBlob::from(Body::from(bytes));
    let first = |count: usize| bytes.slice(..count.min(length));
    match fault {
        Some(Fault::Cut(count)) => {
            let broken = io::Error::other("a fault cuts the body");
            (StreamingBlob::wrap(stream::iter([Ok(first(count)), Err(broken)])), Some(length))
        }
        Some(Fault::Stalled(count)) => {
            let begun = stream::iter([Ok::<_, io::Error>(first(count))]);
            (StreamingBlob::wrap(begun.chain(stream::pending())), Some(length))
        }
        Some(Fault::Part(count)) => (whole(first(count)), Some(count.min(length))),
        Some(Fault::Undeclared(more)) => {
            let mut other = bytes.to_vec();
            other.resize(length.saturating_add_signed(more), 0);
            let begun = stream::iter([Ok::<_, io::Error>(other.into())]);
            match more > 0 {
                true => (StreamingBlob::wrap(begun.chain(stream::pending())), None),
                false => (StreamingBlob::wrap(begun), None),
            }
        }
        Some(Fault::Flipped) => {
            let mut other = bytes.to_vec();
            if let Some(byte) = other.first_mut() {
                *byte ^= 1;
            }
            (whole(other.into()), Some(length))
        }
        _ => (whole(bytes), Some(length)),
    }
}
