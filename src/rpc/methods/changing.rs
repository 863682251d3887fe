//! Methods that change jobs, or the options of all.

use super::super::answer::Fault;
use super::super::options::{self, asked, flag, is_of_one, number, refuse_dangerous, refuse_links_out, size};
use super::super::service::Service;
use super::Outcome;
use super::params::Params;
use crate::{JobId, JobState, JobStatus, Jobs, Kind};
use serde_json::{Map, Value, json};
use std::num::NonZeroU64;

/// Jobs that are changed together.
const PAGE: usize = 1000;

impl Service {
    /// Pauses or resumes every job that has not ended.
    pub(super) async fn each(&self, wanted: JobState) -> Outcome {
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
    pub(super) async fn queued(&self) -> (usize, usize) {
        let running = self.queue.running().await;
        let begun = running.iter().filter(|status| status.state == JobState::Paused).count();
        let totals = self.queue.totals().await;
        (totals.waiting + totals.paused.saturating_sub(begun), begun)
    }

    pub(super) async fn remove(&self, mut params: Params) -> Outcome {
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

    pub(super) async fn remove_result(&self, mut params: Params) -> Outcome {
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

    pub(super) async fn change_position(&self, mut params: Params) -> Outcome {
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

    pub(super) async fn change_option(&self, mut params: Params) -> Outcome {
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

    pub(super) async fn get_option(&self, mut params: Params) -> Outcome {
        let (status, _) = self.status(&mut params).await.map_err(|(fault, _)| fault)?;
        let mut all = options::without_secrets(&self.state().global);
        all.extend(options::kept(&status.job));
        all.entry("dir").or_insert_with(|| self.root.to_string_lossy().into());
        Ok(Value::Object(texts(all)))
    }

    pub(super) async fn change_uri(&self, mut params: Params) -> Outcome {
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

    pub(super) fn global_options(&self) -> Value {
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

    pub(super) async fn change_global(&self, mut params: Params) -> Outcome {
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

pub(super) fn cannot(what: &str, gid: &str) -> Fault {
    Fault::failed(format!("GID#{gid} cannot be {what} now"))
}

/// Waits for all at once, and gives their results in order.
pub(super) async fn all_of<F: Future<Output = Value>>(all: impl Iterator<Item = F>) -> Vec<Value> {
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
