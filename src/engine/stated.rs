//! Statements of a server about its file: digests, and links to other sources and to documents (RFC 6249).

use crate::formats::link_field::{Link, links};
use crate::plan::Address;
use crate::plan::byte_range::ContentRange;
use crate::plan::named_sources::{MOST_NAMED, Trust, candidates, choose, documents};
use crate::transport::{RedirectHead, Response};
use crate::verify::{Digest, Published, published, published_by_redirect};
use http::{StatusCode, header};

/// Statements in the head of a response, and in that of the redirect that led to it.
pub(crate) struct Stated {
    /// Digests of the file: all strong ones, or else those of one algorithm.
    pub(crate) published: Vec<Published>,
    /// Links to other sources and to documents, among others.
    pub(crate) links: Vec<Link>,
    /// URL that has the links, and resolves their references.
    pub(crate) base: Address,
    /// Digests that it states itself.
    own: Vec<Digest>,
}

impl Stated {
    /// Reads a response. Servers of mirrors state all in the redirect to one of them, whose own links are of no use then.
    pub(crate) fn read(reply: &Response) -> Self {
        let digests = |all: &[Published]| all.iter().map(|one| one.digest.clone()).collect();
        let found = published(reply.status, &reply.headers, is_whole(reply));
        match reply.redirect_head.as_deref().and_then(Self::of_redirect) {
            // The server of the URL stands for the file, and none of its mirrors.
            Some(stated) if stated.published.is_empty() => Self { published: found, ..stated },
            Some(stated) => stated,
            None => {
                let own = digests(&found);
                let links = links(&reply.headers);
                Self { published: found, links, base: reply.address.clone(), own }
            }
        }
    }

    /// Reads a redirect; `None` if it has no links about the file that it leads to.
    pub(crate) fn of_redirect(head: &RedirectHead) -> Option<Self> {
        let links = links(&head.headers);
        let is_of_use = !candidates(&links).is_empty() || documents(&links).next().is_some();
        let published = published_by_redirect(&head.headers);
        let own = published.iter().map(|one| one.digest.clone()).collect();
        is_of_use.then(|| Self { published, links, base: head.address.clone(), own })
    }

    /// Digest that proves bytes from anywhere: a strong one that the server of `url` itself states over https, with the links.
    pub(crate) fn proof_of(&self, url: &Address) -> Option<&Digest> {
        let is_own = self.base.is_https() && self.base.is_of(&url.origin());
        let own = self.own.iter().filter(|_| is_own);
        own.filter(|digest| digest.algorithm().is_collision_resistant())
            .find(|digest| self.published.iter().any(|one| one.digest == **digest))
    }

    /// Other sources, in the order in which they would be asked.
    pub(crate) fn mirrors(&self) -> Vec<Address> {
        let known = std::slice::from_ref(&self.base);
        choose(candidates(&self.links), &self.base, Trust::User, known, MOST_NAMED).taken
    }
}

/// Returns true if a response carries all of the file.
fn is_whole(reply: &Response) -> bool {
    let range = || ContentRange::parse(reply.headers.get(header::CONTENT_RANGE)?.as_bytes()).ok();
    match reply.status {
        StatusCode::OK => true,
        StatusCode::PARTIAL_CONTENT => matches!(
            range(),
            Some(ContentRange::Satisfied { range, complete_length: Some(length) })
                if range.start() == 0 && range.end() == length
        ),
        _ => false,
    }
}
