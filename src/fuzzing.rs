//! Properties that hold for any text from outside, as functions that panic if one does not. Fuzzers call them with
//! bytes that were bred to break them (`fuzz/`), and a test on stable Rust with mutations of the corpora in
//! `fixtures/corpora`.

use crate::formats::cookie_file::{Cookies, Wanted};
use crate::formats::digest_list::DigestList;
use crate::formats::file_name::ForeignName;
use crate::formats::netrc::Netrc;
use crate::formats::{content_disposition, escape, input_list, link_field, metalink, retry_after};
use crate::manifest::Raw;
use crate::plan::byte_range::ContentRange;
use crate::plan::named_sources::{MOST_NAMED, Trust, candidates, choose};
use crate::plan::packing::Packing;
use crate::plan::representation::{EntityTag, Representation, Validators};
use crate::plan::response_head::ResponseHead;
use crate::plan::verdict::{Expectation, Verdict, judge};
use crate::plan::{Address, ByteRange, RangeSet};
use crate::verify::Digest;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::time::{Duration, SystemTime};

/// A property that holds for all bytes.
pub type Target = fn(&[u8]);

/// All targets, by the names of their corpora.
pub const TARGETS: [(&str, Target); 15] = [
    ("content_range", content_range),
    ("content_disposition", disposition),
    ("digest", digest),
    ("retry_after", wait),
    ("validators", validators),
    ("manifest", manifest),
    ("input_list", list),
    ("digest_list", digest_list),
    ("metalink", metalink),
    ("netrc", netrc),
    ("cookie_file", cookie_file),
    ("url_name", url_name),
    ("redirect", redirect),
    ("link_field", link_field),
    ("verdict", verdict),
];

/// `Content-Range`: an accepted range is a possible one.
pub fn content_range(bytes: &[u8]) {
    match ContentRange::parse(bytes) {
        Ok(ContentRange::Satisfied { range, complete_length }) => {
            assert!(!range.is_empty() && complete_length.is_none_or(|length| range.end() <= length));
        }
        Ok(ContentRange::Unsatisfied { .. }) => {
            assert!(bytes.windows(2).any(|pair| pair == b"*/"));
        }
        Err(why) => assert!(!why.is_empty()),
    }
}

/// `Content-Disposition`: for any text, the name is one new name in the directory.
pub fn disposition(bytes: &[u8]) {
    content_disposition::file_name(bytes).iter().for_each(assert_all_harmless);
}

fn assert_all_harmless(name: &ForeignName) {
    name.parts().for_each(assert_harmless);
}

fn assert_harmless(name: &str) {
    assert!(!name.is_empty() && name != "." && name != "..", "{name:?}");
    assert!(!name.contains(['/', '\\', '\0']) && !name.starts_with(['.', '-']), "{name:?}");
    assert!(!name.chars().any(escape::is_unprintable), "{name:?}");
    assert!(name.len() + ".haul.tmp".len() <= 255, "{name:?}");
    let name = name.to_ascii_lowercase();
    assert!(![".part", ".haul", ".haul.tmp"].iter().any(|end| name.ends_with(end)), "{name:?}");
}

/// Digests: a parsed digest survives being written and parsed again, and an error shows no control character.
pub fn digest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<Digest>() {
        Ok(digest) => assert_eq!(digest.to_string().parse::<Digest>().as_ref(), Ok(&digest)),
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    }
}

/// `Retry-After` and dates: any wait can be added to any moment once it is capped.
pub fn wait(bytes: &[u8]) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    if let Some(wait) = retry_after::parse(bytes, now) {
        assert!(now.checked_add(wait.min(Duration::from_secs(300))).is_some());
    }
}

/// `ETag`, `Last-Modified` and `Date`, on lines of their own: a strong validator can be echoed.
pub fn validators(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let mut next = || lines.next().filter(|line| !line.is_empty()).map(str::to_owned);
    let validators = Validators {
        etag: next().as_deref().and_then(EntityTag::parse),
        last_modified: next(),
        date: next(),
    };
    if let Some(strong) = validators.strong() {
        assert!(!strong.starts_with("W/"));
        assert!(validators.strongly_equal(&validators) && validators.contradicted_by(&validators).is_none());
    }
}

