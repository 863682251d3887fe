//! `haul lfs-agent`: a standalone transfer agent of git-lfs, which speaks to it in lines of JSON.

mod endpoint;
mod git;
mod remote;

use super::runtime::runtime;
use super::{exit, signals};
use crate::error::Error;
use crate::{Client, Download, IfExists, Job, Kind};
use endpoint::{Endpoint, Place};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Time between two messages about the progress of an object.
const INTERVAL: Duration = Duration::from_millis(200);

/// Message of git-lfs (its custom transfers protocol).
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Message {
    Init {
        operation: String,
        #[serde(default)]
        remote: String,
    },
    Download {
        oid: String,
        size: u64,
        /// Given if the agent is not a standalone one.
        #[serde(default)]
        action: Option<Place>,
    },
    Upload {
        oid: String,
    },
    Terminate,
}

/// Runs the agent until git-lfs closes its end.
pub(super) fn run() -> Result<ExitCode, Error> {
    let runtime = runtime()?;
    let mut agent = None;
    for line in io::stdin().lock().lines() {
        let line =
            line.map_err(|error| Error::new(Kind::Other, format!("cannot read from git-lfs: {error}")))?;
        let message = serde_json::from_str(&line).map_err(|error| {
            Error::usage(format!("this is no message of git-lfs: {error}"))
                .with_hint("git-lfs runs haul lfs-agent by itself: see docs/drivers.md")
        })?;
        match message {
            Message::Init { operation, remote } => {
                let begun = Agent::begin(&operation, &remote);
                tell(
                    &begun.as_ref().map_or_else(|error| json!({ "error": described(error) }), |_| json!({})),
                );
                agent = begun.ok();
            }
            Message::Download { oid, size, action } => {
                let fetched = match &mut agent {
                    Some(agent) => agent.fetch(&runtime, &oid, size, action),
                    None => Err(Error::usage("git-lfs asked for an object before it began")),
                };
                tell(&completion(&oid, fetched));
            }
            Message::Upload { oid } => tell(&completion(&oid, Err(no_uploads()))),
            Message::Terminate => break,
        }
    }
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

fn no_uploads() -> Error {
    Error::usage("haul only downloads: push without lfs.standalonetransferagent")
}

/// Objects of one repository.
struct Agent {
    client: Client,
    endpoint: Endpoint,
    /// Directory of the objects that are under way.
    directory: PathBuf,
}

impl Agent {
    fn begin(operation: &str, remote: &str) -> Result<Self, Error> {
        if operation != "download" {
            return Err(no_uploads());
        }
        let environment = git::lfs_environment()?;
        let endpoint = Endpoint::find(remote)?;
        let directory = git::state_directory(&environment)?;
        std::fs::create_dir_all(&directory)
            .map_err(|error| Error::disk("cannot create", &directory, &error))?;
        let client = Client::new(endpoint.settings())?;
        Ok(Self { client, endpoint, directory })
    }

    /// Downloads an object, and returns its file.
    fn fetch(
        &mut self,
        runtime: &Runtime,
        oid: &str,
        size: u64,
        action: Option<Place>,
    ) -> Result<PathBuf, Error> {
        // It becomes the name of a file.
        if oid.len() != 64 || !oid.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::usage("the id of the object is no SHA-256 digest in hexadecimal digits"));
        }
        runtime.block_on(async {
            let place = match action {
                Some(place) => place,
                None => self.endpoint.locate(&self.client, oid, size).await?,
            };
            let file = self.directory.join(oid);
            let job = job(place, oid, size, &file)?;
            let request =
                crate::resolve(&job, &crate::Defaults::default()).map_err(|invalid| invalid.error)?;
            // Between two objects the default holds: the end of git-lfs ends the agent.
            let mut signals = signals::listen()?;
            let number = watched(self.client.start(request), oid, &mut signals).await?;
            if let Some(number) = number {
                signals::die_of(number);
            }
            Ok(file)
        })
    }
}

/// Job for an object, whose id is its digest.
fn job(place: Place, oid: &str, size: u64, file: &Path) -> Result<Job, Error> {
    let Place { href, header, login } = place;
    let mut job = Job::new(href);
    job.add_headers(&header.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>())?;
    job.login = login;
    job.digests = vec![format!("sha256:{oid}")];
    job.size = Some(size);
    job.output = Some(file.to_owned());
    // One that is complete was left by git-lfs, and not taken.
    job.options.if_exists = Some(IfExists::Overwrite);
    Ok(job)
}

/// Waits for a download, and tells git-lfs of its progress. A signal ends it once what has come is durable; its number is
/// returned.
async fn watched(
    download: Download,
    oid: &str,
    signals: &mut signals::Signals,
) -> Result<Option<i32>, Error> {
    let progress = download.progress();
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut told = 0;
    let (cancel, mut signal) = (download.canceller(), None);
    let mut ended = std::pin::pin!(download.join());
    loop {
        tokio::select! {
            biased;
            report = &mut ended => return signal.map_or_else(|| report.map(|_| None), |number| Ok(Some(number))),
            number = signals.end(), if signal.is_none() => {
                signal = Some(number);
                cancel();
            }
            _ = ticks.tick() => {
                let written = progress.borrow().written;
                if written > told {
                    tell(&json!({
                        "event": "progress", "oid": oid, "bytesSoFar": written, "bytesSinceLast": written - told,
                    }));
                    told = written;
                }
            }
        }
    }
}

fn completion(oid: &str, fetched: Result<PathBuf, Error>) -> Value {
    match fetched {
        Ok(file) => json!({ "event": "complete", "oid": oid, "path": file }),
        Err(error) => json!({ "event": "complete", "oid": oid, "error": described(&error) }),
    }
}

fn described(error: &Error) -> Value {
    let code = error.status().unwrap_or_else(|| u16::from(exit::code(error.kind())));
    json!({ "code": code, "message": error.to_string() })
}

/// Writes a message. git-lfs that reads none any more ends this process.
fn tell(message: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{message}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_messages_of_git_lfs_are_read() {
        let read = |text: &str| serde_json::from_str::<Message>(text).unwrap();
        let init = r#"{"event":"init","operation":"download","remote":"origin","concurrent":true,"concurrenttransfers":8}"#;
        assert_eq!(read(init), Message::Init { operation: "download".into(), remote: "origin".into() });
        let standalone = format!(r#"{{"event":"download","oid":"{OID}","size":7,"action":null}}"#);
        assert_eq!(read(&standalone), Message::Download { oid: OID.into(), size: 7, action: None });
        assert_eq!(read(r#"{"event":"terminate"}"#), Message::Terminate);
    }

    #[test]
    fn an_object_is_saved_under_its_id_and_has_it_as_its_digest() {
        let place = Place {
            href: "https://h/f".to_owned(),
            header: [("A".to_owned(), "b".to_owned())].into(),
            login: None,
        };
        let job = job(place, OID, 7, Path::new("/d/f")).unwrap();
        assert_eq!((job.size, job.digests), (Some(7), vec![format!("sha256:{OID}")]));
        assert_eq!(job.headers.into_values().flatten().collect::<Vec<_>>(), ["A: b"]);
    }

    #[test]
    fn a_failure_has_the_code_and_the_words() {
        let failed = completion(OID, Err(Error::new(Kind::Checksum, "it is another file")));
        assert_eq!(failed["error"]["code"], 12);
        assert!(failed["error"]["message"].as_str().is_some_and(|text| text.contains("another file")));
        assert_eq!(completion(OID, Ok(PathBuf::from("/d/f")))["path"], "/d/f");
    }
}
