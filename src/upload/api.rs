//! Operations on one object (Amazon S3 API Reference), each repeated as long as that may help.

use crate::clock::Clock;
use crate::error::{Error, Failure, Kind};
use crate::plan::Address;
use crate::plan::response_head::asked_to_wait;
use crate::s3::{Document, Refusal};
use crate::transport::{Document as Body, Requester, ServiceResponse, Wanted};
use crate::verify::{Algorithm, Digest, Hasher, Published, published_by_head};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, IF_NONE_MATCH};
use http::{HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Operations on one object.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) requester: Requester,
    pub(super) base: Address,
    /// Time within which each part of a response has to come.
    pub(super) stall: Duration,
    /// Repetitions of a request that fails.
    pub(super) retries: u32,
    /// Longest wait that a server may ask for.
    pub(super) longest_wait: Duration,
    /// Set when the store asks for fewer requests.
    pub(super) overloaded: std::sync::Arc<AtomicBool>,
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) size: u64,
    /// Digests of all of it that the store states.
    pub(super) digests: Vec<Digest>,
}

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) size: u64,
    /// Entity tag, where the store states one.
    pub(super) etag: Option<String>,
}

/// Outcome of a look at an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Object(Object),
    Nothing,
    /// The credentials may not look, or may not even know that there is none.
    Denied,
}

/// Outcome of a conditional write.
pub(super) enum Written {
    Done,
    /// There is an object already.
    Exists,
    /// The store does not know the upload.
    Unknown,
}

/// First wait, and the longest, before a request is repeated.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

impl Store {
    fn at(&self, query: &str) -> Address {
        self.base.with_query(query)
    }

