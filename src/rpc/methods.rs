//! The methods of aria2's JSON-RPC.

use super::answer::{Call, Fault};
use super::options::{
    self, ParsedJob, asked, flag, is_of_each, is_of_one, number, refuse_dangerous, refuse_links_out, size,
};
use super::service::{GID_TAG, Service, is_gid};
use super::status::{self, Facts};
use crate::{Job, JobId, JobState, JobStatus, Jobs, Kind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::hash_map::Entry;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Methods that are offered.
const METHODS: [&str; 36] = [
    "aria2.addUri",
    "aria2.addTorrent",
    "aria2.getPeers",
    "aria2.addMetalink",
    "aria2.remove",
    "aria2.pause",
    "aria2.forcePause",
    "aria2.pauseAll",
    "aria2.forcePauseAll",
    "aria2.unpause",
    "aria2.unpauseAll",
    "aria2.forceRemove",
    "aria2.changePosition",
    "aria2.tellStatus",
    "aria2.getUris",
    "aria2.getFiles",
    "aria2.getServers",
    "aria2.tellActive",
    "aria2.tellWaiting",
    "aria2.tellStopped",
    "aria2.getOption",
    "aria2.changeUri",
    "aria2.changeOption",
    "aria2.getGlobalOption",
    "aria2.changeGlobalOption",
    "aria2.purgeDownloadResult",
    "aria2.removeDownloadResult",
    "aria2.getVersion",
    "aria2.getSessionInfo",
    "aria2.shutdown",
    "aria2.forceShutdown",
    "aria2.getGlobalStat",
    "aria2.saveSession",
    "system.multicall",
    "system.listMethods",
    "system.listNotifications",
];

const NOTIFICATIONS: [&str; 5] = [
    "aria2.onDownloadStart",
    "aria2.onDownloadPause",
    "aria2.onDownloadStop",
    "aria2.onDownloadComplete",
    "aria2.onDownloadError",
];

/// Most calls within one.
const MOST_CALLS: usize = 20_000;
/// Largest result of a multicall, in bytes.
pub(super) const LARGEST_ANSWER: usize = 32 << 20;
pub(super) const UNAUTHORIZED: &str = "Unauthorized";

/// Jobs that are changed together.
const PAGE: usize = 1000;

/// Most jobs listed by one call.
const MOST_LISTED: usize = 10_000;

type Outcome = Result<Value, Fault>;

/// Parameters of a call, without the secret.
struct Params(std::vec::IntoIter<Value>);

impl Params {
    fn next(&mut self) -> Option<Value> {
        self.0.next()
    }

    fn text(&mut self) -> Result<String, Fault> {
        match self.next() {
            Some(Value::String(text)) => Ok(text),
            _ => Err(Fault::failed("The parameter at this place is a string.")),
        }
    }

    fn integer(&mut self) -> Result<i64, Fault> {
        let value = self.next();
        value
            .as_ref()
            .and_then(Value::as_i64)
            .ok_or_else(|| Fault::failed("The parameter at this place is an integer."))
    }

    fn strings(&mut self) -> Result<Vec<String>, Fault> {
        let wrong = || Fault::failed("The parameter at this place is an array of strings.");
        match self.next() {
            None => Ok(Vec::new()),
            Some(Value::Array(all)) => {
                all.into_iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    fn options(&mut self) -> Result<Map<String, Value>, Fault> {
        match self.next() {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(options)) => Ok(options),
            Some(_) => Err(Fault::failed("The options are an object.")),
        }
    }
}

impl Service {
    /// Answers a call. `trusted` callers need no secret.
    pub(super) async fn answer(self: &Arc<Self>, call: Call, trusted: bool) -> Outcome {
        let Call { method, params, .. } = call;
        match &method[..] {
            "system.listMethods" => return Ok(json!(&METHODS[..])),
            "system.listNotifications" => return Ok(json!(NOTIFICATIONS)),
            "system.multicall" => return Box::pin(self.multicall(params, trusted)).await,
            _ => {}
        }
        let (token, params) = split_token(params);
        if !trusted && !self.access.is_right(token.as_deref()) {
            // Its memory is free while it waits for its turn.
            drop(params);
            self.access.slow_down().await;
            return Err(unauthorized());
        }
        self.dispatch(&method, Params(params.into_iter())).await
    }

    async fn multicall(self: &Arc<Self>, params: Vec<Value>, trusted: bool) -> Outcome {
        let Some(Value::Array(calls)) = params.into_iter().next() else {
            return Err(Fault::failed("system.multicall takes an array of calls."));
        };
        if calls.len() > MOST_CALLS {
            return Err(Fault::failed(format!("system.multicall takes {MOST_CALLS} calls at most.")));
        }
        // The secret of the first call is that of a caller; one wrong secret is enough to be slowed down for.
        let token = calls.first().and_then(|call| call["params"][0].as_str());
        if !trusted && !calls.is_empty() && !self.access.is_right(token) {
            let count = calls.len();
            drop(calls);
            self.access.slow_down().await;
            return Ok(vec![unauthorized().object(); count].into());
        }
        if calls.iter().all(|call| call["methodName"] == "aria2.addUri") {
            // Each waits until it is recorded; together they are recorded at once, in this order.
            let all = calls.into_iter().map(|call| self.nested(call, trusted));
            return Ok(all_of(all).await.into());
        }
        let mut results = Vec::with_capacity(calls.len());
        let (mut is_refused, mut length) = (false, 0);
        for call in calls {
            let result = if is_refused { unauthorized().object() } else { self.nested(call, trusted).await };
            is_refused |= result["message"] == UNAUTHORIZED;
            length += result.to_string().len();
            if length > LARGEST_ANSWER {
                return Err(Fault::failed("The results are too large; make fewer calls at once."));
            }
            results.push(result);
        }
        Ok(results.into())
    }

    async fn nested(self: &Arc<Self>, call: Value, trusted: bool) -> Value {
        let (Some(method), params) = (call["methodName"].as_str(), call.get("params")) else {
            return Fault::failed("methodName is missing.").object();
        };
        if method == "system.multicall" {
            return Fault::failed("Recursive system.multicall forbidden.").object();
        }
        let params = params.and_then(Value::as_array).cloned().unwrap_or_default();
        let call = Call { id: Value::Null, method: method.to_owned(), params };
        match Box::pin(self.answer(call, trusted)).await {
            Ok(result) => json!([result]),
            Err(fault) => fault.object(),
        }
    }

    async fn dispatch(self: &Arc<Self>, method: &str, mut params: Params) -> Outcome {
        match method {
            "aria2.addUri" => self.add_uri(params).await,
            "aria2.addMetalink" => self.add_metalink(params).await,
            "aria2.addTorrent" => Err(Fault::failed("BitTorrent is not supported.")),
            "aria2.getPeers" => Ok(json!([])),
            "aria2.pause" | "aria2.forcePause" => {
                let (id, gid) = self.job(&mut params)?;
                self.queue.pause(id).await.map_err(|_| cannot("paused", &gid))?;
                Ok(gid.into())
            }
            "aria2.unpause" => {
                let (id, gid) = self.job(&mut params)?;
                self.queue.resume(id).await.map_err(|_| cannot("unpaused", &gid))?;
                Ok(gid.into())
            }
            "aria2.pauseAll" | "aria2.forcePauseAll" => self.each(JobState::Paused).await,
            "aria2.unpauseAll" => self.each(JobState::Running).await,
            "aria2.remove" | "aria2.forceRemove" => self.remove(params).await,
            "aria2.removeDownloadResult" => self.remove_result(params).await,
            "aria2.purgeDownloadResult" => {
                for status in self.queue.ended().await {
                    let _ = self.queue.remove(status.id).await;
                }
                let removed = std::mem::take(&mut self.state().removed);
                removed.iter().for_each(|(id, _)| self.forget(*id));
                Ok("OK".into())
            }
            "aria2.tellStatus" => {
                let (status, gid) = match self.status(&mut params).await {
                    Ok(found) => found,
                    Err((fault, gid)) => return self.removed_status(&gid).ok_or(fault),
                };
                let keys = params.strings()?;
                Ok(self.object(&status, &gid, &keys))
            }
            "aria2.tellActive" => {
                let keys = params.strings()?;
                let running = self.queue.running().await;
                let active = running.iter().filter(|status| status.state == JobState::Running);
                Ok(active.map(|status| self.object(status, &self.gid(status.id), &keys)).collect())
            }
            "aria2.tellWaiting" => self.tell_waiting(params).await,
            "aria2.tellStopped" => self.tell_stopped(params).await,
            "aria2.getFiles" => {
                let (status, _) = self.status(&mut params).await.map_err(|(fault, _)| fault)?;
                Ok(status::files(&status, self.path(&status).as_deref()))
            }
            "aria2.getUris" => {
                let (status, _) = self.status(&mut params).await.map_err(|(fault, _)| fault)?;
                Ok(status::uris(&status))
            }
            "aria2.getServers" => self.servers(params).await,
            "aria2.getOption" => self.get_option(params).await,
            "aria2.changeOption" => self.change_option(params).await,
            "aria2.changeUri" => self.change_uri(params).await,
            "aria2.changePosition" => self.change_position(params).await,
            "aria2.getGlobalOption" => Ok(self.global_options()),
            "aria2.changeGlobalOption" => self.change_global(params).await,
            "aria2.getGlobalStat" => self.global_stat().await,
            "aria2.getVersion" => Ok(json!({ "version": VERSION, "enabledFeatures": FEATURES })),
            "aria2.getSessionInfo" => Ok(json!({ "sessionId": self.session })),
            // Everything is recorded as it happens.
            "aria2.saveSession" => Ok("OK".into()),
            "aria2.shutdown" | "aria2.forceShutdown" => {
                self.stop();
                Ok("OK".into())
            }
            _ => Err(Fault::unknown_method(method)),
        }
    }

    // ---- adding --------------------------------------------------------------------------------------

    async fn add_uri(self: &Arc<Self>, mut params: Params) -> Outcome {
        let uris = params.strings()?;
        let given = params.options()?;
        let position = position(&mut params)?;
        let id = self.add(asked(&uris, &self.with_global(given), &self.root)?, position).await?;
        Ok(self.gid(id).into())
    }

    async fn add_metalink(self: &Arc<Self>, mut params: Params) -> Outcome {
        let bytes =
            STANDARD.decode(params.text()?).map_err(|_| Fault::failed("The document is no base64."))?;
        let text =
            String::from_utf8(bytes).map_err(|_| Fault::failed("The document is no text in UTF-8."))?;
        let mut given = self.with_global(params.options()?);
        // They can be those of one file only.
        given.retain(|option, _| !is_of_one(option));
        let mut position = position(&mut params)?;
        let files = crate::metalink(&text, None).map_err(|error| Fault::failed(error.to_string()))?;
        let mut gids = Vec::new();
        for file in files {
            let mut asked = asked(std::slice::from_ref(&file.job.url), &given, &self.root)?;
            let is_proven = file.job.is_proven();
            let Job { name, digests, pieces, mirrors, size, named_by, .. } = file.job;
            asked.gid = None;
            asked.job.mirrors = if is_proven { mirrors } else { Vec::new() };
            (asked.job.name, asked.job.digests, asked.job.pieces) = (name, digests, pieces);
            asked.job.size = size;
            asked.job.named_by = named_by;
            let id = self.add(asked, position).await?;
            position = position.map(|index| index + 1);
            gids.push(Value::from(self.gid(id)));
        }
        Ok(gids.into())
    }

    async fn add(self: &Arc<Self>, asked: ParsedJob, position: Option<usize>) -> Result<JobId, Fault> {
        let ParsedJob { job, paused, gid, unknown } = asked;
        self.tell_unknown(&unknown);
        let gid = gid.map(|gid| gid.to_ascii_lowercase());
        let mut job = job;
        if let Some(gid) = &gid {
            self.reserve(gid)?;
            job.tags.insert(GID_TAG.to_owned(), gid.clone());
        }
        let added = self.add_reserved(job, position, paused).await;
        if let Some(gid) = gid {
            match &added {
                Ok(id) => self.name(*id, gid),
                Err(_) => drop(self.state().gids.remove(&gid)),
            }
        }
        added
    }

    /// Takes an identifier that a client chose, before the job that it is for is added.
    fn reserve(&self, gid: &str) -> Result<(), Fault> {
        let refused = || Fault::failed(format!("GID {gid} is invalid or in use."));
        // Those of the queue count from 1, so the first half of a small number is theirs.
        if !is_gid(gid) || gid.starts_with("00000000") {
            return Err(refused());
        }
        match self.state().gids.entry(gid.to_owned()) {
            Entry::Occupied(_) => Err(refused()),
            Entry::Vacant(free) => {
                free.insert(None);
                Ok(())
            }
        }
    }

    async fn add_reserved(&self, job: Job, position: Option<usize>, paused: bool) -> Result<JobId, Fault> {
        let path = {
            let defaults = self.state().defaults.clone();
            let request =
                crate::resolve(&job, &defaults).map_err(|invalid| Fault::failed(invalid.to_string()))?;
            request.planned_path().unwrap_or_else(|| self.root.clone())
        };
        refuse_links_out(&self.root, &path)?;
        let id = self.queue.add_at(job, position, paused).await;
        id.map_err(|error| Fault::failed(error.to_string()))
    }

    /// Options of a call, and those for all jobs where it says nothing.
    fn with_global(&self, given: Map<String, Value>) -> Map<String, Value> {
        let mut all = self.state().global.clone();
        all.retain(|key, _| is_of_each(key));
        all.extend(given);
        // The root may have been written with a link in it.
        let below = all.get("dir").and_then(Value::as_str).and_then(|dir| {
            Some(self.root.join(std::path::Path::new(dir).strip_prefix(&self.given_root).ok()?))
        });
        if let Some(dir) = below {
            all.insert("dir".to_owned(), dir.to_string_lossy().into());
        }
        all
    }

    // ---- finding -------------------------------------------------------------------------------------

    /// Job of a GID, or of the beginning of one that no other has.
    fn job(&self, params: &mut Params) -> Result<(JobId, String), Fault> {
        let gid = params.text()?;
        let chosen = self.state().gids.get(&gid.to_ascii_lowercase()).copied();
        if let Some(Some(id)) = chosen {
            return Ok((id, gid));
        }
        if gid.is_empty() || gid.len() > 16 || !gid.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Fault::failed(format!("Invalid GID {gid}")));
        }
        let id = gid.parse().map_err(|_| not_found(&gid))?;
        Ok((id, gid))
    }

    async fn status(&self, params: &mut Params) -> Result<(JobStatus, String), (Fault, String)> {
        let (id, gid) = self.job(params).map_err(|fault| (fault, String::new()))?;
        match self.queue.status(id).await {
            Some(status) => Ok((status, self.gid(id))),
            None => Err((not_found(&gid), gid)),
        }
    }

    fn removed_status(&self, gid: &str) -> Option<Value> {
        let state = self.state();
        state.removed.iter().rev().map(|(_, status)| status).find(|status| status["gid"] == gid).cloned()
    }

    fn object(&self, status: &JobStatus, gid: &str, keys: &[String]) -> Value {
        let facts = Facts { gid, path: self.path(status), root: &self.root };
        status::object(status, &facts, Some(keys).filter(|keys| !keys.is_empty()))
    }

    // ---- changing ------------------------------------------------------------------------------------

    /// Pauses or resumes every job that has not ended.
    async fn each(&self, wanted: JobState) -> Outcome {
        let applies = |status: &JobStatus| (status.state == JobState::Paused) != (wanted == JobState::Paused);
        let change = |id: JobId| async move {
            // One that has ended meanwhile needs nothing.
            let _ = match wanted {
                JobState::Paused => self.queue.pause(id).await,
                _ => self.queue.resume(id).await,
            };
            Value::Null
        };
        let running = self.queue.running().await;
        all_of(running.iter().filter(|status| applies(status)).map(|status| change(status.id))).await;
        // Page by page, each recorded together.
        let mut index = 0;
        loop {
            let page = self.queue.waiting(index, PAGE).await;
            all_of(page.iter().filter(|status| applies(status)).map(|status| change(status.id))).await;
            index += page.len();
            if page.len() < PAGE {
                return Ok("OK".into());
            }
        }
    }

    /// Number of jobs in the waiting queue, and of those that were paused after they had begun.
    async fn queued(&self) -> (usize, usize) {
        let running = self.queue.running().await;
        let begun = running.iter().filter(|status| status.state == JobState::Paused).count();
        let totals = self.queue.totals().await;
        (totals.waiting + totals.paused.saturating_sub(begun), begun)
    }

    async fn remove(&self, mut params: Params) -> Outcome {
        let (status, gid) = self.status(&mut params).await.map_err(|(fault, _)| fault)?;
        if matches!(status.state, JobState::Done | JobState::Failed) {
            return Err(cannot("removed", &gid));
        }
        let mut last = self.object(&status, &gid, &[]);
        last["status"] = "removed".into();
        last["downloadSpeed"] = "0".into();
        last["connections"] = "0".into();
        self.keep_removed(status.id, last);
        self.queue.remove(status.id).await.map_err(|error| Fault::failed(error.to_string()))?;
        Ok(gid.into())
    }

    async fn remove_result(&self, mut params: Params) -> Outcome {
        let (id, gid) = self.job(&mut params)?;
        let before = self.state().removed.len();
        self.state().removed.retain(|(_, status)| status["gid"] != gid);
        if self.state().removed.len() < before {
            self.forget(id);
            return Ok("OK".into());
        }
        match self.queue.status(id).await.map(|status| status.state) {
            Some(JobState::Done | JobState::Failed) => {
                self.queue.remove(id).await.map_err(|error| Fault::failed(error.to_string()))?;
                Ok("OK".into())
            }
            _ => Err(Fault::failed(format!("Could not remove download result of GID#{gid}"))),
        }
    }

    async fn change_position(&self, mut params: Params) -> Outcome {
        let (status, gid) = self.status(&mut params).await.map_err(|(fault, _)| fault)?;
        let (offset, how) = (params.integer()?, params.text()?);
        let count = i64::try_from(self.queued().await.0).unwrap_or(i64::MAX);
        let index = status.index.and_then(|index| i64::try_from(index).ok());
        let Some(index) = index else {
            return Err(Fault::failed(format!("GID#{gid} not found in the waiting queue.")));
        };
        let wanted = match &how[..] {
            "POS_SET" => offset,
            "POS_CUR" => index.saturating_add(offset),
            "POS_END" => (count - 1).saturating_add(offset),
            _ => return Err(Fault::failed("Illegal argument: POS_SET, POS_CUR or POS_END.")),
        };
        let wanted = wanted.clamp(0, (count - 1).max(0));
        let place = usize::try_from(wanted).unwrap_or(0);
        self.queue.move_to(status.id, place).await.map_err(|error| Fault::failed(error.to_string()))?;
        Ok(wanted.into())
    }

    async fn change_option(&self, mut params: Params) -> Outcome {
        let (status, gid) = self.status(&mut params).await.map_err(|(fault, _)| fault)?;
        let (change, unheard) = options::change(&status.job, &params.options()?)?;
        self.tell_unknown(&unheard);
        let changed = self.queue.change_job(status.id, change).await;
        changed.map_err(|error| match error.kind() {
            Kind::Usage => Fault::failed(error.to_string()),
            _ => Fault::failed(format!("Cannot change option for GID#{gid}")),
        })?;
        Ok("OK".into())
    }

    async fn get_option(&self, mut params: Params) -> Outcome {
        let (status, _) = self.status(&mut params).await.map_err(|(fault, _)| fault)?;
        let mut all = options::without_secrets(&self.state().global);
        all.extend(options::kept(&status.job));
        all.entry("dir").or_insert_with(|| self.root.to_string_lossy().into());
        Ok(Value::Object(texts(all)))
    }

    async fn change_uri(&self, mut params: Params) -> Outcome {
        let (id, gid) = self.job(&mut params)?;
        if params.integer()? != 1 {
            return Err(Fault::failed("fileIndex is out of range"));
        }
        let (gone, added) = (params.strings()?, params.strings()?);
        let Some(control) = self.queue.control(id).await else {
            return Err(Fault::failed(format!("GID#{gid} does not run, so its URIs cannot be changed.")));
        };
        let count =
            |urls: &[String], change: &dyn Fn(&str) -> bool| urls.iter().filter(|url| change(url)).count();
        let taken = count(&added, &|url| control.add_source(url).is_ok());
        let left = count(&gone, &|url| control.remove_source(url).is_ok());
        Ok(json!([left, taken]))
    }

    async fn servers(&self, mut params: Params) -> Outcome {
        let (status, gid) = self.status(&mut params).await.map_err(|(fault, _)| fault)?;
        let Some(progress) = status.progress.as_ref().filter(|_| status.state == JobState::Running) else {
            return Err(Fault::failed(format!("No active download for GID#{gid}")));
        };
        let uri = status::uris(&status)[0]["uri"].clone();
        let count = progress.connections.len();
        let each = progress.rate.unwrap_or(0.0) as u64 / count.max(1) as u64;
        let server = json!({ "uri": uri, "currentUri": uri, "downloadSpeed": each.to_string() });
        Ok(json!([{ "index": "1", "servers": vec![server; count] }]))
    }

    // ---- lists ---------------------------------------------------------------------------------------

    async fn tell_waiting(&self, mut params: Params) -> Outcome {
        let (offset, count) = (params.integer()?, params.integer()?);
        let keys = params.strings()?;
        // Paused ones that have begun come first.
        let running = self.queue.running().await;
        let begun: Vec<_> = running.into_iter().filter(|status| status.state == JobState::Paused).collect();
        let totals = self.queue.totals().await;
        let all = begun.len() + totals.waiting + totals.paused.saturating_sub(begun.len());
        let (from, count, backwards) = slice(offset, count, all);
        let mut listed: Vec<_> = begun.iter().skip(from).take(count).cloned().collect();
        let rest = count - listed.len();
        listed.extend(self.queue.waiting(from.saturating_sub(begun.len()), rest).await);
        if backwards {
            listed.reverse();
        }
        Ok(listed.iter().map(|status| self.object(status, &self.gid(status.id), &keys)).collect())
    }

    async fn tell_stopped(&self, mut params: Params) -> Outcome {
        let (offset, count) = (params.integer()?, params.integer()?);
        let keys = params.strings()?;
        let ended = self.queue.ended().await;
        let removed: Vec<_> = self.state().removed.iter().map(|(_, status)| status.clone()).collect();
        let (from, count, backwards) = slice(offset, count, ended.len() + removed.len());
        let of_ended = ended.iter().skip(from).take(count);
        let mut listed: Vec<_> =
            of_ended.map(|status| self.object(status, &self.gid(status.id), &keys)).collect();
        let rest = count - listed.len();
        let only_wanted = |mut status: Value| {
            if let (Value::Object(object), false) = (&mut status, keys.is_empty()) {
                object.retain(|key, _| keys.contains(key));
            }
            status
        };
        listed.extend(removed.into_iter().skip(from.saturating_sub(ended.len())).take(rest).map(only_wanted));
        if backwards {
            listed.reverse();
        }
        Ok(listed.into())
    }

    async fn global_stat(&self) -> Outcome {
        let totals = self.queue.totals().await;
        let removed = self.state().removed.len();
        let ended_ever =
            self.counters.done.load(Ordering::Relaxed) + self.counters.failed.load(Ordering::Relaxed);
        Ok(json!({
            "downloadSpeed": (totals.rate as u64).to_string(),
            "uploadSpeed": "0",
            "numActive": totals.running.to_string(),
            "numWaiting": (totals.waiting + totals.paused).to_string(),
            "numStopped": (totals.ended + removed).to_string(),
            "numStoppedTotal": ended_ever.max((totals.ended + removed) as u64).to_string(),
        }))
    }

    // ---- options for all -----------------------------------------------------------------------------

    fn global_options(&self) -> Value {
        let mut all = Map::new();
        for (key, value) in [
            ("dir", self.root.to_string_lossy().into_owned()),
            ("max-concurrent-downloads", "4".to_owned()),
            ("max-overall-download-limit", "0".to_owned()),
            ("max-download-limit", "0".to_owned()),
            ("continue", "true".to_owned()),
            ("user-agent", concat!("haul/", env!("CARGO_PKG_VERSION")).to_owned()),
        ] {
            all.insert(key.to_owned(), value.into());
        }
        all.extend(options::without_secrets(&self.state().global));
        Value::Object(texts(all))
    }

    async fn change_global(&self, mut params: Params) -> Outcome {
        let given = params.options()?;
        refuse_dangerous(&given)?;
        if let Some(option) = given.keys().find(|option| is_of_one(option)) {
            return Err(Fault::failed(format!("The option {option} belongs to one job.")));
        }
        // Everything is checked before anything is changed.
        let overall = size(&given, "max-overall-download-limit")?;
        let at_once = number(&given, "max-concurrent-downloads")?;
        let each = options::job_options(&given)?;
        flag(&given, "pause")?;
        let place = asked(&["http://localhost/f".to_owned()], &given, &self.root)?.job.dir;
        if let Some(place) = place {
            refuse_links_out(&self.root, &place)?;
        }
        if let Some(rate) = overall {
            self.queue.limit_rate(NonZeroU64::new(rate)).await;
        }
        if let Some(count) = at_once {
            let count = usize::try_from(count).unwrap_or(usize::MAX).max(1);
            self.queue.set_jobs(Jobs::AtMost(count)).await;
        }
        let defaults = {
            let mut state = self.state();
            state.global.extend(given.clone());
            state.defaults.options = each.or(&state.defaults.options);
            state.defaults.clone()
        };
        self.queue.set_defaults(defaults).await;
        let unknown = options::unknown_of_all(&given);
        self.tell_unknown(&unknown);
        Ok("OK".into())
    }
}

/// Version of aria2 whose interface this is; clients compare it.
const VERSION: &str = "1.37.0";
const FEATURES: [&str; 5] = ["Async DNS", "GZip", "HTTPS", "Message Digest", "Metalink"];

/// Waits for all at once, and gives their results in order.
async fn all_of<F: Future<Output = Value>>(all: impl Iterator<Item = F>) -> Vec<Value> {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    let mut results: Vec<Option<Value>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut left = 0;
        for (future, result) in waiting.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => left += 1,
                }
            }
        }
        if left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}

