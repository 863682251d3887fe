//! Metalink document that a server names for its file: believed as far as it states the digest that is expected anyway.

use crate::formats::file_name::ForeignName;
use crate::formats::metalink::{self, Described, StatedPieces};
use crate::verify::{Algorithm, Digest, Pieces};

/// Content of a document whose digest is the expected one.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) pieces: Option<Pieces>,
    /// Sources, the best first.
    pub(crate) urls: Vec<String>,
}

/// Reason not to use a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It states another digest than the one that is expected.
    Contradiction {
        stated: Digest,
        expected: Digest,
    },
    Other(String),
}

/// Reads what a document says of the file that a URL with this path is of.
pub(crate) fn read(text: &str, path: &str, expected: &[Digest]) -> Result<Description, Unusable> {
    let files = metalink::parse(text).map_err(Unusable::Other)?;
    let file = of_path(&files, path)
        .ok_or_else(|| Unusable::Other("it describes no file of this name".to_owned()))?;
    let mut agrees = false;
    for stated in file.digests.iter().filter_map(|text| text.parse::<Digest>().ok()) {
        match expected.iter().find(|expected| expected.algorithm() == stated.algorithm()) {
            Some(expected) if *expected == stated => agrees |= stated.algorithm().is_collision_resistant(),
            Some(expected) => return Err(Unusable::Contradiction { stated, expected: expected.clone() }),
            None => {}
        }
    }
    if !agrees {
        return Err(Unusable::Other("it states no strong digest that can be compared".to_owned()));
    }
    let parse = |(_, pieces): (Algorithm, &StatedPieces)| {
        let StatedPieces { length, function, digests, .. } = pieces;
        let parsed = Pieces::parse(*length, function, digests);
        parsed.map_err(|error| Unusable::Other(format!("line {}: {error}", file.line)))
    };
    let pieces = strongest(&file.pieces).map(parse).transpose()?;
    Ok(Description { pieces, urls: file.urls.clone() })
}

/// The file of the name that a URL ends in, or the only one.
fn of_path<'a>(files: &'a [Described], path: &str) -> Option<&'a Described> {
    match files {
        [file] => Some(file),
        _ => {
            let name = ForeignName::from_url_path(path)?;
            files.iter().find(|file| file.name.name() == name.name())
        }
    }
}

/// The digests of pieces by the best of the hash functions that are computed here.
pub(crate) fn strongest(stated: &[StatedPieces]) -> Option<(Algorithm, &StatedPieces)> {
    let known = stated.iter().filter_map(|pieces| Some((pieces.function.parse::<Algorithm>().ok()?, pieces)));
    let usable = known.filter(|(_, pieces)| pieces.length > 0 && !pieces.digests.is_empty());
    usable.max_by_key(|(algorithm, _)| algorithm.is_collision_resistant())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn file(name: &str, digit: char, more: &str) -> String {
        format!("<file name=\"{name}\"><hash type=\"sha-256\">{}</hash>{more}</file>", hex(digit))
    }

    fn document(files: &[String]) -> String {
        format!("<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">{}</metalink>", files.concat())
    }

    fn expected(digit: char) -> Digest {
        format!("sha256:{}", hex(digit)).parse().unwrap()
    }

    #[test]
    fn what_agrees_with_the_expected_digest_is_taken() {
        let more = format!(
            "<pieces length=\"9\" type=\"sha-1\"><hash>{}</hash></pieces><pieces length=\"7\" type=\"sha-256\"><hash>{}</hash></pieces>\
             <url priority=\"2\">https://b/f</url><url priority=\"1\">https://a/f</url>",
            "0".repeat(40),
            hex('5')
        );
        let read = read(&document(&[file("x", '1', &more)]), "/dir/f", &[expected('1')]).unwrap();
        assert_eq!(read.urls, ["https://a/f", "https://b/f"]);
        let pieces = read.pieces.unwrap();
        assert_eq!((pieces.length().get(), pieces.strong()), (7, Some(Algorithm::Sha256)));
        assert!(
            super::read(&document(&[file("x", '1', "")]), "/f", &[expected('1')]).unwrap().pieces.is_none()
        );
    }

    #[test]
    fn of_several_files_that_of_the_urls_name_counts() {
        let text = document(&[file("a b", '1', ""), file("f", '2', "")]);
        assert!(read(&text, "/dir/a%20b", &[expected('1')]).is_ok());
        assert!(read(&text, "/dir/f", &[expected('2')]).is_ok());
        assert!(matches!(read(&text, "/dir/g", &[expected('2')]), Err(Unusable::Other(_))));
        assert!(matches!(read(&text, "/dir/", &[expected('2')]), Err(Unusable::Other(_))));
    }

    #[test]
    fn another_digest_is_a_contradiction_and_without_a_common_one_nothing_is_believed() {
        let text = document(&[file("f", '1', "<hash type=\"md5\">00</hash>")]);
        let contradiction = Unusable::Contradiction { stated: expected('1'), expected: expected('2') };
        assert_eq!(read(&text, "/f", &[expected('2')]).unwrap_err(), contradiction);
        let md5 = "md5:d41d8cd98f00b204e9800998ecf8427e".parse::<Digest>().unwrap();
        for (text, expected) in [
            (&text[..], vec![]),
            (&text[..], vec![md5.clone()]),
            ("nonsense", vec![expected('1')]),
            // MD5 alone says nothing against a forged file.
            (
                "<metalink><file name=\"f\"><hash type=\"md5\">d41d8cd98f00b204e9800998ecf8427e</hash></file></metalink>",
                vec![md5],
            ),
        ] {
            assert!(matches!(read(text, "/f", &expected), Err(Unusable::Other(_))), "{text}");
        }
        let broken = file("f", '1', "<pieces length=\"7\" type=\"sha-256\"><hash>12</hash></pieces>");
        let Err(Unusable::Other(why)) = read(&document(&[broken]), "/f", &[expected('1')]) else {
            panic!("it should be refused");
        };
        assert!(why.starts_with("line 1: a digest of the pieces"), "{why}");
    }
}