/// Manifests: accepted ranges are disjoint and from complete lines, and a cut changes nothing before it.
pub fn manifest(bytes: &[u8]) {
    let Ok(raw) = Raw::parse(bytes) else {
        return;
    };
    assert!(
        raw.sound <= bytes.len() as u64
            && bytes.starts_with(&raw.head)
            && raw.torn == (raw.sound < bytes.len() as u64)
    );
    let mut claimed = RangeSet::new();
    for run in &raw.runs {
        assert_eq!(claimed.insert(run.range), run.range.len(), "{raw:?}");
    }
    let again = Raw::parse(&bytes[..raw.sound as usize]);
    assert!(again.is_ok_and(|again| again.runs == raw.runs && again.file == raw.file && !again.torn));
}

/// Input lists: their names are harmless.
pub fn list(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for entry in input_list::entries(&text).flatten() {
        entry.output.iter().chain(&entry.directory).for_each(assert_all_harmless);
    }
}

/// Metalink documents: their names are harmless, and there is nothing to fetch from but http and https.
pub fn metalink(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for file in metalink::parse(&text).into_iter().flatten() {
        for url in &file.urls {
            assert!(url.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http")), "{url:?}");
        }
        assert_all_harmless(&file.name);
    }
}

/// Lists of digests: the digest of a file stands in the text, beside its name if others have one.
pub fn digest_list(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let list = DigestList::parse(&text);
    for line in list.of_path(&["pub", "file"]).into_iter().flatten() {
        assert!(text.contains(&line.digest) && line.digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        // A name that is not harmless is found under the one that haul saves it as.
        let is_file = |name: &String| {
            name.contains("file") || ForeignName::below(name).is_ok_and(|saved| saved.name().contains("file"))
        };
        assert!(line.name.as_ref().map_or(list.only().is_some(), is_file), "{line:?}");
    }
}

/// netrc files: only a host that is named gets a password.
pub fn netrc(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let netrc = Netrc::parse(&text);
    let names_host = text.to_ascii_lowercase().replace('\\', "").contains("host.example");
    assert!(netrc.find("host.example", None).is_none() || names_host, "{text:?}");
    assert!(netrc.find("host.example", Some("me")).is_none_or(|(user, _)| user == "me"));
}

/// Cookie files: only a host whose domain is named gets a cookie.
pub fn cookie_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let cookies = Cookies::parse(&text);
    let sent = |host| cookies.pairs(Wanted { host, path: "/pub/x", https: true, now: 1000 }).first().copied();
    let lower = text.to_ascii_lowercase();
    assert!(sent("host.example").is_none() || lower.contains("example"), "{text:?}");
    assert!(sent("10.0.0.1").is_none() || lower.contains("10.0.0.1"), "{text:?}");
}

/// URLs given by a user: the file has a harmless name, and no text that is shown holds its secrets.
pub fn url_name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok((address, userinfo)) = Address::parse(&text) else {
        return;
    };
    ForeignName::from_url_path(address.path()).iter().for_each(assert_all_harmless);
    assert!(address.matches_record(&address.to_record()), "{address}");
    if let Some(userinfo) = userinfo.filter(|userinfo| userinfo.password.len() > 7) {
        let elsewhere = format!("{}{}", address.authority(), address.request_target());
        let hidden =
            elsewhere.contains(&userinfo.password) || !address.to_string().contains(&userinfo.password);
        assert!(hidden, "{address}");
    }
}

/// A `Location`: only http and https are followed, without a user name.
pub fn redirect(bytes: &[u8]) {
    let (from, _) = Address::parse("https://host/dir/file?query").unwrap_or_else(|_| unreachable!());
    if let Ok(next) = from.join(bytes) {
        let shown = next.to_string();
        assert!(shown.starts_with("http://") || shown.starts_with("https://"), "{shown}");
        assert!(!next.authority().contains('@') && !next.host().is_empty(), "{shown}");
        assert!(next.request_target().bytes().all(|byte| byte.is_ascii_graphic()), "{shown}");
    }
}

/// `Link` fields: a target stands in the field, and only a few https URLs without a user name are asked on the server's word.
pub fn link_field(bytes: &[u8]) {
    let (base, _) = Address::parse("https://host/dir/file?query").unwrap_or_else(|_| unreachable!());
    let links = link_field::parse(bytes);
    for link in &links {
        assert!(link.target.is_empty() || bytes.windows(link.target.len()).any(|part| part == link.target));
        assert!(link.parameter("anchor").is_none() && !link.relations.iter().any(|one| one.contains(' ')));
    }
    let choice = choose(candidates(&links), &base, Trust::Server, std::slice::from_ref(&base), MOST_NAMED);
    assert!(choice.taken.len() <= MOST_NAMED && choice.refused.len() <= MOST_NAMED);
    for (place, mirror) in choice.taken.iter().enumerate() {
        assert!(
            mirror.is_https() && !mirror.authority().contains('@') && !mirror.host().is_empty(),
            "{mirror}"
        );
        assert!(*mirror != base && !choice.taken[..place].contains(mirror), "{mirror}");
    }
}

