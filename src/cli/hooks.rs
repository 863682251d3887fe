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

/// Refuses commands that make no sense, before anything is fetched.
///
/// # Errors
/// `Usage`, as for [`Hooks::new`].
pub(super) fn check(options: &Options) -> Result<(), Error> {
    hook("--on-done", options.on_done.as_deref(), OF_DONE)?;
    hook("--on-error", options.on_error.as_deref(), OF_ERROR)?;
    Ok(())
}

/// Placeholders of `--on-done` and of `--on-error`; the variables have the same names.
const OF_DONE: [&str; 4] = ["url", "path", "size", "digests"];
const OF_ERROR: [&str; 4] = ["url", "error", "kind", "code"];

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
    /// `Usage` for a command that cannot be split into words, or has a placeholder that stands for nothing.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            done: hook("--on-done", options.on_done.as_deref(), OF_DONE)?,
            error: hook("--on-error", options.on_error.as_deref(), OF_ERROR)?,
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

fn hook(flag: &'static str, command: Option<&str>, known: [&str; 4]) -> Result<Option<Hook>, Error> {
    let Some(command) = command else {
        return Ok(None);
    };
    let refused = |why: String| Err(Error::usage(format!("{flag}: {why}")));
    let Some(words) = shlex::split(command) else {
        return refused(format!("a quote is not closed, or nothing follows the last backslash: {command}"));
    };
    if words.is_empty() {
        return refused("it names no command".to_owned()).map_err(|error| {
            error.with_hint(
                "it is split into words as a shell does, without a shell: 'notify-send saved {path}', or sh -c '…'",
            )
        });
    }
    match words.iter().find_map(|word| odd_placeholder(word, known)) {
        None => Ok(Some(Hook { flag, words: words.into() })),
        Some(why) => {
            let names: Vec<_> = known.iter().map(|name| format!("{{{name}}}")).collect();
            refused(why).map_err(|error| {
                error.with_hint(format!(
                    "{flag} knows {}, each a word of its own; a script of sh -c finds them as ${} and so on",
                    names.join(", "),
                    "HAUL_URL"
                ))
            })
        }
    }
}

/// Reason to refuse a word: a placeholder that stands for nothing, or one that would not be replaced.
fn odd_placeholder(word: &str, known: [&str; 4]) -> Option<String> {
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if let Some(name) =
        word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|name| is_name(name))
    {
        return (!known.contains(&name)).then(|| format!("{word} stands for nothing"));
    }
    let all = OF_DONE.iter().chain(&OF_ERROR).map(|name| format!("{{{name}}}"));
    let inside = all.into_iter().find(|placeholder| word.contains(placeholder))?;
    Some(format!("{inside} is only a part of the word {word:?}, and is not replaced there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_would_not_do_what_it_says_is_refused_with_what_is_allowed() {
        let done = |command| hook("--on-done", Some(command), OF_DONE).map(drop);
        for command in
            ["notify-send saved {path}", "sh -c 'echo \"$HAUL_PATH\" {} ${x}'", "awk '{ print $1 }' {size}"]
        {
            assert!(done(command).is_ok(), "{command}");
        }
        for (command, told) in [
            ("echo {nope}", "--on-done: {nope} stands for nothing"),
            ("echo {error}", "--on-done: {error} stands for nothing"),
            ("mv {path} /x/{path}", "--on-done: {path} is only a part of the word \"/x/{path}\""),
            ("sh -c 'echo {error}'", "--on-done: {error} is only a part of the word"),
            ("echo \"unclosed", "--on-done: a quote is not closed"),
            ("echo \\", "--on-done: a quote is not closed, or nothing follows the last backslash"),
            (" ", "--on-done: it names no command"),
        ] {
            let error = done(command).unwrap_err();
            assert!(error.to_string().starts_with(told), "{error}");
            assert_eq!(error.kind(), Kind::Usage);
        }
        assert!(hook("--on-error", Some("echo {error} {code}"), OF_ERROR).is_ok());
        assert!(hook("--on-error", Some("echo {path}"), OF_ERROR).is_err());
    }
}
