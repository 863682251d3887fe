//! Options given meaning: what kind of client, which requests, what screen.

use super::args::{Cli, Digests, Options, Style};
use super::render::Screen;
use crate::error::Error;
use crate::{Algorithm, Client, ClientSettings, Digest, Jobs, Proxy, Request};
use clap::CommandFactory as _;
use std::io::{IsTerminal as _, Read as _};
use std::num::NonZeroU64;
use std::path::Path;

/// A secret file larger than this is some other file.
const LARGEST_SECRET: u64 = 64 << 10;

/// The client that the options describe.
pub(super) fn client(options: &Options) -> Result<Client, Error> {
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
    settings.insecure = options.insecure;
    settings.proxy = proxy(options)?;
    settings.no_proxy = options.noproxy.clone().unwrap_or_default();
    settings.user_agent = options.user_agent.clone().unwrap_or(settings.user_agent);
    Client::new(settings)
}

fn proxy(options: &Options) -> Result<Proxy, Error> {
    Ok(match options.proxy.as_deref() {
        None => Proxy::Environment,
        Some("") => Proxy::Direct,
        Some(url) => Proxy::Through(match url.strip_prefix('@') {
            Some(path) => secret(Path::new(path))?,
            None => url.to_owned(),
        }),
    })
}

/// The requests for the URLs on the command line.
pub(super) fn requests(urls: &[String], options: &Options) -> Result<Vec<Request>, Error> {
    let given = |url: &String| {
        request(url, options).map_err(|error| {
            // What should be a URL may be a command that stands behind a flag.
            let is_command = Cli::command().find_subcommand(url).is_some();
            let hint = || format!("a command stands before all flags: haul {url} …");
            if is_command { error.with_hint(hint()) } else { error }
        })
    };
    urls.iter().map(given).collect()
}

/// The request for one URL.
pub(super) fn request(url: &str, options: &Options) -> Result<Request, Error> {
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
    for digest in digests(&options.digests)? {
        request = request.digest(digest);
    }
    for mirror in &options.mirror {
        request = request.mirror(mirror)?;
    }
    if let Some(command) = options.refresh_cmd.clone() {
        request = request.renewed_by(move || printed_by(&command));
    }
    with_secrets(request, options)
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

fn with_secrets(mut request: Request, options: &Options) -> Result<Request, Error> {
    for header in &options.header {
        for line in header_lines(header)? {
            let (name, value) = line.split_once(':').ok_or_else(|| {
                Error::usage("a header is written as 'Name: value', or @FILE to read some from a file")
            })?;
            // Only the space that separates them: anything else is judged when the request is built.
            request = request.header(name, value.trim_matches([' ', '\t']));
        }
    }
    if let Some(user) = &options.user {
        let text = match user.strip_prefix('@') {
            Some(path) => secret(Path::new(path))?,
            None => user.clone(),
        };
        let (user, password) = text.split_once(':').unwrap_or((&text, ""));
        request = request.basic_auth(user, password);
    }
    if let Some(path) = &options.bearer_file {
        request = request.bearer(secret(path)?);
    }
    Ok(request)
}

fn header_lines(header: &str) -> Result<Vec<String>, Error> {
    match header.strip_prefix('@') {
        Some(path) => {
            let text = secret(Path::new(path))?;
            Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
        }
        None => Ok(vec![header.to_owned()]),
    }
}

/// A file's text without the line break at its end.
fn secret(path: &Path) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::usage(format!("cannot read {}: {error}", path.display()));
    if std::fs::metadata(path).map_err(failed)?.len() > LARGEST_SECRET {
        return Err(Error::usage(format!("{} is too large to hold a secret", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The digests that were given, in order.
pub(super) fn digests(given: &Digests) -> Result<Vec<Digest>, Error> {
    let mut digests = Vec::new();
    if let Some(hex) = &given.sha256 {
        digests.push(Digest::from_hex(Algorithm::Sha256, hex.trim())?);
    }
    for spec in &given.checksum {
        digests.push(spec.parse()?);
    }
    Ok(digests)
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