fn split_token(mut params: Vec<Value>) -> (Option<String>, Vec<Value>) {
    match params.first().and_then(Value::as_str) {
        Some(first) if first.starts_with("token:") => {
            let token = first.to_owned();
            params.remove(0);
            (Some(token), params)
        }
        _ => (None, params),
    }
}

fn position(params: &mut Params) -> Result<Option<usize>, Fault> {
    match params.next() {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let index = value.as_u64().ok_or_else(|| Fault::failed("The position is a number from 0 on."))?;
            Ok(usize::try_from(index).ok())
        }
    }
}

/// First index and number of the wanted entries of a list, and whether they are wanted from the last to the first. A negative offset counts
/// from the end, backwards.
fn slice(offset: i64, count: i64, all: usize) -> (usize, usize, bool) {
    let count = usize::try_from(count).unwrap_or(0).min(MOST_LISTED);
    if let Ok(offset) = usize::try_from(offset) {
        return (offset, count.min(all.saturating_sub(offset)), false);
    }
    let from_end = usize::try_from(offset.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let end = all.saturating_sub(from_end);
    let count = count.min(end);
    (end - count, count, true)
}

/// Values as strings, as aria2 gives them.
fn texts(options: Map<String, Value>) -> Map<String, Value> {
    let text_of = |(key, value): (String, Value)| {
        let value = match value {
            Value::Array(lines) => {
                lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n").into()
            }
            Value::String(text) => Value::String(text),
            other => other.to_string().into(),
        };
        (key, value)
    };
    options.into_iter().map(text_of).collect()
}

fn unauthorized() -> Fault {
    Fault::failed(UNAUTHORIZED)
}

fn not_found(gid: &str) -> Fault {
    Fault::failed(format!("GID {gid} is not found"))
}

fn cannot(what: &str, gid: &str) -> Fault {
    Fault::failed(format!("GID#{gid} cannot be {what} now"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_offset_counts_from_the_end_backwards() {
        for (offset, count, all, expected) in [
            (0, 2, 5, (0, 2, false)),
            (3, 9, 5, (3, 2, false)),
            (9, 9, 5, (9, 0, false)),
            (-1, 2, 5, (3, 2, true)),
            (-3, 2, 5, (1, 2, true)),
            (-1, 99, 5, (0, 5, true)),
            (-9, 2, 5, (0, 0, true)),
            (0, -1, 5, (0, 0, false)),
        ] {
            assert_eq!(slice(offset, count, all), expected, "{offset} {count}");
        }
    }

    #[test]
    fn a_token_is_taken_from_the_parameters() {
        let (token, rest) = split_token(vec![json!("token:x"), json!("gid")]);
        assert_eq!((token.as_deref(), rest), (Some("token:x"), vec![json!("gid")]));
        let (token, rest) = split_token(vec![json!("gid")]);
        assert_eq!((token, rest.len()), (None, 1));
    }
}
