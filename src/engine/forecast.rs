//! Forecast of a download, without running it.

use super::probe::Survey;
use super::request::Request;
use crate::destination::IfExists;
use crate::destination::inspect::exists;
use crate::error::{Error, Kind};
use crate::formats::byte_count::format_bytes;
use crate::manifest::Inspection;
use crate::plan::concurrency::Allowance;
use crate::storage::{Present, Seal, Target};

/// Expected course of a download. Nothing was changed to find it out, and later changes are not considered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Forecast {
    /// Maximum number of connections that would be used at once; 0 if nothing would be fetched.
    pub connections: usize,
    /// Size of the shortest planned range in bytes; `None` if everything would come in one response.
    pub shortest_range: Option<u64>,
    /// True if the target exists already; `None` for a stream.
    pub exists: Option<bool>,
    /// Expected outcome, in words.
    pub then: String,
}

/// A file of at most this many bytes is fetched with one request.
const SMALL: u64 = 256 << 10;

impl Forecast {
    /// Forecast for a request and the survey of its resource, of which an earlier run may have `left` a part.
    pub(crate) fn of(
        request: &Request,
        found: &Survey,
        target: Option<&Target>,
        left: Option<&Inspection>,
        allowance: Allowance,
    ) -> Self {
        let (outcome, exists) = match target.map(|target| (target, target.present())) {
            None => (Ok("written to the output, in order".to_owned()), None),
            Some((target, Ok(None))) => (Ok(going_on(request, found, target, left)), Some(false)),
            Some((target, Ok(Some(_)))) => (over_existing(request, found, target), Some(true)),
            Some((_, Err(error))) => (Err(error), None),
        };
        let then = match &outcome {
            Ok(then) => then.clone(),
            Err(error) => format!("fails: {error}"),
        };
        let fetches = outcome.is_ok() && !then.starts_with(NOTHING);
        let (connections, shortest_range) = match fetches {
            true => ranges(request, found, left, allowance),
            false => (0, None),
        };
        Self { connections, shortest_range, exists, then }
    }
}

/// Prefix of the texts which say that nothing would be fetched.
const NOTHING: &str = "nothing is fetched";

/// Number of connections, and size of the shortest range.
fn ranges(
    request: &Request,
    found: &Survey,
    left: Option<&Inspection>,
    allowance: Allowance,
) -> (usize, Option<u64>) {
    let missing = found
        .representation
        .complete_length
        .map(|size| size.saturating_sub(left.map_or(0, |left| left.durable)));
    if found.ranges == Some(false)
        || !joins(request, found)
        || missing.is_some_and(|missing| missing <= SMALL)
    {
        return (1, None);
    }
    let (shortest, first) = request.splits();
    let shortest = shortest.min(first);
    let worthwhile = missing.map_or(u64::MAX, |missing| missing.div_ceil(shortest));
    (allowance.most().min(usize::try_from(worthwhile).unwrap_or(usize::MAX)), Some(shortest))
}

/// Returns true if ranges of several responses, or of several runs, may be joined.
fn joins(request: &Request, found: &Survey) -> bool {
    found.representation.validators.strong().is_some() || request.is_proven()
}

/// Outcome if the target does not exist.
fn going_on(request: &Request, found: &Survey, target: &Target, left: Option<&Inspection>) -> String {
    let path = target.path();
    let Some(left) = left.filter(|left| left.durable > 0) else {
        return format!("saved as {}", path.display());
    };
    if left.running == Some(true) {
        return format!("fails: another process is downloading to {}", path.display());
    }
    let kept = format_bytes(left.durable);
    if request.restart || !joins(request, found) {
        return format!("starts over: {kept} that an earlier run left are discarded");
    }
    format!("goes on with {kept} that an earlier run left, if they are of this version")
}

/// Outcome if the target exists.
fn over_existing(request: &Request, found: &Survey, target: &Target) -> Result<String, Error> {
    let path = target.path();
    let shown = path.display();
    if request.if_exists == IfExists::Rename {
        return Ok(format!("{shown} stays; saved as {}", target.renamed()?.path().display()));
    }
    let present = target.present()?.filter(Present::is_regular);
    if present.is_none() {
        return Err(Error::new(Kind::Unsafe, format!("{shown} exists and is not a regular file")));
    }
    match request.if_exists {
        IfExists::Skip => Ok(format!("{NOTHING}: {shown} exists and is left as it is")),
        IfExists::Overwrite => Ok(format!("{shown} is replaced, once the new file is complete")),
        IfExists::Error | IfExists::Rename => Err(exists(target, "")),
        IfExists::Auto if !request.digests.is_empty() || request.proving_pieces().is_some() => {
            Ok(format!("{NOTHING}: {shown} is held against the digest, and stays; with another one it fails"))
        }
        IfExists::Auto if request.is_proven() => Ok(format!(
            "{NOTHING}: {shown} is held against the signature, and stays; if it is another file it fails"
        )),
        IfExists::Auto => {
            let seal = Seal::read(&path).map_err(|why| exists(target, why))?;
            let now = &found.representation;
            let same = request.address.matches_seal(&seal.url)
                && now.complete_length == Some(seal.size)
                && (seal.size == 0 || now.validators.strongly_equal(&seal.validators));
            match same {
                true => Ok(format!("{NOTHING}: {shown} is complete already")),
                false => Err(exists(target, ", and nothing shows that it is this version")),
            }
        }
    }
}
