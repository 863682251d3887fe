//! `--minisign`: the key, and the signatures beside files and lists.

use super::args::Digests;
use super::bounded;
use super::document::Document;
use crate::error::{Error, Kind};
use crate::formats::{escape, redaction};
use crate::{MinisignKey, MinisignSignature, Signer};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Ending of the name of a signature, behind that of the file.
const ENDING: &str = ".minisig";
/// Size limit of a local file with a key or a signature, in bytes.
const LARGEST: u64 = 64 << 10;

/// The key of the flag, if it is given.
///
/// # Errors
/// `Usage`, with the forms that are allowed.
pub(super) fn key(flags: &Digests) -> Result<Option<MinisignKey>, Error> {
    let Some(given) = flags.minisign.as_deref() else {
        return Ok(None);
    };
    if flags.checksum_file.as_deref() == Some("-") {
        return Err(Error::usage(
            "no signature lies beside the standard input; --minisign needs the list in a file",
        ));
    }
    if let Ok(key) = given.parse() {
        return Ok(Some(key));
    }
    let shown = escape::for_terminal(&redaction::named(given)).into_owned();
    let shown = escape::clip(&shown, 100);
    let forms =
        "KEY is the line that minisign prints, 56 characters that begin with RW, or the name of a .pub file";
    let text = bounded::read(Path::new(given), LARGEST).map_err(|error| {
        Error::usage(format!("--minisign: {shown} is no key, and no file: {error}")).with_hint(forms)
    })?;
    let key = text.parse();
    key.map(Some)
        .map_err(|error: Error| Error::usage(format!("--minisign: {shown}: {error}")).with_hint(forms))
}

/// URL of the signature of what is at a URL, whose query is about that alone.
pub(super) fn url_beside(url: &str) -> String {
    format!("{}{ENDING}", url.split(['?', '#']).next().unwrap_or(url))
}

/// Reads the signature beside a file.
///
/// # Errors
/// `Checksum` if there is none, or none of the key.
pub(super) fn read(key: &MinisignKey, file: &Path) -> Result<MinisignSignature, Error> {
    let mut named = OsString::from(file);
    named.push(ENDING);
    let path = PathBuf::from(named);
    let shown = escape::for_terminal(&path.to_string_lossy()).into_owned();
    let text = bounded::read(&path, LARGEST).map_err(|error| missing(&shown, &error.to_string()))?;
    key.signature(&text, shown)
}

/// The signature that was fetched from the URL that is `shown`.
///
/// # Errors
/// `Checksum` if there is none, or none of the key; those of a server that cannot be reached.
pub(super) fn fetched(
    key: &MinisignKey,
    shown: &str,
    outcome: Result<Document, Error>,
) -> Result<MinisignSignature, Error> {
    match outcome {
        Ok(document) => key.signature(&document.text, document.shown),
        Err(error) if is_absence(&error) => Err(missing(shown, &error.to_string())),
        Err(error) => Err(error),
    }
}

/// Returns true if the server has no such document, or none that can be read.
pub(super) fn is_absence(error: &Error) -> bool {
    matches!(error.kind(), Kind::NotFound | Kind::Http | Kind::Auth)
}

/// Verifies a list of digests.
///
/// # Errors
/// `Checksum`, with the list, the signature and the key.
pub(super) fn signer(list: &Document, signature: &MinisignSignature) -> Result<Signer, Error> {
    signature.verify(list.text.as_bytes()).map_err(|error| {
        let (key, document) = (signature.key().id(), signature.document());
        error.retold(format!("{} is not what the key {key} has signed ({document})", list.shown))
    })
}

fn missing(shown: &str, why: &str) -> Error {
    Error::new(Kind::Checksum, format!("there is no signature {shown}: {why}"))
        .with_hint("ask the publisher for it; leave out --minisign where nothing is signed")
}

/// Signer in words.
pub(super) fn described(signer: &Signer) -> String {
    let comment = escape::shown(&signer.trusted_comment).into_owned();
    let comment = if comment.is_empty() { comment } else { format!(" (trusted comment: {comment})") };
    format!("minisign key {}{comment}", signer.key_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn key_of(given: &str) -> Result<Option<MinisignKey>, Error> {
        key(&Digests { minisign: Some(given.to_owned()), ..Digests::default() })
    }

    #[test]
    fn a_key_is_a_line_or_a_file_and_else_the_forms_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::io::Write::write_all(&mut std::fs::File::create_new(&path).unwrap(), text.as_bytes())
                .unwrap();
            path.display().to_string()
        };
        let file = write("m.pub", &format!("untrusted comment: minisign public key\n{KEY}\n"));
        for given in [KEY, &file] {
            assert_eq!(key_of(given).unwrap().unwrap().id(), "E7620F1842B4E81F", "{given}");
        }
        for given in ["", &KEY[1..], "missing.pub", &write("empty", ""), &write("other", "hello")] {
            let error = key_of(given).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.remedy().unwrap().to_string().contains("begin with RW"), "{given}: {error}");
        }
        assert!(key(&Digests::default()).unwrap().is_none());
        let piped = Digests {
            minisign: Some(KEY.to_owned()),
            checksum_file: Some("-".to_owned()),
            ..Digests::default()
        };
        assert!(key(&piped).unwrap_err().to_string().contains("standard input"));
    }

    #[test]
    fn a_signature_lies_beside_the_path_of_a_url() {
        for (url, beside) in
            [("https://h/d/f", "https://h/d/f.minisig"), ("https://h/d/f?token=x#y", "https://h/d/f.minisig")]
        {
            assert_eq!(url_beside(url), beside);
        }
    }
}
