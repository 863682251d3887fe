//! Services that lend keys: the token service, a container's own, and the instance metadata.

use super::document::Document;
use super::keys::Keys;
use super::location::IN_QUERY;
use super::settings::Source;
use super::text::text_of;
use crate::error::{Error, Failure, Kind, Remedy};
use crate::plan::Address;
use crate::threads;
use crate::transport::{Carrier, ServiceRequest, ServiceResponse};
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderValue, Method};
use percent_encoding::utf8_percent_encode;
use std::path::Path;
use std::time::Duration;

/// Patience with a service of the machine itself, which answers at once if it is there.
const NEAR: Duration = Duration::from_secs(2);

/// Keys from their source.
///
/// # Errors
/// `Auth` if it has none, and those of a connection.
pub(super) async fn fetched(source: &Source, carrier: &dyn Carrier) -> Result<Keys, Failure> {
    match source {
        Source::Fixed(keys) => Ok(keys.clone()),
        Source::Anonymous => Err(Failure::Fatal(Error::defect("keys of an anonymous source"))),
        Source::WebIdentity { endpoint, token_file, role, session } => {
            by_web_identity(carrier, endpoint, token_file, role, session).await
        }
        Source::Container { url, token, token_file } => {
            let token = match token_file {
                Some(path) => Some(read(path).await?),
                None => token.clone(),
            };
            of_container(carrier, url, token).await
        }
        Source::Instance { endpoint } if endpoint.is_empty() => Err(Failure::Fatal(nowhere())),
        Source::Instance { endpoint } => of_instance(carrier, endpoint).await,
    }
}

fn nowhere() -> Error {
    let cause = "no credentials for S3: neither the environment nor a profile has any, and nothing on this machine lends some";
    Error::new(Kind::Auth, cause).with_remedy(Remedy::AwsCredentials)
}

fn refused(by: &str, status: u16) -> Failure {
    let cause = format!("no credentials for S3: {by} answers with {status}");
    Failure::Fatal(Error::new(Kind::Auth, cause).with_status(status).with_remedy(Remedy::AwsCredentials))
}

fn senseless(by: &str) -> Failure {
    let cause = format!("no credentials for S3: the answer of {by} makes no sense");
    Failure::Fatal(Error::new(Kind::Auth, cause).with_remedy(Remedy::AwsCredentials))
}

async fn read(path: &Path) -> Result<String, Failure> {
    let owned = path.to_owned();
    let text = threads::offload(move || text_of(&owned)).await;
    let text = text.map_err(|error| Failure::Fatal(Error::new(Kind::Other, error.to_string())))?;
    let text = text.map_err(|error| {
        let cause = format!("cannot read the token in {}: {error}", path.display());
        Failure::Fatal(Error::new(Kind::Auth, cause).with_remedy(Remedy::AwsCredentials))
    })?;
    Ok(text.trim().to_owned())
}

/// One request, without any secret but those given with it.
async fn call(
    carrier: &dyn Carrier,
    method: Method,
    url: &str,
    fields: &[(HeaderName, HeaderValue)],
    body: Option<String>,
    patience: Option<Duration>,
) -> Result<ServiceResponse, Failure> {
    let parsed =
        Address::parse(url).map_err(|error| Error::usage(format!("a service that lends keys: {error}")));
    let (address, _) = parsed.map_err(Failure::Fatal)?;
    let near = patience.is_some();
    let calling =
        carrier.carry(ServiceRequest { method, address: &address, fields, form: body.map(Into::into), near });
    match patience {
        Some(patience) => tokio::time::timeout(patience, calling)
            .await
            .unwrap_or_else(|_| Err(Failure::Silent(format!("{} is silent", address.host()).into()))),
        None => calling.await,
    }
}

