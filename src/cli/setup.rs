//! Turns options into a client, requests and a screen.

use super::args::{Cli, Options, Style};
use super::digests::{self, Listed};
use super::document::Document;
use super::places;
use super::refresh;
use super::render::Screen;
use super::s3_flags::Uploads;
use super::secrets::{self, Given};
use super::{hooks, host_rules, output, signatures, unsaved, uploads, verbose};
use crate::error::Error;
use crate::formats::escape;
use crate::{
    Address, AddressFamily, Client, ClientSettings, Connections, Defaults, Digest, Invalid, Job, Jobs,
    MinisignKey, NamedBy, Proxy, Remedy, Request, S3, Signer, Transport,
};
use clap::CommandFactory as _;
use percent_encoding::percent_decode_str;
use std::io::IsTerminal as _;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The options, and the content of the files that they name.
pub(super) struct Setup {
    pub(super) options: Options,
    secrets: Given,
    digests: Option<Listed>,
    /// Key of the signatures that are wanted.
    pub(super) key: Option<MinisignKey>,
    /// Held by the one file of the run for which `--refresh-cmd` is running.
    refreshing: Arc<tokio::sync::Mutex<()>>,
    /// Connections that one download can have, if few files may be open.
    pub(super) most_connections: Option<usize>,
    /// Access to S3.
    pub(super) s3: S3,
    /// Directory that no job leaves, if that is bounded.
    pub(super) root: Option<PathBuf>,
}

/// A job, and the request that it resolves to.
pub(super) struct Wanted {
    pub(super) job: Job,
    pub(super) request: Request,
    /// Line of a list that asks for it again, without what the options add.
    pub(super) line: Option<String>,
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

    /// Returns true if files that name their hosts themselves are read for it.
    fn may_have_files(&self) -> bool {
        !matches!(self, Self::Manifest)
    }
}

impl Setup {
    /// Reads the files that the options name; a digest list may be fetched for that. `urls` are those of the command
    /// line.
    pub(super) fn open(options: Options, urls: &[String]) -> Result<Self, Error> {
        super::colour::decide(options.color.unwrap_or_default());
        hooks::check(&options)?;
        options.failed.as_deref().map_or(Ok(()), unsaved::check)?;
        uploads::refuse(&options)?;
        let s3 = options.s3.store();
        let secrets = Given::read(&options)?;
        let key = signatures::key(&options.digests)?;
        let refreshing = Arc::default();
        let (digests, most_connections) = (None, None);
        let mut setup = Self { options, secrets, digests, key, refreshing, most_connections, s3, root: None };
        if let Some(named) = setup.options.digests.checksum_file.clone() {
            // Invalid URLs are reported before anything is fetched.
            let first = setup.described(urls)?.into_iter().next();
            let by = By::Beside(first.as_ref().map(|first| first.request.address()));
            let list = setup.document(&named, by)?;
            let signer = setup.key.as_ref().map(|key| setup.signer(key, &list, &named, by)).transpose()?;
            setup.digests = Some(Listed::read(&list)?.signed_by(signer));
        }
        Ok(setup)
    }

    /// Signer of a list, by the signature beside it.
    fn signer(&self, key: &MinisignKey, list: &Document, named: &str, by: By<'_>) -> Result<Signer, Error> {
        let signature = if named.contains("://") {
            let url = signatures::url_beside(named);
            let shown = self.plain(&url)?.address().to_string();
            signatures::fetched(key, &shown, self.document(&url, by))?
        } else {
            signatures::read(key, Path::new(named))?
        };
        signatures::signer(list, &signature)
    }

