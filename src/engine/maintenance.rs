//! Operations on files that are not being downloaded. All of them block.

use super::request::{Request, contradictory, refuse_legacy};
use crate::error::{Error, Kind, Remedy};
use crate::manifest::{self, Raw, named};
use crate::plan::ByteRange;
use crate::storage::{self, ReadOnly, Seal, Storage as _, Target};
use crate::verify::{Algorithm, Digest, MinisignSignature, Pieces, Signer, hash_file, hash_pieces};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Reads a file and compares it with every one of `expected`; returns the digests it has. Blocks while it
/// reads.
///
/// # Errors
/// `Usage` if two of them contradict one another, `Checksum` for the first digest that does not match, `Disk` if the
/// file cannot be read.
pub fn verify_file(path: &Path, expected: &[Digest]) -> Result<Vec<Digest>, Error> {
    let failed = |error: std::io::Error| Error::disk("cannot read", path, &error);
    let expected = &one_for_each_algorithm(expected)?[..];
    let file = ReadOnly::open(path).map_err(failed)?;
    let algorithms: Vec<_> = expected.iter().map(Digest::algorithm).collect();
    let actual = hash_file(Arc::new(file), &algorithms).map_err(failed)?;
    match expected.iter().zip(&actual).find(|(expected, actual)| expected != actual) {
        None => Ok(actual),
        Some((expected, actual)) => {
            Err(Error::new(Kind::Checksum, format!("{}: expected {expected}, got {actual}", path.display())))
        }
    }
}

/// Returns true for a file that haul has finished, and that is as it left it. Blocks while it looks.
///
/// ```no_run
/// if !haul::is_finished(std::path::Path::new("disk.img")) {
///     println!("it is unfinished, changed since, or another program's");
/// }
/// ```
#[must_use]
pub fn is_finished(path: &Path) -> bool {
    Seal::read(path).is_ok()
}

/// Compares a file with the digests of pieces that a request [states](Request::pieces); returns the ranges of the pieces that are wrong or missing,
/// or `None` if it states none, or those of a file of another size. Blocks while it reads.
///
/// # Errors
/// `Disk` if the file cannot be read.
pub fn wrong_pieces(path: &Path, request: &Request) -> Result<Option<Vec<ByteRange>>, Error> {
    request.pieces.as_ref().map_or(Ok(None), |pieces| wrong_of(path, pieces, request.size))
}

/// Compares a file with the digests of its pieces of `length` bytes; returns the ranges of those that are wrong or missing, or `None` if they are
/// those of a file of another size than `size`, or than it has. Blocks while it reads.
///
/// ```no_run
/// # fn main() -> Result<(), haul::Error> {
/// # let path = std::path::Path::new("disk.img");
/// let length = std::num::NonZeroU64::new(1 << 20).expect("not zero");
/// let published = haul::pieces_of(path, haul::Algorithm::Sha256, length)?;
/// assert_eq!(haul::wrong_pieces_of(path, length, &published.pieces, None)?, Some(Vec::new()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Disk` if the file cannot be read.
pub fn wrong_pieces_of(
    path: &Path,
    length: NonZeroU64,
    digests: &[Digest],
    size: Option<u64>,
) -> Result<Option<Vec<ByteRange>>, Error> {
    wrong_of(path, &Pieces::new(length, digests.to_vec()), size)
}

fn wrong_of(path: &Path, pieces: &Pieces, size: Option<u64>) -> Result<Option<Vec<ByteRange>>, Error> {
    let failed = |error: std::io::Error| Error::disk("cannot read", path, &error);
    let file = ReadOnly::open(path).map_err(failed)?;
    let length = size.map_or_else(|| file.len(), Ok).map_err(failed)?;
    if !pieces.fit(length) {
        return Ok(None);
    }
    let wrong = pieces.wrong(&file, length).map_err(failed)?;
    Ok(Some(wrong.into_iter().map(|piece| ByteRange::new(piece.start, piece.end)).collect()))
}

/// Reads a file and returns its digests by these algorithms, in order. Blocks while it reads.
///
/// # Errors
/// `Disk` if the file cannot be read.
pub fn digests_of(path: &Path, algorithms: &[Algorithm]) -> Result<Vec<Digest>, Error> {
    let failed = |error: std::io::Error| Error::disk("cannot read", path, &error);
    let file = ReadOnly::open(path).map_err(failed)?;
    hash_file(Arc::new(file), algorithms).map_err(failed)
}

