//! Authentication challenges of servers and proxies (RFC 9110 §11.6.1).

use http::{HeaderMap, HeaderName};
use http_auth::{DigestClient, parse_challenges};

/// Most scheme names that are kept for messages.
const TOLD: usize = 4;
const LONGEST_NAME: usize = 30;

/// Challenges in the `WWW-Authenticate` or `Proxy-Authenticate` fields of a response.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    /// Names of schemes as written, without duplicates.
    schemes: Vec<String>,
    /// First Digest challenge that can be answered: servers list the preferred one first (RFC 7616 §3.7).
    pub(crate) digest: Option<DigestClient>,
}

impl Challenges {
    pub(crate) fn read(headers: &HeaderMap, field: &HeaderName) -> Self {
        let mut read = Self::default();
        for value in headers.get_all(field) {
            let text = String::from_utf8_lossy(value.as_bytes());
            match parse_challenges(&text) {
                Ok(challenges) => {
                    for challenge in challenges {
                        read.add(challenge.scheme);
                        if read.digest.is_none() && challenge.scheme.eq_ignore_ascii_case("Digest") {
                            read.digest = DigestClient::try_from(&challenge).ok();
                        }
                    }
                }
                // Some schemes use a token that does not fit the grammar of the others.
                Err(_) => read.add(text.split([' ', ',']).next().unwrap_or_default()),
            }
        }
        read
    }

    fn add(&mut self, scheme: &str) {
        let is_name =
            !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if is_name && scheme.len() <= LONGEST_NAME && self.schemes.len() < TOLD && !self.has(scheme) {
            self.schemes.push(scheme.to_owned());
        }
    }

    pub(crate) fn has(&self, scheme: &str) -> bool {
        self.schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme))
    }

    /// Lists the schemes as "A, B or C"; `None` if there are none.
    pub(crate) fn in_words(&self) -> Option<String> {
        match self.schemes.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [first @ .., last] => Some(format!("{} or {last}", first.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::WWW_AUTHENTICATE;

    fn read(values: &[&str]) -> Challenges {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenges::read(&headers, &WWW_AUTHENTICATE)
    }

    #[test]
    fn every_scheme_that_is_asked_for_is_named_once() {
        let table: [(&[&str], Option<&str>); 9] = [
            (&[], None),
            (&["Basic realm=\"x\""], Some("Basic")),
            (&["Negotiate", "NTLM", "Negotiate"], Some("Negotiate or NTLM")),
            (&["Negotiate, NTLM, Basic realm=\"a, b\""], Some("Negotiate, NTLM or Basic")),
            (&["NTLM TlRMTVNTUAACAAAA=="], Some("NTLM")),
            (&["Bearer realm=\"x\", error=\"invalid_token\""], Some("Bearer")),
            (&["Digest realm=\"x\", nonce=\"y\", qop=\"auth\", Basic realm=\"x\""], Some("Digest or Basic")),
            (&["", ",,,", "=x", "\"quoted\""], None),
            (&["A", "B", "C", "D", "E"], Some("A, B, C or D")),
        ];
        for (values, words) in table {
            assert_eq!(read(values).in_words().as_deref(), words, "{values:?}");
        }
    }

    #[test]
    fn the_first_digest_that_can_be_answered_is_taken() {
        let unknown = "Digest realm=\"x\", nonce=\"one\", qop=\"auth\", algorithm=SHA3";
        let known = "Digest realm=\"x\", nonce=\"two\", qop=\"auth\", algorithm=SHA-256";
        let old = "Digest realm=\"x\", nonce=\"three\"";
        assert_eq!(read(&[unknown, known, old]).digest.unwrap().nonce(), "two");
        assert!(read(&[old]).digest.unwrap().rfc2069_compat());
        assert!(read(&[unknown]).digest.is_none() && read(&["Digest realm=\"x\""]).digest.is_none());
    }
}
