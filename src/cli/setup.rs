//! Turns options into a client, requests and a screen.

use super::args::{Cli, Options, Style};
use super::digests::{self, Listed};
use super::document::Document;
use super::places;
use super::refresh;
use super::render::Screen;
use super::secrets::{self, Given};
use super::{output, verbose};
use crate::error::Error;
use crate::formats::escape;
use crate::{Address, AddressFamily, Client, ClientSettings, Digest, Jobs, Output, Proxy, Remedy, Request};
use clap::CommandFactory as _;
use percent_encoding::percent_decode_str;
use std::io::IsTerminal as _;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

/// The options, and the content of the files that they name.
pub(super) struct Setup {
    pub(super) options: Options,
    secrets: Given,
    digests: Option<Listed>,
    /// Held by the one file of the run for which `--refresh-cmd` is running.
    refreshing: Arc<tokio::sync::Mutex<()>>,
}

/// Source of a URL, which decides which secrets are sent to it.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    /// The user, or a list of the user's: it gets all secrets.
    User,
    /// The user, beside the URL of a download: it gets the secrets if it has the same origin as that URL.
    Beside(Option<&'a Address>),
    /// A document from this address, or from a local file: no other origin gets any secrets.
    Document(Option<&'a Address>),
    /// A manifest of unknown provenance: no server gets any secrets.
    Manifest,
}

impl By<'_> {
    /// Returns true if the server of `url` may get the secrets.
    pub(super) fn vouches_for(&self, url: &Address) -> bool {
        match self {
            Self::User => true,
            Self::Beside(home) | Self::Document(home) => {
                home.is_some_and(|home| home.origin() == url.origin())
            }
            Self::Manifest => false,
        }
    }
}

impl Setup {
    /// Reads the files that the options name; a digest list may be fetched for that. `urls` are those of the command
    /// line.
    pub(super) fn open(options: Options, urls: &[String]) -> Result<Self, Error> {
        super::colour::decide(options.color.unwrap_or_default());
        let secrets = Given::read(&options)?;
        let mut setup = Self { options, secrets, digests: None, refreshing: Arc::default() };
        if let Some(named) = setup.options.digests.checksum_file.clone() {
            // Invalid URLs are reported before anything is fetched.
            let first = setup.requests(urls)?.into_iter().next();
            let by = By::Beside(first.as_ref().map(Request::address));
            setup.digests = Some(Listed::read(&setup.document(&named, by)?)?);
        }
        Ok(setup)
    }

    /// Creates the client that the options describe.
    pub(super) fn client(&self) -> Result<Client, Error> {
        let settings = self.settings()?;
        Client::new(settings.clone()).map_err(|error| self.blamed(error, &settings))
    }

    /// Adds to an error the place in the configuration, or the variable, at fault: the one without which the client can
    /// be created.
    fn blamed(&self, error: Error, settings: &ClientSettings) -> Error {
        let helps = |key: &&str| {
            let mut settings = settings.clone();
            match *key {
                "cacert" => settings.ca_file = None,
                "interface" => settings.interface = None,
                _ => (settings.certificate_file, settings.key_file) = (None, None),
            }
            Client::new(settings).is_ok()
        };
        let keys = ["cacert", "interface", "cert"].into_iter().filter(helps);
        let origin = keys.into_iter().find_map(|key| self.options.origin_of(key));
        match origin {
            Some(origin) => Error::new(error.kind(), format!("{origin}: {error}")),
            None => self.named(error),
        }
    }

    /// Adds to an error about a proxy the flag that it was given with.
    fn named(&self, error: Error) -> Error {
        let flag = match error.remedy() {
            Some(Remedy::NoProxySyntax) => "--noproxy",
            Some(Remedy::ProxySyntax) if self.options.proxy.is_some() => "--proxy",
            _ => return error,
        };
        error.retold(format!("{flag}: {error}"))
    }

