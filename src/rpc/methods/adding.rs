//! Methods that add jobs.

use super::super::answer::Fault;
use super::super::options::{ParsedJob, asked, is_of_each, is_of_one, refuse_links_out, text};
use super::super::service::{GID_TAG, Service, is_gid};
use super::super::{cookies, list};
use super::Outcome;
use super::params::{Params, position};
use crate::{Job, JobId, JobStatus};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

impl Service {
    pub(super) async fn add_uri(self: &Arc<Self>, mut params: Params) -> Outcome {
        let uris = params.strings()?;
        let mut given = params.options()?;
        let position = position(&mut params)?;
        let jar = text(&given, "load-cookies")?;
        given.remove("load-cookies");
        let mut asked = asked(&uris, &self.with_global(given), &self.root)?;
        if let Some(path) = jar.filter(|path| !path.is_empty()) {
            let (root, url) = (self.root.clone(), asked.job.url.clone());
            let reading = crate::threads::offload(move || cookies::header(&root, &path, &url));
            let line = reading.await.map_err(|error| Fault::failed(error.to_string()))??;
            asked.job.add_headers(line.as_slice()).map_err(|error| Fault::failed(error.to_string()))?;
        }
        let id = self.add(asked, position).await?;
        Ok(self.gid(id).into())
    }

    pub(super) async fn add_metalink(self: &Arc<Self>, mut params: Params) -> Outcome {
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

    /// Adds what a list in aria2's form names, and then the `urls` as one file, or each as a file of its own; what is in the queue already,
    /// by its identifier or its place, is left out.
    pub(crate) async fn add_listed(self: &Arc<Self>, text: &str, files: Vec<Vec<String>>) {
        let listed = list::parse(text).into_iter().chain(files.into_iter().map(|uris| (uris, Map::new())));
        let mut there: HashSet<_> = self.queue.waiting(0, usize::MAX).await.iter().map(place_of).collect();
        there.extend(self.queue.running().await.iter().map(place_of));
        for (uris, options) in listed {
            let shown = uris.first().and_then(|url| crate::Request::new(url).ok());
            let shown = shown.map_or_else(String::new, |request| request.address().to_string());
            let added = match asked(&uris, &self.with_global(options), &self.root) {
                Ok(asked) if there.contains(&(asked.job.url.clone(), asked.job.output.clone())) => continue,
                Ok(asked) if asked.gid.as_ref().is_some_and(|gid| self.state().gids.contains_key(gid)) => {
                    continue;
                }
                Ok(asked) => self.add(asked, None).await.map(drop),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = added {
                self.warn(&format!("{shown} is not added: {}", fault.message));
            }
        }
    }

    pub(super) async fn add(
        self: &Arc<Self>,
        asked: ParsedJob,
        position: Option<usize>,
    ) -> Result<JobId, Fault> {
        let ParsedJob { job, paused, gid, unknown } = asked;
        self.tell_unknown(&unknown);
        let gid = gid.map(|gid| gid.to_ascii_lowercase());
        let mut job = job;
        if let Some(gid) = &gid {
            self.reserve(gid).await?;
            job.tags.insert(GID_TAG.to_owned(), gid.clone());
        }
        let added = self.add_reserved(job, position, paused).await;
        if let Some(gid) = gid {
            match &added {
                Ok(id) => self.name(*id, gid),
                Err(_) => drop(self.state().gids.remove(&gid)),
            }
        } else if let Ok(id) = added {
            self.give_way(id).await;
        }
        added
    }

    /// Takes an identifier that a client chose, before the job that it is for is added.
    pub(super) async fn reserve(&self, gid: &str) -> Result<(), Fault> {
        let refused = || Fault::failed(format!("GID {gid} is invalid or in use."));
        let id: JobId = gid.parse().map_err(|_| refused())?;
        if !is_gid(gid) || gid.bytes().all(|digit| digit == b'0') {
            return Err(refused());
        }
        // Those of the queue count from 1. One that is yet to come gives way.
        let is_shown = !self.state().names.contains_key(&id);
        if gid.starts_with("00000000") && is_shown && self.queue.status(id).await.is_some() {
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

    pub(super) async fn add_reserved(
        &self,
        job: Job,
        position: Option<usize>,
        paused: bool,
    ) -> Result<JobId, Fault> {
        let path = {
            let defaults = self.state().defaults.clone();
            let request =
                crate::resolve(&job, &defaults).map_err(|invalid| Fault::failed(invalid.to_string()))?;
            request.planned_path().unwrap_or_else(|| self.root.clone())
        };
        refuse_links_out(&self.root, &path)?;
        let mut job = job;
        if self.has_removed(&job.url, &path) {
            // The remains of a removed job are given up.
            job.options.restart = Some(true);
        }
        let id = self.queue.add_at(job, position, paused).await;
        id.map_err(|error| Fault::failed(error.to_string()))
    }

    /// Options of a call, and those for all jobs where it says nothing.
    pub(super) fn with_global(&self, given: Map<String, Value>) -> Map<String, Value> {
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
}

/// The URL of a job and its file, as far as it is named.
fn place_of(status: &JobStatus) -> (String, Option<PathBuf>) {
    (status.job.url.clone(), status.job.output.clone())
}
