//! Options given meaning: what kind of client, which requests, what screen.

use super::args::{Cli, Options, Style};
use super::checksums::{self, Listed};
use super::document::Document;
use super::render::Screen;
use super::secrets::{self, Secrets, same_origin};
use crate::error::Error;
use crate::{Address, Client, ClientSettings, Digest, Family, Jobs, Proxy, Request};
use clap::CommandFactory as _;
use percent_encoding::percent_decode_str;
use std::io::{IsTerminal as _, Read as _};
use std::num::NonZeroU64;

/// The options, and what the files that they name hold.
pub(super) struct Session {
    pub(super) options: Options,
    secrets: Secrets,
    checksums: Option<Listed>,
}

/// Who names a URL, which decides whose secrets it may hear of.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    /// The user, or a list of the user's: what was given is for it.
    User,
    /// Something that came from there, or from no server: what was given is for URLs of the same origin.
    Document(Option<&'a Address>),
}

impl Session {
    /// Reads what the options name; a list of digests may be fetched for that. `urls` are those of the command line.
    pub(super) fn open(options: Options, urls: &[String]) -> Result<Self, Error> {
        let secrets = Secrets::read(&options)?;
        let mut session = Self { options, secrets, checksums: None };
        if let Some(named) = session.options.digests.checksum_file.clone() {
            let first = urls.first().and_then(|url| Request::new(url).ok());
            let by = By::Document(first.as_ref().map(Request::address));
            session.checksums = Some(Listed::read(&Document::read(&named, &session, by)?)?);
        }
        Ok(session)
    }

    /// The client that the options describe.
    pub(super) fn client(&self) -> Result<Client, Error> {
        let options = &self.options;
        let mut settings = ClientSettings::default();
        // The runtime belongs to this program alone, so writes need no thread of their own.
        settings.inline_writes = true;
        settings.jobs = options.jobs.map_or(settings.jobs, |jobs| Jobs::AtMost(usize::from(jobs)));
        settings.limit_rate = options.limit_rate.and_then(NonZeroU64::new);
        settings.retries = options.retry.unwrap_or(settings.retries);
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
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        };
        settings.interface.clone_from(&options.interface);
        settings.proxy = proxy(options)?;
        settings.no_proxy = options.noproxy.clone().unwrap_or_default();
        settings.user_agent = options.user_agent.clone().unwrap_or(settings.user_agent);
        Client::new(settings)
    }

    /// The requests for the URLs on the command line.
    pub(super) fn requests(&self, urls: &[String]) -> Result<Vec<Request>, Error> {
        let given = |url: &String| {
            self.request(url, By::User).map_err(|error| {
                // What should be a URL may be a command that stands behind a flag.
                let is_command = Cli::command().find_subcommand(url).is_some();
                let hint = || format!("a command stands before all flags: haul {url} …");
                if is_command { error.with_hint(hint()) } else { error }
            })
        };
        urls.iter().map(given).collect()
    }

    /// The request for one URL, with all that the options say of files.
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
            request = request.renewed_by(move || printed_by(&command));
        }
        let path = decoded(request.address().path());
        request = self.digests(&path)?.into_iter().fold(request, Request::digest);
        Ok(self.with_secrets(request, by))
    }

    /// A request for something that is no download of the user's.
    pub(super) fn request_alone(&self, url: &str, by: By<'_>) -> Result<Request, Error> {
        Ok(self.with_secrets(Request::new(url)?, by))
    }

    fn with_secrets(&self, request: Request, by: By<'_>) -> Request {
        let is_meant = match by {
            By::User => true,
            By::Document(home) => home.is_some_and(|home| same_origin(home, request.address())),
        };
        if is_meant { self.secrets.for_url(request) } else { self.secrets.for_host(request) }
    }

    /// Whether something was given that a URL must be named for.
    pub(super) fn has_secrets_for_a_url(&self) -> bool {
        self.secrets.need_url()
    }

    /// The digests that the file at the end of this path must have.
    pub(super) fn digests(&self, path: &[impl AsRef<str>]) -> Result<Vec<Digest>, Error> {
        let mut digests = checksums::given(&self.options.digests)?;
        if let Some(listed) = &self.checksums {
            digests.extend(listed.of(path)?);
        }
        Ok(digests)
    }

    /// Whether there is a digest that can be that of one file only.
    pub(super) fn has_digest_of_one(&self) -> bool {
        let flags = &self.options.digests;
        let listed = self.checksums.as_ref().is_some_and(Listed::is_for_one);
        flags.sha256.is_some() || !flags.checksum.is_empty() || listed
    }
}

/// The segments of a URL's path.
fn decoded(path: &str) -> Vec<String> {
    path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}

fn proxy(options: &Options) -> Result<Proxy, Error> {
    Ok(match options.proxy.as_deref() {
        None => Proxy::Environment,
        Some("") => Proxy::Direct,
        Some(url) => Proxy::Through(secrets::at_file(url)?),
    })
}

/// No URL is longer, and what goes on for longer is none.
const LONGEST_URL: u64 = 64 << 10;

/// The first line that a shell command prints.
fn printed_by(command: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("--refresh-cmd cannot be run: {error}");
    let mut child = std::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut bytes = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(LONGEST_URL + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > LONGEST_URL {
        // It may have ended by itself, and is waited for in any case.
        let _ = child.kill();
        let _ = child.wait();
        return Err("--refresh-cmd prints more than a URL".to_owned());
    }
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        return Err(format!("--refresh-cmd failed ({status})"));
    }
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.map(str::to_owned).ok_or_else(|| "--refresh-cmd printed nothing".to_owned())
}

/// What progress looks like here.
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
