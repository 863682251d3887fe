//! Signs the requests to a bucket (Signature Version 4), and judges refusals.

use super::refusal::Refusal;
use super::settings::{Settings, Source};
use super::vault::Vault;
use crate::clock::Clock;
use crate::error::{Error, Failure};
use crate::plan::Address;
use crate::transport::{Carrier, Judgement, Pending, RequestSigner};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
pub(crate) struct S3Signer {
    vault: Arc<Vault>,
    source: Source,
    requester_pays: bool,
    /// True if another region has another host.
    is_of_aws: bool,
    region: Mutex<String>,
}

impl S3Signer {
    pub(super) fn new(vault: Arc<Vault>, settings: &Settings) -> Self {
        Self {
            vault,
            source: settings.source.clone(),
            requester_pays: settings.requester_pays,
            is_of_aws: settings.is_of_aws(),
            region: Mutex::new(settings.region.clone()),
        }
    }

    fn region(&self) -> String {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        // It is replaced as a whole.
        self.region.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs for another region from now on; false if that is no news, or if the bucket has another host there.
    fn turn_to(&self, region: Option<&str>) -> bool {
        let Some(region) = region.filter(|_| !self.is_of_aws) else { return false };
        let mut now = self.lock();
        let is_new = *now != region;
        region.clone_into(&mut now);
        is_new
    }
}

impl RequestSigner for S3Signer {
    fn ready<'a>(&'a self, carrier: &'a dyn Carrier) -> Pending<'a, Result<(), Failure>> {
        Box::pin(self.vault.fill(&self.source, carrier))
    }

    fn sign(&self, request: &mut Request<Full<Bytes>>, address: &Address, body: &Bytes) -> Result<(), Error> {
        if self.requester_pays {
            let payer = HeaderName::from_static("x-amz-request-payer");
            request.headers_mut().insert(payer, HeaderValue::from_static("requester"));
        }
        if matches!(*request.method(), Method::GET | Method::HEAD)
            && address
                .request_target()
                .find('?')
                .is_none_or(|at| address.request_target()[at..].starts_with("?versionId="))
        {
            let mode = HeaderName::from_static("x-amz-checksum-mode");
            request.headers_mut().insert(mode, HeaderValue::from_static("ENABLED"));
        }
        let Some(keys) = self.vault.held_keys() else {
            // Requests are anonymous.
            return Ok(());
        };
        let scheme = if address.is_https() { "https" } else { "http" };
        let uri = format!("{scheme}://{}{}", address.authority(), address.request_target());
        let region = self.region();
        let keys = Credentials::new(&keys.access, &keys.secret, keys.token.clone(), None, "haul").into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let parameters = v4::SigningParams::builder()
            .identity(&keys)
            .region(&region)
            .name("s3")
            .time(Clock::date())
            .settings(settings)
            .build();
        let refused =
            |error: &dyn std::fmt::Display| Error::usage(format!("{address} cannot be signed: {error}"));
        let parameters = parameters.map_err(|error| refused(&error))?.into();
        let method = request.method().as_str().to_owned();
        let fields = request.headers().iter().filter(|(name, _)| is_signed(name));
        let fields = fields.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        // Over TLS the body is protected, and its parts have checksums of their own.
        let body = match address.is_https() && !body.is_empty() {
            true => SignableBody::UnsignedPayload,
            false => SignableBody::Bytes(body),
        };
        let signable = SignableRequest::new(&method, uri, fields, body).map_err(|error| refused(&error))?;
        let (instructions, _) = sign(signable, &parameters).map_err(|error| refused(&error))?.into_parts();
        let fields: Vec<_> =
            instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| refused(&error))?;
            let mut value = HeaderValue::from_str(&value).map_err(|error| refused(&error))?;
            value.set_sensitive(name == header::AUTHORIZATION || name == "x-amz-security-token");
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap, document: &[u8]) -> Judgement {
        let Some(refusal) = Refusal::read(status, headers, document) else {
            return Judgement::AsItSays;
        };
        if refusal.is_expiry() && self.source.is_renewable() {
            if let Some(keys) = self.vault.held_keys() {
                self.vault.refuse(&keys.access);
            }
            return Judgement::Again;
        }
        if refusal.is_of_region() && self.turn_to(refusal.region.as_deref()) {
            return Judgement::Again;
        }
        // A conditional request is judged by who made it, and a server that is busy is asked again by the plan.
        if refusal.is_passing() || matches!(status.as_u16(), 304 | 409 | 412 | 416) {
            return Judgement::AsItSays;
        }
        Judgement::Final(refusal.into_error())
    }
}

/// Fields that are part of the signature: none that a proxy may change.
fn is_signed(name: &HeaderName) -> bool {
    let others = [header::CONTENT_TYPE, header::RANGE, header::IF_MATCH, header::IF_NONE_MATCH];
    name.as_str().starts_with("x-amz-") || name == "content-md5" || others.contains(name)
}
