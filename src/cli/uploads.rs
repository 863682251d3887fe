//! The place in S3 that the options name instead of a file or a directory.

use super::args::Options;
use super::s3_flags::Uploads;
use crate::IfExists;
use crate::error::Error;
use std::path::{Path, PathBuf};

/// Returns the URL that stands in the place of a path.
fn url(path: Option<&PathBuf>) -> Option<String> {
    let text = path?.to_str()?;
    text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3://")).then(|| text.to_owned())
}

/// Takes the place in S3 out of the options, if they name one.
///
/// # Errors
/// `Usage` for flags that make no sense with it.
pub(super) fn take(options: &mut Options) -> Result<Option<Uploads>, Error> {
    let place = match (url(options.output.as_ref()), url(options.dir.as_ref())) {
        (Some(output), _) => {
            (options.output, options.dir) = (None, None);
            // A prefix names the objects as a directory names files.
            if output.ends_with('/') { Uploads::Below(output) } else { Uploads::Object(output) }
        }
        (None, Some(mut dir)) => {
            options.dir = None;
            if !dir.ends_with('/') {
                dir.push('/');
            }
            Uploads::Below(dir)
        }
        (None, None) => return Ok(None),
    };
    let file_flags = [
        (options.adopt.is_some(), "--adopt"),
        (options.remote_time, "--remote-time"),
        (options.content_disposition, "--content-disposition"),
        (options.output.as_deref().is_some_and(Path::is_absolute), "-o with an absolute path"),
    ];
    if let Some((_, flag)) = file_flags.into_iter().find(|(is_given, _)| *is_given) {
        return Err(Error::usage(format!("{flag} is for files, and the download goes into S3")));
    }
    if options.if_exists.map(IfExists::from) == Some(IfExists::Rename) {
        return Err(Error::usage("--if-exists rename is for files: an object has the name that is given"));
    }
    let sample = match &place {
        Uploads::Object(url) => url.clone(),
        Uploads::Below(prefix) => format!("{prefix}name"),
    };
    options.s3.store().request(&sample)?;
    Ok(Some(place))
}

/// Refuses a place in S3 where only a directory makes sense.
pub(super) fn refuse(options: &Options) -> Result<(), Error> {
    match url(options.output.as_ref()).or_else(|| url(options.dir.as_ref())) {
        Some(_) => {
            Err(Error::usage("this command saves files; only downloads by haul URL and haul -i go into S3"))
        }
        None => Ok(()),
    }
}
