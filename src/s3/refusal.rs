//! Refusals of S3 (Amazon S3 API Reference, "Error responses") in words, with their class and the next step.

use super::document::Document;
use crate::error::{Error, Kind, Remedy};
use crate::formats::escape;
use http::{HeaderMap, StatusCode};

/// A refusal, as far as the server explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// Code of the error; that of the status where the response has no body.
    pub(crate) code: String,
    message: String,
    /// Region of the bucket, if the server states it.
    pub(crate) region: Option<String>,
}

impl Refusal {
    /// Reads a response; `None` for one that no S3 has written.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, document: &[u8]) -> Option<Self> {
        let region = headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
        let document = Document::parse(document).filter(|document| document.root() == "Error");
        let text = |name| document.as_ref().and_then(|document| document.text(name));
        let of_s3 = document.is_some() || headers.contains_key("x-amz-request-id") || region.is_some();
        let region = text("Region").or(region).filter(|region| is_region(region)).map(str::to_owned);
        if !of_s3 {
            return None;
        }
        let by_status = match status.as_u16() {
            301 => "PermanentRedirect",
            403 => "AccessDenied",
            404 => "NoSuchKey",
            412 => "PreconditionFailed",
            503 => "SlowDown",
            _ => "",
        };
        Some(Self {
            status: status.as_u16(),
            code: text("Code").unwrap_or(by_status).to_owned(),
            message: text("Message").unwrap_or_default().to_owned(),
            region,
        })
    }

    /// A refusal that says nothing but its status.
    pub(crate) fn untold(status: u16) -> Self {
        Self { status, code: String::new(), message: String::new(), region: None }
    }

    /// True if the same request may be served later.
    pub(crate) fn is_passing(&self) -> bool {
        let codes = [
            "SlowDown",
            "InternalError",
            "ServiceUnavailable",
            "RequestTimeout",
            "OperationAborted",
            "BadDigest",
            "Throttling",
            "XAmzContentSHA256Mismatch",
            "IncompleteBody",
            "TooManyRequests",
        ];
        codes.contains(&self.code.as_str()) || self.status >= 500 && self.status != 501 || self.status == 429
    }

    /// True if the server asks for fewer requests.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self.code.as_str(), "SlowDown" | "ServiceUnavailable" | "Throttling" | "TooManyRequests")
            || self.status == 503
    }

    /// True if the credentials were lent and their time is over.
    pub(crate) fn is_expiry(&self) -> bool {
        matches!(
            self.code.as_str(),
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken"
        )
    }

    /// True if it is about the region of the bucket.
    pub(crate) fn is_of_region(&self) -> bool {
        let codes = [
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "TemporaryRedirect",
        ];
        codes.contains(&self.code.as_str())
            || self.status == 301
            || (self.status == 400 && self.code.is_empty() && self.region.is_some())
    }

    /// The refusal as the error of an operation on an object.
    pub(crate) fn into_error(self) -> Error {
        let (kind, what, remedy) = self.meaning();
        let code = if self.code.is_empty() { String::new() } else { format!("{}, ", clipped(&self.code)) };
        let mut cause = format!("{what} ({code}status {})", self.status);
        if kind == Kind::Http && !self.message.is_empty() {
            cause = format!("{cause}: {}", clipped(&self.message));
        }
        let error = Error::new(kind, cause).with_status(self.status);
        let error = if self.is_passing() { error.passing() } else { error };
        match remedy {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    }

    fn meaning(&self) -> (Kind, String, Option<Remedy>) {
        let told = |kind, what: &str, remedy| (kind, what.to_owned(), Some(remedy));
        match self.code.as_str() {
            "NoSuchBucket" => told(Kind::NotFound, "the bucket does not exist", Remedy::AwsBucket),
            "NoSuchKey" => told(Kind::NotFound, "the object does not exist", Remedy::AwsKey),
            "NoSuchVersion" => told(Kind::NotFound, "the object has no such version", Remedy::AwsKey),
            "NoSuchUpload" => told(Kind::Changed, "the upload does not exist any more", Remedy::Again),
            "MethodNotAllowed" => {
                told(Kind::NotFound, "the object was deleted, or may not be used so", Remedy::AwsKey)
            }
            "InvalidBucketName" => {
                told(Kind::Usage, "the store has no bucket of such a name", Remedy::AwsBucket)
            }
            "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "UnauthorizedAccess" => told(
                Kind::Auth,
                "access denied: the credentials may not do this, or there are none",
                Remedy::AwsPermission,
            ),
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
                told(Kind::Auth, "the credentials have expired", Remedy::AwsFreshKeys)
            }
            "InvalidToken" => told(Kind::Auth, "the session token is not valid", Remedy::AwsFreshKeys),
            "InvalidAccessKeyId" => {
                told(Kind::Auth, "the store does not know the access key", Remedy::AwsCredentials)
            }
            "SignatureDoesNotMatch" => told(
                Kind::Auth,
                "the signature is wrong: the secret key belongs to another access key",
                Remedy::AwsCredentials,
            ),
            "RequestTimeTooSkewed" => told(
                Kind::Auth,
                "the clock of this machine and that of the server differ too much",
                Remedy::AwsClock,
            ),
            "InvalidObjectState" => told(Kind::Http, "the object is archived", Remedy::AwsRestore),
            _ if self.is_of_region() => {
                let region = self.region.as_deref().unwrap_or("another region");
                (Kind::Http, format!("the bucket is in {region}"), Some(Remedy::AwsRegion))
            }
            _ if self.is_overload() => {
                told(Kind::Http, "the store asks for fewer requests", Remedy::AgainLater)
            }
            _ if self.status == 403 || self.status == 401 => {
                told(Kind::Auth, "the store refuses the credentials", Remedy::AwsCredentials)
            }
            _ if self.status == 404 => told(Kind::NotFound, "the store has no such thing", Remedy::AwsKey),
            _ => (Kind::Http, "the store refuses the request".to_owned(), None),
        }
    }
}

