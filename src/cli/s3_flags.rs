//! Objects of S3 on the command line: the flags about them, and the place that downloads go to.

use crate::error::Error;
use crate::{Request, S3, S3Style};
use clap::{Args, ValueEnum};
use std::sync::OnceLock;

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

impl Uploads {
    /// URL of the object that a request goes to.
    pub(super) fn object_of(&self, request: &Request) -> Result<String, Error> {
        let prefix = match self {
            Self::Object(url) => return Ok(url.clone()),
            Self::Below(prefix) => prefix,
        };
        let path = request.planned_path().ok_or_else(|| Error::usage("there is no name for the object"))?;
        let path = path.strip_prefix(".").unwrap_or(&path).to_string_lossy();
        Ok(format!("{prefix}{path}"))
    }
}
