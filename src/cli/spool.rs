//! Text of an input list, which is read several times: to be checked, to be started, and where two of its lines have one name.

use crate::sys;
use std::cell::RefCell;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead, Read, Seek as _, Write as _};
use std::path::Path;

/// Longest text kept in memory, in bytes.
const IN_MEMORY: usize = 1 << 20;
/// Longest text of a pipe, in bytes.
const LARGEST: u64 = 16 << 30;
/// Bytes read at once.
const BLOCK: usize = 8 << 10;

/// Text of a list, as described in the module.
pub(super) struct Spool(Kept);

enum Kept {
    Memory(Vec<u8>),
    Disk(Blocks),
}

/// Text in a file, of which each block is the same whenever it is read.
struct Blocks {
    file: File,
    start: u64,
    length: u64,
    hasher: RandomState,
    /// Hash of each block that was read.
    seen: RefCell<Vec<u64>>,
}

impl Spool {
    /// Takes the text from the place where `file` stands to its end. A long one stays on disk: in the file itself, or in a copy of
    /// what a pipe gives.
    pub(super) fn of(file: File) -> io::Result<Self> {
        let is_regular = file.metadata()?.is_file();
        let start = if is_regular { (&file).stream_position()? } else { 0 };
        let mut head = Vec::new();
        (&file).take(IN_MEMORY as u64 + 1).read_to_end(&mut head)?;
        if head.len() <= IN_MEMORY {
            return Ok(Self(Kept::Memory(head)));
        }
        if is_regular {
            let length = file.metadata()?.len().saturating_sub(start);
            return Ok(Self(Kept::Disk(Blocks::new(file, start, length))));
        }
        let copy = copied(&head, &file)?;
        let length = copy.metadata()?.len();
        Ok(Self(Kept::Disk(Blocks::new(copy, 0, length))))
    }

    /// The text from a position on.
    pub(super) fn from(&self, position: u64) -> Text<'_> {
        Text { kept: &self.0, position, block: Vec::new(), at: 0 }
    }
}

/// Copies `head` and the rest of a pipe into a file without a name.
fn copied(head: &[u8], pipe: &File) -> io::Result<File> {
    let directory = std::env::temp_dir();
    let told = |error: io::Error| {
        io::Error::other(format!("it is long, and cannot be kept in {}: {error}", directory.display()))
    };
    let mut copy = unnamed(&directory).map_err(told)?;
    copy.write_all(head).map_err(told)?;
    let copied = io::copy(&mut pipe.take(LARGEST), &mut copy).map_err(told)?;
    if copied == LARGEST { Err(io::Error::other("it is too large")) } else { Ok(copy) }
}

/// Creates a file that goes with this process.
fn unnamed(directory: &Path) -> io::Result<File> {
    match sys::create_unnamed(directory, 0o600) {
        Ok(file) => Ok(file),
        // Not every file system has such files.
        Err(_) => {
            let path = directory.join(format!(".haul-list-{}", std::process::id()));
            let file = sys::create_new(&path)?;
            sys::unlink(&path)?;
            Ok(file)
        }
    }
}

impl Blocks {
    fn new(file: File, start: u64, length: u64) -> Self {
        Self { file, start, length, hasher: RandomState::new(), seen: RefCell::default() }
    }

    /// Reads a block, the last one up to the end.
    fn read(&self, number: usize, block: &mut Vec<u8>) -> io::Result<()> {
        let from = (number as u64).saturating_mul(BLOCK as u64);
        let length = self.length.saturating_sub(from).min(BLOCK as u64);
        *block = vec![0; length as usize];
        let mut filled = 0;
        while filled < block.len() {
            match sys::read_at(&self.file, self.start + from + filled as u64, &mut block[filled..])? {
                0 => return Err(changed()),
                read => filled += read,
            }
        }
        let hash = self.hasher.hash_one(&block[..]);
        let mut seen = self.seen.borrow_mut();
        match seen.get(number) {
            Some(known) if *known == hash => Ok(()),
            None if number == seen.len() => {
                seen.push(hash);
                Ok(())
            }
            _ => Err(changed()),
        }
    }
}

