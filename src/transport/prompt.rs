//! Digest authentication (RFC 7616): the challenge of a server, answered request by request.

use super::request_head::Login;
use crate::formats::challenges::Challenges;
use crate::plan::Origin;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_auth::{DigestClient, PasswordParams};
use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A Digest challenge of a server, with its nonce count. It belongs to one connection at a time: requests on it follow
/// one another, so the server sees the nonce count only rise, whatever happens on other connections.
pub(super) struct Prompt(DigestClient);

impl Prompt {
    /// Challenge in a refusal that haul can answer.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        Challenges::read(headers, &header::WWW_AUTHENTICATE).digest.map(Self)
    }

    /// Authorization for one request; `None` if the challenge allows none.
    pub(super) fn answer(&mut self, login: &Login, method: &Method, target: &str) -> Option<HeaderValue> {
        // haul's requests have no body; an empty one is hashed if the challenge does not offer `auth`.
        let body = (!(self.0.qop() & http_auth::digest::Qop::Auth)).then_some(&[][..]);
        let params = PasswordParams {
            username: &login.user,
            password: &login.password,
            uri: target,
            method: method.as_str(),
            body,
        };
        let mut value = HeaderValue::from_str(&self.0.respond(&params).ok()?).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Returns true if it was answered once: a refusal then is not due to a stale nonce.
    pub(super) fn was_new(&self) -> bool {
        self.0.nonce_count() == 1
    }

    /// Returns true if the server says that the previous answer was right, but its nonce stale.
    pub(super) fn is_renewed(&self) -> bool {
        self.0.stale()
    }
}

/// Maximum number of challenges before one request is answered.
const TIMES: u32 = 4;

/// Challenges received by one request. They outlive the connections that they came on.
#[derive(Default)]
pub(super) struct Prompts {
    last: Option<HeaderMap>,
    times: u32,
}

impl Prompts {
    /// Replaces the challenge of the connection by the last one received.
    pub(super) fn hand_to(&self, prompt: &mut Option<Prompt>) {
        if let Some(asked) = self.last.as_ref().and_then(Prompt::read) {
            *prompt = Some(asked);
        }
    }

    /// Returns true if this response is a challenge to be answered by another request. If the previous one `was_new`
    /// and is not stale now, the password is wrong.
    pub(super) fn again(&mut self, status: StatusCode, headers: &HeaderMap, was_new: bool) -> bool {
        let asks = status == StatusCode::UNAUTHORIZED && self.times < TIMES;
        let meets = |prompt: Prompt| !was_new || prompt.is_renewed();
        if !asks || !Prompt::read(headers).is_some_and(meets) {
            return false;
        }
        (self.last, self.times) = (Some(headers.clone()), self.times + 1);
        true
    }
}

/// Servers that have requested Digest authentication. They are not sent a plain password again.
#[derive(Debug, Default)]
pub(super) struct Prompted(Mutex<HashSet<Origin>>);

impl Prompted {
    fn lock(&self) -> MutexGuard<'_, HashSet<Origin>> {
        // A panic elsewhere cannot leave a set half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, origin: Origin) {
        self.lock().insert(origin);
    }

    pub(super) fn has(&self, origin: &Origin) -> bool {
        self.lock().contains(origin)
    }
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prompt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(challenge: &str) -> Prompt {
        let mut headers = HeaderMap::new();
        headers.insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
        Prompt::read(&headers).unwrap()
    }

    fn answer(prompt: &mut Prompt) -> String {
        let login = Login { user: "Mufasa".to_owned(), password: "Circle Of Life".to_owned() };
        prompt.answer(&login, &Method::GET, "/dir/index.html").unwrap().to_str().unwrap().to_owned()
    }

    // RFC 2617 §3.5, without the additions of RFC 7616: the only answer without a random part.
    #[test]
    fn an_answer_is_the_one_that_the_standard_works_out() {
        let challenge = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let answer = answer(&mut prompt(challenge));
        assert!(answer.contains("response=\"670fd8c2df070c60b045671b8b24ff02\""), "{answer}");
        assert!(answer.contains("opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""), "{answer}");
        assert!(!answer.contains("Circle"), "{answer}");
    }

    #[test]
    fn answers_are_counted_from_one_for_each_nonce() {
        for qop in ["auth", "auth-int", "auth, auth-int"] {
            let mut prompt =
                prompt(&format!("Digest realm=\"r\", nonce=\"n\", qop=\"{qop}\", algorithm=SHA-256"));
            for count in 1..4 {
                let answer = answer(&mut prompt);
                assert!(answer.contains(&format!("nc={count:08x}")), "{answer}");
                assert_eq!(prompt.was_new(), count == 1);
            }
        }
    }
}
