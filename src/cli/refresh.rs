//! The command of `--refresh-cmd`, which prints a fresh URL.

use super::printed::printed;
use crate::sys::process;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::process::Command;

/// Longest output accepted, in bytes; no URL is longer.
const LONGEST_URL: usize = 64 << 10;

/// Process groups of the running commands. A signal may end haul before their guards are dropped.
static RUNNING: Mutex<Vec<process::Group>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<process::Group>> {
    // No code panics while the lock is held.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Process group of a command, killed when this is dropped.
struct Group(process::Group);

impl Group {
    fn new(leader: process::Group) -> Self {
        running().push(leader);
        Self(leader)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        running().retain(|leader| *leader != self.0);
        self.0.kill();
    }
}

/// Kills all running commands, with their children.
pub(super) fn end_all() {
    running().drain(..).for_each(process::Group::kill);
}

/// Variable that passes the URL to the command.
pub(super) const URL_VARIABLE: &str = "HAUL_URL";

/// File that each fresh URL was printed for.
static PRINTED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Runs a shell command to get a fresh URL for `url`.
pub(super) async fn found_for(url: String, command: String) -> Result<String, String> {
    let printed = printed_by(&command, &url).await?;
    // No code panics while the lock is held.
    let mut all = PRINTED.lock().unwrap_or_else(PoisonError::into_inner);
    // One file under the name of another is worse than none.
    if all.get(&printed).is_some_and(|file| *file != url) {
        return Err(format!(
            "--refresh-cmd printed one URL for two files; ${URL_VARIABLE} tells it which is wanted"
        ));
    }
    all.insert(printed.clone(), url);
    Ok(printed)
}

/// Returns the first line that a shell command prints. Dropping the future ends the command and its children.
async fn printed_by(command: &str, url: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("--refresh-cmd cannot be run: {error}");
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .env(URL_VARIABLE, url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A group of its own, so that it can be killed with its children.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let leader = child.id().and_then(process::Group::of);
    let group = leader.map(Group::new);
    let ended = printed(&mut child, LONGEST_URL).await.map_err(failed)?;
    let (bytes, status) = ended.ok_or("--refresh-cmd prints more than a URL")?;
    drop(group);
    if !status.success() {
        return Err(format!("--refresh-cmd failed ({status})"));
    }
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.map(str::to_owned).ok_or_else(|| "--refresh-cmd printed nothing".to_owned())
}