    fn settings(&self) -> Result<ClientSettings, Error> {
        let options = &self.options;
        let mut settings = ClientSettings::default();
        // The runtime belongs to this program alone, so writes need no thread of their own.
        settings.inline_writes = true;
        settings.jobs = options.jobs.map_or(settings.jobs, |jobs| Jobs::AtMost(usize::from(jobs)));
        settings.limit_rate = options.limit_rate.and_then(NonZeroU64::new);
        settings.background = options.background;
        settings.max_size = options.max_size.filter(|size| *size > 0);
        if let Some(retries) = options.retry {
            // An explicit number is strict: no retries beyond it.
            (settings.retries, settings.patience) = (retries, std::time::Duration::ZERO);
        }
        settings.retry_max_time = options.retry_max_time;
        settings.connect_timeout = options.connect_timeout.unwrap_or(settings.connect_timeout);
        settings.first_byte_timeout = options.first_byte_timeout.unwrap_or(settings.first_byte_timeout);
        settings.stall_timeout = options.stall_timeout.unwrap_or(settings.stall_timeout);
        settings.max_redirects = options.max_redirs.unwrap_or(settings.max_redirects);
        settings.allow_downgrade = options.allow_downgrade;
        settings.ca_file.clone_from(&options.cacert);
        settings.certificate_file.clone_from(&options.cert);
        settings.key_file.clone_from(&options.key);
        settings.insecure = options.insecure;
        settings.resolve.clone_from(&options.resolve);
        settings.family = match (options.ipv4, options.ipv6) {
            (true, _) => AddressFamily::V4,
            (_, true) => AddressFamily::V6,
            _ => AddressFamily::Any,
        };
        settings.interface.clone_from(&options.interface);
        settings.proxy = proxy(options)?;
        settings.no_proxy = options.noproxy.clone().unwrap_or_default();
        settings.memory = if options.no_memory { None } else { places::state("hosts") };
        settings.trace = verbose::trace(options.verbose);
        settings.user_agent = options.user_agent.clone().unwrap_or(settings.user_agent);
        Ok(settings)
    }

    /// Requests for the URLs on the command line.
    pub(super) fn requests(&self, urls: &[String]) -> Result<Vec<Request>, Error> {
        let given = |url: &String| {
            let request = self.request(url, By::User).and_then(|request| self.with_listed_digests(request));
            let request = request.and_then(|request| request.check_digests().map(|()| request));
            request.map_err(|error| {
                // The supposed URL may be a command that was given after a flag.
                let is_command = Cli::command().find_subcommand(url).is_some();
                let hint = || format!("a command stands before all flags: haul {url} …");
                if is_command { error.with_hint(hint()) } else { error }
            })
        };
        urls.iter().map(given).collect()
    }

    /// Request for one URL, with all per-file options.
    pub(super) fn request(&self, url: &str, by: By<'_>) -> Result<Request, Error> {
        let options = &self.options;
        let mut request = Request::new(url)?
            .restart(options.restart)
            .restart_if_changed(!options.no_restart)
            .content_disposition(options.content_disposition)
            .remote_time(options.remote_time);
        if let Some(directory) = &options.dir {
            request = request.directory(directory);
        }
        if let Some(path) = &options.output {
            request = request.output(path);
        }
        if let Some(connections) = options.connections {
            request = request.connections(connections);
        }
        if let Some(size) = options.min_split_size {
            request = request.min_split(size);
        }
        if let Some(policy) = options.if_exists {
            request = request.if_exists(policy.into());
        }
        for mirror in &options.mirror {
            request = request.mirror(mirror)?;
        }
        if let Some(command) = options.refresh_cmd.clone() {
            let (turn, url) = (self.refreshing.clone(), url.to_owned());
            request =
                request.renewed_by_asking(turn, move || refresh::found_for(url.clone(), command.clone()));
        }
        for digest in digests::given(&options.digests)? {
            request = request.digest(digest);
        }
        Ok(self.with_secrets(request, by))
    }

    /// Reads a digest list or Metalink document from a file or a URL. `by` decides which of the user's secrets are
    /// sent.
    pub(super) fn document(&self, named: &str, by: By<'_>) -> Result<Document, Error> {
        if !named.contains("://") {
            return Document::read(named);
        }
        let request = self.with_secrets(Request::new(named)?, by);
        if !self.options.quiet {
            let url = request.address().to_string();
            output::say(format_args!("haul: note: reading {}", escape::shown(&url)));
        }
        // A list has a limit of its own, and --max-size is about downloads.
        let settings = ClientSettings { max_size: None, ..self.settings()? };
        Document::fetch(request, &Client::new(settings)?)
    }

