//! `haul verify FILE`

use super::super::args::Options;
use super::super::document::Document;
use super::super::resume_hint::ResumeHint;
use super::super::setup::{By, Setup};
use super::super::{config, digests, exit, output, render, signatures};
use super::mend::{self, shown};
use crate::error::{Error, Kind};
use crate::{ByteRange, Digest, Job, Listed, MinisignKey, PieceDigests, Signer, inspect};
use serde_json::json;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(in super::super) fn run(
    files: &[PathBuf],
    (repair, url): (bool, Option<String>),
    options: Options,
    hint: &ResumeHint,
) -> Result<ExitCode, Error> {
    if repair {
        return mend::run(files, url, &Setup::open(config::fill(options)?, &[])?, hint);
    }
    let json = options.wants_json();
    // Only what may be fetched needs the whole setup.
    let setup = match options.digests.checksum_file.is_some() || options.metalink.is_some() {
        true => Some(Setup::open(config::fill(options.clone())?, &[])?),
        false => None,
    };
    let described = match (&options.metalink, &setup) {
        (Some(named), Some(setup)) => Some(Descriptions::read(named, setup)?),
        _ => None,
    };
    // The key is that of the list, if there is one.
    let is_listed = options.digests.checksum_file.is_some();
    let key = signatures::key(&options.digests)?.filter(|_| !is_listed);
    let against = Against { setup: setup.as_ref().filter(|_| is_listed), described, key, options: &options };
    let all = against.files(files);
    if all.is_empty() {
        return Err(Error::usage("the list names no file")
            .with_hint("say which one has its digest: haul verify FILE --checksum-file LIST"));
    }
    if let [file] = &all[..] {
        against.found(file)?.print(file, json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut failures = Vec::new();
    for file in &all {
        if let Err(error) = against.found(file).and_then(|found| found.print(file, json)) {
            failures.push(error.kind());
            output::say_failure(&error);
            if json {
                render::tell_error(&error, exit::code(error.kind()))?;
            }
        }
    }
    if !failures.is_empty() {
        output::say(format_args!("haul: note: {} of {} files are not right", failures.len(), all.len()));
    }
    Ok(exit::combined(&failures).into())
}

/// A Metalink document about files that are there.
struct Descriptions {
    files: Vec<Listed>,
    /// Name as the user gave it, escaped.
    shown: String,
}

impl Descriptions {
    fn read(named: &str, setup: &Setup) -> Result<Self, Error> {
        let document: Document = setup.document(named, By::User)?;
        let files = crate::metalink_of_files(&document.text).map_err(|error| document.refused(error))?;
        Ok(Self { files, shown: document.shown })
    }

    /// The description of the name of the file, or the only one.
    fn of(&self, file: &Path) -> Result<&Job, Error> {
        let is_it = |listed: &&Listed| {
            listed.job.name.as_deref().and_then(|name| Path::new(name).file_name()) == file.file_name()
        };
        match (self.files.iter().find(is_it), &self.files[..]) {
            (Some(listed), _) => Ok(&listed.job),
            (None, [only]) => Ok(&only.job),
            _ => Err(Error::usage(format!("{} has no file of the name of {}", self.shown, shown(file)))),
        }
    }

    fn names(&self) -> Vec<PathBuf> {
        self.files.iter().filter_map(|listed| listed.job.name.as_deref().map(PathBuf::from)).collect()
    }
}

/// Everything that a file is compared with.
struct Against<'a> {
    /// Setup with a list of digests.
    setup: Option<&'a Setup>,
    described: Option<Descriptions>,
    key: Option<MinisignKey>,
    options: &'a Options,
}

/// Outcome of the comparison of a file that is right.
#[derive(Default)]
struct Found {
    digests: Vec<Digest>,
    /// Number of pieces that have their digests.
    pieces: Option<usize>,
    signer: Option<Signer>,
    /// True if there was nothing to compare with but the manifest of an unfinished download.
    unfinished: bool,
}

impl Found {
    fn print(&self, file: &Path, json: bool) -> Result<(), Error> {
        let shown = shown(file);
        if json {
            let digests: Vec<_> = self.digests.iter().map(ToString::to_string).collect();
            return output::print_json(&json!({
                "event": "verified", "file": shown, "unfinished": self.unfinished, "digests": digests,
                "pieces": self.pieces, "signed_by": self.signer.as_ref().map(signatures::described),
            }));
        }
        if self.unfinished {
            return output::print_line(format_args!("{shown}: every recorded piece is intact"));
        }
        self.digests.iter().try_for_each(|digest| output::print_line(format_args!("{shown}: {digest}")))?;
        if let Some(count) = self.pieces {
            let plural = if count == 1 { "" } else { "s" };
            output::print_line(format_args!("{shown}: {count} piece{plural} intact"))?;
        }
        self.signer.as_ref().map_or(Ok(()), |signer| {
            output::print_line(format_args!("{shown}: signed by {}", signatures::described(signer)))
        })
    }
}

impl Against<'_> {
    /// The files that are named, or all that a list or a document names.
    fn files(&self, named: &[PathBuf]) -> Vec<PathBuf> {
        match (named, self.setup, &self.described) {
            ([], Some(setup), _) => setup.listed_names(),
            ([], None, Some(described)) => described.names(),
            _ => named.to_vec(),
        }
    }

    /// Compares a file.
    ///
    /// # Errors
    /// `Checksum` if it is not right.
    fn found(&self, file: &Path) -> Result<Found, Error> {
        let mut digests = match self.setup {
            Some(setup) => setup.digests(file)?,
            None => digests::given(&self.options.digests)?,
        };
        let described = match &self.described {
            Some(described) => Some((described.of(file)?, &described.shown)),
            None => None,
        };
        if let Some((job, _)) = described {
            let stated = job.digests.iter().map(|digest| Ok(digest.parse::<Digest>()?));
            digests.extend(stated.collect::<Result<Vec<_>, Error>>()?);
        }
        let shown = shown(file);
        let pieces = described.and_then(|(job, _)| job.pieces.as_deref());
        if digests.is_empty() && self.key.is_none() && pieces.is_none() {
            if let Some((_, document)) = described {
                return Err(Error::usage(format!(
                    "{document} states neither a digest of {shown} nor of its pieces"
                )));
            }
            return intact(&mend::unfinished(file, &shown)?, &shown);
        }
        let length = file
            .metadata()
            .map_err(|error| of_unfinished(Error::disk("cannot read", file, &error), file))?
            .len();
        let size = described.and_then(|(job, _)| job.size);
        let pieces = pieces.map(|pieces| compared(file, pieces, size)).transpose()?.flatten();
        // The pieces say where it is wrong, so they come first.
        if let Some((_, wrong)) = pieces.as_ref().filter(|(_, wrong)| !wrong.is_empty()) {
            return Err(damaged(wrong, &shown).with_hint(mend::BY_DOCUMENT));
        }
        if let (Some(size), Some((_, document))) = (size.filter(|size| *size != length), described) {
            let cause = format!("{shown} has {length} bytes, and {document} states {size}");
            return Err(Error::new(Kind::Checksum, cause).with_hint(mend::BY_DOCUMENT));
        }
        let digests = if digests.is_empty() { Vec::new() } else { crate::verify_file(file, &digests)? };
        let signature = self.key.as_ref().map(|key| signatures::read(key, file)).transpose()?;
        let signer = signature.map(|signature| crate::verify_signature(file, &signature)).transpose()?;
        Ok(Found { digests, pieces: pieces.map(|(count, _)| count), signer, unfinished: false })
    }
}

