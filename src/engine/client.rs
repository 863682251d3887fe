//! State that downloads share: settings, connections, and turns.

use super::context::Context;
use super::control::Control;
use super::download::Download;
use super::driver;
use super::forecast::Forecast;
use super::hosts::Hosts;
use super::limit::Limit;
use super::memory::Memory;
use super::mirror_preview;
use super::post::{Posted, post};
use super::preview::{Preview, Remembered};
use super::probe::{Survey, survey_by_get, survey_in_depth};
use super::progress::Progress;
use super::publisher::Publisher;
use super::request::Request;
use super::settings::{ClientSettings, Jobs};
use super::slots::{JobSlot, Place, Slots};
use crate::clock::Clock;
use crate::destination::SmallFiles;
use crate::error::Error;
use crate::manifest::inspect;
use crate::plan::Address;
use crate::plan::pace::Pace;
use crate::storage::Target;
use crate::transport::{Dialer, Exchange, IdentityFiles, Requester, Settings, Yielder};
use std::num::NonZeroU64;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Maximum number of unread events.
const EVENTS: usize = 256;

/// Downloads files; cheap to clone. Its methods must be called within a tokio runtime; it creates none.
#[derive(Clone)]
pub struct Client {
    context: Arc<Context>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("settings", &self.context.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client.
    ///
    /// # Errors
    /// `Usage` if a file with certificates or a key cannot be read, the interface does not exist, or the proxy is
    /// invalid.
    pub fn new(settings: ClientSettings) -> Result<Self, Error> {
        let yielder = settings.background.then(Yielder::new);
        let exchange = Exchange::new(Settings {
            dialer: Dialer {
                resolve: settings.resolve.clone(),
                family: settings.family,
                interface: settings.interface.clone(),
                yielder: yielder.clone(),
                #[cfg(test)]
                wire: settings.wire.clone(),
            },
            max_redirects: settings.max_redirects,
            longest_pause: settings
                .retry_max_time
                .map_or(settings.retry_after_cap, |limit| limit.min(settings.retry_after_cap)),
            allow_downgrade: settings.allow_downgrade,
            ca_file: settings.ca_file.clone(),
            insecure: settings.insecure,
            pins: settings.pins.clone(),
            hosts: settings.hosts.clone(),
            identity: identity(&settings)?,
            proxy: settings.proxy.clone(),
            no_proxy: settings.no_proxy.clone(),
            read_size: settings.limit_rate.map(Pace::read_size),
            trace: settings.trace.clone(),
        })?;
        exchange.check()?;
        let slots = Slots::new(settings.jobs);
        let memory = settings.memory.clone().map(|path| Arc::new(Memory::new(path)));
        Ok(Self {
            context: Arc::new(Context {
                limit: Limit::new(settings.limit_rate),
                settings,
                exchange: Arc::new(exchange),
                yielder,
                slots,
                hosts: Hosts::new(memory),
                small_files: SmallFiles::default(),
                directory_seen: Arc::default(),
            }),
        })
    }

    /// Starts a download, or queues it if the maximum number is running. Returns at once.
    #[must_use = "dropping a download cancels it"]
    pub fn start(&self, request: Request) -> Download {
        self.start_at(request, self.context.slots.queue())
    }

    /// One requester per source of a request.
    pub(super) fn requesters(&self, request: &Request) -> Result<Vec<Requester>, Error> {
        self.context.requesters(request)
    }

    /// Requester for the address of a request, and the settings of the client.
    #[cfg(feature = "s3")]
    pub(crate) fn speaking_to(&self, request: &Request) -> Result<(Requester, &ClientSettings), Error> {
        let requester = self.context.requesters(request)?.swap_remove(0);
        Ok((requester, &self.context.settings))
    }

    /// Waits for a slot, in the order of these calls.
    pub(crate) fn slot(&self) -> impl Future<Output = JobSlot> + Send + use<> {
        self.context.slots.queue().slot()
    }

    /// Starts a download in a slot that is there already.
    pub(crate) fn start_in(&self, request: Request, slot: JobSlot) -> Download {
        self.start_at(request, slot.into())
    }

    /// Changes the number of downloads that run at once. Those that run are not stopped.
    pub fn set_jobs(&self, jobs: Jobs) {
        self.context.slots.resize(jobs);
    }

    fn start_at(&self, request: Request, place: Place) -> Download {
        let (progress_sender, progress) = watch::channel(Progress::default());
        let (event_sender, events) = mpsc::channel(EVENTS);
        let (cancel, cancelled) = watch::channel(false);
        let (control, orders) = Control::new();
        let publisher = Publisher::new(Clock::start(), progress_sender, event_sender);
        let running = driver::run(self.context.clone(), request, place, publisher, cancelled, orders);
        #[expect(
            clippy::disallowed_methods,
            reason = "a dropped handle must not keep the checkpoint from being made"
        )]
        // Boxed: a task of this size, with the alignment that tasks have, costs more to allocate than one more box.
        let task = tokio::spawn(Box::pin(running));
        Download { progress, events: Some(events), cancel, control, task }
    }

    /// Changes the rate limit of all downloads together, in bytes per second; `None` for no limit. It applies to running
    /// downloads at once.
    pub fn limit_rate(&self, rate: Option<NonZeroU64>) {
        self.context.limit.set(rate);
    }

    /// Changes the rate limit of all downloads from the origin of `url` together, in bytes per second; `None` for no limit.
    ///
    /// # Errors
    /// `Usage` if it is no http or https URL.
    pub fn limit_host(&self, url: &str, rate: Option<NonZeroU64>) -> Result<(), Error> {
        let (address, _) = Address::parse(url).map_err(|error| Error::usage(error.to_string()))?;
        self.context.hosts.limit_of(&address.origin()).set(rate);
        Ok(())
    }

    /// Sends a document with POST to the address of `request`, with its credentials and headers, and returns the response
    /// whatever its status: for services that tell where files are. No redirect is followed, and nothing is repeated
    /// but on a connection that broke before an answer, so the document may arrive twice. Dropping the future closes the
    /// connection.
    ///
    /// # Errors
    /// Those of a connection; `Http` for a response of more than 4 MiB or one that stops.
    ///
    /// ```no_run
    /// # async fn example(client: haul::Client) -> Result<(), haul::Error> {
    /// let request = haul::Request::new("https://example.org/objects/batch")?;
    /// let answer = client.post(&request, "application/json", b"{}".to_vec()).await?;
    /// println!("{}: {} bytes", answer.status, answer.body.len());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn post(
        &self,
        request: &Request,
        media_type: &str,
        document: Vec<u8>,
    ) -> Result<Posted, Error> {
        let requesters = self.context.requesters(request)?;
        let posted = post(&requesters[0], media_type, document, self.context.settings.stall_timeout).await;
        posted.map_err(|error| error.with_url(&request.address))
    }

    /// Asks the server about a file without fetching it, and inspects the remains of an earlier run.
    ///
    /// # Errors
    /// Those of a download that fails at its first response.
    pub async fn preview(&self, request: &Request) -> Result<Preview, Error> {
        let requesters = self.context.requesters(request)?;
        let found = Box::pin(survey_by_get(&requesters[0])).await;
        Ok(self.previewed(request, found.map_err(|error| error.with_url(&request.address))?))
    }

    /// As [`Self::preview`], with more questions: ranges are tried in the middle too, HTTP/2 is looked for, mirrors are asked, and
    /// the memory of the host is read.
    ///
    /// # Errors
    /// As [`Self::preview`].
    pub async fn preview_in_depth(&self, request: &Request) -> Result<Preview, Error> {
        let requesters = self.context.requesters(request)?;
        self.context.hosts.load().await;
        let remembered = Remembered::of(&self.context.hosts.of(request.address.origin()).facts());
        let surveying = Box::pin(survey_in_depth(&requesters[0]));
        let mirrors = async { Ok(mirror_preview::ask(&requesters, request).await) };
        let (found, mirrors) =
            tokio::try_join!(surveying, mirrors).map_err(|error| error.with_url(&request.address))?;
        Ok(Preview { mirrors, remembered, ..self.previewed(request, found) })
    }

    fn previewed(&self, request: &Request, found: Survey) -> Preview {
        let target = request.target(found.suggested_name()).ok().flatten();
        let path = target.as_ref().map(Target::path);
        let left = path.as_deref().and_then(|path| inspect(path).ok());
        let rate = [request.limit_rate, self.context.limit.rate()].into_iter().flatten().min();
        let allowance = request.allowance(self.context.settings.most_connections.unwrap_or(usize::MAX), rate);
        let forecast = Forecast::of(request, &found, target.as_ref(), left.as_ref(), allowance);
        Preview::of(request, found, path, left, forecast)
    }
}

fn identity(settings: &ClientSettings) -> Result<Option<IdentityFiles>, Error> {
    match (&settings.certificate_file, &settings.key_file) {
        (None, Some(_)) => Err(Error::usage("a key belongs to a certificate, and there is none")),
        (None, None) => Ok(None),
        (Some(certificate), key) => {
            Ok(Some(IdentityFiles { certificate: certificate.clone(), key: key.clone() }))
        }
    }
}
