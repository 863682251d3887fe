//! Reads files that the user names, or the standard input for `-`, up to a size limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a text; `-` is the standard input.
pub(super) fn read_or_stdin(path: &Path, largest: u64) -> io::Result<String> {
    if path.as_os_str() == "-" { from(io::stdin(), largest) } else { read(path, largest) }
}

/// Reads the text of a file, which may be a pipe.
pub(super) fn read(path: &Path, largest: u64) -> io::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
    from(File::open(path)?, largest)
}

/// Reads a text of which a few bytes may be in another encoding than the rest.
pub(super) fn read_lossy(path: &Path, largest: u64) -> io::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
    Ok(String::from_utf8_lossy(&bytes(File::open(path)?, largest)?).into_owned())
}

/// Reads the bytes of a file.
pub(super) fn read_bytes(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
    bytes(File::open(path)?, largest)
}

fn from(reader: impl Read, largest: u64) -> io::Result<String> {
    String::from_utf8(bytes(reader, largest)?).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

fn bytes(reader: impl Read, largest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest { Err(io::Error::other("it is too large")) } else { Ok(bytes) }
}
