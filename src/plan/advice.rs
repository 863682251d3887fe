//! The answer to a HEAD. Advice, for servers refuse HEAD, or answer something else than to GET (RFC 9110 §9.3.2): only that it
//! contradicts what came counts.

use super::answer::Answer;
use super::representation::Representation;
use http::StatusCode;

/// What HEAD says of a file.
#[derive(Clone, Debug)]
pub(crate) struct Advice {
    status: StatusCode,
    /// A length that may differ from that of the file as it is.
    coded: bool,
    said: Representation,
}

impl Advice {
    pub(crate) fn of(answer: &Answer) -> Self {
        let said = Representation {
            complete_length: answer.content_length,
            validators: answer.validators.clone(),
            media_type: answer.media_type.clone(),
        };
        Self { status: answer.status, coded: answer.coding.is_some(), said }
    }

    /// Whether it is about another URL.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        self.status.is_redirection()
    }

    /// The complete length, where it is stated for the file itself.
    pub(crate) fn length(&self) -> Option<u64> {
        self.said.complete_length.filter(|_| self.status == StatusCode::OK && !self.coded)
    }

    /// Whether it may be of the same version as `seen`: two validators that differ are of two versions, which may differ in
    /// length.
    pub(crate) fn may_be_of(&self, seen: &Representation) -> bool {
        self.said.validators.contradicted_by(&seen.validators).is_none()
    }

    /// One line for a person. Not escaped.
    pub(crate) fn in_words(&self) -> String {
        let status = self.status.as_u16();
        if self.status != StatusCode::OK {
            return format!("HEAD was answered with {status}");
        }
        let length = match self.said.complete_length {
            Some(length) => format!("{length} bytes"),
            None => "no length".to_owned(),
        };
        let tag = self.said.validators.etag.as_ref();
        let tag = tag.map(|tag| format!(", ETag {}", tag.as_str())).unwrap_or_default();
        let media = self.said.media_type.as_ref().map(|media| format!(", {media}")).unwrap_or_default();
        format!("HEAD says {length}{tag}{media}")
    }
}
