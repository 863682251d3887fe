//! Signing of requests to one origin, by what knows the credentials for it.

use super::Failure;
use crate::error::Error;
use crate::plan::Address;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
#[cfg(feature = "s3")]
use http::{HeaderName, HeaderValue, Method};
use http_body_util::Full;
use std::future::Future;
use std::pin::Pin;

/// A future of a trait object.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Signs the requests to an origin. A signature never reaches another one.
pub(crate) trait RequestSigner: Send + Sync {
    /// Makes sure that there are credentials which are valid for a while, and may make requests for them.
    fn ready<'a>(&'a self, carrier: &'a dyn Carrier) -> Pending<'a, Result<(), Failure>>;

    /// Adds the fields of the signature, at the current time.
    ///
    /// # Errors
    /// `Usage` for a request that cannot be signed.
    fn sign(
        &self,
        request: &mut http::Request<Full<Bytes>>,
        address: &Address,
        body: &Bytes,
    ) -> Result<(), Error>;

    /// Meaning of a refusal, of which the document is the body.
    fn judge(&self, status: StatusCode, headers: &HeaderMap, document: &[u8]) -> Judgement;
}

/// Meaning of a refusal.
pub(crate) enum Judgement {
    /// The same request, signed anew, may be served.
    Again,
    /// It is final.
    Final(Error),
    /// The status says all.
    AsItSays,
}

#[cfg(feature = "s3")]
/// One request to a service beside the files, such as one that lends keys.
pub(crate) struct ServiceRequest<'a> {
    pub(crate) method: Method,
    pub(crate) address: &'a Address,
    pub(crate) fields: &'a [(HeaderName, HeaderValue)],
    /// Body, as a form of HTML encodes it.
    pub(crate) form: Option<Bytes>,
    /// True for a service of the machine itself, which is never reached by way of a proxy.
    pub(crate) near: bool,
}

#[cfg(feature = "s3")]
/// A response with all of its body.
#[derive(Debug)]
pub(crate) struct ServiceResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Makes the requests that a signer needs, which are not signed.
pub(crate) trait Carrier: Send + Sync {
    /// Dropping the future ends the request.
    #[cfg(feature = "s3")]
    fn carry<'a>(&'a self, asked: ServiceRequest<'a>) -> Pending<'a, Result<ServiceResponse, Failure>>;
}