/// Reads a file and verifies its signature; returns the signer. Blocks while it reads.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key: haul::MinisignKey = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".parse()?;
/// let signature = key.signature(&std::fs::read_to_string("disk.img.minisig")?, "disk.img.minisig")?;
/// println!("{}", haul::verify_signature("disk.img".as_ref(), &signature)?.trusted_comment);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Checksum` if the key has not signed this file, or for a [legacy](MinisignSignature::is_legacy) signature; `Disk` if the file cannot be
/// read.
pub fn verify_signature(path: &Path, signature: &MinisignSignature) -> Result<Signer, Error> {
    refuse_legacy(signature)?;
    let digests = digests_of(path, &[Algorithm::Blake2b])?;
    let digest = digests.first().ok_or_else(|| Error::defect("a digest was not computed"))?;
    let named = |error: Error| error.retold(format!("{}: {error}", path.display()));
    signature.verify_digest(digest).map_err(named)
}

/// A file as a publisher describes it: its size, its digest, and those of its pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilePieces {
    /// Number of bytes.
    pub size: u64,
    /// Digest of the whole.
    pub digest: Digest,
    /// Digests of the pieces, in order.
    pub pieces: Vec<Digest>,
}

/// Reads a file once, and returns its digest and those of its pieces of `length` bytes, the last of which may be shorter. Blocks while it
/// reads.
///
/// # Errors
/// `Disk` if the file cannot be read.
pub fn pieces_of(path: &Path, algorithm: Algorithm, length: NonZeroU64) -> Result<FilePieces, Error> {
    let failed = |error: std::io::Error| Error::disk("cannot read", path, &error);
    let file = ReadOnly::open(path).map_err(failed)?;
    let (size, digest, pieces) = hash_pieces(&file, algorithm, length).map_err(failed)?;
    Ok(FilePieces { size, digest, pieces })
}

/// The digests without repetitions, so that the file is hashed once for each algorithm.
fn one_for_each_algorithm(expected: &[Digest]) -> Result<Vec<Digest>, Error> {
    let mut kept: Vec<Digest> = Vec::new();
    for digest in expected {
        match kept.iter().find(|other| other.algorithm() == digest.algorithm()) {
            None => kept.push(digest.clone()),
            Some(other) if other == digest => {}
            Some(other) => return Err(contradictory(other, digest)),
        }
    }
    Ok(kept)
}

/// Reads back the claims in the manifest of an unfinished download; returns the damaged ranges. Blocks while it reads.
///
/// # Errors
/// `NotFound` if there is no unfinished download, otherwise those of [`crate::inspect`].
pub fn audit(path: &Path) -> Result<Vec<ByteRange>, Error> {
    let target = Target::from_path(Path::new(""), &named(path))?;
    let (part, manifest) = (target.part_path(), target.manifest_path());
    let raw = Raw::read(&manifest).map_err(|error| error.into_error(&manifest))?;
    let failed = |error: std::io::Error| Error::disk("cannot read", &part, &error);
    let file = ReadOnly::open(&part).map_err(failed)?;
    manifest::audit(&file, &raw.runs, &AtomicBool::new(false)).map_err(failed)
}

/// Removes the part file and the manifest of an unfinished download. A finished file is never touched.
///
/// # Errors
/// `NotFound` if there is nothing unfinished, `Locked` if another process is working on it, `Unsafe` if the files were
/// not made by haul.
pub fn discard(path: &Path) -> Result<(), Error> {
    let target = Target::from_path(Path::new(""), &named(path))?;
    let manifest = target.manifest_path();
    let had_manifest = match Raw::read(&manifest) {
        Ok(_) | Err(manifest::ReadError::Newer(_)) => true,
        Err(manifest::ReadError::Missing) => false,
        Err(error) => return Err(error.into_error(&manifest)),
    };
    if !had_manifest && std::fs::symlink_metadata(target.part_path()).is_ok() {
        let cause = format!("{} has no manifest, so it may not be haul's", target.part_path().display());
        return Err(Error::new(Kind::Unsafe, cause).with_remedy(Remedy::RemoveByHand));
    }
    let had_part = storage::remove_unlocked(&target)?;
    storage::remove_own(&manifest).map_err(|error| Error::disk("cannot remove", &manifest, &error))?;
    if had_part || had_manifest {
        return Ok(());
    }
    let cause = format!("there is no unfinished download at {}", target.path().display());
    Err(Error::new(Kind::NotFound, cause).with_remedy(Remedy::OnlyUnfinished))
}
