//! Taking over what another program has received of a file.

use super::client::Client;
use super::probe::probe;
use super::request::Request;
use crate::clock::Clock;
use crate::destination::{FileSpec, PartialFile, blocking};
use crate::error::{Error, Kind, Remedy};
use crate::manifest::{Raw, ReadError, Runs, piece_size};
use crate::plan::byte_range::ContentRange;
use crate::plan::representation::Representation;
use crate::plan::response_head::{Field, ResponseHead};
use crate::plan::{Address, ByteRange};
use crate::storage::{self, Opened, ReadOnly, Storage as _, Target};
use crate::transport::{Failure, Requester, Response};
use std::path::{Path, PathBuf};

/// Bytes that are compared with the server at one place, and places of a range.
const SAMPLE: u64 = 64 << 10;
/// Ranges that are compared; more are as likely right as these.
const COMPARED: usize = 16;
/// Block of zeros that may be a hole, in bytes, and number of them that are compared.
const SUSPECT: u64 = 4 << 10;
const MOST_SUSPECT: usize = 256;
/// Bytes copied at once.
const COPIED: usize = 1 << 20;

impl Client {
    /// Takes over `ranges` of a file that another program has begun, so that the same request goes on from them; returns the number of
    /// bytes. `length` is the complete length, if that program knew it. The file at `source` is only read; if it has the name of the
    /// request's own part file, it is renamed to end in `.adopted` once nothing speaks against it. Without a digest or a signature in the request, bytes
    /// at the beginning, in the middle and at the end of the ranges, and zeros that may be holes, are compared with the server's, which
    /// needs a strong validator: these two prove them all.
    ///
    /// # Errors
    /// `Changed` if the bytes are not those of the server's file, `Locked` if an unfinished download lies at the target already, and
    /// those of a download that fails at its first response. Nothing is left then.
    pub async fn adopt(
        &self,
        request: &Request,
        source: &Path,
        ranges: &[ByteRange],
        length: Option<u64>,
    ) -> Result<u64, Error> {
        let stated = length;
        let requesters = self.requesters(request)?;
        let found = probe(&requesters[0]).await.map_err(|error| error.with_url(request.address()))?;
        let known = found.representation.clone();
        let length = known.complete_length.filter(|_| found.ranges == Some(true)).ok_or_else(|| {
            Error::new(
                Kind::Http,
                "the server serves no ranges, or states no length: nothing can be continued",
            )
        })?;
        let target = request.target(found.suggested_name())?;
        let target = target.ok_or_else(|| Error::usage("what goes into no file cannot take over one"))?;
        if let Some(stated) = stated.filter(|stated| *stated != length) {
            let cause = format!("the file was to have {stated} bytes, and that of the server has {length}");
            return Err(Error::new(Kind::Changed, cause).with_remedy(Remedy::OtherFile));
        }
        let (source, ranges) = (source.to_owned(), within(ranges, length)?);
        if !request.is_proven() {
            if known.validators.strong().is_none() {
                return Err(Error::new(
                    Kind::Changed,
                    "the server gives no strong validator, so only a digest can prove the bytes",
                )
                .with_remedy(Remedy::DigestContinues));
            }
            compare(&requesters[0], &source, &ranges, &known).await?;
        }
        let spec = spec_of(request);
        blocking(move || copy(&source, &ranges, target, &known, &spec)).await
    }
}

/// # Errors
/// `Changed` if they lie beyond the end: the file is another one.
fn within(ranges: &[ByteRange], length: u64) -> Result<Vec<ByteRange>, Error> {
    match ranges.iter().find(|range| range.end() > length) {
        Some(range) => Err(Error::new(
            Kind::Changed,
            format!("the file has bytes up to {}, and that of the server has {length}", range.end()),
        )),
        None => Ok(ranges.iter().copied().filter(|range| !range.is_empty()).collect()),
    }
}

fn spec_of(request: &Request) -> FileSpec {
    FileSpec {
        address: request.address().clone(),
        named_by: request.named_by.clone(),
        mirrors: request.sources().skip(1).map(Address::to_record).collect(),
        digests: request.digests().to_vec(),
        stated_by: Vec::new(),
        signature: request.signature.clone(),
        published: Vec::new(),
        mirrored: false,
        pieces: request.proving_pieces().cloned(),
        size: request.size,
        if_exists: request.if_exists,
        restart: false,
        may_restart: request.may_restart,
    }
}

/// Compares samples of the ranges with the server, and all zeros that may be holes.
async fn compare(
    requester: &Requester,
    source: &Path,
    ranges: &[ByteRange],
    known: &Representation,
) -> Result<(), Error> {
    let mut samples = Vec::new();
    for range in ranges.iter().take(COMPARED) {
        let middle = range.start() + range.len() / 2;
        let end = range.end().saturating_sub(SAMPLE).max(range.start());
        let sample = |start: u64| ByteRange::new(start, (start + SAMPLE).min(range.end()));
        samples.extend([range.start(), middle, end].map(sample));
    }
    let zeros = {
        let (source, ranges) = (source.to_owned(), ranges.to_vec());
        blocking(move || zeros(&source, &ranges)).await?
    };
    samples.extend(zeros);
    for sample in samples {
        let ours = {
            let source = source.to_owned();
            blocking(move || read(&source, sample)).await?
        };
        if fetched(requester, sample, known).await? != ours {
            let cause = format!("the bytes from {} on are not those of the server", sample.start());
            return Err(Error::new(Kind::Changed, cause).with_remedy(Remedy::OtherFile));
        }
    }
    Ok(())
}

