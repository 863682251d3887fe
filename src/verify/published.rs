//! Digests that servers publish in the head of a response.

use super::digest::{Algorithm, Digest};
use http::{HeaderMap, StatusCode};

/// A digest of the whole file, and the field of the response that states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) digest: Digest,
    /// Name of the field, as it is usually written.
    pub(crate) field: &'static str,
}

/// Encoding of the value of a field.
#[derive(Clone, Copy)]
enum Form {
    /// `sha-256=:BASE64:, …` (RFC 9530 §2).
    Dictionary,
    /// `SHA-256=BASE64, …` (RFC 3230 §4.3.2); hexadecimal digits are seen as well.
    Instance,
    /// `md5=BASE64` or `crc32c=BASE64`, in one field or several.
    Named,
    /// `sha256:HEX`.
    Prefixed,
    /// An entity tag that is the digest in hexadecimal digits.
    Tag,
    Base64(Algorithm),
    Hex(Algorithm),
}

/// Fields that state a digest of the complete representation, whatever part a response carries.
const OF_THE_WHOLE: [(&str, Form); 11] = [
    ("Repr-Digest", Form::Dictionary),
    ("Digest", Form::Instance),
    ("X-Linked-ETag", Form::Tag),
    ("Docker-Content-Digest", Form::Prefixed),
    ("X-Checksum-SHA256", Form::Hex(Algorithm::Sha256)),
    ("X-Checksum-SHA512", Form::Hex(Algorithm::Sha512)),
    ("X-Checksum-SHA1", Form::Hex(Algorithm::Sha1)),
    ("X-Checksum-MD5", Form::Hex(Algorithm::Md5)),
    ("X-Bz-Content-Sha1", Form::Hex(Algorithm::Sha1)),
    ("X-Goog-Hash", Form::Named),
    ("X-MS-Blob-Content-MD5", Form::Base64(Algorithm::Md5)),
];

/// Fields that state a digest of the content of this response.
const OF_THE_CONTENT: [(&str, Form); 8] = [
    ("Content-Digest", Form::Dictionary),
    ("Content-MD5", Form::Base64(Algorithm::Md5)),
    OF_THE_OBJECT[0],
    OF_THE_OBJECT[1],
    OF_THE_OBJECT[2],
    OF_THE_OBJECT[3],
    OF_THE_OBJECT[4],
    OF_THE_OBJECT[5],
];

/// Fields that state a digest of a stored object, in responses that are about all of it.
const OF_THE_OBJECT: [(&str, Form); 6] = [
    ("X-Amz-Checksum-SHA256", Form::Base64(Algorithm::Sha256)),
    ("X-Amz-Checksum-SHA512", Form::Base64(Algorithm::Sha512)),
    ("X-Amz-Checksum-SHA1", Form::Base64(Algorithm::Sha1)),
    ("X-Amz-Checksum-CRC64NVME", Form::Base64(Algorithm::Crc64Nvme)),
    ("X-Amz-Checksum-CRC32C", Form::Base64(Algorithm::Crc32c)),
    ("X-Amz-Checksum-CRC32", Form::Base64(Algorithm::Crc32)),
];

/// Fields that a redirect states a digest of the file in that it leads to, if it has links that concern that file (RFC 6249).
const OF_THE_TARGET: [(&str, Form); 2] = [("Repr-Digest", Form::Dictionary), ("Digest", Form::Instance)];

/// In the place of a field, for a digest that a manifest has recorded.
pub(crate) const RECORDED: &str = "manifest";

/// Algorithms in order of preference: the strong ones first, the fastest first among them.
const PREFERRED: [Algorithm; 9] = [
    Algorithm::Sha256,
    Algorithm::Sha512,
    Algorithm::Blake3,
    Algorithm::Blake2b,
    Algorithm::Sha1,
    Algorithm::Md5,
    Algorithm::Crc64Nvme,
    Algorithm::Crc32c,
    Algorithm::Crc32,
];

