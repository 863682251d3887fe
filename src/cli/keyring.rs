//! Secrets that a command prints, such as that of a keyring.

use super::printed::printed;
use super::runtime::small_runtime;
use crate::error::{Error, Kind};
use crate::formats::escape;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::process::Command;
use tokio::runtime::Handle;
use toml::Value;

/// Time limit of a command; the keyring may have to be unlocked by hand.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest output accepted, in bytes.
const LARGEST: usize = 64 << 10;

/// A command as words, which no shell reads, and its secret once it has run. Copies share the secret.
#[derive(Clone, Debug)]
pub(super) struct Keyring {
    words: Vec<String>,
    secret: Arc<OnceLock<Secret>>,
}

/// A secret, which is not shown.
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Keyring {
    /// Reads the words of a command.
    ///
    /// # Errors
    /// The form, if it is another value.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let word = |word: &Value| word.as_str().map(str::to_owned);
        let words = value.as_array().and_then(|all| all.iter().map(word).collect::<Option<Vec<_>>>());
        match words.filter(|words| !words.is_empty()) {
            Some(words) => Ok(Self { words, secret: Arc::default() }),
            None => {
                Err("a command is wanted as a list of words, such as [\"pass\", \"show\", \"NAME\"]"
                    .to_owned())
            }
        }
    }

    /// The command as it is written.
    pub(super) fn shown(&self) -> String {
        format!("{:?}", self.words)
    }

    /// First line that the command prints. It runs once.
    ///
    /// # Errors
    /// `Usage`, with the status of a command that fails; never what it printed on its standard output.
    pub(super) fn secret(&self) -> Result<&str, Error> {
        if let Some(Secret(secret)) = self.secret.get() {
            return Ok(secret);
        }
        if Handle::try_current().is_ok() {
            return Err(Error::new(
                Kind::Other,
                "a command for a secret is run before the downloads, and not then",
            ));
        }
        let runtime = small_runtime()?;
        let printed = runtime.block_on(first_line(&self.words, LIMIT));
        runtime.shutdown_background();
        let program = self.words.first().map_or("", String::as_str);
        let secret = printed.map_err(|why| {
            Error::usage(format!("{} {why}", escape::clip(&escape::for_terminal(program), 100)))
        })?;
        Ok(&self.secret.get_or_init(|| Secret(secret)).0)
    }
}

/// Runs a command, and returns the first line that it prints.
async fn first_line(words: &[String], limit: Duration) -> Result<String, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("is no command".to_owned());
    };
    // Not in a group of its own: it may ask for a password on the terminal. Its standard error is passed on unread, as that of git's helpers.
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let failed = |error: std::io::Error| format!("cannot be run: {error}");
    let mut child = child.map_err(failed)?;
    let ended = tokio::time::timeout(limit, printed(&mut child, LARGEST)).await;
    let ended = ended.map_err(|_| format!("did not end within {} s", limit.as_secs_f32()))?;
    let (bytes, status) = ended.map_err(failed)?.ok_or("prints more than a secret")?;
    if !status.success() {
        return Err(format!("ended with {status}"));
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err("printed nothing on its first line".to_owned()),
        Ok(secret) => Ok(secret.to_owned()),
        Err(_) => Err("printed what is no text in UTF-8".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(text: &str) -> Result<Keyring, String> {
        let table: toml::Table = format!("k = {text}").parse().unwrap();
        Keyring::read(&table["k"])
    }

    fn outcome(script: &str, limit: Duration) -> Result<String, String> {
        let words = ["sh", "-c", script].map(str::to_owned);
        small_runtime().unwrap().block_on(first_line(&words, limit))
    }

    #[test]
    fn a_command_is_a_list_of_words_and_nothing_else() {
        assert_eq!(keyring("[\"pass\", \"a b\"]").unwrap().shown(), "[\"pass\", \"a b\"]");
        for text in ["\"pass show x\"", "[]", "[1]", "[\"pass\", [\"x\"]]", "true"] {
            assert!(keyring(text).unwrap_err().contains("a list of words"), "{text}");
        }
    }

    #[test]
    fn the_first_line_counts_and_failures_never_tell_what_was_printed() {
        for (script, first) in [("echo a b", "a b"), ("printf 'x\\r\\ny\\n'", "x"), ("printf ' z'", " z")] {
            assert_eq!(outcome(script, LIMIT).as_deref(), Ok(first), "{script}");
        }
        for (script, told) in [
            ("echo S3CR; exit 3", "ended with exit status: 3"),
            ("echo; echo S3CR", "printed nothing"),
            ("printf 'S3CR\\377\\n'", "no text in UTF-8"),
            ("echo S3CR; head -c 100000 /dev/zero", "prints more than a secret"),
            ("echo S3CR; kill -9 $$", "ended with signal: 9"),
        ] {
            let why = outcome(script, LIMIT).unwrap_err();
            assert!(why.contains(told) && !why.contains("S3CR"), "{script}: {why}");
        }
        let missing = ["/nowhere/at/all".to_owned()];
        let why = small_runtime().unwrap().block_on(first_line(&missing, LIMIT)).unwrap_err();
        assert!(why.contains("cannot be run"), "{why}");
    }

    #[test]
    fn a_command_that_does_not_end_is_given_up_and_so_is_one_whose_child_holds_the_output() {
        let why = outcome("echo S3CR; exec sleep 600", Duration::from_millis(50)).unwrap_err();
        assert_eq!(why, "did not end within 0.05 s");
        // The output stays open in a child that goes on; the command itself has ended.
        assert_eq!(outcome("sleep 5 & echo a", LIMIT).as_deref(), Ok("a"));
    }

    #[test]
    fn a_command_runs_once_for_all_copies() {
        let directory = tempfile::tempdir().unwrap();
        let script = format!("echo x >> {0}/runs; cat {0}/runs", directory.path().display());
        let first = keyring(&format!("[\"sh\", \"-c\", \"{script}\"]")).unwrap();
        let second = first.clone();
        assert_eq!([first.secret().unwrap(), second.secret().unwrap()], ["x", "x"]);
        let runs = super::super::bounded::read(&directory.path().join("runs"), 100).unwrap();
        assert_eq!(runs, "x\n");
        assert_eq!(format!("{:?}", first.secret), "OnceLock(***)");
    }
}
