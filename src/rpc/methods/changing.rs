//! Methods that change jobs, or the options of all.

use super::super::answer::Fault;
use super::super::options::{
    self, asked, flag, is_of_each, is_of_one, positive, refuse_dangerous, refuse_links_out, size,
};
use super::super::service::Service;
use super::Outcome;
use super::params::Params;
use crate::{JobId, JobState, JobStatus, Jobs, Kind};
use serde_json::{Map, Value, json};
use std::num::NonZeroU64;
use std::path::PathBuf;

/// Directory, file and options of a place that a job gets.
type NewPlace = (PathBuf, Option<PathBuf>, Map<String, Value>);

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
        for (key, value) in [
            ("status", "removed"),
            ("downloadSpeed", "0"),
            ("connections", "0"),
            ("errorCode", "31"),
            ("errorMessage", ""),
        ] {
            last[key] = value.into();
        }
        let id = status.id;
        self.keep_removed(status, last);
        self.queue.remove(id).await.map_err(|error| Fault::failed(error.to_string()))?;
        Ok(gid.into())
    }

    pub(super) async fn remove_result(&self, mut params: Params) -> Outcome {
        let (id, gid) = self.job(&mut params)?;
        if self.state().removed.iter().any(|removed| removed.status.id == id) {
            self.state().removed.retain(|removed| removed.status.id != id);
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
        let (queued, _) = self.queued().await;
        // Those that were paused while they ran are listed first, and are counted among the others once they are moved.
        let has_begun = status.index.is_none() && status.state == JobState::Paused;
        let count = i64::try_from(queued + usize::from(has_begun)).unwrap_or(i64::MAX);
        let index = status.index.or(has_begun.then_some(0)).and_then(|index| i64::try_from(index).ok());
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
        let mut given = params.options()?;
        let place = self.changed_place(&status, &mut given)?;
        let (mut change, unheard) = options::change(&status.job, &given)?;
        if let Some((dir, output, kept)) = place {
            (change.dir, change.output) = (Some(dir), Some(output));
            let mut all: Map<String, Value> = change
                .tags
                .get(options::TAG)
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            all.extend(kept);
            change.tags.insert(options::TAG.to_owned(), Value::Object(all).to_string());
        }
        self.tell_unknown(&unheard);
        let changed = self.queue.change_job(status.id, change).await;
        changed.map_err(|error| match error.kind() {
            Kind::Usage => Fault::failed(error.to_string()),
            _ => Fault::failed(format!("Cannot change option for GID#{gid}")),
        })?;
        Ok("OK".into())
    }

    /// Takes `dir` and `out` out of the options that a job is to have, and gives its new place, if it is another one: only a job that has not
    /// begun can have that.
    fn changed_place(
        &self,
        status: &JobStatus,
        given: &mut Map<String, Value>,
    ) -> Result<Option<NewPlace>, Fault> {
        let mut named = Map::new();
        for option in ["dir", "out"] {
            named.extend(given.remove(option).map(|value| (option.to_owned(), value)));
        }
        if named.is_empty() {
            return Ok(None);
        }
        let mut all = options::kept(&status.job);
        all.extend(named.clone());
        let job = asked(std::slice::from_ref(&status.job.url), &self.with_global(all), &self.root)?.job;
        if job.dir == status.job.dir && job.output == status.job.output {
            return Ok(None);
        }
        let has_begun = status.progress.is_some()
            || !matches!(status.state, JobState::Waiting | JobState::Paused)
            || self.path(status).is_some_and(|path| crate::inspect(&path).is_ok());
        if has_begun {
            return Err(Fault::failed(
                "The job has begun, so dir and out stay as they were given; remove it and add it anew.",
            ));
        }
        let path = job.output.as_ref().or(job.dir.as_ref()).unwrap_or(&self.root);
        refuse_links_out(&self.root, path)?;
        Ok(Some((job.dir.unwrap_or_else(|| self.root.clone()), job.output, named)))
    }

    pub(super) async fn get_option(&self, mut params: Params) -> Outcome {
        let status = self.listed(&mut params).await?;
        let mut all = options::usual_of_job();
        let mut global = options::without_secrets(&self.state().global);
        global.retain(|option, _| is_of_each(option));
        all.extend(global);
        all.insert("dir".to_owned(), self.root.to_string_lossy().into());
        all.extend(options::kept(&status.job));
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
        let mut all = options::usual_of_all();
        all.insert("dir".to_owned(), self.root.to_string_lossy().into());
        all.extend(options::without_secrets(&self.state().global));
        Value::Object(texts(all))
    }

    /// Takes over the options for all jobs that clients gave in earlier runs of the daemon, but for those that this run was given.
    pub(crate) async fn restore_options(&self, text: &str) {
        let Ok(Value::Object(mut kept)) = serde_json::from_str(text) else {
            return;
        };
        kept.retain(|option, _| !self.state().global.contains_key(option));
        if let Err(fault) = self.change_all(kept).await {
            self.warn(&format!("options of an earlier run are left out: {}", fault.message));
        }
    }

    pub(super) async fn change_global(&self, mut params: Params) -> Outcome {
        let outcome = self.change_all(params.options()?).await?;
        if let Some(save) = self.save_options.clone() {
            let text = Value::Object(self.state().given.clone()).to_string();
            let saved = crate::threads::offload(move || save(&text)).await;
            let failed = |why: String| Fault::failed(format!("The options hold, and are not kept: {why}"));
            saved.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        }
        Ok(outcome)
    }

    async fn change_all(&self, given: Map<String, Value>) -> Outcome {
        refuse_dangerous(&given)?;
        if let Some(option) = given.keys().find(|option| is_of_one(option)) {
            return Err(Fault::failed(format!("The option {option} belongs to one job.")));
        }
        // Everything is checked before anything is changed.
        let overall = size(&given, "max-overall-download-limit")?;
        let at_once = positive(&given, "max-concurrent-downloads")?;
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
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            self.queue.set_jobs(Jobs::AtMost(count)).await;
        }
        let defaults = {
            let mut state = self.state();
            state.global.extend(given.clone());
            state.given.extend(given.clone());
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
