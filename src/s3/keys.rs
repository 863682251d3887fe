//! Keys that sign requests, and the documents that lend them.

use super::document::Document;
use serde::Deserialize;
use std::fmt;
use std::time::{Duration, SystemTime};

/// An access key, which may be lent for a time.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) access: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) expires: Option<SystemTime>,
}

impl fmt::Debug for Keys {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Document of the instance metadata and of containers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lent {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

impl Keys {
    /// Reads the document of a metadata service or of a container.
    pub(crate) fn from_json(document: &[u8]) -> Option<Self> {
        let lent: Lent = serde_json::from_slice(document).ok()?;
        let expires = lent.expiration.as_deref().map(instant);
        if lent.access_key_id.is_empty() || lent.secret_access_key.is_empty() || expires == Some(None) {
            return None;
        }
        let token = lent.token.filter(|token| !token.is_empty());
        Some(Self {
            access: lent.access_key_id,
            secret: lent.secret_access_key,
            token,
            expires: expires.flatten(),
        })
    }

    /// Reads the answer to `AssumeRoleWithWebIdentity` (AWS STS API Reference).
    pub(crate) fn from_sts(document: &[u8]) -> Option<Self> {
        let document = Document::parse(document)?;
        let text = |name: &str| {
            let path = format!("AssumeRoleWithWebIdentityResult/Credentials/{name}");
            document.text(&path).map(str::to_owned)
        };
        Some(Self {
            access: text("AccessKeyId")?,
            secret: text("SecretAccessKey")?,
            token: text("SessionToken"),
            expires: Some(instant(&text("Expiration")?)?),
        })
    }

    /// Time that is left; `None` if they do not expire.
    pub(crate) fn left(&self, now: SystemTime) -> Option<Duration> {
        self.expires.map(|expires| expires.duration_since(now).unwrap_or_default())
    }
}

/// A time of RFC 3339 in UTC, to the second.
fn instant(text: &str) -> Option<SystemTime> {
    let (date, time) = text.trim().split_once(['T', ' '])?;
    let time = time.trim_end_matches(['Z', 'z']);
    let time = time.strip_suffix("+00:00").unwrap_or(time).split('.').next()?;
    let numbers = |text: &str, separator| -> Option<[u64; 3]> {
        let parts: Option<Vec<u64>> = text.split(separator).map(|part| part.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    let sound = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !sound || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: u64 = lengths.iter().take(usize::try_from(month).ok()? - 1).sum();
    let seconds = ((years + months + day - 1) * 24 + hour) * 3600 + minute * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        Some(instant(text)?.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn a_time_is_read_in_each_form_that_services_write() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("2026-11-28T07:15:38Z", Some(1_795_850_138)),
            ("2026-11-28T07:15:38.123456Z", Some(1_795_850_138)),
            ("2026-11-28 07:15:38+00:00", Some(1_795_850_138)),
            ("2026-11-28", None),
            ("2026-13-28T07:15:38Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn keys_are_read_from_each_document_and_never_shown() {
        let json = br#"{"Code": "Success", "AccessKeyId": "AK", "SecretAccessKey": "S3CR", "Token": "T0K",
            "Expiration": "2026-11-28T07:15:38Z"}"#;
        let lent = Keys::from_json(json).unwrap();
        let xml = b"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
            <AccessKeyId>AK</AccessKeyId><SecretAccessKey>S3CR</SecretAccessKey><SessionToken>T0K</SessionToken>
            <Expiration>2026-11-28T07:15:38Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
            </AssumeRoleWithWebIdentityResponse>";
        assert_eq!(Keys::from_sts(xml).as_ref(), Some(&lent));
        assert!(!format!("{lent:?}").contains("S3CR") && !format!("{lent:?}").contains("T0K"));
        for bad in [
            "",
            "{}",
            r#"{"AccessKeyId": "", "SecretAccessKey": "x"}"#,
            "<Error/>",
            r#"{"AccessKeyId": "a", "SecretAccessKey": "x", "Expiration": "soon"}"#,
        ] {
            assert!(
                Keys::from_json(bad.as_bytes()).is_none() && Keys::from_sts(bad.as_bytes()).is_none(),
                "{bad}"
            );
        }
    }
}
