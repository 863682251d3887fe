//! Name and place of the file of a request.

use super::{NameSource, Output, Request};
use crate::error::{Error, Remedy};
use crate::formats::file_name::ForeignName;
use crate::storage::Target;
use std::path::PathBuf;

impl Request {
    /// Target path, as far as it is known before the server is asked. Where the answer may change the name of the URL, that of the URL
    /// ([`Self::name_of_answer`]).
    #[must_use]
    pub fn planned_path(&self) -> Option<PathBuf> {
        if self.asks_for_its_name() && !self.takes_name_of_answer() {
            return None;
        }
        self.target(None).ok().flatten().map(|target| target.path())
    }

    /// Returns true if the server is to provide the file name.
    pub(crate) fn asks_for_its_name(&self) -> bool {
        matches!(self.output, Output::Named)
            && self.named.is_none()
            && (self.content_disposition || self.name_of_answer)
    }

    /// Returns true if the name is that of the answer, if it has one.
    pub(crate) fn takes_name_of_answer(&self) -> bool {
        self.name_of_answer && self.asks_for_its_name()
    }

    /// Source of the name that it is saved under; `None` for a stream.
    pub(crate) fn name_source(&self, suggested: Option<&ForeignName>) -> Option<NameSource> {
        match &self.output {
            Output::Stream(_) | Output::Own(_) => None,
            Output::File(_) => Some(NameSource::Request),
            Output::Named if self.named.is_some() => Some(NameSource::List),
            Output::Named if self.asks_for_its_name() && suggested.is_some() => Some(NameSource::Server),
            Output::Named => Some(NameSource::Url),
        }
    }

    /// Target of the download; `None` for a stream. `suggested` is the server's name for the file.
    ///
    /// # Errors
    /// `Usage` if there is no name for the file.
    pub(crate) fn target(&self, suggested: Option<ForeignName>) -> Result<Option<Target>, Error> {
        match &self.output {
            Output::Stream(_) | Output::Own(_) => return Ok(None),
            Output::File(path) => {
                let target = Target::from_path(&self.directory, path)?;
                return Ok(Some(target.within(self.root.clone())));
            }
            Output::Named => {}
        }
        let by_list = || self.named.clone();
        let by_server = suggested.filter(|_| self.asks_for_its_name());
        let by_url = || ForeignName::from_url_path(self.address.path());
        let by_habit = || self.name_of_answer.then(|| ForeignName::from_server("index.html")).flatten();
        let name = by_list().or(by_server).or_else(by_url).or_else(by_habit).ok_or_else(|| {
            Error::usage(format!("{} does not end in a file name", self.address))
                .with_remedy(Remedy::NameTheFile)
        })?;
        let name = match &self.below {
            Some(directory) => name.within(directory),
            None => name,
        };
        Ok(Some(Target::foreign(&self.directory, &name).within(self.root.clone())))
    }
}