    fn with_secrets(&self, request: Request, by: By<'_>) -> Request {
        match by {
            By::User => self.secrets.for_url(request),
            By::Beside(Some(url)) if url.origin() == request.address().origin() => {
                self.secrets.for_url(request)
            }
            By::Beside(_) => self.secrets.for_host(request),
            By::Document(home) => self.secrets.for_url(request).named_by_document(home),
            By::Manifest => request.named_by_document(None),
        }
    }

    /// Adds the listed digests of the file, found by the path of the URL or, if that is not listed, by the file's own
    /// name.
    pub(super) fn with_listed_digests(&self, request: Request) -> Result<Request, Error> {
        let Some(listed) = &self.digests else {
            return Ok(request);
        };
        let mut paths = vec![parts(request.address().path(), true)];
        match (&request.output, &request.named) {
            (Output::File(path), _) => paths.push(parts(&path.to_string_lossy(), false)),
            (_, Some(name)) => paths.push(name.parts().map(str::to_owned).collect()),
            _ => {}
        }
        Ok(listed.of(&paths)?.into_iter().fold(request, Request::digest))
    }

    /// Digests that a local file must have.
    pub(super) fn digests(&self, file: &Path) -> Result<Vec<Digest>, Error> {
        let mut digests = digests::given(&self.options.digests)?;
        if let Some(listed) = &self.digests {
            digests.extend(listed.of(&[parts(&file.to_string_lossy(), false)])?);
        }
        Ok(digests)
    }

    /// Returns true if there is a digest that can be that of one file only.
    pub(super) fn has_digest_of_one(&self) -> bool {
        let flags = &self.options.digests;
        let listed = self.digests.as_ref().is_some_and(Listed::is_for_one);
        flags.sha256.is_some() || !flags.checksum.is_empty() || listed
    }

    /// Returns true if there is a secret that is only for URLs named by the user.
    pub(super) fn has_secrets_for_a_url(&self) -> bool {
        self.secrets.need_url()
    }

    /// Returns true if there are secrets that not every server may get, a client certificate included.
    pub(super) fn has_secrets(&self) -> bool {
        self.secrets.need_url() || self.secrets.are_for_hosts() || self.options.cert.is_some()
    }

    /// Refuses lists of downloads for a command that takes none.
    pub(super) fn refuse_lists(&self, command: &str) -> Result<(), Error> {
        if self.options.input_file.is_some() || self.options.metalink.is_some() {
            return Err(Error::usage(format!(
                "{command} takes no list: -i and --metalink make no sense with it"
            )));
        }
        Ok(())
    }

    /// Returns true if everything goes to the standard output.
    pub(super) fn streams(&self) -> bool {
        self.options.output.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}

/// Components of a path, percent-decoded if it is a URL's.
fn parts(path: &str, encoded: bool) -> Vec<String> {
    let part = |part: &str| match encoded {
        true => percent_decode_str(part).decode_utf8_lossy().into_owned(),
        false => part.to_owned(),
    };
    path.split('/').map(part).collect()
}

fn proxy(options: &Options) -> Result<Proxy, Error> {
    Ok(match options.proxy.as_deref() {
        None => Proxy::Environment,
        Some("") => Proxy::Direct,
        Some(url) => Proxy::Through(secrets::at_file(url)?),
    })
}

/// Style of progress for these options and this terminal.
pub(super) fn screen(options: &Options) -> Screen {
    let terminal = std::io::stderr().is_terminal();
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let style = match options.progress.unwrap_or_default() {
        _ if options.json => Style::Json,
        Style::Auto if options.quiet => Style::None,
        Style::Auto if terminal && !dumb => Style::Bar,
        Style::Auto => Style::Plain,
        style => style,
    };
    Screen { style, quiet: options.quiet, verbose: options.verbose, ascii: !unicode() }
}

fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
