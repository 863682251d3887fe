//! Access to the daemon: hosts, origins, and the secret.

use crate::error::{Error, Kind};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;

/// Time that each wrong secret takes; they are answered one after the other.
const DELAY: Duration = Duration::from_millis(500);

/// Rules of access.
#[derive(Debug)]
pub(crate) struct Access {
    secret: Option<String>,
    /// Origins of pages of other sites that may speak to it; `*` for all.
    origins: Vec<String>,
    /// Names of this machine by which it may be asked for.
    hosts: Vec<String>,
    wrong: Mutex<()>,
}

/// Random secret of 128 bits.
///
/// # Errors
/// `Other` if the system gives no random bytes.
pub(crate) fn new_secret() -> Result<String, Error> {
    let mut bytes = [0; 16];
    let filled = rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| Error::new(Kind::Other, "the system gives no random bytes"))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

impl Access {
    pub(crate) fn new(secret: Option<String>, origins: Vec<String>, hosts: Vec<String>) -> Self {
        Self { secret, origins, hosts, wrong: Mutex::new(()) }
    }

    /// Returns true if the secret in the first parameter is right. A wrong one takes half a second, one after the other.
    #[cfg(test)]
    async fn knows_secret(&self, token: Option<&str>) -> bool {
        if !self.is_right(token) {
            self.slow_down().await;
            return false;
        }
        true
    }

    /// Returns true if the secret in the first parameter is right.
    pub(super) fn is_right(&self, token: Option<&str>) -> bool {
        let Some(secret) = &self.secret else {
            return true;
        };
        let given = token.and_then(|token| token.strip_prefix("token:"));
        given.is_some_and(|given| given.as_bytes().ct_eq(secret.as_bytes()).into())
    }

    /// Makes a caller with a wrong secret wait; one after the other.
    pub(super) async fn slow_down(&self) {
        let _turn = self.wrong.lock().await;
        tokio::time::sleep(DELAY).await;
    }

    /// Origin to be allowed in the response, if a page of another site may read it.
    pub(super) fn allowed_origin<'a>(&self, origin: &'a str) -> Option<&'a str> {
        self.origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
            .then_some(origin)
    }

    /// Returns false for a page of another site, and for a name that a foreign name service made to lead here (DNS rebinding).
    pub(super) fn admits(&self, host: Option<&str>, origin: Option<&str>) -> bool {
        let is_admitted = |host: &&str| {
            is_local(host) || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name_of(host)))
        };
        let Some(host) = host.filter(is_admitted) else {
            return false;
        };
        match origin {
            None => true,
            Some(origin) => {
                let same = origin.split_once("://").is_some_and(|(_, site)| site.eq_ignore_ascii_case(host));
                same || self.allowed_origin(origin).is_some()
            }
        }
    }
}

/// Returns true for an address, and for the name of this machine to itself: a name service cannot change either.
fn is_local(host: &str) -> bool {
    let name = name_of(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// The host without its port and its brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_here_and_pages_of_other_sites_are_not_admitted() {
        let access = Access::new(None, vec!["https://ui.example".to_owned()], vec!["nas".to_owned()]);
        for (host, origin, admitted) in [
            (Some("127.0.0.1:6800"), None, true),
            (Some("localhost:6800"), None, true),
            (Some("[::1]:6800"), None, true),
            (Some("192.168.1.5"), None, true),
            (Some("NAS:6800"), None, true),
            (Some("evil.example:6800"), None, false),
            (Some("127.0.0.1.evil.example"), None, false),
            (None, None, false),
            (Some("127.0.0.1:6800"), Some("http://127.0.0.1:6800"), true),
            (Some("127.0.0.1:6800"), Some("http://127.0.0.1:80"), false),
            (Some("127.0.0.1:6800"), Some("https://ui.example"), true),
            (Some("127.0.0.1:6800"), Some("https://evil.example"), false),
            (Some("127.0.0.1:6800"), Some("null"), false),
        ] {
            assert_eq!(access.admits(host, origin), admitted, "{host:?} {origin:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_secret_takes_its_time_and_no_two_at_once() {
        let access = Access::new(Some("s3cret".to_owned()), Vec::new(), Vec::new());
        assert!(access.knows_secret(Some("token:s3cret")).await);
        let began = tokio::time::Instant::now();
        let wrong = [None, Some("token:"), Some("s3cret"), Some("token:s3crets")];
        let (a, b, c, d) = tokio::join!(
            access.knows_secret(wrong[0]),
            access.knows_secret(wrong[1]),
            access.knows_secret(wrong[2]),
            access.knows_secret(wrong[3]),
        );
        assert!(!(a || b || c || d));
        assert!(began.elapsed() >= 4 * DELAY);
        assert!(Access::new(None, Vec::new(), Vec::new()).knows_secret(None).await);
    }

    #[test]
    fn no_two_secrets_are_alike() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert!(one.len() == 32 && one != other);
    }
}