fn clipped(text: &str) -> String {
    escape::clip(&escape::for_terminal(text), 200).to_string()
}

fn is_region(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str, more: &str) -> Refusal {
        let document =
            format!("<Error><Code>{code}</Code><Message>told by \u{1b}[31m</Message>{more}</Error>");
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::read(status, &HeaderMap::new(), document.as_bytes()).unwrap()
    }

    #[test]
    fn each_refusal_is_told_as_a_fact_with_its_class_and_the_next_step() {
        for (status, code, kind, remedy, passes) in [
            (404, "NoSuchBucket", Kind::NotFound, "aws_bucket", false),
            (404, "NoSuchKey", Kind::NotFound, "aws_key", false),
            (404, "NoSuchVersion", Kind::NotFound, "aws_key", false),
            (403, "AccessDenied", Kind::Auth, "aws_permission", false),
            (400, "ExpiredToken", Kind::Auth, "aws_fresh_keys", false),
            (403, "InvalidAccessKeyId", Kind::Auth, "aws_credentials", false),
            (403, "SignatureDoesNotMatch", Kind::Auth, "aws_credentials", false),
            (403, "RequestTimeTooSkewed", Kind::Auth, "aws_clock", false),
            (403, "InvalidObjectState", Kind::Http, "aws_restore", false),
            (403, "SomethingNew", Kind::Auth, "aws_credentials", false),
            (503, "SlowDown", Kind::Http, "again_later", true),
            (500, "InternalError", Kind::Http, "", true),
            (400, "BadDigest", Kind::Http, "", true),
            (400, "AuthorizationHeaderMalformed", Kind::Http, "aws_region", false),
            (301, "PermanentRedirect", Kind::Http, "aws_region", false),
            (400, "EntityTooSmall", Kind::Http, "", false),
            (501, "NotImplemented", Kind::Http, "", false),
        ] {
            let refusal = refusal(status, code, "");
            assert_eq!(refusal.is_passing(), passes, "{code}");
            let error = refusal.into_error();
            let told = error.remedy().map_or("", Remedy::name);
            assert_eq!((error.kind(), told, error.status()), (kind, remedy, Some(status)), "{code}: {error}");
            assert!(error.to_string().contains(code) && !error.to_string().contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn a_refusal_without_a_body_is_told_by_its_status_and_a_page_of_a_proxy_is_none() {
        let mut headers = HeaderMap::new();
        let read = |headers: &HeaderMap, status: u16, body: &[u8]| {
            Refusal::read(StatusCode::from_u16(status).unwrap(), headers, body)
        };
        assert_eq!(read(&headers, 403, b"<html><body>blocked</body></html>"), None);
        headers.insert("x-amz-request-id", "1".parse().unwrap());
        assert_eq!(read(&headers, 404, b"").unwrap().into_error().kind(), Kind::NotFound);
        headers.insert("x-amz-bucket-region", "eu-central-1".parse().unwrap());
        let moved = read(&headers, 301, b"").unwrap();
        assert!(moved.is_of_region() && moved.into_error().to_string().contains("eu-central-1"));
    }

    #[test]
    fn a_region_is_read_from_the_document_if_it_is_one() {
        let region = |more: &str| refusal(400, "AuthorizationHeaderMalformed", more).region;
        assert_eq!(region("<Region>eu-north-1</Region>").as_deref(), Some("eu-north-1"));
        assert_eq!(region("<Region>evil/../x</Region>"), None);
    }
}