    /// Returns true if a list or a signature is looked for beside each file on its server.
    pub(super) fn looks_beside(&self) -> bool {
        self.options.digests.find_checksum || (self.key.is_some() && self.digests.is_none())
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

    pub(super) fn settings(&self) -> Result<ClientSettings, Error> {
        let options = &self.options;
        let mut settings = ClientSettings::default();
        // The runtime belongs to this program alone, so writes need no thread of their own.
        settings.inline_writes = true;
        settings.jobs = options.jobs.map_or(settings.jobs, |jobs| Jobs::AtMost(usize::from(jobs)));
        settings.most_connections = self.most_connections;
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
        settings.find_mirrors = !options.no_find_mirrors;
        settings.max_redirects = options.max_redirs.unwrap_or(settings.max_redirects);
        settings.allow_downgrade = options.allow_downgrade;
        settings.ca_file.clone_from(&options.cacert);
        settings.certificate_file.clone_from(&options.cert);
        settings.key_file.clone_from(&options.key);
        settings.insecure = options.insecure;
        settings.pins.clone_from(&options.pin);
        settings.hosts = host_rules::settings(&options.hosts);
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

    /// Request for a URL, with nothing that the options say of it.
    pub(super) fn plain(&self, url: &str) -> Result<Request, Error> {
        let is_s3 = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3://"));
        if is_s3 { self.s3.request(url) } else { Request::new(url) }
    }

    /// Downloads of the URLs on the command line.
    pub(super) fn requests(&self, urls: &[String]) -> Result<Vec<Wanted>, Error> {
        self.of_urls(urls, |job| self.resolved(job, By::User))
    }

    /// As [`Self::requests`], of URLs that may name no file, because they are only asked about.
    pub(super) fn described(&self, urls: &[String]) -> Result<Vec<Wanted>, Error> {
        self.of_urls(urls, |job| self.resolved_by(job, By::User, crate::resolve_unnamed))
    }

    fn of_urls(
        &self,
        urls: &[String],
        resolved: impl Fn(Job) -> Result<Wanted, Error>,
    ) -> Result<Vec<Wanted>, Error> {
        let given = |url: &String| {
            resolved(Job::new(url)).map_err(|error| {
                // The supposed URL may be a command that was given after a flag.
                let is_command = Cli::command().find_subcommand(url).is_some();
                let hint = || format!("a command stands before all flags: haul {url} …");
                if is_command { error.with_hint(hint()) } else { error }
            })
        };
        urls.iter().map(given).collect()
    }

    /// Adds to a job what the options say of each file: its name, mirrors and digests. An output that is named takes the place of
    /// a proposed name.
    fn job(&self, mut job: Job) -> Result<Job, Error> {
        if job.output.is_none() {
            job.output.clone_from(&self.options.output);
        }
        if job.range.is_none() {
            job.range.clone_from(&self.options.range);
        }
        let mut mirrors = self.options.mirror.clone();
        mirrors.append(&mut job.mirrors);
        job.mirrors = mirrors;
        let mut digests: Vec<_> =
            digests::given(&self.options.digests)?.iter().map(ToString::to_string).collect();
        digests.append(&mut job.digests);
        job.digests = digests;
        Ok(job)
    }

    /// Resolves a job, with what the options and the lists of digests say of it, and the secrets that `by` allows.
    pub(super) fn resolved(&self, job: Job, by: By<'_>) -> Result<Wanted, Error> {
        match self.streams() || matches!(self.options.uploads, Some(Uploads::Object(_))) {
            true => self.resolved_by(job, by, crate::resolve_unnamed),
            false => self.resolved_by(job, by, crate::resolve),
        }
    }

    fn resolved_by(
        &self,
        job: Job,
        by: By<'_>,
        resolve: impl Fn(&Job, &Defaults) -> Result<Request, Invalid>,
    ) -> Result<Wanted, Error> {
        let line = self.options.failed.is_some().then(|| match self.options.as_aria2 {
            true => unsaved::aria2_entry(&job, &self.options),
            false => unsaved::line(&job, &self.options.base()),
        });
        let mut job = self.job(job)?;
        let given = job.digests.len();
        self.add_listed_digests(&mut job)?;
        self.add_secrets(&mut job, by)?;
        let mut request = resolve(&job, &self.defaults()).map_err(|invalid| invalid.error)?;
        if let Some(listed) = &self.digests {
            request = listed.stating(&others(&job.digests[given..], &job.digests[..given])?, request);
        }
        if by.may_have_files() {
            request = self.secrets.for_host(request);
        }
        if let Some(command) = self.options.refresh_cmd.clone() {
            let (turn, url) = (self.refreshing.clone(), job.url.clone());
            request =
                request.renewed_by_asking(turn, move || refresh::found_for(url.clone(), command.clone()));
        }
        Ok(Wanted { job, request, line })
    }

    /// Values of the options that each job may have.
    pub(super) fn defaults(&self) -> Defaults {
        let options = &self.options;
        let mut defaults = Defaults { s3: Some(self.s3.clone()), ..Defaults::default() };
        defaults.dir.clone_from(&options.dir);
        defaults.root.clone_from(&self.root);
        defaults.options.connections = match options.connections {
            Some(Connections::AtMost(count)) => Some(count),
            _ => None,
        };
        defaults.options.min_split = options.min_split_size;
        defaults.options.if_exists = options.if_exists.map(Into::into);
        defaults.options.restart = Some(options.restart);
        defaults.options.restart_if_changed = Some(!options.no_restart);
        defaults.options.content_disposition = Some(options.content_disposition);
        defaults.options.name_of_answer = options.as_aria2.then_some(true);
        defaults.options.remote_time = Some(options.remote_time);
        defaults
    }

    /// Reads a digest list or Metalink document from a file or a URL. `by` decides which of the user's secrets are
    /// sent.
    pub(super) fn document(&self, named: &str, by: By<'_>) -> Result<Document, Error> {
        if !named.contains("://") {
            return Document::read(named);
        }
        if !self.options.quiet {
            let url = self.plain(named)?.address().to_string();
            output::say(format_args!("haul: note: reading {}", escape::shown(&url)));
        }
        Document::fetch(self.request_of_document(named, by)?, &self.client_for_documents()?)
    }

    /// Client for lists: they have a limit of their own, and --max-size is about downloads.
    pub(super) fn client_for_documents(&self) -> Result<Client, Error> {
        Client::new(ClientSettings { max_size: None, ..self.settings()? })
    }

    /// Request for a document.
    pub(super) fn request_of_document(&self, named: &str, by: By<'_>) -> Result<Request, Error> {
        let mut job = Job::new(named);
        self.add_secrets(&mut job, by)?;
        let defaults = Defaults { s3: Some(self.s3.clone()), ..Defaults::default() };
        let request = crate::resolve_unnamed(&job, &defaults).map_err(|invalid| invalid.error)?;
        Ok(self.secrets.for_host(request))
    }

    fn add_secrets(&self, job: &mut Job, by: By<'_>) -> Result<(), Error> {
        let may_have_them = match by {
            By::User => true,
            By::Beside(url) => {
                let own = self.plain(&job.url)?;
                url.is_some_and(|url| url.origin() == own.address().origin())
            }
            By::Document(home) => {
                job.named_by = NamedBy::Document(home.map(|home| home.origin().to_string()));
                true
            }
            By::Manifest => {
                job.named_by = NamedBy::Document(None);
                false
            }
        };
        host_rules::apply(&self.options.hosts, job, may_have_them)?;
        if may_have_them { self.secrets.for_url(job) } else { Ok(()) }
    }

    /// Adds the listed digests of the file, found by the path of the URL or, if that is not listed, by the file's own
    /// name.
    pub(super) fn add_listed_digests(&self, job: &mut Job) -> Result<(), Error> {
        let Some(listed) = &self.digests else {
            return Ok(());
        };
        let request = self.plain(&job.url)?;
        let mut paths = vec![parts(request.address().path(), true)];
        match (&job.output, &job.name) {
            (Some(path), _) => paths.push(parts(&path.to_string_lossy(), false)),
            (None, Some(name)) => paths.push(parts(name, false)),
            (None, None) => {}
        }
        job.digests.extend(listed.of(&paths)?.iter().map(ToString::to_string));
        Ok(())
    }

    /// Names of all files in the list of digests.
    pub(super) fn listed_names(&self) -> Vec<PathBuf> {
        self.digests
            .as_ref()
            .map_or_else(Vec::new, |listed| listed.names().into_iter().map(PathBuf::from).collect())
    }

    /// Returns true if a download belongs to the shard of this process, if there are several.
    pub(super) fn is_ours(&self, wanted: &Wanted) -> bool {
        let key = || wanted.job.identity();
        self.options.shard.is_none_or(|shard| shard.has(key().as_bytes()))
    }

    /// Digests that a local file must have.
    pub(super) fn digests(&self, file: &Path) -> Result<Vec<Digest>, Error> {
        let mut digests = digests::given(&self.options.digests)?;
        if let Some(listed) = &self.digests {
            digests.extend(listed.of(&[parts(&file.to_string_lossy(), false)])?);
        }
        Ok(digests)
    }

    /// Returns true if digests are given by flags.
    pub(super) fn has_digests(&self) -> bool {
        digests::are_given(&self.options.digests)
    }

    /// Returns true if there is a digest that can be that of one file only.
    pub(super) fn has_digest_of_one(&self) -> bool {
        self.has_digests() || self.digests.as_ref().is_some_and(Listed::is_for_one)
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

/// Names the document that states these digests, and the way that it came, but for those that were `given` in another way.
pub(super) fn stated_by(
    (document, over): (&str, Transport),
    digests: &[String],
    given: &[String],
    request: Request,
) -> Result<Request, Error> {
    let digests = others(digests, given)?;
    Ok(digests.into_iter().fold(request, |request, digest| request.digest_of(digest, document, over)))
}

/// The digests, but for those that were `given` in another way.
fn others(digests: &[String], given: &[String]) -> Result<Vec<Digest>, Error> {
    let others = digests.iter().filter(|digest| !given.contains(digest));
    others.map(|digest| Ok(digest.parse()?)).collect()
}