/// Blocks of the ranges that are nothing but zeros, as holes are.
///
/// # Errors
/// `Changed` if there are too many to be compared.
fn zeros(source: &Path, ranges: &[ByteRange]) -> Result<Vec<ByteRange>, Error> {
    let mut found = Vec::new();
    for range in ranges {
        let mut start = range.start();
        while start < range.end() {
            let block = ByteRange::new(start, (start + SUSPECT).min(range.end()));
            if read(source, block)?.iter().all(|byte| *byte == 0) {
                found.push(block);
            }
            start = block.end();
        }
        if found.len() > MOST_SUSPECT {
            let cause = "it has many zeros, which may be holes, and only a digest can tell";
            return Err(Error::new(Kind::Changed, cause).with_remedy(Remedy::DigestJoins));
        }
    }
    Ok(found)
}

/// Bytes of the version of the server's file that is known.
async fn fetched(requester: &Requester, range: ByteRange, known: &Representation) -> Result<Vec<u8>, Error> {
    let wanted = range.to_header().unwrap_or_default();
    let reply = requester.get(Some(&wanted), known.validators.strong()).await.map_err(Failure::into_error)?;
    let Response { status, headers, mut body, .. } = reply;
    let answer = ResponseHead::read(status, &headers, Clock::date());
    let stated = ContentRange::Satisfied { range, complete_length: known.complete_length };
    let is_it = status == http::StatusCode::PARTIAL_CONTENT
        && answer.content_range == Field::Given(stated)
        && known.validators.contradicted_by(&answer.validators).is_none();
    if !is_it {
        return Err(Error::new(
            Kind::Changed,
            format!("the server did not send this range of the same version ({status})"),
        ));
    }
    let mut bytes = Vec::new();
    while let Some(came) = body.next().await.map_err(Failure::into_error)? {
        bytes.extend_from_slice(&came);
        if bytes.len() as u64 >= range.len() {
            bytes.truncate(usize::try_from(range.len()).unwrap_or(usize::MAX));
            break;
        }
    }
    Ok(bytes)
}

fn read(source: &Path, range: ByteRange) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::disk("cannot read", source, &error);
    let file = ReadOnly::open(source).map_err(failed)?;
    file.bytes_of(range.start()..range.end()).map_err(failed)
}

/// Copies the ranges into a part file, and claims them in a manifest once they are durable.
fn copy(
    source: &Path,
    ranges: &[ByteRange],
    target: Target,
    known: &Representation,
    spec: &FileSpec,
) -> Result<u64, Error> {
    let source = &moved_aside(source, &target)?;
    let place = match storage::open(&target)? {
        Opened::Created(part) => PartialFile::new(target, part, true),
        // A run has left it that was killed before it had anything to record.
        Opened::Existing(part) if part.holds_nothing() && is_unrecorded(&target) => {
            PartialFile::new(target, part, false).clear()?
        }
        Opened::Existing(part) => {
            let cause = format!("{} is there already", part.path().display());
            return Err(Error::new(Kind::Locked, cause).with_remedy(Remedy::RunAgainOrDiscard));
        }
    };
    let copied = copy_into(&place, source, ranges, known, spec);
    if copied.is_err() {
        let _ = place.leave(true, 0, 0);
    }
    copied
}

/// Returns true if there is no manifest.
fn is_unrecorded(target: &Target) -> bool {
    matches!(Raw::read(&target.manifest_path()), Err(ReadError::Missing))
}

/// A file of a browser's may have the very name of the own part file: it gets another one.
#[expect(clippy::disallowed_methods, reason = "the bytes of the file stay as they are")]
fn moved_aside(source: &Path, target: &Target) -> Result<PathBuf, Error> {
    let own = target.part_path();
    let is_own =
        matches!((source.canonicalize(), own.canonicalize()), (Ok(source), Ok(own)) if source == own);
    if !is_own {
        return Ok(source.to_owned());
    }
    let mut aside = target.path().into_os_string();
    aside.push(".adopted");
    let aside = PathBuf::from(aside);
    if aside.symlink_metadata().is_ok() {
        return Err(Error::new(Kind::Exists, format!("{} is in the way", aside.display())));
    }
    std::fs::rename(source, &aside).map_err(|error| Error::disk("cannot rename", source, &error))?;
    Ok(aside)
}

fn copy_into(
    place: &PartialFile,
    source: &Path,
    ranges: &[ByteRange],
    known: &Representation,
    spec: &FileSpec,
) -> Result<u64, Error> {
    let (mut journal, _) = place.begin(known, spec)?;
    let failed = |error: std::io::Error| Error::disk("cannot write to", place.part.path(), &error);
    let mut runs = Runs::new(piece_size(known.complete_length));
    let mut copied = 0;
    for range in ranges {
        let mut start = range.start();
        while start < range.end() {
            let piece = ByteRange::new(start, (start + COPIED as u64).min(range.end()));
            let bytes = read(source, piece)?;
            if bytes.len() as u64 != piece.len() {
                return Err(Error::new(Kind::Changed, format!("{} became shorter", source.display())));
            }
            place.part.write_at(start, &bytes).map_err(failed)?;
            runs.wrote(start, &bytes);
            (start, copied) = (piece.end(), copied + piece.len());
        }
    }
    place.part.sync().map_err(failed)?;
    let manifest: PathBuf = journal.path().to_owned();
    journal.append(&[], &runs.take()).map_err(|error| Error::disk("cannot write", &manifest, &error))?;
    Ok(copied)
}
