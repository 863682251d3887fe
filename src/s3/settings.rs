//! Region, endpoint, form of addresses and source of credentials, from the environment and the profile files.

use super::keys::Keys;
use super::location::Location;
use super::profile::Profiles;
use crate::error::{Error, Remedy};
use crate::plan::Address;
use std::path::PathBuf;

/// Form of the addresses of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum S3Style {
    /// The bucket in the path if an endpoint is given or the bucket has dots, else in the host.
    #[default]
    Auto,
    /// The bucket in the path: `https://HOST/BUCKET/KEY`.
    Path,
    /// The bucket in the host: `https://BUCKET.HOST/KEY`.
    Virtual,
}

/// Variables of the environment, by their name; empty ones do not count.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Values that the caller gives; they count before the environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) style: Option<S3Style>,
    pub(super) requester_pays: bool,
    pub(super) anonymous: bool,
}

/// Needs of requests besides the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) region: String,
    /// Endpoint, if it is not that of AWS for the region.
    pub(super) endpoint: Option<Address>,
    pub(super) style: S3Style,
    pub(super) requester_pays: bool,
    pub(super) source: Source,
}

/// Source of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Requests are not signed.
    Anonymous,
    /// Keys that do not change.
    Fixed(Keys),
    /// Lent by the token service for a token of another one.
    WebIdentity { endpoint: String, token_file: PathBuf, role: String, session: String },
    /// Lent by the container's own service.
    Container { url: String, token: Option<String>, token_file: Option<PathBuf> },
    /// Lent by the instance metadata service.
    Instance { endpoint: String },
}

impl Source {
    /// True if there may be other keys later.
    pub(super) fn is_renewable(&self) -> bool {
        !matches!(self, Self::Anonymous | Self::Fixed(_))
    }
}

/// Region of requests where none is known: that of the oldest endpoint, which knows all buckets.
const FIRST_REGION: &str = "us-east-1";
/// Address of the instance metadata service (Amazon EC2 User Guide, "Access instance metadata").
const METADATA: [&str; 2] = ["http://169.254.169.254", "http://[fd00:ec2::254]"];

