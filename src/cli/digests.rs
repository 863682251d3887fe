//! Digests that files must have, from the command line and from digest lists.

use super::args::Digests;
use super::document::Document;
use crate::error::Error;
use crate::formats::digest_list::{DigestList, Stated};
use crate::formats::escape;
use crate::{Algorithm, Digest, ParseDigestError, Request, Signer, Transport};

/// Digests of `--sha256`, `--checksum` and `--digests`, in order.
pub(super) fn given(flags: &Digests) -> Result<Vec<Digest>, Error> {
    let mut digests = several(flags.digests.as_deref().unwrap_or_default())?;
    if let Some(hex) = &flags.sha256 {
        digests.push(Digest::from_hex(Algorithm::Sha256, hex.trim())?);
    }
    for spec in &flags.checksum {
        digests.push(spec.parse()?);
    }
    Ok(digests)
}

/// Returns true if flags state a digest.
pub(super) fn are_given(flags: &Digests) -> bool {
    let several = flags.digests.as_ref().is_some_and(|specs| !specs.trim().is_empty());
    flags.sha256.is_some() || !flags.checksum.is_empty() || several
}

/// Digests of `--digests`, of the functions that are computed here.
fn several(specs: &str) -> Result<Vec<Digest>, Error> {
    let mut digests = Vec::new();
    for spec in specs.split_whitespace() {
        match spec.parse() {
            Ok(digest) => digests.push(digest),
            Err(ParseDigestError::UnknownAlgorithm { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if digests.is_empty() && !specs.trim().is_empty() {
        return Err(Error::usage("--digests states no digest that haul can compute"));
    }
    Ok(digests)
}

/// Digest list of `--checksum-file`.
pub(super) struct Listed {
    list: DigestList,
    shown: String,
    /// Way that it came.
    over: Transport,
    hint: Hint,
    /// Signer of the list, if that was verified.
    signer: Option<Signer>,
}

/// Family of algorithms, guessed from the name of a list, for digests whose length is ambiguous.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Sha,
    Blake2,
    Blake3,
}

impl Hint {
    /// Compares whole words: `x-1.0b2.tar.gz.sha256` is no list of `b2sum`.
    fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
        let is = |known: &[&str]| words().any(|word| known.contains(&word));
        if words().any(|word| word.starts_with("sha")) {
            Self::Sha
        } else if is(&["b2", "b2sum", "b2sums", "blake2", "blake2b"]) {
            Self::Blake2
        } else if is(&["b3", "b3sum", "b3sums", "blake3"]) {
            Self::Blake3
        } else {
            Self::Sha
        }
    }
}

impl Listed {
    /// # Errors
    /// `Usage`, if the list states no digest.
    pub(super) fn read(document: &Document) -> Result<Self, Error> {
        let (list, shown) = (DigestList::parse(&document.text), document.shown.clone());
        if list.is_empty() {
            return Err(document
                .refused("it states no digest at all")
                .with_hint("a list has lines like those of sha256sum, or like 'SHA256 (name) = HEX'"));
        }
        let over = Transport::of(document.home.as_ref());
        Ok(Self { list, shown, over, hint: Hint::of(document.name()), signer: None })
    }

    /// Names the signer of the list, which was verified.
    pub(super) fn signed_by(self, signer: Option<Signer>) -> Self {
        Self { signer, ..self }
    }

    /// Adds to a request digests that the list states.
    pub(super) fn stating(&self, digests: &[Digest], request: Request) -> Request {
        let (shown, digests) = (self.shown(), digests.iter().cloned());
        match &self.signer {
            Some(signer) => {
                digests.fold(request, |request, digest| request.digest_of_signed(digest, shown, signer))
            }
            None => digests.fold(request, |request, digest| request.digest_of(digest, shown, self.over)),
        }
    }

    /// Names of all files of the list.
    pub(super) fn names(&self) -> Vec<String> {
        self.list.names()
    }

    /// Name of the list as the user gave it, escaped.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns true if the list is a bare digest, which can be that of one file only.
    pub(super) fn is_for_one(&self) -> bool {
        self.list.only().is_some()
    }

    /// Returns the digests of the file at the end of the first of these paths that the list knows. Paths are given in
    /// components, decoded.
    ///
    /// # Errors
    /// `Usage`, if the list has no such file, or several different ones.
    pub(super) fn of(&self, paths: &[Vec<String>]) -> Result<Vec<Digest>, Error> {
        let shown = &self.shown;
        let name = |path: &[String]| escape::clip(path.last().map_or("", String::as_str), 100).into_owned();
        for path in paths {
            let lines = self.list.of_path(path).map_err(|count| {
                let name = name(path);
                Error::usage(format!(
                    "{shown} has {count} files of the name {name:?}, and none that the path ends in"
                ))
            })?;
            let digests = self.agreed(&lines, || name(path))?;
            match (lines.is_empty(), digests.is_empty()) {
                (true, _) => {}
                (false, true) => {
                    let name = name(path);
                    return Err(Error::usage(format!(
                        "{shown} states no digest of {name:?} that haul can compute"
                    )));
                }
                (false, false) => return Ok(digests),
            }
        }
        let name = paths.first().map(|path| name(path)).unwrap_or_default();
        Err(Error::usage(format!("{shown} states no digest of {name:?}")))
    }

    /// Digests of these lines, one for each algorithm.
    ///
    /// # Errors
    /// `Usage`, if two lines contradict each other.
    fn agreed(&self, lines: &[&Stated], name: impl Fn() -> String) -> Result<Vec<Digest>, Error> {
        let mut digests: Vec<(Digest, usize)> = Vec::new();
        for (digest, line) in lines.iter().filter_map(|stated| Some((self.digest(stated)?, stated.line))) {
            match digests.iter().find(|(other, _)| other.algorithm() == digest.algorithm()) {
                None => digests.push((digest, line)),
                Some((other, _)) if *other == digest => {}
                Some((_, first)) => {
                    let (shown, name, algorithm) = (&self.shown, name(), digest.algorithm());
                    return Err(Error::usage(format!(
                        "{shown}: lines {first} and {line} state different {algorithm} digests of {name:?}"
                    ))
                    .with_hint("only one can be that of the file: give it with --checksum SPEC"));
                }
            }
        }
        Ok(digests.into_iter().map(|(digest, _)| digest).collect())
    }

    fn digest(&self, stated: &Stated) -> Option<Digest> {
        let algorithm = match &stated.algorithm {
            // OpenSSL writes SHA2-256 for SHA-256.
            Some(name) => name.to_ascii_lowercase().replace("sha2-", "sha").parse().ok()?,
            None => match (stated.digest.len(), self.hint) {
                (32, _) => Algorithm::Md5,
                (40, _) => Algorithm::Sha1,
                (64, Hint::Sha) => Algorithm::Sha256,
                (64, Hint::Blake3) => Algorithm::Blake3,
                (128, Hint::Sha) => Algorithm::Sha512,
                (128, Hint::Blake2) => Algorithm::Blake2b,
                _ => return None,
            },
        };
        Digest::from_hex(algorithm, &stated.digest).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str, shown: &str) -> Listed {
        Listed::read(&Document { text: text.to_owned(), shown: shown.to_owned(), home: None }).unwrap()
    }

    fn path(name: &str) -> Vec<Vec<String>> {
        vec![vec![name.to_owned()]]
    }

    fn algorithms(text: &str, shown: &str) -> Vec<String> {
        let digests = listed(text, shown).of(&path("x")).unwrap();
        digests.iter().map(|digest| digest.algorithm().to_string()).collect()
    }

    #[test]
    fn of_several_digests_those_that_can_be_computed_count() {
        let of = |specs: &str| given(&Digests { digests: Some(specs.to_owned()), ..Digests::default() });
        let (md5, long) = (format!("md5:{}", "0".repeat(32)), "0".repeat(128));
        let algorithms = |specs: &str| -> Vec<_> {
            of(specs).unwrap().iter().map(|digest| digest.algorithm().to_string()).collect()
        };
        let specs = format!(" blake2b:{long} sha512:{long}\trmd160:{} {md5}", "0".repeat(40));
        assert_eq!(algorithms(&specs), ["blake2b", "sha512", "md5"]);
        assert!(algorithms("").is_empty() && algorithms(" ").is_empty());
        assert!(of("rmd160:00").is_err() && of(&format!("{md5} sha512:00")).is_err());
        for (specs, are) in [("", false), (" ", false), (&md5[..], true)] {
            let flags = Digests { digests: Some(specs.to_owned()), ..Digests::default() };
            assert_eq!(are_given(&flags), are, "{specs:?}");
        }
    }

    #[test]
    fn the_length_tells_the_algorithm_and_the_name_of_the_list_where_that_is_not_enough() {
        let line = |digits: usize| format!("{}  x\n", "0".repeat(digits));
        for (digits, shown, algorithm) in [
            (32, "MD5SUMS", "md5"),
            (40, "x.sha1", "sha1"),
            (64, "SHA256SUMS", "sha256"),
            (64, "/b3/sums", "sha256"),
            (64, "B3SUMS", "blake3"),
            (64, "x-1.0b2.tar.gz.sha256", "sha256"),
            (64, "x-1.0b2.tar.gz.sums", "sha256"),
            (64, "BLAKE3", "blake3"),
            (128, "SHA512SUMS", "sha512"),
            (128, "B2SUMS", "blake2b"),
            (128, "x.b2sum", "blake2b"),
        ] {
            assert_eq!(algorithms(&line(digits), shown), [algorithm], "{shown}");
        }
        let named = format!("SHA2-256(x)= {0}\nBLAKE2b (x) = {0}{0}\nSHA3-256 (x) = {0}\n", "0".repeat(64));
        assert_eq!(algorithms(&named, "sums"), ["sha256", "blake2b"]);
    }

    #[test]
    fn a_file_that_is_not_listed_is_not_taken_for_one_that_is() {
        let list = listed(&format!("{}  y\n{}  z\n", "0".repeat(64), "0".repeat(56)), "SUMS");
        assert!(list.of(&path("x")).unwrap_err().to_string().contains("states no digest of \"x\""));
        assert!(list.of(&path("z")).unwrap_err().to_string().contains("can compute"));
        assert!(list.of(&[]).is_err() && !list.is_for_one());
        assert!(listed(&"0".repeat(64), "x.sha256").is_for_one());
    }

    #[test]
    fn digests_of_one_file_that_contradict_one_another_are_told() {
        let (one, two) = ("0".repeat(64), "1".repeat(64));
        for text in [
            format!("{one}  x\n{two}  x\n"),
            format!("{one}  x\n{one}  x\n{two}  x\n{one}  y\n"),
            format!("SHA256 (x) = {one}\nSHA2-256(x)= {two}\n"),
            format!("{one}  x\nSHA256 (x) = {two}\n"),
        ] {
            let error = listed(&text, "SUMS").of(&path("x")).unwrap_err();
            assert!(error.to_string().contains("different sha256 digests of \"x\""), "{error}");
            assert_eq!(error.kind(), crate::Kind::Usage);
        }
        assert_eq!(
            algorithms(&format!("{one}  x\nSHA256 (x) = {one}\nSHA3-256 (x) = {one}\n"), "SUMS"),
            ["sha256"]
        );
    }
}
