//! Sources of the file that its server names, and the document that describes it (RFC 6249): used as far as a digest makes them safe.

use super::ending::unless_cancelled;
use super::{Driver, Wants};
use crate::engine::description::{self, Description, Unusable};
use crate::engine::event::{Event, Notice};
use crate::engine::publisher::Publisher;
use crate::engine::stated::Stated;
use crate::error::{Error, Kind, Remedy};
use crate::plan::Address;
use crate::plan::named_sources::{
    Candidate, Choice, MOST_NAMED, Trust, candidates, choose, documents, resolved,
};
use crate::transport::{Failure, Requester};
use crate::verify::{Digest, Published, RECORDED, that_count};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};

/// Size limit of a document, in bytes.
const LARGEST: usize = 8 << 20;
/// Timeout for a document; and for one that is still on its way when everything has come, if the file is right, and if it may show which bytes
/// are wrong.
const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const PATIENCE_IF_RIGHT: Duration = Duration::from_secs(1);
pub(super) const PATIENCE_IF_WRONG: Duration = Duration::from_secs(5);

/// State of what the server has named.
#[derive(Default)]
pub(super) struct Named {
    /// Publisher of the digest that makes named sources safe.
    trust: Option<Trust>,
    /// Number of named sources that were taken.
    taken: usize,
    /// True if a document gave the digests of pieces.
    gave_pieces: bool,
    /// Sources that nothing vouches for any more.
    retired: Vec<Address>,
    /// The document on its way.
    fetching: JoinSet<Fetched>,
}

/// URL of a document, and its text or the reason why there is none.
pub(super) type Fetched = (Address, Result<String, String>);

impl Named {
    /// The document, once it has come; `None` if there is none on its way. Cancel-safe.
    pub(super) async fn fetched(&mut self) -> Option<Result<Fetched, JoinError>> {
        self.fetching.join_next().await
    }

    /// Gives up the document.
    pub(super) fn abandon(&mut self) {
        self.fetching = JoinSet::new();
    }

    /// Returns true if nothing but the server's word stands for the file: then its document must not contradict it.
    pub(super) fn must_agree(&self) -> bool {
        self.trust == Some(Trust::Server)
    }
}

impl Wants {
    /// Expects a digest that an earlier run has recorded, since the bytes that it left may be those of mirrors.
    pub(super) fn inherit(&mut self, recorded: &[Digest]) {
        let published = |digest: &Digest| Published { digest: digest.clone(), field: RECORDED };
        let recorded = that_count(recorded.iter().map(published).collect());
        if !recorded.is_empty() {
            (self.spec.published, self.spec.mirrored) = (recorded, true);
        }
    }

    /// True if a signature, a given digest, or given digests of all pieces, show a forgery.
    fn is_proven_strongly(&self) -> bool {
        let whole = self.given_proofs(&self.spec.digests).iter().any(|proof| !proof.is_weak);
        self.spec.signature.is_some() || whole || self.piece_proof().is_some_and(|proof| !proof.is_weak)
    }
}

impl Driver {
    /// Takes the sources and the document that the first usable response names. To be called before the first manifest is written, which
    /// records them.
    pub(super) fn take_named(&mut self, stated: Option<&Stated>, publisher: &mut Publisher) {
        let Some(stated) = stated.filter(|_| self.wants.find_mirrors) else {
            return;
        };
        let (named, document) = (candidates(&stated.links), documents(&stated.links).next());
        if named.is_empty() && document.is_none() {
            return;
        }
        let trust = match self.trust(stated) {
            Ok(trust) => trust,
            Err(why) => {
                let text = format!("mirrors that the server names are not used: {why}");
                return publisher.notice(Notice::Mirrors, text);
            }
        };
        self.named.trust = Some(trust);
        let choice = self.choice(named, &stated.base, trust);
        // A document is about the whole file.
        let document = document.filter(|_| !self.wants.is_part);
        let document = document.map(|link| resolved(&link.target, &stated.base, trust));
        let is_of_use = !choice.taken.is_empty() || matches!(document, Some(Ok(_)));
        if trust == Trust::Server && is_of_use {
            self.rely_on_statement(&choice);
        }
        self.add_named(choice, "the server names it", publisher);
        match document {
            Some(Ok(address)) => self.fetch_document(&address, publisher),
            Some(Err((shown, why))) => {
                publisher.notice(Notice::Document, format!("the document {shown} is not used: {why}"));
            }
            None => {}
        }
    }

