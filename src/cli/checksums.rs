//! The digests that files must have, from the command line and from lists of them.

use super::args::Digests;
use super::document::Document;
use crate::error::Error;
use crate::formats::checksum_list::{List, Stated};
use crate::formats::escape;
use crate::{Algorithm, Digest};

/// Those of `--sha256` and `--checksum`, in order.
pub(super) fn given(flags: &Digests) -> Result<Vec<Digest>, Error> {
    let mut digests = Vec::new();
    if let Some(hex) = &flags.sha256 {
        digests.push(Digest::from_hex(Algorithm::Sha256, hex.trim())?);
    }
    for spec in &flags.checksum {
        digests.push(spec.parse()?);
    }
    Ok(digests)
}

/// `--checksum-file`: a list that was read.
pub(super) struct Listed {
    list: List,
    shown: String,
    /// What its name says of its digests, where their length leaves it open.
    blake: bool,
}

impl Listed {
    /// # Errors
    /// `Usage`, if there is nothing in it that could be a digest.
    pub(super) fn read(document: &Document) -> Result<Self, Error> {
        let list = List::parse(&document.text);
        let shown = document.shown.clone();
        if list.is_empty() {
            return Err(Error::usage(format!("{shown} states no digest at all"))
                .with_hint("a list has lines like those of sha256sum, or like 'SHA256 (name) = HEX'"));
        }
        let name = shown.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let blake = ["b2", "b3", "blake"].iter().any(|word| name.contains(word));
        Ok(Self { list, shown, blake })
    }

    /// Whether it is a digest and nothing else, which can be that of one file only.
    pub(super) fn is_for_one(&self) -> bool {
        self.list.only().is_some()
    }

    /// The digests of the file at the end of this path: its segments, decoded.
    ///
    /// # Errors
    /// `Usage`, if the list has none of it, or several of different files.
    pub(super) fn of(&self, path: &[impl AsRef<str>]) -> Result<Vec<Digest>, Error> {
        let name = path.last().map_or("", AsRef::as_ref);
        let name = escape::clip(name, 100);
        let shown = &self.shown;
        let lines = self.list.of_path(path).map_err(|count| {
            Error::usage(format!(
                "{shown} has {count} files of the name {name:?}, and the URL fits none of them better"
            ))
        })?;
        if lines.is_empty() {
            return Err(Error::usage(format!("{shown} states no digest of {name:?}")));
        }
        let digests: Vec<_> = lines.into_iter().filter_map(|stated| self.digest(stated)).collect();
        if digests.is_empty() {
            return Err(Error::usage(format!("{shown} states no digest of {name:?} that haul can compute")));
        }
        Ok(digests)
    }

    fn digest(&self, stated: &Stated) -> Option<Digest> {
        let algorithm = match &stated.algorithm {
            // OpenSSL says which SHA it is that has 256 bits.
            Some(name) => name.to_ascii_lowercase().replace("sha2-", "sha").parse().ok()?,
            None => match (stated.digest.len(), self.blake) {
                (32, _) => Algorithm::Md5,
                (40, _) => Algorithm::Sha1,
                (64, false) => Algorithm::Sha256,
                (64, true) => Algorithm::Blake3,
                (128, false) => Algorithm::Sha512,
                (128, true) => Algorithm::Blake2b,
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

    fn algorithms(text: &str, shown: &str) -> Vec<String> {
        let digests = listed(text, shown).of(&["x"]).unwrap();
        digests.iter().map(|digest| digest.algorithm().to_string()).collect()
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
            (128, "SHA512SUMS", "sha512"),
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
        assert!(list.of(&["x"]).unwrap_err().to_string().contains("states no digest of \"x\""));
        assert!(list.of(&["z"]).unwrap_err().to_string().contains("can compute"));
        assert!(list.of(&[] as &[&str]).is_err() && !list.is_for_one());
        assert!(listed(&"0".repeat(64), "x.sha256").is_for_one());
    }
}
