//! Secrets in URLs: finds the query parameters that carry them, and hides them in texts.

use std::borrow::Cow;

/// Names of query parameters whose values are secrets, compared with the end of a decoded name in lower case without
/// separators: `X-Amz-Signature`, `sas_token` and `user[password]` end in one of these.
const SECRET_ENDINGS: [&str; 23] = [
    "accesskeyid",
    "apikey",
    "authcode",
    "authkey",
    "authorization",
    "bearer",
    "credential",
    "credentials",
    "hmac",
    "jwt",
    "keypairid",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "policy",
    "pwd",
    "secret",
    "sessid",
    "sessionid",
    "signature",
    "ticket",
    "token",
];

/// Names too short to match the end of any word: they count as the last word of a name.
const SECRET_WORDS: [&str; 11] =
    ["auth", "cred", "hdnea", "hdnts", "key", "otp", "pass", "session", "sid", "sig", "sign"];

/// Names that count only as a whole: at the end of a longer name they are mostly harmless, as in `country_code`.
const SECRET_NAMES: [&str; 4] = ["code", "pin", "pw", "st"];

/// Query parameters that limit the time and origin of access; they change with each signing.
const SIGNING_NAMES: [&str; 10] =
    ["expires", "se", "sip", "ske", "skoid", "sks", "skt", "sktid", "skv", "spr"];

/// Returns true if the value of the parameter with this encoded name is a secret.
fn is_secret(name: &str) -> bool {
    let name = decoded(name);
    let lower = name.to_ascii_lowercase();
    let letters: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    SECRET_NAMES.contains(&lower.as_str())
        || SECRET_ENDINGS.iter().any(|ending| letters.ends_with(ending))
        || last_word(&name).is_some_and(|word| SECRET_WORDS.contains(&word.to_ascii_lowercase().as_str()))
}

/// Returns true if the parameter states only who may fetch and until when, not which resource. A `key` may be a secret
/// on one server and a file name on another, so it does not count.
pub(crate) fn is_signing(name: &str) -> bool {
    let lower = decoded(name).to_ascii_lowercase();
    let is_key = last_word(&lower) == Some("key");
    lower.starts_with("x-amz-")
        || lower.starts_with("x-goog-")
        || SIGNING_NAMES.contains(&lower.as_str())
        || (is_secret(name) && !is_key)
}

/// Returns the last word of a name: `Token` of `accessToken`, `key` of `sort_key`.
fn last_word(name: &str) -> Option<&str> {
    let name = name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let mut start = name.rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
    let tail = name.get(start..).filter(|tail| !tail.is_empty())?;
    let bytes = tail.as_bytes();
    let begins = |at: &usize| bytes[*at].is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase();
    start = (1..bytes.len()).rev().find(begins).unwrap_or(0);
    tail.get(start..)
}

/// Replaces the values of secret parameters in a query with the result of `hide`. Values that hold a URL with secrets
/// of its own are hidden as well.
pub(crate) fn hidden(query: &str, hide: impl Fn(&str) -> String) -> String {
    let mut text = String::with_capacity(query.len());
    for parameter in query.split_inclusive(['&', ';']) {
        let end = parameter.trim_end_matches(['&', ';']).len();
        let (parameter, separator) = parameter.split_at(end);
        match parameter.split_once('=') {
            Some((name, value)) if !value.is_empty() && (is_secret(name) || holds_secret(value)) => {
                text.extend([name, "=", &hide(value)]);
            }
            // Some servers accept a percent-encoded equals sign.
            None if holds_secret(parameter) => text.push_str(&hide(parameter)),
            Some(_) | None => text.push_str(parameter),
        }
        text.push_str(separator);
    }
    text
}

/// Returns true if a value, decoded, holds a secret parameter or userinfo.
fn holds_secret(value: &str) -> bool {
    if !value.contains(['%', '=', '@']) {
        return false;
    }
    let value = decoded(value);
    let names_one = |parameter: &str| {
        parameter.split_once('=').is_some_and(|(name, value)| !value.is_empty() && is_secret(name))
    };
    let userinfo = value.split_once("://").is_some_and(|(_, rest)| {
        rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
    });
    userinfo || value.split(['?', '&', ';', '#']).any(names_one)
}