    /// Takes the sources that a redirect of the URL names, before the failure of its target counts.
    pub(super) fn take_named_of_redirect(&mut self, publisher: &mut Publisher) {
        if self.transfer.representation().is_some() || !self.wants.find_mirrors {
            return;
        }
        let head = self.shared.requesters.first().route.take_links();
        let stated = head.as_deref().and_then(Stated::of_redirect);
        // Without a proof of its own the statement of a later response counts.
        if let Some(stated) = stated.filter(|stated| stated.proof_of(&self.wants.spec.address).is_some()) {
            let stated = self.take_statement(Some(Box::new(stated)));
            self.take_named(stated.as_deref(), publisher);
        }
    }

    /// Publisher of the digest that makes named sources safe.
    ///
    /// # Errors
    /// The reason why none does.
    fn trust(&self, stated: &Stated) -> Result<Trust, &'static str> {
        let spec = &self.wants.spec;
        if !self.destination.can_be_repaired() {
            return Err("bytes of a wrong one could not be taken back from the output");
        }
        if self.wants.is_proven_strongly() {
            return Ok(Trust::User);
        }
        if spec.is_proven() {
            return Err("the digest that is given finds damage, and no forgery");
        }
        let proof = stated.proof_of(&spec.address);
        if !proof.is_some_and(|proof| spec.published.iter().any(|one| one.digest == *proof)) {
            return Err(
                "only a digest makes them safe: give one, or the URL's own server states a strong one over https",
            );
        }
        if self.transfer.is_streaming() {
            return Err("everything comes in one response");
        }
        if self.destination.records() && !spec.mirrored {
            return Err("an earlier run began the file without them");
        }
        Ok(Trust::Server)
    }

    /// From now on the digest that the server states proves bytes from any source, in this run and in those that go on from it.
    fn rely_on_statement(&mut self, choice: &Choice) {
        self.wants.spec.mirrored = true;
        self.transfer.expect_digest();
        if choice.taken.is_empty() {
            // Stands for sources that the document may name: a manifest without any hands its digest to no later run.
            let own = self.wants.spec.address.to_record();
            self.wants.spec.mirrors.push(own);
        }
    }

    fn choice(&self, named: Vec<Candidate>, base: &Address, trust: Trust) -> Choice {
        let known = self.wants.addresses.iter().filter(|address| !self.named.retired.contains(address));
        let known: Vec<_> = known.cloned().collect();
        choose(named, base, trust, &known, MOST_NAMED.saturating_sub(self.named.taken))
    }

    fn add_named(&mut self, choice: Choice, named_by: &str, publisher: &mut Publisher) {
        let Choice { taken, mut refused, left_out } = choice;
        for address in taken {
            match self.add_source(&address) {
                Ok(()) => {
                    self.named.taken += 1;
                    self.named.retired.retain(|retired| *retired != address);
                    self.wants.spec.mirrors.push(address.to_record());
                    publisher
                        .tell(Event::SourceAdded { url: address.to_string(), cause: named_by.to_owned() });
                }
                Err(why) => refused.push((address.to_string(), why.to_owned())),
            }
        }
        for (url, cause) in refused {
            publisher.tell(Event::SourceRefused { url, cause });
        }
        if left_out > 0 {
            let text = format!("{left_out} more mirrors are not asked: {MOST_NAMED} are enough");
            publisher.notice(Notice::Mirrors, text);
        }
    }

    /// Forgets the digests that the server has stated, and all that they made safe: the file has another version.
    pub(super) fn forget_statement(&mut self) {
        self.wants.spec.published.clear();
        self.shared.wants_statement.store(true, Ordering::Relaxed);
        if self.named.gave_pieces {
            self.wants.pieces = None;
        }
        if std::mem::take(&mut self.wants.spec.mirrored) {
            self.transfer.expect_no_digest();
            self.wants.spec.mirrors.clear();
            let retired = self.wants.addresses[1..].to_vec();
            self.named = Named { retired, ..Named::default() };
        }
    }

    // ---- documents -----------------------------------------------------------------------------------

    fn fetch_document(&mut self, address: &Address, publisher: &mut Publisher) {
        let requester = match self.shared.requesters.first().beside(address) {
            Ok(requester) => Requester { part: None, ..requester },
            Err(error) => {
                let text = format!("the document {address} is not used: {error}");
                return publisher.notice(Notice::Document, text);
            }
        };
        let address = address.clone();
        self.named.fetching.spawn(async move {
            let too_late = |_| Err(format!("it did not come within {} s", PATIENCE.as_secs()));
            let text = tokio::time::timeout(PATIENCE, text_of(&requester)).await.unwrap_or_else(too_late);
            (address, text)
        });
    }

    /// A document has come, or has not.
    pub(super) fn describe(&mut self, fetched: Result<Fetched, JoinError>, publisher: &mut Publisher) {
        if let Err(error) = self.described(fetched, publisher) {
            self.transfer.fail(error);
        }
    }

    /// # Errors
    /// `Checksum` if it contradicts the server, whose word alone stands for the file.
    fn described(
        &mut self,
        fetched: Result<Fetched, JoinError>,
        publisher: &mut Publisher,
    ) -> Result<(), Error> {
        let (Ok((address, text)), Some(trust)) = (fetched, self.named.trust) else {
            return Ok(());
        };
        let expected = self.wants.spec.expected();
        let read = text.map_err(Unusable::Other);
        let read = read.and_then(|text| description::read(&text, self.wants.spec.address.path(), &expected));
        let why = match read {
            Ok(description) => {
                self.take_description(description, &address, trust, publisher);
                return Ok(());
            }
            Err(Unusable::Contradiction { stated, expected }) if trust == Trust::Server => {
                let field = self.wants.spec.published.first().map_or("", |one| one.field);
                let cause = format!(
                    "checksum mismatch: the server states {expected} ({field}), and its document {address} states {stated}"
                );
                return Err(Error::new(Kind::Checksum, cause).with_remedy(Remedy::OwnDigest));
            }
            Err(Unusable::Contradiction { stated, expected }) => {
                format!("it states {stated}, and {expected} is given")
            }
            Err(Unusable::Other(why)) => why,
        };
        publisher.notice(Notice::Document, format!("the document {address} is not used: {why}"));
        Ok(())
    }

    fn take_description(
        &mut self,
        description: Description,
        address: &Address,
        trust: Trust,
        publisher: &mut Publisher,
    ) {
        let Description { pieces, urls } = description;
        let length = self.transfer.representation().and_then(|known| known.complete_length);
        let fit = pieces.filter(|pieces| length.is_some_and(|length| pieces.fit(length)));
        let pieces = match fit.filter(|_| self.wants.pieces.is_none()) {
            Some(pieces) => {
                let count = pieces.count();
                (self.wants.pieces, self.named.gave_pieces) = (Some(Arc::new(pieces)), true);
                format!("the digests of {count} pieces")
            }
            None => "the expected digest".to_owned(),
        };
        publisher.notice(Notice::Document, format!("the document {address} states {pieces}"));
        let named = urls.iter().enumerate().map(|(rank, url)| Candidate::ranked(url, rank + 1)).collect();
        let choice = self.choice(named, address, trust);
        self.add_named(choice, &format!("{address} names it"), publisher);
    }

    /// Waits a while for the document, if it is on its way.
    ///
    /// # Errors
    /// `Checksum` if it contradicts the server, `Cancelled`.
    pub(super) async fn await_description(
        &mut self,
        patience: Duration,
        publisher: &mut Publisher,
    ) -> Result<(), Error> {
        let cancelled = self.cancelled.clone();
        let fetching = tokio::time::timeout(patience, self.named.fetching.join_next());
        let fetched = unless_cancelled(cancelled, async { Ok(fetching.await) }).await?;
        self.named.abandon();
        match fetched {
            Ok(Some(fetched)) => self.described(fetched, publisher),
            // None is on its way.
            Ok(None) => Ok(()),
            Err(_) => {
                let text = "a document that the server names is not used: it did not come before the end of the file";
                publisher.notice(Notice::Document, text.to_owned());
                Ok(())
            }
        }
    }
}

/// Text of a document.
///
/// # Errors
/// The reason why there is none.
async fn text_of(requester: &Requester) -> Result<String, String> {
    let told = |failure: Failure| failure.into_error().to_string();
    let reply = requester.get(None, None).await.map_err(told)?;
    if reply.status != http::StatusCode::OK {
        return Err(format!("the server answered {}", reply.status));
    }
    let (mut bytes, mut body) = (Vec::new(), reply.body);
    while let Some(came) = body.next().await.map_err(told)? {
        bytes.extend_from_slice(&came);
        if bytes.len() > LARGEST {
            return Err(format!("it has more than {LARGEST} bytes"));
        }
    }
    body.recycle();
    String::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".to_owned())
}
