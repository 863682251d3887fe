//! Creates and preallocates the part file in the background; accepted responses wait until it is open.

use super::{Driver, Made, Permitted};
use crate::engine::event::Notice;
use crate::engine::file_spec::FileSpec;
use crate::engine::partial_file::PartialFile;
use crate::engine::preparation::{self, Existing, Opening};
use crate::engine::publisher::Publisher;
use crate::engine::work::{FileWork, SmallWork, Work};
use crate::engine::worker::{Permit, Question};
use crate::error::{Error, Kind, Remedy};
use crate::manifest::piece_size;
use crate::plan::RangeSet;
use crate::plan::representation::{Representation, Validators};
use crate::plan::transfer::Ruling;
use crate::storage::{Allocation, Target};
use crate::threads;
use std::sync::atomic::Ordering;
use tokio::task::JoinHandle;

/// A file of at most this many bytes arrives within one checkpoint, so nothing is recorded before it is complete.
const SMALL: u64 = 256 << 10;

impl Driver {
    /// Rules on a response; the first usable one starts the creation of the file.
    pub(super) fn rule(&mut self, question: Question, publisher: &mut Publisher) {
        let Question { id, answer, reply } = question;
        if self.shared.requesters.first().route.is_renewed() {
            self.transfer.handle_renewed();
        }
        let now = self.clock.now();
        if let Some(connected) = self.connected_at.take() {
            // A round trip for the handshake of TLS, and one for the request.
            let trips = if self.wants.spec.address.is_https() { 2 } else { 1 };
            self.wants.host.answered_after(now.saturating_sub(connected) / trips);
        }
        if answer.content_length.is_none_or(|length| length > SMALL) {
            self.shared.requesters.first().many.store(false, Ordering::Relaxed);
        }
        let ruling = self.transfer.handle_answer(id, &answer, now);
        let (offset, until) = match ruling {
            // The worker may have been abandoned meanwhile, here and below.
            Ruling::Leave => return drop(reply.send(None)),
            Ruling::Take { offset, until } => (offset, until),
            Ruling::Begin { offset, until, representation } => {
                if let Err(error) = self.wants.refuse_too_large(representation.complete_length) {
                    self.transfer.fail(error);
                    return drop(reply.send(None));
                }
                self.tell_web_page(&representation, publisher);
                if self.keep_small(&representation, publisher) {
                    self.wants.slots.saw_small();
                } else {
                    self.wants.slots.saw_large();
                    self.workers.let_go();
                    self.make(representation);
                    let soon = self.transfer.soon(self.clock.now());
                    self.warm(soon);
                    self.inquire_late();
                }
                (offset, until)
            }
        };
        if let Some(lane) = self.lanes.get(&id) {
            // The response may hold another range than requested, which changes the position of the lane.
            lane.open(self.transfer.lane_of(id), RangeSet::new(), None);
        }
        let until = self.wants.end_of_answer(until);
        let permitted = Permitted { id, offset, until, reply };
        if self.making.is_some() {
            self.permitted.push(permitted);
        } else {
            self.let_flow(permitted);
        }
    }

    /// Warns of a web page in place of the file, which most often is a login or an error page.
    fn tell_web_page(&self, representation: &Representation, publisher: &mut Publisher) {
        let html =
            matches!(representation.media_type.as_deref(), Some("text/html" | "application/xhtml+xml"));
        let name = self.shared.path.file_name().unwrap_or_default().to_string_lossy();
        if html && is_no_page(name.trim_end_matches(".part")) {
            let text = "the server sent a web page (text/html) under a name that is not that of one: look at it before you \
                        use it. It may be a login, a warning, a limit or an error page; the link that a browser downloads \
                        from may be another one, or need cookies (-b FILE)";
            publisher.notice(Notice::WebPage, text);
        }
    }

    /// Creates the file in the background, after a quick check that it fits.
    fn make(&mut self, mut representation: Representation) {
        if self.transfer.lead() != 0 {
            // The manifest records the URL's version, and a mirror's validators say nothing about that.
            representation.validators = Validators::default();
        }
        let (place, bare) = (self.vacant.take(), self.bare.take());
        self.fits = place.is_none() && bare.is_none();
        let spec = self.wants.spec.clone();
        self.making = Some(threads::offload(move || {
            let place = match bare.map(|target| first_in(target, &spec)).transpose() {
                Ok(made) => made.or(place),
                Err(error) => return Made::Failed(None, error),
            };
            match place {
                Some(place) => match place.has_room_for(&representation) {
                    Ok(()) => Made::Room(place, Box::new(representation)),
                    Err(error) => Made::Failed(Some(place), error),
                },
                None => Made::Nothing,
            }
        }));
    }

    /// Keeps a small file in memory until it is complete. Returns false if it is not small, has several sources, or has
    /// a part file already.
    fn keep_small(&mut self, representation: &Representation, publisher: &mut Publisher) -> bool {
        let length = representation.complete_length.filter(|length| *length <= SMALL);
        // If another source may have to replace one that gave wrong bytes, there must be a file to repair.
        let alone = self.wants.sources.len() == 1;
        let (Some(length), true) = (length, self.bare.is_some() && alone) else {
            return false;
        };
        if let Some(target) = self.bare.take() {
            // The length is at most `SMALL`.
            self.work = Work::Small(SmallWork::new(target, length as usize));
            self.tell_started(publisher);
        }
        true
    }

