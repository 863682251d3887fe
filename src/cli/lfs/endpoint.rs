//! The server of git-lfs, which tells where the objects are (its batch API).

use super::git::{self, Credential};
use super::remote::{Remote, authenticate};
use crate::error::{Error, Kind};
use crate::{Client, ClientSettings, HostSettings, Job, Login, Posted, Proxy};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Media type of questions and answers.
const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";

/// URL of an object, and the headers that get it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(super) struct Place {
    #[serde(default)]
    pub(super) href: String,
    #[serde(default)]
    pub(super) header: BTreeMap<String, String>,
    /// Login of git for it.
    #[serde(skip)]
    pub(super) login: Option<Login>,
}

/// The server of a remote.
pub(super) struct Endpoint {
    /// URL before `/objects/batch`.
    url: String,
    /// Headers of each question.
    headers: Vec<String>,
    settings: Vec<(String, String)>,
    credential: Option<Credential>,
}

/// Response of the batch API.
#[derive(Debug, Deserialize)]
struct Batch {
    #[serde(default)]
    objects: Vec<Object>,
}

#[derive(Debug, Deserialize)]
struct Object {
    #[serde(default)]
    oid: String,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default)]
    error: Option<Refused>,
}

#[derive(Debug, Deserialize)]
struct Actions {
    download: Option<Place>,
}

/// Refusal of one object, or of all.
#[derive(Debug, Default, Deserialize)]
struct Refused {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

impl Endpoint {
    /// Finds the server of a remote by git's configuration.
    ///
    /// # Errors
    /// `Usage` if it is not reached over http or https.
    pub(super) fn find(remote: &str) -> Result<Self, Error> {
        let Remote { url, ssh } =
            Remote::look_up(remote).ok_or_else(|| Error::usage("git names no server for this remote"))?;
        let mut endpoint = Self { url, headers: Vec::new(), settings: Vec::new(), credential: None };
        if let Some(ssh) = ssh {
            let place: Place =
                serde_json::from_str(&authenticate(&ssh)?).map_err(|error| nonsense(&error))?;
            endpoint.headers = lines(&place.header);
            if !place.href.is_empty() {
                endpoint.url = place.href;
            }
        }
        if !endpoint.url.starts_with("http://") && !endpoint.url.starts_with("https://") {
            return Err(Error::usage("the server of git-lfs is not reached over http or https")
                .with_hint("set lfs.url, or fetch without lfs.standalonetransferagent"));
        }
        endpoint.settings = git::http_settings(&endpoint.url);
        let extra = endpoint.settings.iter().filter(|(name, _)| name == "extraheader");
        endpoint.headers.extend(extra.map(|(_, value)| value.clone()));
        Ok(endpoint)
    }

    /// Settings of git that concern connections.
    pub(super) fn settings(&self) -> ClientSettings {
        let setting = |name: &str| {
            self.settings.iter().rev().find(|(other, _)| other == name).map(|(_, value)| &value[..])
        };
        let mut settings = ClientSettings::default();
        if let Some(proxy) = setting("proxy").filter(|proxy| !proxy.is_empty()) {
            settings.proxy = Proxy::Through(proxy.to_owned());
        }
        settings.ca_file = setting("sslcainfo").map(PathBuf::from);
        if setting("sslverify") == Some("false")
            && let Some(host) = host_of(&self.url)
        {
            let mut loose = HostSettings::new(host);
            loose.insecure = true;
            settings.hosts.push(loose);
        }
        settings
    }

    /// Asks where an object is.
    ///
    /// # Errors
    /// `Auth` without credentials that the server takes, `NotFound` for an object that it has not, `Http` for nonsense.
    pub(super) async fn locate(&mut self, client: &Client, oid: &str, size: u64) -> Result<Place, Error> {
        let question = json!({
            "operation": "download", "transfers": ["basic"], "hash_algo": "sha256",
            "objects": [{ "oid": oid, "size": size }],
        });
        let question = question.to_string().into_bytes();
        let mut answer = self.ask(client, question.clone()).await?;
        if answer.status == 401 {
            let credential = Credential::fill(&self.url)?;
            self.credential = Some(credential);
            answer = self.ask(client, question).await?;
            if let Some(credential) = &self.credential {
                credential.judge(answer.status != 401);
            }
        }
        let place = place_in(&answer, oid)?;
        Ok(self.with_credentials(place))
    }

    async fn ask(&self, client: &Client, question: Vec<u8>) -> Result<Posted, Error> {
        let mut job = Job::new(format!("{}/objects/batch", self.url.trim_end_matches('/')));
        job.add_headers(&self.headers)?;
        job.add_headers(&[format!("Accept: {MEDIA_TYPE}")])?;
        job.login = self.credential.as_ref().map(|credential| credential.login.clone());
        let request = crate::resolve(&job, &crate::Defaults::default()).map_err(|invalid| invalid.error)?;
        client.post(&request, MEDIA_TYPE, question).await
    }

