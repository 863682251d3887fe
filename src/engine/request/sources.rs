//! Sources of a request: mirrors, and fresh URLs of the first one.

use super::{Request, parse};
use crate::error::{Error, Remedy};
use crate::plan::Address;
use crate::transport::{Fresh, Renewal};
use std::future::Future;
use std::sync::Arc;

/// Maximum number of mirrors taken from a manifest.
const RECORDED_MIRRORS: usize = 16;

impl Request {
    /// Adds a source that is said to hold the same bytes. Ranges are fetched from all of them; one that does not agree,
    /// or keeps failing, is dropped with an event. Nothing but a digest or a signature shows that two servers hold the same bytes, so
    /// [`Self::digest`], [`Self::signature`] or strong digests of all [pieces](Self::pieces) must be given as well, and the bytes must go into a file. A user name and password in the URL
    /// are for this mirror; the credentials and headers of the request are for the origin of its own URL.
    ///
    /// # Errors
    /// `Usage` for anything that is not an http or https URL.
    pub fn mirror(mut self, url: &str) -> Result<Self, Error> {
        self.mirrors.push(parse(url)?);
        Ok(self)
    }

    /// Adds a source from a manifest. No secret reaches it, whatever its origin. Signed URLs are left out, and all of
    /// them if there is no digest.
    pub(crate) fn recorded_mirror(mut self, url: &str) -> Self {
        let given = |address: &Address| self.sources().any(|source| source == address);
        if let Ok((address, None)) = parse(url)
            && crate::plan::is_whole_record(url)
            && self.is_proven()
            && self.recorded_mirrors.len() < RECORDED_MIRRORS
            && !given(&address)
        {
            self.recorded_mirrors.push(address);
        }
        self
    }

    /// Mirrors make sense only if a digest will verify their bytes.
    pub(crate) fn check_mirrors(&self) -> Result<(), Error> {
        if self.mirrors.is_empty() {
            return Ok(());
        }
        if self.output.is_no_file() {
            return Err(Error::usage(
                "mirrors and a pipe do not go together: what a wrong mirror gave could not be taken back",
            ));
        }
        if !self.is_proven() {
            return Err(Error::usage(
                "mirrors need a digest: nothing else shows that two servers hold the same file",
            )
            .with_remedy(Remedy::PublishedDigest));
        }
        Ok(())
    }

    /// The URL and its mirrors.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Address> {
        let given = self.mirrors.iter().map(|(address, _)| address);
        std::iter::once(&self.address).chain(given).chain(&self.recorded_mirrors)
    }

    /// Sets the source of a fresh URL for when the server refuses this one (401, 403, 404, 410): signed URLs expire
    /// before a large file is complete. It is called on a thread that may block, once for all connections, and waited
    /// for at most 60 seconds; the URL it returns must lead to the same version. Credentials and headers do not follow
    /// to another origin.
    ///
    /// ```
    /// # fn main() -> Result<(), haul::Error> {
    /// let request = haul::Request::new("https://example.org/disk.img?sig=old")?
    ///     .renewed_by(|| Ok("https://example.org/disk.img?sig=new".to_owned()));
    /// # let _ = request;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn renewed_by(self, renewal: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        let renewal = Arc::new(renewal);
        // A call that takes too long cannot be ended, and no second one begins before it has ended by itself.
        let one_at_a_time = Arc::new(tokio::sync::Mutex::new(()));
        self.renewed_by_asking(Arc::default(), move || {
            let (renewal, one_at_a_time) = (renewal.clone(), one_at_a_time.clone());
            async move {
                let turn = one_at_a_time.lock_owned().await;
                let asked = crate::threads::offload(move || {
                    let said = renewal();
                    drop(turn);
                    said
                });
                asked.await.unwrap_or_else(|error| Err(error.to_string()))
            }
        })
    }

    /// Returns true if the URL holds a password, or a query with a signature or a token.
    #[must_use]
    pub fn has_secret_url(&self) -> bool {
        self.credentials.is_some() || self.address.has_secret()
    }

    /// As [`Self::renewed_by`], with a renewal that need not block; dropping the returned future ends it. It is called
    /// when it has its `turn`, so of the requests that share one, one is renewed at a time.
    #[must_use]
    pub fn renewed_by_asking<F>(
        mut self,
        turn: Arc<tokio::sync::Mutex<()>>,
        renewal: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        let look = Arc::new(move || -> Fresh { Box::pin(renewal()) });
        self.renewal = Some(Renewal { turn, look });
        self
    }
}