/// Digests of the whole file that a response states, as far as [they count](that_count). `is_whole` says that it carries the whole file.
/// Digests that are malformed or not computed here are left out.
pub(crate) fn published(status: StatusCode, headers: &HeaderMap, is_whole: bool) -> Vec<Published> {
    let mut found = Vec::new();
    if status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT {
        read(headers, &OF_THE_WHOLE, &mut found);
        if is_whole {
            read(headers, &OF_THE_CONTENT, &mut found);
        }
    }
    that_count(found)
}

/// Digests of a stored object that the response to a HEAD states. `Content-Digest` is left out there: it is that of no content
/// (RFC 9530, Appendix B.2).
pub(crate) fn published_by_head(headers: &HeaderMap) -> Vec<Published> {
    let mut found = Vec::new();
    read(headers, &OF_THE_WHOLE, &mut found);
    read(headers, &OF_THE_OBJECT, &mut found);
    that_count(found)
}

/// Digests of the file that a redirect leads to, as far as its head states them.
pub(crate) fn published_by_redirect(headers: &HeaderMap) -> Vec<Published> {
    let mut found = Vec::new();
    read(headers, &OF_THE_TARGET, &mut found);
    that_count(found)
}

/// All of the algorithms that show a forgery, the fastest first: none of them may contradict the file. Without any of them, those of the best
/// of the others.
pub(crate) fn that_count(mut found: Vec<Published>) -> Vec<Published> {
    let is_strong = |one: &Published| one.digest.algorithm().is_collision_resistant();
    if found.iter().any(is_strong) {
        found.retain(is_strong);
        found.sort_by_key(|one| PREFERRED.iter().position(|algorithm| *algorithm == one.digest.algorithm()));
        return found;
    }
    let is_there = |algorithm: &Algorithm| found.iter().any(|one| one.digest.algorithm() == *algorithm);
    let Some(best) = PREFERRED.into_iter().find(is_there) else {
        return Vec::new();
    };
    found.retain(|one| one.digest.algorithm() == best);
    found
}

