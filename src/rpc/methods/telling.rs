//! Methods that tell of jobs.

use super::super::answer::Fault;
use super::super::service::{RemovedJob, Service};
use super::super::status::{self, Facts};
use super::Outcome;
use super::params::Params;
use crate::{JobId, JobState, JobStatus};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// Most jobs listed by one call.
const MOST_LISTED: usize = 10_000;

impl Service {
    pub(super) async fn tell_waiting(&self, mut params: Params) -> Outcome {
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

    pub(super) async fn tell_stopped(&self, mut params: Params) -> Outcome {
        let (offset, count) = (params.integer()?, params.integer()?);
        let keys = params.strings()?;
        let ended = self.queue.ended().await;
        let state = self.state();
        let after: Vec<_> = state.removed.iter().map(|removed| removed.after).collect();
        let order = in_order(&ended.iter().map(|status| status.id).collect::<Vec<_>>(), &after);
        let (from, count, backwards) = slice(offset, count, order.len());
        let wanted: Vec<_> = order.into_iter().skip(from).take(count).collect();
        let removed: Vec<_> = wanted
            .iter()
            .map(|one| match one {
                Stopped::Removed(index) => only(&state.removed[*index].object, &keys),
                Stopped::Ended(_) => Value::Null,
            })
            .collect();
        drop(state);
        let told = |(one, removed): (Stopped, Value)| match one {
            Stopped::Ended(index) => self.object(&ended[index], &self.gid(ended[index].id), &keys),
            Stopped::Removed(_) => removed,
        };
        let mut listed: Vec<_> = wanted.into_iter().zip(removed).map(told).collect();
        if backwards {
            listed.reverse();
        }
        Ok(listed.into())
    }

    pub(super) async fn global_stat(&self) -> Outcome {
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

    pub(super) async fn servers(&self, mut params: Params) -> Outcome {
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

    pub(super) fn object(&self, status: &JobStatus, gid: &str, keys: &[String]) -> Value {
        let facts = Facts { gid, path: self.path(status), root: &self.root };
        status::object(status, &facts, Some(keys).filter(|keys| !keys.is_empty()))
    }

    pub(super) async fn status(&self, params: &mut Params) -> Result<(JobStatus, String), (Fault, String)> {
        let (id, gid) = self.job(params).map_err(|fault| (fault, String::new()))?;
        match self.queue.status(id).await {
            Some(status) => Ok((status, self.gid(id))),
            None => Err((not_found(&gid), gid)),
        }
    }

    /// Something of a removed job.
    pub(super) fn removed_job<T>(&self, gid: &str, of: impl FnOnce(&RemovedJob) -> T) -> Option<T> {
        let state = self.state();
        let gid = gid.to_ascii_lowercase();
        state.removed.iter().rev().find(|removed| removed.object["gid"] == gid).map(of)
    }

    /// Status of a job, of one that was removed as it was last.
    pub(super) async fn listed(&self, params: &mut Params) -> Result<JobStatus, Fault> {
        match self.status(params).await {
            Ok((status, _)) => Ok(status),
            Err((fault, gid)) => self.removed_job(&gid, |removed| removed.status.clone()).ok_or(fault),
        }
    }

    /// Job of a GID, or of the beginning of one that no other has.
    pub(super) fn job(&self, params: &mut Params) -> Result<(JobId, String), Fault> {
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

/// A job that has stopped, by its index among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    Ended(usize),
    Removed(usize),
}

/// Jobs in the order in which they stopped: ended ones, oldest first, and removed ones, each with the job that had ended last by then.
fn in_order(ended: &[JobId], removed_after: &[Option<JobId>]) -> Vec<Stopped> {
    let place = |after: &Option<JobId>| {
        let index = after.and_then(|after| ended.iter().position(|id| *id == after));
        index.map_or(0, |index| index + 1)
    };
    let mut removed: Vec<_> = removed_after.iter().map(place).collect();
    // Jobs that ended before may have left the list since; those left stay in order.
    for index in (1..removed.len()).rev() {
        removed[index - 1] = removed[index - 1].min(removed[index]);
    }
    let mut order = Vec::with_capacity(ended.len() + removed.len());
    let mut removed = removed.into_iter().enumerate().peekable();
    for index in 0..=ended.len() {
        while let Some((at, _)) = removed.next_if(|(_, place)| *place == index) {
            order.push(Stopped::Removed(at));
        }
        if index < ended.len() {
            order.push(Stopped::Ended(index));
        }
    }
    order
}

/// The wanted keys of an object, or all.
pub(super) fn only(object: &Value, keys: &[String]) -> Value {
    let Value::Object(all) = object else {
        return object.clone();
    };
    let wants = |key: &String| keys.is_empty() || keys.contains(key);
    let wanted = all.iter().filter(|(key, _)| wants(key));
    Value::Object(wanted.map(|(key, value)| (key.clone(), value.clone())).collect())
}

fn not_found(gid: &str) -> Fault {
    Fault::failed(format!("GID {gid} is not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_listed_in_the_order_in_which_they_stopped() {
        use Stopped::{Ended, Removed};
        let ids: Vec<JobId> = (1..=2).map(|id| format!("{id}").parse().unwrap()).collect();
        let order = in_order(&ids, &[None, Some(ids[0]), Some(ids[1])]);
        assert_eq!(order, [Removed(0), Ended(0), Removed(1), Ended(1), Removed(2)]);
        // The first one has left the list.
        let order = in_order(&ids[1..], &[None, Some(ids[0]), Some(ids[1])]);
        assert_eq!(order, [Removed(0), Removed(1), Ended(0), Removed(2)]);
        assert_eq!(in_order(&[], &[Some(ids[0]), None]), [Removed(0), Removed(1)]);
    }

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
}