async fn by_web_identity(
    carrier: &dyn Carrier,
    endpoint: &str,
    token_file: &Path,
    role: &str,
    session: &str,
) -> Result<Keys, Failure> {
    let token = read(token_file).await?;
    let encoded = |text: &str| utf8_percent_encode(text, IN_QUERY).to_string();
    let body = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
        encoded(role),
        encoded(session),
        encoded(&token)
    );
    let url = format!("{}/", endpoint.trim_end_matches('/'));
    let called = call(carrier, Method::POST, &url, &[], Some(body), None).await?;
    if called.status.is_success() {
        return Keys::from_sts(&called.body).ok_or_else(|| senseless("the token service"));
    }
    if called.status.is_server_error() {
        return Err(Failure::Broken(
            format!("the token service answers with {}", called.status.as_u16()).into(),
        ));
    }
    let document = Document::parse(&called.body);
    let code = document.as_ref().and_then(|document| document.text("Error/Code"));
    let shown = code.map_or(String::new(), |code| format!(" ({code})"));
    Err(refused(&format!("the token service{shown}"), called.status.as_u16()))
}

/// Returns true for an address of this machine, and for no name.
fn is_loopback(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

async fn of_container(carrier: &dyn Carrier, url: &str, token: Option<String>) -> Result<Keys, Failure> {
    let (address, _) = Address::parse(url)
        .map_err(|_| Failure::Fatal(Error::usage("the URL of the container's credentials is none")))?;
    // A token in clear goes to this machine and to the two services of AWS only ("Container credential provider").
    let host = address.host();
    let near = ["localhost", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "[::1]"];
    if !address.is_https() && !near.contains(&host) && !is_loopback(host) {
        let cause = format!("the container's credentials are not fetched from {host} over plain http");
        return Err(Failure::Fatal(Error::new(Kind::Unsafe, cause)));
    }
    let mut fields = Vec::new();
    if let Some(token) = token {
        let value = HeaderValue::from_str(&token).map_err(|_| {
            Failure::Fatal(Error::usage("the container's token holds characters that no header may"))
        })?;
        fields.push((AUTHORIZATION, secret(value)));
    }
    let called = call(carrier, Method::GET, url, &fields, None, Some(NEAR)).await?;
    match called.status.is_success() {
        true => Keys::from_json(&called.body).ok_or_else(|| senseless("the container's service")),
        false => Err(refused("the container's service", called.status.as_u16())),
    }
}

/// The second version of the instance metadata service, which wants a token first.
async fn of_instance(carrier: &dyn Carrier, endpoint: &str) -> Result<Keys, Failure> {
    let base = format!("{}/latest", endpoint.trim_end_matches('/'));
    let ttl = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
    let lifetime = [(ttl, HeaderValue::from_static("21600"))];
    let token = call(carrier, Method::PUT, &format!("{base}/api/token"), &lifetime, None, Some(NEAR)).await;
    // Off AWS nothing is at that address.
    let token = token.map_err(|_| Failure::Fatal(nowhere()))?;
    if !token.status.is_success() {
        return Err(refused("the instance metadata service", token.status.as_u16()));
    }
    let value = HeaderValue::from_bytes(token.body.trim_ascii())
        .map_err(|_| senseless("the instance metadata service"))?;
    let fields = [(HeaderName::from_static("x-aws-ec2-metadata-token"), secret(value))];
    let roles = format!("{base}/meta-data/iam/security-credentials/");
    let role = call(carrier, Method::GET, &roles, &fields, None, Some(NEAR)).await?;
    if role.status.as_u16() == 404 {
        return Err(Failure::Fatal(nowhere()));
    }
    if !role.status.is_success() {
        return Err(refused("the instance metadata service", role.status.as_u16()));
    }
    let role = String::from_utf8_lossy(&role.body);
    let role = role.lines().next().unwrap_or_default().trim();
    let url = format!("{roles}{}", utf8_percent_encode(role, IN_QUERY));
    let called = call(carrier, Method::GET, &url, &fields, None, Some(NEAR)).await?;
    match called.status.is_success() {
        true => Keys::from_json(&called.body).ok_or_else(|| senseless("the instance metadata service")),
        false => Err(refused("the instance metadata service", called.status.as_u16())),
    }
}

fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
