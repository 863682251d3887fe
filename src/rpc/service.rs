//! The daemon's state beside its queue, and the notifications that come of the queue's events.

use super::guard::Access;
use super::list;
use crate::{Defaults, Error, Event, JobChange, JobId, JobState, JobStatus, Queue, QueueEvent};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Removed jobs that stay listed.
const REMOVED: usize = 1000;
/// Bytes of request bodies that may be read at once.
const BODIES: usize = 32 << 20;
/// Tag of the jobs whose identifier a client chose.
pub(super) const GID_TAG: &str = "gid";
/// Notifications that wait for a listener; the oldest are dropped beyond that.
const NOTES: usize = 1024;

/// Settings of the daemon.
pub(crate) struct Settings {
    /// Directory that no job leaves.
    pub(crate) root: PathBuf,
    /// The same as the user wrote it, absolute, possibly with links.
    pub(crate) given_root: PathBuf,
    pub(crate) access: Access,
    /// Values for jobs that do not give their own.
    pub(crate) defaults: Defaults,
    /// Options for all jobs as aria2 names them, as the daemon was started.
    pub(crate) global: Vec<(&'static str, String)>,
    /// Receives each warning once.
    pub(crate) warn: fn(&str),
    /// Keeps a list of the jobs that have not ended well, at the end and when a client asks for it.
    pub(crate) save_list: Option<Save>,
    /// Keeps the options for all jobs that clients have given, as JSON, whenever they change.
    pub(crate) save_options: Option<Save>,
}

/// Keeps a text. Blocking.
pub(crate) type Save = Arc<dyn Fn(&str) -> Result<(), Error> + Send + Sync>;

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("root", &self.root).finish_non_exhaustive()
    }
}

/// The daemon: its queue, and what aria2's clients expect beside it.
pub(crate) struct Service {
    pub(super) queue: Queue,
    pub(super) root: PathBuf,
    pub(super) given_root: PathBuf,
    pub(super) access: Access,
    warn: fn(&str),
    save_list: Option<Save>,
    pub(super) save_options: Option<Save>,
    state: Mutex<State>,
    /// Bytes of bodies that may be read at once.
    pub(super) bodies: tokio::sync::Semaphore,
    /// Identifier of this run of the daemon.
    pub(super) session: String,
    notes: broadcast::Sender<Arc<str>>,
    stop: watch::Sender<bool>,
    pub(super) counters: Counters,
}

/// A removed job.
pub(super) struct RemovedJob {
    pub(super) status: JobStatus,
    /// In aria2's words, with all keys.
    pub(super) object: Value,
    /// The job that had ended last when it was removed.
    pub(super) after: Option<JobId>,
}

/// Counters since the start.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) fetched: AtomicU64,
}

pub(super) struct State {
    /// Identifiers that clients chose themselves; `None` while the job is being added.
    pub(super) gids: HashMap<String, Option<JobId>>,
    pub(super) names: HashMap<JobId, String>,
    /// Path of a running job's file, as the disk has it.
    pub(super) paths: HashMap<JobId, PathBuf>,
    /// Removed jobs, as they were last, the oldest first.
    pub(super) removed: VecDeque<RemovedJob>,
    /// The job that ended last.
    last_ended: Option<JobId>,
    /// Options for all jobs, as clients gave them.
    pub(super) global: Map<String, Value>,
    /// Those of them that clients gave.
    pub(super) given: Map<String, Value>,
    pub(super) defaults: Defaults,
    warned: HashSet<String>,
}

