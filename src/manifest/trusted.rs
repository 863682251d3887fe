//! A manifest that was checked against the part file and the request.

use super::raw::Raw;
use super::run::Run;
use crate::plan::representation::Representation;
use crate::plan::{Address, RangeSet};
use crate::storage::Identity;
use crate::verify::{Digest, MinisignSignature};

/// Expectations of this run that a manifest is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation<'a> {
    pub(crate) address: &'a Address,
    pub(crate) digests: &'a [Digest],
    pub(crate) signature: Option<&'a MinisignSignature>,
    /// True if digests of pieces prove the file in the place of one of the whole.
    pub(crate) has_pieces: bool,
    pub(crate) part: Identity,
    pub(crate) part_length: u64,
    /// True if the part file was read and found to hold all claims, whichever file it is.
    pub(crate) proven: bool,
}

impl Expectation<'_> {
    /// Returns true if a digest, a signature or pieces prove the bytes.
    fn is_proven(&self) -> bool {
        self.is_proven_as_whole() || self.has_pieces
    }

    fn is_proven_as_whole(&self) -> bool {
        !self.digests.is_empty() || self.signature.is_some()
    }
}

/// Reason not to continue from the data on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// It belongs to something else: leave it alone.
    Foreign(String),
    /// It is ours, but must be started over; the text gives the reason.
    StartOver(String),
    /// The part file is another one than the manifest was written for: a copy, or one planted in its place. Its bytes
    /// decide.
    Moved,
}

/// Claims that may be built upon.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trusted {
    pub(crate) representation: Representation,
    pub(crate) runs: Vec<Run>,
    /// Number of bytes claimed beyond the end of the part file.
    pub(crate) void: u64,
    /// Recorded digests that this run has to expect although it gives none: some of the bytes may be a mirror's.
    pub(crate) inherited: Vec<Digest>,
}

impl Trusted {
    /// Checks a manifest against the file beside it and the request of this run.
    pub(crate) fn check(raw: Raw, expected: &Expectation<'_>) -> Result<Self, Distrust> {
        let file = &raw.file;
        // Not the device: many file systems get another number each time they are mounted.
        if file.part.inode != expected.part.inode && !expected.proven {
            return Err(Distrust::Moved);
        }
        if !expected.address.matches_record(&file.url) && !shares_digest(&file.digests, expected.digests) {
            return Err(Distrust::Foreign(format!("the part file was begun from {}", file.url)));
        }
        if let Some(actual) = raw.rejected.as_ref().filter(|actual| !agrees(actual, expected)) {
            let actual = actual.join(", ");
            return Err(Distrust::StartOver(format!(
                "what is on disk was refused before: it hashes to {actual}"
            )));
        }
        let joinable = file.representation.validators.strong().is_some() || expected.is_proven();
        let length = file.representation.complete_length;
        let runs: Vec<_> = raw
            .runs
            .iter()
            .copied()
            // A claim beyond the end of the part or of the resource is void.
            .filter(|run| run.range.end() <= expected.part_length.min(length.unwrap_or(u64::MAX)))
            .collect();
        let have: RangeSet = runs.iter().map(|run| run.range).collect();
        let complete = length.is_some_and(|length| have.len() == length);
        if !joinable && !complete && !have.is_empty() {
            return Err(Distrust::StartOver(
                "the server gave no strong validator, so what is on disk must not be continued".to_owned(),
            ));
        }
        let within = |end: u64| end <= length.unwrap_or(u64::MAX);
        let claimed: u64 =
            raw.runs.iter().filter(|run| within(run.range.end())).map(|run| run.range.len()).sum();
        let inherits = !expected.is_proven() && !file.mirrors.is_empty();
        let inherited: Vec<Digest> =
            file.digests.iter().filter(|_| inherits).filter_map(|text| text.parse().ok()).collect();
        if inherits && inherited.is_empty() && !have.is_empty() {
            return Err(Distrust::StartOver(
                "bytes may be those of a mirror, and what proved them is not given any more".to_owned(),
            ));
        }
        let void = claimed - have.len();
        Ok(Self { representation: raw.file.representation, runs, void, inherited })
    }

    /// Returns true if nothing is missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.representation.complete_length.is_some_and(|length| self.have().len() == length)
    }

    pub(crate) fn have(&self) -> RangeSet {
        self.runs.iter().map(|run| run.range).collect()
    }
}

fn shares_digest(recorded: &[String], expected: &[Digest]) -> bool {
    let strong = expected.iter().filter(|digest| digest.algorithm().is_collision_resistant());
    strong.map(ToString::to_string).any(|digest| recorded.contains(&digest))
}

/// Returns true if the digests of the refused file are those expected now, and if it is what was signed.
fn agrees(actual: &[String], expected: &Expectation<'_>) -> bool {
    let has = |digest: &Digest| actual.contains(&digest.to_string());
    let is_signed = |signature: &MinisignSignature| {
        let mut digests = actual.iter().filter_map(|text| text.parse::<Digest>().ok());
        digests.any(|digest| signature.verify_digest(&digest).is_ok())
    };
    expected.is_proven_as_whole()
        && expected.digests.iter().all(has)
        && expected.signature.is_none_or(is_signed)
}

#[cfg(test)]
mod tests {
    use super::super::FileRecord;
    use super::*;
    use crate::plan::ByteRange;
    use crate::plan::representation::{EntityTag, Validators};

    const PART: Identity = Identity { device: 1, inode: 2 };
    const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