    /// Allocates the file and writes the manifest. No byte is taken before that, but as the file is known to fit,
    /// further connections can be opened, their requests sent and their responses ruled on.
    fn make_in(&mut self, place: PartialFile, representation: Representation) {
        let spec = self.wants.spec.clone();
        self.making = Some(threads::offload(move || match place.begin(&representation, &spec) {
            Ok((journal, allocation)) => Made::File(place, Box::new(journal), allocation),
            Err(error) => Made::Failed(Some(place), error),
        }));
    }

    /// A step of the creation has ended: after the last one, releases the responses that waited for it.
    pub(super) fn made(&mut self, made: Result<Made, tokio::task::JoinError>, publisher: &mut Publisher) {
        self.making = None;
        self.fits = true;
        match made {
            Ok(Made::Room(place, representation)) => return self.make_in(place, *representation),
            Ok(Made::Nothing) => self.tell_started(publisher),
            Ok(Made::File(place, journal, allocation)) => {
                if allocation == Allocation::Sparse {
                    publisher.notice(
                        Notice::NotReserved,
                        "this file system cannot reserve space; the disk may fill up",
                    );
                }
                let (digests, inline) = (&self.wants.spec.digests, self.wants.inline);
                let work = FileWork::new(place, *journal, digests, inline, false, publisher.clock.now());
                self.work = Work::File(Box::new(work));
                self.tell_started(publisher);
            }
            Ok(Made::Failed(place, error)) => {
                self.vacant = place;
                self.transfer.fail(error);
            }
            Err(error) => {
                self.transfer.fail(Error::new(Kind::Other, "the making of the file died").with_source(error));
            }
        }
        for permitted in std::mem::take(&mut self.permitted) {
            self.let_flow(permitted);
        }
    }

    /// Lets a worker take its body, unless it is given up or the resource is empty.
    fn let_flow(&mut self, permitted: Permitted) {
        let Permitted { id, offset, until, reply } = permitted;
        self.transfer.handle_flowing(id, self.clock.now());
        let wanted = self.transfer.lane_of(id);
        let permit =
            self.work.sink().filter(|_| !wanted.is_empty()).map(|sink| Permit { offset, until, sink });
        if permit.is_some()
            && let Some(lane) = self.lanes.get(&id)
        {
            let skip =
                if self.transfer.is_streaming() { self.transfer.written().clone() } else { RangeSet::new() };
            let length = self.transfer.representation().and_then(|known| known.complete_length);
            let recorded = matches!(self.work, Work::File(_)).then(|| piece_size(length));
            lane.open(wanted, skip, recorded);
        }
        let _ = reply.send(permit);
    }

    /// Waits for the file being created; for ever if there is none. Cancel-safe.
    pub(super) async fn being_made(
        making: &mut Option<JoinHandle<Made>>,
    ) -> Result<Made, tokio::task::JoinError> {
        match making {
            Some(making) => making.await,
            None => std::future::pending().await,
        }
    }

    /// Lets the creation of the file finish before its result is given up.
    pub(super) async fn settle(&mut self, publisher: &mut Publisher) {
        while self.making.is_some() {
            let made = Self::being_made(&mut self.making).await;
            self.made(made, publisher);
        }
    }
}

/// Returns true if a name has an extension, and one that no web page has. Programs on servers generate pages under many
/// names.
fn is_no_page(name: &str) -> bool {
    const PAGES: [&str; 16] = [
        "asp", "aspx", "cfm", "cgi", "do", "htm", "html", "jsf", "jsp", "mht", "php", "php3", "phtml",
        "shtml", "xht", "xhtml",
    ];
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return false;
    };
    let plausible =
        (1..=8).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    // The last part of a number or of a version is not an extension.
    let worded = extension.bytes().any(|byte| byte.is_ascii_alphabetic());
    !stem.is_empty() && plausible && worded && !PAGES.contains(&extension.to_ascii_lowercase().as_str())
}

/// Creates and locks the part file where none existed before.
fn first_in(target: Target, spec: &FileSpec) -> Result<PartialFile, Error> {
    match preparation::open(target, spec)? {
        Opening::Ready(Existing::Fresh { partial_file, .. }) => Ok(partial_file),
        Opening::Ready(Existing::Built { partial_file, .. }) | Opening::Unconfirmed { partial_file, .. } => {
            let cause = format!("{} appeared meanwhile", partial_file.part.path().display());
            Err(Error::new(Kind::Locked, cause).with_remedy(Remedy::Again))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_no_page;

    #[test]
    fn a_name_with_an_extension_of_something_else_is_not_that_of_a_page() {
        for name in ["disk.iso", "a.tar.gz", "setup.EXE", "x.7z", "notes.txt", "data.json"] {
            assert!(is_no_page(name), "{name}");
        }
        for name in ["index.html", "get.PHP", "download", "", ".iso", "v1.2", "a.b c", "page.xhtml"] {
            assert!(!is_no_page(name), "{name}");
        }
    }
}
