//! `haul pieces FILE`: a Metalink document of one's own file (RFC 5854), to be published beside it.

use super::super::output;
use crate::Request;
use crate::error::Error;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

/// Pieces of a document: fewer find damage less exactly, more make the document long.
const PIECES: u64 = 1024;
/// Smallest piece, in bytes.
const SMALLEST: u64 = 1 << 20;
/// Bytes read at once.
const READ: usize = 256 << 10;

pub(in super::super) fn run(file: &Path, urls: &[String]) -> Result<ExitCode, Error> {
    for url in urls {
        Request::new(url)?;
    }
    output::print(document(file, urls)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::disallowed_methods, reason = "a file that the user names")]
fn document(path: &Path, urls: &[String]) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::disk("cannot read", path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let piece = size.div_ceil(PIECES).next_power_of_two().max(SMALLEST);
    let (mut whole, mut part, mut in_part) = (Sha256::new(), Sha256::new(), 0_u64);
    let (mut hashes, mut read) = (Vec::new(), 0);
    let mut buffer = vec![0; READ];
    loop {
        let room = usize::try_from(piece - in_part).unwrap_or(READ).min(READ);
        let taken = file.read(&mut buffer[..room]).map_err(failed)?;
        whole.update(&buffer[..taken]);
        part.update(&buffer[..taken]);
        (in_part, read) = (in_part + taken as u64, read + taken as u64);
        if in_part == piece || (taken == 0 && in_part > 0) {
            hashes.push(hex(&std::mem::take(&mut part).finalize()));
            in_part = 0;
        }
        if taken == 0 {
            break;
        }
    }
    if read != size {
        return Err(Error::usage(format!("{} changed while it was read", path.display())));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n",
    );
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  <file name=\"{}\">\n    <size>{size}</size>", escaped(&name));
    let _ = writeln!(text, "    <hash type=\"sha-256\">{}</hash>", hex(&whole.finalize()));
    let _ = writeln!(text, "    <pieces length=\"{piece}\" type=\"sha-256\">");
    for hash in &hashes {
        let _ = writeln!(text, "      <hash>{hash}</hash>");
    }
    text.push_str("    </pieces>\n");
    for (rank, url) in urls.iter().enumerate() {
        let _ = writeln!(text, "    <url priority=\"{}\">{}</url>", rank + 1, escaped(url));
    }
    text.push_str("  </file>\n</metalink>\n");
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Text for XML, in an attribute too.
fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

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
