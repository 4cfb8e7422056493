//! What a request that failed means for its caller.

use super::settings::Settings;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use imagefleet_common::error::Error;
use std::{error::Error as StdError, io, time::Duration};

/// A request that failed: what the server said, and the error that its caller gets where it makes no other use of it.
pub(super) struct Failure {
    status: Option<u16>,
    code: Option<String>,
    pub(super) error: Error,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// Codes that say "ask again", whatever the status: the server is busy, or was interrupted, or someone removed the parts
/// of an upload.
const AGAIN: [&str; 12] = [
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "RequestTimeout",
    "RequestTimeoutException",
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "OperationAborted",
    "IncompleteBody",
    "BadDigest",
    "NoSuchUpload",
];

impl Failure {
    /// The answer's head did not come in time.
    pub(super) fn silence(doing: &str, limit: Duration) -> Self {
        let error = Error::transient(format!("{doing}: no answer within {limit:?}"));
        Self { status: None, code: None, error }
    }

    pub(super) fn new<E>(settings: &Settings, doing: &str, failed: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let Some(answer) = failed.raw_response() else {
            return Self { status: None, code: None, error: unanswered(doing, failed) };
        };
        let status = answer.status().as_u16();
        let code = failed.code().map(str::to_owned);
        let said = match (&code, failed.message()) {
            (Some(code), Some(message)) => format!("{status} {code}: {message}"),
            (Some(code), None) => format!("{status} {code}"),
            (None, _) => status.to_string(),
        };
        // The answer was cut off: what it began with makes no sense.
        if code.is_none() && answer.status().is_success() {
            return Self { status: None, code, error: Error::transient(doing).because(failed) };
        }
        let error = error(settings, doing, answer, code.as_deref().unwrap_or_default(), &said);
        Self { status: Some(status), code, error }
    }

    /// There is no such object (or, of a HEAD, which cannot tell them apart, no such bucket).
    pub(super) fn is_absent(&self) -> bool {
        self.status == Some(404) && self.code.as_deref() != Some("NoSuchBucket")
    }

    /// The object is not the one that `If-Match` names.
    pub(super) fn is_changed(&self) -> bool {
        self.status == Some(412)
    }

    /// The range begins past the object's end.
    pub(super) fn is_past_the_end(&self) -> bool {
        self.status == Some(416)
    }
}

fn error(settings: &Settings, doing: &str, answer: &HttpResponse, code: &str, said: &str) -> Error {
    let Settings { bucket, region, .. } = settings;
    let header = |name: &str| answer.headers().get(name);
    let status = answer.status().as_u16();
    if AGAIN.contains(&code) || matches!(status, 307 | 408 | 409 | 429 | 500 | 502..) {
        let error = Error::transient(format!("{doing}: the server asks to try again ({said})"));
        return match header("retry-after").and_then(|seconds| seconds.parse().ok()) {
            Some(seconds) => error.retry_after(Duration::from_secs(seconds)),
            None => error,
        };
    }
    let home = header("x-amz-bucket-region").filter(|home| Some(*home) != region.as_deref());
    Error::permanent(match (status, code) {
        (301 | 400, _) if home.is_some() || status == 301 || code == "AuthorizationHeaderMalformed" => {
            let home = home.unwrap_or("ITS-REGION");
            format!("{doing}: bucket {bucket} is in another region ({said}): set region={home}")
        }
        (_, "NoSuchBucket") => {
            format!("{doing}: there is no bucket {bucket} ({said}): create it, or correct the name and the endpoint")
        }
        (_, "RequestTimeTooSkewed") => format!("{doing}: this machine's clock is wrong ({said}): set it"),
        (_, "ExpiredToken" | "TokenRefreshRequired") => {
            format!("{doing}: the credentials have expired ({said}): renew them")
        }
        (401 | 403, _) if settings.anonymous => format!(
            "{doing}: bucket {bucket} does not let anyone do this unsigned ({said}): \
             leave out anonymous=true and give credentials"
        ),
        (401 | 403, _) => format!(
            "{doing}: access to bucket {bucket} is denied ({said}): check the credentials (AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, profile or role) and the bucket's policy; a public bucket wants anonymous=true, one \
             whose readers pay requester_pays=true; who may not list is told this of absent objects too"
        ),
        _ => format!("{doing}: the server refuses ({said})"),
    })
}

/// No answer came: the network's failure, unless credentials or certificates are to blame.
fn unanswered<E: StdError + Send + Sync + 'static>(doing: &str, failed: SdkError<E>) -> Error {
    let mut next = Some(&failed as &(dyn StdError + 'static));
    let mut blamed = Blamed::Network;
    while let Some(cause) = next {
        blamed = match cause.downcast_ref::<CredentialsError>() {
            Some(CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)) => {
                Blamed::NoCredentials
            }
            Some(_) => Blamed::Provider,
            None if is_about_a_certificate(cause) => Blamed::Certificate,
            None => blamed,
        };
        next = cause.source();
    }
    match blamed {
        Blamed::Network if matches!(failed, SdkError::ConstructionFailure(_)) => Error::permanent(doing),
        Blamed::Network => Error::transient(doing),
        Blamed::Provider => Error::transient(format!("{doing}: credentials could not be got ({KEYS_REMEDY})")),
        Blamed::NoCredentials => Error::permanent(format!("{doing}: there are no credentials ({KEYS_REMEDY})")),
        Blamed::Certificate => {
            let remedy = "name its authority with ca_file=";
            Error::permanent(format!("{doing}: the server's certificate is not trusted ({remedy})"))
        }
    }
    .because(failed)
}

enum Blamed {
    Network,
    NoCredentials,
    Provider,
    Certificate,
}

const KEYS_REMEDY: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role; \
                           a public bucket wants anonymous=true";

/// An I/O error shows the source of what it wraps, and not what it wraps.
fn is_about_a_certificate(error: &(dyn StdError + 'static)) -> bool {
    match (error.downcast_ref::<rustls::Error>(), error.downcast_ref::<io::Error>()) {
        (Some(rustls::Error::InvalidCertificate(_)), _) => true,
        (_, Some(io)) => io.get_ref().is_some_and(|wrapped| is_about_a_certificate(wrapped)),
        _ => false,
    }
}
