//! `haul pieces FILE`: a Metalink document of one's own file (RFC 5854), to be published beside it.

use super::super::output;
use crate::error::Error;
use crate::{Algorithm, FilePieces, Request};
use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::path::Path;
use std::process::ExitCode;

/// Pieces of a document: fewer find damage less exactly, more make the document long.
const PIECES: u64 = 1024;
/// Smallest piece, in bytes.
const SMALLEST: u64 = 1 << 20;

pub(in super::super) fn run(file: &Path, urls: &[String]) -> Result<ExitCode, Error> {
    for url in urls {
        Request::new(url)?;
    }
    output::print(document(file, urls)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn document(path: &Path, urls: &[String]) -> Result<String, Error> {
    let metadata = std::fs::metadata(path).map_err(|error| Error::disk("cannot read", path, &error))?;
    let length = piece_length(metadata.len());
    let FilePieces { size, digest, pieces, .. } = crate::pieces_of(path, Algorithm::Sha256, length)?;
    if size != metadata.len() {
        return Err(Error::usage(format!("{} changed while it was read", path.display())));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n",
    );
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  <file name=\"{}\">\n    <size>{size}</size>", escaped(&name));
    let _ = writeln!(text, "    <hash type=\"sha-256\">{}</hash>", digest.to_hex());
    // An empty file has none, and an element without one would be no valid document (RFC 5854 §4.1.3).
    if !pieces.is_empty() {
        let _ = writeln!(text, "    <pieces length=\"{length}\" type=\"sha-256\">");
        for piece in &pieces {
            let _ = writeln!(text, "      <hash>{}</hash>", piece.to_hex());
        }
        text.push_str("    </pieces>\n");
    }
    for (rank, url) in urls.iter().enumerate() {
        let _ = writeln!(text, "    <url priority=\"{}\">{}</url>", rank + 1, escaped(url));
    }
    text.push_str("  </file>\n</metalink>\n");
    Ok(text)
}

/// Length of the pieces of a file of `size` bytes.
fn piece_length(size: u64) -> NonZeroU64 {
    let length = size.div_ceil(PIECES).next_power_of_two().max(SMALLEST);
    NonZeroU64::new(length).unwrap_or(NonZeroU64::MIN)
}

/// Text for XML, in an attribute too.
fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;

    #[test]
    fn an_empty_file_has_no_pieces() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty");
        File::create_new(&path).unwrap();
        let text = document(&path, &["https://example.org/empty".to_owned()]).unwrap();
        assert!(!text.contains("pieces") && text.contains("<size>0</size>"), "{text}");
        assert!(crate::metalink(&text, None).is_ok());
    }

    #[test]
    fn a_document_is_one_that_haul_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a & b.bin");
        let mut file = File::create_new(&path).unwrap();
        file.write_all(&vec![7; (SMALLEST + 5) as usize]).unwrap();
        let text = document(&path, &["https://example.org/a?b&c".to_owned()]).unwrap();
        assert_eq!(text.matches("      <hash>").count(), 2);
        let jobs = crate::metalink(&text, None).unwrap();
        let job = &jobs[0].job;
        assert_eq!((job.url.as_str(), job.size), ("https://example.org/a?b&c", Some(SMALLEST + 5)));
        assert_eq!(job.name.as_deref(), Some("a & b.bin"));
        let expected = crate::digests_of(&path, &[crate::Algorithm::Sha256]).unwrap();
        assert_eq!(job.digests[0].parse::<crate::Digest>().unwrap(), expected[0]);
    }
}
