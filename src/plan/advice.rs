//! Response to a HEAD. It is only advice, because servers refuse HEAD, or answer it differently from GET (RFC 9110
//! §9.3.2): it counts only if it contradicts the received file.

use super::representation::Representation;
use super::response_head::ResponseHead;
use http::StatusCode;

/// Description of a file by a HEAD response.
#[derive(Clone, Debug)]
pub(crate) struct Advice {
    status: StatusCode,
    /// True if the response is encoded, so that its length may differ from that of the file as it is.
    coded: bool,
    said: Representation,
}

impl Advice {
    pub(crate) fn of(answer: &ResponseHead) -> Self {
        let said = Representation {
            complete_length: answer.content_length,
            validators: answer.validators.clone(),
            media_type: answer.media_type.clone(),
        };
        Self { status: answer.status, coded: answer.coding.is_some(), said }
    }

    /// True if it redirects to another URL.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        self.status.is_redirection()
    }

    /// True if the server answered HEAD, false if it refused it; `None` if the status says neither.
    pub(crate) fn is_served(&self) -> Option<bool> {
        match self.status.as_u16() {
            200 => Some(true),
            400 | 403 | 404 | 405 | 501 => Some(false),
            _ => None,
        }
    }

    /// Complete length, if stated for the file itself.
    pub(crate) fn length(&self) -> Option<u64> {
        self.said.complete_length.filter(|_| self.status == StatusCode::OK && !self.coded)
    }

    /// True if it may be of the same version as `seen`: differing validators are of two versions, which may differ in
    /// length.
    pub(crate) fn may_be_of(&self, seen: &Representation) -> bool {
        self.said.validators.contradicted_by(&seen.validators).is_none()
    }

    /// One line for the user. Not escaped.
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
