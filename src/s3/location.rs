//! Place of an object: its bucket, its key and its version.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;

/// Characters of a key that stay as they are in a URL (Amazon S3 API Reference, "Signature Calculations", `UriEncode`).
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
/// The same for a value in a query.
pub(crate) const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An object, or a prefix of keys, as `s3://bucket/key?versionId=ID` names it. The key is written as it is, without encoding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version: Option<String>,
}

impl Location {
    /// Parses a URL; an error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rest = text.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("s3://"));
        let rest = rest.map(|_| &text[5..]).ok_or("it does not begin with s3://")?;
        if let Some(found) = rest.chars().find(|found| found.is_control()) {
            return Err(format!("it contains {}", found.escape_unicode()));
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let (key, version) = match key.rsplit_once("?versionId=") {
            Some((_, "")) => return Err("the version is missing after versionId=".to_owned()),
            Some((key, version)) => (key, Some(version.to_owned())),
            None => (key, None),
        };
        if !is_bucket(bucket) {
            return Err("a bucket is named by 3 to 63 small letters, digits, dots and hyphens".to_owned());
        }
        if key.len() > 1024 {
            return Err("a key has at most 1024 bytes".to_owned());
        }
        // They cannot be sent: every library for URLs takes them for steps in a path.
        if key.split('/').any(|part| matches!(part, "." | "..")) {
            return Err("a key with . or .. between slashes cannot be written into a request".to_owned());
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned(), version })
    }

    /// True if it names no object, but what objects begin with.
    pub(crate) fn is_prefix(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// The key as the path of a URL has it.
    pub(crate) fn path(&self) -> String {
        utf8_percent_encode(&self.key, IN_PATH).to_string()
    }

    /// Its version, as the query of a URL has it, with the question mark.
    pub(crate) fn version_query(&self) -> String {
        let encoded = |version: &String| format!("?versionId={}", utf8_percent_encode(version, IN_QUERY));
        self.version.as_ref().map(encoded).unwrap_or_default()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "?versionId={version}"))
    }
}

/// Rules for names of buckets (Amazon S3 User Guide, "General purpose bucket naming rules"), without those that other stores do not have.
fn is_bucket(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
        && edge(name.chars().next())
        && edge(name.chars().last())
        && !name.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_url_is_understood() {
        for (text, bucket, key, version, path) in [
            ("s3://bucket/key", "bucket", "key", None, "key"),
            ("S3://my.bucket-1/a/b c.bin", "my.bucket-1", "a/b c.bin", None, "a/b%20c.bin"),
            ("s3://bucket/a?b#c%20", "bucket", "a?b#c%20", None, "a%3Fb%23c%2520"),
            ("s3://bucket/k?versionId=3/L", "bucket", "k", Some("3/L"), "k"),
            ("s3://bucket/ä//+=~", "bucket", "ä//+=~", None, "%C3%A4//%2B%3D~"),
            ("s3://bucket", "bucket", "", None, ""),
            ("s3://bucket/p/", "bucket", "p/", None, "p/"),
        ] {
            let location = Location::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((&location.bucket[..], &location.key[..]), (bucket, key), "{text}");
            assert_eq!((location.version.as_deref(), &location.path()[..]), (version, path), "{text}");
        }
        assert_eq!(
            Location::parse("s3://bucket/k?versionId=a b").unwrap().version_query(),
            "?versionId=a%20b"
        );
        assert_eq!(
            Location::parse("s3://bucket/k?versionId=1").unwrap().to_string(),
            "s3://bucket/k?versionId=1"
        );
        assert!(Location::parse("s3://bucket/p/").unwrap().is_prefix());
    }

    #[test]
    fn what_names_no_object_is_refused() {
        let long = format!("s3://bucket/{}", "k".repeat(1025));
        for bad in [
            "http://bucket/key",
            "s3:/bucket/key",
            "s3://",
            "s3:///key",
            "s3://b/key",
            "s3://Bucket/key",
            "s3://-bucket/k",
            "s3://bu..cket/k",
            "s3://u:p@bucket/k",
            "s3://bucket/a/../b",
            "s3://bucket/.",
            "s3://bucket/a\nb",
            "s3://bucket/k?versionId=",
            "s3é",
            &long,
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }
}
