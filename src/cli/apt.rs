//! `haul apt-method`: an acquire method of apt, which speaks to it in messages on the standard input and output.

use super::runtime::runtime;
use crate::error::Error;
use crate::{Algorithm, Client, ClientSettings, Digest, Event, HostSettings, IfExists, Job, Kind, Proxy};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Message of apt: a number, and fields.
#[derive(Debug, Default, PartialEq)]
struct Message {
    code: u16,
    fields: Vec<(String, String)>,
}

impl Message {
    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &value[..])
    }
}

/// Reads the next message; `None` at the end.
fn read(input: &mut impl io::BufRead) -> io::Result<Option<Message>> {
    let mut message = Message::default();
    for line in input.lines() {
        let line = line?;
        match line.trim_end() {
            "" if message.code == 0 => {}
            "" => return Ok(Some(message)),
            line if message.code == 0 => {
                message.code = line.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0);
            }
            line => {
                if let Some((name, value)) = line.split_once(':') {
                    message.fields.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
        }
    }
    Ok((message.code != 0).then_some(message))
}

/// Writes a message. Values hold no line breaks.
fn tell(head: &str, fields: &[(&str, String)]) {
    let mut text = format!("{head}\n");
    for (name, value) in fields {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {}", value.replace(['\n', '\r'], " "));
    }
    text.push('\n');
    let mut out = io::stdout().lock();
    // apt that hears nothing any more ends this process.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Returns true if haul is called as a method of apt.
pub(super) fn called(args: &[OsString]) -> bool {
    // apt passes the scheme as the name of the program, so the path of the file that was run counts.
    let path = crate::sys::process::executed();
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().contains("apt-method") || args.get(1).is_some_and(|first| first == "apt-method")
}

/// Runs the method until apt closes its end.
pub(super) fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell("401 General Failure", &[("Message", error.to_string())]);
            ExitCode::from(100)
        }
    }
}

fn serve() -> Result<(), Error> {
    tell(
        "100 Capabilities",
        &[
            ("Version", "1.2".to_owned()),
            ("Single-Instance", "true".to_owned()),
            ("Pipeline", "true".to_owned()),
            ("Send-Config", "true".to_owned()),
        ],
    );
    let (sender, mut messages) = mpsc::channel(64);
    // It ends with the standard input, or with the process.
    let reading = std::thread::Builder::new().spawn(move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(message)) = read(&mut input) {
            if sender.blocking_send(message).is_err() {
                return;
            }
        }
    });
    reading.map_err(|error| Error::new(Kind::Other, format!("cannot start: {error}")))?;
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let mut clients = Clients::new(&[])?;
        let mut fetching = JoinSet::new();
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) if message.code == 601 => clients = Clients::new(&message.fields)?,
                    Some(message) if message.code == 600 => {
                        let client = clients.of(message.field("URI").unwrap_or_default());
                        fetching.spawn(Box::pin(fetch(client, message)));
                    }
                    Some(_) => {}
                    None => break,
                },
                Some(_) = fetching.join_next() => {}
            }
        }
        while fetching.join_next().await.is_some() {}
        Ok(())
    });
    runtime.shutdown_background();
    served
}

/// A client for each scheme.
struct Clients {
    http: Client,
    https: Client,
}

impl Clients {
    fn new(fields: &[(String, String)]) -> Result<Self, Error> {
        Ok(Self {
            http: Client::new(settings(fields, false)?)?,
            https: Client::new(settings(fields, true)?)?,
        })
    }

    fn of(&self, uri: &str) -> Client {
        if uri.starts_with("https:") { self.https.clone() } else { self.http.clone() }
    }
}

/// Settings that apt's configuration asks for.
fn settings(fields: &[(String, String)], https: bool) -> Result<ClientSettings, Error> {
    let mut items = BTreeMap::new();
    for (_, item) in fields.iter().filter(|(name, _)| name == "Config-Item") {
        if let Some((key, value)) = item.split_once('=') {
            items.insert(key.to_ascii_lowercase(), decoded(value));
        }
    }
    let item = |key: &str| items.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let proxy_of = |text: &str| match text {
        "DIRECT" | "direct" | "false" => Proxy::Direct,
        proxy => Proxy::Through(proxy.to_owned()),
    };
    // The URIs of one method have one scheme; https falls back to the proxy of http, and not the other way round.
    let named = item(if https { "acquire::https::proxy" } else { "acquire::http::proxy" });
    let named = named.or_else(|| item("acquire::http::proxy").filter(|_| https));
    let proxy = named.map_or(Proxy::Environment, proxy_of);
    let of_hosts = items.iter().filter_map(|(key, value)| {
        let host = key
            .strip_prefix("acquire::http::proxy::")
            .or_else(|| key.strip_prefix("acquire::https::proxy::"))?;
        let mut settings = HostSettings::new(host);
        settings.proxy = Some(proxy_of(value));
        Some(settings)
    });
    let hosts = of_hosts.collect();
    let mut settings = ClientSettings { proxy, hosts, ..ClientSettings::default() };
    settings.ca_file = item("acquire::https::cainfo").map(PathBuf::from);
    settings.insecure = item("acquire::https::verify-peer") == Some("false");
    if let Some(retries) = item("acquire::retries").and_then(|text| text.parse().ok()) {
        settings.retries = retries;
    }
    // apt decides which servers are asked.
    settings.find_mirrors = false;
    settings.user_agent = item("acquire::http::user-agent").unwrap_or(&settings.user_agent).to_owned();
    Ok(settings)
}

