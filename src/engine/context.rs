//! State that all downloads of a client share: settings, connections, slots, and what is known of hosts.

use super::credentials;
use super::hosts::Hosts;
use super::limit::Limit;
use super::request::Request;
use super::settings::ClientSettings;
use super::slots::Slots;
use crate::destination::SmallFiles;
use crate::destination::inspect::DirectorySeen;
use crate::error::Error;
use crate::plan::Address;
use crate::transport::{Exchange, Requester, Route, Yielder};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// See the module.
pub(crate) struct Context {
    pub(crate) settings: ClientSettings,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) slots: Slots,
    pub(crate) hosts: Hosts,
    pub(crate) small_files: SmallFiles,
    pub(crate) limit: Arc<Limit>,
    pub(crate) yielder: Option<Arc<Yielder>>,
    /// Directory of the last file: lists mostly save into one directory.
    pub(crate) directory_seen: Arc<Mutex<DirectorySeen>>,
}

impl Context {
    /// One requester per source. All follow the same rule: a secret reaches the origin it was given for. So a mirror
    /// gets the secrets of the URL only if it has the same origin.
    pub(crate) fn requesters(&self, request: &Request) -> Result<Vec<Requester>, Error> {
        request.check_digests()?;
        request.check_mirrors()?;
        let secrets = credentials::secrets(request, &self.settings.user_agent)?;
        // Only the URL itself can be renewed.
        let renewals = std::iter::once(request.renewal.clone()).chain(std::iter::repeat(None));
        let sources = request.sources().zip(secrets).zip(renewals);
        let paused = Arc::new(watch::channel(None).0);
        let many = Arc::new(AtomicBool::new(false));
        let requester = |((address, secrets), renewal): ((&Address, _), _)| Requester {
            exchange: self.exchange.clone(),
            route: Arc::new(Route::new(address.clone(), renewal)),
            secrets,
            reached: Arc::new(watch::channel(None).0),
            part: request.part(),
            proxy: request.proxy.clone(),
            timeouts: request.patience.timeouts(self.settings.timeouts()),
            paused: paused.clone(),
            many: many.clone(),
        };
        Ok(sources.map(requester).collect())
    }
}
