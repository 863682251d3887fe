//! `--on-done` and `--on-error`: commands that run when a file has ended.

use super::args::Options;
use crate::error::Error;
use crate::sys::process;
use crate::{Kind, Report};
use std::process::Stdio;
use std::sync::Arc;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Commands that run at once, and those that may wait for their turn.
const AT_ONCE: usize = 4;
const MOST_WAITING: usize = 1024;

/// Variables that a command finds, besides `HAUL_URL`.
pub(super) const VARIABLES: [&str; 6] =
    ["HAUL_PATH", "HAUL_SIZE", "HAUL_DIGESTS", "HAUL_ERROR", "HAUL_KIND", "HAUL_CODE"];

/// A command as words. No shell reads it, so nothing that a server says is read as a command.
#[derive(Clone)]
struct Hook {
    flag: &'static str,
    words: Arc<[String]>,
}

/// The commands of a run.
pub(super) struct Hooks {
    done: Option<Hook>,
    error: Option<Hook>,
    turns: Arc<Semaphore>,
    running: JoinSet<Option<String>>,
}

impl Hooks {
    /// # Errors
    /// `Usage` for a command that cannot be split into words.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            done: hook("--on-done", options.on_done.as_deref())?,
            error: hook("--on-error", options.on_error.as_deref())?,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            running: JoinSet::new(),
        })
    }

    /// A file was saved.
    pub(super) fn done(&mut self, report: &Report) {
        if let Some(hook) = self.done.clone() {
            let path = report.path.as_ref().map(|path| path.to_string_lossy().into_owned());
            let digests: Vec<_> = report.digests.iter().map(ToString::to_string).collect();
            self.run(
                hook,
                vec![
                    ("HAUL_URL", report.url.clone()),
                    ("HAUL_PATH", path.unwrap_or_default()),
                    ("HAUL_SIZE", report.size.to_string()),
                    ("HAUL_DIGESTS", digests.join(" ")),
                ],
            );
        }
    }

    /// A download has failed, with this exit code.
    pub(super) fn failed(&mut self, url: &str, error: &Error, code: u8) {
        if let Some(hook) = self.error.clone().filter(|_| error.kind() != Kind::Cancelled) {
            self.run(
                hook,
                vec![
                    ("HAUL_URL", url.to_owned()),
                    ("HAUL_ERROR", error.to_string()),
                    ("HAUL_KIND", error.kind().name().to_owned()),
                    ("HAUL_CODE", code.to_string()),
                ],
            );
        }
    }

    fn run(&mut self, hook: Hook, facts: Vec<(&'static str, String)>) {
        let turns = self.turns.clone();
        self.running.spawn(async move {
            let _turn = turns.acquire_owned().await;
            hook.ended(facts).await.err()
        });
    }

    /// Returns true if so many commands wait that no more files should end.
    pub(super) fn are_behind(&self) -> bool {
        self.running.len() >= MOST_WAITING
    }

    /// Waits for the next command that has ended; returns what went wrong with it. `None` once none is left.
    pub(super) async fn next(&mut self) -> Option<Option<String>> {
        let ended = self.running.join_next().await?;
        Some(ended.unwrap_or_else(|error| Some(error.to_string())))
    }
}

impl Hook {
    async fn ended(&self, facts: Vec<(&'static str, String)>) -> Result<(), String> {
        let fact = |word: &String| {
            let named = facts.iter().find(|(name, _)| {
                word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|inner| {
                    name.strip_prefix("HAUL_").is_some_and(|name| name.eq_ignore_ascii_case(inner))
                })
            });
            named.map_or_else(|| word.clone(), |(_, value)| value.clone())
        };
        let Some((program, arguments)) = self.words.split_first() else {
            return Ok(());
        };
        // The standard output may be that of the events, or of the file.
        let output = process::standard_error().map_or_else(|_| Stdio::null(), Stdio::from);
        let ended = Command::new(program)
            .args(arguments.iter().map(fact))
            .envs(facts.iter().map(|(name, value)| (*name, value.replace('\0', ""))))
            .stdin(Stdio::null())
            .stdout(output)
            .kill_on_drop(true)
            .status()
            .await;
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{} {program} ended with {status}", self.flag)),
            Err(error) => Err(format!("{} {program} cannot be run: {error}", self.flag)),
        }
    }
}

fn hook(flag: &'static str, command: Option<&str>) -> Result<Option<Hook>, Error> {
    let Some(command) = command else {
        return Ok(None);
    };
    match shlex::split(command).filter(|words| !words.is_empty()) {
        Some(words) => Ok(Some(Hook { flag, words: words.into() })),
        None => Err(Error::usage(format!("{flag} names no command: {command:?}")).with_hint(
            "it is split into words as a shell does, without a shell: 'notify-send saved {path}', or sh -c '…'",
        )),
    }
}
