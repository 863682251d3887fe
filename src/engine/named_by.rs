//! Who says that a URL is to be fetched, which decides what its server may hear.

use crate::plan::{Address, Origin};

/// Who says that a URL is to be fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The user: what the user has for it is for it.
    #[default]
    User,
    /// A document, which may come from anybody: only where it came from may hear of anything.
    Document(Option<Origin>),
}

impl NamedBy {
    /// Whether this source may hear of anything, and know who we are.
    pub(super) fn vouches_for(&self, source: &Address) -> bool {
        match self {
            Self::User => true,
            Self::Document(home) => home.as_ref().is_some_and(|home| source.is_of(home)),
        }
    }

    /// As the manifest keeps it.
    pub(super) fn to_record(&self) -> Option<String> {
        match self {
            Self::User => None,
            Self::Document(home) => Some(home.as_ref().map(ToString::to_string).unwrap_or_default()),
        }
    }
}
