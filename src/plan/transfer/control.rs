//! Commands of the application to a running transfer: pause and go on, another number of connections, other sources.
//! They stand beside the events (`handle_*`) and the choice of the next command (`poll_command`).

use super::{Allowance, Moment, Stage, Transfer};

/// Reason why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The transfer has ended, or ends now.
    Over,
    /// A pipe could not be continued: the server gives no strong validator.
    WouldLose,
    /// There is no other source.
    LastSource,
    /// The source of wrong bytes is being searched for, among those that there were.
    Searching,
}

impl Transfer {
    /// Stops: connections are closed, everything written is kept, and nothing is requested before [`Transfer::go_on`].
    /// It has stopped once [`Transfer::is_at_rest`].
    ///
    /// # Errors
    /// `Over`, and `WouldLose` for a pipe that could not be continued afterwards.
    pub(crate) fn pause(&mut self) -> Result<(), Refused> {
        if self.is_over() || self.finished || self.is_complete() {
            return Err(Refused::Over);
        }
        // Bytes that flow are counted as written a moment later.
        let flows = self.attempts.values().any(|attempt| attempt.flowing.is_some());
        if !self.policy.may_restart && !self.joinable() && (flows || !self.written.is_empty()) {
            return Err(Refused::WouldLose);
        }
        self.paused = true;
        self.abandon_all();
        Ok(())
    }

    /// Goes on after a pause. Failures from before it do not count any more; a part that must not be joined with later
    /// bytes is fetched again.
    pub(crate) fn go_on(&mut self, now: Moment) {
        if !std::mem::take(&mut self.paused) {
            return;
        }
        if self.discard.is_none() && self.cannot_be_joined() {
            let why = "it was paused, and without a strong validator the rest must not be joined";
            self.discard = Some(why.to_owned());
        }
        self.retry.forgive();
        self.warm.clear();
        self.concurrency.go_on(now);
    }

    /// True from the command to pause until the command to go on.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// True if it is paused, and every attempt has ended.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.paused && self.attempts.is_empty() && !self.is_over()
    }

    /// Changes the number of connections. Those beyond it are closed, the slowest first.
    pub(crate) fn allow(&mut self, connections: Allowance, now: Moment) {
        self.policy.connections = connections;
        // A server that serves no ranges serves one connection, however many are allowed.
        if self.stage != Stage::Stream {
            self.concurrency.allow(connections, now);
        }
    }

    /// Adds a source that is said to hold the same bytes, and returns its number.
    ///
    /// # Errors
    /// `Searching`, and `Over`.
    pub(crate) fn add_source(&mut self) -> Result<usize, Refused> {
        self.may_change_sources()?;
        Ok(self.sources.add())
    }

    /// From now on a digest proves the bytes of all sources.
    pub(crate) fn expect_digest(&mut self) {
        self.policy.digest_expected = true;
    }

    /// From now on no digest proves the bytes of other sources than the first one: it goes on with that alone.
    pub(crate) fn expect_no_digest(&mut self) {
        self.policy.digest_expected = false;
        let led = self.sources.lead();
        self.sources.keep_first();
        if led != self.sources.lead() {
            self.lead_anew();
        }
    }

    /// Asks a source again that was dropped or removed; one that is used already is left as it is.
    ///
    /// # Errors
    /// `Searching`, and `Over`.
    pub(crate) fn restore_source(&mut self, source: usize) -> Result<(), Refused> {
        self.may_change_sources()?;
        if !self.sources.present().any(|present| present == source) {
            self.sources.revive(source);
        }
        Ok(())
    }

    fn may_change_sources(&self) -> Result<(), Refused> {
        match (self.is_over() || self.finished, self.inquest.has_begun()) {
            (true, _) => Err(Refused::Over),
            (_, true) => Err(Refused::Searching),
            _ => Ok(()),
        }
    }

    /// Goes on without a source; its attempts are abandoned, and its bytes stay.
    ///
    /// # Errors
    /// `LastSource`, and `Over`.
    pub(crate) fn remove_source(&mut self, source: usize) -> Result<(), Refused> {
        self.may_change_sources()?;
        if self.sources.is_alone() {
            return Err(Refused::LastSource);
        }
        let led = source == self.sources.lead();
        self.without_source(source, "it was removed");
        if led {
            self.lead_anew();
        }
        Ok(())
    }

    /// True if bytes are written that the next response must not be joined to.
    fn cannot_be_joined(&self) -> bool {
        !self.written.is_empty() && !self.joinable()
    }
}
