//! Objects of S3 on the command line: the flags about them, and where downloads go.

use super::args::Options;
use super::places;
use super::setup::Wanted;
use crate::error::Error;
use crate::{Client, IfExists, Request, S3, S3Destination, S3Style};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Access to S3, where the environment and the profiles of AWS do not say all.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct S3Options {
    /// Endpoint of S3, if it is not that of AWS; counts before AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL", env = "HAUL_S3_ENDPOINT", help_heading = "S3")]
    pub(super) s3_endpoint: Option<String>,
    /// Place of the bucket in addresses [default: auto]
    #[arg(long, value_name = "STYLE", value_enum, env = "HAUL_S3_STYLE", help_heading = "S3")]
    pub(super) s3_style: Option<Style>,
    /// Pay for requests to buckets whose owner does not
    #[arg(long, help_heading = "S3")]
    pub(super) s3_requester_pays: bool,
    /// Sign nothing, as public buckets allow
    #[arg(long, help_heading = "S3")]
    pub(super) s3_anonymous: bool,
    /// The access, which all downloads of the run share.
    #[arg(skip)]
    shared: OnceLock<S3>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Style {
    /// In the path if an endpoint is given or the bucket has dots, else in the host
    Auto,
    /// In the path: HOST/BUCKET/KEY
    Path,
    /// In the host: BUCKET.HOST/KEY
    Virtual,
}

impl S3Options {
    /// The access that they describe. The environment is read once something of S3 is asked for.
    pub(super) fn store(&self) -> S3 {
        self.shared.get_or_init(|| self.described()).clone()
    }

    fn described(&self) -> S3 {
        let mut store =
            S3::from_environment().requester_pays(self.s3_requester_pays).anonymous(self.s3_anonymous);
        if let Some(endpoint) = &self.s3_endpoint {
            store = store.endpoint(endpoint);
        }
        match self.s3_style {
            Some(Style::Auto) => store.style(S3Style::Auto),
            Some(Style::Path) => store.style(S3Style::Path),
            Some(Style::Virtual) => store.style(S3Style::Virtual),
            None => store,
        }
    }
}

/// Place in S3 that all downloads of a run go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Uploads {
    /// One object.
    Object(String),
    /// Objects of their own names, which begin with this.
    Below(String),
}

/// Returns the URL that stands in the place of a path.
fn url(path: Option<&PathBuf>) -> Option<String> {
    let text = path?.to_str()?;
    text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3://")).then(|| text.to_owned())
}

impl Uploads {
    /// Takes the place in S3 out of the options, if they name one.
    ///
    /// # Errors
    /// `Usage` for flags that make no sense with it.
    pub(super) fn take(options: &mut Options) -> Result<Option<Self>, Error> {
        let place = match (url(options.output.as_ref()), url(options.dir.as_ref())) {
            (Some(output), _) => {
                (options.output, options.dir) = (None, None);
                // A prefix names the objects as a directory names files.
                if output.ends_with('/') { Self::Below(output) } else { Self::Object(output) }
            }
            (None, Some(mut dir)) => {
                options.dir = None;
                if !dir.ends_with('/') {
                    dir.push('/');
                }
                Self::Below(dir)
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
            return Err(Error::usage(
                "--if-exists rename is for files: an object has the name that is given",
            ));
        }
        let sample = match &place {
            Self::Object(url) => url.clone(),
            Self::Below(prefix) => format!("{prefix}name"),
        };
        options.s3.store().request(&sample)?;
        Ok(Some(place))
    }

    /// URL of the object that a request goes to.
    fn object_of(&self, request: &Request) -> Result<String, Error> {
        let prefix = match self {
            Self::Object(url) => return Ok(url.clone()),
            Self::Below(prefix) => prefix,
        };
        let path = request.planned_path().ok_or_else(|| Error::usage("there is no name for the object"))?;
        let path = path.strip_prefix(".").unwrap_or(&path).to_string_lossy();
        Ok(format!("{prefix}{path}"))
    }
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

/// Sends a download into S3, if that is the place of all of the run.
pub(super) fn into_s3(wanted: Wanted, options: &Options, client: &Client) -> Result<Wanted, Error> {
    let Wanted { job, request, line } = wanted;
    let Some(place) = &options.uploads else { return Ok(Wanted { job, request, line }) };
    let object = place.object_of(&request)?;
    let policy = job.options.if_exists.or(options.if_exists.map(Into::into)).unwrap_or_default();
    let mut object = S3Destination::new(client, &options.s3.store(), &object)?.if_exists(policy)?;
    if let Some(directory) = places::state("uploads") {
        object = object.resumable_in(directory);
    }
    Ok(Wanted { job, request: request.into_destination(Arc::new(object)), line })
}
