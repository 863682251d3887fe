//! The `Set-Cookie` field (RFC 6265bis §5.6).

use std::time::{Duration, SystemTime};

/// Most bytes of name and value together (RFC 6265bis §5.6).
const LONGEST: usize = 4096;
/// Most bytes of an attribute; longer ones are ignored.
const LONGEST_ATTRIBUTE: usize = 1024;

/// A cookie from a `Set-Cookie` field. The cookie store decides if it is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetCookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Domain in lower case, without a leading dot.
    pub(crate) domain: Option<String>,
    /// Path beginning with a slash; `None` for the directory of the URL that set it.
    pub(crate) path: Option<String>,
    pub(crate) secure: bool,
    pub(crate) expires: Expires,
}

/// Expiry of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expires {
    WithTheSession,
    At(SystemTime),
    /// Expired on arrival: removes the cookie of its name.
    Already,
}

/// Parses a field that was received at `now`; `None` if it is to be ignored as a whole.
pub(crate) fn parse(field: &[u8], now: SystemTime) -> Option<SetCookie> {
    let text = str::from_utf8(field).ok()?;
    if text.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return None;
    }
    let mut parts = text.split(';');
    let pair = parts.next()?;
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() && value.is_empty() || name.len() + value.len() > LONGEST {
        return None;
    }
    let (name, value) = (name.to_owned(), value.to_owned());
    let expires = Expires::WithTheSession;
    let mut cookie = SetCookie { name, value, domain: None, path: None, secure: false, expires };
    let mut max_age = None;
    for attribute in parts.filter(|attribute| attribute.len() <= LONGEST_ATTRIBUTE) {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        match name.as_str() {
            "domain" => {
                let domain = value.strip_prefix('.').unwrap_or(value);
                cookie.domain = (!domain.is_empty()).then(|| domain.to_ascii_lowercase());
            }
            "path" => cookie.path = value.starts_with('/').then(|| value.to_owned()),
            "secure" => cookie.secure = true,
            "max-age" => max_age = age(value).or(max_age),
            "expires" => cookie.expires = date(value).map_or(cookie.expires, |at| until(at, now)),
            _ => {}
        }
    }
    // Max-Age takes precedence over Expires.
    if let Some(age) = max_age {
        cookie.expires = match age {
            Age::Over => Expires::Already,
            // A cookie that outlives the clock outlives the program.
            Age::Seconds(age) => now.checked_add(age).map_or(Expires::WithTheSession, Expires::At),
        };
    }
    has_earned_its_prefix(&cookie).then_some(cookie)
}

/// Checks the prefixes by which a name promises how it was set (RFC 6265bis §4.1.3).
fn has_earned_its_prefix(cookie: &SetCookie) -> bool {
    let name = cookie.name.to_ascii_lowercase();
    let at_home = || cookie.domain.is_none() && cookie.path.as_deref() == Some("/");
    match name {
        _ if name.starts_with("__host-") => cookie.secure && at_home(),
        _ if name.starts_with("__secure-") => cookie.secure,
        _ => true,
    }
}

enum Age {
    Over,
    Seconds(Duration),
}

fn age(text: &str) -> Option<Age> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match digits.parse() {
        _ if digits.len() < text.len() => Some(Age::Over),
        Ok(0) => Some(Age::Over),
        Ok(seconds) => Some(Age::Seconds(Duration::from_secs(seconds))),
        Err(_) => Some(Age::Seconds(Duration::MAX)),
    }
}

/// Parses an HTTP date, also with the dashes of the first cookie specification.
fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).or_else(|_| httpdate::parse_http_date(&text.replace('-', " "))).ok()
}

fn until(at: SystemTime, now: SystemTime) -> Expires {
    if at <= now { Expires::Already } else { Expires::At(at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Tue, 14 Nov 2023 22:13:20 GMT
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn parsed(field: &str) -> Option<SetCookie> {
        parse(field.as_bytes(), now())
    }

    #[test]
    fn a_cookie_has_a_name_a_value_and_attributes() {
        let cookie = parsed("id = a=b ; Path=/x; DOMAIN=.Host.org; Secure; HttpOnly; SameSite=Lax").unwrap();
        assert_eq!((cookie.name.as_str(), cookie.value.as_str()), ("id", "a=b"));
        assert_eq!((cookie.domain.as_deref(), cookie.path.as_deref()), (Some("host.org"), Some("/x")));
        assert!(cookie.secure && cookie.expires == Expires::WithTheSession);
        let bare = parsed("alone").unwrap();
        assert_eq!((bare.name.as_str(), bare.value.as_str(), bare.path), ("", "alone", None));
        assert_eq!(parsed("a=b; Path=x; Domain=").unwrap(), parsed("a=b").unwrap());
    }

    #[test]
    fn what_breaks_the_rules_is_ignored() {
        for field in [
            "",
            " ",
            "=",
            "a=b\u{1}",
            "a=b\r\nX: y",
            "__Host-a=b; Secure",
            "__Host-a=b; Secure; Path=/; Domain=host.org",
            "__host-a=b; Path=/",
            "__Secure-a=b",
        ] {
            assert_eq!(parsed(field), None, "{field:?}");
        }
        assert!(parsed("__Host-a=b; Secure; Path=/").is_some() && parsed("__Secure-a=b; Secure").is_some());
        assert_eq!(parsed(&format!("a={}", "b".repeat(LONGEST))), None);
        assert_eq!(parse(b"a=\xff", now()), None);
    }

    #[test]
    fn max_age_goes_before_expires() {
        let late = now() + Duration::from_secs(60);
        for (attributes, expires) in [
            ("Expires=Tue, 14 Nov 2023 22:14:20 GMT", Expires::At(late)),
            ("Expires=Tue, 14-Nov-2023 22:14:20 GMT", Expires::At(late)),
            ("Expires=Tue, 14 Nov 2023 22:13:20 GMT", Expires::Already),
            ("Expires=soon", Expires::WithTheSession),
            ("Max-Age=60; Expires=Tue, 14 Nov 1983 22:13:20 GMT", Expires::At(late)),
            ("Max-Age=0", Expires::Already),
            ("Max-Age=-1", Expires::Already),
            ("Max-Age=x", Expires::WithTheSession),
            ("Max-Age=99999999999999999999999", Expires::WithTheSession),
        ] {
            assert_eq!(parsed(&format!("a=b; {attributes}")).unwrap().expires, expires, "{attributes}");
        }
    }

    proptest! {
        #[test]
        fn a_field_of_any_bytes_gives_a_cookie_that_fits_into_a_header_or_none(field in any::<Vec<u8>>()) {
            if let Some(cookie) = parse(&field, now()) {
                let fits = |text: &str| !text.contains([';', '\r', '\n', '\0']) && text.len() <= LONGEST;
                prop_assert!(fits(&cookie.name) && fits(&cookie.value) && !cookie.name.contains('='));
            }
        }
    }
}
