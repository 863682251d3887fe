//! Signing of requests to one origin, by what knows the credentials for it.

use super::Failure;
use super::exchange::Exchange;
use crate::error::Error;
use crate::plan::Address;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::Full;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A future of a trait object.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Signs the requests to an origin. A signature never reaches another one.
pub(crate) trait RequestSigner: Send + Sync {
    /// Makes sure that there are credentials which are valid for a while, and may make requests for them.
    fn ready<'a>(&'a self, exchange: &'a Arc<Exchange>) -> Pending<'a, Result<(), Failure>>;

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
