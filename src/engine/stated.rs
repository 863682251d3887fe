//! Statements of a server about its file: digests, and links to other sources and to documents (RFC 6249).

use crate::formats::link_field::{Link, links};
use crate::plan::Address;
use crate::plan::named_sources::{MOST_NAMED, Trust, candidates, choose, documents};
use crate::transport::Response;
use crate::verify::{Digest, Published, of_best_algorithm, published, published_by_redirect};

/// Statements in the head of a response, and in that of the redirect that led to it.
pub(crate) struct Stated {
    /// Digests of the file, all of one algorithm.
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
        let found = published(reply.status, &reply.headers);
        let head = reply.redirect_head.as_deref().map(|head| (head, links(&head.headers)));
        let head =
            head.filter(|(_, links)| !candidates(links).is_empty() || documents(links).next().is_some());
        match head {
            Some((head, links)) => {
                let by_redirect = published_by_redirect(&head.headers);
                let own = digests(&by_redirect);
                let published = of_best_algorithm(by_redirect.into_iter().chain(found).collect());
                Self { published, links, base: head.address.clone(), own }
            }
            None => {
                let own = digests(&found);
                let links = links(&reply.headers);
                Self { published: found, links, base: reply.address.clone(), own }
            }
        }
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
