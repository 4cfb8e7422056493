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
    use aws_sdk_s3::{
        config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut},
        error::BoxError,
    };
    use imagefleet_test_services::s3::{Faults, KEY_ID, SECRET, Server};
    use tokio::net::TcpListener;

    const HOST: &str = "s3.example:9000";

    /// Sends what is addressed to any host to this address: what a name server would do.
    #[derive(Debug)]
    struct Resolved(String);

    impl Intercept for Resolved {
        fn name(&self) -> &'static str {
            "Resolved"
        }

        fn modify_before_transmit(
            &self,
            context: &mut BeforeTransmitInterceptorContextMut<'_>,
            _: &RuntimeComponents,
            _: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            let request = context.request_mut();
            let uri = request.uri().to_owned();
            let host = uri.split('/').nth(2).ok_or("the URI names a host")?.to_owned();
            request.set_uri(uri.replacen(&host, &self.0, 1))?;
            request.headers_mut().insert("host", host);
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_bucket_is_a_part_of_the_host_or_of_the_path() {
        let root = tempfile::tempdir().expect("a folder for the server");
        std::fs::create_dir(root.path().join("bucket")).expect("a bucket");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let faults = Faults::default();
        let server = Server::new(root.path().into()).domain(HOST).faults(faults.clone());
        tokio::spawn(server.serve(listener));
        for (path_style, host) in [(false, "bucket.s3.example:9000"), (true, HOST)] {
            let keys = Keys { id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
            let endpoint = Some(format!("http://{HOST}/"));
            let settings = Settings { path_style, endpoint, keys: Some(keys), ..Settings::new("bucket") };
            let client = connect(&settings).await.expect("the settings are right");
            let request = client.put_object().bucket("bucket").key("a/b +%#?é").customize();
            request.interceptor(Resolved(address.clone())).send().await.expect("the object is put");
            let call = faults.take_calls().pop().expect("the server was asked");
            assert_eq!((call.host.as_str(), call.key.as_str()), (host, "a/b +%#?é"));
        }
    }
}
