//! The SDK's client, set up so that every request happens once and only this adapter's limits hold.

use super::settings::Settings;
use aws_config::BehaviorVersion;
use aws_sdk_s3::{
    Client,
    config::{
        Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
        StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use imagefleet_common::error::{Context, Error, Result};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{env, path::Path};

/// # Errors
///
/// Permanent, where no region is known or the certificates cannot be used.
pub(super) async fn connect(settings: &Settings) -> Result<Client> {
    let http = http(settings).await?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    let of_environment = || ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| env::var(name).ok());
    let region = match &settings.endpoint {
        // The machine's region says nothing about another service, and asking for it takes seconds elsewhere.
        Some(_) => settings.region.clone().or_else(of_environment).or_else(|| Some("us-east-1".to_owned())),
        None => settings.region.clone(),
    };
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if settings.anonymous {
        loader = loader.no_credentials();
    } else if let Some(keys) = &settings.keys {
        loader = loader.credentials_provider(Credentials::new(&keys.id, &keys.secret, None, None, "settings"));
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        let bucket = &settings.bucket;
        return Err(Error::permanent(format!("no region is known for bucket {bucket}: add region= or set AWS_REGION")));
    }
    let mut config = Builder::from(&shared)
        .force_path_style(settings.path_style)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(settings.connect_timeout).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Services other than Amazon's refuse or lack the newer checksums, and none is defined for a range.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint.trim_end_matches('/'));
    }
    if settings.anonymous {
        config = config.allow_no_auth();
    }
    Ok(Client::from_conf(config.build()))
}

async fn http(settings: &Settings) -> Result<SharedHttpClient> {
    let mut trusted = TrustStore::default();
    if let Some(file) = &settings.ca_file {
        trusted = trusted.with_pem_certificate(certificates(file).await?);
    }
    let tls = TlsContext::builder().with_trust_store(trusted).build().permanent(|| "set up TLS".to_owned())?;
    let client = aws_smithy_http_client::Builder::new().tls_provider(Provider::rustls(CryptoMode::Ring));
    Ok(client.tls_context(tls).build_https())
}

/// A file of certificates, looked through: the HTTP client would panic at a damaged one.
async fn certificates(file: &Path) -> Result<Vec<u8>> {
    let doing = || format!("ca_file: read {}", file.display());
    let pem = tokio::fs::read(file).await.permanent(doing)?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        store.add(certificate.permanent(doing)?).permanent(doing)?;
    }
    match store.is_empty() {
        true => Err(Error::permanent(format!("ca_file: {} holds no PEM certificate", file.display()))),
        false => Ok(pem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::s3::Keys;
    use aws_sdk_s3::presigning::PresigningConfig;
    use std::time::Duration;

    /// Where a request for an odd key goes.
    async fn url(path_style: bool) -> String {
        let keys = Keys { id: "id".to_owned(), secret: "secret".to_owned() };
        let endpoint = Some("http://s3.example:9000/".to_owned());
        let settings = Settings { path_style, endpoint, keys: Some(keys), ..Settings::new("bucket") };
        let client = connect(&settings).await.expect("the settings are right");
        let request = client.get_object().bucket("bucket").key("a/b +%#?é");
        let limit = PresigningConfig::expires_in(Duration::from_secs(60)).expect("a minute is a time");
        let signed = request.presigned(limit).await.expect("the request is signed");
        signed.uri().split_once('?').expect("the signature is in the query").0.to_owned()
    }

    #[tokio::test]
    async fn the_bucket_is_a_part_of_the_host_or_of_the_path() {
        assert_eq!(url(false).await, "http://bucket.s3.example:9000/a/b%20%2B%25%23%3F%C3%A9");
        assert_eq!(url(true).await, "http://s3.example:9000/bucket/a/b%20%2B%25%23%3F%C3%A9");
    }
}