impl Service {
    /// # Errors
    /// `Other` if the system gives no random bytes for the identifier of the run.
    pub(crate) fn new(queue: Queue, settings: Settings) -> Result<Arc<Self>, Error> {
        let session = super::new_secret()? + "00000000";
        let Settings { root, given_root, access, defaults, global, warn, save_list, save_options } = settings;
        let global = global.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        let state = State {
            gids: HashMap::new(),
            names: HashMap::new(),
            paths: HashMap::new(),
            removed: VecDeque::new(),
            last_ended: None,
            global,
            given: Map::new(),
            defaults,
            warned: HashSet::new(),
        };
        Ok(Arc::new(Self {
            queue,
            root,
            given_root,
            access,
            warn,
            save_list,
            save_options,
            state: Mutex::new(state),
            bodies: tokio::sync::Semaphore::new(BODIES),
            session,
            notes: broadcast::channel(NOTES).0,
            stop: watch::channel(false).0,
            counters: Counters::default(),
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a single insertion or removal, which a panic elsewhere cannot leave half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports options without an effect, each once.
    pub(super) fn tell_unknown(&self, options: &[String]) {
        for option in options {
            if self.state().warned.len() < 256 && self.state().warned.insert(option.clone()) {
                (self.warn)(&format!("the option {option} has no effect here"));
            }
        }
    }

    /// Notifications from now on, as texts of JSON.
    pub(super) fn notes(&self) -> broadcast::Receiver<Arc<str>> {
        self.notes.subscribe()
    }

    /// Keeps the list of what has not ended well, if one is wanted.
    ///
    /// # Errors
    /// Those of writing it.
    pub(crate) async fn save_list(&self) -> Result<(), Error> {
        let Some(save) = self.save_list.clone() else {
            return Ok(());
        };
        let mut open = self.queue.running().await;
        open.extend(self.queue.waiting(0, usize::MAX).await);
        open.extend(self.queue.ended().await.into_iter().filter(|status| status.state == JobState::Failed));
        let entry = |status: &JobStatus| {
            list::entry(&status.job, &self.gid(status.id), status.state == JobState::Paused)
        };
        let text: String = open.iter().map(entry).collect();
        let saved = crate::threads::offload(move || save(&text)).await;
        saved.unwrap_or_else(|_| Err(Error::new(crate::Kind::Other, "the list could not be written")))
    }

    /// Passes on a warning.
    pub(super) fn warn(&self, text: &str) {
        (self.warn)(text);
    }

    /// Asks the daemon to end.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the daemon is asked to end.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as the service.
        let _ = self.stop.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// Name by which clients know a job.
    pub(super) fn gid(&self, id: JobId) -> String {
        self.state().names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Takes over the identifiers that clients chose in earlier runs of the daemon.
    pub(crate) async fn recall(&self) {
        for (id, gid) in self.queue.tagged(GID_TAG).await {
            self.name(id, gid);
        }
        let chosen: Vec<_> = self.state().gids.keys().cloned().collect();
        for gid in chosen {
            if let Ok(id) = gid.parse() {
                self.give_way(id).await;
            }
        }
        self.state().last_ended = self.queue.ended().await.last().map(|status| status.id);
    }

    /// Gives a job another name, if a client has chosen its identifier for another one.
    pub(super) async fn give_way(&self, id: JobId) {
        let is_hidden = {
            let state = self.state();
            let owner = state.gids.get(&id.to_string()).copied();
            owner.is_some_and(|owner| owner != Some(id)) && !state.names.contains_key(&id)
        };
        if !is_hidden || self.queue.status(id).await.is_none() {
            return;
        }
        // Random digits: the first half of a secret.
        let Ok(mut gid) = super::new_secret() else {
            return;
        };
        gid.truncate(16);
        let tags = [(GID_TAG.to_owned(), gid.clone())].into();
        if self.queue.change_job(id, JobChange { tags, ..JobChange::default() }).await.is_ok() {
            self.name(id, gid);
        }
    }

    pub(super) fn name(&self, id: JobId, gid: String) {
        let mut state = self.state();
        state.gids.insert(gid.clone(), Some(id));
        state.names.insert(id, gid);
    }

    /// Turns the events of the queue into notifications, until the queue is closed.
    pub(crate) async fn listen(self: Arc<Self>) {
        let mut events = self.queue.events();
        loop {
            match events.recv().await {
                Ok(event) => self.hear(event),
                // Clients poll as well; what was missed shows in the state.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn hear(&self, event: QueueEvent) {
        match event {
            QueueEvent::Started(id) => self.note("onDownloadStart", id),
            QueueEvent::Paused(id) => self.note("onDownloadPause", id),
            QueueEvent::Download(id, Event::Started { path: Some(path), .. }) => {
                self.state().paths.insert(id, path);
            }
            QueueEvent::Done(id, report) => {
                self.counters.done.fetch_add(1, Ordering::Relaxed);
                self.counters.fetched.fetch_add(report.fetched, Ordering::Relaxed);
                self.state().paths.remove(&id);
                self.state().last_ended = Some(id);
                self.note("onDownloadComplete", id);
            }
            QueueEvent::Failed(id, _) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                self.state().last_ended = Some(id);
                self.note("onDownloadError", id);
            }
            QueueEvent::Removed(id) => {
                self.note("onDownloadStop", id);
                self.forget(id);
            }
            _ => {}
        }
    }

    fn note(&self, method: &str, id: JobId) {
        let note = json!({
            "jsonrpc": "2.0", "method": format!("aria2.{method}"), "params": [{ "gid": self.gid(id) }],
        });
        // Without listeners, sending fails.
        let _ = self.notes.send(note.to_string().into());
    }

    /// Lists a removed job as it was last.
    pub(super) fn keep_removed(&self, status: JobStatus, object: Value) {
        let dropped = {
            let mut state = self.state();
            let after = state.last_ended;
            state.removed.push_back(RemovedJob { status, object, after });
            if state.removed.len() > REMOVED { state.removed.pop_front() } else { None }
        };
        if let Some(dropped) = dropped {
            self.forget(dropped.status.id);
        }
    }

    /// Forgets a job that is gone; the list of the removed ones stays.
    pub(super) fn forget(&self, id: JobId) {
        let mut state = self.state();
        state.paths.remove(&id);
        if !state.removed.iter().any(|removed| removed.status.id == id)
            && let Some(gid) = state.names.remove(&id)
        {
            state.gids.remove(&gid);
        }
    }

    /// Returns true if a job was removed whose unfinished file has the place of this one, from another URL.
    pub(super) fn has_removed(&self, url: &str, path: &Path) -> bool {
        let is_in_the_way = |removed: &RemovedJob| {
            removed.status.job.url != url
                && removed.object["files"][0]["path"].as_str().map(Path::new) == Some(path)
        };
        self.state().removed.iter().any(is_in_the_way)
    }

    /// Path of a job's file: the one on disk, or else the planned one.
    pub(super) fn path(&self, status: &JobStatus) -> Option<PathBuf> {
        let reported = status.report.as_ref().and_then(|report| report.path.clone());
        let reported = reported.or_else(|| status.ended.as_ref()?.path.clone());
        let started = || self.state().paths.get(&status.id).cloned();
        reported.or_else(started).or_else(|| {
            let defaults = self.state().defaults.clone();
            crate::resolve(&status.job, &defaults).ok()?.planned_path()
        })
    }
}

/// Returns true for an identifier as aria2 wants it: 16 hexadecimal digits.
pub(super) fn is_gid(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Code that aria2 has for the class of an error, by its name.
pub(super) fn code_of_kind(name: &str) -> u8 {
    match name {
        "not_found" => 3,
        "auth" => 24,
        "http" => 22,
        "network" => 6,
        "changed" => 8,
        "disk" => 17,
        "exists" => 13,
        "locked" => 15,
        "checksum" => 32,
        "usage" => 28,
        "cancelled" => 7,
        _ => 1,
    }
}

/// Code that aria2 has for an error (`man aria2c`, EXIT STATUS).
pub(crate) fn aria2_code(error: &Error) -> u8 {
    use crate::{Kind, Remedy, Trouble};
    let no_space = [28, 122];
    let wants_space = matches!(error.remedy(), Some(Remedy::FreeSpace | Remedy::FreeSpaceOrOtherDisk));
    match error.kind() {
        Kind::Network => match error.trouble() {
            Some(Trouble::Nameless) => 19,
            Some(Trouble::Silent) => 2,
            Some(Trouble::Refused) => 1,
            _ => code_of_kind("network"),
        },
        Kind::Http if matches!(error.status(), Some(429 | 503)) => 29,
        Kind::Disk if wants_space || error.errno().is_some_and(|errno| no_space.contains(&errno)) => 9,
        kind => code_of_kind(kind.name()),
    }
}

/// Directory of a file, as clients show it.
pub(super) fn directory_of(path: Option<&Path>, root: &Path) -> String {
    path.and_then(Path::parent).unwrap_or(root).to_string_lossy().into_owned()
}
