//! The methods of aria2's JSON-RPC.

mod adding;
mod changing;
mod params;
mod telling;

use super::answer::{Call, Fault};
use super::caller::Caller;
use super::service::Service;
use super::status;
use crate::JobState;
use changing::{all_of, cannot};
use params::{Params, split_token};
use serde_json::{Value, json};
use std::sync::Arc;
use telling::only;

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

type Outcome = Result<Value, Fault>;

/// Returns true for a method that says nothing of the daemon, or whose calls carry a secret each.
pub(super) fn needs_no_secret(method: &str) -> bool {
    matches!(method, "system.listMethods" | "system.listNotifications" | "system.multicall")
}

impl Service {
    /// Answers a call. Trusted callers need no secret.
    pub(super) async fn answer(self: &Arc<Self>, call: Call, caller: &Caller) -> Outcome {
        let Call { method, params, .. } = call;
        match &method[..] {
            "system.listMethods" => return Ok(json!(&METHODS[..])),
            "system.listNotifications" => return Ok(json!(NOTIFICATIONS)),
            "system.multicall" => return Box::pin(self.multicall(params, caller)).await,
            _ => {}
        }
        let (token, params) = split_token(params);
        if !caller.trusted && !self.access.is_right(token.as_deref()) {
            // Its memory is free while it waits for its turn.
            drop(params);
            self.access.slow_down().await;
            return Err(unauthorized());
        }
        caller.introduce();
        self.dispatch(&method, Params(params.into_iter())).await
    }

    async fn multicall(self: &Arc<Self>, params: Vec<Value>, caller: &Caller) -> Outcome {
        let Some(Value::Array(calls)) = params.into_iter().next() else {
            return Err(Fault::failed("system.multicall takes an array of calls."));
        };
        if calls.len() > MOST_CALLS {
            return Err(Fault::failed(format!("system.multicall takes {MOST_CALLS} calls at most.")));
        }
        let admitted = self.admitted(&calls, caller);
        if admitted.contains(&false) {
            // All together are one attempt to guess the secret.
            self.access.slow_down().await;
        }
        let only_adds = calls.iter().all(|call| call["methodName"] == "aria2.addUri");
        let calls = calls.into_iter().zip(admitted);
        if only_adds {
            // Each waits until it is recorded; together they are recorded at once, in this order.
            let all = calls.map(|(call, is_admitted)| self.nested(call, is_admitted, caller));
            return Ok(all_of(all).await.into());
        }
        let mut results = Vec::with_capacity(calls.len());
        let mut length = 0;
        for (call, is_admitted) in calls {
            let result = self.nested(call, is_admitted, caller).await;
            length += result.to_string().len();
            if length > LARGEST_ANSWER {
                return Err(Fault::failed("The results are too large; make fewer calls at once."));
            }
            results.push(result);
        }
        Ok(results.into())
    }

    /// Returns for each call whether its secret is right. Only the first secret of all is compared with the right one: a call with another
    /// one fails, so that many calls are no more guesses than one.
    fn admitted(&self, calls: &[Value], caller: &Caller) -> Vec<bool> {
        let is_open = |call: &Value| call["methodName"].as_str().is_none_or(needs_no_secret);
        let given = |call: &Value| {
            let first = call["params"][0].as_str().filter(|first| first.starts_with("token:"));
            first.map(str::to_owned)
        };
        if caller.trusted || self.access.is_right(None) {
            return vec![true; calls.len()];
        }
        let secret = calls.iter().filter(|call| !is_open(call)).find_map(given);
        let is_right = self.access.is_right(secret.as_deref());
        calls.iter().map(|call| is_open(call) || (is_right && given(call) == secret)).collect()
    }

    async fn nested(self: &Arc<Self>, call: Value, is_admitted: bool, caller: &Caller) -> Value {
        let (Some(method), params) = (call["methodName"].as_str(), call.get("params")) else {
            return Fault::failed("methodName is missing.").object();
        };
        if method == "system.multicall" {
            return Fault::failed("Recursive system.multicall forbidden.").object();
        }
        if !is_admitted {
            return unauthorized().object();
        }
        let params = params.and_then(Value::as_array).cloned().unwrap_or_default();
        let call = Call { id: Value::Null, method: method.to_owned(), params };
        match Box::pin(self.answer(call, caller)).await {
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
                removed.iter().for_each(|removed| self.forget(removed.status.id));
                Ok("OK".into())
            }
            "aria2.tellStatus" => {
                let (status, gid) = match self.status(&mut params).await {
                    Ok(found) => found,
                    Err((fault, gid)) => {
                        let keys = params.strings()?;
                        return self.removed_job(&gid, |removed| only(&removed.object, &keys)).ok_or(fault);
                    }
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
            "aria2.getFiles" => match self.status(&mut params).await {
                Ok((status, _)) => Ok(status::files(&status, self.path(&status).as_deref())),
                Err((fault, gid)) => {
                    self.removed_job(&gid, |removed| removed.object["files"].clone()).ok_or(fault)
                }
            },
            "aria2.getUris" => {
                let status = self.listed(&mut params).await?;
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
            "aria2.saveSession" => {
                // Everything is recorded as it happens; a list is for others.
                self.save_list().await.map_err(|error| Fault::failed(error.to_string()))?;
                Ok("OK".into())
            }
            "aria2.shutdown" | "aria2.forceShutdown" => {
                self.stop();
                Ok("OK".into())
            }
            _ => Err(Fault::unknown_method(method)),
        }
    }
}

/// Version of aria2 whose interface this is; clients compare it.
const VERSION: &str = "1.37.0";
const FEATURES: [&str; 5] = ["Async DNS", "GZip", "HTTPS", "Message Digest", "Metalink"];

fn unauthorized() -> Fault {
    Fault::failed(UNAUTHORIZED)
}