    fn raw(etag: &str, digests: &[&str], runs: &[(u64, u64)]) -> Raw {
        Raw {
            head: vec![],
            file: FileRecord {
                url: "http://h/f".to_owned(),
                representation: Representation {
                    complete_length: Some(100),
                    validators: Validators { etag: EntityTag::parse(etag), ..Validators::default() },
                    media_type: None,
                },
                digests: digests.iter().map(|digest| (*digest).to_owned()).collect(),
                signature: None,
                document: None,
                mirrors: Vec::new(),
                holder: None,
                part: PART,
            },
            runs: runs
                .iter()
                .map(|(start, end)| Run { range: ByteRange::new(*start, *end), crc: 0 })
                .collect(),
            rejected: None,
            sound: 0,
            torn: false,
            shared: false,
        }
    }

    fn check(raw: Raw, url: &str, digests: &[&str], part_length: u64) -> Result<Trusted, Distrust> {
        check_signed(raw, url, digests, None, part_length)
    }

    fn check_signed(
        raw: Raw,
        url: &str,
        digests: &[&str],
        signature: Option<&MinisignSignature>,
        part_length: u64,
    ) -> Result<Trusted, Distrust> {
        let address = Address::parse(url).unwrap().0;
        let digests: Vec<Digest> = digests.iter().map(|digest| digest.parse().unwrap()).collect();
        let (address, digests) = (&address, &digests[..]);
        let (has_pieces, part) = (false, PART);
        let expected =
            Expectation { address, digests, signature, has_pieces, part, part_length, proven: false };
        Trusted::check(raw, &expected)
    }

    // T082
    #[test]
    fn a_manifest_of_something_else_is_left_alone() {
        let mut moved = raw("\"1\"", &[], &[(0, 10)]);
        moved.file.part.inode = 3;
        assert_eq!(check(moved, "http://h/f", &[], 100), Err(Distrust::Moved));
        let mut remounted = raw("\"1\"", &[], &[(0, 10)]);
        remounted.file.part.device = 9;
        assert!(check(remounted, "http://h/f", &[], 100).is_ok());
        let other = check(raw("\"1\"", &[], &[(0, 10)]), "http://h/g", &[], 100);
        assert!(matches!(other, Err(Distrust::Foreign(_))));
        let same_bytes = check(raw("\"1\"", &[ONE], &[(0, 10)]), "http://mirror/g", &[ONE], 100);
        assert!(same_bytes.is_ok());
    }

    // T083
    #[test]
    fn a_claim_beyond_the_end_of_the_part_is_void() {
        let trusted = check(raw("\"1\"", &[], &[(0, 10), (10, 60)]), "http://h/f", &[], 50).unwrap();
        assert_eq!(trusted.have().len(), 10);
    }

    // T018
    #[test]
    fn without_a_strong_validator_only_a_digest_lets_it_go_on() {
        let weak = || raw("W/\"1\"", &[], &[(0, 10)]);
        assert!(matches!(check(weak(), "http://h/f", &[], 100), Err(Distrust::StartOver(_))));
        assert!(check(weak(), "http://h/f", &[ONE], 100).is_ok());
        let complete = raw("W/\"1\"", &[], &[(0, 100)]);
        assert!(check(complete, "http://h/f", &[], 100).is_ok());
    }

    #[test]
    fn where_bytes_may_be_a_mirrors_the_recorded_digest_is_expected_unless_another_proof_is() {
        let mut raw = raw("\"1\"", &[ONE], &[(0, 10)]);
        let inherited = |raw: &Raw, digests: &[&str]| {
            let trusted = check(raw.clone(), "http://h/f", digests, 100).unwrap();
            trusted.inherited.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(inherited(&raw, &[]).is_empty());
        raw.file.mirrors.push("http://m/f".to_owned());
        assert_eq!(inherited(&raw, &[]), [ONE]);
        assert!(inherited(&raw, &[TWO]).is_empty());

        raw.file.digests.clear();
        assert!(matches!(check(raw.clone(), "http://h/f", &[], 100), Err(Distrust::StartOver(_))));
        assert!(check(raw, "http://h/f", &[TWO], 100).is_ok());
    }

    // T017
    #[test]
    fn what_was_refused_is_only_used_for_the_digest_it_has() {
        let mut refused = raw("\"1\"", &[ONE], &[(0, 100)]);
        refused.rejected = Some(vec![TWO.to_owned()]);
        assert!(matches!(check(refused.clone(), "http://h/f", &[ONE], 100), Err(Distrust::StartOver(_))));
        assert!(matches!(check(refused.clone(), "http://h/f", &[], 100), Err(Distrust::StartOver(_))));
        assert!(check(refused, "http://h/f", &[TWO], 100).is_ok());
    }

    #[test]
    fn a_signature_proves_as_a_digest_does_and_what_was_refused_must_be_what_was_signed() {
        let key: crate::verify::MinisignKey =
            "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".parse().unwrap();
        let of_test = "untrusted comment: signature from minisign secret key\n\
            RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
            trusted comment: timestamp:1556193335\tfile:test\n\
            y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";
        let signature = key.signature(of_test, "f.minisig").unwrap();
        let checked = |raw| check_signed(raw, "http://h/f", &[], Some(&signature), 100);
        assert!(checked(raw("W/\"1\"", &[], &[(0, 10)])).is_ok());
        for (bytes, is_signed) in [(&b"test"[..], true), (b"Test", false)] {
            let mut hasher = crate::verify::Hasher::new(crate::verify::Algorithm::Blake2b);
            hasher.update(bytes);
            let mut refused = raw("\"1\"", &[], &[(0, 100)]);
            refused.rejected = Some(vec![ONE.to_owned(), hasher.finish().to_string()]);
            assert_eq!(checked(refused.clone()).is_ok(), is_signed);
            let both = check_signed(refused, "http://h/f", &[TWO], Some(&signature), 100);
            assert!(matches!(both, Err(Distrust::StartOver(_))));
        }
    }
}