/// A whole response head against the known representation: an accepted body is the requested one, of the known
/// version.
///
/// The first byte encodes the request and the known representation; then come the status and the fields, a line each.
pub fn verdict(bytes: &[u8]) {
    let Some((&choice, head)) = bytes.split_first() else {
        return;
    };
    let Some(answer) = answer(head) else {
        return;
    };
    let known = (choice & 1 != 0).then(|| Representation {
        complete_length: (choice & 2 != 0).then_some(1000),
        validators: Validators {
            etag: EntityTag::parse(if choice & 4 != 0 { "\"v1\"" } else { "W/\"v1\"" }),
            ..Validators::default()
        },
        media_type: Some("application/octet-stream".to_owned()),
    });
    let asked = Expectation {
        range: (choice & 8 != 0).then(|| ByteRange::new(100, 200)),
        if_range: choice & 16 != 0,
        digest_expected: choice & 32 != 0,
        length_expected: (choice & 64 != 0).then_some(1000),
        packing: None,
    };
    match judge(&asked, known.as_ref(), &answer) {
        Verdict::Partial { stated, representation } => {
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
            assert!(asked.range.is_some_and(|wanted| stated.contains(wanted.start())));
            assert!(representation.complete_length.is_none_or(|length| stated.end() <= length));
            assert!(!answer.is_multipart());
            assert_bare(&asked, &answer);
            assert_expected(&asked, &representation);
            assert_same(&asked, known.as_ref(), &representation);
        }
        Verdict::Whole { representation, .. } => {
            assert_eq!(answer.status, StatusCode::OK);
            assert_bare(&asked, &answer);
            assert_expected(&asked, &representation);
            let stated = representation.complete_length.is_some();
            assert!(stated || known.is_some() || asked.length_expected.is_none());
            assert_same(&asked, known.as_ref(), &representation);
        }
        Verdict::Empty { representation } => {
            assert_eq!((answer.status.as_u16(), representation.complete_length), (416, Some(0)));
        }
        Verdict::Refused(_) => {}
    }
}

/// Asserts that a stated length is the expected one.
fn assert_expected(asked: &Expectation, seen: &Representation) {
    let lengths = asked.length_expected.zip(seen.complete_length);
    assert!(lengths.is_none_or(|(expected, stated)| expected == stated), "{lengths:?}");
}

/// Asserts that nothing is decoded, and a coding is accepted only if it is the file's own, or a digest verifies the
/// bytes.
fn assert_bare(asked: &Expectation, answer: &ResponseHead) {
    let own = || answer.media_type.as_deref().and_then(Packing::of_media).is_some();
    assert!(answer.transfer_coding.is_none());
    assert!(answer.coding.is_none() || asked.digest_expected || own());
}

/// Asserts that nothing accepted contradicts the known representation, except validators if a digest verifies the
/// bytes.
fn assert_same(asked: &Expectation, known: Option<&Representation>, seen: &Representation) {
    let proven = |known: &Representation| {
        asked.digest_expected
            && known.complete_length.is_some()
            && known.complete_length == seen.complete_length
    };
    if let Some(known) = known.filter(|known| !proven(known)) {
        assert_eq!(known.contradicted_by(seen), None);
    }
}

