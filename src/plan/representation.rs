//! Identity of one version of a resource: its complete length and its validators.

use std::time::Duration;

/// An entity tag (RFC 9110 §8.8.3), kept as it was received.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct EntityTag(String);

impl EntityTag {
    /// Parses a field value; `None` if it is not an entity tag.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let value = value.trim_matches([' ', '\t']);
        let opaque = value.strip_prefix("W/").unwrap_or(value);
        let inner = opaque.strip_prefix('"')?.strip_suffix('"')?;
        let legal = inner.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80);
        legal.then(|| Self(value.to_owned()))
    }

    pub(crate) fn is_weak(&self) -> bool {
        self.0.starts_with("W/")
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The strong comparison of RFC 9110 §8.8.3.2: equal character by character, and neither weak.
    pub(crate) fn strongly_equals(&self, other: &Self) -> bool {
        !self.is_weak() && self.0 == other.0
    }
}

/// Validators of one response, as received.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Validators {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) etag: Option<EntityTag>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) last_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) date: Option<String>,
}

impl Validators {
    /// Strong validator, with which ranges may be combined (RFC 9110 §15.3.7.3), as it goes into `If-Range`.
    ///
    /// A strong entity tag; or, only if there is no tag at all, a Last-Modified that is at least a second older than
    /// the Date of the same response (§8.8.2.2, §13.1.5). The received text is echoed, never a reformatted date:
    /// servers compare it as a string.
    pub(crate) fn strong(&self) -> Option<&str> {
        match &self.etag {
            Some(tag) if tag.is_weak() => None,
            Some(tag) => Some(tag.as_str()),
            None => self.last_modified.as_deref().filter(|_| self.date_is_strong()),
        }
    }

    fn date_is_strong(&self) -> bool {
        let parse = |text: &Option<String>| httpdate::parse_http_date(text.as_deref()?).ok();
        match (parse(&self.last_modified), parse(&self.date)) {
            (Some(modified), Some(date)) => {
                date.duration_since(modified).is_ok_and(|age| age >= Duration::from_secs(1))
            }
            _ => false,
        }
    }

    /// Reason why `other` contradicts these: both carry the same kind of validator and they differ.
    ///
    /// Equal weak tags contradict nothing, and neither does a missing validator: a 206 in response to an If-Range may
    /// omit what the client already has (RFC 9110 §15.3.7).
    pub(crate) fn contradicted_by(&self, other: &Self) -> Option<String> {
        match (&self.etag, &other.etag) {
            (Some(known), Some(seen)) if known != seen => {
                return Some(format!("its ETag was {} and is now {}", known.as_str(), seen.as_str()));
            }
            (Some(_), Some(_)) => return None,
            _ => {}
        }
        match (&self.last_modified, &other.last_modified) {
            (Some(known), Some(seen)) if known != seen => {
                Some(format!("its Last-Modified was {known} and is now {seen}"))
            }
            _ => None,
        }
    }

    /// True if there is neither an ETag nor a Last-Modified.
    pub(crate) fn is_silent(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// True if both are known to name the same version: a strong comparison succeeds.
    pub(crate) fn strongly_equal(&self, other: &Self) -> bool {
        match (&self.etag, &other.etag) {
            (Some(known), Some(seen)) => known.strongly_equals(seen),
            (None, None) => self.strong().is_some() && self.last_modified == other.last_modified,
            _ => false,
        }
    }
}

/// One version of the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Representation {
    /// `None` while the server has not stated the length.
    pub(crate) complete_length: Option<u64>,
    #[serde(flatten)]
    pub(crate) validators: Validators,
    /// Identifies nothing, but a web page in place of a disk image shows a captive portal, not a new version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) media_type: Option<String>,
}

impl Representation {
    /// Reason why `other` cannot be the same version; `None` if nothing contradicts it.
    pub(crate) fn contradicted_by(&self, other: &Self) -> Option<String> {
        match (self.complete_length, other.complete_length) {
            (Some(known), Some(seen)) if known != seen => {
                Some(format!("it had {known} bytes and has now {seen}"))
            }
            _ => self.validators.contradicted_by(&other.validators),
        }
    }

    /// True if this is proven to be the version of that length with these validators. There is only one of zero bytes.
    pub(crate) fn is_version(&self, length: Option<u64>, validators: &Validators) -> bool {
        length.is_some()
            && self.complete_length == length
            && (length == Some(0) || self.validators.strongly_equal(validators))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validators(etag: Option<&str>, last_modified: Option<&str>, date: Option<&str>) -> Validators {
        Validators {
            etag: etag.and_then(EntityTag::parse),
            last_modified: last_modified.map(str::to_owned),
            date: date.map(str::to_owned),
        }
    }

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const MODIFIED_850: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
    const SECOND_LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn only_quoted_text_is_an_entity_tag() {
        assert!(EntityTag::parse("\"v1\"").is_some());
        assert!(EntityTag::parse("W/\"v1\"").is_some_and(|tag| tag.is_weak()));
        for text in ["v1", "\"", "\"a\"b\"", "w/\"v1\"", "\"a b\"", ""] {
            assert!(EntityTag::parse(text).is_none(), "{text}");
        }
    }

    // T018, T020
    #[test]
    fn a_weak_tag_rules_out_the_date_as_well() {
        assert_eq!(validators(Some("W/\"1\""), Some(MODIFIED), Some(SECOND_LATER)).strong(), None);
        assert_eq!(validators(None, Some(MODIFIED), Some(SECOND_LATER)).strong(), Some(MODIFIED));
        assert_eq!(validators(None, Some(MODIFIED), Some(MODIFIED)).strong(), None);
        assert_eq!(validators(None, Some(MODIFIED), None).strong(), None);
        assert_eq!(validators(Some("\"1\""), Some(MODIFIED), None).strong(), Some("\"1\""));
    }

    #[test]
    fn a_date_is_echoed_in_the_form_it_came_in() {
        assert_eq!(validators(None, Some(MODIFIED_850), Some(SECOND_LATER)).strong(), Some(MODIFIED_850));
    }

    #[test]
    fn weak_tags_are_never_strongly_equal() {
        let weak = validators(Some("W/\"1\""), None, None);
        assert!(!weak.strongly_equal(&weak));
        let strong = validators(Some("\"1\""), None, None);
        assert!(strong.strongly_equal(&strong));
        assert!(!strong.strongly_equal(&weak));
    }

    #[test]
    fn a_missing_validator_contradicts_nothing() {
        let known = validators(Some("\"1\""), Some(MODIFIED), Some(SECOND_LATER));
        assert_eq!(known.contradicted_by(&Validators::default()), None);
        assert!(known.contradicted_by(&validators(Some("\"2\""), Some(MODIFIED), None)).is_some());
        assert!(known.contradicted_by(&validators(None, Some(SECOND_LATER), None)).is_some());
    }

    #[test]
    fn another_length_is_another_version() {
        let known = Representation { complete_length: Some(5), ..Representation::default() };
        let seen = Representation { complete_length: Some(6), ..Representation::default() };
        assert!(known.contradicted_by(&seen).is_some());
        assert_eq!(known.contradicted_by(&Representation::default()), None);
    }
}
