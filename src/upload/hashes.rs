//! Hashes of what has come, which go on in another process.

use crate::verify::{Algorithm, Digest, Hasher};

/// Hashes of the same bytes by several algorithms.
#[derive(Clone)]
pub(super) struct Hashes(Vec<Hasher>);

/// State of a hash, as a record holds it: its algorithm, and the state in hexadecimal digits.
pub(super) type State = (String, String);

/// Algorithms that are always computed: the one proves, the other one is what the store computes as well.
pub(super) const ALWAYS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Crc64Nvme];
/// Algorithms whose states can be recorded.
const RECORDED: [Algorithm; 7] = [
    Algorithm::Sha256,
    Algorithm::Sha512,
    Algorithm::Sha1,
    Algorithm::Md5,
    Algorithm::Crc32c,
    Algorithm::Crc32,
    Algorithm::Crc64Nvme,
];

impl Hashes {
    /// Hashes by these algorithms and those that are always computed.
    pub(super) fn new(algorithms: &[Algorithm]) -> Self {
        let more = algorithms.iter().copied().filter(|algorithm| !ALWAYS.contains(algorithm));
        Self(ALWAYS.into_iter().chain(more).map(Hasher::new).collect())
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|hasher| hasher.update(bytes));
    }

    /// Digests of all bytes so far.
    pub(super) fn digests(&self) -> Vec<Digest> {
        self.0.iter().cloned().map(Hasher::finish).collect()
    }

    /// States that can be recorded.
    pub(super) fn states(&self) -> Vec<State> {
        let state = |hasher: &Hasher| Some((hasher.algorithm().to_string(), hexadecimal(&hasher.state()?)));
        self.0.iter().filter_map(state).collect()
    }

    /// Hashes that go on from recorded states; `None` if one that is wanted is not among them.
    pub(super) fn restored(states: &[State], wanted: &[Algorithm]) -> Option<Self> {
        let one = |algorithm: Algorithm| {
            let (_, state) = states.iter().find(|(name, _)| *name == algorithm.to_string())?;
            Hasher::restored(algorithm, &bytes(state)?)
        };
        let missing = |algorithm: &Algorithm| one(*algorithm).is_none();
        if ALWAYS.iter().chain(wanted).any(missing) {
            return None;
        }
        Some(Self(RECORDED.into_iter().filter_map(one).collect()))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_states_go_on_to_the_same_digests() {
        let mut whole = Hashes::new(&[Algorithm::Md5]);
        whole.update(b"first ");
        let mut second = Hashes::restored(&whole.states(), &[Algorithm::Md5]).unwrap();
        whole.update(b"second");
        second.update(b"second");
        let sorted = |mut digests: Vec<Digest>| {
            digests.sort();
            digests
        };
        assert_eq!(sorted(second.digests()), sorted(whole.digests()));
    }

    #[test]
    fn states_of_other_algorithms_are_no_basis() {
        let states = Hashes::new(&[Algorithm::Blake3]).states();
        assert!(Hashes::restored(&states, &[Algorithm::Sha512]).is_none());
        assert!(Hashes::restored(&states, &[Algorithm::Blake3]).is_none());
        assert!(Hashes::restored(&states, &[Algorithm::Sha256]).is_some());
        let damaged = vec![("sha256".to_owned(), "zz".to_owned())];
        assert!(Hashes::restored(&damaged, &[]).is_none());
    }
}