fn changed() -> io::Error {
    io::Error::other("it has changed since it was checked")
}

/// A reader of the text.
pub(super) struct Text<'a> {
    kept: &'a Kept,
    /// Position of the next byte.
    position: u64,
    /// Block that was read last, and the place in it.
    block: Vec<u8>,
    at: usize,
}

impl Text<'_> {
    fn next_block(&mut self, blocks: &Blocks) -> io::Result<()> {
        if self.at == self.block.len() && self.position < blocks.length {
            let size = BLOCK as u64;
            blocks.read((self.position / size) as usize, &mut self.block)?;
            self.at = (self.position % size) as usize;
        }
        Ok(())
    }
}

impl BufRead for Text<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.kept {
            Kept::Memory(bytes) => Ok(bytes.get(self.position as usize..).unwrap_or_default()),
            Kept::Disk(blocks) => {
                self.next_block(blocks)?;
                Ok(&self.block[self.at..])
            }
        }
    }

    fn consume(&mut self, count: usize) {
        self.position += count as u64;
        self.at = (self.at + count).min(self.block.len());
    }
}

impl Read for Text<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::os::unix::fs::FileExt as _;

    /// Text in which no two lines are alike.
    fn text(lines: usize) -> Vec<u8> {
        (0..lines).flat_map(|number| format!("http://host/{number}\n").into_bytes()).collect()
    }

    fn read(spool: &Spool, position: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        spool.from(position).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn file(bytes: &[u8]) -> (tempfile::NamedTempFile, File) {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(bytes).unwrap();
        let opened = OpenOptions::new().read(true).open(named.path()).unwrap();
        (named, opened)
    }

    #[test]
    fn a_text_is_the_same_from_each_position_wherever_it_is_kept() {
        for lines in [0, 1, 100, 100_000] {
            let bytes = text(lines);
            let (_named, opened) = file(&bytes);
            let (reader, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
            let written = bytes.clone();
            let writing = std::thread::spawn(move || writer.write_all(&written).unwrap());
            let of_pipe = Spool::of(File::from(std::os::fd::OwnedFd::from(reader))).unwrap();
            writing.join().unwrap();
            for spool in [of_pipe, Spool::of(opened).unwrap()] {
                for position in [0, bytes.len() / 2, bytes.len() / BLOCK * BLOCK, bytes.len()] {
                    assert!(
                        read(&spool, position as u64).unwrap() == bytes[position..],
                        "{lines} {position}"
                    );
                }
                assert!(read(&spool, bytes.len() as u64 + 9).unwrap().is_empty());
            }
        }
    }

    #[test]
    fn a_file_is_taken_from_where_it_stands_and_not_beyond_its_end_of_then() {
        let bytes = text(100_000);
        let (mut named, mut opened) = file(&bytes);
        opened.seek(io::SeekFrom::Start(10)).unwrap();
        let spool = Spool::of(opened).unwrap();
        assert!(read(&spool, 0).unwrap() == bytes[10..]);
        named.write_all(b"more\n").unwrap();
        assert!(read(&spool, 0).unwrap() == bytes[10..]);
    }

    #[test]
    fn a_long_file_that_changes_after_it_was_checked_is_not_read_on() {
        let bytes = text(100_000);
        let (named, opened) = file(&bytes);
        let spool = Spool::of(opened).unwrap();
        assert!(read(&spool, 0).is_ok());
        named.as_file().write_all_at(b"HTTP", bytes.len() as u64 / 2).unwrap();
        assert!(read(&spool, 0).unwrap_err().to_string().contains("has changed"));
        named.as_file().set_len(9).unwrap();
        assert!(read(&spool, 0).unwrap_err().to_string().contains("has changed"));
    }
}
