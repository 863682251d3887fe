//! Choice among the sources of a file that its server, or a document of the server, names (RFC 6249): which of them a digest makes safe,
//! and in which order they are asked.

use super::{Address, AddressError};
use crate::formats::link_field::Link;
use crate::formats::redaction;
use crate::formats::url_text::url_text;
use std::cmp::Reverse;

/// Most sources that are taken: more of them would not make it faster.
pub(crate) const MOST_NAMED: usize = 16;

/// Media type of a Metalink document (RFC 5854 §8).
const METALINK: &str = "application/metalink4+xml";

/// Publisher of the digest that proves the bytes of all sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The server of the file, over https.
    Server,
    /// The user, or a list of the user's.
    User,
}

/// A source that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Reference as it was sent.
    pub(crate) reference: Vec<u8>,
    /// True if it shares the entity tags of the server (RFC 6249 §3.4).
    pub(crate) is_preferred: bool,
    /// Priority, of which a smaller one comes first (RFC 6249 §3.1).
    pub(crate) priority: Option<u32>,
}

impl Candidate {
    /// A source that a document names, at this place in its order.
    pub(crate) fn ranked(reference: &str, rank: usize) -> Self {
        let priority = u32::try_from(rank).ok();
        Self { reference: reference.as_bytes().to_vec(), is_preferred: false, priority }
    }
}

/// Sources that links name.
pub(crate) fn candidates(links: &[Link]) -> Vec<Candidate> {
    let duplicates = links.iter().filter(|link| link.is("duplicate"));
    let candidate = |link: &Link| Candidate {
        reference: link.target.clone(),
        is_preferred: link.parameter("pref").is_some(),
        priority: link.parameter("pri").and_then(|text| text.parse().ok()).filter(|priority| *priority > 0),
    };
    duplicates.map(candidate).collect()
}

/// References of the Metalink documents that links name, in order.
pub(crate) fn documents(links: &[Link]) -> impl Iterator<Item = &Link> {
    let is_metalink = |link: &&Link| {
        let kind = link.parameter("type").unwrap_or_default().split(';').next().unwrap_or_default();
        link.is("describedby") && kind.trim().eq_ignore_ascii_case(METALINK)
    };
    links.iter().filter(is_metalink)
}

/// Sources to ask, in order, and those that are not asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) taken: Vec<Address>,
    /// Redacted references with the reasons, a bounded number of them.
    pub(crate) refused: Vec<(String, String)>,
    /// Number of further sources, beyond those that would be of use.
    pub(crate) left_out: usize,
}

/// Chooses at most `most` of the candidates, which the resource at `base` named. Those that are `known` already are passed over.
pub(crate) fn choose(
    mut candidates: Vec<Candidate>,
    base: &Address,
    trust: Trust,
    known: &[Address],
    most: usize,
) -> Choice {
    let order = |one: &Candidate| (Reverse(one.is_preferred), one.priority.unwrap_or(u32::MAX));
    candidates.sort_by_key(order);
    let mut choice = Choice::default();
    for candidate in candidates {
        match resolved(&candidate.reference, base, trust) {
            Ok(address) if known.contains(&address) || choice.taken.contains(&address) => {}
            Ok(_) if choice.taken.len() >= most => choice.left_out += 1,
            Ok(address) => choice.taken.push(address),
            Err(refused) if choice.refused.len() < MOST_NAMED => choice.refused.push(refused),
            Err(_) => {}
        }
    }
    choice
}

/// Resolves a reference, and refuses one that must not be asked: with the reference, redacted, and the reason.
pub(crate) fn resolved(reference: &[u8], base: &Address, trust: Trust) -> Result<Address, (String, String)> {
    match base.join(reference) {
        Ok(address) if trust == Trust::Server && !address.is_https() => {
            let why =
                "it is on http, and the file comes over https; a digest of one's own would make it safe";
            Err((address.to_string(), why.to_owned()))
        }
        Ok(address) => Ok(address),
        Err(error) => {
            let why = match error {
                AddressError::Userinfo => "it carries a user name".to_owned(),
                other => other.to_string(),
            };
            Err((redaction::refused(&url_text(reference)), why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::link_field;

    const BASE: &str = "https://example.org/dir/f.iso?x=1";

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap().0
    }

    fn chosen(field: &str, trust: Trust) -> Choice {
        let candidates = candidates(&link_field::parse(field.as_bytes()));
        choose(candidates, &address(BASE), trust, &[address(BASE)], 3)
    }

    fn taken(field: &str, trust: Trust) -> Vec<String> {
        chosen(field, trust).taken.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn preferred_ones_come_first_then_those_of_a_small_number_and_those_without_one_last() {
        let field = "<https://d/>; rel=duplicate, <https://c/>; rel=duplicate; pri=10, <https://b/>; rel=duplicate; pri=9, \
                     <https://a/>; rel=duplicate; pri=99; pref, <https://e/>; rel=duplicate; pri=nine";
        assert_eq!(taken(field, Trust::Server), ["https://a/", "https://b/", "https://c/"]);
        assert_eq!(chosen(field, Trust::Server).left_out, 2);
        let equal = "<https://d/>; rel=duplicate; pri=0, <https://c/>; rel=duplicate; pri=-1, <https://b/>; rel=duplicate; pri";
        assert_eq!(taken(equal, Trust::Server), ["https://d/", "https://c/", "https://b/"]);
    }

    #[test]
    fn a_reference_is_resolved_and_what_is_known_is_not_named_again() {
        let field = "<../g>; rel=duplicate, </h>; rel=duplicate, <f.iso?x=1>; rel=duplicate, <//m/f>; rel=duplicate, \
                     </h#part>; rel=duplicate";
        let expected = ["https://example.org/g", "https://example.org/h", "https://m/f"];
        assert_eq!(taken(field, Trust::Server), expected);
    }

    #[test]
    fn only_the_users_own_digest_lets_http_follow_https() {
        let field = "<http://m/f?token=S3CR>; rel=duplicate, <https://n/f>; rel=duplicate";
        let choice = chosen(field, Trust::Server);
        assert_eq!(choice.taken, [address("https://n/f")]);
        let [(shown, why)] = &choice.refused[..] else { panic!("{choice:?}") };
        assert!(
            shown.starts_with("http://m/f?") && !shown.contains("S3CR") && why.contains("http"),
            "{choice:?}"
        );
        assert_eq!(taken(field, Trust::User).len(), 2);
    }

    #[test]
    fn what_cannot_be_asked_is_told_without_its_secrets() {
        let field =
            "<ftp://m/f>; rel=duplicate, <https://u:S3CR@m/f>; rel=duplicate, <https://[/>; rel=duplicate";
        let choice = chosen(field, Trust::User);
        assert!(choice.taken.is_empty() && choice.refused.len() == 3, "{choice:?}");
        assert!(!format!("{choice:?}").contains("S3CR"), "{choice:?}");
        let many = "<ftp://m/f>; rel=duplicate,".repeat(100);
        assert_eq!(chosen(&many, Trust::User).refused.len(), MOST_NAMED);
    }

    #[test]
    fn other_relations_name_no_sources_and_other_types_no_documents() {
        let field = "<a>; rel=alternate, <b>; rel=describedby; type=\"application/x-bittorrent\", \
                     <c>; rel=\"describedby x\"; type=\"Application/Metalink4+XML; charset=utf-8\", <d>; rel=describedby";
        let links = link_field::parse(field.as_bytes());
        assert!(candidates(&links).is_empty());
        assert_eq!(documents(&links).map(|link| &link.target[..]).collect::<Vec<_>>(), [b"c"]);
    }
}
