//! Rules on responses, and opens the destination for the first usable one; accepted responses wait until it is open.

use super::{Driver, Permitted};
use crate::destination::{Destination, FileWork, Made, SmallWork};
use crate::engine::event::Notice;
use crate::engine::publisher::Publisher;
use crate::engine::stated::Stated;
use crate::engine::worker::{PendingResponse, WriteTarget};
use crate::error::{Error, Kind};
use crate::manifest::piece_size;
use crate::plan::RangeSet;
use crate::plan::representation::{Representation, Validators};
use crate::plan::transfer::Permit;
use crate::storage::Allocation;
use std::sync::atomic::Ordering;
use tokio::task::JoinError;

/// A file of at most this many bytes arrives within one checkpoint, so nothing is recorded before it is complete.
const SMALL: u64 = 256 << 10;

impl Driver {
    /// Rules on a response; the first usable one starts the creation of the file.
    pub(super) fn rule(&mut self, question: PendingResponse, publisher: &mut Publisher) {
        let PendingResponse { id, answer, stated, reply } = question;
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
        if !matches!(answer.status.as_u16(), 200 | 206) {
            self.take_named_of_redirect(publisher);
        }
        let permit = self.transfer.handle_response(id, &answer, now);
        let stated = match permit {
            // The worker may have been abandoned meanwhile, here and below.
            Permit::Reject => return drop(reply.send(None)),
            _ => self.take_statement(stated),
        };
        let (offset, until) = match permit {
            Permit::Reject => return,
            Permit::Take { offset, until } => {
                self.take_named(stated.as_deref(), publisher);
                (offset, until)
            }
            Permit::Begin { offset, until, representation } => {
                let length = representation.complete_length;
                let refused =
                    self.wants.refuse_too_large(length).and_then(|()| self.wants.refuse_other_pieces(length));
                if let Err(error) = refused {
                    self.transfer.fail(error);
                    return drop(reply.send(None));
                }
                self.tell_web_page(&representation, publisher);
                if self.keep_small(&representation, publisher) {
                    self.wants.slots.saw_small();
                } else {
                    self.wants.slots.saw_large();
                    self.attempts.detach();
                    self.take_named(stated.as_deref(), publisher);
                    self.open(representation, publisher);
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
        if self.destination.is_being_created() {
            self.permitted.push(permitted);
        } else {
            self.let_flow(permitted);
        }
    }

    /// Takes the statements of the first usable response of the URL, and the digests among them if none is given.
    pub(super) fn take_statement(&mut self, stated: Option<Box<Stated>>) -> Option<Box<Stated>> {
        let stated = stated.filter(|_| self.shared.wants_statement.swap(false, Ordering::Relaxed))?;
        let published = &stated.published;
        if self.wants.spec.mirrored {
            // Bytes of mirrors are on disk, and only this digest proves them.
            let recorded = self.wants.spec.expected();
            if let Some(same) = published.iter().find(|one| recorded.contains(&one.digest)) {
                self.wants.spec.published = vec![same.clone()];
            }
        } else if self.wants.is_unproven() && !published.is_empty() {
            self.wants.spec.published.clone_from(published);
            self.destination.expect(self.wants.spec.algorithms());
        }
        Some(stated)
    }

    /// Warns of a web page in place of the file, which most often is a login or an error page.
    fn tell_web_page(&self, representation: &Representation, publisher: &mut Publisher) {
        let html =
            matches!(representation.media_type.as_deref(), Some("text/html" | "application/xhtml+xml"));
        let name = self.shared.path.file_name().unwrap_or_default().to_string_lossy();
        if html && is_no_page(name.trim_end_matches(".part")) {
            let text = "the server sent a web page (text/html) under a name that is not that of one: look at it before you \
                        use it. It may be a login, a warning, a limit or an error page; the link that a browser downloads \
                        from may be another one, or need cookies";
            publisher.notice(Notice::WebPage, text);
        }
    }

    /// Opens the destination; a file is created in the background, after a quick check that it fits.
    fn open(&mut self, mut representation: Representation, publisher: &mut Publisher) {
        if self.transfer.lead() != 0 {
            // The manifest records the URL's version, and a mirror's validators say nothing about that.
            representation.validators = Validators::default();
        }
        if !self.destination.create(representation, &self.wants.spec) {
            self.tell_started(publisher);
        }
    }

    /// Keeps a small file in memory until it is complete. Returns false if it is not small, has several sources, is proven by its pieces,
    /// or has a part file already.
    fn keep_small(&mut self, representation: &Representation, publisher: &mut Publisher) -> bool {
        let length = representation.complete_length.filter(|length| *length <= SMALL);
        // If wrong bytes may have to be replaced, there must be a file to repair.
        let alone = self.wants.sources.len() == 1 && self.wants.spec.pieces.is_none();
        let Some(length) = length.filter(|_| alone) else {
            return false;
        };
        match self.destination.take() {
            Destination::Unmade(target) => {
                // The length is at most `SMALL`.
                self.destination = Destination::Small(SmallWork::new(target, length as usize));
                self.tell_started(publisher);
                true
            }
            other => {
                self.destination = other;
                false
            }
        }
    }

    /// A step of the creation has ended: after the last one, releases the responses that waited for it.
    pub(super) fn made(&mut self, made: Result<Made, JoinError>, publisher: &mut Publisher) {
        self.destination = Destination::Gone;
        match made {
            Ok(Made::Room(place, representation)) => {
                return self.destination.allocate(place, *representation, &self.wants.spec);
            }
            Ok(Made::File(place, journal, allocation)) => {
                if allocation == Allocation::Sparse {
                    publisher.notice(
                        Notice::NotReserved,
                        "this file system cannot reserve space; the disk may fill up",
                    );
                }
                let (algorithms, inline) = (self.wants.spec.algorithms(), self.wants.inline);
                let work = FileWork::new(place, *journal, &algorithms, inline, false, publisher.clock.now());
                self.destination = Destination::File(Box::new(work));
                self.tell_started(publisher);
            }
            Ok(Made::Ready(destination)) => {
                self.destination = *destination;
                self.tell_started(publisher);
            }
            Ok(Made::Failed(destination, error)) => {
                self.destination = *destination;
                self.transfer.fail(error);
            }
            Err(error) => {
                let error = Error::new(Kind::Other, "the creation of the file died").with_source(error);
                self.transfer.fail(error);
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
        let permit = self.destination.sink().filter(|_| !wanted.is_empty()).map(|sink| WriteTarget {
            offset,
            until,
            sink,
        });
        if permit.is_some()
            && let Some(lane) = self.lanes.get(&id)
        {
            let skip =
                if self.transfer.is_streaming() { self.transfer.written().clone() } else { RangeSet::new() };
            let length = self.transfer.representation().and_then(|known| known.complete_length);
            let recorded = self.destination.records().then(|| piece_size(length));
            lane.open(wanted, skip, recorded);
        }
        let _ = reply.send(permit);
    }

    /// Lets the creation of the file finish before its result is given up.
    pub(super) async fn settle(&mut self, publisher: &mut Publisher) {
        while self.destination.is_being_created() {
            let made = self.destination.created().await;
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
