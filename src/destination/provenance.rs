//! Origin of the instruction to fetch a URL, which decides the secrets that its server may receive.

use crate::plan::{Address, Origin};

/// Origin of the instruction to fetch a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The user: the user's secrets for the URL are sent to it.
    #[default]
    User,
    /// A document, which may come from anybody: secrets are sent only to the origin that the document came from.
    Document(Option<Origin>),
}

impl NamedBy {
    /// Returns true if this source may receive secrets and the client certificate.
    pub(crate) fn vouches_for(&self, source: &Address) -> bool {
        match self {
            Self::User => true,
            Self::Document(home) => home.as_ref().is_some_and(|home| source.is_of(home)),
        }
    }

    /// The form in the manifest.
    pub(crate) fn to_record(&self) -> Option<String> {
        match self {
            Self::User => None,
            Self::Document(home) => Some(home.as_ref().map(ToString::to_string).unwrap_or_default()),
        }
    }
}
