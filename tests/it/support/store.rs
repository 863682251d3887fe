//! A store that speaks the protocol of S3, as far as haul does, and refuses what a test wants refused. It checks no signatures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::haul::{Haul, Sandbox};
use super::server::{Answer, Body, Request, Server};

/// Keys of the tests; the secret appears nowhere but in the environment.
pub(crate) const ACCESS: &str = "AKIDTEST";
pub(crate) const SECRET: &str = "S3CRETKEYS3CRETKEY";

type Refusal = Arc<dyn Fn(&Request, usize) -> Option<Answer> + Send + Sync>;

#[derive(Default)]
pub(crate) struct Content {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// Parts by the name of their upload.
    pub(crate) uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    pub(crate) aborted: usize,
    /// Objects that were made, by PUT or from parts.
    pub(crate) commits: usize,
    begun: usize,
}

/// A running store with the bucket `bucket`.
pub(crate) struct Store {
    pub(crate) server: Server,
    pub(crate) content: Arc<Mutex<Content>>,
}

impl Store {
    pub(crate) fn start() -> Self {
        Self::refusing(|_, _| None)
    }

    /// Answers as `refuse` says, where it says something; the number counts requests of the same method and query from 0.
    pub(crate) fn refusing(
        refuse: impl Fn(&Request, usize) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let content = Arc::<Mutex<Content>>::default();
        let (held, refuse): (_, Refusal) = (content.clone(), Arc::new(refuse));
        let counts = Mutex::new(BTreeMap::<String, usize>::new());
        let server = Server::serve(super::Payload::new(1, 1)).handler(move |request, exchange| {
            let kind = format!("{} {}", request.method, request.target);
            let nth = {
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(kind).or_default();
                *count += 1;
                *count - 1
            };
            let answer = refuse(request, nth).unwrap_or_else(|| served(&mut held.lock().unwrap(), request));
            exchange.send(&answer);
        });
        Self { server: server.start(), content }
    }

    pub(crate) fn put(&self, key: &str, bytes: Vec<u8>) {
        self.content.lock().unwrap().objects.insert(format!("/bucket/{key}"), bytes);
    }

    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.content.lock().unwrap().objects.get(&format!("/bucket/{key}")).cloned()
    }

    pub(crate) fn aborted(&self) -> usize {
        self.content.lock().unwrap().aborted
    }

    pub(crate) fn commits(&self) -> usize {
        self.content.lock().unwrap().commits
    }

    /// Numbers of the parts that were sent, in order.
    pub(crate) fn parts_sent(&self) -> Vec<u32> {
        let requests = self.server.requests();
        let parts = requests.iter().filter(|request| request.method == "PUT");
        parts.filter_map(|request| query(&request.target, "partNumber")?.parse().ok()).collect()
    }

    /// The program, with this store in its environment.
    pub(crate) fn haul(&self, sandbox: &Sandbox) -> Haul {
        sandbox
            .haul()
            .deadline(std::time::Duration::from_secs(25))
            .env("AWS_ENDPOINT_URL", self.server.origin())
            .env("AWS_ACCESS_KEY_ID", ACCESS)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
    }
}

/// An error document.
pub(crate) fn refused(status: u16, code: &str) -> Answer {
    let mut answer =
        Answer::text(status, &format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>"));
    answer.set("Content-Type", "application/xml");
    answer.set("x-amz-request-id", "1");
    answer
}

pub(crate) fn query<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = target.split_once('?')?;
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(other, _)| *other == name).map(|(_, value)| value)
}

fn xml(text: &str) -> Answer {
    Answer::text(200, text)
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{:08x}-{}\"", crc(bytes), bytes.len())
}

/// Some function of the bytes, for an entity tag: it is computed often.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().step_by(4099).fold(17, |sum: u32, byte| sum.rotate_left(5) ^ u32::from(*byte))
}

fn served(content: &mut Content, request: &Request) -> Answer {
    let path = request.path().to_owned();
    if !path.starts_with("/bucket/") {
        return refused(404, "NoSuchBucket");
    }
    let upload = query(&request.target, "uploadId").map(str::to_owned);
    let unconditional = request.header("if-none-match").is_none();
    match (&request.method[..], upload) {
        ("POST", None) => {
            content.begun += 1;
            let name = format!("upload{}", content.begun);
            content.uploads.insert(name.clone(), BTreeMap::new());
            xml(&format!(
                "<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            ))
        }
        (_, Some(upload)) if !content.uploads.contains_key(&upload) => refused(404, "NoSuchUpload"),
        ("PUT", Some(upload)) => {
            let number = query(&request.target, "partNumber").unwrap().parse().unwrap();
            let mut answer = Answer::text(200, "");
            answer.set("ETag", tag(&request.body));
            answer.set("x-amz-checksum-crc64nvme", request.header("x-amz-checksum-crc64nvme").unwrap());
            content.uploads.get_mut(&upload).unwrap().insert(number, request.body.clone());
            answer
        }
        ("GET", Some(upload)) => {
            let part = |(number, bytes): (&u32, &Vec<u8>)| {
                let (tag, size) = (tag(bytes).replace('"', "&quot;"), bytes.len());
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag><Size>{size}</Size></Part>")
            };
            let parts: String = content.uploads[&upload].iter().map(part).collect();
            xml(&format!("<ListPartsResult><IsTruncated>false</IsTruncated>{parts}</ListPartsResult>"))
        }
        ("DELETE", Some(upload)) => {
            content.uploads.remove(&upload);
            content.aborted += 1;
            Answer::new(204)
        }
        ("POST", Some(_)) | ("PUT", None) if !unconditional && content.objects.contains_key(&path) => {
            refused(412, "PreconditionFailed")
        }
        ("POST", Some(upload)) => {
            let parts = content.uploads.remove(&upload).unwrap();
            content.objects.insert(path, parts.into_values().flatten().collect());
            content.commits += 1;
            xml("<CompleteMultipartUploadResult/>")
        }
        ("PUT", None) => {
            content.objects.insert(path, request.body.clone());
            content.commits += 1;
            Answer::text(200, "")
        }
        (_, None) => match content.objects.get(&path) {
            None => refused(404, "NoSuchKey"),
            Some(bytes) => object(request, bytes),
        },
        _ => refused(405, "MethodNotAllowed"),
    }
}

fn object(request: &Request, bytes: &[u8]) -> Answer {
    let tag = tag(bytes);
    if request.header("if-match").is_some_and(|expected| expected != tag) {
        return refused(412, "PreconditionFailed");
    }
    let range = request.range().and_then(|range| range.within(bytes.len() as u64));
    let mut answer = Answer::new(if range.is_some() { 206 } else { 200 });
    let all = 0..bytes.len() as u64;
    let sent = range.clone().unwrap_or(all);
    if range.is_some() {
        answer.set("Content-Range", format!("bytes {}-{}/{}", sent.start, sent.end - 1, bytes.len()));
    }
    answer.set("ETag", tag);
    answer.bytes(&bytes[sent.start as usize..sent.end as usize]);
    if request.is_head() {
        answer.set("Content-Length", bytes.len().to_string());
        answer.body = Body::None;
    }
    answer
}
