//! Comparison of an object that is there with what was to be written.

use super::api::Object;
use crate::verify::{Algorithm, Digest};

/// Outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    Other,
    /// Only its bytes can tell, hashed by this algorithm.
    Unknown(Algorithm),
}

/// Compares an object with a content of `size` bytes, if that is known, and these digests.
pub(super) fn compared(object: &Object, size: Option<u64>, digests: &[Digest]) -> Likeness {
    if size.is_some_and(|size| size != object.size) {
        return Likeness::Other;
    }
    let of = |one: &Digest| digests.iter().find(|other| other.algorithm() == one.algorithm());
    let stated = object.digests.iter().find_map(|one| Some((one, of(one)?)));
    match (stated, digests.first()) {
        (Some((one, other)), _) if one != other => Likeness::Other,
        // Without the size a checksum that anyone can forge is too little.
        (Some((one, _)), _) if size.is_some() || one.algorithm().is_collision_resistant() => Likeness::Same,
        (_, Some(first)) => Likeness::Unknown(first.algorithm()),
        (_, None) => Likeness::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_the_same_by_its_size_and_its_checksum() {
        let digest = |text: &str| -> Digest { text.parse().unwrap() };
        let crc = |text: &str| Digest::from_base64(Algorithm::Crc64Nvme, text).unwrap();
        let sha = digest(&format!("sha256:{}", "1".repeat(64)));
        let (one, other) = (crc("AAAAAAAAAAA="), crc("AQAAAAAAAAA="));
        let object =
            |digests: &[&Digest]| Object { size: 5, digests: digests.iter().map(|d| (*d).clone()).collect() };
        let unknown = Likeness::Unknown(Algorithm::Sha256);
        for (object, size, digests, expected) in [
            (object(&[&one]), Some(5), vec![sha.clone(), one.clone()], Likeness::Same),
            (object(&[&one]), Some(5), vec![sha.clone(), other], Likeness::Other),
            (object(&[&one]), Some(6), vec![one.clone()], Likeness::Other),
            (object(&[&one]), None, vec![sha.clone(), one.clone()], unknown),
            (object(&[&sha]), None, vec![sha.clone()], Likeness::Same),
            (object(&[]), Some(5), vec![sha], unknown),
            (object(&[]), Some(5), vec![], Likeness::Other),
        ] {
            assert_eq!(compared(&object, size, &digests), expected, "{object:?} {size:?}");
        }
    }
}