/// Redacts an unusable text that was meant as a URL: drops userinfo, query, fragment, and anything after a blank.
///
/// A password that is not percent-encoded may hold any of `/ ? # @ :`, so each is treated as a part of it if possible.
pub(crate) fn refused(text: &str) -> String {
    let text = text.trim();
    let (scheme, rest) = scheme(text);
    let at = [rest.rfind('@').map(|at| (at, 1)), rfind_encoded_at(rest)].into_iter().flatten().max();
    let ends = |c: char| matches!(c, '?' | '#') || c.is_whitespace() || c.is_control();
    let (hidden, shown) = match at {
        // An apparent query may be part of a password, and the other way round.
        Some((at, _)) if rest[..at].contains(ends) => return format!("{scheme}***"),
        Some((at, length)) => ("***@", &rest[at + length..]),
        None => ("", rest),
    };
    let (shown, more) = match shown.find(ends) {
        Some(at) if shown[at..].starts_with(['?', '#']) => (&shown[..at], "?***"),
        Some(at) => (&shown[..at], " …"),
        None => (shown, ""),
    };
    format!("{scheme}{hidden}{}{more}", without_odd_port(shown))
}

/// Returns true if a text that should be something else may be a URL.
pub(crate) fn is_like_url(text: &str) -> bool {
    let (scheme, rest) = scheme(text);
    let has_userinfo = rest.split_once('@').is_some_and(|(userinfo, _)| userinfo.contains(':'));
    scheme.contains(':') || scheme.starts_with("//") || has_userinfo
}

/// Shows the name of a file or a device, or a quantity; a URL in its place is redacted as unusable.
pub(crate) fn named(text: &str) -> Cow<'_, str> {
    if is_like_url(text) { Cow::Owned(refused(text)) } else { Cow::Borrowed(text) }
}

/// Splits off the scheme with everything up to the authority. Without a slash a scheme cannot be told from a user name.
fn scheme(text: &str) -> (&str, &str) {
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    let slashes = |from: usize| {
        let rest = &text[from..];
        from + rest.len() - rest.trim_start_matches(['/', '\\']).len()
    };
    match text.find(':') {
        Some(colon) if is_scheme(&text[..colon]) && slashes(colon + 1) > colon + 1 => {
            text.split_at(slashes(colon + 1))
        }
        _ => text.split_at(slashes(0)),
    }
}

/// Finds the last `%40`, with its length.
fn rfind_encoded_at(text: &str) -> Option<(usize, usize)> {
    text.rfind("%40").map(|at| (at, 3))
}