    /// Adds the headers of the server to a place on the same server that comes without credentials of its own.
    fn with_credentials(&self, mut place: Place) -> Place {
        let has_own = place.header.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
        if !has_own && origin(&place.href).is_some_and(|there| Some(there) == origin(&self.url)) {
            for line in &self.headers {
                if let Some((name, value)) = line.split_once(':') {
                    place.header.insert(name.trim().to_owned(), value.trim().to_owned());
                }
            }
            place.login = self.credential.as_ref().map(|credential| credential.login.clone());
        }
        place
    }
}

fn origin(url: &str) -> Option<String> {
    crate::Request::new(url).ok().map(|request| request.address().origin().to_string())
}

fn host_of(url: &str) -> Option<String> {
    crate::Request::new(url).ok().map(|request| request.address().host().to_owned())
}

fn lines(header: &BTreeMap<String, String>) -> Vec<String> {
    header.iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

/// Place of the object in an answer.
fn place_in(answer: &Posted, oid: &str) -> Result<Place, Error> {
    if answer.status != 200 {
        let said = serde_json::from_slice::<Refused>(&answer.body).unwrap_or_default().message;
        return Err(refused(answer.status, &said));
    }
    let batch: Batch = serde_json::from_slice(&answer.body).map_err(|error| nonsense(&error))?;
    let object = batch.objects.into_iter().find(|object| object.oid.eq_ignore_ascii_case(oid));
    let Some(object) = object else {
        return Err(Error::new(Kind::Http, "the server of git-lfs does not answer for the object"));
    };
    if let Some(Refused { code, message }) = object.error {
        return Err(refused(code, &message));
    }
    let place = object.actions.and_then(|actions| actions.download);
    place
        .filter(|place| !place.href.is_empty())
        .ok_or_else(|| Error::new(Kind::Http, "the server of git-lfs has no download for the object"))
}

fn refused(status: u16, said: &str) -> Error {
    let kind = match status {
        401 | 403 | 407 => Kind::Auth,
        404 | 410 => Kind::NotFound,
        _ => Kind::Http,
    };
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    Error::new(kind, format!("the server of git-lfs refused the object ({status}){said}"))
}

fn nonsense(error: &serde_json::Error) -> Error {
    Error::new(Kind::Http, format!("the answer of the server of git-lfs makes no sense: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn answer(status: u16, body: &str) -> Posted {
        Posted { status, body: body.into() }
    }

    #[test]
    fn the_answer_says_where_the_object_is_or_why_not() {
        let good = format!(
            r#"{{"transfer":"basic","objects":[{{"oid":"{OID}","size":7,"actions":{{"download":{{"href":"http://h/o","header":{{"A":"b"}},"expires_in":9}}}}}}]}}"#
        );
        let place = place_in(&answer(200, &good), OID).unwrap();
        assert_eq!((place.href.as_str(), place.header["A"].as_str()), ("http://h/o", "b"));
        let gone =
            format!(r#"{{"objects":[{{"oid":"{OID}","error":{{"code":404,"message":"no such object"}}}}]}}"#);
        for (status, body, kind) in [
            (200, &gone[..], Kind::NotFound),
            (401, r#"{"message":"who are you?"}"#, Kind::Auth),
            (500, "<html>", Kind::Http),
            (200, "{}", Kind::Http),
            (200, "nonsense", Kind::Http),
        ] {
            assert_eq!(place_in(&answer(status, body), OID).unwrap_err().kind(), kind, "{body}");
        }
    }

    #[test]
    fn secrets_of_the_server_go_to_no_other_one() {
        let endpoint = Endpoint {
            url: "https://h/r/info/lfs".to_owned(),
            headers: vec!["X-Token: S3CR".to_owned()],
            settings: Vec::new(),
            credential: None,
        };
        let at = |href: &str| endpoint.with_credentials(Place { href: href.to_owned(), ..Place::default() });
        assert_eq!(at("https://h/o").header["X-Token"], "S3CR");
        for other in ["https://s3/o", "http://h/o", "https://h:8443/o"] {
            assert!(at(other).header.is_empty(), "{other}");
        }
    }

    #[test]
    fn the_settings_of_git_count_for_that_host() {
        let endpoint = Endpoint {
            url: "https://h/r/info/lfs".to_owned(),
            headers: Vec::new(),
            settings: vec![("proxy".into(), "http://p:1".into()), ("sslverify".into(), "false".into())],
            credential: None,
        };
        let settings = endpoint.settings();
        assert!(matches!(settings.proxy, Proxy::Through(proxy) if proxy == "http://p:1"));
        assert!(!settings.insecure && settings.hosts[0].insecure && settings.hosts[0].applies_to("h"));
    }
}