fn read(headers: &HeaderMap, fields: &[(&'static str, Form)], found: &mut Vec<Published>) {
    for (field, form) in fields {
        if !applies(headers, field) {
            continue;
        }
        for value in headers.get_all(*field) {
            let digests = value.to_str().map(|value| digests(value, *form)).unwrap_or_default();
            found.extend(digests.into_iter().map(|digest| Published { digest, field }));
        }
    }
}

/// Returns false for a field that speaks of other bytes than those that are sent.
fn applies(headers: &HeaderMap, field: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match field {
        // The hash is that of the stored object, which is unpacked on its way if it is stored as gzip.
        "X-Goog-Hash" => {
            let stored = text("x-goog-stored-content-encoding");
            stored.is_empty() || stored == "identity" || stored == text("content-encoding")
        }
        // A digest of the digests of parts.
        _ if field.starts_with("X-Amz-Checksum") => {
            !text("x-amz-checksum-type").eq_ignore_ascii_case("COMPOSITE")
        }
        _ => true,
    }
}

fn digests(value: &str, form: Form) -> Vec<Digest> {
    let value = value.trim();
    match form {
        Form::Dictionary => listed(value, |text| {
            // Parameters of a member are ignored (RFC 8941 §3.2).
            let bytes = text.split(';').next()?.trim().strip_prefix(':')?.strip_suffix(':')?;
            Some(bytes.to_owned())
        }),
        Form::Instance => listed(value, |text| Some(text.trim().to_owned())),
        Form::Named => listed(value, |text| Some(text.trim().to_owned())),
        Form::Prefixed => value.parse().ok().into_iter().collect(),
        Form::Tag => {
            let tag = value.trim_start_matches("W/").trim_matches('"');
            Digest::from_hex(Algorithm::Sha256, tag).ok().into_iter().collect()
        }
        Form::Base64(algorithm) => Digest::from_base64(algorithm, value).ok().into_iter().collect(),
        Form::Hex(algorithm) => Digest::from_hex(algorithm, value).ok().into_iter().collect(),
    }
}

/// Members of a list of `name=value`, each value as `inner` gives it.
fn listed(value: &str, inner: impl Fn(&str) -> Option<String>) -> Vec<Digest> {
    let one = |member: &str| {
        let (name, text) = member.split_once('=')?;
        // SHA stands for SHA-1 in both registries.
        let algorithm = match name.trim().to_ascii_lowercase().as_str() {
            "sha" => Algorithm::Sha1,
            "crc32c" => Algorithm::Crc32c,
            name => name.parse().ok()?,
        };
        let text = inner(text)?;
        Digest::from_base64(algorithm, &text).or_else(|_| Digest::from_hex(algorithm, &text)).ok()
    };
    value.split(',').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const SHA256_HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const SHA256: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    const MD5: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";
    const MD5_HEX: &str = "d41d8cd98f00b204e9800998ecf8427e";

    fn found(status: u16, lines: &[(&str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let found = published(StatusCode::from_u16(status).unwrap(), &headers, status == 200);
        found.iter().map(|one| format!("{} {}", one.field, one.digest.algorithm())).collect()
    }

    #[test]
    fn each_field_is_read_in_its_form() {
        let dictionary = format!("sha-512=:AAAA:, sha-256=:{SHA256}:;x=1, crc32c=:AAAA:");
        let instance = format!("SHA-256={SHA256},unixsum=30637");
        let goog = format!("md5={MD5}");
        let docker = format!("sha256:{SHA256_HEX}");
        let tag = format!("\"{SHA256_HEX}\"");
        for (name, value, expected) in [
            ("repr-digest", &dictionary[..], "Repr-Digest sha256"),
            ("content-digest", &dictionary, "Content-Digest sha256"),
            ("digest", &instance, "Digest sha256"),
            ("digest", &format!("md5={MD5}"), "Digest md5"),
            ("digest", &format!("sha-256={SHA256_HEX}"), "Digest sha256"),
            ("x-linked-etag", &tag, "X-Linked-ETag sha256"),
            ("docker-content-digest", &docker, "Docker-Content-Digest sha256"),
            ("x-checksum-sha256", SHA256_HEX, "X-Checksum-SHA256 sha256"),
            ("x-goog-hash", &format!("crc32c=AAAAAA==,{goog}"), "X-Goog-Hash md5"),
            ("x-goog-hash", "crc32c=AAAAAA==", "X-Goog-Hash crc32c"),
            ("repr-digest", "crc32c=:4waSgw==:", "Repr-Digest crc32c"),
            ("digest", "crc32c=e3069283", "Digest crc32c"),
            ("x-amz-checksum-crc32c", "4waSgw==", "X-Amz-Checksum-CRC32C crc32c"),
            ("x-amz-checksum-crc32", "y/Q5Jg==", "X-Amz-Checksum-CRC32 crc32"),
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg=", "X-Amz-Checksum-CRC64NVME crc64nvme"),
            ("x-amz-checksum-sha256", SHA256, "X-Amz-Checksum-SHA256 sha256"),
            ("content-md5", MD5, "Content-MD5 md5"),
            ("x-ms-blob-content-md5", MD5, "X-MS-Blob-Content-MD5 md5"),
            ("x-checksum-md5", MD5_HEX, "X-Checksum-MD5 md5"),
        ] {
            assert_eq!(found(200, &[(name, value)]), [expected], "{name}: {value}");
        }
    }

    #[test]
    fn what_speaks_of_other_bytes_or_makes_no_sense_is_left_out() {
        let goog = format!("md5={MD5}");
        for (status, lines) in [
            (206, &[("content-md5", MD5)][..]),
            (206, &[("x-amz-checksum-sha256", SHA256)]),
            (206, &[("content-digest", &format!("sha-256=:{SHA256}:"))]),
            (200, &[("x-amz-checksum-sha256", SHA256), ("x-amz-checksum-type", "COMPOSITE")]),
            (200, &[("x-amz-checksum-sha256", &format!("{SHA256}-12"))]),
            (200, &[("x-amz-checksum-crc32c", "4waSgw==-3")]),
            (200, &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-type", "COMPOSITE")]),
            (206, &[("x-amz-checksum-crc64nvme", "rosUhgp5mIg=")]),
            (200, &[("x-goog-hash", "crc32c=AAAAAA==,md5=x"), ("x-goog-stored-content-encoding", "gzip")]),
            (200, &[("x-goog-hash", "crc32=AAAAAA==")]),
            (200, &[("x-goog-hash", &goog), ("x-goog-stored-content-encoding", "gzip")]),
            (404, &[("content-md5", MD5)]),
            (200, &[("x-linked-etag", "\"5e-61f\""), ("etag", "\"x\"")]),
            (200, &[("x-bz-content-sha1", "none")]),
            (200, &[("repr-digest", "sha-256=:short:")]),
            (200, &[("repr-digest", "nonsense, =, sha-256, :")]),
        ] {
            assert_eq!(found(status, lines), [""; 0], "{lines:?}");
        }
        assert_eq!(found(206, &[("repr-digest", &format!("sha-256=:{SHA256}:"))]), ["Repr-Digest sha256"]);
    }

    #[test]
    fn of_several_all_strong_ones_count_or_else_the_best_one_with_each_field_that_states_it() {
        let lines = [
            ("content-md5", MD5),
            ("repr-digest", &format!("sha-256=:{SHA256}:")[..]),
            ("x-checksum-sha256", SHA256_HEX),
        ];
        assert_eq!(found(200, &lines), ["Repr-Digest sha256", "X-Checksum-SHA256 sha256"]);
        let sha512 = "0".repeat(128);
        let strong =
            [("x-checksum-sha512", &sha512[..]), ("x-checksum-sha256", SHA256_HEX), ("content-md5", MD5)];
        assert_eq!(found(200, &strong), ["X-Checksum-SHA256 sha256", "X-Checksum-SHA512 sha512"]);
        let weak = [
            ("x-goog-hash", "crc32c=AAAAAA=="),
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
            ("content-md5", MD5),
        ];
        assert_eq!(found(200, &weak), ["Content-MD5 md5"]);
        assert_eq!(found(200, &weak[..2]), ["X-Amz-Checksum-CRC64NVME crc64nvme"]);
    }

    #[test]
    fn a_head_states_digests_of_the_object_and_none_of_content() {
        let mut headers = HeaderMap::new();
        headers.append("content-digest", format!("sha-256=:{SHA256}:").parse().unwrap());
        headers.append("content-md5", MD5.parse().unwrap());
        assert_eq!(published_by_head(&headers), []);
        headers.append("x-amz-checksum-crc32c", "4waSgw==".parse().unwrap());
        assert_eq!(published_by_head(&headers)[0].field, "X-Amz-Checksum-CRC32C");
    }

    #[test]
    fn a_range_of_the_whole_file_states_digests_of_it() {
        let mut headers = HeaderMap::new();
        headers.append("content-digest", format!("sha-256=:{SHA256}:").parse().unwrap());
        assert_eq!(published(StatusCode::PARTIAL_CONTENT, &headers, true)[0].field, "Content-Digest");
        assert_eq!(published(StatusCode::PARTIAL_CONTENT, &headers, false), []);
        assert_eq!(published(StatusCode::NOT_FOUND, &headers, true), []);
    }

    #[test]
    fn a_redirect_states_digests_of_its_target_in_the_fields_of_a_metalink_server_alone() {
        let mut headers = HeaderMap::new();
        headers.append("digest", format!("md5={MD5},SHA-256={SHA256}").parse().unwrap());
        headers.append("x-checksum-sha512", "0".repeat(128).parse().unwrap());
        let found = published_by_redirect(&headers);
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!((one.field, one.digest.to_hex()), ("Digest", SHA256_HEX.to_owned()));
    }
}