    /// Makes a request until it is served or refused for good.
    async fn call(
        &self,
        method: Method,
        query: &str,
        fields: &[(HeaderName, HeaderValue)],
        body: Option<(&str, Bytes)>,
    ) -> Result<(ServiceResponse, Option<Refusal>), Error> {
        let address = self.at(query);
        let (mut wait, mut failures) = (FIRST_WAIT, 0);
        loop {
            let mut asked = Duration::ZERO;
            let document = body.clone().map(|(media_type, bytes)| Body { media_type, bytes });
            let wanted = Wanted { method: method.clone(), address: &address, fields, document };
            let failed = match self.requester.call(wanted, self.stall).await {
                Ok(called) => {
                    let Some(refusal) = refusal(&called) else { return Ok((called, None)) };
                    if refusal.is_overload() {
                        self.overloaded.store(true, Ordering::Relaxed);
                    }
                    if !refusal.is_passing() || failures >= self.retries {
                        return Ok((called, Some(refusal)));
                    }
                    asked = asked_to_wait(&called.headers, Clock::date()).unwrap_or_default();
                    None
                }
                Err(Failure::Fatal(error)) => return Err(self.told(error)),
                Err(failure) => Some(failure),
            };
            if let Some(failure) = failed.filter(|_| failures >= self.retries) {
                return Err(self.told(failure.into_error()));
            }
            failures += 1;
            tokio::time::sleep(jittered(wait).max(asked.min(self.longest_wait))).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Makes a request that has to succeed.
    async fn served(
        &self,
        method: Method,
        query: &str,
        fields: &[(HeaderName, HeaderValue)],
        body: Option<(&str, Bytes)>,
    ) -> Result<ServiceResponse, Error> {
        match self.call(method, query, fields, body).await? {
            (called, None) => Ok(called),
            (_, Some(refusal)) => Err(self.told(refusal.into_error())),
        }
    }

    /// Names the object in an error.
    pub(super) fn told(&self, error: Error) -> Error {
        error.with_url(&self.base)
    }

    fn senseless(&self, what: &str) -> Error {
        self.told(Error::new(Kind::Http, format!("the answer of the store to {what} makes no sense")))
    }

    /// Looks at the object.
    pub(super) async fn look(&self) -> Result<Seen, Error> {
        let (called, refusal) = self.call(Method::HEAD, "", &[], None).await?;
        match (called.status.as_u16(), refusal) {
            (404, _) => Ok(Seen::Nothing),
            (403, _) => Ok(Seen::Denied),
            // HEAD has no document that says more: the next request will.
            (400, Some(refusal)) if refusal.code.is_empty() && !refusal.is_of_region() => Ok(Seen::Denied),
            (_, Some(refusal)) => Err(self.told(refusal.into_error())),
            (_, None) => {
                let text = called.headers.get("content-length").and_then(|value| value.to_str().ok());
                let size = text.and_then(|text| text.parse().ok());
                let size = size.ok_or_else(|| self.senseless("HEAD"))?;
                let stated = published_by_head(&called.headers);
                let digests = stated.into_iter().map(|Published { digest, .. }| digest).collect();
                Ok(Seen::Object(Object { size, digests }))
            }
        }
    }

    /// Computes the digest of the object by reading it, if it has this size.
    pub(super) async fn hash(&self, size: u64, algorithm: Algorithm) -> Result<Option<Digest>, Error> {
        let reply =
            self.requester.get(None, None).await.map_err(|failure| self.told(failure.into_error()))?;
        if !reply.status.is_success() {
            return Ok(None);
        }
        let (mut body, mut hasher, mut read) = (reply.body, Hasher::new(algorithm), 0);
        loop {
            let next = tokio::time::timeout(self.stall, body.next()).await;
            let next = next.map_err(|_| {
                self.told(Error::new(Kind::Network, "the object that is there stopped coming"))
            })?;
            let Some(bytes) = next.map_err(|failure| self.told(failure.into_error()))? else { break };
            read += bytes.len() as u64;
            hasher.update(&bytes);
        }
        Ok((read == size).then(|| hasher.finish()))
    }

    /// Writes the whole object (`PutObject`).
    pub(super) async fn put(
        &self,
        bytes: Bytes,
        media_type: Option<&str>,
        may_replace: bool,
    ) -> Result<Written, Error> {
        let mut fields = vec![checksum_of(&bytes)];
        if !may_replace {
            fields.push((IF_NONE_MATCH, HeaderValue::from_static("*")));
        }
        self.write(Method::PUT, "", &fields, (media_type.unwrap_or_default(), bytes), |_| true).await
    }

    /// Makes a write that may meet an object, or another write of it.
    async fn write(
        &self,
        method: Method,
        query: &str,
        fields: &[(HeaderName, HeaderValue)],
        (media_type, bytes): (&str, Bytes),
        is_done: fn(&ServiceResponse) -> bool,
    ) -> Result<Written, Error> {
        let mut wait = FIRST_WAIT;
        for conflicts in 0.. {
            let body = Some((media_type, bytes.clone()));
            let (called, refusal) = self.call(method.clone(), query, fields, body).await?;
            let Some(refusal) = refusal else {
                return if is_done(&called) { Ok(Written::Done) } else { Err(self.senseless("the write")) };
            };
            match (refusal.status, &refusal.code[..]) {
                (412, _) => return Ok(Written::Exists),
                (404, "NoSuchUpload") => return Ok(Written::Unknown),
                // The condition could not be decided, because another write was going on ("Conditional requests").
                (409, _) if conflicts < self.retries => {
                    tokio::time::sleep(jittered(wait)).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                _ => return Err(self.told(refusal.into_error())),
            }
        }
        Err(Error::defect("an end of repetitions"))
    }

    /// Begins an upload in parts (`CreateMultipartUpload`).
    pub(super) async fn create(&self, media_type: Option<&str>) -> Result<String, Error> {
        let mut fields = vec![
            (HeaderName::from_static("x-amz-checksum-algorithm"), HeaderValue::from_static("CRC64NVME")),
            (HeaderName::from_static("x-amz-checksum-type"), HeaderValue::from_static("FULL_OBJECT")),
        ];
        if let Some(value) = media_type.and_then(|media_type| HeaderValue::from_str(media_type).ok()) {
            fields.push((CONTENT_TYPE, value));
        }
        let called = self.served(Method::POST, "uploads=", &fields, None).await?;
        let document = Document::parse(&called.body);
        let upload = document.as_ref().and_then(|document| document.text("UploadId"));
        upload.map(str::to_owned).ok_or_else(|| self.senseless("CreateMultipartUpload"))
    }

    /// Sends a part (`UploadPart`); returns its entity tag and its checksum.
    pub(super) async fn part(
        &self,
        upload: &str,
        number: u32,
        bytes: Bytes,
    ) -> Result<(String, String), Error> {
        let checksum = checksum_of(&bytes);
        let query = format!("partNumber={number}&uploadId={}", encoded(upload));
        let stated = checksum.1.to_str().unwrap_or_default().to_owned();
        let called = self.served(Method::PUT, &query, &[checksum], Some(("", bytes))).await?;
        let etag = called.headers.get("etag").and_then(|value| value.to_str().ok());
        let confirmed = called.headers.get(CRC64).and_then(|value| value.to_str().ok());
        if confirmed.is_some_and(|confirmed| is_crc64(confirmed) && confirmed != stated) {
            let cause = format!("the store has another checksum of part {number} than was sent");
            return Err(self.told(Error::new(Kind::Checksum, cause)));
        }
        let etag = etag.ok_or_else(|| self.senseless("UploadPart"))?.to_owned();
        Ok((etag, stated))
    }

    /// Parts that the store has (`ListParts`); `None` if it does not know the upload.
    pub(super) async fn parts(&self, upload: &str) -> Result<Option<BTreeMap<u32, Listed>>, Error> {
        let (mut parts, mut after) = (BTreeMap::new(), String::new());
        loop {
            let query = format!("uploadId={}&max-parts=1000{after}", encoded(upload));
            let (called, refusal) = self.call(Method::GET, &query, &[], None).await?;
            match refusal {
                Some(refusal) if refusal.status == 404 && refusal.code != "NoSuchBucket" => return Ok(None),
                Some(refusal) => return Err(self.told(refusal.into_error())),
                None => {}
            }
            let document = Document::parse(&called.body).ok_or_else(|| self.senseless("ListParts"))?;
            for group in document.groups("Part") {
                let text = |name| group.iter().find(|(field, _)| *field == name).map(|(_, text)| *text);
                let number = text("PartNumber").and_then(|text| text.parse().ok());
                let size = text("Size").and_then(|text| text.parse().ok());
                if let (Some(number), Some(size)) = (number, size) {
                    parts.insert(number, Listed { size, etag: text("ETag").map(str::to_owned) });
                }
            }
            let next = document
                .text("NextPartNumberMarker")
                .map(|next| format!("&part-number-marker={}", encoded(next)));
            match next.filter(|next| document.text("IsTruncated") == Some("true") && *next != after) {
                Some(next) => after = next,
                None => return Ok(Some(parts)),
            }
        }
    }

    /// Makes an object of the parts (`CompleteMultipartUpload`).
    pub(super) async fn complete(
        &self,
        upload: &str,
        parts: &[(u32, &str, &str)],
        whole: Option<&Digest>,
        may_replace: bool,
    ) -> Result<Written, Error> {
        let mut fields = Vec::new();
        if !may_replace {
            fields.push((IF_NONE_MATCH, HeaderValue::from_static("*")));
        }
        if let Some(value) =
            whole.and_then(|whole| HeaderValue::from_str(&STANDARD.encode(whole.as_bytes())).ok())
        {
            fields.push((HeaderName::from_static(CRC64), value));
            fields.push((
                HeaderName::from_static("x-amz-checksum-type"),
                HeaderValue::from_static("FULL_OBJECT"),
            ));
        }
        let query = format!("uploadId={}", encoded(upload));
        let body = ("application/xml", list_of(parts).into());
        self.write(Method::POST, &query, &fields, body, is_complete).await
    }

    /// Gives an upload up (`AbortMultipartUpload`), so that its parts cost nothing any more.
    pub(super) async fn abort(&self, upload: &str) -> Result<(), Error> {
        let query = format!("uploadId={}", encoded(upload));
        match self.call(Method::DELETE, &query, &[], None).await? {
            (_, Some(refusal)) if refusal.status != 404 => Err(self.told(refusal.into_error())),
            _ => Ok(()),
        }
    }
}

/// Field of the checksum that every current store knows, and that counts for a whole object as well as for its parts.
const CRC64: &str = "x-amz-checksum-crc64nvme";

fn checksum_of(bytes: &[u8]) -> (HeaderName, HeaderValue) {
    let mut hasher = Hasher::new(Algorithm::Crc64Nvme);
    hasher.update(bytes);
    let text = STANDARD.encode(hasher.finish().as_bytes());
    // Base64 has no character that a field may not hold.
    let value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    (HeaderName::from_static(CRC64), value)
}

/// Stores that do not compute it may state another one under its name.
fn is_crc64(text: &str) -> bool {
    Digest::from_base64(Algorithm::Crc64Nvme, text).is_ok()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Body of `CompleteMultipartUpload`.
fn list_of(parts: &[(u32, &str, &str)]) -> String {
    let mut list =
        String::from(r#"<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
    for (number, etag, checksum) in parts {
        let etag = quick_xml::escape::escape(*etag);
        // Writing into a string cannot fail.
        let _ = write!(
            list,
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><ChecksumCRC64NVME>{checksum}</ChecksumCRC64NVME></Part>"
        );
    }
    list + "</CompleteMultipartUpload>"
}

/// Refusal in a response, also in one that begins as a success ("CompleteMultipartUpload": an error may follow a status of 200).
fn refusal(called: &ServiceResponse) -> Option<Refusal> {
    let ServiceResponse { status, headers, body } = called;
    let told = Refusal::read(*status, headers, body);
    match status.is_success() {
        true => told.filter(|_| Document::parse(body).is_some_and(|document| document.root() == "Error")),
        false => Some(told.unwrap_or_else(|| Refusal::untold(status.as_u16()))),
    }
}

/// Returns true for the document of an object that was made ("CompleteMultipartUpload"). A success without it, as of a gateway, is none.
fn is_complete(called: &ServiceResponse) -> bool {
    Document::parse(&called.body).is_some_and(|document| document.root() == "CompleteMultipartUploadResult")
}

/// A wait of about this length, different for each who waits.
fn jittered(wait: Duration) -> Duration {
    wait / 2 + wait.mul_f64((Clock::seed() % 1000) as f64 / 2000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn called(status: u16, body: &str) -> ServiceResponse {
        ServiceResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_success_with_an_error_in_its_body_is_a_refusal() {
        let error = "<?xml version=\"1.0\"?>\n\n<Error><Code>InternalError</Code></Error>";
        assert!(refusal(&called(200, error)).is_some_and(|refusal| refusal.is_passing()));
        assert_eq!(refusal(&called(200, "<CompleteMultipartUploadResult/>")), None);
        assert_eq!(refusal(&called(200, "")), None);
        assert!(is_complete(&called(200, " \n<CompleteMultipartUploadResult/>")));
        for body in ["", "<html></html>", "<Error", "<CompleteMultipartUploadResult>"] {
            assert!(!is_complete(&called(200, body)), "{body}");
        }
        assert!(refusal(&called(502, "<html>")).is_some_and(|refusal| refusal.is_passing()));
        assert!(refusal(&called(403, "")).is_some_and(|refusal| !refusal.is_passing()));
    }

    #[test]
    fn the_list_of_parts_is_what_the_store_expects() {
        let list = list_of(&[(1, "\"a\"", "AAA="), (2, "b", "BBB=")]);
        let document = Document::parse(list.as_bytes()).unwrap();
        let groups = document.groups("Part");
        assert_eq!(groups[0], [("PartNumber", "1"), ("ETag", "\"a\""), ("ChecksumCRC64NVME", "AAA=")]);
        assert_eq!(groups.len(), 2);
    }
}