/// Hides the text after a colon in the authority unless it is a number: it may be a password with a missing `@`.
fn without_odd_port(text: &str) -> Cow<'_, str> {
    let authority = text.split(['/', '\\']).next().unwrap_or_default();
    let after = authority.rfind(']').unwrap_or(0);
    match authority[after..].find(':').map(|at| after + at) {
        Some(colon) if !authority[colon + 1..].bytes().all(|byte| byte.is_ascii_digit()) => {
            Cow::Owned(format!("{}:***{}", &authority[..colon], &text[authority.len()..]))
        }
        _ => Cow::Borrowed(text),
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_parameter_is_secret_by_the_end_of_its_decoded_name() {
        for name in [
            "token",
            "TOKEN",
            "sas_token",
            "accessToken",
            "upload-token",
            "%74oken",
            "x%2Dtoken",
            "user[password]",
            "X-Amz-Signature",
            "x-oss-signature",
            "OSSAccessKeyId",
            "X-Amz-Credential",
            "client_secret",
            "api.key",
            "apikey",
            "x-api-key",
            "Key-Pair-Id",
            "PHPSESSID",
            "jsessionid",
            "sid",
            "auth",
            "sig",
            "oauth_signature",
            "mypassword",
            "code",
            "Policy",
            "hdnts",
            "q-signature",
            "user_pass",
            "access_key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "monkey",
            "design",
            "compass",
            "country_code",
            "v",
            "file",
            "response-content-disposition",
            "",
            "%",
            "author",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_query_is_shown_without_its_secrets() {
        for (query, shown) in [
            ("a=1&sig=S3CR", "a=1&sig=***"),
            ("a=1;token=S3CR;b=2", "a=1;token=***;b=2"),
            ("token=", "token="),
            ("token=S3CR=S3CR&x", "token=***&x"),
            ("%54oken=S3CR", "%54oken=***"),
            ("token%3DS3CR", "***"),
            ("to=https%3A%2F%2Fh%2F%3Ftoken%3DS3CR&b=1", "to=***&b=1"),
            ("to=https%3A%2F%2Fu%3AS3CR%40h%2F", "to=***"),
            ("to=https%3A%2F%2Fh%2Fa@b", "to=https%3A%2F%2Fh%2Fa@b"),
            ("file=a%3Db", "file=a%3Db"),
        ] {
            assert_eq!(hidden(query, |_| "***".to_owned()), shown);
        }
    }

    #[test]
    fn a_url_that_is_refused_is_quoted_without_userinfo_and_query() {
        for (text, shown) in [
            ("http://me:S3CR/x@host/f", "http://***@host/f"),
            ("http://me:S3CR#x@host/f", "http://***"),
            ("http://me:S3CR?x@host/f", "http://***"),
            ("http:/me:S3CR@host:x/f", "http:/***@host:***/f"),
            ("http:\\\\me:S3CR@host\\f", "http:\\\\***@host\\f"),
            ("//me:S3CR@host/f", "//***@host/f"),
            ("me:S3CR@host/f", "***@host/f"),
            ("S3CR:@host/f", "***@host/f"),
            ("http://host:x/f?token=S3CR", "http://host:***/f?***"),
            ("http://host/f?token=S3CR &x=1", "http://host/f?***"),
            ("http://host:x/f?to=a@b&token=S3CR", "http://***"),
            ("htp://host/f?sig=S3CR", "htp://host/f?***"),
            ("htp://host/f#S3CR", "htp://host/f?***"),
            ("http://me:S3CR/f", "http://me:***/f"),
            ("http://me:S3CR%40host/f", "http://***@host/f"),
            ("http://[::1]:S3CR/f", "http://[::1]:***/f"),
            ("http://[::1/f", "http://[:***/f"),
            ("http://host:99999/f", "http://host:99999/f"),
            ("Cookie: a=S3CR", "Cookie: …"),
            ("http://me:S3 CR@host/f", "http://***"),
            ("host/f", "host/f"),
            ("", ""),
        ] {
            assert_eq!(refused(text), shown, "{text}");
        }
    }

    #[test]
    fn a_url_that_was_taken_for_a_name_is_shown_without_its_secrets() {
        for (text, shown) in [
            ("SHA256SUMS", "SHA256SUMS"),
            ("a@1.2?x.meta4", "a@1.2?x.meta4"),
            ("/a/b#c", "/a/b#c"),
            ("http:/me:S3CR@h/f?x", "http:/***@h/f?***"),
            ("me:S3CR@h/f", "***@h/f"),
            ("//h/f?token=S3CR", "//h/f?***"),
        ] {
            assert_eq!(super::named(text), shown);
        }
    }

    proptest! {
        #[test]
        fn no_password_or_query_is_quoted_wherever_the_signs_of_a_url_stand(
            scheme in prop_oneof!["", "http://", "https:/", "htp://", "http:", "//", "http:\\\\\\\\"],
            before in "[a-z:/?#@\\\\&=]{0,6}", after in "[a-z:/?#@\\\\&=]{0,6}", path in "(/[a-z]{0,3}){0,2}",
        ) {
            let userinfo = format!("{scheme}me:{before}S3CRET{after}@host{path}");
            prop_assert!(!refused(&userinfo).contains("S3CRET"), "{userinfo} {}", refused(&userinfo));
            let query = format!("{scheme}host:x{path}?{before}S3CRET{after}");
            prop_assert!(!refused(&query).contains("S3CRET"), "{query} {}", refused(&query));
        }
    }
}