/// apt quotes values as URLs do.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Fields of a message that state the expected digest, and the algorithm of each.
const EXPECTED: [(&str, Algorithm); 4] = [
    ("Expected-SHA512", Algorithm::Sha512),
    ("Expected-SHA256", Algorithm::Sha256),
    ("Expected-SHA1", Algorithm::Sha1),
    ("Expected-MD5Sum", Algorithm::Md5),
];

async fn fetch(client: Client, message: Message) {
    let uri = message.field("URI").unwrap_or_default().to_owned();
    match fetched(&client, &message, &uri).await {
        Ok(fields) => tell("201 URI Done", &fields),
        Err(error) => {
            let mut fields = vec![("URI", uri), ("Message", error.to_string())];
            match error.status() {
                Some(status) => fields.push(("FailReason", format!("HttpError{status}"))),
                None if error.kind() == Kind::Network => {
                    fields.push(("FailReason", "ConnectionRefused".to_owned()));
                }
                None if error.kind() == Kind::Checksum => {
                    fields.push(("FailReason", "HashSumMismatch".to_owned()));
                }
                None => {}
            }
            if error.is_transient() {
                fields.push(("Transient-Failure", "true".to_owned()));
            }
            tell("400 URI Failure", &fields);
        }
    }
}

async fn fetched(
    client: &Client,
    message: &Message,
    uri: &str,
) -> Result<Vec<(&'static str, String)>, Error> {
    let target = PathBuf::from(message.field("Filename").unwrap_or_default());
    let job = job(message, uri, &target)?;
    let request = crate::resolve(&job, &crate::Defaults::default()).map_err(|invalid| invalid.error)?;
    let known = message.field("Last-Modified");
    let mut fields = vec![("URI", uri.to_owned()), ("Filename", target.to_string_lossy().into_owned())];
    if known.is_some() {
        let now = client.preview(&request).await?;
        if now.last_modified.as_deref() == known {
            fields.extend([
                ("IMS-Hit", "true".to_owned()),
                ("Last-Modified", known.unwrap_or_default().to_owned()),
            ]);
            return Ok(fields);
        }
    }
    let mut download = client.start(request);
    let mut events = download.events();
    let mut join = Box::pin(download.join());
    let report = loop {
        tokio::select! {
            biased;
            Some(event) = async { match &mut events { Some(events) => events.recv().await, None => None } } => {
                if let Event::Started { size, resumed, .. } = event {
                    let mut started = vec![("URI", uri.to_owned())];
                    started.extend(size.map(|size| ("Size", size.to_string())));
                    if resumed > 0 {
                        started.push(("Resume-Point", resumed.to_string()));
                    }
                    tell("200 URI Start", &started);
                }
            }
            report = &mut join => break report?,
        }
    };
    fields.push(("Size", report.size.to_string()));
    if let Ok(modified) = std::fs::metadata(&target).and_then(|found| found.modified()) {
        fields.push(("Last-Modified", httpdate::fmt_http_date(modified)));
    }
    let algorithms = [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
    let hashing = crate::threads::offload(move || crate::digests_of(&target, &algorithms));
    let digests = hashing.await.map_err(|error| Error::new(Kind::Other, error.to_string()))??;
    for (name, digest) in ["MD5-Hash", "SHA1-Hash", "SHA256-Hash", "SHA512-Hash"].into_iter().zip(&digests) {
        fields.push((name, digest.to_hex()));
    }
    fields.push(("MD5Sum-Hash", digests.first().map(Digest::to_hex).unwrap_or_default()));
    Ok(fields)
}

/// Job for a message, with its strongest digest.
fn job(message: &Message, uri: &str, target: &Path) -> Result<Job, Error> {
    let mut job = Job::new(uri);
    job.output = Some(target.to_owned());
    job.options.if_exists = Some(IfExists::Overwrite);
    job.options.remote_time = Some(true);
    let stated = EXPECTED.iter().find_map(|(field, algorithm)| Some((message.field(field)?, *algorithm)));
    let digest = stated.map(|(hex, algorithm)| Digest::from_hex(algorithm, hex)).transpose()?;
    job.digests.extend(digest.as_ref().map(ToString::to_string));
    // Known only for files of a package; the limit on an index is another field.
    job.size = message.field("Expected-Checksum-FileSize").and_then(|size| size.parse().ok());
    job.options.max_size = message.field("Maximum-Size").and_then(|size| size.parse().ok());
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_one_after_the_other() {
        let text = "601 Configuration\nConfig-Item: Acquire::http::Proxy=http://p%3a1\n\n\n600 URI Acquire\nURI: http://h/f\n\
                    Filename: /d/f\nExpected-SHA256: 00\n\n";
        let mut input = text.as_bytes();
        let first = read(&mut input).unwrap().unwrap();
        assert_eq!(first.code, 601);
        assert!(
            matches!(settings(&first.fields, true).unwrap().proxy, Proxy::Through(proxy) if proxy == "http://p:1")
        );
        let second = read(&mut input).unwrap().unwrap();
        assert_eq!((second.code, second.field("uri")), (600, Some("http://h/f")));
        assert!(job(&second, "http://h/f", Path::new("/d/f")).is_err());
        assert_eq!(read(&mut input).unwrap(), None);
    }

    #[test]
    fn the_strongest_digest_of_a_message_counts() {
        let field = |name: &str, value: String| (name.to_owned(), value);
        let message = Message {
            code: 600,
            fields: vec![field("Expected-MD5Sum", "0".repeat(32)), field("Expected-SHA256", "0".repeat(64))],
        };
        let job = job(&message, "http://h/f", Path::new("/d/f")).unwrap();
        assert_eq!(job.digests, [format!("sha256:{}", "0".repeat(64))]);
        assert_eq!(job.options.if_exists, Some(IfExists::Overwrite));
    }
}