impl Settings {
    /// # Errors
    /// `Usage` for a profile that does not exist, an endpoint that is no URL, and values that make no sense.
    pub(super) fn resolve(
        given: &Given,
        environment: Environment<'_>,
        config: &Profiles,
        credentials: &Profiles,
    ) -> Result<Self, Error> {
        let named = environment("AWS_PROFILE").or_else(|| environment("AWS_DEFAULT_PROFILE"));
        let profile = named.as_deref().unwrap_or("default");
        if named.is_some() && !config.has(profile) && !credentials.has(profile) {
            return Err(Error::usage(format!("there is no profile {profile:?} in the AWS configuration"))
                .with_remedy(Remedy::AwsProfile));
        }
        let of_profile = |name: &str| {
            let value = credentials.value(profile, name).or_else(|| config.value(profile, name));
            value.map(str::to_owned)
        };
        let region = given.region.clone().or_else(|| environment("AWS_REGION"));
        let region = region.or_else(|| environment("AWS_DEFAULT_REGION")).or_else(|| of_profile("region"));
        let region = region.unwrap_or_else(|| FIRST_REGION.to_owned());
        let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !region.chars().all(is_label) {
            return Err(Error::usage(format!("{region:?} is no region of AWS")));
        }
        let ignored = environment("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|value| value == "true");
        let configured = |own: &str| {
            let own = environment(own).or_else(|| environment("AWS_ENDPOINT_URL"));
            own.or_else(|| of_profile("endpoint_url")).filter(|_| !ignored)
        };
        let endpoint = given.endpoint.clone().or_else(|| configured("AWS_ENDPOINT_URL_S3"));
        let style = match (given.style, of_profile("s3.addressing_style").as_deref()) {
            (Some(style), _) => style,
            (None, Some("path")) => S3Style::Path,
            (None, Some("virtual")) => S3Style::Virtual,
            (None, _) => S3Style::Auto,
        };
        let token_service = configured("AWS_ENDPOINT_URL_STS");
        let source = match given.anonymous {
            true => Source::Anonymous,
            false => source(environment, &of_profile, &region, token_service)?,
        };
        Ok(Self {
            endpoint: endpoint.map(|url| endpoint_of(&url)).transpose()?,
            region,
            style,
            requester_pays: given.requester_pays,
            source,
        })
    }

    /// Address of an object, or of its bucket if there is no key.
    pub(super) fn address(&self, location: &Location) -> Result<Address, Error> {
        let Location { bucket, .. } = location;
        let (path, query) = (location.path(), location.version_query());
        let base = match &self.endpoint {
            Some(endpoint) => {
                let scheme = if endpoint.is_https() { "https" } else { "http" };
                (scheme, endpoint.authority(), endpoint.path().trim_end_matches('/').to_owned())
            }
            None => {
                let end = if self.region.starts_with("cn-") { ".cn" } else { "" };
                ("https", format!("s3.{}.amazonaws.com{end}", self.region), String::new())
            }
        };
        let (scheme, authority, before) = base;
        let url = match self.is_path_style(bucket) {
            true => format!("{scheme}://{authority}{before}/{bucket}/{path}{query}"),
            false => format!("{scheme}://{bucket}.{authority}{before}/{path}{query}"),
        };
        let (address, _) =
            Address::parse(&url).map_err(|error| Error::usage(format!("{location}: {error}")))?;
        Ok(address.known_as(&location.to_string()))
    }

    /// A bucket with dots has no certificate as part of a host, and an endpoint of one's own seldom has names for its buckets.
    fn is_path_style(&self, bucket: &str) -> bool {
        match self.style {
            S3Style::Path => true,
            S3Style::Virtual => false,
            S3Style::Auto => self.endpoint.is_some() || bucket.contains(['.', '_']),
        }
    }

    /// True if the host of an address depends on the region.
    pub(super) fn is_of_aws(&self) -> bool {
        self.endpoint.is_none()
    }
}

fn endpoint_of(url: &str) -> Result<Address, Error> {
    // The text is not shown: it may contain a password.
    let wrong = || Error::usage("the endpoint of S3 is written as https://HOST or http://HOST:PORT");
    match Address::parse(url) {
        Ok((address, None)) if !address.request_target().contains('?') => Ok(address),
        _ => Err(wrong().with_remedy(Remedy::AwsEndpoint)),
    }
}

/// Source of the keys, in the order of the AWS tools.
fn source(
    environment: Environment<'_>,
    of_profile: &dyn Fn(&str) -> Option<String>,
    region: &str,
    token_service: Option<String>,
) -> Result<Source, Error> {
    let pair = |access: Option<String>, secret: Option<String>, token: Option<String>| {
        Some(Source::Fixed(Keys { access: access?, secret: secret?, token, expires: None }))
    };
    let by_environment = pair(
        environment("AWS_ACCESS_KEY_ID"),
        environment("AWS_SECRET_ACCESS_KEY"),
        environment("AWS_SESSION_TOKEN").or_else(|| environment("AWS_SECURITY_TOKEN")),
    );
    if let Some(source) = by_environment {
        return Ok(source);
    }
    let token_file =
        environment("AWS_WEB_IDENTITY_TOKEN_FILE").or_else(|| of_profile("web_identity_token_file"));
    let role = environment("AWS_ROLE_ARN").or_else(|| of_profile("role_arn"));
    if let (Some(token_file), Some(role)) = (token_file, &role) {
        let session = environment("AWS_ROLE_SESSION_NAME").or_else(|| of_profile("role_session_name"));
        let end = if region.starts_with("cn-") { ".cn" } else { "" };
        return Ok(Source::WebIdentity {
            endpoint: token_service.unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com{end}")),
            token_file: token_file.into(),
            role: role.clone(),
            session: session.unwrap_or_else(|| "haul".to_owned()),
        });
    }
    let token = of_profile("aws_session_token");
    if let Some(source) = pair(of_profile("aws_access_key_id"), of_profile("aws_secret_access_key"), token) {
        return Ok(source);
    }
    let strange =
        ["sso_session", "sso_start_url", "credential_process", "source_profile", "credential_source"];
    if let Some(name) = strange.into_iter().find(|name| of_profile(name).is_some()) {
        let cause = format!("the AWS profile gets its keys by {name}, which haul does not do itself");
        return Err(Error::usage(cause).with_remedy(Remedy::AwsExport));
    }
    Ok(lent_here(environment))
}

/// Services of the machine that lend keys.
fn lent_here(environment: Environment<'_>) -> Source {
    let relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let relative = relative.map(|path| format!("http://169.254.170.2{path}"));
    if let Some(url) = relative.or_else(|| environment("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        return Source::Container {
            url,
            token: environment("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            token_file: environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(Into::into),
        };
    }
    if environment("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Source::Instance { endpoint: String::new() };
    }
    let is_v6 = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    let is_v6 = is_v6.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let usual = METADATA[usize::from(is_v6)].to_owned();
    Source::Instance { endpoint: environment("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(usual) }
}

#[cfg(test)]
mod tests {
    use super::super::profile::Form;
    use super::*;

    const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile local]\nendpoint_url = http://localhost:9000\n\
        s3 =\n  addressing_style = virtual\naws_access_key_id = LOCAL\naws_secret_access_key = S3CR\n\
        [profile web]\nrole_arn = arn:r\nweb_identity_token_file = /t\n[profile sso]\nsso_session = x\n[profile bare]\nregion = x\n";
    const CREDENTIALS: &str = "[default]\naws_access_key_id = FILE\naws_secret_access_key = S3CR\n\
        [session]\naws_access_key_id = S\naws_secret_access_key = S3CR\naws_session_token = T\n";

    fn resolved(variables: &[(&str, &str)], given: &Given) -> Result<Settings, Error> {
        let environment = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let (config, credentials) =
            (Profiles::parse(CONFIG, Form::Config), Profiles::parse(CREDENTIALS, Form::Credentials));
        Settings::resolve(given, &environment, &config, &credentials)
    }

    /// Short name of a source.
    fn shown(source: &Source) -> String {
        match source {
            Source::Anonymous => "none".to_owned(),
            Source::Fixed(keys) => format!("{}{}", keys.access, keys.token.as_ref().map_or("", |_| "+token")),
            Source::WebIdentity { endpoint, role, session, .. } => format!("web {endpoint} {role} {session}"),
            Source::Container { url, .. } => format!("container {url}"),
            Source::Instance { endpoint } => format!("instance {endpoint}"),
        }
    }

    #[test]
    fn keys_are_looked_for_in_the_order_of_the_aws_tools() {
        let both = [("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "S3CR")];
        let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "arn:a")];
        let bare = ("AWS_PROFILE", "bare");
        let with = |some: &[(&'static str, &'static str)], more: &[(&'static str, &'static str)]| {
            [some, more].concat()
        };
        for (variables, expected) in [
            (vec![], "FILE"),
            (with(&both, &[]), "ENV"),
            (with(&both, &web), "ENV"),
            (with(&both, &[("AWS_SESSION_TOKEN", "T")]), "ENV+token"),
            (with(&both[..1], &[]), "FILE"),
            (with(&web, &[]), "web https://sts.eu-west-1.amazonaws.com arn:a haul"),
            (
                with(&web, &[("AWS_ENDPOINT_URL_STS", "http://sts"), ("AWS_ROLE_SESSION_NAME", "me")]),
                "web http://sts arn:a me",
            ),
            (vec![("AWS_PROFILE", "session")], "S+token"),
            (vec![("AWS_DEFAULT_PROFILE", "local")], "LOCAL"),
            (vec![("AWS_PROFILE", "web")], "web https://sts.us-east-1.amazonaws.com arn:r haul"),
            (vec![bare], "instance http://169.254.169.254"),
            (
                vec![bare, ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6")],
                "instance http://[fd00:ec2::254]",
            ),
            (vec![bare, ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://h:1")], "instance http://h:1"),
            (vec![bare, ("AWS_EC2_METADATA_DISABLED", "true")], "instance "),
            (
                vec![bare, ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/c")],
                "container http://169.254.170.2/c",
            ),
            (
                vec![bare, ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/c")],
                "container http://localhost/c",
            ),
        ] {
            let settings = resolved(&variables, &Given::default()).unwrap();
            assert_eq!(shown(&settings.source), expected, "{variables:?}");
        }
        let anonymous = Given { anonymous: true, ..Given::default() };
        assert_eq!(resolved(&both, &anonymous).unwrap().source, Source::Anonymous);
    }

    #[test]
    fn values_that_make_no_sense_are_told_before_any_traffic() {
        for variables in [
            ("AWS_PROFILE", "nowhere"),
            ("AWS_PROFILE", "sso"),
            ("AWS_REGION", "eu/../x"),
            ("AWS_ENDPOINT_URL", "ftp://h"),
            ("AWS_ENDPOINT_URL", "http://u:p@h"),
            ("AWS_ENDPOINT_URL_S3", "nonsense"),
        ] {
            let error = resolved(&[variables], &Given::default()).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Usage, "{variables:?}");
        }
    }

    #[test]
    fn an_object_has_the_address_that_its_endpoint_and_its_bucket_ask_for() {
        let given = |style, endpoint: Option<&str>| Given {
            style,
            endpoint: endpoint.map(str::to_owned),
            ..Given::default()
        };
        let aws = given(None, None);
        let local = Some("http://127.0.0.1:9000/");
        for (given, variables, url, expected) in [
            (aws.clone(), vec![], "s3://buck/a b", "https://buck.s3.eu-west-1.amazonaws.com/a%20b"),
            (
                aws.clone(),
                vec![("AWS_REGION", "cn-north-1")],
                "s3://buck/k",
                "https://buck.s3.cn-north-1.amazonaws.com.cn/k",
            ),
            (
                aws.clone(),
                vec![],
                "s3://my.buck/k?versionId=v/1",
                "https://s3.eu-west-1.amazonaws.com/my.buck/k?versionId=v%2F1",
            ),
            (
                given(Some(S3Style::Path), None),
                vec![],
                "s3://buck/k",
                "https://s3.eu-west-1.amazonaws.com/buck/k",
            ),
            (given(None, local), vec![], "s3://buck/k//l", "http://127.0.0.1:9000/buck/k//l"),
            (
                given(Some(S3Style::Virtual), Some("https://store.example/x")),
                vec![],
                "s3://buck/k",
                "https://buck.store.example/x/k",
            ),
            (
                aws.clone(),
                vec![("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_ENDPOINT_URL_S3", "http://b:2")],
                "s3://buck/k",
                "http://b:2/buck/k",
            ),
            (aws.clone(), vec![("AWS_PROFILE", "local")], "s3://buck/k", "http://buck.localhost:9000/k"),
            (
                aws,
                vec![("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")],
                "s3://buck/k",
                "https://buck.s3.eu-west-1.amazonaws.com/k",
            ),
        ] {
            let settings = resolved(&variables, &given).unwrap();
            let address = settings.address(&Location::parse(url).unwrap()).unwrap();
            assert_eq!(address.to_string(), url);
            let scheme = if address.is_https() { "https" } else { "http" };
            let sent = format!("{scheme}://{}{}", address.authority(), address.request_target());
            assert_eq!(sent, expected, "{url} {variables:?}");
        }
    }
}