/// Number of pieces, and the ranges of those that are wrong; `None` for pieces of a file of another size.
fn compared(
    file: &Path,
    stated: &PieceDigests,
    size: Option<u64>,
) -> Result<Option<(usize, Vec<ByteRange>)>, Error> {
    let algorithm = stated.algorithm.parse()?;
    let digests = stated.digests.iter().map(|hex| Digest::from_hex(algorithm, hex));
    let digests: Vec<_> = digests.collect::<Result<_, _>>()?;
    let length =
        NonZeroU64::new(stated.length).ok_or_else(|| Error::usage("a piece has at least one byte"))?;
    let wrong = crate::wrong_pieces_of(file, length, &digests, size)?;
    Ok(wrong.map(|wrong| (digests.len(), wrong)))
}

/// Explains a missing file that is still being downloaded.
fn of_unfinished(error: Error, file: &Path) -> Error {
    if file.exists() || inspect(file).is_err() {
        return error;
    }
    Error::new(error.kind(), format!("{} is not complete yet, so it has no digest", shown(file)))
        .with_hint("haul verify FILE, without a digest, looks at the bytes that are there")
}

fn intact(wrong: &[ByteRange], shown: &str) -> Result<Found, Error> {
    match wrong.is_empty() {
        true => Ok(Found { unfinished: true, ..Found::default() }),
        false => Err(damaged(wrong, shown)
            .with_hint("haul verify --repair fetches what is damaged or missing, and nothing else")),
    }
}

fn damaged(ranges: &[ByteRange], shown: &str) -> Error {
    Error::new(Kind::Checksum, format!("{shown}: damaged at bytes {}", mend::listed(ranges)))
}