/// Parses a status line and fields, as far as hyper would let them through.
fn answer(head: &[u8]) -> Option<ResponseHead> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = StatusCode::from_bytes(lines.next()?).ok()?;
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        headers.append(name, value);
    }
    Some(ResponseHead::read(status, &headers, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::seed::mix;
    use std::path::Path;
    use std::time::Instant;

    /// Corpus of a target: the texts of its files, in the order of their paths.
    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/corpora").join(name);
        let mut paths: Vec<_> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{name} has no corpus");
        paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
    }

    /// Texts that have a meaning in some of the formats.
    const WORDS: [&str; 32] = [
        "*",
        "/",
        "-",
        "0",
        "18446744073709551615",
        "99999999999999999999",
        "bytes ",
        "\"",
        "W/",
        "..",
        "%2e",
        "%2F",
        "\r",
        "\n",
        "\t",
        " ",
        "=",
        ";",
        "filename*=UTF-8''",
        "@",
        ":",
        "[",
        "\\",
        "\u{202e}",
        "\u{1b}[0m",
        "://",
        "#",
        "?",
        "<",
        ">",
        ",",
        "rel=duplicate",
    ];

    /// One to three changes: a bit flipped, a byte replaced, bytes removed or doubled, a word put in, or the tail of
    /// another text taken over.
    fn mutated(text: &[u8], other: &[u8], mut dice: u64) -> Vec<u8> {
        let mut text = text.to_vec();
        for _ in 0..=dice % 3 {
            dice = mix(dice);
            let at = dice as usize % (text.len() + 1);
            let until = (at + (dice >> 32) as usize % 8).min(text.len());
            match (dice >> 16) % 6 {
                0 if at < text.len() => text[at] ^= 1 << (dice >> 40 & 7),
                1 => drop(text.drain(at..until)),
                2 => {
                    let doubled = text[at..until].to_vec();
                    text.splice(at..at, doubled);
                }
                3 => drop(text.splice(at..at, WORDS[(dice >> 24) as usize % WORDS.len()].bytes())),
                4 => {
                    let from = (dice >> 24) as usize % (other.len() + 1);
                    text.truncate(at);
                    text.extend_from_slice(&other[from..]);
                }
                _ if at < text.len() => text[at] = (dice >> 48) as u8,
                _ => {}
            }
        }
        text
    }

    /// Runs the corpus, then mutations of it: 20,000, or for as many seconds as `HAUL_FUZZ_SECONDS` says.
    #[expect(clippy::disallowed_methods, reason = "a test that runs for a while needs a clock")]
    fn fuzz(name: &str) {
        let (_, target) = TARGETS.into_iter().find(|(other, _)| *other == name).unwrap();
        let mut pool = corpus(name);
        pool.iter().for_each(|text| target(text));
        let seconds = std::env::var("HAUL_FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
        let began = Instant::now();
        let over = |round: u64| match seconds {
            Some(seconds) => began.elapsed() >= Duration::from_secs_f64(seconds),
            None => round >= 20_000,
        };
        let mut dice = name.bytes().map(u64::from).fold(7, |seed, byte| mix(seed ^ byte));
        for round in 0.. {
            if over(round) {
                break;
            }
            dice = mix(dice);
            let (one, other) = (dice as usize % pool.len(), (dice >> 32) as usize % pool.len());
            let text = mutated(&pool[one], &pool[other], dice);
            target(&text);
            // Some mutations are mutated further, so that changes add up.
            if dice >> 60 == 0 && text.len() < 4096 && pool.len() < 512 {
                pool.push(text);
            }
        }
    }

    macro_rules! fuzzed {
        ($($test:ident: $name:literal,)*) => {$(
            #[test]
            fn $test() {
                fuzz($name);
            }
        )*};
    }

    fuzzed! {
        any_content_range_is_refused_or_makes_sense: "content_range",
        any_content_disposition_gives_a_harmless_name: "content_disposition",
        any_digest_is_refused_or_read_as_meant: "digest",
        any_retry_after_is_a_wait_that_can_be_waited: "retry_after",
        any_strong_validator_can_be_echoed: "validators",
        any_manifest_is_believed_up_to_its_first_damage: "manifest",
        no_list_leads_out_of_the_directory: "input_list",
        no_metalink_leads_out_of_the_directory: "metalink",
        any_list_of_digests_says_what_it_is_taken_to_say: "digest_list",
        no_password_goes_to_a_host_that_is_not_named: "netrc",
        no_cookie_goes_to_a_host_that_is_not_named: "cookie_file",
        any_url_gives_a_harmless_name: "url_name",
        no_redirect_leads_to_another_scheme: "redirect",
        no_link_leads_to_another_scheme: "link_field",
        any_answer_that_is_taken_is_what_was_asked_for: "verdict",
    }

    #[test]
    fn every_target_has_a_corpus_and_a_program() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, _) in TARGETS {
            assert!(!corpus(name).is_empty());
            let program = root.join("fuzz/fuzz_targets").join(format!("{name}.rs"));
            assert!(program.exists(), "{} is missing", program.display());
        }
    }
}
