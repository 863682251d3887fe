//! Access to S3: where it is, and who asks.

use super::location::Location;
use super::profile::{Form, Profiles};
use super::settings::{Given, S3Style, Settings};
use super::signer::S3Signer;
use super::text::text_of;
use super::vault::Vault;
use crate::error::{Error, Remedy};
use crate::plan::Address;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Access to S3 and to stores that speak its protocol.
///
/// Endpoint, region and credentials are those of the AWS tools: the environment (`AWS_…`), the profile files, a web identity, a container or
/// the instance metadata ("AWS SDKs and Tools Reference Guide"). They are read at the first use, and once; credentials that expire are renewed.
/// Cheap to clone; clones share the credentials.
///
/// ```
/// # fn main() -> Result<(), haul::Error> {
/// let store = haul::S3::from_environment().endpoint("http://127.0.0.1:9000").anonymous(true);
/// let request = store.request("s3://models/llama.bin")?;
/// assert_eq!(request.address().to_string(), "s3://models/llama.bin");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct S3(Arc<Account>);

/// State that clones share.
struct Account {
    given: Given,
    settings: OnceLock<Result<Settings, Error>>,
    vault: Arc<Vault>,
}

impl S3 {
    /// Access as the environment and the profile files describe it.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::of(Given::default())
    }

    fn of(given: Given) -> Self {
        Self(Arc::new(Account { given, settings: OnceLock::new(), vault: Arc::default() }))
    }

    fn with(&self, change: impl FnOnce(&mut Given)) -> Self {
        let mut given = self.0.given.clone();
        change(&mut given);
        Self::of(given)
    }

    /// Uses this endpoint, an http or https URL, in place of that of AWS.
    #[must_use]
    pub fn endpoint(self, url: impl Into<String>) -> Self {
        self.with(|given| given.endpoint = Some(url.into()))
    }

    /// Signs for this region.
    #[must_use]
    pub fn region(self, region: impl Into<String>) -> Self {
        self.with(|given| given.region = Some(region.into()))
    }

    /// Form of the addresses.
    #[must_use]
    pub fn style(self, style: S3Style) -> Self {
        self.with(|given| given.style = Some(style))
    }

    /// States that the requester pays for requests and transfer (`x-amz-request-payer`).
    #[must_use]
    pub fn requester_pays(self, pays: bool) -> Self {
        self.with(|given| given.requester_pays = pays)
    }

    /// Signs nothing, as public buckets allow.
    #[must_use]
    pub fn anonymous(self, anonymous: bool) -> Self {
        self.with(|given| given.anonymous = anonymous)
    }

    /// Settings, which are read now if they were not before.
    fn settings(&self) -> Result<&Settings, Error> {
        let settings = self.0.settings.get_or_init(|| read(&self.0.given));
        settings.as_ref().map_err(|error| error.retold(error.to_string()))
    }

    /// Address of an object.
    pub(crate) fn address(&self, location: &Location) -> Result<Address, Error> {
        self.settings()?.address(location)
    }

    /// Signer of the requests to a bucket.
    pub(crate) fn signer(&self) -> Result<Arc<S3Signer>, Error> {
        Ok(Arc::new(S3Signer::new(self.0.vault.clone(), self.settings()?)))
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3").field(&self.0.given.region).finish()
    }
}

/// Two are equal if they share their state.
impl PartialEq for S3 {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for S3 {}

fn read(given: &Given) -> Result<Settings, Error> {
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let file = |variable: &str, name: &str, form| -> Result<Profiles, Error> {
        let named = environment(variable).map(|path| home_in(&path, &environment));
        let usual = || Some(PathBuf::from(environment("HOME")?).join(".aws").join(name));
        let is_named = named.is_some();
        let Some(path) = named.or_else(usual) else { return Ok(Profiles::default()) };
        match text_of(&path) {
            Ok(text) => Ok(Profiles::parse(&text, form)),
            // A file that is not there has no profiles, as for the AWS tools.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound || !is_named => {
                Ok(Profiles::default())
            }
            Err(error) => Err(Error::usage(format!("cannot read {}: {error}", path.display()))
                .with_remedy(Remedy::CheckAccess)),
        }
    };
    let config = file("AWS_CONFIG_FILE", "config", Form::Config)?;
    let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials", Form::Credentials)?;
    Settings::resolve(given, &environment, &config, &credentials)
}

fn home_in(path: &str, environment: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    match (path.strip_prefix("~/"), environment("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.into(),
    }
}
